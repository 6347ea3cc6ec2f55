//! `[tunnel.NAME]`: whom we talk to, how both prove themselves, and what may pass.

use std::net::IpAddr;
use std::time::Duration;

use sekisho_ike::Secret;
use sekisho_ike::config::{
    Child, Childless, Connection, LocalAuth, Name, Remote, RemoteAuth, Retransmit, Start, Uniqueness,
};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::suite::{IkeProposal, Profile};
use toml::Spanned;

use super::auth::Auth;
use super::child::{self, Around, Network, Side};
use super::document::{Judge, Section, Span};
use super::ends::Ends;
use super::limits;
use super::pool::{self, Given, Pools};
use super::start::{self, Callable, Schedule};
use super::store::Store;
use super::travel::{self, Travel};

/// A tunnel that was found good by itself, with the places that errors between tunnels point at.
pub(super) struct Tunnel {
    pub(super) connection: Connection,
    pub(super) profile: Profile,
    /// Its `remote_id`.
    pub(super) remote_id: Span,
    /// Its `psk_file`.
    pub(super) psk_file: Span,
    pub(super) weak_psk: bool,
    /// Its `encapsulation`, if that is "auto".
    pub(super) auto: Option<Span>,
    /// All networks of all children.
    pub(super) networks: Vec<Network>,
}

impl Tunnel {
    /// The pre-shared key, if one of the ends has it.
    pub(super) fn psk(&self) -> Option<&Secret> {
        match (&self.connection.local_auth, &self.connection.remote_auth) {
            (LocalAuth::Psk(psk), _) | (_, RemoteAuth::Psk(psk)) => Some(psk),
            _ => None,
        }
    }

    /// The networks on one side.
    pub(super) fn on(&self, side: Side) -> impl Iterator<Item = &Network> {
        self.networks.iter().filter(move |network| network.side == side)
    }
}

/// The section, judged.
pub(super) fn read(
    judge: &mut Judge<'_>,
    name: Name,
    section: Section<'_>,
    around: (&Store<'_>, &Pools),
) -> Option<Tunnel> {
    let found_before = judge.found();
    // All of it is read before the first `?`, so that every error is found.
    let said = Said::read(judge, &name, section, around);
    let (remote_at, address_at) = (said.ends.remote_at.clone(), said.address_at.clone());
    let tunnel = said.into_tunnel(name)?;
    cannot_be_looked_up(judge, &tunnel.connection, &remote_at);
    first_packets_are_lost(judge, &tunnel.connection, &address_at);
    let help = "name the `authorities` that issue the peers' certificates and our own `certificate`; or one peer in `remote_id`";
    let good = judge.found() == found_before
        && judge.ok(tunnel.connection.check(), &tunnel.remote_id, help).is_some();
    good.then_some(tunnel)
}

/// What a section says. `None` is what was found wrong, which the judge was told.
struct Said {
    ends: Ends,
    unique: Uniqueness,
    childless: Childless,
    /// Where `internal_address` stands.
    address_at: Span,
    given: Option<Given>,
    ike_sa: IkeSa,
    children: Option<(Vec<Child>, Vec<Network>)>,
    travel: Travel,
}

impl Said {
    fn read(
        judge: &mut Judge<'_>,
        name: &Name,
        mut section: Section<'_>,
        (store, pools): (&Store<'_>, &Pools),
    ) -> Self {
        let ends = Ends::read(judge, &mut section, store);
        let unique = start::unique(judge, &mut section);
        let childless = start::childless(judge, &mut section);
        let (address_at, start_at) = (section.value_span("internal_address"), section.value_span("start"));
        let stand_in = Given::whatever(&section);
        let given = pool::given(judge, &mut section, pools);
        let ike_sa = IkeSa::read(judge, &mut section);
        let whatever = given.clone().unwrap_or(stand_in);
        let children = children(judge, name, &mut section, (&ends, &ike_sa, whatever));
        if let (Some((children, _)), Some(given)) = (&children, &given) {
            let starts = children.iter().any(|child| child.start != Start::Listen);
            pool::fits_start(judge, &section, given, &start_at, starts);
        }
        let travel = Travel::read(judge, &mut section);
        section.finish(judge);
        Self { ends, unique, childless, address_at, given, ike_sa, children, travel }
    }

    /// If all of it is good by itself.
    fn into_tunnel(self, name: Name) -> Option<Tunnel> {
        let Self { ends, unique, childless, given, ike_sa, children, travel, .. } = self;
        let (local_id, remote_id) = ends.identities?;
        let Auth { local, remote: theirs, psk_file, weak_psk, .. } = ends.auth?;
        let (children, networks) = children?;
        let given = given?;
        let remote_span = remote_id.span();
        let (us, peer) = ((local_id, local), (remote_id.into_inner(), theirs));
        let mut connection = Connection {
            remote: ends.remote?,
            unique,
            childless,
            proposals: ike_sa.proposals?,
            lifetime: ike_sa.lifetime,
            retransmit: ike_sa.retransmit,
            retry: travel.retry,
            liveness: travel.liveness,
            keepalive: travel.keepalive,
            encapsulation: travel.encapsulation,
            fragment_size: travel.fragment_size,
            dont_fragment: travel.dont_fragment,
            pools: given.pools,
            internal_address: given.ours,
            ..Connection::new(name, us, peer, children)
        };
        start::settle(&mut connection);
        let (profile, auto) = (ike_sa.profile, travel.auto);
        Some(Tunnel { connection, profile, remote_id: remote_span, psk_file, weak_psk, auto, networks })
    }
}

/// What is said of the IKE SA itself.
struct IkeSa {
    profile: Profile,
    proposals: Option<Vec<IkeProposal>>,
    retransmit: Retransmit,
    lifetime: Duration,
}

impl IkeSa {
    fn read(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Self {
        let profile = profile(judge, section);
        let proposals = ike_proposals(judge, section, profile);
        let retransmit = travel::retransmit(judge, section);
        let lifetime = section.span_of_time(judge, "ike_lifetime", &limits::IKE_LIFETIME);
        child::outlasts(judge, "ike_lifetime", &lifetime, retransmit);
        Self { profile, proposals, retransmit, lifetime: lifetime.into_inner() }
    }
}

fn children(
    judge: &mut Judge<'_>,
    name: &Name,
    section: &mut Section<'_>,
    (ends, ike_sa, given): (&Ends, &IkeSa, Given),
) -> Option<(Vec<Child>, Vec<Network>)> {
    let gives = given.remote().is_some();
    let remote = ends.remote.as_ref();
    let callable = Callable::of(ends.are_many(), gives, remote);
    let around = Around { retransmit: ike_sa.retransmit, callable };
    let schedule = Schedule::of(remote.filter(|_| !gives));
    child::read_all(judge, name, section, (ike_sa.profile, given), schedule, around)
}

/// Questions to name servers are led into the tunnel like everything else.
fn cannot_be_looked_up(judge: &mut Judge<'_>, connection: &Connection, span: &Span) {
    let Remote::Hosts(hosts) = &connection.remote else { return };
    let name = hosts.iter().find(|host| host.parse::<IpAddr>().is_err());
    let mut networks = connection.children.iter().flat_map(|child| &child.remote);
    if let Some(name) = name.filter(|_| networks.any(TrafficSelector::has_all_addresses)) {
        let message = format!("`{name}` is a name, and the tunnel that is to lead to it protects everything");
        let help = "write the peer's address, or the name into /etc/hosts: a name server beyond the networks of this machine cannot be asked while the tunnel is down";
        judge.warn(span, message, help);
    }
}

/// They have no source yet that could pass.
fn first_packets_are_lost(judge: &mut Judge<'_>, connection: &Connection, span: &Span) {
    let on_demand = |child: &Child| child.start == Start::OnDemand;
    if connection.internal_address.is_asked() && connection.children.iter().any(on_demand) {
        let message = format!("tunnel `{}` asks for an address, and starts on demand", connection.name);
        let help = "before the address is there, packets have no source that may pass, so the first ones are lost: take `start = \"on-demand\"` away";
        judge.warn(span, message, help);
    }
}

fn profile(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Profile {
    let help = "`sekisho check --explain` shows what a profile stands for";
    let text = section.text(judge, "profile");
    text.and_then(|text| judge.ok(text.get_ref().parse(), &text.span(), help)).unwrap_or_default()
}

fn ike_proposals(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    profile: Profile,
) -> Option<Vec<IkeProposal>> {
    if section.lacks("ike_proposals") {
        return Some(profile.ike_proposals());
    }
    let example = "write words joined by -, such as \"aes256gcm16-prfsha384-x25519\"";
    child::proposals(judge, section, "ike_proposals", example)
        .map(|list| list.into_iter().map(Spanned::into_inner).collect())
}
