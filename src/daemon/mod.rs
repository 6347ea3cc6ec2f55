//! The daemon: wiring, in the order in which nothing can leak.
//!
//! Configuration, lock, **blackholes**, device and sockets, routes, control socket; then privileges are dropped, the
//! threads start and systemd hears that we are ready. A start that fails after the blackholes leaves them.

mod lock;
mod logging;
mod privileges;
mod service;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config, LogLevel};
use crate::control::last_good::{self, LastGood};
use crate::control::policy;
pub use crate::control::{Warning, judge_cut_off};
use crate::net::guard::{self, Ike};
use crate::net::netlink::{Netlink, Settings};

use lock::Lock;

/// The largest number of threads for work that blocks: names of peers (8) and of servers (8), and the disk.
const BLOCKING_THREADS: usize = 18;

/// What `sekishod` is told.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "sekishod", version, about = "IKEv2/IPsec VPN daemon")]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/sekisho/sekisho.toml")]
    pub config: PathBuf,
    /// What is logged: error, warn, info, debug or trace; instead of the configuration's `log`
    #[arg(long, value_name = "LEVEL", value_parser = logging::level)]
    pub log: Option<LogLevel>,
    /// Where the control socket is made; instead of the configuration's `control_socket`
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Judge the configuration and end
    #[arg(long)]
    pub check: bool,
    /// Block what the configuration protects, and end: for early at boot, before any line is up
    #[arg(long, conflicts_with = "check")]
    pub protect_only: bool,
}

/// Why the daemon does not start: what failed and what to do, in one line.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Runs the daemon until it is told to stop; the exit code is 0, or 1 if it could not start.
pub fn run(args: &Args) -> ExitCode {
    let Err(Failure(why)) = start(args) else { return ExitCode::SUCCESS };
    eprintln!("sekishod: {why}");
    ExitCode::FAILURE
}

fn start(args: &Args) -> Result<(), Failure> {
    let load = if args.check { config::load } else { config::load_to_start };
    let config = match load(&args.config) {
        Ok(config) => config,
        Err(error) if args.check => return Err(Failure::new(error)),
        Err(error) => return Err(refused(&error)),
    };
    if args.check {
        return verdict(&config);
    }
    logging::start(args.log.unwrap_or(config.daemon.log));
    privileges::harden();
    privileges::require()?;
    let lock = Lock::take(&config.daemon.state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| Failure(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(async {
        let netlink = protect(&config).await?;
        if args.protect_only { Ok(()) } else { service::serve(args, config, netlink).await }
    });
    // A resolver that hangs must not keep the daemon from ending.
    runtime.shutdown_background();
    drop(lock);
    ended
}

/// A configuration that cannot be used. What the last good one protected is blocked all the same: after a boot
/// nothing else would.
fn refused(error: &config::ConfigError) -> Failure {
    let blocked = match LastGood::recall() {
        Ok(None) => return Failure::new(error),
        Ok(Some(last_good)) => block(&last_good).map_err(|Failure(why)| why),
        Err(unknown) => Err(format!("it cannot be read what that is: {unknown}")),
    };
    let blocked = blocked.map_or_else(
        |why| format!("what the last good configuration protected could not be blocked: {why}"),
        |()| "what the last good configuration protected is blocked".to_owned(),
    );
    Failure(format!("{error}\n{blocked}"))
}

fn block(last_good: &LastGood) -> Result<(), Failure> {
    let _lock = Lock::take(&last_good.state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let netlink = connect(last_good.settings())?;
        netlink.protect(&last_good.policy, None).await.map_err(Failure::new)?;
        if let Some(interface) = &last_good.guarded {
            guard(interface, Ike::NONE, true);
        }
        Ok(())
    })
}

fn connect(settings: Settings) -> Result<Netlink, Failure> {
    Netlink::connect(settings).map_err(|error| Failure(format!("cannot open netlink: {error}")))
}

/// What `--check` says of a good configuration; `sekisho check` also looks at the machine.
fn verdict(config: &Config) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let warnings = config.warnings.iter().map(|warning| warning.show("warning", &config.source));
    let good = format!("{} is good; tunnels: {}", config.source.display(), config.connections.len());
    let mut lines = warnings.chain([good]);
    lines
        .try_for_each(|line| writeln!(out, "{line}"))
        .map_err(|error| Failure(format!("cannot print: {error}")))
}

/// The blackholes stand before anything else exists.
async fn protect(config: &Config) -> Result<Netlink, Failure> {
    let daemon = &config.daemon;
    let settings = Settings { table: daemon.route_table, priority: daemon.rule_priority, mark: daemon.mark };
    let netlink = connect(settings)?;
    netlink.protect(&policy(config), None).await.map_err(Failure::new)?;
    let ike = Ike {
        ports: &[daemon.ike_port, daemon.nat_port],
        peer_may_be_protected: config::peer_may_be_protected(config),
    };
    guard(&daemon.interface, ike, daemon.refuse_clear_text);
    last_good::keep(config);
    Ok(netlink)
}

/// What stands may be of another version: it is put up anew.
fn guard(interface: &str, ike: Ike<'_>, wanted: bool) {
    let done = if wanted { guard::put(interface, ike) } else { guard::look_after(interface, ike, false) };
    if let Err(error) = done {
        tracing::warn!(%error, "{}", guard::MISSING);
    }
}
