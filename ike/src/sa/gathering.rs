//! What is fetched about revocation before a proof of identity can be judged (RFC 6960, RFC 5280 §6.3).
//!
//! All responders at once; then, for what these leave open, all lists at once. So two time limits of one fetch are the
//! longest wait.

use std::collections::BTreeMap;

use super::context::{Context, JobOwner};
use crate::event::{JobId, JobKind};
use crate::identity::{Examination, Review};
use crate::limits;
use crate::pki::{Answer, Fetch, FetchKind};

/// A judgement that waits for answers: an examination or a review.
#[derive(Debug)]
pub(crate) struct Gathering<T = Examination> {
    judgement: Box<T>,
    awaited: BTreeMap<JobId, Fetch>,
}

/// What the answers are for.
pub(crate) trait Judgement {
    fn answers(&mut self) -> &mut Vec<Answer>;
}

impl Judgement for Examination {
    fn answers(&mut self) -> &mut Vec<Answer> {
        &mut self.answers
    }
}

impl Judgement for Review {
    fn answers(&mut self) -> &mut Vec<Answer> {
        &mut self.answers
    }
}

impl<T: Judgement> Gathering<T> {
    /// Asks for what is missing.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        owner: &JobOwner,
        mut judgement: Box<T>,
        missing: Vec<Fetch>,
    ) -> Self {
        let is_responder = |fetch: &Fetch| matches!(fetch.kind, FetchKind::Ocsp { .. });
        let responders = missing.iter().any(is_responder);
        let mut awaited = BTreeMap::new();
        for fetch in missing.into_iter().filter(|fetch| is_responder(fetch) == responders) {
            if awaited.len() < limits::FETCHES {
                let job = ctx.job(owner.clone(), JobKind::Fetch(fetch.clone()));
                awaited.insert(job, fetch);
            } else {
                let why = "not asked: the certificates name too many places".to_owned();
                judgement.answers().push(Answer::Failed(fetch, why));
            }
        }
        Self { judgement, awaited }
    }

    /// An answer came; `false` if it is none of these.
    pub(crate) fn take(&mut self, job: JobId, answer: Result<Answer, String>) -> bool {
        let Some(fetch) = self.awaited.remove(&job) else { return false };
        let answer = match answer {
            Ok(answer) if *answer.fetch() == fetch => answer,
            Ok(_) => Answer::Failed(fetch, "the answer is to another question".to_owned()),
            Err(why) => Answer::Failed(fetch, why),
        };
        self.judgement.answers().push(answer);
        true
    }

    /// The judgement to go on with, once every answer is here.
    pub(crate) fn finish(self) -> Result<Box<T>, Self> {
        if self.awaited.is_empty() { Ok(self.judgement) } else { Err(self) }
    }
}
