//! `[tunnel.NAME]`: whom we talk to, how both prove themselves, and what may pass.

use std::net::IpAddr;

use sekisho_ike::Secret;
use sekisho_ike::config::{Child, Connection, LocalAuth, Name, Remote, RemoteAuth, Start};
use sekisho_ike::identity::{Identity, RemoteId};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::suite::{IkeProposal, Profile};
use toml::Spanned;

use super::auth::{self, Auth};
use super::child::{self, Around, Network, Side};
use super::document::{Judge, Section, Span, all_good};
use super::pool::{self, Given, Pools};
use super::start::{self, Callable, Schedule};
use super::store::Store;
use super::travel::{self, Travel};
use super::{credential, limits, values};

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

/// The section, judged. All of it is read before the first `?`, so that every error is found.
pub(super) fn read(
    judge: &mut Judge<'_>,
    name: Name,
    mut section: Section<'_>,
    (store, pools): (&Store<'_>, &Pools),
) -> Option<Tunnel> {
    let errors_before = judge.errors.len() + judge.further;
    let certified = section.has("certificate") || section.has("pkcs12");
    let auth = auth::read(judge, &mut section, store);
    let identities = identities(judge, &mut section, auth.as_ref(), certified);
    let many = identities.as_ref().is_some_and(|(_, remote)| remote.get_ref().exact().is_none());
    let (remote_at, address_at) = (section.value_span("remote"), section.value_span("internal_address"));
    let remote = remote(judge, &mut section, many);
    let unique = start::unique(judge, &mut section);
    let childless = start::childless(judge, &mut section);
    let start_span = section.value_span("start");
    let stand_in = Given::whatever(&section);
    let given = pool::given(judge, &mut section, pools);
    let profile = profile(judge, &mut section);
    let proposals = ike_proposals(judge, &mut section, profile);
    let retransmit = travel::retransmit(judge, &mut section);
    let lifetime = section.span_of_time(judge, "ike_lifetime", &limits::IKE_LIFETIME);
    child::outlasts(judge, "ike_lifetime", &lifetime, retransmit);
    let stand_in = given.clone().unwrap_or(stand_in);
    let gives = stand_in.remote().is_some();
    let around = Around { retransmit, callable: Callable::of(many, gives, remote.as_ref()) };
    let schedule = Schedule::of(remote.as_ref().filter(|_| !gives));
    let children = child::read_all(judge, &name, &mut section, (profile, stand_in), schedule, around);
    if let (Some((children, _)), Some(given)) = (&children, &given) {
        let starts = children.iter().any(|child| child.start != Start::Listen);
        pool::fits_start(judge, &section, given, &start_span, starts);
    }
    let travel = Travel::read(judge, &mut section);
    section.finish(judge);

    let (local_id, remote_id) = identities?;
    let Auth { local, remote: theirs, psk_file, weak_psk, .. } = auth?;
    let (children, networks) = children?;
    let given = given?;
    let remote_span = remote_id.span();
    let us = (local_id, local);
    let peer = (remote_id.into_inner(), theirs);
    let mut connection = Connection {
        remote: remote?,
        unique,
        childless,
        proposals: proposals?,
        lifetime: lifetime.into_inner(),
        retransmit,
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
    cannot_be_looked_up(judge, &connection, &remote_at);
    first_packets_are_lost(judge, &connection, &address_at);
    let help = "name the `authorities` that issue the peers' certificates and our own `certificate`; or one peer in `remote_id`";
    let good = judge.errors.len() + judge.further == errors_before
        && judge.ok(connection.check(), &remote_span, help).is_some();
    good.then_some(Tunnel {
        connection,
        profile,
        remote_id: remote_span,
        psk_file,
        weak_psk,
        auto: travel.auto,
        networks,
    })
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

fn identities(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    auth: Option<&Auth>,
    certified: bool,
) -> Option<(Identity, Spanned<RemoteId>)> {
    let local = local_id(judge, section, auth, certified);
    let remote = remote_id(judge, section);
    let (local, remote) = (local?, remote?);
    if remote.get_ref().exact() == Some(local.get_ref()) {
        let message = format!("both ends are `{}`", remote.get_ref());
        judge.error(&remote.span(), message, "the two ends of a tunnel need different identities");
        return None;
    }
    Some((local.into_inner(), remote))
}

/// What is written, which our certificate must stand for; or else whom that stands for.
fn local_id(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    auth: Option<&Auth>,
    certified: bool,
) -> Option<Spanned<Identity>> {
    let help = "say who we are, such as local_id = \"clinic-17.example\"";
    let credential = match auth.map(|auth| &auth.local) {
        Some(LocalAuth::Signature(credential)) if !credential.chain.is_empty() => credential,
        // Nothing is known that could stand in its place; why was said.
        None if certified && section.lacks("local_id") => return None,
        _ => return identity(judge, section, "local_id", help),
    };
    if !section.lacks("local_id") {
        let written = identity(judge, section, "local_id", help)?;
        credential::stands_for(judge, credential, &written);
        return Some(written);
    }
    let span = auth.map_or_else(|| section.span.clone(), |auth| auth.certificate.clone());
    let own = credential::identity(credential);
    if own.is_none() {
        judge.error(&span, "our certificate names nobody: it has neither a host name nor a subject", help);
    }
    own.map(|own| Spanned::new(span, own))
}

/// One identity, a pattern of them, or `any`.
fn remote_id(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<Spanned<RemoteId>> {
    let key = "remote_id";
    section.require(judge, key, "say who the peer must prove to be, such as remote_id = \"hub.example\"");
    let text = section.text(judge, key)?;
    if text.get_ref() == "any" {
        return Some(Spanned::new(text.span(), RemoteId::Any));
    }
    let help = format!(
        "{IDENTITIES}; or for many peers *.clinic.example, *@clinic.example, C=JP, O=Clinic, CN=* or any"
    );
    let id = judge.ok(text.get_ref().parse(), &text.span(), &help)?;
    Some(Spanned::new(text.span(), id))
}

const IDENTITIES: &str = "write a host name, name@host, an IP address, a distinguished name such as C=JP, O=Clinic, CN=clinic-17, or keyid:TEXT or keyid:0xHEX";

fn identity(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
) -> Option<Spanned<Identity>> {
    section.require(judge, key, example);
    let text = section.text(judge, key)?;
    let help = values::help(key, text.get_ref(), IDENTITIES);
    let id = judge.ok(text.get_ref().parse(), &text.span(), &help)?;
    Some(Spanned::new(text.span(), id))
}

fn remote(judge: &mut Judge<'_>, section: &mut Section<'_>, many: bool) -> Option<Remote> {
    if section.lacks("remote") {
        return Some(Remote::Any);
    }
    let list = section.texts(judge, "remote", true, limits::HOSTS)?;
    if list.get_ref().is_empty() {
        let help = "write the peer's address or host name, or leave `remote` out: then only the peer can start the tunnel";
        judge.error(&list.span(), "`remote` is empty", help);
        return None;
    }
    if let [only] = list.get_ref().as_slice()
        && only.get_ref() == "any"
    {
        return Some(Remote::Any);
    }
    if many {
        let message = format!("{} is for many peers, and `remote` says where one is", section.title);
        judge.error(&list.span(), message, "leave `remote` out: each of them calls us");
        return None;
    }
    all_good(list.into_inner().into_iter().map(|text| host(judge, text))).map(Remote::Hosts)
}

fn host(judge: &mut Judge<'_>, text: Spanned<String>) -> Option<String> {
    let host = text.get_ref();
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            && !l.starts_with('-')
    };
    let wrong = match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Some("is no address of a single host")
        }
        Ok(IpAddr::V4(address)) if address.is_broadcast() => Some("is no address of a single host"),
        Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => Some("is an address of a link only"),
        Ok(_) => None,
        Err(_) if host == "any" => Some("stands beside other hosts"),
        // Digits and dots only: meant as an address, never looked up as a name.
        Err(_) if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Some("is no IP address"),
        Err(_) if host.len() <= 253 && host.trim_end_matches('.').split('.').all(label) => None,
        Err(_) => Some("is neither an IP address nor a host name"),
    };
    if let Some(wrong) = wrong {
        let help = "write \"203.0.113.1\", \"2001:db8::1\", \"hub.example\" or a list of them, without a port; or \"any\" alone";
        let help = values::help("remote", host, help);
        judge.error(&text.span(), format!("`{}` {wrong}", host.escape_debug()), help);
        return None;
    }
    Some(text.into_inner())
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
