//! What is up, for the records: an SA's end is recorded with who it was and what it carried.

use std::collections::BTreeMap;

use sekisho_ike::Instant;
use sekisho_ike::event::{ChildSaId, ChildSaParameters, EndReason, IkeSaRecord, TunnelId, Usage};

use crate::api::Unanswered;
use crate::telemetry::{ChildSa, ChildSaEnd, Fact, IkeSa, IkeSaEnd};

use super::silence::Silence;

/// The SAs that stand.
#[derive(Debug, Default)]
pub(super) struct Books {
    tunnels: BTreeMap<TunnelId, IkeSa>,
    children: BTreeMap<ChildSaId, Installed>,
    /// What those Child SAs carried that are gone, of tunnels that stand.
    ended: BTreeMap<TunnelId, Usage>,
}

/// A Child SA of the data path.
#[derive(Debug)]
struct Installed {
    tunnel: TunnelId,
    sa: ChildSa,
    replaces: Option<ChildSaId>,
    replaced_by: Option<ChildSaId>,
    silence: Silence,
}

impl Books {
    /// The Child SAs of the data path.
    pub(super) fn installed(&self) -> impl Iterator<Item = ChildSaId> {
        self.children.keys().copied()
    }

    /// What ended Child SAs of standing tunnels carried.
    pub(super) fn ended(&self) -> &BTreeMap<TunnelId, Usage> {
        &self.ended
    }

    /// What a Child SA has carried until now.
    pub(super) fn read(&mut self, now: Instant, child_sa: ChildSaId, usage: &Usage) {
        let Some(installed) = self.children.get_mut(&child_sa) else { return };
        if installed.silence.read(now, usage)
            && let Some(successor) = installed.replaced_by
            && let Some(successor) = self.children.get_mut(&successor)
        {
            successor.silence.end();
        }
    }

    /// What was sent on it and brought nothing back, if that is worth a look.
    pub(super) fn unanswered(&self, now: Instant, child_sa: ChildSaId, usage: &Usage) -> Option<Unanswered> {
        self.children.get(&child_sa)?.silence.unanswered(now, usage)
    }

    /// Which one a Child SA replaces.
    pub(super) fn replaces(&self, child_sa: ChildSaId) -> Option<ChildSaId> {
        self.children.get(&child_sa)?.replaces
    }

    pub(super) fn tunnel_up(&mut self, record: &IkeSaRecord) -> Fact {
        self.tunnels.insert(record.tunnel, record.into());
        self.ended.entry(record.tunnel).or_default();
        Fact::TunnelUp(record.into())
    }

    pub(super) fn ike_sa_rekeyed(&mut self, record: &IkeSaRecord) -> Fact {
        self.tunnels.insert(record.tunnel, record.into());
        Fact::IkeSaRekeyed(record.into())
    }

    /// `None` if the tunnel never stood.
    pub(super) fn tunnel_down(&mut self, tunnel: TunnelId, reason: &EndReason) -> Option<Fact> {
        let traffic = self.ended.remove(&tunnel).unwrap_or_default().into();
        let sa = self.tunnels.remove(&tunnel)?;
        Some(Fact::TunnelDown(IkeSaEnd { sa, end: reason.into(), traffic }))
    }

    pub(super) fn child_up(&mut self, child: &ChildSaParameters) -> Fact {
        let (tunnel, sa, replaces) = (child.tunnel, ChildSa::from(child), child.replaces);
        let mut silence = Silence::default();
        if let Some(old) = replaces.and_then(|old| self.children.get_mut(&old)) {
            old.replaced_by = Some(child.id);
            silence = old.silence.handed_on();
        }
        let installed = Installed { tunnel, sa: sa.clone(), replaces, replaced_by: None, silence };
        self.children.insert(child.id, installed);
        Fact::ChildSaUp(sa)
    }

    pub(super) fn child_sending(&self, child_sa: ChildSaId) -> Option<Fact> {
        Some(Fact::ChildSaSending(self.children.get(&child_sa)?.sa.clone()))
    }

    pub(super) fn child_down(
        &mut self,
        child_sa: ChildSaId,
        usage: Usage,
        reason: &EndReason,
    ) -> Option<Fact> {
        let Installed { tunnel, sa, .. } = self.children.remove(&child_sa)?;
        let ended = self.ended.entry(tunnel).or_default();
        *ended = sum(*ended, usage);
        Some(Fact::ChildSaDown(ChildSaEnd { sa, end: reason.into(), traffic: usage.into() }))
    }

    /// The name of a tunnel that stands, and its peer.
    pub(super) fn tunnel(&self, tunnel: TunnelId) -> Option<(&str, &str)> {
        self.tunnels.get(&tunnel).map(|sa| (sa.tunnel.as_str(), sa.remote_id.as_str()))
    }

    pub(super) fn path_changed(&mut self, tunnel: TunnelId, path: sekisho_ike::Path) -> Option<Fact> {
        let sa = self.tunnels.get_mut(&tunnel)?;
        (sa.local, sa.remote) = (path.local, path.remote);
        Some(Fact::PathChanged {
            tunnel: sa.tunnel.clone(),
            remote_id: sa.remote_id.clone(),
            local: path.local,
            remote: path.remote,
        })
    }
}

/// What two have carried.
pub(super) fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        packets_in: a.packets_in.saturating_add(b.packets_in),
        packets_out: a.packets_out.saturating_add(b.packets_out),
        bytes_in: a.bytes_in.saturating_add(b.bytes_in),
        bytes_out: a.bytes_out.saturating_add(b.bytes_out),
        last_in: a.last_in.max(b.last_in),
    }
}
