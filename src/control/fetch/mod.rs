//! Fetching CRLs (RFC 5280 §4.2.1.13) and OCSP answers (RFC 6960 Appendix A): few at a time, one a host, kept on disk.
//!
//! A server that hangs costs the tunnels that need it, and nobody else: it holds one of the turns for a few seconds,
//! then nobody asks it for a while.

mod cache;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::{Instant, timeout};

use crate::net::http::{self, Ask, Connector, HttpError, Url};

use cache::{Cache, Key};

/// Requests under way at a time.
const AT_A_TIME: usize = 8;
/// How long a request may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a host that did not answer is left alone.
const REST: Duration = Duration::from_secs(30);
/// Hosts that are known at a time.
const HOSTS: usize = 1024;
/// Bytes of a CRL.
const CRL: usize = 16 << 20;
/// Bytes of an OCSP answer.
const OCSP: usize = 64 << 10;

/// What is fetched, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// An `http` URL, of a certificate whose path is trusted.
    pub url: String,
    /// What stands there.
    pub kind: Kind,
    /// Whether a kept answer does not do, since it is no longer valid.
    pub refresh: bool,
}

/// What stands at a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A certificate revocation list.
    Crl,
    /// An OCSP responder, with the DER of the request.
    Ocsp(Vec<u8>),
}

impl Kind {
    fn ask(&self) -> (Ask, usize) {
        match self {
            Self::Crl => (Ask::Get, CRL),
            Self::Ocsp(request) => {
                let ask = Ask::Post {
                    content_type: "application/ocsp-request",
                    accept: "application/ocsp-response",
                    body: request.clone(),
                };
                (ask, OCSP)
            }
        }
    }

    fn key(&self, url: &Url) -> Key {
        let url = url.to_string();
        match self {
            Self::Crl => Key::of(&[url.as_bytes()]),
            Self::Ocsp(request) => Key::of(&[url.as_bytes(), request]),
        }
    }
}

/// Whoever goes out and asks.
pub trait Messenger: Send + Sync + 'static {
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
pub struct Fetcher<M = Connector>(Arc<Shared<M>>);

impl<M> Clone for Fetcher<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Shared<M> {
    messenger: M,
    cache: Mutex<Cache>,
    turns: Semaphore,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
}

/// A host that was asked lately.
#[derive(Debug, Default)]
struct Host {
    turn: AsyncMutex<()>,
    failed: Mutex<Option<(Instant, HttpError)>>,
}

impl Fetcher {
    /// One whose sockets carry the mark, and which keeps answers in a directory.
    pub fn new(mark: u32, directory: Option<PathBuf>) -> Self {
        Self::with(Connector::new(Some(mark)), directory)
    }
}

impl<M: Messenger> Fetcher<M> {
    fn with(messenger: M, directory: Option<PathBuf>) -> Self {
        Self(Arc::new(Shared {
            messenger,
            cache: Mutex::new(Cache::open(directory)),
            turns: Semaphore::new(AT_A_TIME),
            hosts: Mutex::default(),
        }))
    }

    /// The bytes, whatever they are worth.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn fetch(self, want: Want) -> Result<Vec<u8>, String> {
        let shown: String = want.url.chars().filter(|c| !c.is_control()).take(200).collect();
        let url: Url = want.url.parse().map_err(|error| format!("`{shown}` {error}"))?;
        self.of(&url, &want).await.map_err(|why| format!("{url} {why}"))
    }

    /// `Err`: the end of a sentence.
    async fn of(&self, url: &Url, want: &Want) -> Result<Vec<u8>, String> {
        let key = want.kind.key(url);
        let known = self.cache().version(&key);
        if !want.refresh
            && known.is_some()
            && let Some(content) = self.kept(&key).await
        {
            return Ok(content);
        }
        let host = self.host(url)?;
        let late = || "was not asked: too many others are being asked".to_owned();
        let turns = async { (host.turn.lock().await, self.0.turns.acquire().await) };
        let _turns = timeout(PATIENCE, turns).await.map_err(|_| late())?;
        // Somebody before us may have asked the same.
        if self.cache().version(&key) > known
            && let Some(content) = self.kept(&key).await
        {
            return Ok(content);
        }
        host.is_worth_asking()?;
        let (ask, most) = want.kind.ask();
        let answer = self.0.messenger.ask(url, &ask, most).await;
        host.note(answer.as_ref().err());
        let content = answer.map_err(|error| error.to_string())?;
        Ok(self.keep(key, content).await)
    }

    /// Reads the disk, off the loop.
    async fn kept(&self, key: &Key) -> Option<Vec<u8>> {
        let (shared, key) = (self.clone(), key.clone());
        tokio::task::spawn_blocking(move || shared.cache().get(&key)).await.ok().flatten()
    }

    async fn keep(&self, key: Key, content: Vec<u8>) -> Vec<u8> {
        let (shared, kept) = (self.clone(), content.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || shared.cache().put(&key, &kept)).await {
            tracing::error!(%error, "what was fetched was not kept");
        }
        content
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, url: &Url) -> Result<Arc<Host>, String> {
        let name = format!("{}:{}", url.host().to_ascii_lowercase(), url.port());
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS && !hosts.contains_key(&name) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.rests().is_some());
            if hosts.len() >= HOSTS {
                return Err("was not asked: too many hosts are being asked".to_owned());
            }
        }
        Ok(hosts.entry(name).or_default().clone())
    }
}

impl Host {
    fn failed(&self) -> MutexGuard<'_, Option<(Instant, HttpError)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is left alone, if it is.
    fn rests(&self) -> Option<HttpError> {
        let failed = self.failed();
        failed.as_ref().filter(|(when, _)| when.elapsed() < REST).map(|(_, error)| error.clone())
    }

    fn is_worth_asking(&self) -> Result<(), String> {
        match self.rests() {
            Some(error) => Err(format!("{error}; it is asked again {} s after that", REST.as_secs())),
            None => Ok(()),
        }
    }

    fn note(&self, error: Option<&HttpError>) {
        *self.failed() =
            error.filter(|error| error.is_of_the_host()).map(|error| (Instant::now(), error.clone()));
    }
}
