//! Certificates made on the spot.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use sekisho_ike::pki::{Certificate, SigningKey, Trust};

/// 2030-01-01. What is made here is valid from 2020 to 2040, unless the test says otherwise.
pub const NOW: u64 = 1_893_456_000;

pub struct Made {
    pub issuer: Issuer<'static, KeyPair>,
    pub certificate: Certificate,
}

pub fn named(organization: &str, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "JP");
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    params
}

/// A peer's certificate: `C=JP, O=Clinic, CN=name`, for the host `name.example`.
pub fn leaf(name: &str) -> CertificateParams {
    let mut params = named("Clinic", name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ipsec_ike()];
    params.subject_alt_names = vec![dns(&format!("{name}.example"))];
    params.is_ca = IsCa::ExplicitNoCa;
    params
}

/// An authority's: `C=JP, O=Clinic, CN=name`.
pub fn ca(name: &str) -> CertificateParams {
    let mut params = named("Clinic", name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn ipsec_ike() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17])
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub fn critical(oid: &[u64], content: Vec<u8>) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content);
    extension.set_criticality(true);
    extension
}

pub fn root(params: CertificateParams) -> Made {
    root_with(params, key())
}

pub fn root_with(params: CertificateParams, key: KeyPair) -> Made {
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Made { certificate: Certificate::from_der(&der).unwrap(), issuer: Issuer::new(params, key) }
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

impl Made {
    pub fn issue(&self, params: CertificateParams) -> Self {
        self.issue_for(params, key())
    }

    pub fn issue_for(&self, params: CertificateParams, key: KeyPair) -> Self {
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { certificate: Certificate::from_der(&der).unwrap(), issuer: Issuer::new(params, key) }
    }

    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_der(self.issuer.key().serialized_der()).unwrap()
    }

    /// Trust in this authority alone.
    pub fn trusted(&self) -> Trust {
        Trust { anchors: vec![self.certificate.clone()], ..Trust::default() }
    }
}
