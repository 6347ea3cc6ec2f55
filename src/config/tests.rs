#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use sekisho_ike::config::{Auth, Connection, Remote};
use zeroize::Zeroizing;

use super::psk::KeyFileError;
use super::*;

/// Key files as the mistakes expect them.
fn key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let bytes: &[u8] = match path.file_name().and_then(|name| name.to_str()) {
        Some("short.psk") => b"hospital\n",
        Some("dull.psk") => b"aaaaaaaabbbbbbbbccccccccdddddddd",
        Some("damaged.psk") => b"0xdeadbeefx",
        Some("missing.psk") => return psk::from_disk(Path::new("/nowhere/missing.psk")),
        _ => b"0sw5BjY8ZHJtE4pIQ3mxO0Aq5Yb8X3Jt8QqJvZ5l7m0aU=\n",
    };
    Ok(Zeroizing::new(bytes.to_vec()))
}

fn judged(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("/etc/sekisho/sekisho.toml"), &key_file)
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
