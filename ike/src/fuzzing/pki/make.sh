#!/bin/sh
# Makes what is beside it anew, with OpenSSL 3: two ends of a tunnel below one root, and what a responder says of each. The
# fuzzer's clock says 2030-01-01; all of it is valid from 2020 to 2120. The ends' keys are Ed25519, so that their signatures are
# a function of what is signed, and a conversation can be played again.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > ca.cnf <<'CNF'
[ca]
default_ca = it
[it]
dir = .
new_certs_dir = .
database = index.txt
serial = serial
unique_subject = no
policy = anything
default_md = sha256
default_startdate = 20200101000000Z
default_enddate = 21200101000000Z
[anything]
commonName = optional
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[a]
subjectAltName = DNS:a.example
authorityInfoAccess = OCSP;URI:http://ocsp.example/a
[b]
subjectAltName = DNS:b.example
authorityInfoAccess = OCSP;URI:http://ocsp.example/b
[req]
distinguished_name = dn
[dn]
CNF
: > index.txt
echo 01 > serial

openssl ecparam -name prime256v1 -genkey -noout -out root.key
openssl req -config ca.cnf -new -key root.key -subj /CN=Root -out root.csr
openssl ca -config ca.cnf -batch -notext -selfsign -keyfile root.key -in root.csr -out root.pem -extensions root 2>/dev/null
for name in a b; do
    openssl genpkey -quiet -algorithm ED25519 -out $name.key
    openssl req -config ca.cnf -new -key $name.key -subj /CN=$name -out $name.csr
    openssl ca -config ca.cnf -batch -notext -cert root.pem -keyfile root.key -in $name.csr -out $name.pem \
        -extensions $name 2>/dev/null
    openssl ocsp -issuer root.pem -cert $name.pem -no_nonce -reqout request
    openssl ocsp -index index.txt -CA root.pem -rsigner root.pem -rkey root.key -ndays 30000 -resp_no_certs \
        -reqin request -respout "$out/$name.ocsp" 2>/dev/null
    openssl pkcs8 -topk8 -nocrypt -in $name.key -outform DER -out "$out/$name.key"
    openssl x509 -in $name.pem -outform DER -out "$out/$name.der"
done
openssl x509 -in root.pem -outform DER -out "$out/root.der"
