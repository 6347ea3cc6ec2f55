//! Who may use the control socket: root, the daemon's own user, and the members of one group.

use nix::unistd::{Gid, Group, geteuid};

use crate::net::peer::Peer;

/// The rule, made once when the socket is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    own: u32,
    group: Option<Gid>,
}

impl Access {
    /// With the group of that name, if the machine has one.
    pub(super) fn of_group(name: &str) -> Self {
        let group = match Group::from_name(name) {
            Ok(group) => group.map(|group| group.gid),
            Err(error) => {
                tracing::warn!("the group `{name}` cannot be looked up: {error}");
                None
            }
        };
        if group.is_none() && !name.is_empty() {
            tracing::debug!("without a group `{name}` only root may use the control socket");
        }
        Self { own: geteuid().as_raw(), group }
    }

    /// The group that the socket shall have.
    pub(super) fn group(&self) -> Option<Gid> {
        self.group
    }

    /// After the socket could not be given to the group.
    pub(super) fn without_group(self) -> Self {
        Self { group: None, ..self }
    }

    /// The permissions of the socket do the same; this holds also where they were changed.
    pub(super) fn allows(&self, peer: &Peer) -> bool {
        let member = self.group.is_some_and(|group| peer.groups.contains(&group.as_raw()));
        peer.uid == 0 || peer.uid == self.own || member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_ourselves_and_the_group_may_and_nobody_else() {
        let access = Access { own: 990, group: Some(Gid::from_raw(77)) };
        let peer = |uid, groups: &[u32]| Peer { pid: 1, uid, groups: groups.to_vec() };
        assert!(access.allows(&peer(0, &[])));
        assert!(access.allows(&peer(990, &[990])));
        assert!(access.allows(&peer(1000, &[1000, 4, 77])));
        assert!(!access.allows(&peer(1000, &[1000, 4])));
        assert!(!access.without_group().allows(&peer(1000, &[1000, 4, 77])));
    }
}
