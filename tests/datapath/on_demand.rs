//! Packets that wait for a Child SA which the first of them has set up.

use sekisho::data::{FromData, Reservation};

use crate::site::{POLICY, Site, selectors};
use crate::traffic::{udp_pair, until};

/// Let what is for the other side wait, or be dropped.
pub(crate) fn reserve(site: &Site, other: &Site, on_demand: bool) {
    site.data.reserve(vec![Reservation {
        policy: POLICY,
        on_demand,
        in_part: false,
        local: selectors(site.place),
        remote: selectors(other.place),
    }]);
}

fn told_to_acquire(site: &mut Site) {
    let told = site.from_data.blocking_recv();
    assert!(matches!(told, Some(FromData::Acquire(POLICY, Some(_)))), "{told:?}");
}

#[test]
fn the_first_packets_are_kept_and_sent_in_order_before_those_that_follow() {
    for ipv6 in [false, true] {
        let (mut a, b) = Site::pair(false);
        reserve(&a, &b, true);
        let (left, right) = udp_pair(&a, &b, ipv6);
        for number in 0..20_u8 {
            left.send(&[number]).expect("send");
        }
        told_to_acquire(&mut a);
        b.install(1, a.place);
        a.install(1, b.place);
        left.send(&[20]).expect("send");
        a.switch_outbound(1);
        for number in 21..40_u8 {
            left.send(&[number]).expect("send");
        }
        for number in 0..40_u8 {
            let mut bytes = [0xff; 8];
            assert_eq!(right.recv(&mut bytes).expect("a packet"), 1, "IPv6 {ipv6}");
            assert_eq!(bytes[0], number, "in order");
        }
        assert!(a.from_data.try_recv().is_err(), "asked for once");
        assert_eq!(a.drops("no_sa"), 0);
    }
}

/// Nothing else comes that could wake the thread.
#[test]
fn a_lone_packet_leaves_as_soon_as_its_sa_is_there() {
    let (mut a, b) = Site::pair(false);
    reserve(&a, &b, true);
    let (left, right) = udp_pair(&a, &b, false);
    left.send(b"alone").expect("send");
    told_to_acquire(&mut a);
    b.install(1, a.place);
    a.install(1, b.place);
    a.switch_outbound(1);
    let mut bytes = [0; 8];
    assert_eq!(right.recv(&mut bytes).expect("the packet"), 5);
}

#[test]
fn what_cannot_be_set_up_is_dropped_and_the_next_packet_asks_again() {
    let (mut a, b) = Site::pair(false);
    reserve(&a, &b, true);
    let (left, right) = udp_pair(&a, &b, false);
    left.send(b"in vain").expect("send");
    told_to_acquire(&mut a);
    a.data.abandon(POLICY);
    until("the packet to be dropped", || a.drops("acquire_failed") == 1);
    left.send(b"again").expect("send");
    told_to_acquire(&mut a);
    b.install(1, a.place);
    a.install(1, b.place);
    a.switch_outbound(1);
    let mut bytes = [0; 8];
    assert_eq!(right.recv(&mut bytes).expect("the packet"), 5);
    assert_eq!(&bytes[..5], b"again");
}

#[test]
fn what_waits_is_bounded_and_nobody_answers_for_ever() {
    let (mut a, b) = Site::pair(false);
    reserve(&a, &b, true);
    let (left, _right) = udp_pair(&a, &b, false);
    for _ in 0..70 {
        left.send(b"one of many").expect("send");
    }
    until("the rest to be dropped", || a.drops("acquire_full") == 6);
    told_to_acquire(&mut a);
    until("all to be let go", || a.drops("acquire_expired") == 64);
    assert!(a.from_data.try_recv().is_err(), "asked for once");
}

#[test]
fn what_is_no_longer_on_demand_does_not_wait_any_more() {
    let (mut a, b) = Site::pair(false);
    reserve(&a, &b, true);
    let (left, _right) = udp_pair(&a, &b, false);
    left.send(b"in vain").expect("send");
    told_to_acquire(&mut a);
    reserve(&a, &b, false);
    until("the packet to be dropped", || a.drops("no_sa") == 1);
}
