//! `[pool.NAME]`: addresses that we give to peers, and the name servers that go with them; and which side of a tunnel
//! an address is given to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sekisho_ike::config::{InternalAddress, Name, Pool, PoolRange, PoolRangeError};

use super::document::{self, Judge, Section, Span, all_good};
use super::{limits, values};

/// A pool that was found good by itself.
pub(super) struct Read {
    pub(super) pool: Pool,
    /// Where each of its ranges stands.
    pub(super) spans: Vec<Span>,
    /// Where its name stands.
    pub(super) span: Span,
}

/// All pools by name.
pub(super) type Pools = BTreeMap<Name, Read>;

/// What the configuration payload stands for in a tunnel.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// The peer's address is one of these pools.
    pub(super) pools: Vec<Name>,
    /// Families that these have.
    theirs: InternalAddress,
    /// Ours are asked of the peer.
    pub(super) ours: InternalAddress,
}

impl Given {
    /// What may be meant where it is not good: nothing is to be missed for that in its place.
    pub(super) fn whatever(section: &Section<'_>) -> Self {
        let both = InternalAddress { ipv4: true, ipv6: true };
        let pools = section.has("pool").then(|| Name::from("")).into_iter().collect();
        let ours = if section.has("internal_address") { both } else { InternalAddress::default() };
        Self { pools, theirs: both, ours }
    }

    /// Families of the addresses that stand for our networks.
    pub(super) fn local(&self) -> Option<InternalAddress> {
        self.ours.is_asked().then_some(self.ours)
    }

    /// Families of the addresses that stand for the peer's networks.
    pub(super) fn remote(&self) -> Option<InternalAddress> {
        (!self.pools.is_empty()).then_some(self.theirs)
    }
}

/// Every `[pool.NAME]`.
pub(super) fn read_all(judge: &mut Judge<'_>, top: &mut Section<'_>) -> Pools {
    let mut pools = Pools::new();
    let Some(value) = top.take("pool") else { return pools };
    let Some(all) = Section::from_value(judge, "[pool.NAME]".to_owned(), value) else { return pools };
    for (name, value) in all.into_named() {
        let title = format!("[pool.{}]", name.get_ref().escape_debug());
        let section = Section::from_value(judge, title, value);
        let span = name.span();
        if let (Some(name), Some(section)) = (document::name(judge, &name), section)
            && let Some(read) = read(judge, &name, section, span)
        {
            pools.insert(name, read);
        }
    }
    ranges_differ(judge, &pools);
    pools
}

fn read(judge: &mut Judge<'_>, name: &Name, mut section: Section<'_>, span: Span) -> Option<Read> {
    let help = "list what may be given out, such as addresses = [\"10.9.0.0/24\", \"2001:db8:9::/64\"]";
    section.require(judge, "addresses", help);
    let list = section.texts(judge, "addresses", false, limits::POOL_RANGES);
    let dns = dns(judge, &mut section);
    section.finish(judge);
    let list = list?;
    if list.get_ref().is_empty() {
        judge.error(&list.span(), "`addresses` is empty", help);
        return None;
    }
    let read = list.into_inner().into_iter().map(|text| {
        let range = text.get_ref().parse().map_err(|error| reason(text.get_ref(), &error));
        let form = "write 10.9.0.0/24, 10.9.0.10-10.9.0.99 or 2001:db8:9::/64";
        let range: PoolRange = judge.ok(range, &text.span(), form)?;
        Some((range, text.span()))
    });
    let (ranges, spans) = all_good(read)?.into_iter().unzip();
    Some(Read { pool: Pool { name: name.clone(), ranges, dns: dns? }, spans, span })
}

fn reason(text: &str, error: &PoolRangeError) -> String {
    match error {
        PoolRangeError::Selector(error) => super::child::reason(text, error),
        _ => error.to_string(),
    }
}

fn dns(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<Vec<IpAddr>> {
    if section.lacks("dns") {
        return Some(Vec::new());
    }
    let list = section.texts(judge, "dns", false, limits::POOL_NAME_SERVERS)?;
    let read = list.into_inner().into_iter().map(|text| {
        let good =
            |address: &IpAddr| !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        let address = text.get_ref().parse::<IpAddr>().ok().filter(good);
        let message = || format!("`{}` is no address of a name server", text.get_ref().escape_debug());
        judge.ok(
            address.ok_or_else(message),
            &text.span(),
            "write an address that peers can reach, such as \"10.0.0.53\"",
        )
    });
    all_good(read)
}

/// An address is given out once: by one pool, and by one of its ranges.
fn ranges_differ(judge: &mut Judge<'_>, pools: &Pools) {
    let mut all: Vec<(&Name, &PoolRange, &Span)> = Vec::new();
    for read in pools.values() {
        all.extend(
            read.pool.ranges.iter().zip(&read.spans).map(|(range, span)| (&read.pool.name, range, span)),
        );
    }
    all.sort_by_key(|(_, _, span)| span.start);
    for (at, (name, range, span)) in all.iter().enumerate() {
        let before =
            all.iter().take(at).find(|(_, other, _)| other.selector().shares_addresses(range.selector()));
        if let Some((other_name, other, other_span)) = before {
            let line = judge.line(other_span);
            let message = format!("`{range}` of pool `{name}` overlaps `{other}` of pool `{other_name}`");
            let help = format!(
                "the other one stands in line {line}; an address can be given out by one of them only"
            );
            judge.error(span, message, help);
        }
    }
}

/// `pool` and `internal_address` of a tunnel.
pub(super) fn given(judge: &mut Judge<'_>, section: &mut Section<'_>, pools: &Pools) -> Option<Given> {
    let span = section.value_span("internal_address");
    let both = section.has("pool") && section.has("internal_address");
    let named = named(judge, section, pools);
    let ours = internal_address(judge, section);
    if both {
        let message = format!("{} has both `pool` and `internal_address`", section.title);
        let help = "one end gives addresses (`pool`), the other asks for one (`internal_address`)";
        judge.error(&span, message, help);
        return None;
    }
    let named = named?;
    let ranges = || named.iter().filter_map(|name| pools.get(name)).flat_map(|read| &read.pool.ranges);
    let has = |ipv4| ranges().any(|range| range.selector().is_ipv4() == ipv4);
    Some(Given { theirs: InternalAddress { ipv4: has(true), ipv6: has(false) }, ours: ours?, pools: named })
}

fn named(judge: &mut Judge<'_>, section: &mut Section<'_>, pools: &Pools) -> Option<Vec<Name>> {
    if section.lacks("pool") {
        return Some(Vec::new());
    }
    let list = section.texts(judge, "pool", true, limits::TUNNEL_POOLS)?;
    if list.get_ref().is_empty() {
        let help = "name a pool, or leave `pool` out: then the peer has the networks of `remote_networks`";
        judge.error(&list.span(), "`pool` is empty", help);
        return None;
    }
    let known = pools.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let help = match known.as_str() {
        "" => "add a section [pool.NAME] with the addresses that may be given out".to_owned(),
        known => format!("there are {known}"),
    };
    let read = list.into_inner().into_iter().map(|text| {
        let name = Name::from(text.get_ref().as_str());
        let found = pools.contains_key(&name).then_some(name);
        let message = || format!("no pool is named `{}`", text.get_ref().escape_debug());
        judge.ok(found.ok_or_else(message), &text.span(), &help)
    });
    all_good(read)
}

fn internal_address(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<InternalAddress> {
    if section.lacks("internal_address") {
        return Some(InternalAddress::default());
    }
    let list = section.texts(judge, "internal_address", true, 2)?;
    let help = "write \"ipv4\", \"ipv6\" or [\"ipv4\", \"ipv6\"]";
    let mut asked = InternalAddress::default();
    let mut good = !list.get_ref().is_empty();
    if !good {
        judge.error(&list.span(), "`internal_address` is empty", help);
    }
    for family in list.get_ref() {
        match family.get_ref().as_str() {
            "ipv4" => asked.ipv4 = true,
            "ipv6" => asked.ipv6 = true,
            other => {
                let message = format!("`{}` is no address family", other.escape_debug());
                judge.error(&family.span(), message, values::help("internal_address", other, help));
                good = false;
            }
        }
    }
    good.then_some(asked)
}

/// Who asks for an address must start the tunnel. That who gives one must not is said where the start is read.
pub(super) fn fits_start(
    judge: &mut Judge<'_>,
    section: &Section<'_>,
    given: &Given,
    span: &Span,
    starts: bool,
) {
    if given.local().is_some() && !starts {
        let message = format!("{} asks for an address, and is not started by us", section.title);
        let help =
            "who asks for an address starts the tunnel: write the peer's address or host name as `remote`";
        judge.error(span, message, help);
    }
}

/// A pool that nobody is given an address of.
pub(super) fn are_used(judge: &mut Judge<'_>, pools: &Pools, named: &[&Name]) {
    // Of a tunnel that is wrong nothing is known.
    let unused = pools.iter().filter(|(name, _)| judge.errors.is_empty() && !named.contains(name));
    for (name, read) in unused.collect::<Vec<_>>() {
        let message = format!("no tunnel gives out addresses of pool `{name}`");
        judge.warn(
            &read.span,
            message,
            format!("write pool = \"{name}\" into the tunnels whose peers are to get one"),
        );
    }
}
