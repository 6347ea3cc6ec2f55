//! Paths that carry less than the line they begin with: routers that say so, routers that do not, and strangers who lie.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Capture, End, Gateway, Outer, Sekisho, Site, Tunnel, wait_until};
use crate::peers::{assert_carries_tcp, we_initiate};

/// What the path carries.
const NARROW: u16 = 1400;
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `status` says that the path carries so much, and how that is known.
fn await_path(sekisho: &Sekisho<'_>, mtu: u16, source: &str) -> Value {
    let what = format!("a path of {mtu} bytes, {source}");
    let tunnel = sekisho.await_tunnel(&what, PATIENCE, |tunnel| {
        tunnel["packets"]["path_mtu"] == mtu && tunnel["packets"]["source"] == source
    });
    tunnel["packets"].clone()
}

/// Large UDP from one host to the other, of both families: with Don't Fragment until it is told how much passes, and without.
fn assert_carries_udp(from: &Gateway, to: &Gateway) {
    for family in [0, 1] {
        let socket = |gateway: &Gateway| {
            let bind = || UdpSocket::bind((gateway.inside[family], 0)).expect("bind");
            gateway.host.run(bind)
        };
        let (sender, receiver) = (socket(from), socket(to));
        receiver.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        sender.connect(receiver.local_addr().expect("an address")).expect("connect");
        for length in [100, 1_300, 1_440, 8_000] {
            wait_until(PATIENCE, &format!("{length} bytes of UDP"), || {
                // The kernel tells that a packet was too big by an error of the next call.
                let _ = sender.send(&vec![7; length]);
                match receiver.recv(&mut [0; 9_000]) {
                    Ok(came) => came == length,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        false
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
    }
}

/// Traffic of all kinds over a narrow path.
fn assert_all_passes(site: &Site) {
    assert_carries_tcp(site, 500);
    assert_carries_udp(&site.a, &site.b);
    site.a.host.sysctl("ipv4/ip_no_pmtu_disc", "1");
    assert_carries_udp(&site.a, &site.b);
}

fn silent(name: &'static str, outer: Outer, inner: u16) {
    let site = Site::new(name);
    site.narrow(NARROW);
    site.silence_router();
    let capture = Capture::start(&site);
    let (sekisho, strongswan) = we_initiate(&site, outer, |_| ());
    let packets = await_path(&sekisho, NARROW, "probed");
    assert_eq!(
        (packets["mtu"].as_u64(), &packets["dont_fragment"]),
        (Some(inner.into()), &Value::Bool(true))
    );
    assert_all_passes(&site);
    // The IKE SA has not suffered.
    sekisho.rekey_ike();
    strongswan.rekey_ike();
    sekisho.rekey_child();
    assert_eq!(sekisho.tunnel()["last_failure"], Value::Null);
    assert_carries_tcp(&site, 100);
    // strongSwan knows nothing of the path: what it sends may be fragmented.
    capture.finish().assert_no_clear_text();
}

#[test]
fn a_black_hole_over_ipv4_is_found_out() {
    silent("path_mtu_black_hole_ipv4", Outer::V4, 1338);
}

#[test]
fn a_black_hole_over_ipv6_is_found_out() {
    silent("path_mtu_black_hole_ipv6", Outer::V6, 1318);
}

fn spoken(name: &'static str, outer: Outer, router: &str) {
    let site = Site::new(name);
    let (sekisho, _strongswan) = we_initiate(&site, outer, |_| ());
    await_path(&sekisho, 1500, "interface");
    sekisho.await_tunnel("a packet of 1,500 bytes that passes", PATIENCE, |tunnel| {
        tunnel["packets"]["proven"] == true
    });
    // The path gets narrow while the tunnel stands; nothing is probed for minutes.
    site.narrow(NARROW);
    assert_carries_udp(&site.a, &site.b);
    let packets = await_path(&sekisho, NARROW, "router");
    assert_eq!(packets["router"], router);
    assert_all_passes(&site);
    assert_eq!(sekisho.json(&["status"])["drops"]["too_big_unproven"], 0);
}

#[test]
fn a_router_that_says_so_over_ipv4_is_believed() {
    spoken("path_mtu_router_ipv4", Outer::V4, "198.51.100.1");
}

#[test]
fn a_router_that_says_so_over_ipv6_is_believed() {
    spoken("path_mtu_router_ipv6", Outer::V6, "2001:db8:aa::1");
}

#[test]
fn two_of_us_find_out_both_directions_of_a_black_hole() {
    let site = Site::new("path_mtu_pair");
    site.narrow(NARROW);
    site.silence_router();
    let capture = Capture::start(&site);
    let here = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) };
    let there = Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) };
    let b = Sekisho::start(&site.b, &there);
    let a = Sekisho::start(&site.a, &here);
    for end in [&a, &b] {
        await_path(end, NARROW, "probed");
    }
    assert_all_passes(&site);
    assert_carries_udp(&site.b, &site.a);
    let crossed = capture.finish();
    crossed.assert_no_clear_text();
    assert_eq!(crossed.fragments, 0, "{crossed:?}");
}

/// Two of ours; whatever the path carries, nobody is told.
fn two_in_silence(site: &Site) -> [Sekisho<'_>; 2] {
    site.silence_router();
    let here = Tunnel { initiate: true, ..Tunnel::at(site, End::A, Outer::V4) };
    let there = Tunnel { remote: None, ..Tunnel::at(site, End::B, Outer::V4) };
    let b = Sekisho::start(&site.b, &there);
    [Sekisho::start(&site.a, &here), b]
}

/// Waits until the narrow path is found out to be that; a minute later it is tried whether more passes.
fn await_narrow(end: &Sekisho<'_>) {
    await_path(end, NARROW, "probed");
    end.await_tunnel("another try in a minute", PATIENCE, |tunnel| {
        tunnel["packets"]["tried_again_in_s"].as_u64().is_some_and(|wait| wait <= 66)
    });
}

/// Hosts that ask and answer in packets of 1,400 bytes that may be fragmented: too long for the tunnel once its path is narrow.
struct Talk(UdpSocket);

impl Talk {
    fn between(from: &Gateway, to: &Gateway) -> Self {
        let socket = |gateway: &Gateway| {
            gateway.host.sysctl("ipv4/ip_no_pmtu_disc", "1");
            gateway.host.run(|| UdpSocket::bind((gateway.inside[0], 0)).expect("bind"))
        };
        let (asks, answers) = (socket(from), socket(to));
        asks.connect(answers.local_addr().expect("an address")).expect("connect");
        asks.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        std::thread::spawn(move || {
            let mut question = [0; 2_000];
            while let Ok((length, asker)) = answers.recv_from(&mut question) {
                let _ = answers.send_to(&question[..length], asker);
            }
        });
        Self(asks)
    }

    /// Asks until it is answered.
    fn await_answer(&self) {
        wait_until(2 * PATIENCE, "an answer", || {
            self.0.send(&[7; 1_372]).expect("send");
            self.0.recv(&mut [0; 2_000]).is_ok_and(|length| length == 1_372)
        });
    }
}

/// Only one end has something to say, and none of it gets there any more.
#[test]
fn a_path_that_becomes_narrower_is_noticed_by_the_end_that_only_answers_too() {
    let site = Site::new("path_mtu_answers");
    let [a, b] = two_in_silence(&site);
    let ends = [&a, &b];
    for end in ends {
        await_path(end, 1500, "interface");
    }
    let talk = Talk::between(&site.a, &site.b);
    talk.await_answer();
    site.narrow(NARROW);
    talk.await_answer();
    for end in ends {
        await_narrow(end);
    }
}

/// As after a failure that packets were led round. Each end tries a packet a minute later.
#[test]
fn a_path_that_was_narrow_for_a_short_time_is_soon_known_to_be_wide() {
    let site = Site::new("path_mtu_wide_again");
    site.narrow(NARROW);
    let [a, b] = two_in_silence(&site);
    let ends = [&a, &b];
    for end in ends {
        await_narrow(end);
    }
    let status = String::from_utf8(a.try_command(&["status"]).stdout).expect("text");
    assert!(status.contains("the path takes at least 1400, larger packets did not get there;"), "{status}");
    site.narrow(1500);
    wait_until(Duration::from_secs(75), "a path of 1,500 bytes again", || {
        ends.into_iter().all(|end| end.tunnel()["packets"]["path_mtu"] == 1500)
    });
    let packets = &a.tunnel()["packets"];
    assert_eq!((&packets["source"], &packets["tried_again_in_s"]), (&Value::from("interface"), &Value::Null));
    Talk::between(&site.a, &site.b).await_answer();
}

/// ESP without UDP has a room of its own, eight bytes more.
#[test]
fn esp_without_udp_heeds_routers_and_black_holes() {
    const AUTO: &str = "encapsulation = \"auto\"\n";
    for (name, outer, silent, inner) in
        [("path_mtu_native_ipv4", Outer::V4, false, 1346), ("path_mtu_native_ipv6", Outer::V6, true, 1326)]
    {
        let site = Site::new(name);
        let narrow = || {
            site.narrow(NARROW);
            silent.then(|| site.silence_router());
        };
        silent.then(narrow);
        let capture = Capture::start(&site);
        let here = Tunnel { initiate: true, settings: AUTO, ..Tunnel::at(&site, End::A, outer) };
        let there = Tunnel { remote: None, settings: AUTO, ..Tunnel::at(&site, End::B, outer) };
        let b = Sekisho::start(&site.b, &there);
        let a = Sekisho::start(&site.a, &here);
        if !silent {
            await_path(&a, 1500, "interface");
            narrow();
            assert_carries_udp(&site.a, &site.b);
        }
        let packets = await_path(&a, NARROW, if silent { "probed" } else { "router" });
        assert_eq!(packets["mtu"], inner, "{packets}");
        assert_all_passes(&site);
        assert_eq!(a.tunnel()["ike"]["esp_in_udp"], false);
        drop((a, b));
        let crossed = capture.finish();
        crossed.assert_no_clear_text();
        assert!(crossed.native > 100 && crossed.fragments == 0, "{crossed:?}");
    }
}

/// What a router would say of a packet of ESP in UDP from one address to another.
fn too_big(from: Ipv4Addr, to: Ipv4Addr, spi: u32) -> Vec<u8> {
    let mut icmp = vec![3, 4, 0, 0, 0, 0, 0x02, 0x58, 0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 63, 17, 0, 0];
    icmp.extend(from.octets().into_iter().chain(to.octets()));
    icmp.extend([0x11, 0x94, 0x11, 0x94, 0x05, 0xc8, 0, 0]);
    icmp.extend(spi.to_be_bytes().into_iter().chain(0x7fff_0001_u32.to_be_bytes()));
    let sum: u32 = icmp.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    icmp
}

/// The same over IPv6, of 1,280 bytes; the kernel adds the checksum.
fn too_big_ipv6(from: Ipv6Addr, to: Ipv6Addr, spi: u32) -> Vec<u8> {
    let mut icmp = vec![2, 0, 0, 0, 0, 0, 5, 0, 0x60, 0, 0, 0, 0x05, 0xb4, 17, 63];
    icmp.extend(from.octets().into_iter().chain(to.octets()));
    icmp.extend([0x11, 0x94, 0x11, 0x94, 0x05, 0xb4, 0, 0]);
    icmp.extend(spi.to_be_bytes().into_iter().chain(0x7fff_0001_u32.to_be_bytes()));
    icmp
}

fn lies(name: &'static str, outer: Outer) {
    let site = Site::new(name);
    let third = site.third();
    let (sekisho, _strongswan) = we_initiate(&site, outer, |_| ());
    let tunnel = await_path(&sekisho, 1500, "interface");
    assert_carries_tcp(&site, 100);
    let ends = [&site.a, &site.b].map(|end| end.outside[outer as usize]);
    let spi = sekisho.tunnel()["children"][0]["spi_out"].as_str().expect("an SPI").to_owned();
    let spi = u32::from_str_radix(spi.trim_start_matches("0x"), 16).expect("a number");
    third.namespace.run(|| {
        let (domain, protocol) = match outer {
            Outer::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Outer::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).expect("a raw socket");
        // A wrong SPI; and the right one, which somebody may have overheard, with a number that was not sent lately.
        for spi in [1_000_000, spi] {
            let lie = match ends {
                [IpAddr::V4(a), IpAddr::V4(b)] => too_big(a, b, spi),
                [IpAddr::V6(a), IpAddr::V6(b)] => too_big_ipv6(a, b, spi),
                _ => unreachable!("both are of one family"),
            };
            socket.send_to(&lie, &SocketAddr::new(ends[0], 0).into()).expect("send");
        }
    });
    let drops = || sekisho.json(&["status"])["drops"].clone();
    wait_until(PATIENCE, "two lies in the counters", || drops()["too_big_unproven"] == 2);
    assert_eq!(drops()["icmp_queue_full"], 0);
    assert_eq!(sekisho.tunnel()["packets"], tunnel);
    assert_carries_tcp(&site, 100);
}

#[test]
fn a_stranger_who_lies_changes_nothing_and_is_counted() {
    lies("path_mtu_forged", Outer::V4);
    lies("path_mtu_forged_ipv6", Outer::V6);
}

/// No daemon runs there, and its kernel says so.
#[test]
fn what_somebody_says_of_our_first_message_reaches_the_diagnosis() {
    let site = Site::new("path_mtu_unreachable");

    for (outer, address) in [(Outer::V4, "203.0.113.2"), (Outer::V6, "2001:db8:bb::2")] {
        let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, outer) });
        let told = format!("{address} answered: port unreachable");
        sekisho.await_tunnel("what the peer's kernel said", PATIENCE, |tunnel| {
            tunnel["last_failure"]["kind"] == "no_answer"
                && tunnel["last_failure"]["summary"].as_str().is_some_and(|summary| summary.contains(&told))
        });
    }
}
