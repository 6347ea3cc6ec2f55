//! Records in words: one line for the log and for `sekisho events`.

use std::fmt;
use std::net::IpAddr;

use sekisho_ike::diagnosis::sentence;

use super::{
    Addresses, ChildSa, ChildSaEnd, Diagnosis, End, Fact, IkeSa, IkeSaEnd, Record, Timestamp, Traffic,
};
use crate::words::{RENEW, days};

impl Record {
    /// Writes the log line, at the level that the fact deserves.
    pub(super) fn log(&self) {
        let (fact, tunnel) = (&self.fact, self.fact.tunnel());
        match fact.severity() {
            Severity::Error => tracing::error!(tunnel, "{fact}"),
            Severity::Warn => tracing::warn!(tunnel, "{fact}"),
            Severity::Info => tracing::info!(tunnel, "{fact}"),
            Severity::Debug => tracing::debug!(tunnel, "{fact}"),
        }
    }
}

impl fmt::Display for Record {
    /// `2025-11-21T21:48:40.123Z centre: up with …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.time)?;
        if let Some(tunnel) = self.fact.tunnel() {
            write!(f, "{tunnel}: ")?;
        }
        self.fact.fmt(f)
    }
}

/// How much a fact matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// An operator must act.
    Error,
    /// Something is degraded.
    Warn,
    /// A tunnel's life.
    Info,
    /// A negotiation.
    Debug,
}

impl Fact {
    /// The tunnel that it is about.
    pub fn tunnel(&self) -> Option<&str> {
        match self {
            Self::TunnelUp(sa) | Self::IkeSaRekeyed(sa) => Some(&sa.tunnel),
            Self::TunnelDown(end) => Some(&end.sa.tunnel),
            Self::AddressesAssigned(addresses) => Some(&addresses.tunnel),
            Self::ChildSaUp(sa) | Self::ChildSaSending(sa) => Some(&sa.tunnel),
            Self::ChildSaDown(end) => Some(&end.sa.tunnel),
            Self::PathChanged { tunnel, .. } | Self::PathMtuChanged { tunnel, .. } => Some(tunnel),
            Self::NegotiationFailed { tunnel, .. } | Self::CertificateExpires { tunnel, .. } => {
                tunnel.as_deref()
            }
            Self::DaemonStarted { .. }
            | Self::DaemonStopping { .. }
            | Self::ConfigLoaded { .. }
            | Self::ConfigRefused { .. }
            | Self::NetworksFreed { .. }
            | Self::EventsLost { .. } => None,
        }
    }

    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::ConfigRefused { .. } => Severity::Error,
            Self::CertificateExpires { side, days_left, .. } if side == "local" && *days_left < 0 => {
                Severity::Error
            }
            Self::CertificateExpires { .. }
            | Self::NegotiationFailed { .. }
            | Self::NetworksFreed { .. }
            | Self::EventsLost { .. } => Severity::Warn,
            Self::ConfigLoaded { warnings, .. } if !warnings.is_empty() => Severity::Warn,
            Self::TunnelDown(IkeSaEnd { end, .. }) | Self::ChildSaDown(ChildSaEnd { end, .. })
                if end.is_fault() =>
            {
                Severity::Warn
            }
            Self::ChildSaSending(_) => Severity::Debug,
            _ => Severity::Info,
        }
    }
}

impl End {
    /// Whether it ended otherwise than somebody wanted.
    fn is_fault(&self) -> bool {
        self.diagnosis.is_some() || ["peer_dead", "expired"].contains(&self.reason.as_str())
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonStarted { version, pid, interface } => {
                write!(f, "sekishod {version} is ready on {interface} (process {pid})")
            }
            Self::DaemonStopping { reason } => write!(f, "sekishod stops {reason}"),
            Self::ConfigLoaded { source, tunnels, warnings } => {
                write!(f, "{source} is in force, tunnels: {tunnels}")?;
                warnings.iter().try_for_each(|warning| write!(f, "; warning: {warning}"))
            }
            Self::ConfigRefused { source, reason } => {
                write!(f, "{source} is refused, what was in force stays so: {reason}")
            }
            Self::NetworksFreed { networks } => {
                let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
                write!(f, "no longer blocked, so in clear from now on: {}", networks.join(", "))
            }
            Self::TunnelUp(sa) => write!(f, "up with {sa}"),
            Self::IkeSaRekeyed(sa) => write!(f, "IKE SA rekeyed with {sa}"),
            Self::TunnelDown(IkeSaEnd { sa, end, traffic }) => {
                write!(f, "down with {}: {}; {traffic}", sa.remote_id, end.explanation)
            }
            Self::AddressesAssigned(addresses) => addresses.fmt(f),
            Self::ChildSaUp(sa) => {
                write!(f, "{sa} can receive")?;
                withheld(f, sa)
            }
            Self::ChildSaSending(sa) => write!(f, "{sa} is sent on"),
            Self::ChildSaDown(ChildSaEnd { sa, end, traffic }) => {
                write!(f, "{sa} ended: {}; {traffic}", end.explanation)
            }
            Self::PathChanged { remote_id, local, remote, .. } => {
                write!(f, "{remote_id} is now reached at {remote} from {local}")
            }
            Self::PathMtuChanged { remote, from, to, source, router, .. } => {
                write!(f, "the path to {remote} carries packets of {to} bytes, before {from}: ")?;
                known_by(f, source, *router)
            }
            Self::CertificateExpires { side, subject, expires, days_left, tunnels, .. } => {
                let ours = side == "local";
                write!(
                    f,
                    "{} `{subject}` ",
                    if ours { "our certificate" } else { "the peer's certificate" }
                )?;
                expiry(f, *expires, *days_left)?;
                if *tunnels > 1 {
                    write!(f, "; {tunnels} tunnels need it")?;
                }
                if ours { write!(f, ": {RENEW}") } else { Ok(()) }
            }
            Self::NegotiationFailed { remote, diagnosis, next_try_in_s, .. } => {
                let with = remote.as_ref().map(|remote| format!(" with {remote}")).unwrap_or_default();
                write!(f, "negotiation{with} failed ({}): {diagnosis}", diagnosis.kind)?;
                next_try(f, *next_try_in_s)
            }
            Self::EventsLost { lost } => {
                write!(f, "{lost} records were lost here, since the reader was too slow")
            }
        }
    }
}

fn withheld(f: &mut fmt::Formatter<'_>, sa: &ChildSa) -> fmt::Result {
    let sides = [("ours", &sa.withheld_local), ("its own", &sa.withheld_remote)];
    let sides = sides.into_iter().filter(|(_, networks)| !networks.is_empty());
    let sides: Vec<_> = sides.map(|(whose, networks)| format!("{} of {whose}", networks.join(" "))).collect();
    if sides.is_empty() {
        return Ok(());
    }
    write!(f, "; the peer asked for more, which is not configured here: {}", sides.join(", and "))
}

/// How it is known what a path carries.
fn known_by(f: &mut fmt::Formatter<'_>, source: &str, router: Option<IpAddr>) -> fmt::Result {
    match router {
        Some(router) => write!(f, "so says the router {router}"),
        None if source == "probed" => f.write_str("that was found out by probes"),
        None => f.write_str("as much as our own line"),
    }
}

fn expiry(f: &mut fmt::Formatter<'_>, expires: Timestamp, days_left: i64) -> fmt::Result {
    match days_left {
        ..0 => write!(f, "expired on {}", expires.date()),
        _ => write!(f, "expires in {}, on {}", days(days_left), expires.date()),
    }
}

fn next_try(f: &mut fmt::Formatter<'_>, in_s: Option<u64>) -> fmt::Result {
    match in_s {
        Some(0) => f.write_str(". The next try is made now"),
        Some(s) => write!(f, ". The next try is in {s} s"),
        None => Ok(()),
    }
}

impl fmt::Display for IkeSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local_id, remote_id, local, remote, suite, spi_i, spi_r, initiator, peer_auth, .. } = self;
        let role = if *initiator { "initiator" } else { "responder" };
        write!(
            f,
            "{remote_id} at {remote} by {peer_auth}, as {local_id} from {local}, {suite}, {role}, SPIs {spi_i} {spi_r}"
        )
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remote_id, given_by, addresses, dns, .. } = self;
        let list = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match given_by.as_str() {
            "peer" => write!(f, "{remote_id} gave us {}", list(addresses))?,
            _ => write!(f, "{remote_id} has {} from us", list(addresses))?,
        }
        if dns.is_empty() { Ok(()) } else { write!(f, ", with name servers {}", list(dns)) }
    }
}

impl fmt::Display for ChildSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, suite, spi_in, spi_out, local_networks, remote_networks, .. } = self;
        write!(
            f,
            "Child SA {child} ({suite}, SPIs in {spi_in} out {spi_out}, {} to {})",
            local_networks.join(" "),
            remote_networks.join(" ")
        )
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets_in, packets_out, bytes_in, bytes_out } = self;
        write!(f, "{packets_in} packets ({bytes_in} bytes) in, {packets_out} packets ({bytes_out} bytes) out")
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, offered, acceptable, advice, .. } = self;
        f.write_str(&sentence(summary, offered.as_deref(), acceptable.as_deref(), advice))
    }
}
