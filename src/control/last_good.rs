//! What the last good configuration protected, kept on disk: a file that is refused at the next boot must not leave
//! open what was closed before.
//!
//! It is kept where systemd says (`StateDirectory=`, which sets the environment variable `STATE_DIRECTORY`), and
//! nowhere if nobody says.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Daemon};
use crate::net::netlink::{Policy, Settings};

use super::policy;

const FILE: &str = "protected.json";
const NOWHERE: &str = "what is protected is kept nowhere, since the environment has no STATE_DIRECTORY: if the configuration is broken at the next boot, nothing will be blocked; start sekishod by its units, or set STATE_DIRECTORY=/var/lib/sekisho (`state_dir` is another: the lock of this run)";

/// What is to be protected, and with which routes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    route_table: u32,
    rule_priority: u32,
    mark: u32,
    /// Where the lock of the daemon is, which must not run meanwhile.
    pub state_dir: PathBuf,
    /// The interface from which alone packets may come in the name of what is protected.
    #[serde(default)]
    pub guarded: Option<String>,
    /// The remote prefixes, each with the local networks that may talk to it.
    pub policy: Policy,
}

impl LastGood {
    fn of(config: &Config) -> Self {
        let Daemon { route_table, rule_priority, mark, ref state_dir, ref interface, .. } = config.daemon;
        let guarded = config.daemon.refuse_clear_text.then(|| interface.clone());
        let policy = policy(config);
        Self { route_table, rule_priority, mark, state_dir: state_dir.clone(), guarded, policy }
    }

    /// The table, rule and mark.
    pub fn settings(&self) -> Settings {
        Settings { table: self.route_table, priority: self.rule_priority, mark: self.mark }
    }

    /// What the last good configuration protected; `None` if none was kept.
    ///
    /// # Errors
    /// If what was kept cannot be read: nobody knows then what is to be blocked.
    pub fn recall() -> io::Result<Option<Self>> {
        directory().map_or(Ok(None), |directory| read(&directory))
    }
}

fn read(directory: &Path) -> io::Result<Option<LastGood>> {
    match fs::read(directory.join(FILE)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps what this configuration protects. A failure is told and changes nothing.
pub fn keep(config: &Config) {
    let Some(directory) = directory() else {
        tracing::warn!("{NOWHERE}");
        return;
    };
    if let Err(error) = write(&directory, &LastGood::of(config)) {
        let path = directory.join(FILE);
        tracing::warn!("cannot keep what is protected in {}: {error}", path.display());
    }
}

/// Whole or not at all: a power cut leaves the old file.
fn write(directory: &Path, last_good: &LastGood) -> io::Result<()> {
    let (new, kept) = (directory.join(format!("{FILE}.new")), directory.join(FILE));
    fs::write(&new, serde_json::to_vec(last_good)?)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &kept)
}

/// The first of the directories that systemd names.
pub(super) fn directory() -> Option<PathBuf> {
    let named = env::var_os("STATE_DIRECTORY")?;
    env::split_paths(&named).next().filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_recalled_and_what_is_damaged_is_no_absence() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), None);
        let policy = Policy::default();
        let kept = LastGood {
            route_table: 7,
            rule_priority: 8,
            mark: 9,
            state_dir: "/run/sekisho".into(),
            guarded: Some("sekisho0".to_owned()),
            policy,
        };
        write(directory.path(), &kept).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Some(kept));
        let file = directory.path().join(FILE);
        for damaged in ["", "{\"route_table\": 7"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(read(directory.path()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{damaged}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(read(directory.path()).is_err());
    }
}
