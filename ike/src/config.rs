//! What an engineer decides about a connection, already validated: the shell builds these from its file.

mod pool;
mod schedule;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::{Identity, RemoteId};
use crate::limits;
use crate::negotiate::TrafficSelector;
use crate::pki::{Credential, Trust};
use crate::secret::Secret;
use crate::suite::{EspProposal, IkeProposal, Profile};

pub(crate) use pool::is_for_no_host;
pub use pool::{InternalAddress, Pool, PoolRange, PoolRangeError};
pub use schedule::{ChildLifetime, Keepalive, Retransmit, Retry};

/// The name of a connection or of one of its children, as in the configuration.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One tunnel as configured: whom we talk to, how both prove themselves, and what may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Unique among the connections of an endpoint.
    pub name: Name,
    /// Who we say we are.
    pub local_id: Identity,
    /// Who the peer must prove to be. A connection that is not for one identity alone may have many tunnels at once, one
    /// for each identity, and never initiates; see [`Connection::check`].
    pub remote_id: RemoteId,
    /// How we prove it.
    pub local_auth: LocalAuth,
    /// How the peer must prove it.
    pub remote_auth: RemoteAuth,
    /// Where the peer is, if we know.
    pub remote: Remote,
    /// Whether we start it, each child as its [`Start`] says; else we only answer.
    pub initiate: bool,
    /// Suites for the IKE SA, preferred first; at least one.
    pub proposals: Vec<IkeProposal>,
    /// Bytes of the IP packets that carry an IKE message at most: one that is longer is sent in fragments (RFC 7383).
    pub fragment_size: u16,
    /// Whether packets outside may be fragmented on their way.
    pub dont_fragment: DontFragment,
    /// The Child SAs; at least one, names unique. The first is set up by `IKE_AUTH`.
    pub children: Vec<Child>,
    /// What becomes of a second tunnel of the same peer.
    pub unique: Uniqueness,
    /// Whether an IKE SA may be set up without a Child SA.
    pub childless: Childless,
    /// The pools that the peer gets its address from, the preferred first: one address of each family that it asks
    /// for. With any, it must ask, and nothing else is its own.
    pub pools: Vec<Name>,
    /// The addresses that we ask the peer for.
    pub internal_address: InternalAddress,
    /// When the IKE SA is replaced, seconds; RFC 7296 §2.8. Default 8 hours.
    pub lifetime: Duration,
    /// How UDP encapsulation is decided.
    pub encapsulation: Encapsulation,
    /// Time between NAT keepalives (RFC 3948 §4), and whether they are sent even without a NAT.
    pub keepalive: Keepalive,
    /// Silence of the peer after which it is probed (RFC 7296 §2.4). Default 10 s.
    pub liveness: Duration,
    /// The retransmission schedule.
    pub retransmit: Retransmit,
    /// The back-off between attempts to set the tunnel up.
    pub retry: Retry,
}

/// What a connection cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// Each peer that has the key could speak for every other.
    #[error("tunnel `{0}` is for many peers, and a pre-shared key or a pinned one is for one alone")]
    KeyOfMany(Name),
    /// There is nobody in particular to be called.
    #[error("tunnel `{0}` is for many peers, so only they can start it")]
    InitiatesToMany(Name),
    /// Who gives out addresses is the responder.
    #[error("tunnel `{0}` gives its peer an address, so only the peer can start it")]
    InitiatesWithPool(Name),
    /// Who asks for one is the initiator.
    #[error("tunnel `{0}` asks for an address, so only we can start it")]
    AnswersWithoutAddress(Name),
    /// What we are given is all that we may send from, and without it there is nothing.
    #[error(
        "child `{1}` of tunnel `{0}` needs local networks, or an address that the peer gives, and not both"
    )]
    LocalNetworks(Name, Name),
    /// Without a pool there is nothing to take the place of remote networks.
    #[error("child `{1}` of tunnel `{0}` needs remote networks, or a pool")]
    RemoteNetworks(Name, Name),
    /// Nothing is known of it.
    #[error("tunnel `{0}` names a pool `{1}`, which does not exist")]
    UnknownPool(Name, Name),
}

impl Connection {
    /// One that only answers, with everything else at its default.
    pub fn new(
        name: Name,
        local: (Identity, LocalAuth),
        remote: (RemoteId, RemoteAuth),
        children: Vec<Child>,
    ) -> Self {
        let (local_id, local_auth) = local;
        let (remote_id, remote_auth) = remote;
        Self {
            name,
            local_id,
            remote_id,
            local_auth,
            remote_auth,
            remote: Remote::Any,
            initiate: false,
            proposals: Profile::default().ike_proposals(),
            fragment_size: limits::FRAGMENT_SIZE,
            dont_fragment: DontFragment::default(),
            children,
            unique: Uniqueness::default(),
            childless: Childless::default(),
            pools: Vec::new(),
            internal_address: InternalAddress::default(),
            lifetime: Duration::from_hours(8),
            encapsulation: Encapsulation::Forced,
            keepalive: Keepalive::default(),
            liveness: Duration::from_secs(10),
            retransmit: Retransmit::default(),
            retry: Retry::default(),
        }
    }

    /// Whether it can be configured: one for many peers demands certificates that an authority vouches for, and only
    /// answers; so does one that gives out addresses.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn check(&self) -> Result<(), ConnectionError> {
        self.check_addresses()?;
        if self.remote_id.exact().is_some() {
            return Ok(());
        }
        let vouched = match &self.remote_auth {
            RemoteAuth::Psk(_) => false,
            RemoteAuth::Signature(trust) => trust.pinned.is_empty(),
        };
        if !vouched || matches!(self.local_auth, LocalAuth::Psk(_)) {
            return Err(ConnectionError::KeyOfMany(self.name.clone()));
        }
        if self.initiate {
            return Err(ConnectionError::InitiatesToMany(self.name.clone()));
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), ConnectionError> {
        let (gives, asks) = (!self.pools.is_empty(), self.internal_address.is_asked());
        if gives && self.initiate {
            return Err(ConnectionError::InitiatesWithPool(self.name.clone()));
        }
        if asks && !self.initiate {
            return Err(ConnectionError::AnswersWithoutAddress(self.name.clone()));
        }
        for child in &self.children {
            let (tunnel, name) = (self.name.clone(), child.name.clone());
            if child.local.is_empty() != asks {
                return Err(ConnectionError::LocalNetworks(tunnel, name));
            }
            if child.remote.is_empty() && !gives {
                return Err(ConnectionError::RemoteNetworks(tunnel, name));
            }
        }
        Ok(())
    }

    /// The places of the children that are set up without being asked for.
    pub(crate) fn always(&self) -> impl Iterator<Item = usize> {
        let always = |(_, child): &(usize, &Child)| self.initiate && child.start == Start::Always;
        self.children.iter().enumerate().filter(always).map(|(index, _)| index)
    }

    /// Whether this child is one that we may set up.
    pub(crate) fn may_start(&self, index: usize) -> bool {
        self.children.get(index).is_some_and(|child| child.start != Start::Listen)
    }

    /// Whether `new` differs from this in nothing but the certificate and key that we sign with: a tunnel that stands can
    /// go on with it.
    pub fn is_renewed_by(&self, new: &Self) -> bool {
        let signs = |c: &Self| matches!(c.local_auth, LocalAuth::Signature(_));
        let same = Self { local_auth: new.local_auth.clone(), ..self.clone() } == *new;
        same && signs(self) && signs(new)
    }

    /// Whether `new` differs from this in nothing but whose certificates are believed, and the certificate and key that we
    /// sign with: a tunnel that stands can go on with it if its peer passes.
    pub fn is_retrusted_by(&self, new: &Self) -> bool {
        let signs = |c: &Self| matches!(c.remote_auth, RemoteAuth::Signature(_));
        let as_before = Self { remote_auth: self.remote_auth.clone(), ..new.clone() };
        signs(self) && signs(new) && (as_before == *self || self.is_renewed_by(&as_before))
    }
}

/// How we prove who we are. "There is no requirement that the initiator and responder sign with the same cryptographic
/// algorithms" (RFC 7296 §2.15), nor that both sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAuth {
    /// Shared key message integrity code (RFC 7296 §2.15).
    Psk(Secret),
    /// A signature (RFC 7427), or one of the older kinds for a peer that knows no other.
    Signature(Arc<Credential>),
}

/// How the peer must prove who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAuth {
    /// Shared key message integrity code (RFC 7296 §2.15).
    Psk(Secret),
    /// A signature with the key of a certificate that these vouch for, or with a key that is pinned.
    Signature(Arc<Trust>),
}

/// Where the peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Anywhere: we can only answer.
    Any,
    /// Host names or addresses, tried in order. Names are resolved by the shell for each attempt.
    Hosts(Vec<String>),
}

/// What becomes of a second tunnel that a peer sets up with an identity that has one (RFC 7296 §2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uniqueness {
    /// It takes the place of the first.
    #[default]
    Replace,
    /// It is refused while the first stands. The first is probed: if it is dead, the peer's next attempt succeeds. A
    /// peer that says by `INITIAL_CONTACT` that it has no other is believed at once, for it has proved who it is.
    Keep,
    /// Several stand side by side, up to a limit.
    Never,
}

/// Whether an IKE SA may be set up without a Child SA (RFC 6023).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Childless {
    /// No: `IKE_AUTH` carries the first child, and a peer's must carry one.
    Never,
    /// As responder yes; as initiator only if no child is to be set up at once.
    #[default]
    Allowed,
    /// Also as initiator, if the peer can: then each child has a key exchange of its own from the start, and a
    /// disagreement about it shows at once instead of at the first rekey.
    Preferred,
}

/// How UDP encapsulation of ESP is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Always: we send a NAT detection hash that cannot match, as strongSwan's `encap = yes`.
    Forced,
    /// Only where a NAT is detected; elsewhere ESP is an IP protocol of its own (RFC 7296 §2.23).
    Detected,
}

/// Whether the packets of a tunnel's Child SAs wear the Don't Fragment bit outside, so that none is fragmented on its way. IKE
/// messages never do, but for those that find out how much the path carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DontFragment {
    /// Where it is found out how much the path carries: with peers that take IKE messages in fragments.
    #[default]
    Auto,
    /// Always: paths that carry less must have routers that say so.
    Always,
    /// Never, and how much the path carries is not sought: for paths that deceive us.
    Never,
}

/// One Child SA as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Unique in its connection.
    pub name: Name,
    /// Suites, preferred first; at least one.
    pub proposals: Vec<EspProposal>,
    /// What our side may send from. Empty: the address that the peer gives us.
    pub local: Vec<TrafficSelector>,
    /// What the peer's side may send from; of this, where we give it an address, that address alone. Empty: all that
    /// this address may send.
    pub remote: Vec<TrafficSelector>,
    /// When it is replaced.
    pub lifetime: ChildLifetime,
    /// When it is set up.
    pub start: Start,
    /// It is deleted once no packet passed for this long, and comes back on demand. `None`: it stays.
    pub inactivity: Option<Duration>,
    /// Whether each packet is padded to the MTU, unless the peer refuses that (RFC 4303 §2.7).
    pub tfc_padding: bool,
}

impl Child {
    /// One between these networks, with everything else at its default.
    pub fn new(name: Name, local: Vec<TrafficSelector>, remote: Vec<TrafficSelector>) -> Self {
        Self {
            name,
            proposals: Profile::default().esp_proposals(),
            local,
            remote,
            lifetime: ChildLifetime::default(),
            start: Start::default(),
            inactivity: None,
            tfc_padding: false,
        }
    }
}

/// When a Child SA of a connection that we initiate is set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At once, and again whenever it is gone.
    #[default]
    Always,
    /// When the data path has a packet for it: [`crate::event::Command::Acquire`].
    OnDemand,
    /// By the peer alone.
    Listen,
}

/// What holds for the endpoint as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// The port of plain IKE. Default 500.
    pub ike_port: u16,
    /// The port of UDP encapsulation. Default 4500.
    pub nat_port: u16,
    /// Half-open SAs (as responder) from which on everyone must return a cookie (RFC 7296 §2.6).
    pub cookie_threshold: usize,
    /// Half-open SAs at most; further requests are dropped.
    pub half_open_max: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self { ike_port: 500, nat_port: 4500, cookie_threshold: 128, half_open_max: 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_is_half_a_second_to_eight() {
        let schedule = Retransmit::default();
        let waits: Vec<u128> = (0..=schedule.tries).map(|n| schedule.wait(n).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000]);
        assert_eq!(schedule.whole().as_millis(), 25_850);
    }
}
