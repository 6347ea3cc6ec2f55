//! Several workers: what comes to which, and that order holds whatever the number of cores.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use sekisho::data::{FromData, NewSa, UdpPath};
use sekisho::net::offload::Asked;
use sekisho::net::tun::{HEADER, MAX_PACKET, Tun};
use sekisho::net::udp::{self, BindError, Socket, Sockets};
use sekisho_esp::Selector;
use socket2::{Domain, Protocol, Type};

use crate::lifecycle::End;
use crate::namespace::Namespace;
use crate::on_demand::reserve;
use crate::site::{POLICY, Place, SETTINGS, Site, address, path, place, sas_between};
use crate::traffic::until;

/// What one socket of a group receives: the first four bytes of each datagram, until nothing more comes.
fn received(socket: &Socket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65_535];
    let mut all = Vec::new();
    while all.len() < count {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        assert!(poll(&mut ready, 5_000_u16).expect("poll") > 0, "{} of {count} came: {all:x?}", all.len());
        let received = socket.recv(&mut buffer).expect("recv");
        all.extend(
            buffer[..received.length]
                .chunks(received.segment)
                .map(|datagram| datagram[..4.min(datagram.len())].to_vec()),
        );
    }
    assert!(socket.recv(&mut buffer).is_err(), "more than {count} came");
    all
}

#[test]
fn esp_comes_to_the_worker_that_its_spi_names_and_all_else_to_the_first() {
    let namespace = Namespace::new();
    let sockets = namespace.run(|| Sockets::bind(udp::Settings { workers: 3, ..SETTINGS }).expect("bind"));
    for ip in ["127.0.0.1", "::1"] {
        let peer = namespace.run(|| UdpSocket::bind((address(ip), 0)).expect("bind"));
        peer.connect((address(ip), SETTINGS.nat_port)).expect("connect");
        let esp = |last| [&[0xc0, 1, 2, last][..], &[7; 40]].concat();
        let mut sent: Vec<Vec<u8>> = [0, 1, 2, 3, 4, 5, 254, 255].map(esp).into();
        sent.extend([b"\0\0\0\0IKE".to_vec(), vec![0xff], vec![0xc0, 1, 1]]);
        for datagram in &sent {
            peer.send(datagram).expect("send");
        }
        let worker = |datagram: &[u8]| datagram.get(3).map_or(0, |last| usize::from(*last) % 3);
        for number in 0..3 {
            let own = sockets
                .of(number)
                .iter()
                .find(|socket| socket.port() == SETTINGS.nat_port && socket.is_ipv6() == ip.contains(':'));
            let expected: Vec<Vec<u8>> = sent
                .iter()
                .filter(|datagram| worker(datagram) == number)
                .map(|datagram| datagram[..4.min(datagram.len())].to_vec())
                .collect();
            let came = received(own.expect("a socket of its own"), expected.len());
            assert_eq!(came, expected, "{ip}, worker {number}");
        }
    }
    let ports = |number: usize| sockets.of(number).iter().map(Socket::port).collect::<Vec<_>>();
    assert_eq!(
        (ports(0), ports(1)),
        (vec![500, 4500, 500, 4500], vec![4500, 4500]),
        "IKE's port is the first one's"
    );
}

#[test]
fn nobody_joins_our_group_nor_we_theirs() {
    let settings = udp::Settings { workers: 2, ..SETTINGS };
    Namespace::new().run(|| {
        let theirs = socket2::Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        theirs.set_reuse_port(true).expect("SO_REUSEPORT");
        let any: SocketAddr = "0.0.0.0:4500".parse().expect("an address");
        theirs.bind(&any.into()).expect("bind");
        let error = Sockets::bind(settings).expect_err("the port is taken");
        assert!(matches!(error, BindError::Taken { port: 4500, .. }), "{error:?}");
        drop(theirs);
        let _ours = Sockets::bind(settings).expect("the port is free");
        let error = Sockets::bind(settings).expect_err("the port is taken");
        assert!(matches!(error, BindError::Taken { port: 500, .. }), "{error:?}");
    });
}

/// What the kernel promises and the workers build upon.
#[test]
fn an_answer_comes_out_of_the_queue_that_the_question_went_in_by() {
    let namespace = Namespace::new();
    let queues = namespace.run(|| Tun::open_queues("sekisho0", 3, Asked::Auto).expect("a TUN device"));
    // Nothing but answers comes out.
    namespace.sysctl("ipv6/conf/sekisho0/disable_ipv6", "1");
    namespace.ip("link set sekisho0 up");
    namespace.ip("address add 10.1.0.1/16 dev sekisho0");
    for asker in 2..42_u8 {
        let chosen = usize::from(asker) % queues.len();
        let mut question = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([10, 1, 1, asker], [10, 1, 0, 1], 64);
        builder.icmpv4_echo_request(7, 7).write(&mut question, b"where from?").expect("a packet");
        let ask = || {
            queues[chosen].write([0; HEADER], &question).expect("write");
            let mut ready: Vec<_> =
                queues.iter().map(|queue| PollFd::new(queue.as_fd(), PollFlags::POLLIN)).collect();
            assert!(poll(&mut ready, 5_000_u16).expect("poll") > 0, "no answer");
            let mut answer = vec![0; MAX_PACKET];
            queues.iter().position(|queue| queue.read(&mut answer).is_ok()).expect("an answer")
        };
        // The kernel answers the first before it notes the flow.
        ask();
        assert_eq!(ask(), chosen, "asker {asker}");
    }
}

const TUNNELS: u8 = 6;
const FLOWS: u16 = 4;
const ROUNDS: u32 = 20;
const BURST: u32 = 16;

/// Two sites with as many tunnels between them, each to another outer address and network of `b`; the SAs of tunnel `n`
/// belong to worker `n` modulo the workers.
fn many_tunnels(workers: u8) -> (Site, Site) {
    let (left, right) = (Namespace::new(), Namespace::new());
    left.cable("wire", &right);
    let (at_a, at_b) = (place(1, false), place(2, false));
    let a = Site::with_workers(left, at_a, at_b, workers);
    let b = Site::with_workers(right, at_b, at_a, workers);
    let range = |first: [u8; 4], last: [u8; 4]| {
        vec![Selector::new(first.into(), last.into(), 0, (0, u16::MAX)).expect("a selector")]
    };
    let ours = || range([10, 1, 0, 0], [10, 1, 255, 255]);
    for tunnel in 0..TUNNELS {
        let theirs = || range([10, 2, 10 + tunnel, 0], [10, 2, 10 + tunnel, 255]);
        let there = Place { outer: IpAddr::from([192, 0, 2, 100 + tunnel]), ..at_b };
        b.namespace.ip(&format!("address add {}/24 dev wire", there.outer));
        b.namespace.ip(&format!("address add 10.2.{}.1/32 dev sekisho0", 10 + tunnel));
        let id = u64::from(tunnel);
        let install = |site: &Site, path: UdpPath, sides: [Vec<Selector>; 2], lower: bool| {
            let (inbound, outbound) = sas_between(id, &sides, lower);
            site.install_sa(NewSa { id, tunnel: id, policy: id, inbound, outbound, path });
            site.switch_outbound(id);
        };
        install(&a, path(at_a, there), [ours(), theirs()], true);
        install(&b, path(there, at_a), [theirs(), ours()], false);
    }
    (a, b)
}

fn inner(address: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// Sends whatever comes back to where it came from, in order of arrival.
fn echo(socket: &UdpSocket, over: &AtomicBool) {
    let mut buffer = [0; 2_000];
    let mut next = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let number = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
        let expected = next.entry(from).or_insert(0);
        assert_eq!(number, *expected, "from {from}: lost, or out of order");
        *expected += 1;
        socket.send_to(&buffer[..length], from).expect("send");
    }
}

/// One flow: bursts of numbered packets, each of which must come back in order.
fn flow(site: &Site, tunnel: u8, number: u16) {
    let socket = site.namespace.run(|| {
        UdpSocket::bind(inner([10, 1, 0, 1], 10_000 + 100 * u16::from(tunnel) + number)).expect("bind")
    });
    socket.connect(inner([10, 2, 10 + tunnel, 1], 7_000)).expect("connect");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let (mut sent, mut back) = (0_u32, 0_u32);
    let mut packet = [0x5e; 700];
    // The first by itself: until it is answered, the kernel does not know the flow's queue.
    for burst in std::iter::once(1).chain(std::iter::repeat_n(BURST, ROUNDS as usize)) {
        for _ in 0..burst {
            packet[..4].copy_from_slice(&sent.to_be_bytes());
            socket.send(&packet).expect("send");
            sent += 1;
        }
        while back < sent {
            let mut answer = [0; 2_000];
            socket.recv(&mut answer).expect("an answer");
            let number = u32::from_be_bytes(answer[..4].try_into().expect("four bytes"));
            assert_eq!(number, back, "tunnel {tunnel}: an answer lost, or out of order");
            back += 1;
        }
    }
}

fn every_flow(a: &Site, b: &Site) {
    let over = AtomicBool::new(false);
    let answering = (0..TUNNELS).map(|tunnel| {
        let socket =
            b.namespace.run(|| UdpSocket::bind(inner([10, 2, 10 + tunnel, 1], 7_000)).expect("bind"));
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
        socket
    });
    let answering: Vec<_> = answering.collect();
    thread::scope(|scope| {
        let end = End(&over);
        for socket in &answering {
            scope.spawn(|| echo(socket, &over));
        }
        let flows = (0..TUNNELS).flat_map(|tunnel| (0..FLOWS).map(move |number| (tunnel, number)));
        let flows: Vec<_> =
            flows.map(|(tunnel, number)| scope.spawn(move || flow(a, tunnel, number))).collect();
        for flow in flows {
            flow.join().expect("a flow in order");
        }
        drop(end);
    });
    for site in [a, b] {
        let drops = site.data.drops();
        assert!(drops.iter().all(|(reason, count)| *count == 0 || *reason == "link_local"), "{drops:?}");
        for tunnel in 0..TUNNELS {
            let usage = site.data.usage(tunnel.into()).expect("usage");
            let packets = u64::from(FLOWS) * (1 + u64::from(ROUNDS * BURST));
            assert_eq!((usage.packets_in, usage.packets_out), (packets, packets));
        }
    }
}

/// The sequence number and SPI of each ESP packet that passes the interface `wire`, by SPI, in order; until told to end.
fn sequences(site: &Site, over: &AtomicBool) -> BTreeMap<u32, Vec<u32>> {
    const ESP: usize = 14 + 20 + 8;
    let ipv4 = i32::from(u16::try_from(libc::ETH_P_ALL).expect("two bytes").to_be());
    let socket = site.namespace.run(|| {
        let socket = socket2::Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ipv4)))
            .expect("a packet socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
        socket.set_recv_buffer_size(64 << 20).expect("a buffer");
        socket
    });
    let mut all: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut frame = vec![0; 70_000];
    let word =
        |frame: &[u8], at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = std::io::Read::read(&mut &socket, &mut frame) else { continue };
        let frame = &frame[..length];
        let is_esp = length > ESP + 8
            && frame[12..14] == [8, 0]
            && frame[23] == 17
            && frame[36..38] == 4500_u16.to_be_bytes();
        if is_esp {
            assert!(length < 1_000, "a train of {length} bytes was not cut before the wire");
            all.entry(word(frame, ESP)).or_default().push(word(frame, ESP + 4));
        }
    }
    all
}

#[test]
fn order_holds_within_each_flow_whatever_the_number_of_workers() {
    for workers in [1, 2, 3] {
        let (a, b) = many_tunnels(workers);
        every_flow(&a, &b);
    }
}

/// Flows that are never answered, so that the kernel spreads those of each SA over all queues.
fn one_way(a: &Site, b: &Site) {
    let sinks = (0..TUNNELS).map(|tunnel| {
        b.namespace.run(|| UdpSocket::bind(inner([10, 2, 10 + tunnel, 1], 7_000)).expect("bind"))
    });
    let sinks: Vec<_> = sinks.collect();
    thread::scope(|scope| {
        for flow in 0..2 * FLOWS {
            let sinks = &sinks;
            scope.spawn(move || {
                let socket =
                    a.namespace.run(|| UdpSocket::bind(inner([10, 1, 0, 1], 20_000 + flow)).expect("bind"));
                for sink in sinks.iter().cycle().take(3_000) {
                    let to = sink.local_addr().expect("an address");
                    socket.send_to(&[0x5e; 100], to).expect("send");
                }
            });
        }
    });
}

#[test]
fn sequence_numbers_are_in_order_on_the_wire_whichever_worker_seals() {
    for workers in [2, 3] {
        let (a, b) = many_tunnels(workers);
        // Cut before the wire, where it is watched; and all that is sent finds room in the TUN.
        for site in [&a, &b] {
            site.namespace.ip("link set wire gso_max_segs 1");
        }
        a.namespace.ip("link set sekisho0 txqueuelen 30000");
        let over = AtomicBool::new(false);
        let mut seen = thread::scope(|scope| {
            let watcher = scope.spawn(|| sequences(&b, &over));
            let end = End(&over);
            one_way(&a, &b);
            let sent =
                || (0..TUNNELS).filter_map(|id| a.data.usage(id.into())).map(|u| u.packets_out).sum::<u64>();
            until("all to be sent", || sent() == 3_000 * 2 * u64::from(FLOWS));
            drop(end);
            watcher.join().expect("the watcher")
        });
        // Without what the kernel says of a socket that has gone.
        seen.retain(|spi, _| *spi >= 0x2_0000);
        assert_eq!(seen.len(), usize::from(TUNNELS), "every SA was seen");
        for (spi, sequence) in seen {
            let falls = sequence.windows(2).find(|pair| pair[0] >= pair[1]);
            assert_eq!(falls, None, "{workers} workers, SPI {spi:x}");
            assert!(sequence.len() > 2_000, "{} packets of SPI {spi:x} were seen", sequence.len());
        }
    }
}

/// Packets of many flows wait for one Child SA, whichever worker has read them.
#[test]
fn what_waits_at_any_worker_is_sent_or_let_go() {
    const WAITING: u16 = 24;
    let (left, right) = (Namespace::new(), Namespace::new());
    left.cable("wire", &right);
    let (at_a, at_b) = (place(1, false), place(2, false));
    let mut a = Site::with_workers(left, at_a, at_b, 3);
    let b = Site::with_workers(right, at_b, at_a, 3);
    reserve(&a, &b, true);
    let sink = b.namespace.run(|| UdpSocket::bind((at_b.inner4, 7_000)).expect("bind"));
    sink.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    let send = || {
        for flow in 0..WAITING {
            let socket = a.namespace.run(|| UdpSocket::bind((at_a.inner4, 20_000 + flow)).expect("bind"));
            socket.send_to(b"in which queue?", (at_b.inner4, 7_000)).expect("send");
        }
    };
    send();
    let told = a.from_data.blocking_recv();
    assert!(matches!(told, Some(FromData::Acquire(POLICY, Some(_)))), "{told:?}");
    until("all to be let go", || {
        a.data.abandon(POLICY);
        a.drops("acquire_failed") == u64::from(WAITING)
    });

    send();
    b.install(1, at_a);
    a.install(1, at_b);
    a.switch_outbound(1);
    let mut from = BTreeSet::new();
    while from.len() < usize::from(WAITING) {
        from.insert(sink.recv_from(&mut [0; 100]).expect("every packet").1);
    }
    assert_eq!(a.drops("no_sa") + a.drops("acquire_expired"), 0);
}
