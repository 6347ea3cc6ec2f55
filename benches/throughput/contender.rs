//! Who takes part: a tunnel of each, between the gateways of a network of its own.

use std::env;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use sekisho::daemon;

use crate::lab::{End, Namespace, Outer, Sekisho, Site, StrongSwan, Tunnel};
use crate::measure::Ends;
use crate::wireguard::{Program, WireGuard};

/// A first argument by which this program is `sekishod` without a cipher.
const WITHOUT_CIPHER: &str = "as-sekishod-without-a-cipher";
const SEKISHOD: &str = env!("CARGO_BIN_EXE_sekishod");
const CHARON: &str = "/usr/lib/ipsec/charon";

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// No tunnel: the line itself, and what sending and receiving costs.
    Bare,
    Sekisho,
    /// Another build of ours, to see what a change does: only if it is named.
    Baseline,
    /// Our own limit: the same daemon, which neither encrypts nor authenticates.
    Null,
    Strongswan,
    Boringtun,
    Gotatun,
    WireguardGo,
}

impl Contender {
    pub const ALL: [Self; 8] = [
        Self::Bare,
        Self::Sekisho,
        Self::Baseline,
        Self::Null,
        Self::Strongswan,
        Self::Boringtun,
        Self::Gotatun,
        Self::WireguardGo,
    ];

    /// As it is called in the report and in `--only`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Sekisho => "sekisho",
            Self::Baseline => "baseline",
            Self::Null => "null",
            Self::Strongswan => "strongswan",
            Self::Boringtun => "boringtun",
            Self::Gotatun => "gotatun",
            Self::WireguardGo => "wireguard_go",
        }
    }

    /// The program of the machine that it needs, if it needs one.
    ///
    /// # Errors
    /// That it is missing, and what to do.
    pub fn program(self) -> Result<Option<PathBuf>, String> {
        let (name, from) = match self {
            Self::Bare | Self::Sekisho | Self::Null => return Ok(None),
            Self::Baseline => ("sekishod of another build", "to compare with"),
            Self::Strongswan => (CHARON, "Debian: strongswan-charon"),
            Self::Boringtun => ("boringtun-cli", "cargo install boringtun-cli"),
            Self::Gotatun => ("gotatun", "cargo install gotatun-cli"),
            Self::WireguardGo => ("wireguard-go", "Debian: wireguard-go"),
        };
        let variable = format!("SEKISHO_BENCH_{}", self.name().to_uppercase());
        // strongSwan's is started by the laboratory, at its own place.
        let named = env::var_os(&variable).filter(|_| self != Self::Strongswan).map(PathBuf::from);
        let candidates = match named {
            Some(path) => vec![path],
            None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
                .map(|directory| directory.join(name))
                .collect(),
        };
        let found = candidates.into_iter().find(|path| path.is_file());
        found.map(Some).ok_or_else(|| format!("no {name} ({from}; or {variable}=PATH)"))
    }

    /// Between what it is measured: the inner addresses of the gateways, or the outer ones where there is no tunnel.
    /// No host's forwarding is measured.
    pub fn ends(self, site: &Site, family: Outer) -> Ends<'_, Namespace> {
        let end = |end| -> (&Namespace, IpAddr) {
            let gateway = site.side(end);
            let addresses = if self == Self::Bare { gateway.outside } else { gateway.own };
            (&gateway.namespace, addresses[family as usize])
        };
        Ends { here: end(End::A), there: end(End::B) }
    }

    /// Its tunnel.
    pub fn start<'a>(self, site: &'a Site, program: Option<&Path>, outer: Outer) -> Pair<'a> {
        match (self, program) {
            (Self::Bare, _) => Pair::None,
            (Self::Null, _) => Pair::Sekisho(sekisho(site, outer, &this_without_cipher())),
            (Self::Baseline, Some(program)) => Pair::Sekisho(sekisho(site, outer, &[program.into()])),
            (Self::Strongswan, _) => Pair::StrongSwan(strongswan(site)),
            (Self::Sekisho, _) | (_, None) => Pair::Sekisho(sekisho(site, outer, &[SEKISHOD.into()])),
            (_, Some(program)) => Pair::WireGuard(WireGuard::pair(site, program, self.how())),
        }
    }

    fn how(self) -> Program {
        let arguments = match self {
            Self::WireguardGo => "-f",
            _ => "--foreground --disable-drop-privileges --verbosity error",
        };
        Program { arguments }
    }
}

/// The daemons at both ends.
pub enum Pair<'a> {
    None,
    Sekisho([Sekisho<'a>; 2]),
    StrongSwan([StrongSwan<'a>; 2]),
    WireGuard([WireGuard; 2]),
}

impl Pair<'_> {
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::None => Vec::new(),
            Self::Sekisho(pair) => pair.iter().map(Sekisho::pid).collect(),
            Self::StrongSwan(pair) => pair.iter().map(StrongSwan::pid).collect(),
            Self::WireGuard(pair) => pair.iter().map(WireGuard::pid).collect(),
        }
    }
}

/// Ours over IP protocol 50 in the place of UDP.
pub fn without_udp(site: &Site) -> Pair<'_> {
    let pair = sekisho_with(site, Outer::V4, &[SEKISHOD.into()], "encapsulation = \"auto\"\n");
    assert_eq!(pair[0].tunnel()["ike"]["esp_in_udp"], false, "ESP goes without UDP");
    Pair::Sekisho(pair)
}

fn sekisho<'a>(site: &'a Site, outer: Outer, program: &[OsString]) -> [Sekisho<'a>; 2] {
    sekisho_with(site, outer, program, "")
}

/// With further lines of the tunnel's configuration.
fn sekisho_with<'a>(
    site: &'a Site,
    outer: Outer,
    program: &[OsString],
    settings: &'static str,
) -> [Sekisho<'a>; 2] {
    let start = |end| {
        let tunnel = Tunnel { initiate: end == End::A, settings, ..Tunnel::at(site, end, outer) };
        Sekisho::start_program(site.side(end), &tunnel, program.to_vec())
    };
    let there = start(End::B);
    let here = start(End::A);
    here.await_up();
    there.await_up();
    [here, there]
}

fn this_without_cipher() -> [OsString; 2] {
    [env::current_exe().expect("this program's path").into(), WITHOUT_CIPHER.into()]
}

/// What this program is when [`Contender::Null`] starts it.
pub fn daemon_without_cipher() -> Option<ExitCode> {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    if arguments.get(1)? != WITHOUT_CIPHER {
        return None;
    }
    arguments.remove(1);
    sekisho_esp::null_transform::protect_nothing();
    Some(daemon::run(&daemon::Args::parse_from(arguments)))
}

fn strongswan(site: &Site) -> [StrongSwan<'_>; 2] {
    let pair =
        [End::A, End::B].map(|end| StrongSwan::start(site.side(end), &Tunnel::at(site, end, Outer::V4)));
    pair[0].initiate();
    pair[1].await_up();
    pair
}
