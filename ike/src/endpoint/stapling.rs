//! Having what is said of our own certificates fetched ahead of need, and again before it is old (RFC 4806).

use super::schedule::Owner;
use super::{Endpoint, deadline};
use crate::event::{Completion, DeadlineReason, JobId, JobKind};
use crate::sa::{JobOwner, Next};
use crate::time::Now;
use crate::work::{Outcome, Work};

impl Endpoint {
    /// The connections changed, and our certificates perhaps with them.
    pub(super) fn configure_staples(&mut self, now: Now) {
        let connections = self.connections.iter().map(|managed| &*managed.config);
        let (gone, new) = self.core.staples.configure(connections);
        gone.into_iter().for_each(|own| self.schedule.set(Owner::Staple(own), None));
        new.into_iter().for_each(|own| self.ask_for_staple(now, own));
    }

    /// What is known of our own certificates may be out of date.
    pub(super) fn renew_staples(&mut self, now: Now) {
        for own in self.core.staples.idle() {
            self.schedule.set(Owner::Staple(own), None);
            self.ask_for_staple(now, own);
        }
    }

    /// The endpoint stops.
    pub(super) fn forget_staples(&mut self) {
        for own in self.core.staples.clear() {
            self.schedule.set(Owner::Staple(own), None);
        }
    }

    /// Asks the first responder that our certificate names.
    pub(super) fn ask_for_staple(&mut self, now: Now, own: [u8; 32]) {
        let Some(fetches) = self.core.staples.stapling(own).map(|stapling| stapling.fetches()) else {
            return;
        };
        let mut fetches = fetches.into_iter();
        let Some(first) = fetches.next() else { return };
        let job = self.core.context(now).job(JobOwner::Staple(own), JobKind::Fetch(first));
        self.core.staples.begin(own, job, fetches.collect());
    }

    /// A responder answered, or not; or the answer was judged.
    pub(super) fn staple_stepped(&mut self, now: Now, own: [u8; 32], job: JobId, completion: Completion) {
        if !self.core.staples.awaits(own, job) {
            return;
        }
        let staple = match completion {
            Completion::Fetched(answer) => {
                let Some(stapling) = self.core.staples.stapling(own) else { return };
                let work = Work::staple(stapling, *answer, now.wall);
                let job = self.core.context(now).work(JobOwner::Staple(own), work);
                return self.core.staples.go_on(own, job);
            }
            Completion::Computed(done) => match done.0 {
                Outcome::Stapled(staple) => staple,
                _ => None,
            },
            Completion::Failed(_) | Completion::Resolved(_) => None,
        };
        match self.core.staples.answered(own, now, staple) {
            Some(Next::Ask(fetch)) => {
                let job = self.core.context(now).job(JobOwner::Staple(own), JobKind::Fetch(fetch));
                self.core.staples.go_on(own, job);
            }
            Some(Next::Wait(wait)) => {
                let at = now.boot + self.core.context(now).jitter(wait);
                self.schedule.set(Owner::Staple(own), Some(deadline(at, DeadlineReason::Staple)));
            }
            None => {}
        }
    }
}
