//! The half-open SAs of a responder, and who may have how many (RFC 7296 §2.6, RFC 8019 §3).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::EndpointConfig;
use crate::crypto::sha256;
use crate::limits;
use crate::sa::{DropReason, HalfOpen};
use crate::time::Instant;
use crate::wire::IkeSpi;

/// Half-open SAs by their local SPI, and by what tells a repeated first message. One whose proof was refused counts
/// like the others until it expires: it takes their room.
#[derive(Default)]
pub(super) struct HalfOpenTable {
    by_spi: BTreeMap<IkeSpi, Box<HalfOpen>>,
    /// RFC 7296 §2.1: "a robust responder will do the IKE SA lookup using the whole packet, its hash, or the Ni
    /// payload": two peers behind one NAT may have the same SPI, and one peer may have cause to begin anew.
    by_first_message: BTreeMap<(SocketAddr, [u8; 32]), IkeSpi>,
    counts: Counts,
    /// When cookies were last demanded of everybody.
    crowded: Option<Instant>,
}

/// How many there are from where: held by address and by prefix, so that one sender cannot push all others into cookies.
#[derive(Debug, Default)]
struct Counts(BTreeMap<Origin, usize>);

/// Where a half-open SA's initiator is, ever less closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Address(IpAddr),
    Prefix(IpAddr),
    Site(IpAddr),
}

/// What a first message must bring.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    Cookie,
    Refused(DropReason),
}

impl HalfOpenTable {
    pub(super) fn admission(&mut self, config: &EndpointConfig, now: Instant, remote: IpAddr) -> Admission {
        if self.by_spi.len() >= config.cookie_threshold {
            self.crowded = Some(now);
        }
        self.counts.admission(config, self.by_spi.len(), remote)
    }

    /// Whether one that ends now may be of a flood with forged addresses: cookies were demanded of everybody while it was open.
    pub(super) fn was_crowded(&self, now: Instant) -> bool {
        self.crowded.is_some_and(|at| now.since(at) <= limits::HALF_OPEN_LIFETIME)
    }

    pub(super) fn insert(&mut self, half_open: Box<HalfOpen>) {
        let remote = half_open.path().remote;
        self.by_first_message.insert((remote, half_open.digest()), half_open.spi());
        self.counts.add(remote.ip());
        self.by_spi.insert(half_open.spi(), half_open);
    }

    pub(super) fn take(&mut self, spi: IkeSpi) -> Option<Box<HalfOpen>> {
        let half_open = self.by_spi.remove(&spi)?;
        let remote = half_open.path().remote;
        self.by_first_message.remove(&(remote, half_open.digest()));
        self.counts.remove(remote.ip());
        Some(half_open)
    }

    /// The half-open SA that this first message has made before.
    pub(super) fn made_by(&mut self, message: &[u8], remote: SocketAddr) -> Option<&mut HalfOpen> {
        let spi = self.by_first_message.get(&(remote, sha256(&[message])))?;
        self.by_spi.get_mut(spi).map(Box::as_mut)
    }

    /// Where the initiators are that were answered and have not gone on so far.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = IpAddr> {
        let unfinished = self.by_spi.values().filter(|half_open| half_open.unfinished().is_some());
        unfinished.map(|half_open| half_open.path().remote_ip())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Counts {
    /// What a first message from there must bring while there are so many in all.
    fn admission(&self, config: &EndpointConfig, total: usize, remote: IpAddr) -> Admission {
        let most_of = |share: fn(usize) -> usize| {
            Origin::all(remote).any(|origin| self.of(origin) >= share(origin.limit()))
        };
        if total >= config.half_open_max || most_of(|limit| limit) {
            Admission::Refused(DropReason::HalfOpenLimit)
        } else if total >= config.cookie_threshold || most_of(|limit| limit / 2) {
            Admission::Cookie
        } else {
            Admission::Free
        }
    }

    fn of(&self, origin: Origin) -> usize {
        self.0.get(&origin).copied().unwrap_or(0)
    }

    fn add(&mut self, remote: IpAddr) {
        Origin::all(remote).for_each(|origin| *self.0.entry(origin).or_default() += 1);
    }

    fn remove(&mut self, remote: IpAddr) {
        for origin in Origin::all(remote) {
            if let Some(count) = self.0.get_mut(&origin) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&origin);
                }
            }
        }
    }
}

impl Origin {
    fn all(remote: IpAddr) -> impl Iterator<Item = Self> {
        let site = match remote {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(Self::Site(IpAddr::V6((v6.to_bits() >> 80 << 80).into()))),
        };
        [Self::Address(remote), Self::Prefix(prefix(remote))].into_iter().chain(site)
    }

    fn limit(self) -> usize {
        match self {
            Self::Address(_) => limits::HALF_OPEN_PER_ADDRESS,
            Self::Prefix(_) => limits::HALF_OPEN_PER_PREFIX,
            Self::Site(_) => limits::HALF_OPEN_PER_SITE,
        }
    }
}

/// The /24 of an IPv4 address, the /64 of an IPv6 address: what one line may have.
pub(super) fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// Of what is kept of these, the oldest first, what is to be given up: the oldest of the network that has the most, be it a whole
/// site, so that nobody pushes all others out.
pub(super) fn surplus(remotes: impl Iterator<Item = IpAddr>) -> Option<usize> {
    let networks: Vec<_> = remotes.filter_map(|remote| Origin::all(remote).last()).collect();
    let mut shares = BTreeMap::<_, usize>::new();
    networks.iter().for_each(|network| *shares.entry(network).or_default() += 1);
    let most = shares.values().max()?;
    networks.iter().position(|network| shares.get(network) == Some(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Admission = Admission::Refused(DropReason::HalfOpenLimit);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What each of so many from these addresses in turn was asked for; all that were not refused are counted.
    fn admitted(counts: &mut Counts, addresses: impl IntoIterator<Item = IpAddr>) -> Vec<Admission> {
        let config = EndpointConfig::default();
        let mut admit = |remote| {
            let admission = counts.admission(&config, 0, remote);
            if admission != REFUSED {
                counts.add(remote);
            }
            admission
        };
        addresses.into_iter().map(&mut admit).collect()
    }

    fn tally(admissions: &[Admission]) -> [usize; 3] {
        [Admission::Free, Admission::Cookie, REFUSED]
            .map(|kind| admissions.iter().filter(|a| **a == kind).count())
    }

    #[test]
    fn one_address_has_eight_and_the_last_four_bring_cookies() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let mut counts = Counts::default();
            let admissions = admitted(&mut counts, [ip(address); 12]);
            assert_eq!(tally(&admissions), [4, 4, 4]);
            assert_eq!(admissions[3..5], [Admission::Free, Admission::Cookie]);
            assert_eq!(admissions[7..9], [Admission::Cookie, REFUSED]);
            counts.remove(ip(address));
            assert_eq!(tally(&admitted(&mut counts, [ip(address); 2])), [0, 1, 1]);
            (0..8).for_each(|_| counts.remove(ip(address)));
            assert!(counts.0.is_empty(), "nothing is left of it");
        }
    }

    #[test]
    fn one_prefix_has_sixty_four_and_its_neighbour_its_own() {
        let v4 = |net: u8| (0..100).map(move |host| IpAddr::from([192, 0, net, host]));
        let v6 = |net: u16| (0..100).map(move |host| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host]));
        let mut counts = Counts::default();
        assert_eq!(tally(&admitted(&mut counts, v4(2))), [32, 32, 36]);
        assert_eq!(tally(&admitted(&mut counts, v6(2))), [32, 32, 36]);
        assert_eq!(tally(&admitted(&mut counts, v4(3).take(1))), [1, 0, 0]);
        assert_eq!(tally(&admitted(&mut counts, v6(3).take(1))), [1, 0, 0]);
    }

    /// A subscriber's /56 holds 256 such prefixes: together they get no farther than their site does.
    #[test]
    fn one_site_does_not_fill_the_table() {
        let mut counts = Counts::default();
        let site = |site: u16| {
            (0..100 * 256_u32).map(move |n| {
                let [_, _, net, host] = n.to_be_bytes();
                IpAddr::from([0x2001, 0xdb8, site, net.into(), 0, 0, 0, host.into()])
            })
        };
        let [free, cookie, refused] = tally(&admitted(&mut counts, site(1)));
        assert_eq!((free, free + cookie), (2 * 32, limits::HALF_OPEN_PER_SITE));
        assert_eq!(refused, 100 * 256 - limits::HALF_OPEN_PER_SITE);
        assert_eq!(
            tally(&admitted(&mut counts, site(2).take(1))),
            [1, 0, 0],
            "the site beside it has its own"
        );
    }

    #[test]
    fn the_oldest_of_who_has_most_is_given_up() {
        let surplus = |kept: &[&str]| surplus(kept.iter().map(|kept| ip(kept)));
        assert_eq!(surplus(&[]), None);
        assert_eq!(surplus(&["192.0.2.1", "198.51.100.1", "203.0.113.1"]), Some(0));
        assert_eq!(surplus(&["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.51.100.2"]), Some(1));
        let site = ["192.0.2.1", "2001:db8:1::1", "2001:db8:2:1::1", "2001:db8:2:2::1", "2001:db8:2:3::1"];
        assert_eq!(surplus(&site), Some(2), "a site is one, whatever networks it has");
    }

    #[test]
    fn all_together_have_as_many_as_is_configured() {
        let config = EndpointConfig { cookie_threshold: 10, half_open_max: 20, ..EndpointConfig::default() };
        let told = |total| Counts::default().admission(&config, total, ip("192.0.2.1"));
        assert_eq!(
            [told(9), told(10), told(19), told(20)],
            [Admission::Free, Admission::Cookie, Admission::Cookie, REFUSED]
        );
    }
}
