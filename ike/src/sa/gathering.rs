//! What is fetched about revocation before a proof of identity can be judged (RFC 6960, RFC 5280 §6.3).
//!
//! All responders at once; then, for what these leave open, all lists at once. So two time limits of one fetch are the
//! longest wait.

use std::collections::BTreeMap;

use super::context::{Context, JobOwner};
use crate::event::{JobId, JobKind};
use crate::identity::Examination;
use crate::limits;
use crate::pki::{Answer, Fetch, FetchKind};

/// An examination that waits for answers.
#[derive(Debug)]
pub(crate) struct Gathering {
    examination: Box<Examination>,
    awaited: BTreeMap<JobId, Fetch>,
}

impl Gathering {
    /// Asks for what is missing.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        owner: &JobOwner,
        mut examination: Box<Examination>,
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
                examination.answers.push(Answer::Failed(fetch, why));
            }
        }
        Self { examination, awaited }
    }

    /// An answer came; `false` if it is none of these.
    pub(crate) fn take(&mut self, job: JobId, answer: Result<Answer, String>) -> bool {
        let Some(fetch) = self.awaited.remove(&job) else { return false };
        let answer = match answer {
            Ok(answer) if *answer.fetch() == fetch => answer,
            Ok(_) => Answer::Failed(fetch, "the answer is to another question".to_owned()),
            Err(why) => Answer::Failed(fetch, why),
        };
        self.examination.answers.push(answer);
        true
    }

    /// The examination to go on with, once every answer is here.
    pub(crate) fn finish(self) -> Result<Box<Examination>, Self> {
        if self.awaited.is_empty() { Ok(self.examination) } else { Err(self) }
    }
}
