//! Which Child SAs are to stand, which wait for a packet, and how long a refused one waits (RFC 7296 §1.3.1).

use std::collections::{BTreeMap, BTreeSet};

use super::child_sa::{ChildPlace, ChildSa};
use super::context::Context;
use super::ike_sa::Exchange;
use super::tasks::Task;
use super::tunnel::Tunnel;
use crate::event::{ChildSaId, EndReason, Event, Trigger};
use crate::limits;
use crate::time::Instant;

/// What became of the configured children, by their place in [`crate::config::Connection::children`].
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// How often each was refused since it last stood, and until when it is not asked for again.
    refused: BTreeMap<usize, (u32, Instant)>,
    /// Those that ended because nothing passed: a packet brings them back.
    asleep: BTreeSet<usize>,
    /// The first packets that wait for them.
    packets: BTreeMap<usize, Box<Trigger>>,
}

impl Starts {
    /// This one stands.
    pub(super) fn stands(&mut self, index: usize) {
        self.refused.remove(&index);
        self.asleep.remove(&index);
        self.packets.remove(&index);
    }

    /// This packet waits for it, if none did before.
    pub(super) fn note_packet(&mut self, index: usize, packet: Option<Box<Trigger>>) {
        if let Some(packet) = packet {
            self.packets.entry(index).or_insert(packet);
        }
    }

    /// The packet that it is asked for now.
    pub(super) fn packet(&self, index: usize) -> Option<Box<Trigger>> {
        self.packets.get(&index).cloned()
    }
}

impl Tunnel {
    /// A packet, or an operator, asks for this child. What was refused is not asked for before its time.
    pub(crate) fn acquire(&mut self, ctx: &mut Context<'_>, index: usize, packet: Option<Box<Trigger>>) {
        if self.ended().is_some() || self.stands(index) || self.is_asking_for(index) {
            return;
        }
        self.starts.note_packet(index, packet);
        let at = self.starts.refused.get(&index).map_or(ctx.now.boot, |(_, at)| *at);
        self.tasks.push_later(Task::CreateChild(index), at, 0);
        self.start_tasks(ctx);
    }

    /// The peer set the tunnel up, and may set up less of it than we are to keep up.
    pub(crate) fn keep_children_up(&mut self, ctx: &mut Context<'_>) {
        if self.origin.initiated || self.ended().is_some() {
            return;
        }
        let connection = self.connection().clone();
        for index in connection.always() {
            if self.stands(index) {
                continue;
            }
            let wait = ctx.between(limits::CHILDREN_WAIT, limits::CHILDREN_WAIT * 2);
            self.tasks.push_later(Task::CreateChild(index), ctx.now.boot + wait, 0);
        }
    }

    /// A child was refused or lost: what is ours to keep up is set up again, the rest when somebody asks for it.
    pub(super) fn start_child_later(&mut self, ctx: &mut Context<'_>, index: usize) {
        self.starts.packets.remove(&index);
        let retry = self.connection().retry;
        let count = self.starts.refused.get(&index).map_or(0, |(count, _)| *count);
        let wait = retry.first.saturating_mul(1 << count.min(16)).min(retry.max);
        let at = ctx.now.boot + ctx.jitter(wait);
        self.starts.refused.insert(index, (count.saturating_add(1), at));
        if self.connection().always().any(|always| always == index) {
            self.tasks.push_later(Task::CreateChild(index), at, 0);
        }
    }

    /// A reading of this Child SA: a packet has passed, or none for longer than it is kept without.
    pub(super) fn check_activity(
        &mut self,
        ctx: &mut Context<'_>,
        id: ChildSaId,
        index: usize,
        growing: bool,
    ) {
        let now = ctx.now.boot;
        if growing {
            // Also the one that replaces it: the packets will come to that.
            let line = self.children.values_mut().filter(|child| child.index == index);
            return line.for_each(|child| child.active_at = now);
        }
        let limit = self.connection().children.get(index).and_then(|child| child.inactivity);
        let Some(child) = self.children.get_mut(&id).filter(|child| child.is_standing()) else { return };
        if limit.is_none_or(|limit| now.since(child.active_at) < limit) || child.reported {
            return;
        }
        // Nothing more passes on it: a packet that comes now is to bring a new one, not to be lost on this one.
        child.reported = true;
        child.place = ChildPlace::Deleting;
        ctx.output.event(Event::Retired { child_sa: id, reason: EndReason::Inactive });
        self.starts.asleep.insert(index);
        self.tasks.push(ctx, Task::DeleteChild(id));
    }

    /// Whether our request for this child is on its way.
    fn is_asking_for(&self, index: usize) -> bool {
        let outstanding = self.ike_sas.values().filter_map(|sa| sa.window.outstanding());
        outstanding.map(|o| &o.exchange).any(|exchange| match exchange {
            Exchange::Child { pending, .. } => pending.rekeys.is_none() && pending.index == index,
            _ => false,
        })
    }

    /// Whether this child is being asked for, or is as soon as the window is free.
    pub(crate) fn is_setting_up(&self, index: usize) -> bool {
        let queued = self.tasks.contains(&Task::CreateChild(index)) && !self.was_refused(index);
        queued || self.is_asking_for(index)
    }

    /// Whether a child is being asked for, or will be without anybody's doing.
    pub(crate) fn is_starting_child(&self) -> bool {
        let queued = self.tasks.iter().any(|queued| matches!(queued.task, Task::CreateChild(_)));
        queued || (0..self.connection().children.len()).any(|index| self.is_asking_for(index))
    }

    /// Whether something can pass, and all that is to stand does.
    pub(crate) fn is_whole(&self) -> bool {
        self.has_child() && !self.lacks_child()
    }

    /// Whether this child was refused since it last stood.
    pub(crate) fn was_refused(&self, index: usize) -> bool {
        self.starts.refused.contains_key(&index)
    }

    /// Whether a child that is to stand does not.
    pub(crate) fn lacks_child(&self) -> bool {
        let carries =
            |child: &ChildSa| child.is_standing() || matches!(child.place, ChildPlace::Replaced { .. });
        let there = |index| self.children.values().any(|child| child.index == index && carries(child));
        self.connection().always().any(|index| !self.starts.asleep.contains(&index) && !there(index))
    }
}
