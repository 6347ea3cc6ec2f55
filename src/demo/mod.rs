//! `sekisho demo`: a facility and a data centre on one machine, a tunnel between them, and proof of what it does.
//!
//! `story` tells it step by step, on a `stage` that has the machines (`lab`) and what they can do (`traffic`, `witness`). Nothing but
//! this executable and the kernel is needed, and nothing stays behind: namespaces without a name, files in memory that only these
//! processes see, and processes that the kernel kills with their parent.

mod daemon;
pub mod gateway;
pub mod lab;
pub mod link;
pub mod node;
mod report;
mod stage;
mod story;
pub mod traffic;
pub mod witness;

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};

use report::{Report, Voice};
use stage::Stage;
use story::Story;

/// What `sekisho demo` was asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Leave it running and print how to play with it
    #[arg(long)]
    pub keep: bool,
    /// End with one JSON object
    #[arg(skip)]
    pub json: bool,
}

/// Why the demonstration ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine does not let us make what we need.
    #[error(
        "{what} is refused ({error}). Run it as root (sudo), or allow unprivileged user namespaces: \
         user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 (Debian), \
         kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a container, --privileged"
    )]
    Forbidden {
        /// What is refused.
        what: &'static str,
        /// By the kernel's word.
        error: io::Error,
    },
    /// There is no TUN driver.
    #[error(
        "/dev/net/tun cannot be opened ({0}). Load the driver: modprobe tun; in a container, --device /dev/net/tun"
    )]
    NoTun(io::Error),
    /// A machine of the laboratory could not do what it was told.
    #[error("{name}: {reason}")]
    Node {
        /// The machine.
        name: &'static str,
        /// In words.
        reason: String,
    },
    /// A daemon refused, failed or died.
    #[error("sekishod of the {name}: {reason}")]
    Daemon {
        /// Whose.
        name: &'static str,
        /// In words.
        reason: String,
    },
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    fn node(name: &'static str, reason: impl Display) -> Self {
        Self::Node { name, reason: reason.to_string() }
    }
}

/// If this process is one that the demonstration started as a part of itself: its life, and how it ended. `main` asks this first.
pub fn take_part() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next()?.as_str(), arguments.next(), arguments.next()) {
        (node::SUBCOMMAND, Some(name), Some(parent)) => Some(node::live(&name, &parent)),
        (daemon::SUBCOMMAND, Some(parent), Some(config)) => Some(daemon::live(&parent, Path::new(&config))),
        _ => None,
    }
}

/// Runs it; success only if all that it claims held. The process must have one thread only.
pub fn run(args: &Args) -> ExitCode {
    let (voice, start) = (Voice::new(args.json), Instant::now());
    let mut report = Report::default();
    voice.say("Sekisho: a facility and a data centre on this machine, and a tunnel between them.");
    voice.step("Four machines in network namespaces of their own, which vanish with this program");
    let (result, stage) = match Stage::set() {
        Ok(mut stage) => {
            voice.say(stage::DRAWING);
            (Story::new(&voice, &mut report, &mut stage).tell(args.keep), Some(stage))
        }
        Err(error) => (Err(error), None),
    };
    report.finish(result, start.elapsed().as_secs_f64());
    voice.conclude(&report);
    if let Some(stage) = stage.filter(|_| args.keep) {
        voice.say(stage.invitation());
        wait_for_interrupt();
        drop(stage);
        voice.say("\nEverything is gone.");
    }
    report.exit_code()
}

/// Until Ctrl-C or a request to end. By default either would end this process at once, and with it everything.
fn wait_for_interrupt() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_ok() {
        let _ = signals.wait();
    }
}
