//! Slow arithmetic, taken off the loop: a key exchange or a proof of one SA never blocks the liveness of another.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{ActiveKeyExchange, CryptoError, PrivateValue};
use crate::identity::{Examination, Proof, Proving, Review, Reviewed, Verdict};
use crate::pki::{Answer, SigningError, Staple, Stapling};
use crate::secret::Secret;
use crate::suite::Group;

/// Work for another thread. It needs nothing but itself: what it computes with, and the randomness, it carries.
pub struct Work {
    name: &'static str,
    run: Box<dyn FnOnce() -> Outcome + Send>,
}

/// What came of it; only [`Work::run`] makes one.
pub struct Done(pub(crate) Outcome);

/// What came of it, for the state machine that asked.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Our public value is ready to be sent.
    Begun(Box<dyn ActiveKeyExchange>),
    /// Our public value and the shared secret, as responder.
    Responded(Agreement),
    /// The shared secret, as initiator.
    Completed(Result<Secret, CryptoError>),
    /// Our proof of identity.
    Proved(Result<Proof, SigningError>),
    /// What is to be said of the peer's proof.
    Examined(Box<Verdict>),
    /// What is to be said of a peer whose tunnel stands.
    Reviewed(Box<Reviewed>),
    /// What can be sent along with our certificate.
    Stapled(Option<Staple>),
}

/// The responder's half of a key exchange.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) group: Group,
    /// Our public value and the shared secret. `Err` if the peer's value is none of the group.
    pub(crate) result: Result<(Vec<u8>, Secret), CryptoError>,
}

/// Whose work goes first when there is more than can be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Of a tunnel that stands.
    Established,
    /// Of a tunnel that we set up.
    Attempt,
    /// Of somebody who has proved nothing yet.
    Stranger,
}

impl Work {
    /// Does it. Takes from some microseconds to some milliseconds.
    pub fn run(self) -> Done {
        Done((self.run)())
    }

    pub(crate) fn begin(private: Box<dyn PrivateValue>) -> Self {
        Self { name: "begin a key exchange", run: Box::new(|| Outcome::Begun(private.begin())) }
    }

    pub(crate) fn respond(private: Box<dyn PrivateValue>, peer: Vec<u8>) -> Self {
        let group = private.group();
        let run = move || Outcome::Responded(Agreement { group, result: private.respond(&peer) });
        Self { name: "respond to a key exchange", run: Box::new(run) }
    }

    pub(crate) fn complete(active: Box<dyn ActiveKeyExchange>, peer: Vec<u8>) -> Self {
        let run = move || Outcome::Completed(active.complete(&peer));
        Self { name: "complete a key exchange", run: Box::new(run) }
    }

    pub(crate) fn prove(proving: Proving) -> Self {
        Self { name: "prove our identity", run: Box::new(|| Outcome::Proved(proving.run())) }
    }

    pub(crate) fn examine(examination: Box<Examination>) -> Self {
        let run = || Outcome::Examined(Box::new(examination.run()));
        Self { name: "examine a proof of identity", run: Box::new(run) }
    }

    pub(crate) fn review(review: Box<Review>) -> Self {
        Self { name: "judge a peer again", run: Box::new(|| Outcome::Reviewed(Box::new(review.run()))) }
    }

    /// `wall`: seconds since 1970 UTC.
    pub(crate) fn staple(stapling: Arc<Stapling>, answer: Answer, wall: u64) -> Self {
        let run = move || Outcome::Stapled(stapling.judge(&answer, wall));
        Self { name: "judge what is said of our certificate", run: Box::new(run) }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({})", self.name)
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}
