//! What responders say of our own certificates, kept ready for our proofs (RFC 4806): a negotiation never waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Connection, LocalAuth, RemoteAuth};
use crate::event::JobId;
use crate::limits;
use crate::pki::{Certificate, Fetch, Staple, Stapling};
use crate::time::Now;

/// By the fingerprints of our certificates.
#[derive(Debug, Default)]
pub(crate) struct Staples(BTreeMap<[u8; 32], Kept>);

/// Of one certificate.
#[derive(Debug)]
struct Kept {
    stapling: Arc<Stapling>,
    staple: Option<Arc<Staple>>,
    /// The job that is awaited, and the responders to be asked after it.
    asking: Option<(JobId, VecDeque<Fetch>)>,
    /// How often nobody gave an answer since somebody did.
    failures: u32,
}

/// What is to be done next for one certificate.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ask this responder.
    Ask(Fetch),
    /// Begin anew after this long, or a little less or more.
    Wait(Duration),
}

impl Staples {
    /// What goes with our proof for this connection.
    pub(crate) fn of(&self, connection: &Connection) -> Option<Arc<Staple>> {
        let LocalAuth::Signature(credential) = &connection.local_auth else { return None };
        self.0.get(&credential.chain.first()?.fingerprint())?.staple.clone()
    }

    /// Keeps what these connections need and nothing else. Returns the certificates that are gone and those that are new.
    pub(crate) fn configure<'a>(
        &mut self,
        connections: impl Iterator<Item = &'a Connection>,
    ) -> (Vec<[u8; 32]>, Vec<[u8; 32]>) {
        let mut wanted = BTreeMap::new();
        for connection in connections {
            let LocalAuth::Signature(credential) = &connection.local_auth else { continue };
            let Some(own) = credential.chain.first().map(Certificate::fingerprint) else { continue };
            let trust = match &connection.remote_auth {
                RemoteAuth::Signature(trust) => Some(&**trust),
                RemoteAuth::Psk(_) => None,
            };
            if wanted.contains_key(&own) {
                continue;
            }
            let known = self.0.remove(&own).or_else(|| Stapling::of(credential, trust).map(Kept::new));
            wanted.extend(known.map(|kept| (own, kept)));
        }
        let gone = std::mem::replace(&mut self.0, wanted).into_keys().collect();
        let idle = |(own, kept): (&[u8; 32], &Kept)| kept.is_new().then_some(*own);
        (gone, self.0.iter().filter_map(idle).collect())
    }

    /// Everything is forgotten; returns what was there.
    pub(crate) fn clear(&mut self) -> Vec<[u8; 32]> {
        std::mem::take(&mut self.0).into_keys().collect()
    }

    /// The certificates about which nobody is being asked.
    pub(crate) fn idle(&self) -> Vec<[u8; 32]> {
        self.0.iter().filter_map(|(own, kept)| kept.asking.is_none().then_some(*own)).collect()
    }

    pub(crate) fn stapling(&self, own: [u8; 32]) -> Option<Arc<Stapling>> {
        self.0.get(&own).map(|kept| Arc::clone(&kept.stapling))
    }

    /// Whether this job is the one that is awaited.
    pub(crate) fn awaits(&self, own: [u8; 32], job: JobId) -> bool {
        self.0.get(&own).and_then(|kept| kept.asking.as_ref()).is_some_and(|(asked, _)| *asked == job)
    }

    /// A responder is asked; these, if it does not know, after it.
    pub(crate) fn begin(&mut self, own: [u8; 32], job: JobId, then: VecDeque<Fetch>) {
        if let Some(kept) = self.0.get_mut(&own) {
            kept.asking = Some((job, then));
        }
    }

    /// What is awaited is this job now.
    pub(crate) fn go_on(&mut self, own: [u8; 32], job: JobId) {
        if let Some((awaited, _)) = self.0.get_mut(&own).and_then(|kept| kept.asking.as_mut()) {
            *awaited = job;
        }
    }

    /// What came of it: an answer to be kept, or none.
    pub(crate) fn answered(&mut self, own: [u8; 32], now: Now, staple: Option<Staple>) -> Option<Next> {
        let kept = self.0.get_mut(&own)?;
        let (_, rest) = kept.asking.as_mut()?;
        let [least, most] = limits::STAPLE_REFRESH;
        if let Some(staple) = staple {
            kept.failures = 0;
            let half = Duration::from_secs(staple.next_update().saturating_sub(now.wall) / 2);
            (kept.staple, kept.asking) = (Some(Arc::new(staple)), None);
            return Some(Next::Wait(half.clamp(least, most)));
        }
        if let Some(fetch) = rest.pop_front() {
            return Some(Next::Ask(fetch));
        }
        kept.asking = None;
        let wait = least.saturating_mul(1 << kept.failures.min(16)).min(most);
        kept.failures = kept.failures.saturating_add(1);
        Some(Next::Wait(wait))
    }
}

impl Kept {
    fn new(stapling: Stapling) -> Self {
        Self { stapling: Arc::new(stapling), staple: None, asking: None, failures: 0 }
    }

    fn is_new(&self) -> bool {
        self.staple.is_none() && self.asking.is_none() && self.failures == 0
    }
}
