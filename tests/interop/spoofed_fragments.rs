//! Fragments that come in clear in the name of the far side: the kernel must not put them together with those that came out of the
//! tunnel. A whole of both would bear out what its parts do not: that all of it was protected.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::Duration;

use etherparse::PacketBuilder;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Capture, End, Namespace, Outer, Sekisho, Site, Tunnel, asks_once, wait_for, wait_until};
use crate::peers::assert_carries_tcp;

const PORT: u16 = 7_777;
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the first fragment: UDP's header, and what is the same whoever sends the rest.
const FIRST: usize = 32;
const HONEST: [u8; 16] = *b"out of a tunnel.";

/// Of the same sum, so that UDP's checksum says nothing against it.
fn forged() -> [u8; 16] {
    let mut forged = HONEST;
    forged.rotate_left(2);
    forged
}

/// UDP in one IP packet, to be cut.
fn datagram(from: IpAddr, to: SocketAddr, end: [u8; 16]) -> Vec<u8> {
    let mut packet = Vec::new();
    let payload = [&[7; FIRST - 8][..], &end].concat();
    let builder = match (from, to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("{from} and {to} are of two families"),
    };
    builder.udp(PORT, to.port()).write(&mut packet, &payload).unwrap();
    packet
}

/// A part of what is behind the IP header, as a packet.
fn fragment(whole: &[u8], id: u16, part: Range<usize>) -> Vec<u8> {
    let ipv4 = whole[0] >> 4 == 4;
    let (header, payload) = whole.split_at(if ipv4 { 20 } else { 40 });
    let (more, offset) = (part.end < payload.len(), u16::try_from(part.start / 8).unwrap());
    let mut header = header.to_vec();
    if ipv4 {
        // The kernel writes the length and the checksum.
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[6..8].copy_from_slice(&(u16::from(more) << 13 | offset).to_be_bytes());
    } else {
        let length = u16::try_from(8 + part.len()).unwrap();
        header[4..6].copy_from_slice(&length.to_be_bytes());
        let next = std::mem::replace(&mut header[6], 44);
        header.extend([next, 0]);
        header.extend((offset << 3 | u16::from(more)).to_be_bytes());
        header.extend(u32::from(id).to_be_bytes());
    }
    [&header[..], &payload[part]].concat()
}

/// Sends an IP packet as it is.
fn send(namespace: &Namespace, packet: &[u8], to: IpAddr) {
    let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let raw = Protocol::from(libc::IPPROTO_RAW);
    let socket = namespace.run(|| Socket::new(domain, Type::RAW, Some(raw)).unwrap());
    socket.send_to(packet, &SocketAddr::new(to, 0).into()).unwrap();
}

/// A receiver at side a, host or gateway.
struct Receiver<'a> {
    site: &'a Site,
    socket: UdpSocket,
    /// In whose name all is sent.
    from: IpAddr,
}

/// Host and gateway, each in both families.
fn receivers(site: &Site) -> Vec<Receiver<'_>> {
    let (host, gateway) = ((&site.a.host, site.a.inside), (&site.a.namespace, site.a.own));
    let each = [host, gateway].into_iter().flat_map(|(namespace, own)| {
        [0, 1].map(|family| {
            let socket = namespace.run(|| UdpSocket::bind((own[family], PORT)).unwrap());
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Receiver { site, socket, from: site.b.inside[family] }
        })
    });
    each.collect()
}

impl Receiver<'_> {
    fn to(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The first part, through the tunnel.
    fn begin(&self, id: u16) {
        let whole = datagram(self.from, self.to(), HONEST);
        send(&self.site.b.host, &fragment(&whole, id, 0..FIRST), self.to().ip());
    }

    /// The rest, through the tunnel.
    fn end(&self, id: u16) {
        let whole = datagram(self.from, self.to(), HONEST);
        send(&self.site.b.host, &fragment(&whole, id, FIRST..FIRST + HONEST.len()), self.to().ip());
    }

    /// The rest in clear, from the Internet.
    fn forge_end(&self, id: u16) {
        let whole = datagram(self.from, self.to(), forged());
        send(&self.site.router, &fragment(&whole, id, FIRST..FIRST + HONEST.len()), self.to().ip());
    }

    /// How the next datagram ends.
    fn received(&self) -> Vec<u8> {
        let mut room = [0; 100];
        let length = self.socket.recv(&mut room).unwrap_or_else(|error| panic!("{}: {error}", self.to()));
        room[FIRST - 8..length].to_vec()
    }
}

/// Has the kernel of gateway a put together what it forwards.
fn track_connections(site: &Site) {
    site.a.namespace.nft(
        "add table inet tracking; \
         add chain inet tracking forward { type filter hook forward priority 0; }; \
         add rule inet tracking forward ct state invalid counter",
    );
}

fn refused(daemon: &Sekisho<'_>) -> u64 {
    daemon.json(&["status"])["drops"]["clear_fragments_refused"].as_u64().unwrap()
}

/// What the rules of the guard have counted, though no daemon runs.
fn counted(site: &Site) -> u64 {
    let rules = site.a.namespace.nft_list();
    let (_, chain) = rules.split_once("chain fragments").unwrap_or_else(|| panic!("no such chain: {rules}"));
    let (chain, _) = chain.split_once('}').unwrap();
    let counters = chain.split("counter packets ").skip(1);
    counters.map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn what_comes_in_clear_is_not_put_together_with_what_came_out_of_the_tunnel() {
    let site = Site::new("spoofed_fragments");
    site.route_inner_networks_in_clear();
    track_connections(&site);
    let b = Sekisho::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    let mut a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    a.await_up();
    b.await_up();
    let receivers = receivers(&site);
    for (id, receiver) in (100..).zip(&receivers) {
        let before = refused(&a);
        receiver.begin(id);
        receiver.forge_end(id);
        wait_until(PATIENCE, "the forged fragment to be refused", || refused(&a) == before + 1);
        receiver.end(id);
        assert_eq!(receiver.received(), HONEST, "{}", receiver.to());
    }

    let good = fs::read_to_string(a.configuration()).unwrap();
    let lax = good.replacen("[daemon]\n", "[daemon]\nrefuse_clear_text = false\n", 1);
    let guarded = || site.a.namespace.nft_list().contains("sekisho_");
    fs::write(a.configuration(), lax).unwrap();
    a.json(&["reload"]);
    wait_until(PATIENCE, "the guard to be gone", || !guarded());
    for (id, receiver) in (200..).zip(&receivers) {
        receiver.begin(id);
        receiver.forge_end(id);
        assert_eq!(receiver.received(), forged(), "without us nobody refuses it: {}", receiver.to());
    }

    fs::write(a.configuration(), good).unwrap();
    a.json(&["reload"]);
    wait_until(PATIENCE, "the guard to be put up again", guarded);
    a.stop();
    for (id, receiver) in (300..).zip(&receivers) {
        let before = counted(&site);
        receiver.forge_end(id);
        wait_until(PATIENCE, "it to be refused though no daemon runs", || counted(&site) == before + 1);
    }
}

/// A tunnel for the network that a peer's own address is in: IKE and ESP come from there in clear, in fragments too.
fn within_what_it_protects(site: &Site, end: End, outer: Outer) -> Tunnel {
    let mut tunnel = Tunnel { fragment_size: 1_500, initiate: end == End::A, ..Tunnel::at(site, end, outer) };
    let networks = match end {
        End::A => &mut tunnel.remote_networks,
        End::B => &mut tunnel.local_networks,
    };
    networks.extend(["203.0.113.0/24", "2001:db8:bb::/64"].map(str::to_owned));
    networks.extend((1..=60).map(|net| format!("2001:db8:200:{net}::/64")));
    tunnel
}

#[test]
fn a_peer_in_a_network_that_it_protects_sends_ike_in_fragments_and_others_none() {
    for (name, outer) in [("ike_in_fragments_ipv4", Outer::V4), ("ike_in_fragments_ipv6", Outer::V6)] {
        let site = Site::new(name);
        site.route_inner_networks_in_clear();
        track_connections(&site);
        // Below what IKE's own fragments take: IP cuts them, the router's or the sender's.
        site.narrow(1_280);
        let capture = Capture::start(&site);
        let [a, b] = [(&site.a, End::A), (&site.b, End::B)]
            .map(|(gateway, end)| Sekisho::start(gateway, &within_what_it_protects(&site, end, outer)));
        a.await_up();
        b.await_up();
        let crossed = capture.finish();
        assert!(crossed.fragments >= 4, "IKE_AUTH was cut, there and back: {crossed:?}");
        assert_eq!(refused(&a), 0);
        assert_carries_tcp(&site, 100);

        // Of what else comes from there, nothing begins, and what is not UDP is refused whole.
        let (family, own) = (outer as usize, site.a.own[outer as usize]);
        let whole = datagram(site.b.outside[family], SocketAddr::new(own, PORT), forged());
        let protocol_at = [9, 6][family];
        let rest = FIRST..FIRST + HONEST.len();
        let mut before = 0;
        for (protocol, part, lets_in) in [
            (17, 0..FIRST, false),
            (17, rest.clone(), true),
            (6, rest.clone(), false),
            (132, rest.clone(), false),
        ] {
            let mut whole = whole.clone();
            whole[protocol_at] = protocol;
            send(&site.router, &fragment(&whole, 1, part), own);
            before += u64::from(!lets_in);
        }
        let told =
            |least| wait_for(PATIENCE, "what is refused", || Some(refused(&a)).filter(|n| *n >= least));
        assert_eq!(told(before), before, "{}", site.a.namespace.nft_list());
        // Nor is anything for others, who are no gateways.
        let inside = site.a.inside[family];
        let whole = datagram(site.b.outside[family], SocketAddr::new(inside, PORT), forged());
        send(&site.router, &fragment(&whole, 2, rest), inside);
        assert_eq!(told(before + 1), before + 1, "{}", site.a.namespace.nft_list());
    }
}

#[test]
fn fragments_of_who_is_not_protected_pass() {
    let site = Site::new("honest_fragments");
    site.route_inner_networks_in_clear();
    track_connections(&site);
    let _b = Sekisho::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    let a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    a.await_up();
    for receiver in receivers(&site) {
        let from = if receiver.from.is_ipv4() { "198.51.100.1" } else { "2001:db8:aa::1" };
        let whole = datagram(from.parse().unwrap(), receiver.to(), HONEST);
        for part in [FIRST..FIRST + HONEST.len(), 0..FIRST] {
            send(&site.router, &fragment(&whole, 9, part), receiver.to().ip());
        }
        assert_eq!(receiver.received(), HONEST, "{}", receiver.to());
    }
    assert_eq!(refused(&a), 0);
    let hosts = [(&site.b.host, site.b.inside[0]), (&site.a.host, site.a.inside[0])];
    assert!(asks_once(hosts[0], hosts[1], PATIENCE));
}

/// An operator who has some packets take another way marks them, and fragments before they are judged.
#[test]
fn fragments_whose_mark_leads_back_elsewhere_pass() {
    let site = Site::new("marked_fragments");
    site.route_inner_networks_in_clear();
    track_connections(&site);
    let a = Sekisho::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let gateway = &site.a.namespace;
    gateway.nft(
        "add table inet marking; \
         add chain inet marking first { type filter hook prerouting priority -460; }; \
         add rule inet marking first iifname wan meta mark set 7",
    );
    for family in ["", "-6 "] {
        gateway.ip(&format!("{family}rule add fwmark 7 lookup main priority 5"));
    }
    for receiver in receivers(&site) {
        let whole = datagram(receiver.from, receiver.to(), forged());
        for part in [FIRST..FIRST + HONEST.len(), 0..FIRST] {
            send(&site.router, &fragment(&whole, 9, part), receiver.to().ip());
        }
        assert_eq!(receiver.received(), forged(), "{}", receiver.to());
    }
    assert_eq!(refused(&a), 0);
}
