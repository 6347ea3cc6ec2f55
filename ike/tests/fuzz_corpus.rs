//! The bodies of the fuzz targets over the committed corpus and some thousand mutations of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use sekisho_ike::SecureRandom;
use sekisho_ike::sim::SeededRandom;

fn over_corpus(target: &str, body: fn(&[u8])) {
    over_mutations(target, 2000, body);
}

/// So many mutations of each file, and as many of its beginnings.
fn over_mutations(target: &str, most: usize, body: fn(&[u8])) {
    let directory = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = std::fs::read_dir(&directory).expect(&directory).map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 3, "{directory} holds only {} files", files.len());
    let mut random = SeededRandom::new(1, 1);
    for file in files {
        let seed = std::fs::read(&file).unwrap();
        body(&seed);
        for length in (0..seed.len()).step_by(1 + seed.len() / most) {
            body(&seed[..length]);
        }
        for _ in 0..most {
            let mut bytes = seed.clone();
            let mut choice = [0; 5];
            for _ in 0..=choice[4] % 4 {
                random.fill(&mut choice);
                let at = usize::from(u16::from_be_bytes([choice[0], choice[1]])) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = choice[2];
                }
            }
            body(&bytes);
        }
    }
}

#[test]
fn ike_message() {
    over_corpus("ike_message", sekisho_ike::fuzzing::message);
}

#[test]
fn ike_fragments() {
    over_corpus("ike_fragments", sekisho_ike::fuzzing::fragments);
}

#[test]
fn ike_payloads() {
    over_corpus("ike_payloads", sekisho_ike::fuzzing::payloads);
}

#[test]
fn x509_certificate() {
    over_corpus("x509_certificate", sekisho_ike::fuzzing::certificate);
}

#[test]
fn crl() {
    over_corpus("crl", sekisho_ike::fuzzing::crl);
}

#[test]
fn ocsp_response() {
    over_corpus("ocsp_response", sekisho_ike::fuzzing::ocsp_response);
}

#[test]
fn cert_payloads() {
    over_corpus("cert_payloads", sekisho_ike::fuzzing::cert_payloads);
}

#[test]
fn auth_payload() {
    over_corpus("auth_payload", sekisho_ike::fuzzing::auth_payload);
}

/// Each is a whole conversation.
#[test]
fn ike_conversation() {
    over_mutations("ike_conversation", 60, sekisho_ike::fuzzing::conversation);
}
