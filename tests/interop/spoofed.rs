//! Packets that come in clear and claim to be from behind the other gateway (RFC 4301 §5.2): what no tunnel carried reaches
//! neither the hosts nor the gateway, whether the tunnel is up, the daemon down or the packet filter loaded anew.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::SockRef;

use crate::lab::{End, Outer, Sekisho, Site, Tunnel, asks_once, both_ways, wait_until};

const PORT: u16 = 7_777;
/// Looks at the way back in a guard that stands whole: two in each chain, and one more for fragments.
const WHOLE: usize = 7;

/// Whether a datagram that the Internet sends in the name of host b reaches host a and gateway a, in either family.
fn reaches(site: &Site) -> [bool; 4] {
    let (host, gateway) = (&site.a.host, &site.a.namespace);
    let receivers = [(host, site.a.inside), (gateway, site.a.own)];
    let each = receivers.map(|(namespace, own)| {
        [0, 1].map(|family| takes(site, &namespace.run(|| bind(own[family], PORT)), site.b.inside[family]))
    });
    each.concat().try_into().unwrap()
}

/// Whether this socket gets what the Internet sends it in the name of `from`.
fn takes(site: &Site, to: &UdpSocket, from: IpAddr) -> bool {
    to.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    send_as(site, from, to.local_addr().unwrap(), b"in clear");
    to.recv(&mut [0; 100]).is_ok()
}

fn send_as(site: &Site, from: IpAddr, to: SocketAddr, bytes: &[u8]) {
    site.router.run(|| bind(from, 0)).send_to(bytes, to).unwrap();
}

/// Whether gateway a answers host b through the tunnel.
fn asks_gateway(site: &Site) -> bool {
    let hosts = [(&site.b.host, site.b.inside), (&site.a.namespace, site.a.own)];
    [0, 1].into_iter().all(|family| {
        let [from, to] = hosts.map(|(namespace, own)| (namespace, own[family]));
        asks_once(from, to, Duration::from_secs(5))
    })
}

/// The kernel makes the local route of an IPv6 address a moment after the address.
fn bind(address: IpAddr, port: u16) -> UdpSocket {
    let mut socket = None;
    wait_until(Duration::from_secs(5), "the address can be bound", || {
        socket = UdpSocket::bind(SocketAddr::new(address, port)).ok();
        socket.is_some()
    });
    socket.unwrap()
}

#[test]
fn what_comes_in_clear_in_the_name_of_the_far_side_reaches_nobody() {
    let site = Site::new("spoofed");
    site.route_inner_networks_in_clear();
    for address in site.b.inside {
        site.router.ip(&format!("addr add {address} dev lo"));
    }
    assert_eq!(reaches(&site), [true; 4], "without us nobody refuses it");

    let b = Sekisho::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    let mut a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    a.await_up();
    b.await_up();
    assert_eq!(reaches(&site), [false; 4], "the tunnel is up");
    let rules = || site.a.namespace.nft_list();
    assert_eq!(a.json(&["status"])["drops"]["clear_text_refused"], 4, "{}", rules());
    let past_the_tunnel = site.a.namespace.run(|| bind(site.a.own[0], PORT));
    SockRef::from(&past_the_tunnel).set_mark(1).unwrap();
    assert!(
        takes(&site, &past_the_tunnel, site.b.inside[0]),
        "what goes past tunnels by its mark gets its answers"
    );
    drop(past_the_tunnel);
    let [IpAddr::V4(next_hop), _] = site.a.outside else { panic!("IPv4 comes first") };
    let to_a = format!("{next_hop} dev to_a");
    site.router.ip(&format!("neigh replace {to_a} lladdr ff:ff:ff:ff:ff:ff nud permanent"));
    assert_eq!(reaches(&site), [false; 4], "nor in a frame for all");
    site.router.ip(&format!("neigh del {to_a}"));
    assert!(asks_gateway(&site), "what asks the gateway itself through the tunnel is answered");
    let tallies = both_ways(&site, 0, || ());
    assert!(tallies.iter().all(|tally| tally.lost == 0), "what comes through the tunnel passes: {tallies:?}");

    let patience = Duration::from_secs(20);
    for done in
        ["flush ruleset", "flush chain inet sekisho_sekisho0 input", "flush table inet sekisho_sekisho0"]
    {
        site.a.namespace.nft(done);
        assert!(rules().matches("fib saddr").count() < WHOLE, "{done}: {}", rules());
        wait_until(patience, "the guard to be put up again", || {
            rules().matches("fib saddr").count() == WHOLE
        });
        assert_eq!(reaches(&site), [false; 4], "after `{done}`");
    }

    let good = fs::read_to_string(a.configuration()).unwrap();
    let lax = good.replacen("[daemon]\n", "[daemon]\nrefuse_clear_text = false\n", 1);
    for (configuration, wanted) in [(lax, false), (good, true)] {
        fs::write(a.configuration(), configuration).unwrap();
        a.json(&["reload"]);
        wait_until(patience, "the guard to be as it is wanted", || rules().contains("sekisho_") == wanted);
        assert_eq!(reaches(&site), [!wanted; 4]);
    }

    a.stop();
    assert_eq!(reaches(&site), [false; 4], "the daemon is down");
    a.json(&["unprotect"]);
    assert_eq!(rules(), "", "nothing is left behind");
    assert_eq!(reaches(&site), [true; 4]);
}
