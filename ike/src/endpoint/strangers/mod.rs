//! Those who have not proved who they are: which of them has our work, how much is answered to whom, and what of it is kept for
//! the operator (RFC 7296 §2.4, §2.6).

mod allowance;
mod cookie;
mod half_open;
mod refusals;
mod unheard;

use std::net::SocketAddr;

use allowance::Allowance;
use cookie::CookieJar;
use half_open::{Admission, HalfOpenTable};
use refusals::{Noted, Refusals};
use unheard::Unheard;

use super::Core;
use crate::limits;
use crate::sa::{DropReason, HalfOpen, Sender};
use crate::time::Instant;
use crate::wire::IkeSpi;

pub(super) use cookie::Request;
pub(super) use refusals::is_same;

/// All strangers.
pub(super) struct Strangers {
    half_open: HalfOpenTable,
    cookies: Option<CookieJar>,
    pub(super) allowances: Allowances,
    /// Refusals that no tunnel was told of.
    untold: Refusals,
    noted: Noted,
    unheard: Unheard,
}

/// How often what no key protects is told of or answered, from wherever it comes: "Implementations MUST limit the rate at which
/// they take actions based on unprotected messages" (RFC 7296 §2.4).
pub(super) struct Allowances {
    /// For telling of refused first messages.
    pub(super) first_messages: Allowance,
    /// For telling of refused `IKE_AUTH` requests.
    pub(super) proofs: Allowance,
    /// For answering what cannot be read.
    pub(super) unread: Allowance,
}

/// Why a first message has none of our work.
pub(super) struct Unadmitted {
    pub(super) reason: DropReason,
    /// It is to come again with this cookie.
    pub(super) cookie: Option<Vec<u8>>,
}

impl Default for Strangers {
    fn default() -> Self {
        let allowance = |most| Allowance::new(most, limits::REFUSALS_PERIOD);
        Self {
            half_open: HalfOpenTable::default(),
            cookies: None,
            allowances: Allowances {
                first_messages: allowance(limits::REFUSALS_TOLD),
                proofs: allowance(limits::REFUSED_PROOFS_TOLD),
                unread: allowance(limits::UNREAD_ANSWERED),
            },
            untold: Refusals::default(),
            noted: Noted::default(),
            unheard: Unheard::default(),
        }
    }
}

impl Strangers {
    /// Whether this first message, with the cookie that it brings, may have our work, and what is known of its sender then.
    pub(super) fn admit(
        &mut self,
        core: &mut Core,
        now: Instant,
        request: &Request<'_>,
        cookie: Option<&[u8]>,
    ) -> Result<Sender, Unadmitted> {
        let free = match self.half_open.admission(&core.config, now, request.remote.ip()) {
            Admission::Refused(reason) => return Err(Unadmitted { reason, cookie: None }),
            Admission::Free if cookie.is_none() => return Ok(Sender::Claimed),
            admission => admission == Admission::Free,
        };
        let (provider, random) = (&core.provider, &mut *core.random);
        let jar = self.cookies.get_or_insert_with(|| CookieJar::new(random, now));
        if cookie.is_some_and(|cookie| jar.is_good(provider, random, now, request, cookie)) {
            return Ok(Sender::Proved);
        }
        // Whatever cookie it brings where nobody asks for one: it may be one of an earlier secret.
        if free {
            return Ok(Sender::Claimed);
        }
        let reason = if cookie.is_some() { DropReason::BadCookie } else { DropReason::CookieWanted };
        Err(Unadmitted { reason, cookie: Some(jar.bake(provider, random, now, request)) })
    }

    /// The half-open SA that this first message has made before.
    pub(super) fn made_by(&mut self, message: &[u8], remote: SocketAddr) -> Option<&mut HalfOpen> {
        self.half_open.made_by(message, remote)
    }

    pub(super) fn keep(&mut self, half_open: Box<HalfOpen>) {
        self.half_open.insert(half_open);
    }

    /// Takes a half-open SA out for a step.
    pub(super) fn take(&mut self, spi: IkeSpi) -> Option<Box<HalfOpen>> {
        self.half_open.take(spi)
    }

    /// The endpoint stops: nobody is waited for any more.
    pub(super) fn dismiss(&mut self) {
        self.half_open.clear();
    }
}
