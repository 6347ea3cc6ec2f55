//! Two tunnels for one connection: the older one goes, unless both ends set one up at once (RFC 7296 §2.4, §2.8).

use super::Endpoint;
use super::managed::Managed;
use crate::config::{Name, Uniqueness};
use crate::event::{EndReason, TunnelId};
use crate::sa::Tunnel;
use crate::time::Now;

/// What becomes of two tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settlement {
    /// The peer has no older one any more: it goes without a word.
    ForgetOlder,
    /// The older one is replaced.
    DeleteOlder,
    /// Both were set up at once: this one goes, deleted by the end that initiated it.
    Loser(TunnelId),
}

impl Endpoint {
    /// `new` was set up just now.
    pub(super) fn settle_duplicates(&mut self, now: Now, new: TunnelId, name: &Name, initial_contact: bool) {
        let Some(managed) = self.connections.get(name) else { return };
        if managed.config.unique == Uniqueness::Never {
            return self.abandon_needless_attempt(name);
        }
        let Some(peer) = managed.tunnels.peer(new) else { return };
        let older: Vec<TunnelId> = managed.tunnels.of(peer).filter(|id| *id != new).collect();
        for id in older {
            let (Some(a), Some(b)) = (self.tunnels.get(&id), self.tunnels.get(&new)) else { continue };
            match settle(a, b, initial_contact) {
                Settlement::ForgetOlder => {
                    self.replace(now, id, name, |t, ctx| t.forget(ctx, EndReason::Replaced));
                }
                Settlement::DeleteOlder => {
                    self.replace(now, id, name, |t, ctx| t.delete(ctx, EndReason::Replaced));
                }
                Settlement::Loser(loser) => {
                    // "closed by the endpoint that created it".
                    if self.tunnels.get(&loser).is_some_and(|t| t.origin.initiated) {
                        self.replace(now, loser, name, |t, ctx| t.delete(ctx, EndReason::Replaced));
                    }
                }
            }
        }
        self.abandon_needless_attempt(name);
    }

    fn replace(
        &mut self,
        now: Now,
        id: TunnelId,
        name: &Name,
        end: impl FnOnce(&mut Tunnel, &mut crate::sa::Context<'_>),
    ) {
        if let Some(managed) = self.connections.get_mut(name) {
            managed.forget(id);
        }
        self.with_tunnel(now, id, end);
    }

    /// Our own attempt is not needed any more. While the peer has no proof of ours it cannot have a tunnel from it,
    /// so it may be dropped; later it is carried through, and the nonces decide.
    fn abandon_needless_attempt(&mut self, name: &Name) {
        let trying = self.connections.get(name).and_then(Managed::trying);
        let needless = match trying {
            Some(spi) => self.attempts.get(&spi).is_some_and(crate::sa::Attempt::can_be_abandoned),
            None => true,
        };
        if needless {
            self.abandon_attempt(name);
        }
    }
}

/// `INITIAL_CONTACT` "asserts that this IKE SA is the only IKE SA currently active between the authenticated
/// identities"; it was sent before an SA set up in the same instant was known, and does not speak of that one.
fn settle(older: &Tunnel, new: &Tunnel, initial_contact: bool) -> Settlement {
    let (a, b) = (&older.origin, &new.origin);
    let at_once = a.initiated != b.initiated && a.started <= b.established && b.started <= a.established;
    match (at_once, initial_contact) {
        (true, _) if a.lowest_nonce < b.lowest_nonce => Settlement::Loser(older.id),
        (true, _) => Settlement::Loser(new.id),
        (false, true) => Settlement::ForgetOlder,
        (false, false) => Settlement::DeleteOlder,
    }
}
