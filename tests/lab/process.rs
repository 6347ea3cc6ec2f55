//! Child processes that end with the value that stands for them.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::wait_for;

/// Lines of a log that a failing test prints.
const LOG_TAIL: usize = 120;

/// Runs to the end and returns what it printed; panics with what it said when it fails.
pub fn run(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// A process in the background. It is killed when the value is dropped, and by the kernel when we die.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it with both outputs appended to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("open a log file");
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("start {command:?}: {error}")) }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for a child's status")
    }

    /// Asks it to end and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        if self.ended().is_none() {
            kill(Pid::from_raw(id), Signal::SIGTERM).expect("send SIGTERM to a child");
        }
        wait_for(Duration::from_secs(10), "a process to end after SIGTERM", || self.ended())
    }

    /// Kills it on the spot, as a power cut would.
    pub fn kill(&mut self) {
        // The only error is that it has ended already.
        let _ = self.child.kill();
        self.child.wait().expect("wait for a killed child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Prints the end of a log, for a test that fails.
pub fn print_tail(title: &str, log: &Path) {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
    eprintln!("---- {title}: last {} of {} lines ----\n{}", tail.len(), lines.len(), tail.join("\n"));
}
