//! What a handshake with ECDSA P-256 certificates costs beside the key exchange: the peer's path and signature, and our own.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use sekisho_ike::pki::{
    Certificate, Offered, PeerHashes, RsaPadding, SigningKey, Trust, sign, signature_hash_algorithms, trust,
    verify,
};
use sekisho_ike::wire::CertEncoding;

const NOW: u64 = 1_893_456_000;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Clinic");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn handshake(c: &mut Criterion) {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (root_key, leaf_key) = (key(), key());
    let signing_key = SigningKey::from_der(leaf_key.serialized_der()).unwrap();
    let mut root_params = params("Root");
    root_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = Certificate::from_der(root_params.self_signed(&root_key).unwrap().der()).unwrap();
    let mut leaf_params = params("clinic-17");
    leaf_params.subject_alt_names = vec![rcgen::SanType::DnsName("clinic-17.example".try_into().unwrap())];
    let issuer = Issuer::new(root_params, root_key);
    let leaf = leaf_params.signed_by(&leaf_key, &issuer).unwrap().der().to_vec();
    let trusted = Trust { anchors: vec![root], ..Trust::default() };
    let peer = PeerHashes::from_notify(&signature_hash_algorithms());
    let octets = [7; 400];
    let (method, data) = sign(&signing_key, &octets, &peer, RsaPadding::Pss).unwrap();

    let payloads = || [(CertEncoding::X509_SIGNATURE, leaf.as_slice())];
    let certificate = Offered::read(payloads()).unwrap().end_entity.unwrap();
    c.bench_function("certificate payload, read", |b| {
        b.iter(|| Offered::read(black_box(payloads())).unwrap());
    });
    c.bench_function("path of two, P-256", |b| {
        b.iter(|| trust(black_box(&certificate), &[], &trusted, NOW).unwrap());
    });
    c.bench_function("AUTH verified, P-256", |b| {
        b.iter(|| verify(certificate.public_key().unwrap(), black_box(&octets), method, &data).unwrap());
    });
    c.bench_function("AUTH signed, P-256", |b| {
        b.iter(|| sign(&signing_key, black_box(&octets), &peer, RsaPadding::Pss).unwrap());
    });
    c.bench_function("one side of a handshake, P-256", |b| {
        b.iter(|| {
            let certificate = Offered::read(black_box(payloads())).unwrap().end_entity.unwrap();
            let path = trust(&certificate, &[], &trusted, NOW).unwrap();
            verify(path.public_key(), &octets, method, &data).unwrap();
            sign(&signing_key, &octets, &peer, RsaPadding::Pss).unwrap()
        });
    });
}

criterion_group!(benches, handshake);
criterion_main!(benches);
