//! The bodies of the fuzz targets `config_file` and `key_file`; an ordinary test runs them over their corpora and
//! mutations of them.

use std::path::Path;

use zeroize::Zeroizing;

use super::files::{FileError, Kind};
use super::material;
use super::store::Store;

/// Judges any bytes as a configuration. Key files exist and are good if their name has an even length.
///
/// # Panics
/// If a refusal names no error, or a place lies outside the text.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let reader = |path: &Path, _: Kind| {
        if path.as_os_str().len().is_multiple_of(2) {
            Ok(Zeroizing::new(b"0123456789abcdef".to_vec()))
        } else {
            Err(FileError::new("missing", "none"))
        }
    };
    let source = Path::new("/etc/f.toml");
    let problems = match super::parse(text, source, &Store::new(source, &reader, 1_800_000_000)) {
        Ok(config) => {
            assert!(config.connections.iter().all(|c| !c.children.is_empty() && !c.proposals.is_empty()));
            config.warnings
        }
        Err(error) => {
            assert!(!error.errors.is_empty(), "refused without a reason");
            assert!(!error.to_string().is_empty());
            [error.errors, error.warnings].concat()
        }
    };
    let lines = text.matches('\n').count() + 1;
    for problem in problems {
        assert!(problem.place.line <= lines, "line {} of {lines}", problem.place.line);
        assert!(problem.place.snippet.chars().count() <= 512, "a long snippet");
        assert!(!problem.help.is_empty(), "no help: {problem}");
    }
}

/// Reads any bytes as each of the files that a configuration may name. What is encrypted is not decrypted: the time that
/// takes is whoever wrote the file's choice, within limits.
///
/// # Panics
/// If a refusal has no words, or if something is read that has nothing in it.
pub fn key_file(data: &[u8]) {
    let path = Path::new("/etc/file");
    let told = |error: FileError| assert!(!error.message.is_empty() && !error.help.is_empty());
    match material::certificates(path, data) {
        Ok(certificates) => assert!(!certificates.is_empty()),
        Err(error) => told(error),
    }
    match material::crls(path, data) {
        Ok(crls) => assert!(!crls.is_empty()),
        Err(error) => told(error),
    }
    if let Err(error) = material::public_key(path, data) {
        told(error);
    }
    match material::private_key(path, data, None) {
        Ok((key, encrypted)) => assert!(!encrypted, "{key:?}"),
        Err(error) => told(error),
    }
}
