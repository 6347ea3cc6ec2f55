//! A few threads for work that takes processor time (signatures, certificate paths, key exchanges), so that it delays
//! nobody's liveness.
//!
//! Work waits in three bounded queues, one a [`Class`]. A higher class goes first, but none waits for ever: what was
//! passed over [`PATIENCE`] times has the next turn.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use sekisho_ike::Class;
use tokio::sync::mpsc;

/// Threads at most: more would take the processors from the packets.
const THREADS: usize = 4;
/// Results that wait for the loop; the threads pause while it does not take them.
const RESULTS: usize = 64;
/// Turns that go to higher classes before one goes to a class that waits.
const PATIENCE: u32 = 7;
/// Work of one class that waits, by class. A stranger's is bounded again by the half-open limits.
const WAITING: [usize; CLASSES] = [65_536, 65_536, 256];
const CLASSES: usize = 3;

/// Work: it needs nothing but what it holds.
pub(super) type Work<T> = Box<dyn FnOnce() -> T + Send>;

/// Why work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undone {
    /// Too much of its class waits.
    #[error("too much work is waiting")]
    Refused,
    /// It panicked, which is a defect of ours.
    #[error("the work failed by a defect of the program")]
    Panicked,
}

/// The threads. `I` names a piece of work in its result. Dropping this forgets what waits and ends the threads after
/// the work at hand.
pub(super) struct Workers<I, T> {
    shared: Arc<Shared<I, T>>,
    results: mpsc::Receiver<Done<I, T>>,
    refused: VecDeque<I>,
    threads: Vec<JoinHandle<()>>,
}

/// A result and whose it is.
pub(super) type Done<I, T> = (I, Result<T, Undone>);

impl<I: Send + 'static, T: Send + 'static> Workers<I, T> {
    /// As many threads as there are processors, 1 to 4.
    ///
    /// # Errors
    /// If a thread cannot be made.
    pub(super) fn start() -> io::Result<Self> {
        Self::with_threads(thread::available_parallelism().map_or(1, usize::from).clamp(1, THREADS))
    }

    fn with_threads(threads: usize) -> io::Result<Self> {
        let (done, results) = mpsc::channel(RESULTS);
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), come: Condvar::new() });
        let mut workers = Self { shared, results, refused: VecDeque::new(), threads: Vec::new() };
        for number in 0..threads {
            let (shared, done) = (workers.shared.clone(), done.clone());
            let thread =
                thread::Builder::new().name(format!("work-{number}")).spawn(move || shared.serve(&done))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Has work done. What finds its queue full is answered as [`Undone::Refused`].
    pub(super) fn submit(&mut self, class: Class, id: I, work: Work<T>) {
        match self.shared.lock().push(class, (id, work)) {
            Ok(()) => self.shared.come.notify_one(),
            Err((id, _)) => self.refused.push_back(id),
        }
    }

    /// The next result; never, while nothing is being done. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Done<I, T> {
        if let Some(id) = self.refused.pop_front() {
            return (id, Err(Undone::Refused));
        }
        match self.results.recv().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }
}

impl<I, T> Drop for Workers<I, T> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ended = true;
            state.queues = Default::default();
        }
        self.shared.come.notify_all();
        // A thread that waits until its result is taken goes on.
        self.results.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a working thread had died");
            }
        }
    }
}

impl<I, T> fmt::Debug for Workers<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.lock().queues.each_ref().map(VecDeque::len);
        f.debug_struct("Workers")
            .field("threads", &self.threads.len())
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

struct Shared<I, T> {
    state: Mutex<State<(I, Work<T>)>>,
    come: Condvar,
}

impl<I, T> Shared<I, T> {
    /// Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State<(I, Work<T>)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn serve(&self, done: &mpsc::Sender<Done<I, T>>) {
        while let Some((id, work)) = self.take() {
            // What the work held is gone with it, so that nothing half-changed is seen by anyone.
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|_| Undone::Panicked);
            if done.blocking_send((id, result)).is_err() {
                return;
            }
        }
    }

    /// Waits for the next piece; `None` at the end.
    fn take(&self) -> Option<(I, Work<T>)> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(next) = state.pop() {
                return Some(next);
            }
            state = self.come.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What waits.
struct State<W> {
    queues: [VecDeque<W>; CLASSES],
    /// Turns, by class, that went to a higher class while it waited.
    passed_over: [u32; CLASSES],
    ended: bool,
}

impl<W> Default for State<W> {
    fn default() -> Self {
        Self { queues: [const { VecDeque::new() }; CLASSES], passed_over: [0; CLASSES], ended: false }
    }
}

impl<W> State<W> {
    fn push(&mut self, class: Class, work: W) -> Result<(), W> {
        let class = class as usize;
        match (self.queues.get_mut(class), WAITING.get(class)) {
            (Some(queue), Some(limit)) if queue.len() < *limit => queue.push_back(work),
            _ => return Err(work),
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<W> {
        let waits = |queue: &VecDeque<W>| !queue.is_empty();
        let patient = self.passed_over.iter().rposition(|turns| *turns >= PATIENCE);
        let class = patient.or_else(|| self.queues.iter().position(waits))?;
        let work = self.queues.get_mut(class)?.pop_front();
        for (number, (queue, passed_over)) in self.queues.iter().zip(&mut self.passed_over).enumerate() {
            *passed_over = match number {
                _ if number == class || !waits(queue) => 0,
                _ if number > class => passed_over.saturating_add(1),
                _ => *passed_over,
            };
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::Class::{Attempt, Established, Stranger};
    use super::*;

    /// One thread that is busy until the sender is dropped.
    fn busy() -> (Workers<u32, u32>, std_mpsc::Sender<()>) {
        let mut workers = Workers::with_threads(1).unwrap();
        let (held, hold) = std_mpsc::channel::<()>();
        let (began, begins) = std_mpsc::channel();
        let work = move || {
            began.send(()).unwrap();
            assert!(hold.recv().is_err());
            0
        };
        workers.submit(Established, 0, Box::new(work));
        begins.recv().unwrap();
        (workers, held)
    }

    async fn order(workers: &mut Workers<u32, u32>, number: usize) -> Vec<u32> {
        let mut order = Vec::new();
        for _ in 0..number {
            let (id, result) = workers.next().await;
            assert_eq!(result, Ok(id));
            order.push(id);
        }
        order
    }

    fn submit(workers: &mut Workers<u32, u32>, class: Class, ids: impl IntoIterator<Item = u32>) {
        ids.into_iter().for_each(|id| workers.submit(class, id, Box::new(move || id)));
    }

    #[tokio::test]
    async fn who_stands_goes_before_who_tries_and_strangers_come_last() {
        let (mut workers, held) = busy();
        submit(&mut workers, Stranger, 30..32);
        submit(&mut workers, Attempt, 20..22);
        submit(&mut workers, Established, 10..12);
        drop(held);
        assert_eq!(order(&mut workers, 7).await, [0, 10, 11, 20, 21, 30, 31]);
    }

    #[tokio::test]
    async fn no_class_waits_for_more_than_nine_turns() {
        let (mut workers, held) = busy();
        submit(&mut workers, Stranger, 900..903);
        submit(&mut workers, Attempt, 800..803);
        submit(&mut workers, Established, 100..200);
        drop(held);
        let order = order(&mut workers, 107).await;
        let place = |wanted: u32| order.iter().position(|id| *id == wanted).unwrap();
        assert_eq!([900, 901, 902].map(place), [8, 16, 24], "the eighth turn after the one before");
        assert_eq!([800, 801, 802].map(place), [9, 18, 27]);
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_the_thread_goes_on() {
        let mut workers = Workers::<u32, u32>::with_threads(1).unwrap();
        workers.submit(Stranger, 1, Box::new(|| panic!("a defect")));
        submit(&mut workers, Stranger, [2]);
        assert_eq!(workers.next().await, (1, Err(Undone::Panicked)));
        assert_eq!(workers.next().await, (2, Ok(2)));
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused_and_other_classes_are_not() {
        let (mut workers, held) = busy();
        submit(&mut workers, Stranger, 1000..1000 + 300);
        submit(&mut workers, Established, [1]);
        for refused in 1256..1300 {
            assert_eq!(workers.next().await, (refused, Err(Undone::Refused)));
        }
        drop(held);
        let mut expected = vec![0, 1];
        expected.extend(1000..1256);
        assert_eq!(order(&mut workers, 258).await, expected);
    }

    #[test]
    fn the_end_waits_for_the_work_at_hand_only() {
        let (mut workers, held) = busy();
        let (dropped, drops) = std_mpsc::channel::<()>();
        let work = move || panic!("done after the end: {dropped:?}");
        workers.submit(Stranger, 1, Box::new(work));
        let ended = thread::spawn(move || drop(workers));
        assert!(drops.recv().is_err(), "what waits is dropped at once");
        drop(held);
        ended.join().unwrap();
    }

    #[test]
    fn the_end_comes_also_when_no_result_was_taken() {
        let mut workers = Workers::with_threads(2).unwrap();
        submit(&mut workers, Established, 0..1000);
        drop(workers);
    }
}
