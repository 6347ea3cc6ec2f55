//! The addresses inside a tunnel that one end gave to the other, and what they mean for its Child SAs (RFC 7296 §2.19).

use std::net::IpAddr;

use super::child_exchange::ChildRefusal;
use super::context::{Context, DropReason};
use super::pools::{AddressLease, Pools};
use super::tunnel::Tunnel;
use crate::config::{Child, Connection};
use crate::diagnose;
use crate::event::{Assignment, Event, InnerAddresses};
use crate::exchange::{AddressWish, ConfigReply, ConfigRequest};
use crate::negotiate::TrafficSelector;
use crate::negotiate::narrow::narrow;
use crate::wire::NotifyType;

/// What one end of a tunnel gave to the other. "That address persists at least until the deletion of the IKE SA", and
/// of those that replace it.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// What we gave to the peer.
    leases: Vec<AddressLease>,
    /// What the peer gave to us.
    ours: Vec<IpAddr>,
    dns: Vec<IpAddr>,
}

/// What a child may carry in its tunnel, with the given addresses in the place of what the configuration leaves open.
#[derive(Debug)]
pub(crate) struct Networks {
    pub(crate) local: Vec<TrafficSelector>,
    pub(crate) remote: Vec<TrafficSelector>,
    /// Our side is the address that the peer gave to us.
    pub(crate) local_is_given: bool,
}

impl Networks {
    /// Both sides.
    pub(crate) fn sides(&self) -> (&[TrafficSelector], &[TrafficSelector]) {
        (&self.local, &self.remote)
    }

    /// Whether ports decide about what it carries.
    pub(crate) fn names_ports(&self) -> bool {
        self.local.iter().chain(&self.remote).any(TrafficSelector::names_ports)
    }

    /// What we offer while we ask for an address: RFC 7296 §2.19 has the whole of a family as `TSi`, which the responder
    /// narrows to the address.
    pub(crate) fn while_asking(connection: &Connection, child: &Child) -> Self {
        let families = [true, false].into_iter().filter(|ipv4| connection.internal_address.asks(*ipv4));
        let given: Vec<_> = families.map(TrafficSelector::everything).collect();
        Self::with(connection, child, &given, &[])
    }

    fn with(
        connection: &Connection,
        child: &Child,
        ours: &[TrafficSelector],
        theirs: &[TrafficSelector],
    ) -> Self {
        let local_is_given = child.local.is_empty();
        let local = if local_is_given { meeting(ours, &child.remote) } else { child.local.clone() };
        let theirs = meeting(theirs, &local);
        let remote = match (connection.pools.is_empty(), child.remote.is_empty()) {
            (true, _) => child.remote.clone(),
            (false, true) => theirs,
            (false, false) => narrow(&child.remote, &theirs),
        };
        Self { local, remote, local_is_given }
    }

    /// What of the peer's answer is for us: with an address that it gave, no more than that, however wide its `TSi`.
    pub(crate) fn narrow_given(&self, answered: &[TrafficSelector]) -> Vec<TrafficSelector> {
        if self.local_is_given { narrow(answered, &self.local) } else { answered.to_vec() }
    }
}

/// Without what is of a family that the other side lacks; but rather all than nothing, which cannot be said.
fn meeting(these: &[TrafficSelector], those: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let meets = |this: &&TrafficSelector| those.iter().any(|other| other.is_ipv4() == this.is_ipv4());
    let meeting: Vec<_> = these.iter().filter(meets).cloned().collect();
    if meeting.is_empty() { these.to_vec() } else { meeting }
}

impl Addresses {
    /// What the peer gave to us.
    pub(crate) fn given(ours: Vec<IpAddr>, dns: Vec<IpAddr>) -> Self {
        Self { leases: Vec::new(), ours, dns }
    }

    /// What a child may carry.
    pub(crate) fn networks(&self, connection: &Connection, child: &Child) -> Networks {
        let hosts = |all: &[IpAddr]| all.iter().copied().map(TrafficSelector::host).collect::<Vec<_>>();
        let leased: Vec<IpAddr> = self.leases.iter().map(AddressLease::address).collect();
        Networks::with(connection, child, &hosts(&self.ours), &hosts(&leased))
    }

    /// "In the case where the IRAS's configuration requires that CP be used for a given identity `IDi`, but IRAC has
    /// failed to send a `CP(CFG_REQUEST)`, IRAS MUST fail the request, and terminate the Child SA creation with a
    /// `FAILED_CP_REQUIRED` error."
    pub(super) fn require(&self, connection: &Connection) -> Result<(), ChildRefusal> {
        if !self.lacks_lease(connection) {
            return Ok(());
        }
        Err(ChildRefusal::new(NotifyType::FAILED_CP_REQUIRED, diagnose::address_not_asked(&connection.name)))
    }

    /// Whether the peer was to be given an address, and was given none.
    pub(super) fn lacks_lease(&self, connection: &Connection) -> bool {
        !connection.pools.is_empty() && self.leases.is_empty()
    }

    /// For the shell, if there are any.
    pub(crate) fn inner(&self) -> Option<InnerAddresses> {
        let leased = self.leases.iter().map(AddressLease::address);
        let addresses: Vec<IpAddr> = leased.chain(self.ours.iter().copied()).collect();
        let inner = InnerAddresses { ours: !self.ours.is_empty(), addresses, dns: self.dns.clone() };
        (!inner.addresses.is_empty()).then_some(inner)
    }

    /// Those of the families asked for, none twice.
    fn add_name_servers(&mut self, pools: &Pools, connection: &Connection, [ipv4, ipv6]: [bool; 2]) {
        let families = [ipv4.then_some(true), ipv6.then_some(false)].into_iter().flatten();
        for server in families.flat_map(|ipv4| pools.dns(connection, ipv4)) {
            if !self.dns.contains(&server) {
                self.dns.push(server);
            }
        }
    }

    fn lease_of(&self, ipv4: bool) -> Option<&AddressLease> {
        self.leases.iter().find(|lease| lease.address().is_ipv4() == ipv4)
    }
}

impl Tunnel {
    /// Gives the peer the addresses that it asks for, those again that it has. What it is told, or why it gets none: "If the responder
    /// encounters an error while attempting to assign an IP address", it sends `INTERNAL_ADDRESS_FAILURE`, but "only if no addresses
    /// can be assigned" (RFC 7296 §3.15.4).
    pub(super) fn assign(
        &mut self,
        ctx: &mut Context<'_>,
        request: &ConfigRequest,
    ) -> Result<ConfigReply, NotifyType> {
        let connection = self.connection().clone();
        if self.ended().is_some() {
            return Ok(ConfigReply::default());
        }
        if connection.pools.is_empty() {
            return self.assign_none(request);
        }
        let before = self.addresses.leases.len();
        for wish in &request.addresses {
            self.lease(ctx, *wish);
        }
        self.addresses.add_name_servers(ctx.pools, &connection, request.dns);
        let asked = request.addresses.iter().filter_map(|wish| self.addresses.lease_of(wish.ipv4));
        let reply = ConfigReply {
            addresses: asked.map(AddressLease::address).collect(),
            dns: self.addresses.dns.clone(),
        };
        if reply.addresses.is_empty() && !request.addresses.is_empty() {
            ctx.pools.refused(&connection);
            ctx.output.drop(DropReason::PoolExhausted);
            self.fail(diagnose::pool_exhausted(self.remote_id(), ctx.pools.describe(&connection)));
            return Err(NotifyType::INTERNAL_ADDRESS_FAILURE);
        }
        if self.addresses.leases.len() > before {
            self.tell_addresses(ctx);
        }
        Ok(reply)
    }

    /// Where there is no pool no address can be assigned, and the peer is told so. To "simply ignore all Configuration payloads" is for
    /// those that do not support them at all: "This type of implementation never sends `INTERNAL_ADDRESS_FAILURE`", and we do. Whoever
    /// asks for something else, as name servers, may have its tunnel without: a reply may "not include some requested ones" (§3.15.1).
    fn assign_none(&mut self, request: &ConfigRequest) -> Result<ConfigReply, NotifyType> {
        if request.addresses.is_empty() {
            return Ok(ConfigReply::default());
        }
        self.fail(diagnose::no_pool(self.remote_id(), &self.connection().name));
        Err(NotifyType::INTERNAL_ADDRESS_FAILURE)
    }

    fn lease(&mut self, ctx: &mut Context<'_>, wish: AddressWish) {
        if self.addresses.lease_of(wish.ipv4).is_some() {
            return;
        }
        let connection = self.connection().clone();
        let lease = ctx.pools.lease(&connection, self.remote_id(), wish.ipv4, wish.wanted);
        self.addresses.leases.extend(lease);
    }

    /// The peer gave us these.
    pub(super) fn take_addresses(&mut self, ctx: &mut Context<'_>, addresses: Addresses) {
        self.addresses = addresses;
        self.tell_addresses(ctx);
    }

    fn tell_addresses(&self, ctx: &mut Context<'_>) {
        let Some(inner) = self.addresses.inner() else { return };
        let (connection, remote_id) = (self.connection().name.clone(), self.remote_id().clone());
        let assignment = Assignment { tunnel: self.id, connection, remote_id, inner };
        ctx.output.event(Event::AddressesAssigned(Box::new(assignment)));
    }

    /// The addresses that the peer gave us.
    pub(crate) fn given_addresses(&self) -> &[IpAddr] {
        &self.addresses.ours
    }

    /// Whether an address that the peer was given is not to be had any more.
    pub(crate) fn has_lost_address(&self, pools: &Pools) -> bool {
        let connection = self.connection();
        self.ended().is_none() && self.addresses.leases.iter().any(|lease| !pools.holds(connection, lease))
    }
}
