//! What `status` and `sas` answer: the endpoint's knowledge with the data path's counters.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use sekisho_ike::Now;
use sekisho_ike::config::{self, Childless, Connection, Remote, Start};
use sekisho_ike::diagnosis::Diagnosis;
use sekisho_ike::event::{
    self, ChildSaId, ChildSaStatus, ConnectionState, ConnectionStatus, IkeSaRecord, NatStatus, TunnelId,
    TunnelStatus, Usage, until,
};
use sekisho_ike::negotiate::{TrafficSelector, in_words, left_out_in_words};

use crate::api::{
    Awaited, Child, ChildState, ConfiguredChild, Failed, IkeSa, NearMiss, PEERS_SHOWN, PacketSize, Peer,
    Timestamp, Tunnel, Unanswered,
};
use crate::config::{Config, local_to, start_word};
use crate::net::netlink::CutOff;

use super::books::sum;
use super::{cut_off, expiry};

fn failed((at, diagnosis): &(u64, Diagnosis)) -> Failed {
    Failed { at: *at, diagnosis: diagnosis.into() }
}

fn near_miss(miss: &event::NearMiss) -> NearMiss {
    NearMiss {
        remote: miss.remote,
        likeness: miss.likeness.code().to_owned(),
        times: miss.times,
        failed: Failed { at: miss.at, diagnosis: (&miss.diagnosis).into() },
    }
}

/// What has been carried, by Child SA, and by tunnel for those Child SAs that are gone.
pub(super) struct Counted<'a> {
    pub(super) live: &'a dyn Fn(ChildSaId) -> Usage,
    pub(super) ended: &'a BTreeMap<TunnelId, Usage>,
    /// What was sent by then and brought nothing back.
    pub(super) unanswered: &'a dyn Fn(ChildSaId, &Usage) -> Option<Unanswered>,
    pub(super) packets: &'a dyn Fn(&TunnelStatus) -> Option<PacketSize>,
    /// Networks that are blocked and protected by no tunnel.
    pub(super) stale: &'a BTreeSet<IpNet>,
    /// Networks that this machine is on and that a tunnel takes away.
    pub(super) cut_off: &'a [CutOff],
}

/// One tunnel as an operator sees it.
pub(super) fn tunnel(now: Now, status: &ConnectionStatus, config: &Config, counted: &Counted<'_>) -> Tunnel {
    let connection = &status.connection;
    let newest = status.tunnel();
    let ike_sa = newest.map(|tunnel| &tunnel.ike_sa);
    let traffic = status.tunnels.iter().map(|tunnel| traffic(tunnel, counted)).fold(Usage::default(), sum);
    let several = connection.remote_id.exact().is_none() || status.tunnels.len() > 1;
    let shown = status.tunnels.iter().filter(|_| several).take(PEERS_SHOWN);
    let expires = expiry::own(connection);
    let peer_expires = ike_sa.and_then(|sa| sa.remote_proof.not_after);
    Tunnel {
        name: connection.name.to_string(),
        state: status.state.into(),
        local_id: connection.local_id.to_string(),
        remote_id: connection.remote_id.to_string(),
        remote_hosts: hosts(connection),
        local: ike_sa.map(|sa| sa.path.local),
        remote: ike_sa.map(|sa| sa.path.remote),
        weak_psk: config.weak_psk.contains(&connection.name),
        certificate_begins: expiry::begins(connection, now.wall).map(Timestamp::from_unix),
        certificate_expires: expires.map(Timestamp::from_unix),
        certificate_days_left: expires.map(|at| expiry::days_left(at, now.wall)),
        peer_certificate_expires: peer_expires.map(Timestamp::from_unix),
        peer_certificate_days_left: peer_expires.map(|at| expiry::days_left(at, now.wall)),
        startable: startable(connection),
        attempts: status.attempts,
        next_try_in_s: status.next_try.map(|at| until(now, at).as_secs()),
        awaited: status.awaited.as_ref().map(|awaited| self::awaited(now, awaited)),
        last_failure: status.last_failure.as_ref().map(failed),
        failure_times: status.last_failure.as_ref().map_or(0, |_| status.failure_times),
        failure_from: status.failure_from,
        near_misses: status.near_misses.iter().map(near_miss).collect(),
        warnings: status.warnings.iter().map(failed).collect(),
        age_s: newest.map(|tunnel| now.boot.since(tunnel.established).as_secs()),
        ike: newest.map(|tunnel| self::ike_sa(now, tunnel)),
        packets: newest.and_then(counted.packets),
        children: newest.map(|tunnel| children(now, tunnel, counted)).unwrap_or_default(),
        configured_children: connection.children.iter().map(|child| configured(status, child)).collect(),
        blocked_local: local_to(&connection.children, counted.stale).map(|net| net.to_string()).collect(),
        cut_off: cut_off::by(config, counted.cut_off, connection),
        internal: newest.and_then(|tunnel| tunnel.inner.clone()).map(Into::into),
        peers_up: status.tunnels.len(),
        peers: shown.map(|tunnel| peer(now, tunnel, counted)).collect(),
        packets_in: traffic.packets_in,
        packets_out: traffic.packets_out,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
    }
}

fn awaited(now: Now, awaited: &event::Awaited) -> Awaited {
    match awaited {
        event::Awaited::Addresses(host) => Awaited::Addresses { host: host.clone() },
        event::Awaited::Answer { exchange, path, sent, since } => Awaited::Answer {
            exchange: exchange.to_string(),
            remote: path.remote,
            sent: *sent,
            for_s: now.boot.since(*since).as_secs(),
        },
        event::Awaited::Revocation => Awaited::Revocation,
    }
}

/// Of many peers each may come from anywhere.
fn hosts(connection: &Connection) -> Vec<String> {
    match &connection.remote {
        Remote::Hosts(hosts) if connection.remote_id.exact().is_some() => hosts.clone(),
        Remote::Hosts(_) | Remote::Any => Vec::new(),
    }
}

fn startable(connection: &Connection) -> bool {
    let called = matches!(&connection.remote, Remote::Hosts(hosts) if !hosts.is_empty());
    let ours = connection.children.iter().any(|child| child.start != Start::Listen);
    let childless = connection.childless != Childless::Never;
    connection.remote_id.exact().is_some() && called && (ours || childless)
}

fn peer(now: Now, tunnel: &TunnelStatus, counted: &Counted<'_>) -> Peer {
    let sa = &tunnel.ike_sa;
    let traffic = traffic(tunnel, counted);
    Peer {
        remote_id: sa.remote_id.to_string(),
        local: sa.path.local,
        remote: sa.path.remote,
        age_s: now.boot.since(tunnel.established).as_secs(),
        ike: ike_sa(now, tunnel),
        packets: (counted.packets)(tunnel),
        children: children(now, tunnel, counted),
        packets_in: traffic.packets_in,
        packets_out: traffic.packets_out,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
    }
}

/// What all Child SAs of a tunnel have carried, those that are gone included.
fn traffic(tunnel: &TunnelStatus, counted: &Counted<'_>) -> Usage {
    let ended = counted.ended.get(&tunnel.ike_sa.tunnel).copied().unwrap_or_default();
    tunnel.children.iter().map(|child_sa| (counted.live)(child_sa.id)).fold(ended, sum)
}

fn children(now: Now, tunnel: &TunnelStatus, counted: &Counted<'_>) -> Vec<Child> {
    tunnel.children.iter().map(|child_sa| child(now, child_sa, counted)).collect()
}

fn configured(status: &ConnectionStatus, child: &config::Child) -> ConfiguredChild {
    let texts = |list: &[TrafficSelector]| list.iter().map(ToString::to_string).collect();
    let (left_out_local, left_out_remote) = narrowed(status, child);
    let withheld = carrying(status, child).find_map(|sa| {
        let withheld = sa.withheld.as_deref()?;
        Some((in_words(&withheld.local, &sa.local), in_words(&withheld.remote, &sa.remote)))
    });
    let (withheld_local, withheld_remote) = withheld.unwrap_or_default();
    ConfiguredChild {
        name: child.name.to_string(),
        start: start_word(&status.connection, child).to_owned(),
        state: child_state(status, child),
        local: texts(&child.local),
        remote: texts(&child.remote),
        left_out_local,
        left_out_remote,
        withheld_local,
        withheld_remote,
    }
}

/// What of both sides of a child is not carried though it is up. Where an address takes the place of the networks, or each of
/// many peers has a part of them, that is nothing to tell of.
fn narrowed(status: &ConnectionStatus, child: &config::Child) -> (Vec<String>, Vec<String>) {
    let connection = &status.connection;
    let carried: Vec<_> = carrying(status, child).collect();
    let side =
        |whole: bool, configured: &[TrafficSelector], of: fn(&ChildSaStatus) -> &Vec<TrafficSelector>| {
            if !whole || carried.is_empty() {
                return Vec::new();
            }
            let carried: Vec<_> = carried.iter().flat_map(|sa| of(sa)).cloned().collect();
            left_out_in_words(configured, &carried)
        };
    let whole_remote = connection.pools.is_empty() && connection.remote_id.exact().is_some();
    (
        side(!connection.internal_address.is_asked(), &child.local, |sa| &sa.local),
        side(whole_remote, &child.remote, |sa| &sa.remote),
    )
}

/// The Child SAs of a child that are sent on, of the newest tunnel.
fn carrying<'a>(
    status: &'a ConnectionStatus,
    child: &'a config::Child,
) -> impl Iterator<Item = &'a ChildSaStatus> {
    let child_sas = status.tunnel().into_iter().flat_map(|tunnel| &tunnel.children);
    child_sas.filter(|sa| sa.sending && sa.child == child.name)
}

fn child_state(status: &ConnectionStatus, child: &config::Child) -> ChildState {
    let mut child_sas = status.tunnels.iter().flat_map(|tunnel| &tunnel.children);
    if child_sas.any(|child_sa| child_sa.sending && child_sa.child == child.name) {
        return ChildState::Up;
    }
    let waits = match child.start {
        _ if !status.connection.initiate => ChildState::Listening,
        Start::Listen => ChildState::Listening,
        Start::OnDemand => ChildState::Idle,
        Start::Always => ChildState::Connecting,
    };
    match status.state {
        ConnectionState::AdminDown => ChildState::Down,
        ConnectionState::Connecting if waits != ChildState::Listening => ChildState::Connecting,
        ConnectionState::BackOff if waits != ChildState::Listening => ChildState::Backoff,
        _ => waits,
    }
}

fn ike_sa(now: Now, tunnel: &TunnelStatus) -> IkeSa {
    let sa = &tunnel.ike_sa;
    let since = |at| now.boot.since(at).as_secs();
    let revocation = sa.remote_proof.revocation;
    IkeSa {
        suite: sa.suite.to_string(),
        spi_i: sa.spi_i.to_string(),
        spi_r: sa.spi_r.to_string(),
        initiator: sa.initiator,
        peer_auth: sa.remote_proof.method.clone(),
        peer_auth_note: sa.remote_proof.note.clone(),
        peer_certificate: sa.remote_proof.certificate.as_ref().map(|own| own.subject().to_string()),
        peer_certificate_expires: sa.remote_proof.not_after.map(Timestamp::from_unix),
        peer_revocation: revocation.map(|known| if known.good { "good" } else { "unknown" }.to_owned()),
        peer_revocation_checked: revocation.and_then(|known| known.checked).map(Timestamp::from_unix),
        peer_revocation_ends: tunnel.revocation_ends.map(Timestamp::from_unix),
        age_s: since(sa.established.boot),
        rekey_in_s: sa.rekey_at.map(|at| until(now, at).as_secs()),
        nat_here: sa.nat.here,
        nat_there: nat_there(sa),
        esp_in_udp: sa.nat.encapsulates(),
        esp_in_udp_configured: sa.nat.forced,
        last_answer_s: Some(since(tunnel.last_answer)),
        unanswered_for_s: tunnel.unanswered_since.map(since),
    }
}

/// A peer that asks for UDP encapsulation says of itself that it is behind a NAT. Its port shows some, and those of our kind say
/// what they do.
fn nat_there(sa: &IkeSaRecord) -> Option<bool> {
    let changed = ![500, 4500, sa.path.local.port()].contains(&sa.path.remote.port());
    match sa.nat {
        NatStatus { there: false, .. } | NatStatus { there_asks: true, .. } => Some(false),
        _ => changed.then_some(true),
    }
}

fn child(now: Now, child_sa: &ChildSaStatus, counted: &Counted<'_>) -> Child {
    let usage = (counted.live)(child_sa.id);
    Child {
        id: child_sa.id.0,
        name: child_sa.child.to_string(),
        spi_in: child_sa.spi_in.to_string(),
        spi_out: child_sa.spi_out.to_string(),
        suite: child_sa.suite.to_string(),
        pfs: child_sa.pfs.code().to_owned(),
        tfc_padding: child_sa.tfc_padding.code().to_owned(),
        local: child_sa.local.iter().map(ToString::to_string).collect(),
        remote: child_sa.remote.iter().map(ToString::to_string).collect(),
        age_s: now.boot.since(child_sa.established.boot).as_secs(),
        rekey_in_s: child_sa.rekey_at.map(|at| until(now, at).as_secs()),
        expires_in_s: until(now, child_sa.expires_at).as_secs(),
        sending: child_sa.sending,
        packets_in: usage.packets_in,
        packets_out: usage.packets_out,
        bytes_in: usage.bytes_in,
        bytes_out: usage.bytes_out,
        last_in_s: usage.last_in.map(|at| now.boot.since(at).as_secs()),
        unanswered: (counted.unanswered)(child_sa.id, &usage),
    }
}
