//! A tunnel's deadlines, each with its reason, and what happens when they pass.

use std::time::Duration;

use super::child_sa::ChildPlace;
use super::context::Context;
use super::ike_sa::{Exchange, IkeSa, Place};
use super::retransmission::Overdue;
use super::tasks::Task;
use super::tunnel::Tunnel;
use super::window::Outstanding;
use crate::diagnose;
use crate::diagnose::Silence;
use crate::event::{ChildSaId, Deadline, DeadlineReason, EndReason, Event};
use crate::exchange::Message;
use crate::limits;
use crate::path::Path;
use crate::time::Instant;
use crate::wire::{ExchangeType, IkeSpi};

impl Outstanding<Exchange> {
    /// What is sent when no answer comes.
    fn again(&mut self) -> impl Iterator<Item = &Message> {
        let (instead, same) = match &mut self.exchange {
            Exchange::ProbePath(probe) => probe.again(),
            _ => (None, true),
        };
        instead.into_iter().chain(same.then_some(&self.message))
    }
}

impl Tunnel {
    /// The next deadline.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadlines().min()
    }

    fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        let deadline = |reason| move |at| Deadline { at, reason };
        let running = self.ended().is_none();
        let ike_sas = self.ike_sas.values().flat_map(move |sa| {
            let redundant = match sa.place {
                Place::Successor { until } | Place::Replaced { until, .. } => Some(until),
                Place::Current | Place::Deleting => None,
            };
            // What is to go anyway goes by its retransmissions or by `redundant`.
            let lives = running && sa.place == Place::Current;
            let silent = sa.window.outstanding().filter(|o| !o.is_answered);
            let again = silent.map(|o| o.retransmission.next());
            [
                again.map(deadline(DeadlineReason::Retransmit)),
                redundant.map(deadline(DeadlineReason::Retire)),
                sa.rekey_at.filter(|_| lives).map(deadline(DeadlineReason::Rekey)),
                Some(sa.expires_at).filter(|_| lives).map(deadline(DeadlineReason::Expire)),
            ]
        });
        let children = self.children.values().flat_map(move |child| {
            let until = match child.place {
                ChildPlace::Replaced { until } | ChildPlace::Retired { until } => Some(until),
                ChildPlace::Standing | ChildPlace::Deleting => None,
            };
            [
                until.map(deadline(DeadlineReason::Retire)),
                child.rekey_at.filter(|_| child.is_standing()).map(deadline(DeadlineReason::Rekey)),
                Some(child.expires_at).filter(|_| !child.reported).map(deadline(DeadlineReason::Expire)),
            ]
        });
        let closed = self.closed.values().map(move |sa| deadline(DeadlineReason::Retire)(sa.until));
        let whole = [
            self.next_task_at().map(deadline(DeadlineReason::Task)),
            self.probe_at().filter(|_| running).map(deadline(DeadlineReason::Liveness)),
            self.keepalive_at.filter(|_| running).map(deadline(DeadlineReason::Keepalive)),
            self.review_at().filter(|_| running).map(deadline(DeadlineReason::Review)),
            self.probe_path_at().filter(|_| running).map(deadline(DeadlineReason::PathMtu)),
        ];
        ike_sas.chain(children).chain(whole).flatten().chain(closed)
    }

    /// Until when the end of a replaced SA is left to the peer.
    pub(super) fn redundant_until(&self, ctx: &Context<'_>) -> Instant {
        let schedule = self.connection().retransmit.whole();
        ctx.now.boot + limits::REDUNDANT_SA_WAIT.max(schedule + schedule / 2)
    }

    /// Does everything that is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.boot;
        self.closed.retain(|_, sa| sa.until > now);
        for spi in self.ike_sas.keys().copied().collect::<Vec<_>>() {
            self.check_retransmission(ctx, spi);
            self.check_redundant_ike_sa(ctx, spi);
        }
        if self.ended().is_none() {
            self.check_ike_sa_lifetime(ctx);
            for id in self.children.keys().copied().collect::<Vec<_>>() {
                self.check_child(ctx, id, now);
            }
            self.check_liveness(ctx);
            self.check_review(ctx);
            self.check_path(ctx);
        }
        self.start_tasks(ctx);
    }

    fn check_retransmission(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let path = self.path;
        let Some(ike_sa) = self.ike_sas.get_mut(&spi) else { return };
        let Some(outstanding) = ike_sa.window.outstanding_mut().filter(|o| !o.is_answered) else { return };
        match outstanding.retransmission.check(ctx) {
            None => {}
            Some(Overdue::SendAgain) => {
                outstanding.again().for_each(|message| ctx.output.transmit(path, message));
            }
            // An IKE SA that was to go is gone, with or without an answer.
            Some(Overdue::GiveUp(_)) if matches!(outstanding.exchange, Exchange::DeleteIke) => {
                ike_sa.window.take();
                self.ike_sa_deleted_here(ctx, spi);
            }
            Some(Overdue::GiveUp(silent)) => {
                let (request, first_sent) = silence(path, ike_sa, silent);
                self.fail(diagnose::peer_dead(&request, first_sent, self.last_heard));
                self.forget(ctx, EndReason::PeerDead);
            }
        }
    }

    /// An IKE SA that is the peer's to delete, and was not deleted.
    fn check_redundant_ike_sa(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let now = ctx.now.boot;
        let Some(ike_sa) = self.ike_sas.get(&spi) else { return };
        match ike_sa.place {
            Place::Replaced { by, until } if until <= now => {
                // The peer had longer than it can retransmit: it has the successor, or nothing at all.
                if spi == self.current && self.ike_sas.contains_key(&by) {
                    self.promote(ctx, by);
                }
                self.close_ike_sa(ctx, spi);
                if spi == self.current {
                    self.end(ctx, EndReason::PeerDead);
                }
            }
            Place::Successor { until } if until <= now && spi != self.current => {
                let replaced_at = self.current().and_then(|sa| match sa.place {
                    Place::Replaced { by, until } if by == spi => Some(until),
                    _ => None,
                });
                match (replaced_at, self.ike_sas.get_mut(&spi)) {
                    // It waits longer than the one that it is to replace, whose end promotes it.
                    (Some(end), Some(ike_sa)) => {
                        ike_sa.place = Place::Successor { until: end.max(now) + Duration::from_secs(1) };
                    }
                    _ => self.close_ike_sa(ctx, spi),
                }
            }
            _ => {}
        }
    }

    fn check_ike_sa_lifetime(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.boot;
        let slack = self.connection().retransmit.whole() * 2;
        let Some(ike_sa) = self.ike_sas.get_mut(&self.current) else { return };
        if ike_sa.place != Place::Current {
            return;
        }
        if ike_sa.rekey_at.is_some_and(|at| at <= now) {
            ike_sa.rekey_at = None;
            if ike_sa.expires_at <= now {
                // A clock that jumped over both deadlines leaves time for the rekey.
                ike_sa.expires_at = now + slack;
            }
            self.tasks.push(ctx, Task::RekeyIke);
        } else if ike_sa.expires_at <= now {
            self.fail(diagnose::expired());
            self.delete(ctx, EndReason::Expired);
        }
    }

    fn check_child(&mut self, ctx: &mut Context<'_>, id: ChildSaId, now: Instant) {
        let slack = self.connection().retransmit.whole() * 2;
        let Some(child) = self.children.get_mut(&id) else { return };
        match child.place {
            ChildPlace::Retired { until } if until <= now => {
                if !child.reported {
                    ctx.output.event(Event::Retired { child_sa: id, reason: EndReason::Rekeyed });
                }
                self.children.remove(&id);
            }
            ChildPlace::Replaced { until } if until <= now => {
                child.place = ChildPlace::Deleting;
                if let Some(newer) = child.replaced_by {
                    self.send_on(ctx, newer);
                }
                self.tasks.push(ctx, Task::DeleteChild(id));
            }
            ChildPlace::Standing if child.rekey_at.is_some_and(|at| at <= now) => {
                child.rekey_at = None;
                if child.expires_at <= now {
                    child.expires_at = now + slack;
                }
                self.tasks.push(ctx, Task::RekeyChild(id));
            }
            _ if child.expires_at <= now => self.expire_child(ctx, id),
            _ => {}
        }
    }
}

/// The request of an IKE SA that was given up, and when it was sent first.
fn silence(path: Path, ike_sa: &IkeSa, silent: Duration) -> (Silence, Instant) {
    let outstanding = ike_sa.window.outstanding();
    let datagrams = outstanding.into_iter().flat_map(|o| o.message.datagrams());
    let lengths: Vec<usize> = datagrams.map(|datagram| path.packet(datagram.len())).collect();
    let silence = Silence {
        path,
        exchange: outstanding.map_or(ExchangeType::INFORMATIONAL, |o| o.exchange.kind()),
        seconds: silent.as_secs(),
        datagrams: lengths.len(),
        longest: lengths.into_iter().max().unwrap_or(0),
        fragmentation: Some(ike_sa.channel.fragmentation),
        answers_short: false,
        answered_elsewhere: false,
        pieces: ike_sa.channel.held_of_answer(),
        unsent: None,
        told: None,
    };
    (silence, outstanding.map_or(ike_sa.established.boot, |o| o.retransmission.first_sent()))
}
