use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use sekisho_ike::config::{Connection, LocalAuth, Remote, RemoteAuth};

use super::*;

mod certificates;
mod data_path;
mod pools;
mod starts;

pub(super) fn judged(text: &str) -> Result<Config, ConfigError> {
    let source = Path::new("/etc/sekisho/sekisho.toml");
    parse(text, source, &Store::new(source, &fixtures::file, fixtures::NOW))
}

/// Everything that is told about a text: errors or the fact that there is none, then warnings.
fn told(text: &str) -> String {
    let (errors, warnings) = match judged(text) {
        Ok(config) => ("accepted".to_owned(), config.warnings),
        Err(error) => (error.to_string(), error.warnings),
    };
    let show = |p: &Problem| format!("\n{}", p.show("warning", Path::new("/etc/sekisho/sekisho.toml")));
    format!("{errors}\n{}", warnings.iter().map(show).collect::<String>())
}

/// Each `tests/mistakes/NAME.toml` is answered with exactly `NAME.txt`. `SEKISHO_BLESS=1` writes the answers anew, to
/// be read before they are committed.
#[test]
fn mistakes_are_answered_in_these_words() {
    let mut seen = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistakes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        seen += 1;
        let told = told(&fs::read_to_string(&path).unwrap());
        let answer = path.with_extension("txt");
        if std::env::var_os("SEKISHO_BLESS").is_some() {
            fs::write(&answer, &told).unwrap();
        }
        let expected = fs::read_to_string(&answer).unwrap_or_default();
        assert_eq!(told, expected, "{}", path.display());
        assert!(!told.contains("horse") && !told.contains("w5BjY8ZH"), "{} tells a secret", path.display());
    }
    assert!(seen >= 15, "only {seen} mistakes were found");
}

/// Writes a configuration and the files that it names into a directory.
fn written(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8], mode| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("sekisho.toml", text.as_bytes(), 0o644);
    let mut index = 0;
    for line in text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
        let names = line.split('"').skip(1).step_by(2).take_while(|_| !line.starts_with("remote"));
        for name in names.filter(|name| !name.contains('/')) {
            match name.rsplit_once('.') {
                Some((_, "psk")) => {
                    write(name, format!("{index} correct horse battery staple\n").as_bytes(), 0o600);
                    index += 1;
                }
                Some((_, "pem")) => write(name, &fixtures::example(name), 0o644),
                Some((_, "key" | "p12" | "passphrase")) => write(name, &fixtures::example(name), 0o600),
                _ => {}
            }
        }
    }
    directory
}

fn loaded(directory: &tempfile::TempDir) -> Result<Config, ConfigError> {
    load(&directory.path().join("sekisho.toml"))
}

fn example(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    let config = loaded(&written(&fs::read_to_string(path).unwrap())).unwrap();
    assert_eq!(config.warnings, [], "{name}");
    config
}

#[test]
fn every_example_is_good_and_means_what_it_says() {
    let minimal = example("minimal.toml");
    assert_eq!(minimal.daemon, Daemon::default());
    let [centre] = minimal.connections.as_slice() else { panic!("one tunnel") };
    assert!(centre.initiate);
    assert_eq!(centre.remote, Remote::Hosts(vec!["203.0.113.1".to_owned()]));
    let psk = || sekisho_ike::Secret::new(b"0 correct horse battery staple".to_vec());
    assert_eq!(centre.local_auth, LocalAuth::Psk(psk()));
    assert_eq!(centre.remote_auth, RemoteAuth::Psk(psk()));

    let facility = example("facility.toml");
    assert_eq!(facility.daemon, Daemon::default());
    assert_eq!(facility.connections.len(), 1);

    let hub = example("datacentre.toml");
    assert_eq!(hub.daemon.replay_window, 4096);
    assert_eq!((hub.daemon.cookie_threshold, hub.daemon.half_open_max), (128, 4096));
    assert!(hub.connections.iter().all(|c| !c.initiate && c.remote == Remote::Any));
    let names: Vec<&str> = hub.connections.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["clinic-17", "clinic-18", "pharmacy-3"]);
    let children = |c: &Connection| c.children.iter().map(|c| c.lifetime.time.as_secs()).collect::<Vec<_>>();
    assert_eq!(hub.connections.last().map(|c| children(c)), Some(vec![3600, 1800]));

    let ngn = example("ngn-ipv6.toml");
    assert!(
        ngn.connections.iter().all(|c| c.keepalive.forced && c.keepalive.interval == Duration::from_secs(30))
    );

    let certified = example("certificates.toml");
    let ids = certified.connections.iter().map(|c| (c.local_id.to_string(), c.remote_id.to_string()));
    let own = || "clinic-17.example".to_owned();
    assert_eq!(
        ids.collect::<Vec<_>>(),
        [(own(), "hub.example".to_owned()), (own(), "laboratory.example".to_owned())]
    );

    let clinics = example("clinics.toml");
    let [clinics, images] = clinics.connections.as_slice() else { panic!("two tunnels") };
    assert_eq!((clinics.remote_id.to_string(), clinics.initiate), ("*.clinic.example".to_owned(), false));
    let starts: Vec<_> = images.children.iter().map(|child| start_word(images, child)).collect();
    assert_eq!(starts, ["always", "on-demand", "listen"]);

    let examples = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let examples: BTreeSet<String> =
        examples.filter(|name| Path::new(name).extension().is_some_and(|e| e == "toml")).collect();
    let known = [
        "certificates.toml",
        "clinics.toml",
        "datacentre.toml",
        "facility.toml",
        "minimal.toml",
        "mobile-hub.toml",
        "mobile.toml",
        "ngn-ipv6.toml",
    ];
    assert_eq!(examples, known.map(str::to_owned).into(), "an example without a test");
}

/// The comments of facility.toml claim to show the defaults.
#[test]
fn the_commented_defaults_are_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/facility.toml");
    let text = fs::read_to_string(path).unwrap();
    let setting = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        let (key, value) = rest.split_once(" = ").or_else(|| rest.split_once("= "))?;
        let key = key.trim();
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_key.then(|| format!("{key} = {value}"))
    };
    let mut shown = 0;
    let active: Vec<String> = text
        .lines()
        .map(|line| setting(line).inspect(|_| shown += 1).unwrap_or_else(|| line.to_owned()))
        .collect();
    assert_eq!(shown, 21 + 20, "every setting with a default");
    let config = loaded(&written(&active.join("\n"))).unwrap();
    let plain = example("facility.toml");
    assert_eq!(config.daemon, Daemon { mtu: Some(1400), ..plain.daemon.clone() });
    let (mut set, unset) = ((*config.connections[0]).clone(), &plain.connections[0]);
    set.children[0].lifetime = unset.children[0].lifetime;
    assert_eq!(set, **unset);
}

const TUNNEL: &str = "[tunnel.t]
local_id = \"a.example\"
remote_id = \"b.example\"
psk_file = \"t.psk\"
local_networks = [\"10.17.0.0/24\"]
remote_networks = [\"10.0.0.0/16\"]
";

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let directory = written(TUNNEL);
    let key = directory.path().join("t.psk");
    loaded(&directory).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o610] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let error = loaded(&directory).unwrap_err();
        let expected = format!("the key file {} is open to others (mode {mode:04o})", key.display());
        assert_eq!(error.errors[0].message, expected);
        assert_eq!(error.errors[0].place.line, 4);
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    loaded(&directory).unwrap();
}

#[test]
fn a_key_file_of_another_user_is_refused() {
    let directory = written(TUNNEL);
    let key = directory.path().join("t.psk");
    if !nix::unistd::geteuid().is_root() {
        // Only root can give files away; what others see is the same check.
        assert!(std::os::unix::fs::chown(&key, Some(12345), None).is_err());
        return;
    }
    std::os::unix::fs::chown(&key, Some(12345), None).unwrap();
    let error = loaded(&directory).unwrap_err();
    assert!(error.errors[0].message.ends_with("belongs to user 12345"), "{error}");
}

#[test]
fn a_key_file_is_a_regular_file_of_reasonable_size() {
    let directory = written(TUNNEL);
    let key = directory.path().join("t.psk");
    let message = |directory: &tempfile::TempDir| loaded(directory).unwrap_err().errors.remove(0).message;
    fs::write(&key, vec![b'k'; 4097]).unwrap();
    assert!(message(&directory).ends_with("has 4097 bytes"));
    fs::remove_file(&key).unwrap();
    assert!(message(&directory).ends_with("does not exist"));
    nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(message(&directory).ends_with("is no regular file"), "and a FIFO does not hang us");
    fs::remove_file(&key).unwrap();
    symlink("/dev/zero", &key).unwrap();
    assert!(message(&directory).ends_with("is no regular file"));
}

#[test]
fn what_is_no_configuration_is_refused_as_a_file() {
    let directory = written(TUNNEL);
    let path = directory.path().join("sekisho.toml");
    fs::write(&path, b"[daemon]\nlog = \"\xff\"\n").unwrap();
    assert_eq!(loaded(&directory).unwrap_err().errors[0].message, "line 2 is no UTF-8 text");
    fs::remove_file(&path).unwrap();
    assert!(loaded(&directory).unwrap_err().to_string().contains("cannot be read: No such file"));
    assert!(load(directory.path()).unwrap_err().to_string().contains("no regular file"));
}

#[test]
fn a_configuration_that_others_may_change_is_warned_of() {
    let directory = written(TUNNEL);
    fs::set_permissions(directory.path().join("sekisho.toml"), fs::Permissions::from_mode(0o664)).unwrap();
    let warnings = loaded(&directory).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].message, "the configuration may be changed by others (mode 0664)");
}

#[test]
fn a_weak_key_is_named_only_where_it_is_allowed() {
    let directory = written(TUNNEL);
    fs::write(directory.path().join("t.psk"), "hospital").unwrap();
    assert!(loaded(&directory).is_err());
    let allowed = format!("{TUNNEL}allow_weak_psk = true\n");
    fs::write(directory.path().join("sekisho.toml"), &allowed).unwrap();
    let config = loaded(&directory).unwrap();
    assert_eq!(config.weak_psk, BTreeSet::from([Name::from("t")]));
    fs::write(directory.path().join("t.psk"), "0123456789abcdef").unwrap();
    assert!(
        loaded(&directory).unwrap().weak_psk.is_empty(),
        "a good key is not weak for being allowed to be"
    );
}

#[test]
fn a_configuration_equals_itself_and_a_new_key_makes_another() {
    let directory = written(TUNNEL);
    let first = loaded(&directory).unwrap();
    assert_eq!(first, loaded(&directory).unwrap());
    fs::write(directory.path().join("t.psk"), "0sw5BjY8ZHJtE4pIQ3mxO0Aq5Yb8X3Jt8QqJvZ5l7m0aU=").unwrap();
    assert_ne!(first.connections, loaded(&directory).unwrap().connections);
    assert!(!format!("{first:?}").contains("horse"), "a key was printed");
}

#[test]
fn a_hub_of_thousands_is_judged_quickly_and_many_errors_stay_readable() {
    let tunnel = |n: usize| {
        format!(
            "[tunnel.f{n}]\nlocal_id = \"hub\"\nremote_id = \"f{n}\"\npsk_file = \"f{n}.psk\"\nlocal_networks = [\"10.0.0.0/16\"]\nremote_networks = [\"10.{}.{}.0/24\"]\n",
            n / 256 + 1,
            n % 256
        )
    };
    let text: String = (0..3000).map(tunnel).collect();
    assert_eq!(judged(&text).unwrap().connections.len(), 3000);
    let error = judged(&text.replace("local_id", "local_identity")).unwrap_err();
    assert_eq!(error.count(), 6000);
    assert_eq!(error.errors.len(), 50);
    assert!(error.to_string().ends_with("6000 errors, the first 50 shown"));
}

/// What is told to be written in the place of a bare number, where that as seconds would be too short or too long, is taken.
#[test]
fn the_example_for_a_bare_number_is_allowed_itself() {
    for key in ["ike_lifetime", "child_lifetime", "liveness", "keepalive", "retry_first", "retransmit_first"]
    {
        for number in [0, 3, 600, 999_999_999, i64::MAX] {
            let refused = judged(&format!("{TUNNEL}{key} = {number}\n")).unwrap_err();
            let has_no_unit = format!("`{key}` has no unit");
            let told = refused.errors.iter().find(|error| error.message == has_no_unit).unwrap();
            let (_, example) = told.help.split_once("write ").unwrap();
            let (example, _) = example.split_once(';').unwrap();
            judged(&format!("{TUNNEL}{example}\n"))
                .unwrap_or_else(|error| panic!("{number}, {example}: {error}"));
        }
    }
}
