//! Certificates and keys in every form, from the file to the connection.

use sekisho_ike::identity::Identity;
use sekisho_ike::pki::{KeyKind, Pin, RevocationPolicy, SigningKey};
use zeroize::Zeroizing;

use super::super::files::Kind;
use super::super::material::{self, Passphrase};
use super::super::{fixtures, pkcs12};
use super::*;

fn fixture(name: &str) -> Vec<u8> {
    fixtures::file(Path::new(name), Kind::Certificate).unwrap().to_vec()
}

fn passphrase() -> Passphrase {
    Zeroizing::new("correct horse".to_owned())
}

fn key(name: &str) -> SigningKey {
    material::private_key(Path::new(name), &fixture(name), Some(&passphrase())).unwrap().0
}

/// OpenSSL wrote all of these; see `tests/certificates/make`.
#[test]
fn a_private_key_is_the_same_in_every_form() {
    let certificate = &material::certificates(Path::new("p256.pem"), &fixture("p256.pem")).unwrap()[0];
    for (name, encrypted) in [
        ("p256.key", false),
        ("p256.der", false),
        ("p256-sec1.key", false),
        ("p256-sec1.der", false),
        ("p256-parameters.key", false),
        ("p256-aes256.key", true),
        ("p256-aes256.der", true),
        ("p256-des3.key", true),
        ("p256-scrypt.key", true),
    ] {
        let read = material::private_key(Path::new(name), &fixture(name), Some(&passphrase()));
        let (key, was_encrypted) = read.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(key.matches(certificate), "{name}");
        assert_eq!(was_encrypted, encrypted, "{name}");
    }
    assert_eq!(key("rsa2048.key"), key("rsa2048-pkcs1.key"));
    let kinds = ["rsa2048.key", "p384.key", "ed25519.key"].map(|name| key(name).public_key().kind());
    assert_eq!(kinds, [KeyKind::Rsa(2048), KeyKind::P384, KeyKind::Ed25519]);
}

#[test]
fn a_certificate_and_a_public_key_are_the_same_as_pem_and_as_der() {
    let certificates = |name| material::certificates(Path::new(name), &fixture(name)).unwrap();
    assert_eq!(certificates("p256.pem"), certificates("p256-certificate.der"));
    let public = |name| material::public_key(Path::new(name), &fixture(name)).unwrap();
    assert_eq!(public("p256.pub"), public("p256-pub.der"));
    assert_eq!(&public("p256.pub"), key("p256.key").public_key());
}

#[test]
fn pkcs12_is_read_as_openssl_3_writes_it_and_as_old_windows_did() {
    let certificates = |name| material::certificates(Path::new(name), &fixture(name)).unwrap();
    let chain = [certificates("p256.pem"), certificates("ca.pem")].concat();
    for name in ["p256.p12", "p256-legacy.p12", "p256-nomac.p12"] {
        let (read, its_chain) = pkcs12::read(Path::new(name), &fixture(name), &passphrase()).unwrap();
        assert_eq!(read, key("p256.key"), "{name}");
        let certificates = if name == "p256-nomac.p12" { &chain[..1] } else { &chain[..] };
        assert_eq!(its_chain, certificates, "{name}");
    }
}

/// Truncated and changed files are refused or read, and never end the program.
#[test]
fn damaged_files_are_survived() {
    let path = Path::new("x");
    for name in
        ["p256.p12", "p256-aes256.der", "p256-sec1.der", "p256-certificate.der", "p256-pub.der", "p256.key"]
    {
        let whole = fixture(name);
        for at in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            for bytes in [&whole[..at], &changed] {
                let _ = material::certificates(path, bytes);
                let _ = material::public_key(path, bytes);
                let _ = material::crls(path, bytes);
                if name != "p256-aes256.der" || at % 35 == 0 {
                    let _ = material::private_key(path, bytes, Some(&passphrase()));
                    let _ = pkcs12::read(path, bytes, &passphrase());
                }
            }
        }
    }
}

/// How the tunnels of a text prove themselves.
fn auths(text: &str) -> Vec<(Identity, LocalAuth, RemoteAuth)> {
    let config = judged(text).unwrap();
    assert_eq!(config.warnings, []);
    let auth = |c: &Arc<Connection>| (c.local_id.clone(), c.local_auth.clone(), c.remote_auth.clone());
    config.connections.iter().map(auth).collect()
}

fn tunnel(name: &str, network: u8, settings: &str) -> String {
    format!(
        "[tunnel.{name}]\nremote_id = \"{name}.example\"\nlocal_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.{network}.0.0/16\"]\n{settings}\n"
    )
}

const CERTIFICATE: &str = "certificate = \"clinic-17.pem\"\nprivate_key = \"clinic-17.key\"\n";
const AUTHORITIES: &str = "authorities = [\"root.pem\"]\n";

#[test]
fn certificates_make_a_credential_and_trust_and_say_who_we_are() {
    let settings = format!("{CERTIFICATE}{AUTHORITIES}revocation = \"strict\"\ncrl_files = \"root.crl\"\n");
    let read = auths(&tunnel("hub", 0, &settings));
    let [(id, LocalAuth::Signature(credential), RemoteAuth::Signature(trust))] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(id.to_string(), "clinic-17.example");
    assert_eq!(credential.chain.len(), 2);
    assert_eq!((trust.anchors.len(), trust.pinned.len(), trust.crls.len()), (1, 0, 1));
    assert_eq!(trust.revocation, RevocationPolicy::Strict);
}

#[test]
fn who_we_are_is_the_first_host_name_or_the_subject_or_what_is_written() {
    let id = |settings: &str| auths(&tunnel("hub", 0, settings)).remove(0).0.to_string();
    let named = |certificate: &str, key: &str| {
        id(&format!("certificate = \"{certificate}\"\nprivate_key = \"{key}\"\n{AUTHORITIES}"))
    };
    assert_eq!(named("nameless.pem", "clinic-17.key"), "C=JP, O=Centre, CN=clinic-17");
    assert_eq!(named("診療所17.pem", "診療所17.key"), "shinryosho-17.example");
    assert_eq!(named("combined.pem", "combined.pem"), "clinic-17.example");
    let written = "local_id = \"c=jp, o=centre, cn=Clinic-17\"\n";
    let id = id(&format!("{written}{CERTIFICATE}{AUTHORITIES}"));
    assert!(id.eq_ignore_ascii_case("C=JP, O=Centre, CN=clinic-17"), "{id}");
}

#[test]
fn peers_are_pinned_by_certificate_and_by_key_and_we_may_have_a_raw_key() {
    let settings = "local_id = \"clinic-17.example\"\nprivate_key = \"clinic-17.key\"\npeer_certificates = \"hub.pem\"\npeer_keys = [\"hub.pub\"]\n";
    let read = auths(&tunnel("hub", 0, settings));
    let [(_, LocalAuth::Signature(credential), RemoteAuth::Signature(trust))] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert!(credential.chain.is_empty());
    assert!(matches!(trust.pinned.as_slice(), [Pin::Certificate(_), Pin::Key(_)]));
    assert_eq!(trust.revocation, RevocationPolicy::Soft);
}

#[test]
fn each_end_may_have_a_way_of_its_own() {
    let ours = format!("{CERTIFICATE}psk_file = \"a.psk\"\nremote_auth = \"psk\"\n");
    let theirs = format!(
        "local_id = \"clinic-17.example\"\n{AUTHORITIES}psk_file = \"a.psk\"\nlocal_auth = \"psk\"\n"
    );
    let read = auths(&tunnel("ours", 0, &ours));
    assert!(matches!(read.as_slice(), [(_, LocalAuth::Signature(_), RemoteAuth::Psk(_))]), "{read:?}");
    let read = auths(&tunnel("theirs", 0, &theirs));
    assert!(matches!(read.as_slice(), [(_, LocalAuth::Psk(_), RemoteAuth::Signature(_))]), "{read:?}");
}

#[test]
fn a_pkcs12_file_stands_for_certificate_and_key() {
    for name in ["p256.p12", "p256-legacy.p12"] {
        let settings =
            format!("pkcs12 = \"{name}\"\npassphrase_file = \"passphrase\"\nauthorities = [\"ca.pem\"]\n");
        let read = auths(&tunnel("hub", 0, &settings));
        let [(id, LocalAuth::Signature(credential), _)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(id.to_string(), "clinic-17.example");
        assert_eq!(credential.chain.len(), 2);
    }
}

#[test]
fn a_hub_reads_each_file_once_and_its_tunnels_share_what_they_hold() {
    let reads = std::cell::RefCell::new(Vec::new());
    let reader = |path: &Path, kind: Kind| {
        reads.borrow_mut().push(path.to_owned());
        fixtures::file(path, kind)
    };
    let source = Path::new("/etc/sekisho/sekisho.toml");
    let settings = format!("{CERTIFICATE}{AUTHORITIES}crl_files = \"root.crl\"\n");
    let text: String = (0..200).map(|n| tunnel(&format!("f{n}"), n, &settings)).collect();
    let config = parse(&text, source, &Store::new(source, &reader, fixtures::NOW)).unwrap();
    assert_eq!(config.connections.len(), 200);
    assert_eq!(reads.borrow().len(), 4, "{:?}", reads.borrow());
    let [first, .., last] = config.connections.as_slice() else { panic!() };
    let (LocalAuth::Signature(a), LocalAuth::Signature(b)) = (&first.local_auth, &last.local_auth) else {
        panic!()
    };
    assert!(Arc::ptr_eq(a, b));
    let (RemoteAuth::Signature(a), RemoteAuth::Signature(b)) = (&first.remote_auth, &last.remote_auth) else {
        panic!()
    };
    assert!(Arc::ptr_eq(a, b));
}

/// Writes a tunnel with its files into a directory; the names of `secret` are mode 0600.
fn on_disk(settings: &str, files: &[&str], secret: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sekisho.toml"), tunnel("hub", 0, settings)).unwrap();
    for name in files.iter().chain(secret) {
        let path = directory.path().join(name);
        fs::write(&path, fixture(name)).unwrap();
        let mode = if secret.contains(name) { 0o600 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

#[test]
fn private_keys_and_passphrases_are_guarded_and_certificates_are_not() {
    let key = "certificate = \"p256.pem\"\nprivate_key = \"p256-aes256.key\"\npassphrase_file = \"passphrase\"\nauthorities = [\"ca.pem\"]\n";
    let bundle = "pkcs12 = \"p256.p12\"\npassphrase_file = \"passphrase\"\nauthorities = [\"ca.pem\"]\n";
    for (settings, files, secret) in [
        (key, vec!["p256.pem", "ca.pem"], vec!["p256-aes256.key", "passphrase"]),
        (bundle, vec!["ca.pem"], vec!["p256.p12", "passphrase"]),
    ] {
        let directory = on_disk(settings, &files, &secret);
        loaded(&directory).unwrap();
        for name in &secret {
            let path = directory.path().join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = loaded(&directory).unwrap_err();
            assert!(error.errors[0].message.ends_with("is open to others (mode 0640)"), "{error}");
            assert!(error.errors[0].help.starts_with("`chmod 600 "), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if nix::unistd::geteuid().is_root() {
                std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
                let error = loaded(&directory).unwrap_err();
                assert!(error.errors[0].message.ends_with("belongs to user 12345"), "{error}");
                std::os::unix::fs::chown(&path, Some(0), None).unwrap();
            }
        }
        let open = directory.path().join(files[0]);
        fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
        let error = loaded(&directory).unwrap_err();
        assert!(error.errors[0].message.ends_with("may be changed by everyone (mode 0666)"), "{error}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o664)).unwrap();
        loaded(&directory).unwrap();
        let large = directory.path().join(files[0]);
        fs::write(&large, vec![b'x'; (1 << 20) + 1]).unwrap();
        let error = loaded(&directory).unwrap_err();
        assert!(error.errors[0].message.ends_with("has 1048577 bytes"), "{error}");
    }
}

#[test]
fn a_renewed_certificate_changes_the_credential_and_nothing_else() {
    let settings =
        "certificate = \"clinic-17.pem\"\nprivate_key = \"clinic-17.key\"\nauthorities = [\"root.pem\"]\n";
    let directory = on_disk(settings, &["clinic-17.pem", "root.pem"], &["clinic-17.key"]);
    let first = loaded(&directory).unwrap();
    assert_eq!(first, loaded(&directory).unwrap());
    fs::write(directory.path().join("clinic-17.pem"), fixture("renewed.pem")).unwrap();
    let second = loaded(&directory).unwrap();
    let (before, after) = (&first.connections[0], &second.connections[0]);
    assert_ne!(before.local_auth, after.local_auth);
    assert_eq!(Connection { local_auth: after.local_auth.clone(), ..(**before).clone() }, **after);
}

#[test]
fn nothing_of_a_private_key_is_printed() {
    let settings = "certificate = \"p256.pem\"\nprivate_key = \"p256.key\"\nauthorities = [\"ca.pem\"]\n";
    let config = loaded(&on_disk(settings, &["p256.pem", "ca.pem"], &["p256.key"])).unwrap();
    let printed = format!("{config:?}");
    let key = fixture("p256.der");
    let scalar: Vec<String> = key[36..68].iter().map(ToString::to_string).collect();
    assert!(!printed.contains(&scalar[..4].join(", ")) && printed.len() < 4000, "{printed}");
}

#[test]
fn a_start_forgives_an_expired_certificate_and_a_check_does_not() {
    let settings =
        "certificate = \"expired.pem\"\nprivate_key = \"clinic-17.key\"\nauthorities = [\"root.pem\"]\n";
    let text = tunnel("hub", 0, settings);
    let source = Path::new("/etc/sekisho/sekisho.toml");
    let mut store = Store::new(source, &fixtures::file, fixtures::NOW);
    assert_eq!(parse(&text, source, &store).unwrap_err().count(), 1);
    store.forgives_dates = true;
    let config = parse(&text, source, &store).unwrap();
    assert!(config.warnings[0].message.contains("expired on 2026-05-01"), "{:?}", config.warnings);
}
