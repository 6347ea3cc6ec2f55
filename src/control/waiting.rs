//! Operators' requests that wait for something to happen: `up`, `down`, `rekey`.
//!
//! Pure: the driver shows every event to [`Waiting::observe`], and after each drain asks [`Waiting::settle`], so that
//! an answer describes what stands after all events of the drain.

use std::collections::BTreeSet;

use sekisho_ike::Instant;
use sekisho_ike::config::{Name, Remote};
use sekisho_ike::diagnosis::Diagnosis;
use sekisho_ike::event::{ChildSaId, ConnectionState, ConnectionStatus, EndReason, Event, TunnelId};
use tokio::sync::oneshot;

use crate::api::{Failure, Reply};

/// Requests that may wait at a time.
const MOST: usize = 64;

/// What a request waits for.
#[derive(Debug)]
pub(super) enum Goal {
    /// The tunnel stands and sends: on each of these children, or on any if none is named.
    Up { children: Vec<Name> },
    /// Nothing of the tunnel is left.
    Down,
    /// These Child SAs are gone.
    Gone { old: BTreeSet<ChildSaId> },
    /// These Child SAs have been replaced; then the IKE SA too, if that was asked.
    Children { old: BTreeSet<ChildSaId>, then_ike: bool },
    /// The IKE SAs of these tunnels have been replaced.
    Ike { old: BTreeSet<TunnelId> },
}

/// Requests that wait, with where their answers go.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    connection: Name,
    goal: Goal,
    deadline: Instant,
    failure: Option<Failure>,
    /// How many tunnels stood when it was asked.
    tunnels: usize,
    reply: oneshot::Sender<Reply>,
}

/// What a settled request gets.
#[derive(Debug)]
pub(super) enum Settled {
    /// Its tunnel's status.
    Done(Name, oneshot::Sender<Reply>),
    /// The next step is to be commanded: replace the IKE SA.
    NowIke(Name),
}

impl Waiting {
    /// Lets a request wait until `deadline`. `tunnels` is how many stand now.
    pub(super) fn add(
        &mut self,
        connection: Name,
        (goal, tunnels): (Goal, usize),
        deadline: Instant,
        reply: oneshot::Sender<Reply>,
    ) {
        self.0.retain(|waiter| !waiter.reply.is_closed());
        if self.0.len() >= MOST {
            let _ =
                reply.send(Reply::failed(format!("{MOST} requests are waiting already; try again later")));
            return;
        }
        self.0.push(Waiter { connection, goal, deadline, failure: None, tunnels, reply });
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them is told that it took too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|waiter| waiter.deadline).min()
    }

    /// Takes note of what happened. `replaced` names the Child SA that an [`Event::OutboundSwitch`] replaced.
    pub(super) fn observe(&mut self, event: &Event, replaced: Option<ChildSaId>) {
        for waiter in &mut self.0 {
            waiter.observe(event, replaced);
        }
    }

    /// The next step of a request could not be commanded.
    pub(super) fn fail(&mut self, connection: &Name, error: &str) {
        for waiter in self.0.iter_mut().filter(|waiter| waiter.connection == *connection) {
            waiter.failure = Some(Failure::new(error));
        }
    }

    /// Answers the failed and the overdue, and takes out those whose goal is reached.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        status_for: impl Fn(&Name) -> Option<ConnectionStatus>,
    ) -> Vec<Settled> {
        let mut settled = Vec::new();
        for mut waiter in std::mem::take(&mut self.0) {
            if waiter.reply.is_closed() {
                continue;
            }
            if waiter.can_only_wait(now) {
                self.0.push(waiter);
                continue;
            }
            let status = status_for(&waiter.connection);
            match waiter.judge(now, status.as_ref()) {
                Verdict::Wait => self.0.push(waiter),
                Verdict::NowIke => {
                    settled.push(Settled::NowIke(waiter.connection.clone()));
                    self.0.push(waiter);
                }
                Verdict::Done => settled.push(Settled::Done(waiter.connection, waiter.reply)),
                Verdict::Failed(failure) => {
                    // A client that hung up meanwhile needs no answer.
                    let _ = waiter.reply.send(Reply::Failed(failure));
                }
            }
        }
        settled
    }
}

enum Verdict {
    Wait,
    NowIke,
    Done,
    Failed(Box<Failure>),
}

impl Waiter {
    fn observe(&mut self, event: &Event, replaced: Option<ChildSaId>) {
        match event {
            Event::NegotiationFailed { connection: Some(connection), tunnel, diagnosis, .. }
                if *connection == self.connection && self.is_concerned(*tunnel) =>
            {
                self.failed(diagnosis);
            }
            Event::TunnelDown { tunnel, connection, reason } if *connection == self.connection => {
                self.tunnel_went(*tunnel, reason);
            }
            Event::IkeSaRekeyed(sa) => {
                if let Goal::Ike { old } = &mut self.goal {
                    old.remove(&sa.tunnel);
                }
            }
            Event::OutboundSwitch { .. } => {
                if let (Goal::Children { old, .. }, Some(replaced)) = (&mut self.goal, replaced) {
                    old.remove(&replaced);
                }
            }
            // A Child SA that ended in another way need not be replaced any more.
            Event::Retired { child_sa, .. } => {
                if let Goal::Children { old, .. } | Goal::Gone { old } = &mut self.goal {
                    old.remove(child_sa);
                }
            }
            _ => {}
        }
    }

    /// Whether there is nothing to judge yet: what is still to go or to be replaced is known by itself, and a status of
    /// thousands of tunnels is not made to find it out.
    fn can_only_wait(&self, now: Instant) -> bool {
        let goes_on = match &self.goal {
            Goal::Up { .. } | Goal::Down => false,
            Goal::Gone { old } | Goal::Children { old, .. } => !old.is_empty(),
            Goal::Ike { old } => !old.is_empty(),
        };
        goes_on && self.failure.is_none() && now < self.deadline
    }

    /// A rekey does not fail by what happens to another peer that sets up a tunnel of its own.
    fn is_concerned(&self, failed: Option<TunnelId>) -> bool {
        match &self.goal {
            Goal::Up { .. } | Goal::Down | Goal::Gone { .. } => true,
            Goal::Ike { old } => failed.is_some_and(|tunnel| old.contains(&tunnel)),
            Goal::Children { .. } => failed.is_some(),
        }
    }

    /// Of several tunnels one may go meanwhile: its SAs need not be replaced any more.
    fn tunnel_went(&mut self, tunnel: TunnelId, reason: &EndReason) {
        match &mut self.goal {
            Goal::Up { .. } | Goal::Down | Goal::Gone { .. } => {}
            Goal::Ike { old } if self.tunnels > 1 => {
                old.remove(&tunnel);
            }
            Goal::Children { .. } if self.tunnels > 1 => {}
            Goal::Ike { .. } | Goal::Children { .. } => {
                let error = format!("tunnel `{}` went down: {reason}", self.connection);
                self.failure.get_or_insert(Failure::new(error));
            }
        }
    }

    fn failed(&mut self, diagnosis: &Diagnosis) {
        if !matches!(self.goal, Goal::Down | Goal::Gone { .. }) {
            let failure =
                Failure { diagnosis: Some(diagnosis.into()), ..Failure::new(diagnosis.summary.clone()) };
            self.failure.get_or_insert(failure);
        }
    }

    fn judge(&mut self, now: Instant, status: Option<&ConnectionStatus>) -> Verdict {
        if let Some(failure) = self.failure.take() {
            return Verdict::Failed(Box::new(failure));
        }
        let Some(status) = status else {
            let error = format!("tunnel `{}` is no longer configured", self.connection);
            return Verdict::Failed(Box::new(Failure::new(error)));
        };
        match &self.goal {
            Goal::Up { children } if is_sending(status, children) || only_answers(status) => {
                return Verdict::Done;
            }
            Goal::Down if status.tunnel().is_none() => return Verdict::Done,
            Goal::Gone { old } if old.is_empty() => return Verdict::Done,
            Goal::Ike { old } if old.is_empty() => return Verdict::Done,
            Goal::Children { old, then_ike } if old.is_empty() => {
                if !then_ike {
                    return Verdict::Done;
                }
                let old = status.tunnels.iter().map(|tunnel| tunnel.ike_sa.tunnel).collect();
                self.goal = Goal::Ike { old };
                return Verdict::NowIke;
            }
            _ => {}
        }
        if now < self.deadline { Verdict::Wait } else { Verdict::Failed(Box::new(self.overdue(status))) }
    }

    fn overdue(&self, status: &ConnectionStatus) -> Failure {
        let what = match self.goal {
            Goal::Up { .. } => "is not up",
            Goal::Down | Goal::Gone { .. } => "has not been deleted",
            Goal::Children { .. } | Goal::Ike { .. } => "has not been rekeyed",
        };
        let last = status.last_failure.as_ref().map(|(_, diagnosis)| diagnosis);
        let because = last.map(|d| format!("; the last failure: {}", d.summary)).unwrap_or_default();
        let error = format!("tunnel `{}` {what} yet ({}){because}", self.connection, status.state.code());
        Failure { diagnosis: last.map(Into::into), ..Failure::new(error) }
    }
}

/// Allowed (again), which is all that can be done from here.
fn only_answers(status: &ConnectionStatus) -> bool {
    status.state == ConnectionState::Waiting && status.connection.remote == Remote::Any
}

fn is_sending(status: &ConnectionStatus, children: &[Name]) -> bool {
    let sending = || status.tunnels.iter().flat_map(|tunnel| &tunnel.children).filter(|sa| sa.sending);
    if children.is_empty() {
        return status.state == ConnectionState::Up && sending().next().is_some();
    }
    children.iter().all(|child| sending().any(|sa| sa.child == *child))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sekisho_ike::Secret;
    use sekisho_ike::config::{Connection, LocalAuth, RemoteAuth};
    use sekisho_ike::diagnosis::{DiagnosisKind, Side};
    use sekisho_ike::identity::RemoteId;

    use super::*;

    const SOON: Instant = Instant::from_boot(Duration::from_secs(5));
    const LATER: Instant = Instant::from_boot(Duration::from_secs(50));

    fn centre(remote: Remote, state: ConnectionState) -> ConnectionStatus {
        let psk = || Secret::new(vec![7; 32]);
        let us = ("clinic-17.example".parse().unwrap(), LocalAuth::Psk(psk()));
        let peer = (RemoteId::Exact("hub.example".parse().unwrap()), RemoteAuth::Psk(psk()));
        let connection =
            Connection { remote, initiate: true, ..Connection::new(Name::from("centre"), us, peer, vec![]) };
        let connection = Arc::new(connection);
        ConnectionStatus {
            connection,
            state,
            tunnels: vec![],
            warnings: vec![],
            last_failure: None,
            failure_times: 0,
            failure_from: None,
            near_misses: Vec::new(),
            next_try: None,
            awaited: None,
            attempts: 1,
        }
    }

    fn connecting() -> impl Fn(&Name) -> Option<ConnectionStatus> {
        |_| Some(centre(Remote::Hosts(vec!["hub.example".into()]), ConnectionState::Connecting))
    }

    fn waiting_for(goal: Goal) -> (Waiting, oneshot::Receiver<Reply>) {
        let mut waiting = Waiting::default();
        let (reply, answer) = oneshot::channel();
        waiting.add(Name::from("centre"), (goal, 1), LATER, reply);
        (waiting, answer)
    }

    fn up() -> Goal {
        Goal::Up { children: vec![] }
    }

    fn failure(connection: &str) -> Event {
        let diagnosis =
            Diagnosis::new(DiagnosisKind::NoAnswer, Side::Nobody, "no answer", "look at the line");
        Event::NegotiationFailed {
            connection: Some(Name::from(connection)),
            tunnel: None,
            remote: None,
            diagnosis: Box::new(diagnosis),
            next_try: None,
        }
    }

    #[test]
    fn up_answers_with_the_diagnosis_of_its_own_failure_and_of_no_other() {
        let (mut waiting, mut answer) = waiting_for(up());
        waiting.observe(&failure("another"), None);
        assert!(waiting.settle(SOON, connecting()).is_empty());
        assert!(answer.try_recv().is_err(), "still waiting");
        waiting.observe(&failure("centre"), None);
        waiting.settle(SOON, connecting());
        let Reply::Failed(failure) = answer.try_recv().unwrap() else { panic!("refused") };
        assert_eq!(failure.error, "no answer");
        assert_eq!(failure.diagnosis.unwrap().advice, "look at the line");
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_request_that_takes_too_long_hears_so() {
        let (mut waiting, mut answer) = waiting_for(up());
        assert_eq!(waiting.deadline(), Some(LATER));
        waiting.settle(LATER, connecting());
        let Reply::Failed(failure) = answer.try_recv().unwrap() else { panic!("overdue") };
        assert_eq!(failure.error, "tunnel `centre` is not up yet (connecting)");
    }

    #[test]
    fn a_tunnel_that_only_the_peer_can_start_is_up_when_it_is_allowed() {
        let (mut waiting, _answer) = waiting_for(up());
        let settled = waiting.settle(SOON, |_| Some(centre(Remote::Any, ConnectionState::Waiting)));
        assert!(matches!(settled.as_slice(), [Settled::Done(..)]));
    }

    #[test]
    fn a_rekey_of_both_goes_on_to_the_ike_sa_when_every_child_is_replaced() {
        let old = BTreeSet::from([ChildSaId(1), ChildSaId(2)]);
        let (mut waiting, _answer) = waiting_for(Goal::Children { old, then_ike: true });
        waiting.observe(&Event::OutboundSwitch { child_sa: ChildSaId(3) }, Some(ChildSaId(1)));
        assert!(waiting.settle(SOON, connecting()).is_empty(), "one is left");
        let gone = Event::Retired { child_sa: ChildSaId(2), reason: EndReason::DeletedByPeer };
        waiting.observe(&gone, None);
        let settled = waiting.settle(SOON, connecting());
        assert!(matches!(settled.as_slice(), [Settled::NowIke(name)] if name.as_str() == "centre"));
        let again = waiting.settle(SOON, connecting());
        assert!(!again.iter().any(|settled| matches!(settled, Settled::NowIke(_))), "commanded once");
    }

    #[test]
    fn a_rekey_fails_with_its_tunnel() {
        let (mut waiting, mut answer) = waiting_for(Goal::Ike { old: BTreeSet::from([TunnelId(1)]) });
        let down = Event::TunnelDown {
            tunnel: TunnelId(1),
            connection: Name::from("centre"),
            reason: EndReason::PeerDead,
        };
        waiting.observe(&down, None);
        waiting.settle(SOON, connecting());
        let Reply::Failed(failure) = answer.try_recv().unwrap() else { panic!("failed") };
        assert!(failure.error.contains("does not answer"), "{}", failure.error);
    }

    #[test]
    fn a_rekey_does_not_fail_by_what_happens_to_another_peer() {
        let failed = |in_tunnel| match failure("centre") {
            Event::NegotiationFailed { connection, remote, diagnosis, next_try, .. } => {
                Event::NegotiationFailed { connection, tunnel: in_tunnel, remote, diagnosis, next_try }
            }
            other => other,
        };
        let ike = || Goal::Ike { old: BTreeSet::from([TunnelId(1)]) };
        let children = || Goal::Children { old: BTreeSet::from([ChildSaId(1)]), then_ike: false };
        for (goal, tunnel, fails) in [
            (ike(), None, false),
            (ike(), Some(TunnelId(2)), false),
            (ike(), Some(TunnelId(1)), true),
            (children(), None, false),
            (children(), Some(TunnelId(1)), true),
        ] {
            let (mut waiting, mut answer) = waiting_for(goal);
            waiting.observe(&failed(tunnel), None);
            waiting.settle(SOON, connecting());
            assert_eq!(answer.try_recv().is_ok(), fails, "{tunnel:?}");
        }
    }

    #[test]
    fn of_many_tunnels_one_may_go_while_the_others_are_rekeyed() {
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        let old = BTreeSet::from([TunnelId(1), TunnelId(2)]);
        waiting.add(Name::from("centre"), (Goal::Ike { old }, 2), LATER, reply);
        let down = |tunnel| Event::TunnelDown {
            tunnel,
            connection: Name::from("centre"),
            reason: EndReason::PeerDead,
        };
        waiting.observe(&down(TunnelId(1)), None);
        assert!(waiting.settle(SOON, connecting()).is_empty() && answer.try_recv().is_err(), "one is left");
        waiting.observe(&down(TunnelId(2)), None);
        assert!(matches!(waiting.settle(SOON, connecting()).as_slice(), [Settled::Done(..)]));
    }

    #[test]
    fn a_child_is_down_when_its_child_sas_are_gone() {
        let (mut waiting, _answer) = waiting_for(Goal::Gone { old: BTreeSet::from([ChildSaId(1)]) });
        waiting.observe(&failure("centre"), None);
        assert!(waiting.settle(SOON, connecting()).is_empty(), "another child's failure is none of it");
        waiting.observe(&Event::Retired { child_sa: ChildSaId(1), reason: EndReason::DeletedHere }, None);
        assert!(matches!(waiting.settle(SOON, connecting()).as_slice(), [Settled::Done(..)]));
    }

    #[test]
    fn too_many_requests_are_turned_away() {
        let mut waiting = Waiting::default();
        let mut clients = Vec::new();
        for _ in 0..MOST {
            let (reply, answer) = oneshot::channel();
            waiting.add(Name::from("centre"), (up(), 1), LATER, reply);
            clients.push(answer);
        }
        let (reply, mut answer) = oneshot::channel();
        waiting.add(Name::from("centre"), (up(), 1), LATER, reply);
        assert!(matches!(answer.try_recv(), Ok(Reply::Failed(_))));
        assert_eq!(waiting.0.len(), MOST);

        drop(clients);
        let (reply, mut answer) = oneshot::channel();
        waiting.add(Name::from("centre"), (up(), 1), LATER, reply);
        assert!(answer.try_recv().is_err(), "clients that left make room");
    }
}
