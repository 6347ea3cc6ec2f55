use super::*;
use crate::config::{Child, LocalAuth, RemoteAuth};
use crate::identity::RemoteId;
use crate::limits;
use crate::secret::Secret;

fn pool(name: &str, ranges: &[&str]) -> Pool {
    let ranges = ranges.iter().map(|text| text.parse().unwrap()).collect();
    Pool { name: name.into(), ranges, dns: vec!["10.9.0.53".parse().unwrap()] }
}

fn pools(ranges: &[&str]) -> Pools {
    let mut pools = Pools::default();
    pools.configure(vec![pool("office", ranges)]);
    pools
}

fn connection(unique: Uniqueness) -> Connection {
    let secret = || Secret::new(vec![7; 32]);
    let us = ("hub.example".parse().unwrap(), LocalAuth::Psk(secret()));
    let peer = (RemoteId::Exact(peer("a")), RemoteAuth::Psk(secret()));
    let child = Child::new("net".into(), vec!["192.168.0.0/16".parse().unwrap()], Vec::new());
    Connection {
        pools: vec!["office".into()],
        unique,
        ..Connection::new("link".into(), us, peer, vec![child])
    }
}

fn peer(name: &str) -> Identity {
    format!("{name}.example").parse().unwrap()
}

fn lease(pools: &mut Pools, name: &str, wanted: Option<&str>) -> Option<AddressLease> {
    let wanted = wanted.map(|text| text.parse().unwrap());
    pools.lease(&connection(Uniqueness::Replace), &peer(name), true, wanted)
}

fn text(lease: Option<&AddressLease>) -> String {
    lease.map_or_else(|| "none".to_owned(), |lease| lease.address().to_string())
}

#[test]
fn a_peer_gets_its_address_again_and_others_get_new_ones_while_there_are_any() {
    let mut pools = pools(&["10.9.0.1-10.9.0.4"]);
    let first = lease(&mut pools, "a", None);
    let second = lease(&mut pools, "b", None);
    assert_eq!((text(first.as_ref()), text(second.as_ref())), ("10.9.0.1".into(), "10.9.0.2".into()));
    drop((first, second));
    let third = lease(&mut pools, "c", None);
    assert_eq!(text(third.as_ref()), "10.9.0.3", "what others had is kept for them");
    assert_eq!(text(lease(&mut pools, "b", None).as_ref()), "10.9.0.2");
    assert_eq!(text(lease(&mut pools, "a", None).as_ref()), "10.9.0.1");
}

#[test]
fn what_was_given_back_longest_ago_is_taken_first_once_nothing_is_new() {
    let mut pools = pools(&["10.9.0.1-10.9.0.3"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| lease(&mut pools, name, None));
    drop(b);
    pools.reclaim();
    drop(a);
    let d = lease(&mut pools, "d", None);
    assert_eq!(text(d.as_ref()), "10.9.0.2");
    let b = lease(&mut pools, "b", None);
    assert_eq!(text(b.as_ref()), "10.9.0.1", "its own is taken");
    assert!(lease(&mut pools, "a", None).is_none(), "there is none left");
    drop(c);
    assert_eq!(text(lease(&mut pools, "a", None).as_ref()), "10.9.0.3");
}

#[test]
fn an_address_that_is_asked_for_is_given_if_it_is_free_or_its_own() {
    let mut pools = pools(&["10.9.0.1-10.9.0.3"]);
    let a = lease(&mut pools, "a", Some("10.9.0.3"));
    assert_eq!(text(a.as_ref()), "10.9.0.3");
    assert_eq!(text(lease(&mut pools, "b", Some("10.9.0.3")).as_ref()), "10.9.0.1", "it is held");
    assert_eq!(text(lease(&mut pools, "c", Some("10.9.0.1")).as_ref()), "10.9.0.2", "it is kept for b");
    assert_eq!(
        text(lease(&mut pools, "c", Some("10.9.7.7")).as_ref()),
        "10.9.0.2",
        "it is none of the pool's"
    );
    // Nothing is new any more.
    drop(a);
    assert_eq!(text(lease(&mut pools, "c", Some("10.9.0.3")).as_ref()), "10.9.0.2", "it was a's");
    assert_eq!(text(lease(&mut pools, "a", Some("10.9.0.3")).as_ref()), "10.9.0.3");
}

/// Whoever comes back again and again and asks for another address each time.
#[test]
fn a_peer_that_goes_through_the_pool_gets_no_place_of_another_and_leaves_no_more_than_the_bound() {
    let mut small = pools(&["10.9.0.1-10.9.0.9"]);
    drop(lease(&mut small, "victim", Some("10.9.0.5")));
    for last in (1..=9).chain([5]) {
        let got = lease(&mut small, "rogue", Some(&format!("10.9.0.{last}")));
        assert_ne!(text(got.as_ref()), "10.9.0.5", "while its own peer is away");
    }
    assert_eq!(text(lease(&mut small, "victim", None).as_ref()), "10.9.0.5");

    let mut large = pools(&["2001:db8::/64"]);
    let rogue = peer("rogue");
    for place in 0..u128::try_from(limits::REMEMBERED_LEASES).unwrap() + 100 {
        let wanted = std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + (place << 16) + 7);
        let link = connection(Uniqueness::Replace);
        assert!(large.lease(&link, &rogue, false, Some(wanted.into())).is_some());
    }
    large.reclaim();
    let remembered = large.stocks.values().map(|stock| stock.remembered(false)).sum::<usize>();
    assert!(remembered <= limits::REMEMBERED_LEASES, "{remembered}");
}

#[test]
fn two_tunnels_of_one_peer_share_an_address_only_where_one_replaces_the_other() {
    let mut pools = pools(&["10.9.0.1-10.9.0.3"]);
    let (never, replace) = (connection(Uniqueness::Never), connection(Uniqueness::Replace));
    let side_by_side = [(); 2].map(|()| pools.lease(&never, &peer("a"), true, None));
    assert_eq!(side_by_side.each_ref().map(|l| text(l.as_ref())), ["10.9.0.1", "10.9.0.2"]);
    let old = pools.lease(&replace, &peer("b"), true, None);
    let new = pools.lease(&replace, &peer("b"), true, None);
    assert_eq!((text(old.as_ref()), text(new.as_ref())), ("10.9.0.3".into(), "10.9.0.3".into()));
    drop(old);
    assert!(lease(&mut pools, "c", None).is_none(), "the new tunnel holds it");
    drop(new);
    assert_eq!(text(lease(&mut pools, "c", None).as_ref()), "10.9.0.3");
}

#[test]
fn a_pool_that_grows_keeps_its_leases_and_one_that_shrinks_tells_whose_are_gone() {
    let mut pools = pools(&["10.9.0.1-10.9.0.2"]);
    let [a, b] = ["a", "b"].map(|name| lease(&mut pools, name, None).unwrap());
    pools.configure(vec![pool("office", &["10.9.0.2-10.9.0.4"])]);
    let link = connection(Uniqueness::Replace);
    assert_eq!((pools.holds(&link, &a), pools.holds(&link, &b)), (false, true));
    drop(a);
    assert_eq!(text(lease(&mut pools, "a", None).as_ref()), "10.9.0.3", "its own is none of the pool's");
    pools.reclaim();
    assert_eq!(pools.status()[0].used, [1, 0]);
    pools.configure(Vec::new());
    assert!(!pools.holds(&link, &b) && !pools.has(&"office".into()));
    drop(b);
    assert!(lease(&mut pools, "a", None).is_none());
}

#[test]
fn a_family_that_no_pool_has_is_not_given() {
    let mut pools = Pools::default();
    pools.configure(vec![pool("office", &["10.9.0.0/29"]), pool("six", &["2001:db8::/64"])]);
    let mut link = connection(Uniqueness::Replace);
    assert!(pools.lease(&link, &peer("a"), false, None).is_none());
    link.pools.push("six".into());
    let lease = pools.lease(&link, &peer("a"), false, None);
    assert_eq!(text(lease.as_ref()), "2001:db8::1");
    assert_eq!(pools.dns(&link, true).count(), 2);
}
