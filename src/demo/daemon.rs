//! A daemon beside a node, in its namespaces: this executable once more.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon;

/// The hidden subcommand that makes a process a daemon which dies with its parent: `sekisho demo-daemon PARENT CONFIG`.
pub(super) const SUBCOMMAND: &str = "demo-daemon";

/// Enough for a DELETE and its answer, or a whole wait for an answer that does not come.
const STOP: Duration = Duration::from_secs(5);

/// A running daemon. Dropping it kills it.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn start(config: &Path, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        Command::new("/proc/self/exe")
            .arg0("sekishod")
            .arg(SUBCOMMAND)
            .arg(std::process::id().to_string())
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map(Self)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did.
    pub(super) fn end(&mut self) -> io::Result<Option<String>> {
        Ok(self.0.try_wait()?.map(|status| status.to_string()))
    }

    /// As a crash: no chance to say good-bye to the peer or to clean up.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }

    /// As an operator would; the answer is whether it ended in time and with success.
    pub(super) fn stop(&mut self) -> io::Result<bool> {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM)?;
        let end = Instant::now() + STOP;
        while Instant::now() < end {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill()?;
        Ok(false)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The life of such a process.
pub(super) fn live(parent: &str, config: &Path) -> ExitCode {
    if let Err(error) = super::node::die_with(parent) {
        eprintln!("sekishod: {error}");
        return ExitCode::FAILURE;
    }
    daemon::run(&daemon::Args {
        config: config.to_owned(),
        log: None,
        socket: None,
        check: false,
        protect_only: false,
    })
}
