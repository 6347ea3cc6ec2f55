//! Who both ends of a tunnel are, how they prove it, and where the peer is.

use std::net::IpAddr;

use sekisho_ike::config::{LocalAuth, Remote};
use sekisho_ike::identity::{Identity, RemoteId};
use toml::Spanned;

use super::auth::{self, Auth};
use super::document::{Judge, Section, Span, all_good};
use super::store::Store;
use super::{credential, limits, values};

/// Both ends. `None` is what was found wrong, which the judge was told.
pub(super) struct Ends {
    pub(super) auth: Option<Auth>,
    /// Ours and the peer's.
    pub(super) identities: Option<(Identity, Spanned<RemoteId>)>,
    pub(super) remote: Option<Remote>,
    /// Where `remote` stands.
    pub(super) remote_at: Span,
}

impl Ends {
    pub(super) fn read(judge: &mut Judge<'_>, section: &mut Section<'_>, store: &Store<'_>) -> Self {
        let certified = section.has("certificate") || section.has("pkcs12");
        let auth = auth::read(judge, section, store);
        let identities = identities(judge, section, auth.as_ref(), certified);
        let remote_at = section.value_span("remote");
        let mut ends = Self { auth, identities, remote: None, remote_at };
        ends.remote = remote(judge, section, ends.are_many());
        ends
    }

    /// Whether the tunnel is for many peers.
    pub(super) fn are_many(&self) -> bool {
        self.identities.as_ref().is_some_and(|(_, remote)| remote.get_ref().exact().is_none())
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
