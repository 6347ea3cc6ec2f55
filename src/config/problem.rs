//! What is wrong with a configuration, shown at its line.

use std::fmt;
use std::path::PathBuf;

/// An error or a warning: what, where, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in a line.
    pub message: String,
    /// The line, from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is allowed or what to do.
    pub help: Option<String>,
}

/// A configuration that was refused: every error found in it, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub source: PathBuf,
    /// What must be mended.
    pub errors: Vec<Problem>,
    /// What deserves a second look besides.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} errors", self.source.display(), self.errors.len())
    }
}

impl std::error::Error for ConfigError {}
