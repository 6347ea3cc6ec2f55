//! Slow work that comes back: each answer goes to whoever asked for it, and work that was lost is begun anew.

use super::Endpoint;
use crate::diagnose;
use crate::event::{Completion, JobId};
use crate::pki::Answer;
use crate::sa::{Attempt, AttemptStep, HalfOpenStep, JobOwner};
use crate::time::Now;

impl Endpoint {
    /// Slow work came back.
    pub fn handle_completion(&mut self, now: Now, job: JobId, completion: Completion) {
        let Some(owner) = self.core.output.owner_of(job) else { return };
        match (owner, completion) {
            (JobOwner::Connection(name), Completion::Resolved(result)) => {
                self.resolved(now, job, &name, result);
            }
            (JobOwner::Connection(name), Completion::Failed(why)) => self.resolved(now, job, &name, Err(why)),
            (JobOwner::Path(id), Completion::Resolved(result)) => self.path_checked(now, id, &result),
            (JobOwner::Tunnel(id), Completion::Computed(done)) => {
                self.with_tunnel(now, id, |tunnel, ctx| tunnel.completed(ctx, job, done.0));
            }
            (JobOwner::Attempt(spi), Completion::Computed(done)) => {
                if let Some(attempt) = self.attempts.remove(&spi) {
                    let step = attempt.completed(&mut self.core.context(now), job, done.0);
                    self.attempt_stepped(now, spi, step);
                }
            }
            (JobOwner::HalfOpen(spi), Completion::Computed(done)) => {
                if let Some(half_open) = self.strangers.take(spi) {
                    let path = half_open.path();
                    self.connections.explain_if(self.strangers.allowances.proofs.is_left(now.boot));
                    let ctx = &mut self.core.context(now);
                    let step = half_open.completed(ctx, job, done.0, &self.connections);
                    self.half_open_stepped(now, path, step);
                }
            }
            (JobOwner::Staple(certificate), completion) => {
                self.staple_stepped(now, certificate, job, completion);
            }
            (owner, Completion::Fetched(answer)) => self.fetched(now, job, &owner, Ok(*answer)),
            (owner, Completion::Failed(why)) => self.job_lost(now, job, &owner, &why),
            // An answer to another question.
            _ => {}
        }
        self.core.spis.reclaim();
    }

    /// What came of a fetch about revocation.
    fn fetched(&mut self, now: Now, job: JobId, owner: &JobOwner, answer: Result<Answer, String>) {
        match *owner {
            JobOwner::Attempt(spi) => {
                if let Some(attempt) = self.attempts.remove(&spi) {
                    let step = attempt.fetched(&mut self.core.context(now), job, answer);
                    self.attempt_stepped(now, spi, step);
                }
            }
            JobOwner::HalfOpen(spi) => {
                if let Some(half_open) = self.strangers.take(spi) {
                    let path = half_open.path();
                    let step = half_open.fetched(&mut self.core.context(now), job, answer);
                    self.half_open_stepped(now, path, step);
                }
            }
            JobOwner::Tunnel(id) => {
                self.with_tunnel(now, id, |tunnel, ctx| tunnel.fetched(ctx, job, answer));
            }
            JobOwner::Connection(_) | JobOwner::Path(_) | JobOwner::Staple(_) => {}
        }
    }

    /// The shell could not do a job: whoever waits for it begins anew.
    fn job_lost(&mut self, now: Now, job: JobId, owner: &JobOwner, why: &str) {
        match *owner {
            JobOwner::Attempt(spi) if self.attempts.get(&spi).is_some_and(Attempt::is_gathering) => {
                self.fetched(now, job, owner, Err(why.to_owned()));
            }
            JobOwner::Attempt(spi) if self.attempts.remove(&spi).is_some() => {
                let failed = AttemptStep::Failed(Box::new(diagnose::local(why)));
                self.attempt_stepped(now, spi, failed);
            }
            JobOwner::Tunnel(id) => self.with_tunnel(now, id, |tunnel, ctx| tunnel.job_lost(ctx, job, why)),
            JobOwner::HalfOpen(spi) => {
                let Some(half_open) = self.strangers.take(spi) else { return };
                let ctx = &mut self.core.context(now);
                if let Some(half_open) = half_open.job_lost(ctx, job, why) {
                    self.half_open_stepped(now, half_open.path(), HalfOpenStep::Pending(half_open));
                }
            }
            JobOwner::Attempt(_) | JobOwner::Connection(_) | JobOwner::Path(_) | JobOwner::Staple(_) => {}
        }
    }
}
