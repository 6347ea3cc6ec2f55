//! Packets that come in clear and claim to be from behind the other gateway (RFC 4301 §5.2): what no tunnel carried does
//! not reach the hosts, whether the tunnel is up, the daemon down or the packet filter loaded anew.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::lab::{End, Outer, Sekisho, Site, Tunnel, both_ways, wait_until};

const PORT: u16 = 7_777;

/// Whether a datagram that the Internet sends in the name of host b reaches host a, in either family.
fn reaches(site: &Site) -> [bool; 2] {
    [0, 1].map(|family| {
        let (to, from) = (site.a.host.run(|| bind(site.a.inside[family], PORT)), site.b.inside[family]);
        to.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let spoof = site.router.run(|| bind(from, 0));
        spoof.send_to(b"in clear", SocketAddr::new(site.a.inside[family], PORT)).unwrap();
        to.recv(&mut [0; 100]).is_ok()
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
    assert_eq!(reaches(&site), [true; 2], "without us nobody refuses it");

    let b = Sekisho::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    let mut a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    a.await_up();
    b.await_up();
    assert_eq!(reaches(&site), [false; 2], "the tunnel is up");
    let rules = || site.a.namespace.nft_list();
    assert_eq!(a.json(&["status"])["drops"]["clear_text_refused"], 2, "{}", rules());
    let tallies = both_ways(&site, 0, || ());
    assert!(tallies.iter().all(|tally| tally.lost == 0), "what comes through the tunnel passes: {tallies:?}");

    let patience = Duration::from_secs(20);
    for done in ["flush ruleset", "flush table inet sekisho_sekisho0"] {
        site.a.namespace.nft(done);
        assert!(!rules().contains("fib saddr"), "{done}: {}", rules());
        wait_until(patience, "the guard to be put up again", || rules().matches("fib saddr").count() == 2);
        assert_eq!(reaches(&site), [false; 2], "after `{done}`");
    }

    let good = fs::read_to_string(a.configuration()).unwrap();
    let lax = good.replacen("[daemon]\n", "[daemon]\nrefuse_clear_text = false\n", 1);
    for (configuration, wanted) in [(lax, false), (good, true)] {
        fs::write(a.configuration(), configuration).unwrap();
        a.json(&["reload"]);
        wait_until(patience, "the guard to be as it is wanted", || rules().contains("sekisho_") == wanted);
        assert_eq!(reaches(&site), [!wanted; 2]);
    }

    a.stop();
    assert_eq!(reaches(&site), [false; 2], "the daemon is down");
    a.json(&["unprotect"]);
    assert_eq!(rules(), "", "nothing is left behind");
    assert_eq!(reaches(&site), [true; 2]);
}
