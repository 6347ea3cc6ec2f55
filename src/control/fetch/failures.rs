//! Questions that failed a moment ago: who has waited for the same meanwhile has the same answer, and does not ask again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_ike::pki::{Fetch, FetchKind};
use tokio::time::Instant;

use super::PATIENCE;
use super::cache::Key;
use super::round::Round;
use crate::net::http;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// The end of a sentence that begins with the URL.
    pub(super) why: String,
    /// What came is about other certificates: whoever asks the same about one of these may be luckier.
    pub(super) others: bool,
}

impl Failure {
    /// One that is the same for all who ask.
    pub(super) fn of_all(why: String) -> Self {
        Self { why, others: false }
    }
}

/// What failed lately.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    arrivals: u64,
    all: BTreeMap<Question, Noted>,
}

/// `None`: whichever certificate it is about; else the fingerprint of the one.
type Question = (Key, Option<[u8; 32]>);

#[derive(Debug)]
struct Noted {
    round: Round,
    /// Who had arrived by then has waited for it.
    arrivals: u64,
    when: Instant,
    why: String,
}

/// When somebody came, among all who came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival(u64);

/// Nobody waits for longer: for a turn, and for the answer of the one who has it.
const LONGEST: Duration = PATIENCE.saturating_add(http::PATIENCE);

impl Failures {
    /// Somebody comes.
    pub(super) fn arrival(&self) -> Arrival {
        let mut lately = self.lock();
        lately.arrivals = lately.arrivals.saturating_add(1);
        Arrival(lately.arrivals)
    }

    /// Why this question, put in this round, failed while they waited, if it did.
    pub(super) fn since(&self, arrival: Arrival, key: &Key, fetch: &Fetch, round: Round) -> Option<String> {
        let lately = self.lock();
        let questions = [None, Some(about(fetch))].map(|certificate| (key.clone(), certificate));
        let mut noted = questions.iter().filter_map(|question| lately.all.get(question));
        let meant = |noted: &&Noted| noted.round == round && arrival.0 <= noted.arrivals;
        noted.find(meant).map(|noted| noted.why.clone())
    }

    /// It was put in this round and failed. What nobody can be waiting for any more is forgotten, so that these are no more than
    /// are asked in that time.
    pub(super) fn note(&self, key: &Key, fetch: &Fetch, round: Round, failure: &Failure) {
        let mut lately = self.lock();
        lately.all.retain(|_, noted| noted.when.elapsed() <= LONGEST);
        let (arrivals, why) = (lately.arrivals, failure.why.clone());
        let noted = Noted { round, arrivals, when: Instant::now(), why };
        lately.all.insert((key.clone(), failure.others.then(|| about(fetch))), noted);
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn about(fetch: &Fetch) -> [u8; 32] {
    match &fetch.kind {
        FetchKind::Crl { certificate } | FetchKind::Ocsp { certificate, .. } => certificate.fingerprint(),
    }
}
