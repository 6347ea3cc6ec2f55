//! What we want to do and cannot do at once: the window holds one request (RFC 7296 §2.3).

use std::collections::VecDeque;

use super::child_exchange::PendingChild;
use super::child_sa::ChildPlace;
use super::context::{Context, JobOwner};
use super::ike_sa::{Exchange, IkeSa, Place};
use super::share::Share;
use super::tunnel::Tunnel;
use crate::crypto::ActiveKeyExchange;
use crate::diagnose;
use crate::event::{ChildSaId, JobId};
use crate::exchange::{CreateChildRequest, Informational};
use crate::limits;
use crate::suite::Group;
use crate::time::Instant;
use crate::wire::{EspSpi, ExchangeType, IkeSpi};
use crate::work::Work;

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
    /// The end of a Child SA that the peer has made with this SPI of ours, and we have not: SAs "always exist in pairs"
    /// (RFC 7296 §1.4.1).
    DeclineChild(EspSpi),
    /// A new IKE SA in place of the present one.
    RekeyIke,
    /// The end of this IKE SA.
    DeleteIke(IkeSpi),
    /// Is the peer there?
    Probe,
    /// How large are the packets that get there?
    ProbePath,
}

/// A task, when it may begin, and what earlier attempts have taught.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) task: Task,
    not_before: Instant,
    /// How often the peer has put it off.
    pub(super) put_off: u32,
    /// The group that the peer insists on.
    pub(super) group: Option<Group>,
    /// Our half of its key exchange, if it has one.
    half: Half,
}

/// Our half of a key exchange that is to begin.
#[derive(Debug)]
enum Half {
    Missing,
    Computing(JobId),
    Ready(Share),
}

impl Queued {
    fn new(task: Task, not_before: Instant, put_off: u32, group: Option<Group>) -> Self {
        Self { task, not_before, put_off, group, half: Half::Missing }
    }

    /// Our half of the key exchange, if it is ready.
    pub(super) fn into_share(self) -> Option<Share> {
        match self.half {
            Half::Ready(share) => Some(share),
            Half::Missing | Half::Computing(_) => None,
        }
    }

    fn is_computing(&self) -> bool {
        matches!(self.half, Half::Computing(_))
    }
}

/// Tasks in the order they came, none twice.
#[derive(Debug, Default)]
pub(crate) struct TaskQueue(VecDeque<Queued>);

impl TaskQueue {
    /// As soon as the window is free.
    pub(crate) fn push(&mut self, ctx: &Context<'_>, task: Task) {
        self.push_at(Queued::new(task, ctx.now.boot, 0, None));
    }

    /// Not before `at`.
    pub(super) fn push_later(&mut self, task: Task, at: Instant, put_off: u32) {
        self.push_at(Queued::new(task, at, put_off, None));
    }

    /// At once, with the group that the peer asked for.
    pub(super) fn push_with_group(&mut self, ctx: &Context<'_>, task: Task, group: Group) {
        self.push_at(Queued::new(task, ctx.now.boot, 0, Some(group)));
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

    /// The job that was to begin the key exchange of a task was lost: it is tried again, not before `at`.
    pub(super) fn half_lost(&mut self, job: JobId, at: Instant) {
        let waits = |q: &&mut Queued| matches!(q.half, Half::Computing(have) if have == job);
        if let Some(queued) = self.0.iter_mut().find(waits) {
            queued.half = Half::Missing;
            queued.not_before = at;
        }
    }

    /// Gives the task whose key exchange is being begun by this job our half of it.
    fn begun(&mut self, job: JobId, half: Box<dyn ActiveKeyExchange>) {
        let waits = |q: &&mut Queued| matches!(q.half, Half::Computing(have) if have == job);
        if let Some(queued) = self.0.iter_mut().find(waits) {
            queued.half = Half::Ready(Share::Sent(half));
        }
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
        let now = ctx.now.boot;
        let due = |t: &Self| t.tasks.iter().position(|q| q.not_before <= now && t.can_begin(q));
        while let Some(position) = due(self)
            && let Some(mut queued) = self.tasks.0.remove(position)
        {
            match self.missing_half(&queued) {
                Some(group) => match self.begin_key_exchange(ctx, group) {
                    Some(job) => {
                        queued.half = Half::Computing(job);
                        self.tasks.0.insert(position, queued);
                    }
                    None => self.fail(diagnose::local("no private value could be drawn")),
                },
                None => self.start(ctx, queued),
            }
        }
    }

    /// The group of the key exchange that this task begins with, unless our half of it is ready.
    fn missing_half(&self, queued: &Queued) -> Option<Group> {
        if !matches!(queued.half, Half::Missing) {
            return None;
        }
        let of_child = |index: usize| {
            let proposals = &self.connection().children.get(index)?.proposals;
            queued.group.or_else(|| proposals.iter().find_map(|p| p.groups.first()).copied())
        };
        match queued.task {
            Task::CreateChild(index) if !self.stands(index) => of_child(index),
            Task::RekeyChild(id) if !self.is_unconfirmed(id) => {
                of_child(self.children.get(&id).filter(|child| child.is_standing())?.index)
            }
            // The group that was good before is the one that the peer surely has.
            Task::RekeyIke => queued.group.or_else(|| self.current().map(|sa| sa.suite.group)),
            _ => None,
        }
    }

    fn begin_key_exchange(&self, ctx: &mut Context<'_>, group: Group) -> Option<JobId> {
        let private = ctx.provider.key_exchange.draw(group, ctx.random).ok()?;
        Some(ctx.work(JobOwner::Tunnel(self.id), Work::begin(private)))
    }

    /// Our half of the key exchange that a task begins with is ready.
    pub(super) fn key_exchange_begun(
        &mut self,
        ctx: &mut Context<'_>,
        job: JobId,
        half: Box<dyn ActiveKeyExchange>,
    ) {
        self.tasks.begun(job, half);
        self.start_tasks(ctx);
    }

    /// Whether the Child SA configured at this place stands.
    pub(super) fn stands(&self, index: usize) -> bool {
        self.children.values().any(|c| c.index == index && c.is_standing())
    }

    /// When the first task may begin that only waits for the time.
    pub(super) fn next_task_at(&self) -> Option<Instant> {
        self.tasks.iter().filter(|q| self.can_begin(q)).map(|q| q.not_before).min()
    }

    /// When a refused Child SA is asked for again.
    pub(crate) fn next_child_try(&self) -> Option<Instant> {
        let create = |queued: &&Queued| matches!(queued.task, Task::CreateChild(_));
        self.tasks.iter().filter(create).map(|queued| queued.not_before).min()
    }

    /// Whether nothing but the time stands in its way.
    fn can_begin(&self, queued: &Queued) -> bool {
        let ike_sa = match &queued.task {
            Task::DeleteIke(spi) => self.ike_sas.get(spi).map(Box::as_ref),
            _ => self.current().filter(|sa| sa.place == Place::Current),
        };
        // The task of an IKE SA that is gone is "free": starting it drops it.
        let free = |sa: &IkeSa| sa.window.free().is_some();
        !queued.is_computing() && ike_sa.map_or(matches!(queued.task, Task::DeleteIke(_)), free)
    }

    fn start(&mut self, ctx: &mut Context<'_>, queued: Queued) {
        match queued.task {
            Task::CreateChild(index) => {
                if !self.stands(index) {
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
            Task::DeclineChild(spi) => self.send_delete_child(ctx, spi, Vec::new()),
            Task::RekeyIke => self.start_rekey_ike(ctx, queued),
            Task::DeleteIke(spi) => {
                let payloads = Informational { delete_ike: true, ..Informational::default() }.write();
                self.send_request(ctx, spi, ExchangeType::INFORMATIONAL, &payloads, Exchange::DeleteIke);
            }
            Task::ProbePath => self.start_probe_path(ctx),
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
        queued: Queued,
    ) {
        let connection = self.connection().clone();
        let Some(config) = connection.children.get(index) else { return };
        let (put_off, regrouped) = (queued.put_off, queued.group.is_some());
        let pending = match PendingChild::begin(ctx, self.path, index, rekeys, queued.into_share()) {
            Ok(pending) => pending,
            Err(diagnosis) => return self.fail(diagnosis),
        };
        let packet = rekeys.is_none().then(|| self.starts.packet(index)).flatten();
        let mut pending = pending.triggered_by(packet);
        pending.regrouped = regrouped;
        rekeys.into_iter().for_each(|id| self.pfs_asked(id));
        let old = rekeys.and_then(|id| self.children.get_mut(&id)).map(|child| {
            child.rekey_at = None;
            child.spi_in()
        });
        let networks = self.addresses.networks(&connection, config);
        let payloads = CreateChildRequest::Child(pending.request(config, &networks, old)).write();
        let exchange = Exchange::Child { pending: Box::new(pending), collision: None, put_off };
        self.send_request(ctx, self.current, ExchangeType::CREATE_CHILD_SA, &payloads, exchange);
    }

    fn start_delete_child(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if matches!(child.place, ChildPlace::Retired { .. }) {
            return;
        }
        child.place = ChildPlace::Deleting;
        let spi = child.spi_in();
        self.send_delete_child(ctx, spi, vec![id]);
    }

    fn send_delete_child(&mut self, ctx: &mut Context<'_>, spi: EspSpi, ids: Vec<ChildSaId>) {
        let payloads = Informational { delete_esp: vec![spi], ..Informational::default() }.write();
        let exchange = Exchange::DeleteChildren(ids);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_held_once_each_and_no_more_than_their_limit() {
        let mut queue = TaskQueue::default();
        let at = Instant::default();
        for _ in 0..2 {
            for number in 0..2 * limits::TASKS as u64 {
                queue.push_later(Task::DeleteChild(ChildSaId(number)), at, 0);
            }
        }
        assert_eq!(queue.iter().count(), limits::TASKS);
        assert!(queue.contains(&Task::DeleteChild(ChildSaId(0))), "the first come are kept");
    }
}
