//! PKCS#12 (RFC 7292): a private key with its certificates, as card offices and Windows hand them out.

use std::path::Path;

use p12_keystore::Pkcs12Archive;
use sekisho_ike::pki::{Certificate, SigningKey};

use super::files::FileError;
use super::limits;
use super::material::{Passphrase, is_pkcs12};

/// The key and its chain, the key's own certificate first; other certificates are left out.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    passphrase: &Passphrase,
) -> Result<(SigningKey, Vec<Certificate>), FileError> {
    let shown = path.display();
    let fail = |message: String, help: &str| Err(FileError::new(message, help));
    if !is_pkcs12(bytes) {
        let help = "files of PEM or DER are named in `certificate` and `private_key`";
        return fail(format!("{shown} holds no PKCS#12"), help);
    }
    let archive = match Pkcs12Archive::from_pkcs12(bytes, passphrase) {
        Ok(archive) => archive,
        Err(p12_keystore::error::Error::MacError(_)) => {
            let help = "the passphrase file holds it in one line; try it by `openssl pkcs12 -noout -in FILE`";
            return fail(format!("the passphrase does not open {shown}, or the file is damaged"), help);
        }
        Err(error) => {
            let help = "export it again, encrypted with AES-256 or 3DES and without a chain of other formats: `openssl pkcs12 -export -inkey KEY -in CERTIFICATE -certfile INTERMEDIATES`";
            return fail(format!("{shown} cannot be read as PKCS#12: {error}"), help);
        }
    };
    let [key] = archive.keys.as_slice() else {
        let number = if archive.keys.is_empty() { "no private key" } else { "more than one private key" };
        let message = format!("{shown} holds {number}");
        return fail(message, "export one key with its certificates into a file of its own");
    };
    let key = SigningKey::from_der(key.key.as_der()).map_err(|error| {
        FileError::new(format!("{error} ({shown})"), "use a key of a kind and strength that is supported")
    })?;
    let mut certificates = Vec::new();
    for bag in archive.certs.iter().take(limits::BLOCKS) {
        let certificate = Certificate::from_der(bag.cert.as_der());
        certificates.push(certificate.map_err(|error| {
            FileError::new(format!("{error} ({shown})"), "export it again, with good certificates only")
        })?);
    }
    if let Some(own) = certificates.iter().position(|certificate| key.matches(certificate)) {
        return Ok((key, chain(own, certificates)));
    }
    let message = format!("{shown} holds no certificate of its private key");
    fail(message, "export the key together with its certificate")
}

/// Upwards from our own, by the names of the issuers; a bundle has no order of its own.
fn chain(own: usize, mut certificates: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain = vec![certificates.swap_remove(own)];
    while let Some(last) = chain.last().filter(|last| !last.is_self_issued()) {
        let above = certificates.iter().position(|above| above.subject() == last.issuer());
        let Some(above) = above else { break };
        chain.push(certificates.swap_remove(above));
    }
    chain
}
