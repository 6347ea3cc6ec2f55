//! One machine of the laboratory: a process of this same executable that lives in network and host-name namespaces of its own.
//!
//! It takes orders as JSON lines on its standard input and answers each on its standard output. It ends with its input, and the
//! kernel kills it with its parent (`PR_SET_PDEATHSIG`), so that no exit of the demonstration leaves it or its namespaces behind.

use std::ffi::CString;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getppid, sethostname};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use super::daemon::Daemon;
use super::link::{self, Change};
use super::traffic::{Marker, ping, stream, tcp};
use super::witness::Watch;

/// What a node can be told to do. Each is answered, with an error in words if it failed, within a bounded time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Changes the network; answered with nothing.
    Network(Vec<Change>),
    /// Starts the daemon with the configuration, its log going to a file; answered with the process id.
    StartDaemon {
        /// Its configuration file.
        config: PathBuf,
        /// Where its standard output and error go.
        log: PathBuf,
    },
    /// Whether the daemon runs; answered with how it ended, or nothing while it runs.
    DaemonEnd,
    /// Kills the daemon at once, as a crash would; answered with nothing.
    KillDaemon,
    /// Asks the daemon to stop and waits; answered with whether it ended cleanly.
    StopDaemon,
    /// Starts to count what crosses an interface; answered with nothing.
    Watch {
        /// The interface.
        interface: String,
        /// What no packet may show.
        marker: Marker,
        /// Networks whose addresses must not stand in an outer header.
        protected: Vec<ipnet::IpNet>,
    },
    /// What the watch saw so far; answered with [`super::witness::Sightings`].
    Sightings,
    /// Pings; answered with [`ping::Echoes`].
    Ping {
        /// Whom.
        to: IpAddr,
        /// How often and what to put in.
        plan: ping::Plan,
    },
    /// Waits for one TCP stream in the background; answered with nothing.
    ReceiveTcp {
        /// The address to listen at.
        at: SocketAddr,
        /// What the stream consists of.
        marker: Marker,
    },
    /// Sends one TCP stream; answered with the number of bytes.
    SendTcp {
        /// The receiver.
        to: SocketAddr,
        /// What the stream consists of.
        marker: Marker,
        /// When to stop.
        until: tcp::Limit,
    },
    /// What came of the TCP stream; answered with [`tcp::Received`].
    TcpReceived,
    /// Counts the other end's numbered packets in the background; answered with nothing.
    OpenStream {
        /// Our address.
        at: SocketAddr,
        /// The other end, which streams too.
        to: SocketAddr,
        /// What is in every packet.
        marker: Marker,
    },
    /// Sends numbered packets too, in the background; answered with nothing.
    StartStream,
    /// Sends no more of them; answered with the number sent.
    StopStream,
    /// Waits until as many came as the other end sent, or no more come; answered with [`stream::Arrived`].
    StreamArrived {
        /// As the other end said.
        sent: u64,
    },
}

/// The hidden subcommand that makes a process a node: `sekisho demo-node NAME PARENT`.
pub(super) const SUBCOMMAND: &str = "demo-node";

/// A node as its parent sees it. Dropping it ends it and all that it started.
#[derive(Debug)]
pub struct Node {
    name: &'static str,
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts `executable` as the node `name`, which becomes its host name.
    ///
    /// # Errors
    /// The process does not start or gets no namespaces.
    pub fn start(executable: &Path, name: &'static str) -> Result<Self, Error> {
        let mut process = Command::new(executable)
            .arg0(name)
            .args([SUBCOMMAND, name, &std::process::id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C goes to the parent alone.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::node(name, error))?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::node(name, "it has no pipes"));
        };
        let mut node = Self { name, process, orders, answers: BufReader::new(answers) };
        node.answer::<()>()?;
        Ok(node)
    }

    /// The process id, by which its namespaces can be entered.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Gives an order and waits for the answer.
    ///
    /// # Errors
    /// The order failed, or the node died.
    pub fn ask<T: DeserializeOwned>(&mut self, order: &Order) -> Result<T, Error> {
        self.tell(order)?;
        self.answer()
    }

    /// Gives an order; `answer` waits for what comes of it.
    ///
    /// # Errors
    /// The node died.
    pub fn tell(&mut self, order: &Order) -> Result<(), Error> {
        write_line(&mut self.orders, order).map_err(|error| Error::node(self.name, error))
    }

    /// The answer to the oldest order that has none yet.
    ///
    /// # Errors
    /// The order failed, or the node died.
    pub fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(Error::node(self.name, "its process died")),
            Ok(_) => serde_json::from_str::<Result<T, String>>(&line)
                .map_err(|error| Error::node(self.name, error))?
                .map_err(|error| Error::node(self.name, error)),
            Err(error) => Err(Error::node(self.name, error)),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its daemon and threads go with it: the daemon by its own PR_SET_PDEATHSIG.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The life of a node's process.
pub(super) fn live(name: &str, parent: &str) -> ExitCode {
    let mut answers = io::stdout().lock();
    let born = die_with(parent).and_then(|()| move_out(name)).map_err(|error| error.to_string());
    if write_line(&mut answers, &born).is_err() || born.is_err() {
        return ExitCode::FAILURE;
    }
    let mut resident = Resident::default();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let result =
            serde_json::from_str(&line).map_err(io::Error::from).and_then(|order| resident.obey(order));
        if write_line(&mut answers, &result.map_err(|error| error.to_string())).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Lets the kernel kill this process when its parent, named by its process id, goes.
pub(super) fn die_with(parent: &str) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that went before the call has sent no signal.
    if getppid().to_string() == parent { Ok(()) } else { Err(io::Error::other("the parent is gone")) }
}

fn move_out(name: &str) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    sethostname(name)?;
    prctl::set_name(&CString::new(name)?)?;
    Ok(())
}

fn write_line(to: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// What goes on in a node between two orders.
#[derive(Default)]
struct Resident {
    daemon: Option<Daemon>,
    watch: Option<Watch>,
    tcp: Option<tcp::Receiver>,
    stream: Option<stream::Stream>,
}

impl Resident {
    fn obey(&mut self, order: Order) -> io::Result<Value> {
        match order {
            Order::Network(changes) => answer(&link::apply(&changes)?),
            Order::StartDaemon { config, log } => {
                let daemon = self.daemon.insert(Daemon::start(&config, &log)?);
                answer(&daemon.pid())
            }
            Order::DaemonEnd => answer(&present(&mut self.daemon)?.end()?),
            Order::KillDaemon => answer(&present(&mut self.daemon)?.kill()?),
            Order::StopDaemon => answer(&present(&mut self.daemon)?.stop()?),
            Order::Watch { interface, marker, protected } => {
                self.watch = Some(Watch::start(&interface, marker, protected)?);
                answer(&())
            }
            Order::Sightings => answer(&present(&mut self.watch)?.so_far()?),
            Order::Ping { to, plan } => answer(&ping::ping(to, &plan)?),
            Order::ReceiveTcp { at, marker } => {
                self.tcp = Some(tcp::Receiver::start(at, marker)?);
                answer(&())
            }
            Order::SendTcp { to, marker, until } => answer(&tcp::send(to, marker, until)?),
            Order::TcpReceived => answer(&taken(&mut self.tcp)?.finish()?),
            Order::OpenStream { at, to, marker } => {
                self.stream = Some(stream::Stream::open(at, to, marker)?);
                answer(&())
            }
            Order::StartStream => answer(&present(&mut self.stream)?.start()?),
            Order::StopStream => answer(&present(&mut self.stream)?.stop()?),
            Order::StreamArrived { sent } => answer(&taken(&mut self.stream)?.arrived(sent)?),
        }
    }
}

fn answer<T: Serialize>(value: &T) -> io::Result<Value> {
    Ok(serde_json::to_value(value)?)
}

fn present<T>(running: &mut Option<T>) -> io::Result<&mut T> {
    running.as_mut().ok_or_else(not_running)
}

fn taken<T>(running: &mut Option<T>) -> io::Result<T> {
    running.take().ok_or_else(not_running)
}

fn not_running() -> io::Error {
    io::Error::other("nothing of that kind is running here")
}
