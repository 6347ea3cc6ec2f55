//! The files in `fixtures/`.

use data_encoding::BASE64;
use sekisho_ike::pki::{Certificate, SigningKey};

pub fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/pki/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).expect(&path)
}

/// The DER in a PEM file.
pub fn pem(name: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes(name)).expect("text");
    let lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let base64: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    BASE64.decode(base64.as_bytes()).expect(name)
}

pub fn certificate(name: &str) -> Certificate {
    Certificate::from_der(&pem(&format!("{name}.pem"))).expect(name)
}

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_der(&pem(&format!("{name}.pem"))).expect(name)
}
