//! Waiting until a device or socket has something for us, or until we are told to stop.

use std::array::from_fn;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The most sources that one thread waits for.
const MAX_SOURCES: usize = 8;

/// How often a thread that found much lets others have its processor before it sleeps.
const COURTESIES: u8 = 2;
/// How long one whose packets come one by one, each soon after the other, looks for the next.
const SOON: Duration = Duration::from_micros(100);

/// How a thread that has nothing more to do lets others go on before it sleeps.
///
/// If those that feed it wait for this processor, it finds much at once afterwards, where it would have been woken for each
/// piece. Where questions and answers go to and fro, it finds the next one without being woken at all: to wake a processor that
/// sleeps takes longer than what it is woken for. Where packets are far between, it sleeps at once.
#[derive(Debug, Default)]
pub struct Courtesy {
    found: usize,
    left: u8,
    /// The last packet that came alone is looked after until then.
    until: Option<Instant>,
    /// Since then it sleeps, if it has not looked in vain before.
    slept: Option<Instant>,
    /// The last sleep was too short to be worth it.
    brisk: bool,
}

impl Courtesy {
    /// So many packets more were found.
    pub fn found(&mut self, packets: usize) {
        self.found = self.found.saturating_add(packets);
        if let Some(slept) = self.slept.take() {
            self.brisk = slept.elapsed() < SOON;
        }
    }

    /// Lets others go on, and then there may be something to do; false, if it is time to sleep.
    pub fn show(&mut self) -> bool {
        let now = Instant::now();
        match mem::take(&mut self.found) {
            0 => {}
            1 => (self.left, self.until) = (0, self.brisk.then(|| now + SOON)),
            _ => (self.left, self.until) = (COURTESIES, None),
        }
        if self.left == 0 && self.until.is_none_or(|until| until <= now) {
            // After a look in vain the next packet is not looked for, however soon it comes: who sends each a little later than is
            // looked for would keep a processor busy for nothing.
            let in_vain = self.until.take().is_some();
            self.brisk &= !in_vain;
            self.slept = (!in_vain).then_some(now);
            return false;
        }
        self.left = self.left.saturating_sub(1);
        thread::yield_now();
        true
    }
}

/// A flag that, once raised, wakes every thread that waits with it.
#[derive(Debug)]
pub struct Stop {
    event: EventFd,
    raised: AtomicBool,
}

/// Wakes the one thread that waits for it.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
    rung: AtomicBool,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// If the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { event, rung: AtomicBool::new(false) })
    }

    /// Ring it; once more before it was answered is once.
    pub fn ring(&self) {
        // Fails only when the counter is full, and then it is readable anyway. First the counter: one that is readable has
        // its flag raised, now or soon, so that it is read again.
        let _ = self.event.write(1);
        self.rung.store(true, Ordering::Release);
    }

    /// Whether it was rung since this was last asked.
    pub fn answer(&self) -> bool {
        if !self.rung.load(Ordering::Relaxed) {
            return false;
        }
        // First the flag: if it is raised in between, the next turn finds it raised with nothing to read, and not a counter
        // that wakes for ever and that nobody reads.
        let rung = self.rung.swap(false, Ordering::AcqRel);
        let _ = self.event.read();
        rung
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The flag was raised.
    Stop,
    /// These sources are ready: bit `n` stands for the source numbered `n`. None, if the time was over.
    Ready(u8),
}

impl Stop {
    /// A flag that is down.
    ///
    /// # Errors
    /// If the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { event, raised: AtomicBool::new(false) })
    }

    /// Raise it for good. Nobody reads the counter, so it stays readable for all.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        // Fails only when the counter is full, and then it is readable anyway.
        let _ = self.event.write(1);
    }

    /// Whether it was raised: for loops that seldom have to wait.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Sleep until a source (eight at most) can be read, the flag is up or the time is over.
    ///
    /// # Errors
    /// Those of poll(2): the machine has no memory left.
    pub fn wait(&self, sources: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Woken> {
        let mut fds: [_; MAX_SOURCES + 1] = from_fn(|_| PollFd::new(self.event.as_fd(), PollFlags::POLLIN));
        for (slot, source) in fds.iter_mut().skip(1).zip(sources) {
            *slot = PollFd::new(*source, PollFlags::POLLIN);
        }
        let (waiting, _) = fds.split_at_mut(1 + sources.len().min(MAX_SOURCES));
        match poll(waiting, poll_timeout(timeout)) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Woken::Ready(0)),
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = 0u8;
        for (number, fd) in waiting.iter().enumerate() {
            if fd.any().unwrap_or(true) {
                match number {
                    0 => return Ok(Woken::Stop),
                    number => ready |= 1 << (number - 1),
                }
            }
        }
        Ok(Woken::Ready(ready))
    }
}

fn poll_timeout(timeout: Option<Duration>) -> PollTimeout {
    timeout.map_or(PollTimeout::NONE, |timeout| PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::{Bell, COURTESIES, Courtesy, Stop, Woken};

    /// Or a thread with nothing to do would not sleep.
    #[test]
    fn courtesy_ends_until_there_is_something_to_do() {
        let mut courtesy = Courtesy::default();
        for (found, shown) in [(2, COURTESIES), (0, 0), (44, COURTESIES)] {
            courtesy.found(found);
            assert_eq!((0..10).filter(|_| courtesy.show()).count(), usize::from(shown), "{found}");
        }
    }

    #[test]
    fn packets_that_come_alone_are_waited_for_asleep_unless_they_come_soon() {
        let mut courtesy = Courtesy::default();
        let mut comes_alone = |brisk| {
            courtesy.found(1);
            courtesy.brisk = brisk;
            let mut looks = 0;
            while courtesy.show() {
                looks += 1;
            }
            assert!(!courtesy.brisk, "it looked in vain, and sleeps");
            looks
        };
        assert_eq!(comes_alone(false), 0);
        assert!(comes_alone(true) > 0);
        assert_eq!(comes_alone(false), 0);
    }

    /// The next one comes as soon as it sleeps.
    #[test]
    fn who_was_looked_for_in_vain_is_not_looked_for_again_at_once() {
        let mut courtesy = Courtesy { brisk: true, ..Courtesy::default() };
        courtesy.found(1);
        assert!(courtesy.show());
        while courtesy.show() {}
        courtesy.found(1);
        assert!(!courtesy.show());
    }

    #[test]
    fn a_bell_wakes_until_it_is_answered() {
        let (stop, bell) = (Stop::new().unwrap(), Bell::new().unwrap());
        let wait = || stop.wait(&[bell.as_fd()], Some(Duration::ZERO)).unwrap();
        assert!(!bell.answer());
        for _ in 0..3 {
            bell.ring();
            bell.ring();
            assert_eq!(wait(), Woken::Ready(1));
            assert!(bell.answer() && !bell.answer());
            assert_eq!(wait(), Woken::Ready(0));
        }
    }

    /// Or the thread would not sleep any more.
    #[test]
    fn a_bell_that_was_answered_does_not_wake_however_it_was_rung_meanwhile() {
        let (stop, bell) = (Stop::new().unwrap(), Bell::new().unwrap());
        for _ in 0..300 {
            std::thread::scope(|scope| {
                let ringer = scope.spawn(|| (0..50).for_each(|_| bell.ring()));
                while !ringer.is_finished() {
                    bell.answer();
                }
            });
            while bell.answer() {}
            assert_eq!(stop.wait(&[bell.as_fd()], Some(Duration::ZERO)).unwrap(), Woken::Ready(0));
        }
    }

    #[test]
    fn names_the_source_that_is_ready_and_the_stop_above_all() {
        let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
        let spoken_to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stop = Stop::new().unwrap();
        let sources = [quiet.as_fd(), spoken_to.as_fd()];
        assert_eq!(stop.wait(&sources, Some(Duration::ZERO)).unwrap(), Woken::Ready(0));
        quiet.send_to(b"x", spoken_to.local_addr().unwrap()).unwrap();
        assert_eq!(stop.wait(&sources, None).unwrap(), Woken::Ready(0b10));
        assert!(!stop.is_raised());
        stop.raise();
        assert!(stop.is_raised());
        assert_eq!(stop.wait(&sources, None).unwrap(), Woken::Stop);
        assert_eq!(stop.wait(&[], None).unwrap(), Woken::Stop, "it stays raised");
    }
}
