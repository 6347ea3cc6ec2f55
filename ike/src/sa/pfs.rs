//! Whether the peer agrees to the key exchange of Child SA rekeys, found out early (RFC 7296 §1.2, §2.17).
//!
//! The Child SA of `IKE_AUTH` has no key exchange of its own, so a disagreement about it would only show at its first rekey,
//! hours later. After the first start of a tunnel its initiator rekeys it soon. If that is refused, the standing Child SA
//! goes on until its end, and the operator has until then.

use super::child_sa::ChildSa;
use super::context::Context;
use super::tasks::Task;
use super::tunnel::Tunnel;
use crate::config::Connection;
use crate::diagnosis::Diagnosis;
use crate::event::ChildSaId;
use crate::limits;

/// What was found out about a configured child, by its place.
#[derive(Debug)]
pub(crate) enum PfsFinding {
    /// The peer is asked.
    Asked(usize),
    /// Both ends agree: on a key exchange, or on none.
    Agreed(usize),
    /// One end refuses; `told` if the shell was told of it already.
    Refused { index: usize, diagnosis: Box<Diagnosis>, told: bool },
}

/// Whether a key exchange is configured for its rekeys.
pub(crate) fn is_wanted(connection: &Connection, index: usize) -> bool {
    let proposals = connection.children.get(index).map(|child| &child.proposals);
    proposals.is_some_and(|proposals| proposals.iter().any(|proposal| !proposal.groups.is_empty()))
}

impl Tunnel {
    /// Has those first Child SAs rekeyed soon for which this is `open`.
    pub(crate) fn prove_pfs(&mut self, ctx: &mut Context<'_>, open: impl Fn(usize) -> bool) {
        if self.ended().is_some() {
            return;
        }
        let connection = self.connection().clone();
        let unproven = |c: &&mut Box<ChildSa>| c.first && c.is_standing() && c.suite.group.is_none();
        for child in self.children.values_mut().filter(unproven) {
            let wait = ctx.between(limits::PFS_PROBE_WAIT, limits::PFS_PROBE_WAIT * 3 / 2);
            let at = ctx.now.boot + wait;
            if open(child.index)
                && is_wanted(&connection, child.index)
                && child.rekey_at.is_some_and(|due| at < due)
            {
                child.rekey_at = Some(at);
                child.proves_pfs = true;
            }
        }
    }

    /// An operator wants this Child SA replaced, and hears if that fails.
    pub(crate) fn rekey_by_order(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        if let Some(child) = self.children.get_mut(&id) {
            child.proves_pfs = false;
        }
        self.ask(ctx, Task::RekeyChild(id));
    }

    /// The rekey of this Child SA is sent.
    pub(super) fn pfs_asked(&mut self, id: ChildSaId) {
        if let Some(child) = self.children.get(&id).filter(|child| child.proves_pfs) {
            self.pfs_findings.push(PfsFinding::Asked(child.index));
        }
    }

    /// `CREATE_CHILD_SA` has made a Child SA.
    pub(super) fn pfs_agreed(&mut self, index: usize) {
        self.pfs_findings.push(PfsFinding::Agreed(index));
    }

    /// The peer refused to replace this Child SA. Whether that was to be found out, and is no failure yet.
    pub(super) fn pfs_refused(&mut self, id: ChildSaId, diagnosis: &Diagnosis) -> bool {
        let Some(child) = self.children.get_mut(&id) else { return false };
        let was_asked = std::mem::take(&mut child.proves_pfs);
        let (index, diagnosis) = (child.index, Box::new(diagnosis.clone()));
        self.pfs_findings.push(PfsFinding::Refused { index, diagnosis, told: !was_asked });
        was_asked
    }

    /// We refused to replace this Child SA, and have told the shell.
    pub(super) fn pfs_refused_here(&mut self, index: usize, diagnosis: &Diagnosis) {
        let diagnosis = Box::new(diagnosis.clone());
        self.pfs_findings.push(PfsFinding::Refused { index, diagnosis, told: true });
    }

    /// What was found out since the last call.
    pub(crate) fn take_pfs_findings(&mut self) -> Vec<PfsFinding> {
        std::mem::take(&mut self.pfs_findings)
    }
}
