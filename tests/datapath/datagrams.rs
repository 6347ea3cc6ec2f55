//! Datagrams that a program sends many at a time arrive one by one, and cross both TUN devices together.

use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};

use crate::namespace::Namespace;
use crate::site::{Site, connect};
use crate::traffic::udp_pair;

const SIZE: usize = 700;
const COUNT: usize = 41;

/// Packets and super-packets that the data path has written to its TUN device.
fn written(namespace: &Namespace) -> u64 {
    let table = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").expect("the devices"));
    let line = table.lines().find_map(|line| line.trim().strip_prefix("sekisho0:")).expect("the TUN device");
    line.split_whitespace().nth(1).and_then(|packets| packets.parse().ok()).expect("a count")
}

fn super_packets_of_datagrams(ipv6: bool) {
    let (a, b) = Site::pair(ipv6);
    connect(1, &a, &b);
    let (from, to) = udp_pair(&a, &b, ipv6);
    // All of one size but for a shorter last one, each with its number.
    let mut sent: Vec<u8> =
        (0..COUNT).flat_map(|number| vec![u8::try_from(number).expect("a small number"); SIZE]).collect();
    sent.truncate(COUNT * SIZE - 300);

    // Whatever the path had to find out (neighbours) is known after the first.
    from.send(b"first").expect("send");
    assert_eq!(to.recv(&mut [0; 9]).expect("receive"), 5);
    let before = written(&b.namespace);
    let size = i32::try_from(SIZE).expect("a small number");
    setsockopt(&from.as_fd(), sockopt::UdpGsoSegment, &size).expect("UDP_SEGMENT");
    from.send(&sent).expect("send");

    let mut buffer = [0; 2_000];
    for expected in sent.chunks(SIZE) {
        let length = to.recv(&mut buffer).expect("receive");
        assert!(buffer[..length] == *expected, "{length} bytes that start with {}", buffer[0]);
    }
    let writes = written(&b.namespace) - before;
    assert!(writes <= 2, "{COUNT} datagrams took {writes} writes");
}

#[test]
fn datagrams_of_ipv4_cross_together_and_arrive_apart() {
    super_packets_of_datagrams(false);
}

#[test]
fn datagrams_of_ipv6_cross_together_and_arrive_apart() {
    super_packets_of_datagrams(true);
}
