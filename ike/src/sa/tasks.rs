//! What we want to do and cannot do at once: the window holds one request (RFC 7296 §2.3).

use std::collections::VecDeque;

use super::child_exchange::PendingChild;
use super::child_sa::ChildPlace;
use super::context::Context;
use super::ike_sa::{Exchange, Place};
use super::tunnel::Tunnel;
use crate::event::ChildSaId;
use crate::exchange::{CreateChildRequest, Informational};
use crate::limits;
use crate::suite::Group;
use crate::time::Instant;
use crate::wire::{ExchangeType, IkeSpi};

/// One exchange to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A Child SA as configured at this place, unless one stands.
    CreateChild(usize),
    /// A new Child SA in place of this one.
    RekeyChild(ChildSaId),
    /// The end of this Child SA, which is ours to delete.
    DeleteChild(ChildSaId),
    /// The end of this Child SA, or of the one that has replaced it by then: the operator's wish.
    EndChild(ChildSaId),
    /// A new IKE SA in place of the present one.
    RekeyIke,
    /// The end of this IKE SA.
    DeleteIke(IkeSpi),
    /// Is the peer there?
    Probe,
}

/// A task, when it may begin, and what earlier attempts have taught.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) task: Task,
    not_before: Instant,
    /// How often the peer has put it off.
    pub(super) put_off: u32,
    /// The group that the peer insists on.
    pub(super) group: Option<Group>,
}

/// Tasks in the order they came, none twice.
#[derive(Debug, Default)]
pub(crate) struct TaskQueue(VecDeque<Queued>);

impl TaskQueue {
    /// As soon as the window is free.
    pub(crate) fn push(&mut self, ctx: &Context<'_>, task: Task) {
        self.push_at(Queued { task, not_before: ctx.now.boot, put_off: 0, group: None });
    }

    /// Not before `at`.
    pub(super) fn push_later(&mut self, task: Task, at: Instant, put_off: u32) {
        self.push_at(Queued { task, not_before: at, put_off, group: None });
    }

    /// At once, with the group that the peer asked for.
    pub(super) fn push_with_group(&mut self, ctx: &Context<'_>, task: Task, group: Group) {
        self.push_at(Queued { task, not_before: ctx.now.boot, put_off: 0, group: Some(group) });
    }

    fn push_at(&mut self, queued: Queued) {
        if let Some(have) = self.0.iter_mut().find(|have| have.task == queued.task) {
            have.not_before = have.not_before.min(queued.not_before);
        } else if self.0.len() < limits::TASKS {
            self.0.push_back(queued);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn contains(&self, task: &Task) -> bool {
        self.0.iter().any(|queued| queued.task == *task)
    }

    fn take_first(&mut self, mut ready: impl FnMut(&Queued) -> bool) -> Option<Queued> {
        let position = self.0.iter().position(&mut ready)?;
        self.0.remove(position)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.0.iter()
    }
}

impl Tunnel {
    /// Does this as soon as the window is free.
    pub(crate) fn ask(&mut self, ctx: &mut Context<'_>, task: Task) {
        if self.ended().is_none() {
            self.tasks.push(ctx, task);
            self.start_tasks(ctx);
        }
    }

    /// Begins every task that can begin now.
    pub(crate) fn start_tasks(&mut self, ctx: &mut Context<'_>) {
        let mut tasks = std::mem::take(&mut self.tasks);
        while let Some(queued) =
            tasks.take_first(|q| q.not_before <= ctx.now.boot && self.is_free_for(&q.task))
        {
            // A task may queue others, itself among them.
            std::mem::swap(&mut tasks, &mut self.tasks);
            self.start(ctx, &queued);
            std::mem::swap(&mut tasks, &mut self.tasks);
        }
        self.tasks = tasks;
    }

    /// When the first task may begin that only waits for the time.
    pub(super) fn next_task_at(&self) -> Option<Instant> {
        self.tasks.iter().filter(|q| self.is_free_for(&q.task)).map(|q| q.not_before).min()
    }

    /// When a refused Child SA is asked for again.
    pub(crate) fn next_child_try(&self) -> Option<Instant> {
        let create = |queued: &&Queued| matches!(queued.task, Task::CreateChild(_));
        self.tasks.iter().filter(create).map(|queued| queued.not_before).min()
    }

    fn is_free_for(&self, task: &Task) -> bool {
        let ike_sa = match task {
            Task::DeleteIke(spi) => self.ike_sas.get(spi),
            _ => self.current().filter(|sa| sa.place == Place::Current),
        };
        // The task of an IKE SA that is gone is "free": starting it drops it.
        ike_sa.map_or(matches!(task, Task::DeleteIke(_)), |sa| sa.window.free().is_some())
    }

    fn start(&mut self, ctx: &mut Context<'_>, queued: &Queued) {
        match queued.task {
            Task::CreateChild(index) => {
                if !self.children.values().any(|c| c.index == index && c.is_standing()) {
                    self.start_child(ctx, index, None, queued);
                }
            }
            Task::RekeyChild(id) if self.is_unconfirmed(id) => {
                let later = ctx.now.boot + limits::TEMPORARY_FAILURE_WAIT;
                self.tasks.push_later(Task::RekeyChild(id), later, queued.put_off);
            }
            Task::RekeyChild(id) => match self.children.get(&id) {
                Some(child) if child.is_standing() => self.start_child(ctx, child.index, Some(id), queued),
                _ => {}
            },
            Task::DeleteChild(id) => self.start_delete_child(ctx, id),
            Task::EndChild(id) => self.start_end_child(ctx, id),
            Task::RekeyIke => self.start_rekey_ike(ctx, queued),
            Task::DeleteIke(spi) => {
                let payloads = Informational { delete_ike: true, ..Informational::default() }.write();
                self.send_request(ctx, spi, ExchangeType::INFORMATIONAL, &payloads, Exchange::DeleteIke);
            }
            Task::Probe => {
                self.send_request(ctx, self.current, ExchangeType::INFORMATIONAL, &[], Exchange::Probe);
            }
        }
    }

    fn start_child(
        &mut self,
        ctx: &mut Context<'_>,
        index: usize,
        rekeys: Option<ChildSaId>,
        queued: &Queued,
    ) {
        let connection = self.connection().clone();
        let Some(config) = connection.children.get(index) else { return };
        let first = config.proposals.iter().find_map(|p| p.groups.first()).copied();
        let pending = match PendingChild::begin(ctx, index, rekeys, queued.group.or(first)) {
            Ok(pending) => pending,
            Err(diagnosis) => return self.fail(diagnosis),
        };
        let old = rekeys.and_then(|id| self.children.get_mut(&id)).map(|child| {
            child.rekey_at = None;
            child.spi_in()
        });
        let payloads = CreateChildRequest::Child(pending.request(config, old)).write();
        let exchange =
            Exchange::Child { pending: Box::new(pending), collision: None, put_off: queued.put_off };
        self.send_request(ctx, self.current, ExchangeType::CREATE_CHILD_SA, &payloads, exchange);
    }

    fn start_delete_child(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if matches!(child.place, ChildPlace::Retired { .. }) {
            return;
        }
        child.place = ChildPlace::Deleting;
        let delete_esp = vec![child.spi_in()];
        let payloads = Informational { delete_esp, ..Informational::default() }.write();
        let exchange = Exchange::DeleteChildren(vec![id]);
        self.send_request(ctx, self.current, ExchangeType::INFORMATIONAL, &payloads, exchange);
    }

    fn start_end_child(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        let Some(child) = self.children.get(&id) else { return };
        match (child.place, child.replaced_by) {
            (ChildPlace::Standing, _) => self.start_delete_child(ctx, id),
            (ChildPlace::Retired { .. }, Some(newer)) => self.tasks.push(ctx, Task::EndChild(newer)),
            // The newest is meant, but the peer may not have it yet while this one is not deleted.
            (ChildPlace::Replaced { .. } | ChildPlace::Deleting, Some(_)) => {
                let later = ctx.now.boot + limits::TEMPORARY_FAILURE_WAIT;
                self.tasks.push_later(Task::EndChild(id), later, 0);
            }
            _ => {}
        }
    }
}
