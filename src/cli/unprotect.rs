//! `sekisho unprotect`: take the blackhole routes away that outlive the daemon.

use super::Daemon;
use super::output::{Done, Failed, Output};
use crate::api::{Client, ClientError};

pub(super) const EXAMPLES: &str =
    "Examples:\n  systemctl disable --now sekishod && sekisho unprotect\n\nRefused while a daemon answers.";

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    match Client::connect(&daemon.0) {
        Err(ClientError::NotRunning(_)) => {}
        Ok(_) | Err(ClientError::Forbidden(_)) => {
            let why = format!("a daemon runs (its socket is {}): stop it first", daemon.0.display());
            return Err(Failed::because(why));
        }
        Err(error) => return Err(error.into()),
    }
    let _ = output;
    Err(Failed::because("not built yet"))
}
