//! The Child SAs of a tunnel: networks, suites, lifetimes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use sekisho_ike::config::{Child, ChildLifetime, Name, Retransmit};
use sekisho_ike::negotiate::{SelectorError, TrafficSelector};
use sekisho_ike::suite::{Esn, EspProposal, Profile};
use toml::Spanned;

use super::document::{self, Judge, Section, Span, all_good};
use super::pool::Given;
use super::sides;
use super::start::{Callable, Schedule};
use super::{duration, limits, values};

/// A network of a child and where it stands.
pub(super) struct Network {
    pub(super) child: Name,
    pub(super) side: Side,
    pub(super) selector: TrafficSelector,
    pub(super) span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Remote,
}

/// What the children of a tunnel have in common unless they say otherwise.
#[derive(Clone)]
struct Common {
    proposals: Vec<EspProposal>,
    lifetime: ChildLifetime,
    schedule: Schedule,
    given: Given,
    tfc_padding: bool,
}

/// What a child's settings are judged by.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) retransmit: Retransmit,
    pub(super) callable: Callable,
}

const LISTED: [&str; 2] = ["local_networks", "remote_networks"];

/// All children: those of `[[tunnel.NAME.child]]`, or the one that the tunnel itself describes.
pub(super) fn read_all(
    judge: &mut Judge<'_>,
    tunnel: &Name,
    section: &mut Section<'_>,
    (profile, given): (Profile, Given),
    schedule: Schedule,
    around: Around,
) -> Option<(Vec<Child>, Vec<Network>)> {
    let proposals = profile.esp_proposals();
    let defaults =
        Common { proposals, lifetime: ChildLifetime::default(), schedule, given, tfc_padding: false };
    let common = common(judge, section, defaults, around);
    let title = format!("[[tunnel.{tunnel}.child]]");
    let span = section.value_span("child");
    let several = section.has("child");
    let tables = section.tables(judge, "child", &title);
    if !several {
        let (child, networks) = child(judge, tunnel.clone(), section, common)?;
        return Some((vec![child], networks));
    }
    for key in LISTED {
        if let Some(value) = section.take(key) {
            let message = format!("`{key}` stands in {} beside {title}", section.title);
            judge.error(
                &value.span(),
                message,
                "move the networks into the children, each of which has its own",
            );
        }
    }
    if tables.len() > limits::CHILDREN || tables.is_empty() {
        let help = format!("1 to {} are possible", limits::CHILDREN);
        judge.error(&span, format!("{} has {} children", section.title, tables.len()), help);
        return None;
    }
    let mut names = BTreeMap::new();
    let read = tables.into_iter().map(|table| named(judge, table, &common, around, &mut names));
    let (children, networks): (Vec<_>, Vec<_>) = all_good(read)?.into_iter().unzip();
    common.schedule.serves(judge, &children);
    Some((children, networks.into_iter().flatten().collect()))
}

fn named(
    judge: &mut Judge<'_>,
    mut section: Section<'_>,
    common: &Common,
    around: Around,
    names: &mut BTreeMap<Name, Span>,
) -> Option<(Child, Vec<Network>)> {
    section.require(judge, "name", "give each child a name of its own");
    let text = section.text(judge, "name");
    let span = text.as_ref().map_or_else(|| section.span.clone(), Spanned::span);
    let name = text.and_then(|text| document::name(judge, &text));
    let first = name.clone().and_then(|name| names.insert(name, span.clone()));
    if let (Some(name), Some(first)) = (&name, first) {
        let help = format!("the other one stands in line {}; give each its own name", judge.line(&first));
        judge.error(&span, format!("two children are named `{name}`"), help);
    }
    let own = self::common(judge, &mut section, common.clone(), around);
    // Judged also without a name.
    let read = child(judge, name.clone().unwrap_or(Name::from("")), &mut section, own);
    section.finish(judge);
    name.and(read)
}

fn child(
    judge: &mut Judge<'_>,
    name: Name,
    section: &mut Section<'_>,
    common: Common,
) -> Option<(Child, Vec<Network>)> {
    let given = &common.given;
    let local = if given.local().is_some() {
        nothing_beside(judge, section)
    } else {
        networks(judge, &name, section, Side::Local)
    };
    let remote = if given.remote().is_some() && section.lacks("remote_networks") {
        Some(Vec::new())
    } else {
        networks(judge, &name, section, Side::Remote)
    };
    let (local, remote) = (local?, remote?);
    sides::fit(judge, &local, &remote, given)?;
    let start = common.schedule.start;
    let inactivity = common.schedule.inactivity(judge);
    let selectors = |list: &[Network]| list.iter().map(|n| n.selector.clone()).collect();
    let child = Child {
        proposals: common.proposals,
        lifetime: common.lifetime,
        start,
        inactivity,
        tfc_padding: common.tfc_padding,
        ..Child::new(name, selectors(&local), selectors(&remote))
    };
    Some((child, local.into_iter().chain(remote).collect()))
}

/// The address that the peer gives us is our whole side.
fn nothing_beside(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<Vec<Network>> {
    let Some(value) = section.take("local_networks") else { return Some(Vec::new()) };
    let help = "the address that the peer gives us takes their place: leave one of the two out";
    judge.error(&value.span(), "`local_networks` stands beside `internal_address`", help);
    None
}

fn networks(
    judge: &mut Judge<'_>,
    child: &Name,
    section: &mut Section<'_>,
    side: Side,
) -> Option<Vec<Network>> {
    let (key, help) = match side {
        Side::Local => {
            ("local_networks", "list the networks behind us, such as local_networks = [\"10.17.0.0/24\"]")
        }
        Side::Remote => (
            "remote_networks",
            "list the networks behind the peer, such as remote_networks = [\"10.0.0.0/16\"]",
        ),
    };
    section.require(judge, key, help);
    let list = section.texts(judge, key, false, limits::NETWORKS)?;
    if list.get_ref().is_empty() {
        judge.error(&list.span(), format!("`{key}` is empty"), help);
        return None;
    }
    let form = "write 10.0.0.0/24, 10.0.0.5-10.0.0.9, 2001:db8::/64, or with protocol and ports 10.0.0.0/24[tcp/443]";
    let read = list.into_inner().into_iter().map(|text| {
        let selector = text.get_ref().parse().map_err(|error| reason(text.get_ref(), &error));
        let selector = judge.ok(selector, &text.span(), &values::help(key, text.get_ref(), form))?;
        Some(Network { child: child.clone(), side, selector, span: text.span() })
    });
    all_good(read)
}

pub(super) fn reason(text: &str, error: &SelectorError) -> String {
    match error {
        SelectorError::Malformed(_) => format!("`{}` is no network", text.escape_debug()),
        SelectorError::Range if text.contains(':') && text.contains('.') => {
            format!("`{text}` mixes IPv4 and IPv6")
        }
        SelectorError::Range => format!("`{text}` ends before it begins"),
        _ => error.to_string(),
    }
}

fn common(judge: &mut Judge<'_>, section: &mut Section<'_>, or: Common, around: Around) -> Common {
    let proposals = esp_proposals(judge, section).unwrap_or(or.proposals);
    let time = if section.lacks("child_lifetime") {
        or.lifetime.time
    } else {
        let time = section.span_of_time(judge, "child_lifetime", &limits::CHILD_LIFETIME);
        outlasts(judge, "child_lifetime", &time, around.retransmit);
        time.into_inner()
    };
    let packets = section.number(judge, "child_packets", limits::CHILD_PACKETS);
    if let Some(packets) = &packets
        && *packets.get_ref() > limits::CHILD_PACKETS_SHORT
        && proposals.iter().any(|p| p.esn == [Esn::Short])
    {
        let help = format!(
            "without extended sequence numbers (noesn) at most {} are allowed",
            limits::CHILD_PACKETS_SHORT
        );
        judge.error(&packets.span(), "`child_packets` is more than 32-bit sequence numbers can count", help);
    }
    let bytes = section.number(judge, "child_bytes", limits::CHILD_BYTES);
    let lifetime = ChildLifetime {
        time,
        packets: packets.map(Spanned::into_inner).or(or.lifetime.packets),
        bytes: bytes.map(Spanned::into_inner).or(or.lifetime.bytes),
    };
    let schedule = Schedule::read(judge, section, &or.schedule, around.callable);
    let tfc_padding = section.boolean(judge, "tfc_padding").unwrap_or(or.tfc_padding);
    Common { proposals, lifetime, schedule, given: or.given, tfc_padding }
}

fn esp_proposals(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<Vec<EspProposal>> {
    if section.lacks("esp_proposals") {
        return None;
    }
    let example = "write words joined by -, such as \"aes256gcm16-x25519\" or \"aes128gcm16-ecp256-noesn\"";
    let list: Vec<Spanned<EspProposal>> = proposals(judge, section, "esp_proposals", example)?;
    for proposal in list.iter().filter(|p| p.get_ref().groups.is_empty()) {
        let message = format!(
            "`{}` has no key exchange: rekeys are without perfect forward secrecy",
            proposal.get_ref()
        );
        judge.warn(&proposal.span(), message, "append one, such as -x25519, at both ends");
    }
    for proposal in list.iter().filter(|p| p.get_ref().pfs_may_be_declined) {
        let message = format!("`{}` lets the peer rekey without perfect forward secrecy", proposal.get_ref());
        judge.warn(&proposal.span(), message, "take -nopfs away as soon as the peer can do without it");
    }
    Some(list.into_iter().map(Spanned::into_inner).collect())
}

/// A list of proposals, at least one.
pub(super) fn proposals<P>(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
) -> Option<Vec<Spanned<P>>>
where
    P: FromStr<Err: Display>,
{
    let list = section.texts(judge, key, false, limits::PROPOSALS)?;
    if list.get_ref().is_empty() {
        judge.error(
            &list.span(),
            format!("`{key}` is empty"),
            format!("{example}; or leave it out for the defaults"),
        );
        return None;
    }
    let read = list.into_inner().into_iter().map(|text| {
        let proposal = judge.ok(text.get_ref().parse(), &text.span(), example)?;
        Some(Spanned::new(text.span(), proposal))
    });
    all_good(read)
}

/// A rekey must be able to fail and be tried again before the lifetime ends.
pub(super) fn outlasts(
    judge: &mut Judge<'_>,
    key: &str,
    lifetime: &Spanned<Duration>,
    retransmit: Retransmit,
) {
    let least = retransmit.whole().saturating_mul(limits::SCHEDULES_IN_A_LIFETIME);
    if *lifetime.get_ref() < least {
        let message = format!(
            "`{key}` is too short for the retransmission schedule of {}",
            duration::show(retransmit.whole())
        );
        let help = format!(
            "at least {} is needed, {} times the schedule; or lower `retransmit_first` or `retransmit_tries`",
            duration::show(least),
            limits::SCHEDULES_IN_A_LIFETIME
        );
        judge.error(&lifetime.span(), message, help);
    }
}
