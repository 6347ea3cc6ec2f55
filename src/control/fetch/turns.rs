//! Whose turn it is to ask: a few at a time, one a host. Whoever stands goes before whoever tries, and strangers come last; but of
//! four turns one is for them by turns, so that many that stand and whose servers hang keep out nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_ike::Class;
use tokio::sync::oneshot;

/// Turns in a row for which others wait behind whoever stands.
const PASSED: u8 = 3;

/// The turns of all hosts.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Hosts that are being asked.
    busy: BTreeSet<String>,
    order: u64,
    /// Turns since one of those behind the first in line had one, while there were any.
    passed: u8,
    /// Who had that.
    favoured: Class,
    /// By class, and in the order in which they came.
    waiting: BTreeMap<Place, Waiting>,
}

type Place = (Class, u64);

#[derive(Debug)]
struct Waiting {
    host: String,
    give: oneshot::Sender<Turn>,
}

/// A turn; the next has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    host: String,
}

impl Turns {
    /// So many at a time.
    pub(super) fn new(free: usize) -> Self {
        let (busy, waiting) = (BTreeSet::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State {
            free,
            busy,
            order: 0,
            passed: 0,
            favoured: Class::Stranger,
            waiting,
        })))
    }

    /// Waits for a turn to ask this host. May be dropped while it waits.
    pub(super) async fn take(&self, class: Class, host: &str) -> Turn {
        loop {
            let (give, given) = oneshot::channel();
            let _left = self.stand_in_line(class, Waiting { host: host.to_owned(), give });
            self.serve();
            // It is given in the end, since whoever has one drops it.
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    fn stand_in_line(&self, class: Class, waiting: Waiting) -> Left<'_> {
        let mut state = self.lock();
        state.order = state.order.saturating_add(1);
        let place = (class, state.order);
        state.waiting.insert(place, waiting);
        Left { turns: self, place }
    }

    /// Gives turns to the first in line, as many as there are.
    fn serve(&self) {
        loop {
            let next = self.lock().next();
            let Some(Waiting { host, give }) = next else { return };
            // Whoever does not wait any more gives it back at once.
            drop(give.send(Turn { turns: self.clone(), host }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose turn it is among those whose hosts are not being asked.
    fn next(&mut self) -> Option<Waiting> {
        self.free.checked_sub(1)?;
        let first = self.first_from(Class::Established)?;
        let others = [Class::Attempt, Class::Stranger].into_iter().filter(|class| *class > first.0);
        let others = others.filter_map(|class| self.first_from(class).filter(|place| place.0 == class));
        let place = self.choose(first, &others.collect::<Vec<_>>());
        let waiting = self.waiting.remove(&place)?;
        self.free -= 1;
        self.busy.insert(waiting.host.clone());
        Some(waiting)
    }

    /// The first of this class, or of those behind it, whose host is not being asked.
    fn first_from(&self, class: Class) -> Option<Place> {
        let idle = |(_, waiting): &(&Place, &Waiting)| !self.busy.contains(&waiting.host);
        self.waiting.range((class, 0)..).find(idle).map(|(place, _)| *place)
    }

    /// Of the first in line, and the first of each class behind it.
    fn choose(&mut self, first: Place, others: &[Place]) -> Place {
        if others.is_empty() {
            return first;
        }
        if self.passed < PASSED {
            self.passed += 1;
            return first;
        }
        let last = self.favoured;
        let next = others.iter().find(|(class, _)| *class != last).or(others.first());
        let place = next.copied().unwrap_or(first);
        (self.passed, self.favoured) = (0, place.0);
        place
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.turns.lock();
            state.free += 1;
            state.busy.remove(&self.host);
        }
        self.turns.serve();
    }
}

/// Leaves the line when it is dropped.
struct Left<'a> {
    turns: &'a Turns,
    place: Place,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let gone = self.turns.lock().waiting.remove(&self.place);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use Class::{Attempt, Established, Stranger};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    async fn now(turns: &Turns, class: Class, host: &str) -> Option<Turn> {
        timeout(Duration::from_millis(1), turns.take(class, host)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_goes_first_and_a_busy_host_holds_up_nobody_else() {
        let turns = Turns::new(2);
        let (a, b) = (now(&turns, Stranger, "a").await.unwrap(), now(&turns, Stranger, "b").await.unwrap());
        let mut line = JoinSet::new();
        for (name, class, host) in
            [("s", Stranger, "a"), ("t", Attempt, "a"), ("e", Established, "a"), ("c", Stranger, "c")]
        {
            let turns = turns.clone();
            line.spawn(async move { (name, turns.take(class, host).await) });
            tokio::task::yield_now().await;
        }
        drop(b);
        let (name, c) = line.join_next().await.unwrap().unwrap();
        assert_eq!(name, "c", "the others wait for their host");
        drop(c);
        drop(a);
        for expected in ["e", "t", "s"] {
            let (name, _turn) = line.join_next().await.unwrap().unwrap();
            assert_eq!(name, expected);
        }
    }

    /// However many of those that stand come after them.
    #[tokio::test(start_paused = true)]
    async fn of_four_turns_one_is_for_those_who_come_last() {
        let turns = Turns::new(1);
        let mut turn = now(&turns, Established, "a").await.unwrap();
        let mut line = JoinSet::new();
        let mut come = |class: Class, name| {
            let turns = turns.clone();
            line.spawn(async move { (name, turns.take(class, "a").await) });
        };
        (0..10).for_each(|_| come(Established, "e"));
        (0..2).for_each(|_| come(Stranger, "s"));
        come(Attempt, "t");
        tokio::task::yield_now().await;
        let mut names = String::new();
        for _ in 0..13 {
            drop(turn);
            let (name, next) = line.join_next().await.unwrap().unwrap();
            turn = next;
            names += name;
        }
        assert_eq!(names, "eeeteeeseeese");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_any_more_takes_no_turn_along() {
        let turns = Turns::new(1);
        let held = now(&turns, Stranger, "a").await.unwrap();
        for _ in 0..100 {
            assert!(now(&turns, Established, "a").await.is_none());
        }
        assert!(turns.lock().waiting.is_empty());
        drop(held);
        let state = turns.lock();
        assert_eq!((state.free, state.busy.len()), (1, 0));
    }

    /// A turn that was given to one who was about to leave.
    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_took_is_the_next_ones() {
        let turns = Turns::new(1);
        let held = now(&turns, Stranger, "a").await.unwrap();
        let mut leaving = Box::pin(turns.take(Stranger, "b"));
        assert!(timeout(Duration::from_millis(1), &mut leaving).await.is_err());
        drop(held);
        assert_eq!(turns.lock().free, 0, "it is given");
        drop(leaving);
        assert!(now(&turns, Stranger, "b").await.is_some());
    }
}
