//! Fetching CRLs (RFC 5280 §4.2.1.13) and OCSP answers (RFC 6960 Appendix A): few at a time, one a host, kept on disk.
//!
//! A server that hangs costs the tunnels that need it, and nobody else: it holds one of the turns for a few seconds,
//! then nobody asks it for a while. Those that stand are asked for first, and what many want is asked once. An answer that was
//! kept is used without asking for an hour, or until an operator has all asked anew, by a reload or a restart; after that only
//! if the server gives none and the answer is still valid. Whoever sits on the way and answers in the server's place gains no more
//! than by silence: what is not rightly signed, or is another list of the same authority, is no answer, and what is older than
//! what was kept, or not valid yet, does not replace it.

mod cache;
mod failures;
mod round;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_ike::Class;
use sekisho_ike::pki::{Answer, Fetch, FetchKind};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::net::http::{self, Ask, Connector, HttpError, Url, UrlError};

use cache::{Age, Cache, Key, now};
use failures::{Failure, Failures};
use round::{Round, Rounds};
use turns::Turns;

/// Requests under way at a time.
const AT_A_TIME: usize = 8;
/// How long a request may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a host that did not answer is left alone.
const REST: Duration = Duration::from_secs(30);
/// Seconds for which an answer is used without asking again, unless half of its validity has passed by then.
const FRESH: u64 = 3600;
/// Hosts that are known at a time.
const HOSTS: usize = 1024;
/// Bytes of a CRL.
const CRL: usize = 16 << 20;
/// Bytes of an OCSP answer.
const OCSP: usize = 64 << 10;

/// Whoever goes out and asks.
pub(super) trait Messenger: Send + Sync + 'static {
    /// The content of the answer, at most `most` bytes.
    fn ask(
        &self,
        url: &Url,
        ask: &Ask,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, HttpError>> + Send;
}

impl Messenger for Connector {
    async fn ask(&self, url: &Url, ask: &Ask, most: usize) -> Result<Vec<u8>, HttpError> {
        http::fetch(self, url, ask, most).await
    }
}

/// Fetches; clones share everything.
#[derive(Debug)]
pub(super) struct Fetcher<M = Connector>(Arc<Shared<M>>);

impl<M> Clone for Fetcher<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Shared<M> {
    messenger: M,
    cache: Cache,
    turns: Turns,
    failures: Failures,
    rounds: Rounds,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
}

/// A host that was asked lately.
#[derive(Debug, Default)]
struct Host {
    failed: Mutex<Option<Failed>>,
}

/// It did not answer.
#[derive(Debug)]
struct Failed {
    when: Instant,
    /// The question's.
    round: Round,
    error: HttpError,
}

impl Fetcher {
    /// One whose sockets carry the mark, and which keeps answers in a directory.
    pub(super) fn new(mark: u32, directory: Option<PathBuf>) -> Self {
        Self::with(Connector::new(Some(mark)), directory)
    }
}

impl<M: Messenger> Fetcher<M> {
    fn with(messenger: M, directory: Option<PathBuf>) -> Self {
        Self(Arc::new(Shared {
            messenger,
            cache: Cache::open(directory),
            turns: Turns::new(AT_A_TIME),
            failures: Failures::default(),
            rounds: Rounds::default(),
            hosts: Mutex::default(),
        }))
    }

    /// Whatever was asked for until now may be out of date, and hosts that failed may be well again. A question that is under
    /// way may have been answered before it was.
    pub(super) fn ask_anew(&self) {
        self.0.rounds.begin();
    }

    /// What is learned: fetched now or lately, or why there is nothing, as the end of a sentence that begins with the URL.
    /// Its signature is right, and it is about the certificate in question.
    pub(super) async fn fetch(self, fetch: Fetch, class: Class) -> Answer {
        let key = Key::of(&fetch);
        let known = self.0.cache.age(&key);
        if let Some(age) = known.filter(|age| age.round == self.0.rounds.present() && is_fresh(*age, FRESH))
            && let Some(answer) = self.kept(&key, &fetch).await
            && is_fresh(age, half_life(age, &answer))
        {
            return answer;
        }
        let why = match self.asked(&key, &fetch, known, class).await {
            Ok(answer) => return answer,
            Err(why) => why,
        };
        match self.kept(&key, &fetch).await {
            Some(answer) => {
                tracing::debug!("{} {why}; what was had before is still valid", fetch.url);
                answer
            }
            None => Answer::Failed(fetch, why),
        }
    }

    /// Goes out and asks. `known`: what there was before.
    async fn asked(
        &self,
        key: &Key,
        fetch: &Fetch,
        known: Option<Age>,
        class: Class,
    ) -> Result<Answer, String> {
        let url: Url = fetch.url.parse().map_err(|error: UrlError| error.to_string())?;
        let (name, host) = self.host(&url)?;
        let arrival = self.0.failures.arrival();
        let late = || "was not asked: too many others are being asked".to_owned();
        let turn = timeout(PATIENCE, self.0.turns.take(class, &name));
        let _turn = turn.await.map_err(|_| late())?;
        let round = self.0.rounds.present();
        // Somebody before us may have asked the same.
        let newer = self.0.cache.age(key).filter(|age| age.round == round && Some(*age) > known);
        if newer.is_some()
            && let Some(answer) = self.kept(key, fetch).await
        {
            return Ok(answer);
        }
        if let Some(why) = self.0.failures.since(arrival, key, fetch, round) {
            return Err(why);
        }
        host.is_worth_asking(round)?;
        let answer = self.ask(&url, &host, key, fetch, round).await;
        answer.map_err(|failure| {
            self.0.failures.note(key, fetch, round, &failure);
            failure.why
        })
    }

    async fn ask(
        &self,
        url: &Url,
        host: &Host,
        key: &Key,
        fetch: &Fetch,
        round: Round,
    ) -> Result<Answer, Failure> {
        let (ask, most) = question(&fetch.kind);
        let content = self.0.messenger.ask(url, &ask, most).await;
        host.note(round, content.as_ref().err());
        let content = content.map_err(|error| Failure::of_all(error.to_string()))?;
        let kept = self.keep(key, fetch, content, round).await;
        kept.map_err(|failure| Failure { why: format!("answered, but {}", failure.why), ..failure })
    }

    /// What was had before, if it is still valid. Read off the loop.
    async fn kept(&self, key: &Key, fetch: &Fetch) -> Option<Answer> {
        let (own, key, fetch) = (self.clone(), key.clone(), fetch.clone());
        let kept = spawn_blocking(move || own.0.cache.get(&key, &fetch)).await.ok().flatten();
        kept.filter(|answer| answer.is_current(now()))
    }

    /// What is the word of whoever was asked is kept: what somebody on the way has put in its place is worth less than what
    /// was kept before. A long list takes its time, so this is done off the loop.
    async fn keep(
        &self,
        key: &Key,
        fetch: &Fetch,
        content: Vec<u8>,
        round: Round,
    ) -> Result<Answer, Failure> {
        let (own, key, fetch) = (self.clone(), key.clone(), fetch.clone());
        let kept = spawn_blocking(move || {
            let answer = Answer::read(fetch, &content, now());
            let others = answer.is_about_others();
            match answer.vouched(now()) {
                Answer::Failed(_, why) => Err(Failure { why, others }),
                answer => Ok(own.0.cache.put(&key, &content, answer, round)),
            }
        });
        kept.await.unwrap_or_else(|error| Err(Failure::of_all(error.to_string())))
    }

    fn host(&self, url: &Url) -> Result<(String, Arc<Host>), String> {
        let name = format!("{}:{}", url.host().to_ascii_lowercase(), url.port());
        let round = self.0.rounds.present();
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS && !hosts.contains_key(&name) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.rests(round).is_some());
            if hosts.len() >= HOSTS {
                return Err("was not asked: too many hosts are being asked".to_owned());
            }
        }
        let host = hosts.entry(name.clone()).or_default().clone();
        Ok((name, host))
    }
}

/// Whether it was put here less than so many seconds ago.
fn is_fresh(age: Age, seconds: u64) -> bool {
    // One from the future was put here by a clock that was wrong.
    now().checked_sub(age.fetched).is_some_and(|passed| passed < seconds)
}

/// Seconds from its fetch until half of its validity has passed: a short-lived answer is asked for again before its end.
fn half_life(age: Age, answer: &Answer) -> u64 {
    answer.next_update().unwrap_or_default().saturating_sub(age.fetched) / 2
}

fn question(kind: &FetchKind) -> (Ask, usize) {
    match kind {
        FetchKind::Crl { .. } => (Ask::Get, CRL),
        FetchKind::Ocsp { request, .. } => {
            let ask = Ask::Post {
                content_type: "application/ocsp-request",
                accept: "application/ocsp-response",
                body: request.clone(),
            };
            (ask, OCSP)
        }
    }
}

impl Host {
    fn failed(&self) -> MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is left alone in this round, if it is.
    fn rests(&self, round: Round) -> Option<HttpError> {
        let failed = self.failed();
        let lately = |failed: &&Failed| failed.round == round && failed.when.elapsed() < REST;
        failed.as_ref().filter(lately).map(|failed| failed.error.clone())
    }

    fn is_worth_asking(&self, round: Round) -> Result<(), String> {
        match self.rests(round) {
            Some(error) => Err(format!("{error}; it is asked again {} s after that", REST.as_secs())),
            None => Ok(()),
        }
    }

    /// A question of this round was answered, or not.
    fn note(&self, round: Round, error: Option<&HttpError>) {
        let failed = |error: &HttpError| Failed { when: Instant::now(), round, error: error.clone() };
        *self.failed() = error.filter(|error| error.is_of_the_host()).map(failed);
    }
}
