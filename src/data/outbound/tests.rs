use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::sched::{CloneFlags, unshare};
use sekisho_esp::ecn::Marking;
use sekisho_esp::{
    Fragments, InboundSa, InnerView, Keymat, OffloadHeader, OutboundSa, SaConfig, Selector, Suite,
};

use super::Outbound;
use crate::data::publish::Installed;
use crate::data::{NewSa, Shared, UdpPath, Worker, channel};
use crate::net::offload::Asked;
use crate::net::ready::Stop;
use crate::net::tun::Tun;
use crate::net::udp::{Settings, Sockets};

const PORT: u16 = 4500;
const MTU: u16 = 1400;

/// In a network of its own, where no port is taken.
fn apart(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test makes a network namespace: run it as root");
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        test();
    });
    thread.join().unwrap();
}

/// A Child SA from 10.1.0.0/16 to 10.2.0.0/16, whose peer is at this address of loopback.
fn sa(remote: SocketAddr, tfc_padding: bool) -> NewSa {
    let net = |second| {
        let last = [10, second, 255, 255];
        vec![Selector::new([10, second, 0, 0].into(), last.into(), 0, (0, u16::MAX)).unwrap()]
    };
    let config = |spi| SaConfig {
        spi,
        suite: Suite::AES_256_GCM_16,
        keymat: Keymat::new(vec![7; 36]),
        esn: true,
        local: net(1),
        remote: net(2),
        marking: Marking::default(),
        replay_window: 64,
        packet_limit: None,
    };
    NewSa {
        id: 1,
        tunnel: 1,
        policy: 1,
        inbound: InboundSa::new(config(0x1000)).unwrap(),
        outbound: OutboundSa::new(config(0x2000)).unwrap().with_tfc_padding(tfc_padding),
        path: UdpPath { local: ([127, 0, 0, 1], PORT).into(), remote, encap: true },
    }
}

fn settings(ike_port: u16, nat_port: u16) -> Settings {
    Settings { ike_port, nat_port, mark: 1, workers: 1, offloads: Asked::Auto }
}

/// An outbound thread's work with one SA to `peer`, and the other end of its device.
fn outbound(peer: &UdpSocket, tfc_padding: bool) -> (Outbound, Arc<Worker>, UnixDatagram) {
    outbound_to(peer.local_addr().unwrap(), tfc_padding)
}

fn outbound_to(peer: SocketAddr, tfc_padding: bool) -> (Outbound, Arc<Worker>, UnixDatagram) {
    let settings = settings(500, PORT);
    let mut installed = Installed::new(1, MTU);
    installed.install(sa(peer, tfc_padding));
    installed.switch_outbound(1);
    let shared = Arc::new(Shared {
        sockets: Arc::new(Sockets::bind(settings).unwrap()),
        snapshot: ArcSwap::from_pointee(installed.news().unwrap()),
        refusals: Arc::default(),
        clamp_mss: AtomicBool::new(true),
        fragments: Mutex::new(Fragments::new(8)),
        stop: Stop::new().unwrap(),
        told_dead: AtomicBool::new(false),
        to_control: channel().0,
    });
    let (device, inside) = UnixDatagram::pair().unwrap();
    device.set_nonblocking(true).unwrap();
    let worker = Worker::new(0, Tun::stand_in(File::from(OwnedFd::from(device)))).unwrap();
    (Outbound::new(shared, Arc::clone(&worker)), worker, inside)
}

/// A datagram of this many bytes that nobody may fragment.
fn packet(destination: [u8; 4], length: usize) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4([10, 1, 0, 1], destination, 64).udp(7, 7);
    builder.write(&mut packet, &vec![0; length]).unwrap();
    packet
}

fn take(outbound: &mut Outbound, packet: &[u8]) {
    take_with(outbound, OffloadHeader::default(), packet);
}

fn take_with(outbound: &mut Outbound, header: OffloadHeader, packet: &[u8]) {
    outbound.packet[..packet.len()].copy_from_slice(packet);
    outbound.take(header, packet.len());
}

/// Packets without an SA, link-local noise, what is too big, garbage, headers that lie: they may come without end.
#[test]
fn what_is_dropped_holds_up_nothing_that_waits_to_leave() {
    apart(|| {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut outbound, worker, inside) = outbound(&peer, false);
        let plain = OffloadHeader::default();
        let tcp = OffloadHeader { gso_type: OffloadHeader::GSO_TCPV4, gso_size: 50, ..plain };
        let nothing = OffloadHeader { gso_type: OffloadHeader::GSO_UDP_L4, ..plain };
        let unfinished = OffloadHeader { flags: OffloadHeader::NEEDS_CSUM, csum_start: 12, ..plain };
        let good = packet([10, 2, 0, 1], 100);
        let drops: [(OffloadHeader, &[u8], &str, u64); 7] = [
            (plain, &packet([10, 9, 0, 1], 9), "no_sa", 1),
            (plain, &packet([224, 0, 0, 251], 9), "link_local", 1),
            (plain, &packet([10, 2, 0, 1], usize::from(MTU)), "too_big", 1),
            (plain, b"no IP packet", "inner_malformed", 1),
            (tcp, &good, "super_packet", 1),
            (nothing, &good, "super_packet", 2),
            (unfinished, &good, "super_packet", 3),
        ];
        let mut arrived = [0; 2_000];
        for (header, dropped, reason, count) in drops {
            take(&mut outbound, &packet([10, 2, 0, 1], 100));
            peer.set_nonblocking(true).unwrap();
            assert!(peer.recv(&mut arrived).is_err(), "it waits for others to ride with it");
            take_with(&mut outbound, header, dropped);
            peer.set_nonblocking(false).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let sealed = Suite::AES_256_GCM_16.layout().sealed_length(128);
            assert_eq!(peer.recv(&mut arrived).expect(reason), sealed, "{reason}");
            let counted = crate::data::drops::Drops::read(&[&worker.drops_out]);
            assert!(counted.contains(&(reason, count)), "{reason}: {counted:?}");
        }
        inside.set_nonblocking(true).unwrap();
        assert!(inside.recv(&mut arrived).is_ok(), "who sent what is too big was told");
    });
}

/// Whoever sends it can have others answered in the name of whom they please.
#[test]
fn a_flood_of_what_is_too_big_is_not_answered_packet_by_packet() {
    apart(|| {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut outbound, worker, inside) = outbound(&peer, false);
        inside.set_nonblocking(true).unwrap();
        let answered = (0..20_000).filter(|_| {
            take(&mut outbound, &packet([10, 2, 0, 1], usize::from(MTU)));
            inside.recv(&mut [0; 2_000]).is_ok()
        });
        let answered = answered.count();
        assert!((100..10_000).contains(&answered), "{answered}");
        assert!(crate::data::drops::Drops::read(&[&worker.drops_out]).contains(&("too_big", 20_000)));
    });
}

/// What arrives until nothing more does, in bytes.
fn arrived(peer: &UdpSocket) -> Vec<usize> {
    peer.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    std::iter::from_fn(|| peer.recv(&mut [0; 9_000]).ok()).collect()
}

#[test]
fn what_is_too_big_and_may_be_cut_is_cut_before_it_is_sealed() {
    apart(|| {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut outbound, worker, _inside) = outbound(&peer, false);
        let mut packet = packet([10, 2, 0, 1], 3_000);
        packet[6] = 0;
        take(&mut outbound, &packet);
        outbound.depart();
        let sealed = |inner| Suite::AES_256_GCM_16.layout().sealed_length(inner);
        // Of 3,008 bytes with the UDP header, multiples of eight in each but the last.
        assert_eq!(arrived(&peer), [sealed(1_396), sealed(1_396), sealed(20 + 3_008 - 2 * 1_376)]);
        let counted = crate::data::drops::Drops::read(&[&worker.drops_out]);
        assert!(counted.iter().all(|(_, count)| *count == 0), "{counted:?}");
    });
}

/// Small segments of a large super-packet, each padded to the MTU, are more than a train has room for.
#[test]
fn padding_loses_no_segment_however_small_they_are() {
    apart(|| {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut outbound, worker, _inside) = outbound(&peer, true);
        let (size, count) = (100, 400);
        let packet = packet([10, 2, 0, 1], size * count);
        let header = OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: OffloadHeader::GSO_UDP_L4,
            hdr_len: 28,
            gso_size: 100,
            csum_start: 20,
            csum_offset: 6,
        };
        take_with(&mut outbound, header, &packet);
        outbound.depart();
        let snapshot = outbound.shared.snapshot.load();
        let sending = snapshot.outbound(&InnerView::parse(&packet).unwrap()).unwrap();
        assert_eq!(sending.sa().usage().packets, count as u64);
        // The peer's socket has no room for all.
        let (sealed, arrived) = (Suite::AES_256_GCM_16.layout().sealed_length(MTU.into()), arrived(&peer));
        assert!(!arrived.is_empty() && arrived.iter().all(|length| *length == sealed), "{arrived:?}");
        let counted = crate::data::drops::Drops::read(&[&worker.drops_out]);
        assert!(counted.iter().all(|(_, count)| *count == 0), "{counted:?}");
    });
}

/// One TOS is of a whole train.
#[test]
fn packets_of_another_tos_leave_by_themselves_and_each_wears_its_own() {
    apart(|| {
        let peer = Sockets::bind(settings(501, 4501)).unwrap();
        let remote = SocketAddr::from(([127, 0, 0, 1], 4501));
        let (mut outbound, worker, _inside) = outbound_to(remote, false);
        let (voice, background) = (0xb8 | 2, 0x20);
        for tos in [voice, voice, background, voice] {
            let mut packet = packet([10, 2, 0, 1], 100);
            packet[1] = tos;
            take(&mut outbound, &packet);
        }
        outbound.depart();
        let socket = peer.between(0, remote, remote).unwrap();
        let mut buffer = [0; 9_000];
        let mut next = || {
            let received = socket.recv(&mut buffer).unwrap();
            (received.tos, received.length / received.segment)
        };
        assert_eq!([next(), next(), next()], [(voice, 2), (background, 1), (voice, 1)]);
        let counted = crate::data::drops::Drops::read(&[&worker.drops_out]);
        assert!(counted.iter().all(|(_, count)| *count == 0), "{counted:?}");
    });
}
