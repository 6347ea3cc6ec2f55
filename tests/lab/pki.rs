//! Certification authorities, certificates and revocation lists, made for one scenario.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevocationReason, RevokedCertParams, SerialNumber,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::process::run;

const DAY: Duration = Duration::from_hours(24);

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2,048 bits, made by `openssl`.
    Rsa,
    /// RSA of 4,096 bits, likewise: what makes messages long.
    Rsa4096,
    P256,
    P384,
    Ed25519,
}

/// A certification authority.
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
    issuer: Issuer<'static, KeyPair>,
    serial: AtomicU32,
}

/// What is to be certified.
#[derive(Clone, Debug)]
pub struct Request {
    /// The subject is `C=JP, O=Lab, CN=…`.
    pub name: &'static str,
    /// `dNSName`s.
    pub hosts: Vec<&'static str>,
    pub key: KeyKind,
    /// Days from now, both.
    pub valid: (i32, i32),
    pub purposes: Vec<ExtendedKeyUsagePurpose>,
    pub crl_url: Option<String>,
    pub ocsp_url: Option<String>,
}

impl Request {
    /// A good one for a host of the laboratory.
    pub fn of(host: &'static str, key: KeyKind) -> Self {
        Self {
            name: host,
            hosts: vec![host],
            key,
            valid: (-1, 365),
            purposes: Vec::new(),
            crl_url: None,
            ocsp_url: None,
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 as PEM.
    pub key: String,
    /// Its public key, PEM.
    pub public_key: String,
    /// Its serial number in its authority.
    pub serial: u32,
    /// `C=JP, O=Lab, CN=…`.
    pub subject: String,
}

impl Authority {
    /// One that signs itself.
    pub fn root(name: &'static str) -> Self {
        Self::root_with(name, KeyKind::P256)
    }

    /// One that signs itself, with a key of this kind.
    pub fn root_with(name: &'static str, kind: KeyKind) -> Self {
        let key = new_key(kind);
        let params = authority(name, 1);
        let certificate = params.self_signed(&key).expect("make a root certificate");
        Self::new(pem("CERTIFICATE", certificate.der()), params, key)
    }

    /// One below this.
    pub fn intermediate(&self, name: &'static str) -> Self {
        self.intermediate_with(name, KeyKind::P256)
    }

    /// One below this, with a key of this kind.
    pub fn intermediate_with(&self, name: &'static str, kind: KeyKind) -> Self {
        let key = new_key(kind);
        let params = authority(name, self.next_serial());
        let certificate = params.signed_by(&key, &self.issuer).expect("make an intermediate certificate");
        Self::new(pem("CERTIFICATE", certificate.der()), params, key)
    }

    fn new(certificate: String, params: CertificateParams, key: KeyPair) -> Self {
        let pem = pem("PRIVATE KEY", &key.serialize_der());
        Self { certificate, key: pem, issuer: Issuer::new(params, key), serial: AtomicU32::new(100) }
    }

    /// Certifies a new key.
    pub fn issue(&self, request: &Request) -> Entity {
        let (key, serial) = (new_key(request.key), self.next_serial());
        let mut params = params(request.name, serial);
        params.subject_alt_names =
            CertificateParams::new(request.hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
                .expect("host names")
                .subject_alt_names;
        (params.not_before, params.not_after) = (in_days(request.valid.0), in_days(request.valid.1));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&request.purposes);
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points =
            request.crl_url.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] }).collect();
        params.custom_extensions = request.ocsp_url.iter().map(|url| responder(url)).collect();
        let certificate = params.signed_by(&key, &self.issuer).expect("make a certificate");
        Entity {
            certificate: pem("CERTIFICATE", certificate.der()),
            key: pem("PRIVATE KEY", &key.serialize_der()),
            public_key: pem("PUBLIC KEY", &key.subject_public_key_info()),
            serial,
            subject: format!("C=JP, O=Lab, CN={}", request.name),
        }
    }

    /// A list with these revoked, good from yesterday until so many days from now; DER.
    pub fn crl(&self, revoked: &[&Entity], days: i32) -> Vec<u8> {
        let entry = |entity: &&Entity| RevokedCertParams {
            serial_number: SerialNumber::from(u64::from(entity.serial)),
            revocation_time: in_days(-1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: in_days(-2),
            next_update: in_days(days),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("make a revocation list").der().to_vec()
    }

    fn next_serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

fn authority(name: &'static str, serial: u32) -> CertificateParams {
    let mut params = params(name, serial);
    (params.not_before, params.not_after) = (in_days(-30), in_days(3650));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(name: &str, serial: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "JP");
    params.distinguished_name.push(DnType::OrganizationName, "Lab");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(u64::from(serial)));
    params
}

fn in_days<T: From<SystemTime>>(days: i32) -> T {
    let (now, span) = (SystemTime::now(), DAY * days.unsigned_abs());
    let time = if days < 0 { now - span } else { now + span };
    T::from(time)
}

/// Authority information access with an OCSP responder (RFC 5280 §4.2.2.1).
fn responder(url: &str) -> CustomExtension {
    const ACCESS_METHOD_OCSP: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
    let uri = tlv(0x86, url.as_bytes());
    let description = tlv(0x30, &[ACCESS_METHOD_OCSP.as_slice(), &uri].concat());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tlv(0x30, &description))
}

/// DER of something short.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80).expect("something short");
    [&[tag, length], content].concat()
}

fn new_key(kind: KeyKind) -> KeyPair {
    let algorithm = match kind {
        KeyKind::Rsa | KeyKind::Rsa4096 => {
            let bits = if kind == KeyKind::Rsa { "rsa_keygen_bits:2048" } else { "rsa_keygen_bits:4096" };
            let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", bits];
            let key = run(Command::new("openssl").args(arguments));
            let base64: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
            let der = BASE64.decode(base64.as_bytes()).expect("base64 of openssl");
            return KeyPair::try_from(der).expect("an RSA key of openssl");
        }
        KeyKind::P256 => &PKCS_ECDSA_P256_SHA256,
        KeyKind::P384 => &PKCS_ECDSA_P384_SHA384,
        KeyKind::Ed25519 => &PKCS_ED25519,
    };
    KeyPair::generate_for(algorithm).expect("make a key")
}

/// RFC 7468.
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
