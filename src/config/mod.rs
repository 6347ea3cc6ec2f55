//! The configuration: one TOML file, judged as a whole, every error with its line and what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use sekisho_ike::config::{Connection, Name, Pool};
use sekisho_ike::suite::Profile;
use toml::de::DeTable;

mod auth;
mod child;
mod credential;
mod cross;
mod daemon;
mod document;
mod duration;
mod ends;
mod files;
#[cfg(test)]
mod fixtures;
pub mod fuzz;
mod keys;
pub mod limits;
mod material;
mod pem;
mod pkcs12;
mod pool;
mod problem;
mod protected;
mod psk;
mod sides;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod travel;
mod trust;
mod tunnel;
mod values;

pub use duration::show as show_duration;
pub use problem::{ConfigError, Place, Problem};
pub use protected::{local_to, peer_may_be_protected, prefixes, protected, remote_side, to_free};
pub use start::start_word;

use crate::words::plain;
use document::{Judge, Section};
use store::Store;

/// A configuration that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it came from.
    pub source: PathBuf,
    /// What holds for the daemon as a whole.
    pub daemon: Daemon,
    /// The tunnels, by name.
    pub connections: Vec<Arc<Connection>>,
    /// The pools that tunnels name, by name.
    pub pools: Vec<Pool>,
    /// The profile of each tunnel; its own proposals, where it names some, take the place of the profile's.
    pub profiles: BTreeMap<Name, Profile>,
    /// The tunnels whose pre-shared key is weak and allowed to be.
    pub weak_psk: BTreeSet<Name>,
    /// What is allowed but deserves a second look.
    pub warnings: Vec<Problem>,
}

/// What holds for the daemon as a whole: `[daemon]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Where the control socket is made.
    pub control_socket: PathBuf,
    /// The group that may use it besides root, if there is such a group.
    pub control_group: String,
    /// Where the lock file is: of this run alone. What outlives a boot is in `STATE_DIRECTORY` (`control::last_good`).
    pub state_dir: PathBuf,
    /// The life of every SA, one JSON object a line.
    pub sa_log: PathBuf,
    /// What is logged.
    pub log: LogLevel,
    /// The TUN device.
    pub interface: String,
    /// Its MTU, bytes; derived from the route to the peer when absent.
    pub mtu: Option<u16>,
    /// The routing table of our own.
    pub route_table: u32,
    /// The priority of the rule that leads to it.
    pub rule_priority: u32,
    /// The mark of our own sockets, by which the rule lets them out.
    pub mark: u32,
    /// The UDP port of plain IKE.
    pub ike_port: u16,
    /// The UDP port of encapsulation.
    pub nat_port: u16,
    /// Half-open SAs from which on whoever wants a tunnel must bring a cookie (RFC 7296 §2.6).
    pub cookie_threshold: u32,
    /// Half-open SAs at most.
    pub half_open_max: u32,
    /// Packets that may arrive late (RFC 4303 §3.4.3).
    pub replay_window: u32,
    /// Workers of the data path; as many as there are cores when absent.
    pub workers: Option<u8>,
    /// Whether the inner packet's DSCP is copied to the outer one.
    pub copy_dscp: bool,
    /// The outer packet's DSCP where it is not copied, 0 to 63.
    pub dscp: u8,
    /// Whether congestion that routers mark outside is told inside (RFC 6040).
    pub ecn: bool,
    /// Whether the segments that TCP announces are made to fit the tunnel.
    pub clamp_mss: bool,
    /// Whether what comes in clear in the name of a protected network is refused where it would be forwarded.
    pub refuse_clear_text: bool,
    /// Whether packets of one flow are exchanged with the kernel many at a time, as far as it can.
    pub offloads: bool,
}

/// What is logged: this and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// Something is degraded.
    Warn,
    /// The life of tunnels.
    Info,
    /// Negotiations.
    Debug,
    /// Packets.
    Trace,
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return Err(()),
        })
    }
}

impl Daemon {
    /// Workers of the data path: the configured number, or one for each core up to a bound.
    pub fn worker_count(&self) -> u8 {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        self.workers.unwrap_or_else(|| {
            u8::try_from(cores()).map_or(limits::WORKERS_AUTO, |cores| cores.min(limits::WORKERS_AUTO))
        })
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            control_socket: "/run/sekisho/control.sock".into(),
            control_group: "sekisho".into(),
            state_dir: "/run/sekisho".into(),
            sa_log: "/var/log/sekisho/sa.jsonl".into(),
            log: LogLevel::Info,
            interface: "sekisho0".into(),
            mtu: None,
            route_table: limits::ROUTE_TABLE.default,
            rule_priority: limits::RULE_PRIORITY.default,
            mark: 0x5e51,
            ike_port: 500,
            nat_port: 4500,
            cookie_threshold: limits::COOKIE_THRESHOLD.default,
            half_open_max: limits::HALF_OPEN_MAX.default,
            replay_window: limits::REPLAY_WINDOW.default,
            workers: None,
            copy_dscp: true,
            dscp: 0,
            ecn: true,
            clamp_mss: true,
            refuse_clear_text: true,
            offloads: true,
        }
    }
}

/// Reads and judges a file and the files that it names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    load_at(path, false)
}

/// Like [`load`], but a certificate of ours that is expired is a warning: a tunnel that no peer will accept must not
/// keep the others from starting or being changed.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_to_start(path: &Path) -> Result<Config, ConfigError> {
    load_at(path, true)
}

fn load_at(path: &Path, forgives_dates: bool) -> Result<Config, ConfigError> {
    let (text, loose) = read_file(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut store = Store::new(path, &files::from_disk, now);
    store.forgives_dates = forgives_dates;
    let mut config = parse(&text, path, &store)?;
    config.warnings.extend(loose);
    Ok(config)
}

/// The text, and a warning if others may change the file.
fn read_file(path: &Path) -> Result<(String, Option<Problem>), ConfigError> {
    let fail = |message: String, help: &str| ConfigError::of_file(path, message, help);
    let unreadable = |error: &std::io::Error| {
        fail(format!("the configuration cannot be read: {}", plain(error)), "name a file that you may read")
    };
    // Without O_NONBLOCK a FIFO would hang here.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let file = opened.map_err(|error| unreadable(&error))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    if !about.is_file() {
        return Err(fail(
            "the configuration is no regular file".to_owned(),
            "name a file, not a directory or device",
        ));
    }
    if about.len() > limits::FILE_BYTES {
        let help = format!("at most {} are allowed", limits::FILE_BYTES);
        return Err(fail(format!("the configuration has {} bytes", about.len()), &help));
    }
    let mut bytes = Vec::new();
    file.take(limits::FILE_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count()
                + 1;
        fail(format!("line {line} is no UTF-8 text"), "save the file as UTF-8")
    })?;
    let loose = (about.mode() & 0o022 != 0).then(|| {
        let message =
            format!("the configuration may be changed by others (mode {:04o})", about.mode() & 0o7777);
        Problem::of_file(message, format!("`chmod go-w {}`", path.display()))
    });
    Ok((text, loose))
}

/// Judges a text.
fn parse(text: &str, source: &Path, store: &Store<'_>) -> Result<Config, ConfigError> {
    let mut judge = Judge::new(text);
    let (document, mistakes) = DeTable::parse_recoverable(text);
    for mistake in &mistakes {
        let span = mistake.span().unwrap_or(0..0);
        judge.error(&span, format!("this is no TOML: {}", mistake.message()), SYNTAX);
    }
    // What a parser makes up to go on after a mistake is not worth judging.
    if !judge.errors.is_empty() {
        return Err(refused(judge, source));
    }
    let mut top = Section::new("the file".to_owned(), document.span(), document.into_inner());
    let daemon = match top.take("daemon") {
        Some(value) => {
            let section = Section::from_value(&mut judge, "[daemon]".to_owned(), value);
            section.map_or_else(Daemon::default, |section| daemon::read(&mut judge, section))
        }
        None => Daemon::default(),
    };
    let pools = pool::read_all(&mut judge, &mut top);
    let tunnels = tunnels(&mut judge, &mut top, (store, &pools));
    top.finish(&mut judge);
    cross::check(&mut judge, &daemon, &tunnels, &pools);
    if !judge.errors.is_empty() {
        return Err(refused(judge, source));
    }
    judge.warnings.sort_by_key(|problem| (problem.place.line, problem.place.column));
    let profile = |tunnel: &tunnel::Tunnel| (tunnel.connection.name.clone(), tunnel.profile);
    let weak = tunnels.iter().filter(|tunnel| tunnel.weak_psk);
    Ok(Config {
        source: source.to_owned(),
        daemon,
        profiles: tunnels.iter().map(profile).collect(),
        weak_psk: weak.map(|tunnel| tunnel.connection.name.clone()).collect(),
        pools: pools.into_values().map(|read| read.pool).collect(),
        connections: tunnels.into_iter().map(|tunnel| Arc::new(tunnel.connection)).collect(),
        warnings: judge.warnings,
    })
}

const SYNTAX: &str = "write `key = value` or [section] on each line; texts stand in double quotes, lists in [brackets] with commas";

fn tunnels(
    judge: &mut Judge<'_>,
    top: &mut Section<'_>,
    around: (&Store<'_>, &pool::Pools),
) -> Vec<tunnel::Tunnel> {
    let Some(value) = top.take("tunnel") else {
        let help = "add a section [tunnel.NAME]; configs/ has examples";
        judge.warn(&(0..0), "no tunnel is configured", help);
        return Vec::new();
    };
    let Some(all) = Section::from_value(judge, "[tunnel.NAME]".to_owned(), value) else { return Vec::new() };
    let mut read = Vec::new();
    for (name, value) in all.into_named() {
        let title = format!("[tunnel.{}]", name.get_ref().escape_debug());
        let section = Section::from_value(judge, title, value);
        let name = document::name(judge, &name);
        if let Some(nested) = section.as_ref().and_then(Section::only_tables) {
            let help = "a tunnel's name with a dot in it stands in quotes: [tunnel.\"a.b\"]";
            judge.error(&nested, "this is no setting of a tunnel but a table", help);
            continue;
        }
        if let (Some(name), Some(section)) = (name, section) {
            read.extend(tunnel::read(judge, name, section, around));
        }
    }
    read
}

fn refused(mut judge: Judge<'_>, source: &Path) -> ConfigError {
    let in_order = |problem: &Problem| (problem.place.line, problem.place.column);
    judge.errors.sort_by_key(in_order);
    judge.warnings.sort_by_key(in_order);
    ConfigError {
        source: source.to_owned(),
        errors: judge.errors,
        further: judge.further,
        warnings: judge.warnings,
    }
}
