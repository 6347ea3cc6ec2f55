//! The files that the tests' configurations name: certificates made here, and those of `tests/certificates`, which
//! OpenSSL made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use pem_rfc7468::LineEnding;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    SerialNumber, date_time_ymd,
};
use zeroize::Zeroizing;

use super::files::{self, FileError, Kind};

/// When the tests take place: 15 June 2026.
pub(super) const NOW: u64 = 1_781_481_600;

/// The file of a name, as the tests expect it.
pub(super) fn file(path: &Path, kind: Kind) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bytes = match name {
        "short.psk" => b"hospital\n".to_vec(),
        "dull.psk" => b"aaaaaaaabbbbbbbbccccccccdddddddd".to_vec(),
        "damaged.psk" => b"0xdeadbeefx".to_vec(),
        _ if name.starts_with("missing") => {
            return files::from_disk(&Path::new("/nowhere").join(name), kind);
        }
        _ => match (made().get(name), name.rsplit_once('.')) {
            (Some(bytes), _) => bytes.clone(),
            (None, Some((_, "psk"))) => b"0sw5BjY8ZHJtE4pIQ3mxO0Aq5Yb8X3Jt8QqJvZ5l7m0aU=\n".to_vec(),
            _ => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name);
                fs::read(&path).unwrap_or_else(|_| panic!("no fixture is named {name}"))
            }
        },
    };
    Ok(Zeroizing::new(bytes))
}

/// The file of a name in `configs/`.
pub(super) fn example(name: &str) -> Vec<u8> {
    let stands_for = match name {
        "centre-ca.pem" => "root.pem",
        "hub-of-clinics.pem" => "clinic-17.pem",
        "hub-of-clinics.key" => "clinic-17.key",
        "clinic-17.p12" => "p256.p12",
        "clinic-17.passphrase" => "passphrase",
        "laboratory.pem" => "hub.pem",
        other => other,
    };
    file(Path::new(stands_for), Kind::Certificate).unwrap().to_vec()
}

/// Those that are made here, by name.
pub(super) fn made() -> &'static BTreeMap<&'static str, Vec<u8>> {
    static MADE: OnceLock<BTreeMap<&str, Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> BTreeMap<&'static str, Vec<u8>> {
    let (root_key, issuing_key, key) = (new_key(), new_key(), new_key());
    let root_params = authority("Root", 2120);
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, &root_key);
    let issuing_params = authority("Issuing", 2120);
    let issuing = issuing_params.signed_by(&issuing_key, &root_issuer).unwrap();
    let issuer = Issuer::new(issuing_params, &issuing_key);
    let issued = |params: &CertificateParams| params.signed_by(&key, &issuer).unwrap().pem();
    let chained = |params: &CertificateParams| format!("{}{}", issued(params), issuing.pem());
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = leaf("clinic-17", &["clinic-17.example"]);
        change(&mut params);
        params
    };
    let own = with(|_| {});
    let mut made = BTreeMap::from([
        ("clinic-17.pem", chained(&own)),
        ("renewed.pem", chained(&with(|p| p.not_after = date_time_ymd(2110, 1, 1)))),
        ("leaf-only.pem", issued(&own)),
        ("reversed.pem", format!("{}{}", issuing.pem(), issued(&own))),
        ("intermediate.pem", issuing.pem()),
        ("expired.pem", chained(&with(|p| p.not_after = date_time_ymd(2026, 5, 1)))),
        ("soon.pem", chained(&with(|p| p.not_after = date_time_ymd(2026, 7, 1)))),
        ("early.pem", chained(&with(|p| p.not_before = date_time_ymd(2026, 7, 1)))),
        ("code.pem", chained(&with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]))),
        ("cipher.pem", chained(&with(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]))),
        ("nameless.pem", chained(&leaf("clinic-17", &[]))),
        (
            "nobody.pem",
            chained(&with(|p| {
                p.distinguished_name = DistinguishedName::new();
                p.subject_alt_names = Vec::new();
            })),
        ),
        ("診療所17.pem", {
            let mut params = leaf("診療所17", &["shinryosho-17.example"]);
            params.distinguished_name.push(DnType::OrganizationName, "東京病院");
            chained(&params)
        }),
        ("self.pem", own.self_signed(&key).unwrap().pem()),
        (
            "self-ca.pem",
            with(|p| {
                p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                p.key_usages = Vec::new();
            })
            .self_signed(&key)
            .unwrap()
            .pem(),
        ),
        ("root.pem", root.pem()),
        ("old-root.pem", {
            let mut params = authority("Old Root", 2120);
            params.not_after = date_time_ymd(2026, 1, 1);
            params.self_signed(&root_key).unwrap().pem()
        }),
        ("hub.pem", {
            let params = leaf("hub", &["hub.example"]);
            params.signed_by(&new_key(), &root_issuer).unwrap().pem()
        }),
        ("root.crl", crl(&root_issuer, 2100)),
        ("stale.crl", crl(&root_issuer, 2026)),
    ])
    .into_iter()
    .map(|(name, text)| (name, text.into_bytes()))
    .collect::<BTreeMap<_, _>>();
    let clinic_key = pem("PRIVATE KEY", &key.serialize_der());
    made.insert("clinic-17.key", clinic_key.clone().into_bytes());
    made.insert("診療所17.key", clinic_key.clone().into_bytes());
    made.insert("combined.pem", [issued(&own), clinic_key].concat().into_bytes());
    made.insert("other.key", pem("PRIVATE KEY", &new_key().serialize_der()).into_bytes());
    made.insert("hub.pub", pem("PUBLIC KEY", &key.subject_public_key_info()).into_bytes());
    made.insert("passphrase", b"correct horse\n".to_vec());
    made.insert("wrong-passphrase", b"incorrect horse\n".to_vec());
    made.insert("empty-passphrase", b"\n".to_vec());
    made.insert("two-lines", b"correct\nhorse\n".to_vec());
    made.insert("empty.pem", Vec::new());
    made.insert("text.pem", b"the certificate comes by mail\n".to_vec());
    made.insert("cut.pem", made["clinic-17.pem"][..200].to_vec());
    made.insert("damaged.pem", damaged(&made["clinic-17.pem"]));
    made
}

trait Pem {
    fn pem(&self) -> String;
}

impl Pem for rcgen::Certificate {
    fn pem(&self) -> String {
        pem("CERTIFICATE", self.der())
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
}

fn new_key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, "JP");
    subject.push(DnType::OrganizationName, "Centre");
    subject.push(DnType::CommonName, name);
    subject
}

fn params(name: &str, san: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(san.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = named(name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params
}

fn authority(name: &str, until: i32) -> CertificateParams {
    let mut params = params(name, &[]);
    params.not_after = date_time_ymd(until, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(name: &str, san: &[&str]) -> CertificateParams {
    let mut params = params(name, san);
    params.not_after = date_time_ymd(2100, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// A list that is good until May of a year.
fn crl(issuer: &Issuer<'_, &KeyPair>, until: i32) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 5, 1),
        next_update: date_time_ymd(until, 5, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    pem("X509 CRL", params.signed_by(issuer).unwrap().der())
}

/// With another letter in the middle of the base64 that is none.
fn damaged(pem: &[u8]) -> Vec<u8> {
    let mut damaged = pem.to_vec();
    damaged[100] = b'*';
    damaged
}
