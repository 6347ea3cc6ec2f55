//! The control loop: sole owner of the IKE endpoint and of all that follows from its events.
//!
//! ```text
//! data path  ── IKE datagrams, first packets ─┐                    ┌─ events ────> apply: data path, records, waiting requests
//! operators  ── requests ─────────────────────┤                    │
//! kernel     ── lines, addresses, routes ─────┼─> driver ─> Endpoint ─ jobs ──────> jobs: names, arithmetic
//! clock      ── deadlines, usage each second ─┤                    │
//! jobs       ── completions ──────────────────┘                    └─ transmits ──> sockets
//! ```
//!
//! One input is taken at a time (datagrams in bounded batches); after each the endpoint is drained in the order that
//! it documents: events, jobs, transmits.

mod apply;
mod books;
mod cut_off;
mod driver;
mod expiry;
mod fetch;
mod given;
mod install;
mod jobs;
pub mod last_good;
mod path_mtu;
mod paths;
mod pending;
mod policies;
mod random;
mod reload;
mod request;
mod routing;
mod silence;
mod spi;
mod status;
mod strangers;
mod waiting;
mod workers;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_ike::config::EndpointConfig;
use sekisho_ike::event::Command;
use sekisho_ike::{Endpoint, Instant, Now};
use tokio::sync::{mpsc, oneshot};

use crate::api::{Asked, ReloadRefused, Reply};
use crate::config::Config;
use crate::data::{DataPath, FromDataReceiver};
use crate::net::clock;
use crate::net::icmp::Icmp;
use crate::net::netlink::CutOff;
use crate::net::udp::Sockets;
use crate::telemetry::Telemetry;

use books::Books;
use expiry::Expiry;
use fetch::Fetcher;
use given::Given;
use jobs::Jobs;
use pending::Pending;
use policies::Policies;
use random::OsRandom;
use spi::Spis;
use strangers::Strangers;
use waiting::Waiting;

pub use cut_off::{Warning, judge as judge_cut_off, lines as cut_off_lines, look as look_at_cut_off};
pub use routing::{Routing, policy};

/// Messages of routers in a second: anybody may send them, and each costs a look at all SAs.
const ICMP_BUDGET: u32 = 100;

/// What the daemon orders, besides the operators' requests.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration again (SIGHUP); the answer is what an operator would get.
    Reload(oneshot::Sender<Reply>),
    /// Delete everything and end, for the reason given (the end of a sentence: "on SIGTERM").
    Stop(String),
}

/// Everything that comes in.
#[derive(Debug)]
pub struct Inputs {
    /// From the data path.
    pub data: FromDataReceiver,
    /// From operators.
    pub requests: mpsc::Receiver<Asked>,
    /// From the daemon.
    pub orders: mpsc::Receiver<Order>,
}

/// What the control loop works with.
pub struct Outputs {
    /// The running data path.
    pub data: DataPath,
    /// The sockets, for IKE.
    pub sockets: Arc<Sockets>,
    /// Routes, which stand already.
    pub routing: Routing,
    /// What routers say of packets that were too big.
    pub icmp: Icmp,
    /// Where facts are recorded.
    pub telemetry: Telemetry,
}

/// The control loop's state.
pub struct Control {
    endpoint: Endpoint,
    config: Config,
    out: Outputs,
    books: Books,
    policies: Policies,
    waiting: Waiting,
    jobs: Jobs,
    strangers: Strangers,
    expiry: Expiry,
    given: Given,
    /// Settings that changed and wait for the next start.
    restart_needed: Vec<String>,
    pending: Pending,
    /// Networks that this machine is on and that a tunnel takes away.
    cut_off: Vec<CutOff>,
    /// The last reload, if it was refused.
    reload_refused: Option<ReloadRefused>,
    /// IKE datagrams that the network refused.
    unsent: u64,
    /// Messages of routers that are listened to before the next second begins.
    icmp_budget: u32,
    started: Instant,
    /// When the daemon ends at the latest, once it was told to.
    end: Option<Instant>,
    /// Why the data path died, if it did.
    dead: Option<String>,
}

impl Control {
    /// A control loop with its configuration in force; [`Control::run`] makes it go. `cut_off`: what [`look_at_cut_off`] found.
    ///
    /// # Errors
    /// If no thread can be made for what computes.
    pub fn new(config: Config, out: Outputs, cut_off: Vec<CutOff>) -> io::Result<Self> {
        let ports = EndpointConfig {
            ike_port: config.daemon.ike_port,
            nat_port: config.daemon.nat_port,
            cookie_threshold: count(config.daemon.cookie_threshold),
            half_open_max: count(config.daemon.half_open_max),
        };
        let spis = Spis::new(out.sockets.settings().workers);
        let endpoint = Endpoint::new(ports, Box::new(OsRandom::new()), Box::new(spis));
        let fetcher =
            Fetcher::new(config.daemon.mark, last_good::directory().map(|state| state.join("fetched")));
        let jobs = Jobs::new(out.routing.netlink().clone(), config.daemon.ike_port, fetcher)?;
        let given = Given::new(&config.daemon);
        let mut control = Self {
            endpoint,
            given,
            config,
            out,
            books: Books::default(),
            policies: Policies::default(),
            waiting: Waiting::default(),
            jobs,
            strangers: Strangers::new(now().boot),
            expiry: Expiry::new(now().boot),
            restart_needed: Vec::new(),
            pending: Pending::default(),
            cut_off,
            reload_refused: None,
            unsent: 0,
            icmp_budget: ICMP_BUDGET,
            started: now().boot,
            end: None,
            dead: None,
        };
        // Whoever revoked somebody and starts the daemon again expects no less than of a reload.
        control.ask_anew();
        let config = control.config.clone();
        control.configure(&config);
        Ok(control)
    }

    /// Pools and connections in force from now on; first it is settled whose packets are whose.
    fn configure(&mut self, config: &Config) {
        let sides = |connection: &_, child: &_| install::sides(config, connection, child);
        match self.policies.configure(&config.connections, sides) {
            Ok(reserved) => self.out.data.reserve(reserved),
            Err(error) => tracing::error!(%error, "networks are not kept for their tunnels"),
        }
        self.command(Command::ConfigurePools(config.pools.clone()));
        self.command(Command::Configure(config.connections.clone()));
    }

    /// Gives the endpoint a command that it cannot refuse, or whose refusal changes nothing.
    fn command(&mut self, command: Command) {
        if let Err(error) = self.endpoint.handle_command(now(), command) {
            tracing::debug!(%error, "refused");
        }
    }
}

/// A bound of the configuration as the endpoint counts.
fn count(bound: u32) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}

/// Both clocks.
fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Now { boot: Instant::from_boot(clock::since_boot()), wall: wall.as_secs() }
}
