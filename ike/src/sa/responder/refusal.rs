//! A peer that is refused: what it is told, and what the operator is (RFC 7296 §2.21.1, §2.21.2).

use std::sync::Arc;

use super::Directory;
use crate::config::Connection;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::exchange::AuthRequest;
use crate::identity::Identity;
use crate::wire::{Notify, NotifyType};

/// Why a peer is refused.
pub(crate) struct Refusal {
    /// What it is told.
    pub(super) notify: Notify,
    /// Whose peer it is, if it named itself.
    pub(crate) connection: Option<Arc<Connection>>,
    /// Where no connection is for the peer: one that it perhaps means.
    pub(crate) meant: Option<Arc<Connection>>,
    /// The peer that has a tunnel already, if that is why.
    pub(crate) rival: Option<Identity>,
    pub(crate) diagnosis: Box<Diagnosis>,
}

impl Refusal {
    /// Of a peer that has not named itself.
    pub(super) fn nameless(notify: Notify, diagnosis: Diagnosis) -> Self {
        Self { notify, connection: None, meant: None, rival: None, diagnosis: Box::new(diagnosis) }
    }

    pub(super) fn new(kind: NotifyType, connection: Arc<Connection>, diagnosis: Diagnosis) -> Self {
        Self { connection: Some(connection), ..Self::nameless(Notify::new(kind, []), diagnosis) }
    }

    /// Of a peer with whose identities no connection is.
    pub(super) fn unknown(directory: &dyn Directory, request: &AuthRequest) -> Self {
        let meant = directory.meant(&request.id_i);
        let identities = directory.identities(meant.as_deref());
        let diagnosis = diagnose::unknown_identity(&request.id_i, request.id_r.as_ref(), &identities);
        let notify = Notify::new(NotifyType::AUTHENTICATION_FAILED, []);
        Self { meant, ..Self::nameless(notify, diagnosis) }
    }
}
