//! What `status` and `sas` answer: the endpoint's knowledge with the data path's counters.

use std::collections::BTreeMap;

use sekisho_ike::Now;
use sekisho_ike::diagnosis::Diagnosis;
use sekisho_ike::event::{ChildSaId, ChildSaStatus, ConnectionStatus, IkeSaRecord, TunnelId, Usage, until};

use crate::api::{Child, Failed, IkeSa, Timestamp, Tunnel};
use crate::config::Config;

use super::expiry;

fn failed((at, diagnosis): &(u64, Diagnosis)) -> Failed {
    Failed { at: *at, diagnosis: diagnosis.into() }
}

/// What has been carried, by Child SA, and by tunnel for those Child SAs that are gone.
pub(super) struct Counted<'a> {
    pub(super) live: &'a dyn Fn(ChildSaId) -> Usage,
    pub(super) ended: &'a BTreeMap<TunnelId, Usage>,
}

/// One tunnel as an operator sees it.
pub(super) fn tunnel(now: Now, status: &ConnectionStatus, config: &Config, counted: &Counted<'_>) -> Tunnel {
    let connection = &status.connection;
    let children: Vec<Child> = status
        .tunnel()
        .into_iter()
        .flat_map(|tunnel| &tunnel.children)
        .map(|child_sa| child(now, child_sa, (counted.live)(child_sa.id)))
        .collect();
    let ike_sa = status.tunnel().map(|tunnel| &tunnel.ike_sa);
    let ended = ike_sa.and_then(|sa| counted.ended.get(&sa.tunnel)).copied().unwrap_or_default();
    let sum = |ended: u64, of: fn(&Child) -> u64| children.iter().map(of).fold(ended, u64::saturating_add);
    let expires = expiry::own(connection);
    let peer_expires = ike_sa.and_then(|sa| sa.remote_proof.not_after);
    Tunnel {
        name: connection.name.to_string(),
        state: status.state.into(),
        local_id: connection.local_id.to_string(),
        remote_id: connection.remote_id.to_string(),
        local: ike_sa.map(|sa| sa.path.local),
        remote: ike_sa.map(|sa| sa.path.remote),
        weak_psk: config.weak_psk.contains(&connection.name),
        certificate_expires: expires.map(Timestamp::from_unix),
        certificate_days_left: expires.map(|at| expiry::days_left(at, now.wall)),
        peer_certificate_expires: peer_expires.map(Timestamp::from_unix),
        peer_certificate_days_left: peer_expires.map(|at| expiry::days_left(at, now.wall)),
        attempts: status.attempts,
        next_try_in_s: status.next_try.map(|at| until(now, at).as_secs()),
        last_failure: status.last_failure.as_ref().map(failed),
        warnings: status.warnings.iter().map(failed).collect(),
        age_s: status.tunnel().map(|tunnel| now.boot.since(tunnel.established).as_secs()),
        ike: ike_sa.map(|sa| self::ike_sa(now, sa)),
        internal: status.tunnel().and_then(|tunnel| tunnel.inner.clone()).map(Into::into),
        packets_in: sum(ended.packets_in, |child| child.packets_in),
        packets_out: sum(ended.packets_out, |child| child.packets_out),
        bytes_in: sum(ended.bytes_in, |child| child.bytes_in),
        bytes_out: sum(ended.bytes_out, |child| child.bytes_out),
        children,
    }
}

fn ike_sa(now: Now, sa: &IkeSaRecord) -> IkeSa {
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
        peer_revocation_checked: revocation.map(|known| Timestamp::from_unix(known.checked)),
        age_s: now.boot.since(sa.established.boot).as_secs(),
        rekey_in_s: sa.rekey_at.map(|at| until(now, at).as_secs()),
        nat_here: sa.nat.here,
        nat_there: sa.nat.there,
    }
}

fn child(now: Now, child_sa: &ChildSaStatus, usage: Usage) -> Child {
    Child {
        id: child_sa.id.0,
        name: child_sa.child.to_string(),
        spi_in: child_sa.spi_in.to_string(),
        spi_out: child_sa.spi_out.to_string(),
        suite: child_sa.suite.to_string(),
        pfs: child_sa.pfs.code().to_owned(),
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
    }
}
