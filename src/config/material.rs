//! From the bytes of a file to certificates, keys and revocation lists.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use sekisho_ike::pki::{Certificate, Crl, PublicKey, SigningKey, SigningKeyError};
use zeroize::Zeroizing;

use super::files::FileError;
use super::limits;
use super::pem::{self, Block, Content, PemError};

/// A passphrase, as text.
pub(super) type Passphrase = Zeroizing<String>;

/// The certificates of a file, in their order; at least one.
pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<Certificate>, FileError> {
    let help = "name a file of X.509 certificates, PEM or DER";
    let parse = |der: &[u8]| Certificate::from_der(der);
    match content(path, bytes, help)? {
        Content::Der(der) if is_pkcs12(&der) => Err(FileError::new(
            format!("{} holds PKCS#12, not a certificate alone", path.display()),
            "for a key with its certificate write pkcs12 = \"…\"; an authority's certificate comes out by `openssl pkcs12 -nokeys -in FILE`",
        )),
        Content::Der(der) if is_pkcs7(&der) => Err(pkcs7(path, "-inform DER ")),
        Content::Der(der) => parse(&der).map(|one| vec![one]).map_err(|error| said(path, &error, help)),
        Content::Pem(blocks) if has(&blocks, &["PKCS7", "CMS"]) => Err(pkcs7(path, "")),
        Content::Pem(blocks) => all(path, &blocks, &["CERTIFICATE", "X509 CERTIFICATE"], help, parse),
    }
}

/// The revocation lists of a file; at least one.
pub(super) fn crls(path: &Path, bytes: &[u8]) -> Result<Vec<Crl>, FileError> {
    let help = "name a file of certificate revocation lists, PEM or DER";
    let parse = |der: &[u8]| Crl::from_der(der);
    match content(path, bytes, help)? {
        Content::Der(der) => parse(&der).map(|one| vec![one]).map_err(|error| said(path, &error, help)),
        Content::Pem(blocks) => all(path, &blocks, &["X509 CRL"], help, parse),
    }
}

/// The public key of a file.
pub(super) fn public_key(path: &Path, bytes: &[u8]) -> Result<PublicKey, FileError> {
    let help = "name a file with a PUBLIC KEY, as `openssl pkey -in KEY -pubout` makes it; a certificate belongs into `peer_certificates`";
    let der = match content(path, bytes, help)? {
        Content::Der(der) => der,
        Content::Pem(blocks) => only(path, blocks, &["PUBLIC KEY"], help)?.der,
    };
    PublicKey::from_spki_der(&der).map_err(|error| said(path, &error, help))
}

/// The private key of a file, and whether the passphrase was needed for it.
pub(super) fn private_key(
    path: &Path,
    bytes: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<(SigningKey, bool), FileError> {
    let help = "name a file with a private key, PEM or DER: PKCS#8, SEC1 or PKCS#1";
    let (der, must_be_encrypted) = match content(path, bytes, help)? {
        Content::Der(der) => (der, false),
        Content::Pem(blocks) if has(&blocks, &["OPENSSH PRIVATE KEY"]) => {
            let help = format!("rewrite it by `ssh-keygen -p -m PKCS8 -f {}`", path.display());
            return Err(FileError::new(
                format!("{} holds a key in OpenSSH's own form", path.display()),
                help,
            ));
        }
        Content::Pem(blocks) => {
            let block = only(path, blocks, &PRIVATE_KEYS, help)?;
            (block.der, block.label == ENCRYPTED)
        }
    };
    let (der, encrypted) = match EncryptedPrivateKeyInfoRef::try_from(der.as_slice()) {
        Ok(info) => (decrypt(path, &info, passphrase)?, true),
        Err(_) if must_be_encrypted => return Err(old_encryption(path)),
        Err(_) => (der, false),
    };
    let key = SigningKey::from_der(&der).map_err(|error| {
        let help = match error {
            SigningKeyError::Unsupported(_) => {
                "make a new key and have it certified: RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519"
            }
            _ => help,
        };
        said(path, &error, help)
    })?;
    Ok((key, encrypted))
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PRIVATE_KEYS: [&str; 4] = ["PRIVATE KEY", ENCRYPTED, "EC PRIVATE KEY", "RSA PRIVATE KEY"];
/// How a key is encrypted in a way that is read here.
const REWRITE: &str = "rewrite it by `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`";

fn old_encryption(path: &Path) -> FileError {
    let message =
        format!("the private key {} is encrypted in an old way that is not supported", path.display());
    FileError::new(message, REWRITE)
}

fn decrypt(
    path: &Path,
    info: &EncryptedPrivateKeyInfoRef<'_>,
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let shown = path.display();
    let Some(passphrase) = passphrase else {
        return Err(FileError::new(
            format!("the private key {shown} is encrypted"),
            "write the passphrase into a file of its own, mode 0600, and passphrase_file = \"…\"",
        ));
    };
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(old_encryption(path));
    };
    let patient = match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count <= limits::PASSPHRASE_ITERATIONS,
        Kdf::Scrypt(kdf) => {
            let memory = kdf.cost_parameter.checked_mul(u64::from(kdf.block_size) * 128);
            memory.is_some_and(|bytes| bytes <= limits::PASSPHRASE_MEMORY) && kdf.parallelization <= 16
        }
        _ => false,
    };
    if !patient {
        let message = format!("the private key {shown} would take too long to decrypt");
        return Err(FileError::new(message, REWRITE));
    }
    let decrypted = info.decrypt(passphrase.as_bytes()).map_err(|_| {
        let message = format!(
            "the private key {shown} cannot be decrypted: the passphrase is wrong, or the file is damaged"
        );
        FileError::new(message, "try it by `openssl pkey -noout -in FILE`")
    })?;
    Ok(Zeroizing::new(decrypted.as_bytes().to_vec()))
}

fn content(path: &Path, bytes: &[u8], help: &str) -> Result<Content, FileError> {
    pem::read(bytes).map_err(|error| {
        let help = if error == PemError::OldEncryption { "OpenSSL asks for both passphrases" } else { help };
        FileError::new(format!("{} {error}", path.display()), help)
    })
}

fn said(path: &Path, error: &impl std::fmt::Display, help: &str) -> FileError {
    FileError::new(format!("{error} ({})", path.display()), help)
}

fn has(blocks: &[Block], labels: &[&str]) -> bool {
    blocks.iter().any(|block| labels.contains(&block.label.as_str()))
}

/// Every block with one of the labels, read.
fn all<T, E: std::fmt::Display>(
    path: &Path,
    blocks: &[Block],
    labels: &[&str],
    help: &str,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Vec<T>, FileError> {
    let wanted: Vec<_> = blocks.iter().filter(|block| labels.contains(&block.label.as_str())).collect();
    if wanted.is_empty() {
        return Err(FileError::new(lacks(path, blocks, labels), help));
    }
    let several = wanted.len() > 1;
    let read = wanted.into_iter().enumerate().map(|(index, block)| {
        parse(&block.der).map_err(|error| {
            let which = if several { format!(", {} {}", block.label, index + 1) } else { String::new() };
            FileError::new(format!("{error} ({}{which})", path.display()), help)
        })
    });
    read.collect()
}

/// The one block with one of the labels.
fn only(path: &Path, blocks: Vec<Block>, labels: &[&str], help: &str) -> Result<Block, FileError> {
    let lacking = lacks(path, &blocks, labels);
    let mut wanted = blocks.into_iter().filter(|block| labels.contains(&block.label.as_str()));
    let first = wanted.next().ok_or_else(|| FileError::new(lacking, help))?;
    match wanted.count() {
        0 => Ok(first),
        more => Err(FileError::new(format!("{} holds {} keys", path.display(), more + 1), "leave one in it")),
    }
}

fn lacks(path: &Path, blocks: &[Block], labels: &[&str]) -> String {
    let wanted = labels.first().copied().unwrap_or_default();
    let mut there: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
    there.sort_unstable();
    there.dedup();
    let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
    format!("{} holds no {wanted} but {there}", path.display())
}

/// `PFX ::= SEQUENCE { version INTEGER {v3(3)}, …` (RFC 7292 §4).
pub(super) fn is_pkcs12(der: &[u8]) -> bool {
    inside(der).is_some_and(|inside| inside.starts_with(&[0x02, 0x01, 0x03]))
}

/// `ContentInfo ::= SEQUENCE { contentType signedData …` (RFC 5652 §3): certificates as Windows exports them.
fn is_pkcs7(der: &[u8]) -> bool {
    const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    inside(der).is_some_and(|inside| inside.starts_with(&SIGNED_DATA))
}

fn pkcs7(path: &Path, form: &str) -> FileError {
    FileError::new(
        format!("{} holds PKCS#7, not certificates alone", path.display()),
        format!("take them out by `openssl pkcs7 -print_certs {form}-in {} -out NEW`", path.display()),
    )
}

/// What follows the tag and length of a SEQUENCE.
fn inside(der: &[u8]) -> Option<&[u8]> {
    let rest = der.strip_prefix(&[0x30])?;
    let (length, rest) = rest.split_first()?;
    if *length <= 0x80 { Some(rest) } else { rest.get(usize::from(length & 0x7f)..) }
}
