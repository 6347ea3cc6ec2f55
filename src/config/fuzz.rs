//! The body of the fuzz target `config_file`; an ordinary test runs it over the corpus and mutations of it.

use std::path::Path;

use zeroize::Zeroizing;

use super::files::{FileError, Kind};
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
