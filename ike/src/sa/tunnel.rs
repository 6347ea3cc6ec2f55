//! An established tunnel: its IKE SAs, its Child SAs, and its end (RFC 7296 §1.4.1, §2.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::addresses::Addresses;
use super::child_sa::ChildSa;
use super::context::Context;
use super::ike_sa::{Exchange, IkeSa, Place};
use super::path_mtu::PathMtu;
use super::pfs::PfsFinding;
use super::review::Reviewing;
use super::spis::IkeSpiLease;
use super::starting::Starts;
use super::tasks::{Task, TaskQueue};
use super::window::Window;
use crate::config::Connection;
use crate::diagnosis::Diagnosis;
use crate::event::{
    ChildSaId, ChildSaStatus, EndReason, Event, IkeSaRecord, NatStatus, TunnelId, TunnelStatus,
};
use crate::identity::{Identity, VerifiedPeer};
use crate::path::Path;
use crate::time::Instant;
use crate::wire::IkeSpi;

/// A tunnel whose peer has proved its identity.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) id: TunnelId,
    pub(super) peer: VerifiedPeer,
    pub(crate) path: Path,
    pub(crate) nat: NatStatus,
    pub(crate) origin: Origin,
    /// Boxed, as are the Child SAs: a map has room for eleven, and most tunnels have one.
    pub(super) ike_sas: BTreeMap<IkeSpi, Box<IkeSa>>,
    /// Ended IKE SAs, which only answer their last request again if it is repeated.
    pub(super) closed: BTreeMap<IkeSpi, ClosedIkeSa>,
    /// The IKE SA that carries our requests.
    pub(super) current: IkeSpi,
    pub(super) children: BTreeMap<ChildSaId, Box<ChildSa>>,
    pub(super) tasks: TaskQueue,
    pub(super) last_heard: Instant,
    /// When it last answered a request of ours, which shows that packets pass both ways.
    pub(super) last_answer: Instant,
    pub(super) keepalive_at: Option<Instant>,
    pub(super) path_mtu: PathMtu,
    /// A request from elsewhere than we send to has the peer asked there, from now on.
    pub(super) doubt_from: Instant,
    pub(super) starts: Starts,
    pub(super) addresses: Addresses,
    pub(super) peer_rekeys: (Instant, u32),
    /// The same of all its requests.
    pub(super) peer_requests: (Instant, u32),
    /// `None` if there is nothing to be judged again: a pre-shared key.
    pub(super) reviewing: Option<Box<Reviewing>>,
    pub(super) pfs_findings: Vec<PfsFinding>,
    /// Why it ended, once it has.
    end: Option<EndReason>,
    failure: Option<Diagnosis>,
    /// We refused the Child SA that came with it, and there was none since.
    pub(super) refused_child: bool,
    /// The peer has sent a message or a packet since `IKE_AUTH`, and not to end it: it has accepted our proof.
    pub(super) gone_on: bool,
}

/// How a tunnel came to be: decides which one goes if both ends set one up at once (RFC 7296 §2.8).
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// We sent the first message.
    pub(crate) initiated: bool,
    /// When the first message was sent or received.
    pub(crate) started: Instant,
    /// When it was established.
    pub(crate) established: Instant,
    /// The lower nonce of `IKE_SA_INIT`.
    pub(crate) lowest_nonce: Vec<u8>,
}

/// What is left of an ended IKE SA.
#[derive(Debug)]
pub(super) struct ClosedIkeSa {
    _lease: IkeSpiLease,
    pub(super) window: Window<Exchange>,
    pub(super) until: Instant,
}

impl Tunnel {
    /// A tunnel with its first IKE SA and no Child SA yet. Needs the peer's verified proof of identity.
    pub(crate) fn new(
        ctx: &mut Context<'_>,
        peer: VerifiedPeer,
        path: Path,
        nat: NatStatus,
        origin: Origin,
        ike_sa: IkeSa,
    ) -> Self {
        let keepalive = peer.connection().keepalive;
        let keepalive = (nat.here || keepalive.forced).then(|| ctx.now.boot + keepalive.interval);
        let current = ike_sa.spi();
        let reviewing = Reviewing::begin(ctx, &peer, origin.started);
        let tunnel = Self {
            id: ctx.ids.tunnel(),
            peer,
            path,
            nat,
            origin,
            ike_sas: BTreeMap::from([(current, Box::new(ike_sa))]),
            closed: BTreeMap::new(),
            current,
            children: BTreeMap::new(),
            tasks: TaskQueue::default(),
            last_heard: ctx.now.boot,
            last_answer: ctx.now.boot,
            keepalive_at: keepalive,
            path_mtu: PathMtu::default(),
            doubt_from: ctx.now.boot,
            starts: Starts::default(),
            addresses: Addresses::default(),
            peer_rekeys: (ctx.now.boot, 0),
            peer_requests: (ctx.now.boot, 0),
            reviewing,
            pfs_findings: Vec::new(),
            end: None,
            failure: None,
            refused_child: false,
            gone_on: false,
        };
        if let Some(record) = tunnel.record() {
            ctx.output.event(Event::TunnelUp(Box::new(record)));
        }
        tunnel
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        self.peer.connection()
    }

    /// Who the peer proved to be.
    pub(crate) fn remote_id(&self) -> &Identity {
        self.peer.identity()
    }

    /// The IKE SA that carries our requests.
    pub(super) fn current(&self) -> Option<&IkeSa> {
        self.ike_sas.get(&self.current).map(Box::as_ref)
    }

    /// Takes an IKE SA out of use; its last answer is kept for a while, its keys are not.
    pub(super) fn close_ike_sa(&mut self, ctx: &Context<'_>, spi: IkeSpi) {
        if let Some(ike_sa) = self.ike_sas.remove(&spi) {
            let until = ctx.now.boot + self.connection().retransmit.whole();
            self.closed.insert(spi, ClosedIkeSa { _lease: ike_sa.lease, window: ike_sa.window, until });
        }
    }

    /// Ends the tunnel for the shell: no traffic passes any more. What remains is to tell the peer, if it is to be
    /// told.
    pub(super) fn end(&mut self, ctx: &mut Context<'_>, reason: EndReason) {
        if self.end.is_some() {
            return;
        }
        for child in std::mem::take(&mut self.children).into_values() {
            if child.reported {
                continue;
            }
            let reason = if child.replaced_by.is_some() { EndReason::Rekeyed } else { reason.clone() };
            ctx.output.event(Event::Retired { child_sa: child.id, reason });
        }
        self.tasks.clear();
        self.addresses = Addresses::default();
        let connection = self.connection().name.clone();
        ctx.output.event(Event::TunnelDown { tunnel: self.id, connection, reason: reason.clone() });
        self.end = Some(reason);
    }

    /// Ends the tunnel and tells the peer.
    pub(crate) fn delete(&mut self, ctx: &mut Context<'_>, reason: EndReason) {
        self.end(ctx, reason);
        self.delete_gracefully(ctx);
    }

    /// Ends the tunnel without a word: the peer does not know it any more.
    pub(crate) fn forget(&mut self, ctx: &mut Context<'_>, reason: EndReason) {
        self.end(ctx, reason);
        self.ike_sas.clear();
    }

    /// Tells the peer, on each IKE SA that it may have: it does not matter which one it takes for the present one.
    pub(super) fn delete_gracefully(&mut self, ctx: &mut Context<'_>) {
        for ike_sa in self.ike_sas.values_mut() {
            ike_sa.place = Place::Deleting;
            self.tasks.push(ctx, Task::DeleteIke(ike_sa.spi()));
        }
        self.start_tasks(ctx);
    }

    /// Why it ended, once it has.
    pub(crate) fn ended(&self) -> Option<&EndReason> {
        self.end.as_ref()
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_gone(&self) -> bool {
        self.end.is_some() && self.ike_sas.is_empty() && self.closed.is_empty()
    }

    /// Whether an answer to our DELETE is still awaited.
    pub(crate) fn is_closing(&self) -> bool {
        self.end.is_some() && self.ike_sas.values().any(|sa| sa.place == Place::Deleting)
    }

    /// Notes a failure, for the connection's status. What ended it is told before its end: what comes after, as a peer that
    /// does not answer the DELETE, is nothing to whatever is set up in its place.
    pub(super) fn fail(&mut self, diagnosis: Diagnosis) {
        if self.end.is_none() {
            self.failure = Some(diagnosis);
        }
    }

    /// The same, where nothing better is known.
    pub(super) fn fail_unless_known(&mut self, diagnosis: Diagnosis) {
        self.failure.get_or_insert(diagnosis);
    }

    /// The failure noted since the last call.
    pub(crate) fn take_failure(&mut self) -> Option<Diagnosis> {
        self.failure.take()
    }

    /// Whether traffic can pass.
    pub(crate) fn has_child(&self) -> bool {
        self.children.values().any(|child| child.passes())
    }

    /// Whether traffic of this child can.
    pub(crate) fn passes(&self, index: usize) -> bool {
        self.children.values().any(|child| child.index == index && child.passes())
    }

    /// The local SPIs of its IKE SAs, the ended ones included.
    pub(crate) fn ike_spis(&self) -> impl Iterator<Item = IkeSpi> {
        self.ike_sas.keys().chain(self.closed.keys()).copied()
    }

    pub(crate) fn standing_children(&self) -> impl Iterator<Item = &ChildSa> {
        self.children.values().map(Box::as_ref).filter(|c| c.is_standing())
    }

    /// What is known of the present IKE SA.
    pub(super) fn record(&self) -> Option<IkeSaRecord> {
        let ike_sa = self.current()?;
        Some(IkeSaRecord {
            tunnel: self.id,
            connection: self.connection().name.clone(),
            spi_i: ike_sa.channel.spis.initiator,
            spi_r: ike_sa.channel.spis.responder,
            initiator: ike_sa.channel.initiator,
            local_id: self.connection().local_id.clone(),
            remote_id: self.remote_id().clone(),
            remote_proof: self.peer.proof().clone(),
            suite: ike_sa.suite,
            path: self.path,
            fragmentation: ike_sa.channel.fragmentation,
            dont_fragment: self.connection().dont_fragment,
            nat: self.nat,
            established: ike_sa.established,
            rekey_at: ike_sa.rekey_at,
        })
    }

    pub(crate) fn status(&self) -> Option<TunnelStatus> {
        let children = self.children.values().filter_map(|child| {
            Some(ChildSaStatus {
                id: child.id,
                child: child.config(self.connection())?.name.clone(),
                spi_in: child.spi_in(),
                spi_out: child.spi_out,
                suite: child.suite,
                pfs: child.pfs(),
                local: child.local.clone(),
                remote: child.remote.clone(),
                established: child.established,
                rekey_at: child.rekey_at,
                expires_at: child.expires_at,
                sending: child.sending,
                tfc_padding: child.tfc_padding,
                withheld: child.withheld.clone(),
            })
        });
        let established = self.origin.established;
        let inner = self.addresses.inner();
        let path_raised_at = self.path_mtu.raised_at();
        Some(TunnelStatus {
            established,
            children: children.collect(),
            ike_sa: self.record()?,
            inner,
            last_answer: self.last_answer,
            unanswered_since: self.unanswered_since(),
            path_raised_at,
            revocation_ends: self.revocation_ends(),
        })
    }

    /// Since when a request waits for its answer that had to be sent again: one that has not may be answered any moment.
    fn unanswered_since(&self) -> Option<Instant> {
        let waiting = self.ike_sas.values().filter_map(|sa| sa.window.outstanding());
        let again = waiting.filter(|o| !o.is_answered && o.retransmission.attempt() > 0);
        again.map(|o| o.retransmission.first_sent()).min()
    }
}
