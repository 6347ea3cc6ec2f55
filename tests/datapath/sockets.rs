//! `net::udp` on the loopback of a namespace.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use sekisho::net::icmp::Icmp;
use sekisho::net::offload::Asked;
use sekisho::net::udp::{self, BindError, Outer, Received, Segmentation, Socket, Sockets};
use socket2::{Domain, Protocol, SockRef, Type};

use crate::namespace::Namespace;
use crate::site::SETTINGS;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Receive until `count` datagrams have come, each as its own vector.
fn receive(socket: &Socket, count: usize) -> (Vec<Vec<u8>>, Vec<Received>) {
    let (mut datagrams, mut trains) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 65_535];
    while datagrams.len() < count {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let woken = poll(&mut ready, 5_000_u16).expect("poll");
        assert!(woken > 0, "{} of {count} datagrams came", datagrams.len());
        let received = socket.recv(&mut buffer).expect("recv");
        datagrams.extend(buffer[..received.length].chunks(received.segment).map(<[u8]>::to_vec));
        trains.push(received);
    }
    (datagrams, trains)
}

/// `count` datagrams of `size` bytes, the last shorter; each begins with its number.
fn train(count: u8, size: usize) -> Vec<u8> {
    let mut train: Vec<u8> =
        (0..count).flat_map(|number| std::iter::once(number).chain(vec![0xaa; size - 1])).collect();
    train.truncate(train.len() - size / 2);
    train
}

#[test]
fn a_train_arrives_whole_with_addresses_and_tos() {
    let sockets = Namespace::new().run(|| Sockets::bind(SETTINGS).expect("bind"));
    // 127.0.0.2 rather than 127.0.0.1: what the kernel would choose must not pass for what we chose.
    for (from, to, whole) in [("127.0.0.2:4500", "127.0.0.3:4500", false), ("[::1]:500", "[::1]:4500", true)]
    {
        let (from, to) = (address(from), address(to));
        let train = train(40, 1_300);
        let sent = sockets.between(0, from, to).expect("a socket").send_train(
            Outer { tos: 0xb9, whole, ..Outer::plain(from, to) },
            &train,
            1_300,
            &Segmentation::default(),
        );
        assert_eq!(sent.lost, 0, "{:?}", sent.error);
        let (datagrams, trains) = receive(sockets.between(0, to, from).expect("a socket"), 40);
        assert_eq!(datagrams.concat(), train);
        assert!(trains.iter().all(|t| t.remote == from && t.local == to && t.tos == 0xb9 && !t.truncated));
        assert!(trains.len() < 40, "the kernel neither segmented nor coalesced: {} trains", trains.len());
    }
}

#[test]
fn a_train_that_the_kernel_will_not_segment_leaves_datagram_by_datagram() {
    let namespace = Namespace::new();
    namespace.ip("link set lo mtu 1400");
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    let (from, to) = (address("127.0.0.1:4500"), address("127.0.0.2:4500"));
    let socket = sockets.between(0, from, to).expect("a socket");
    let segmentation = Segmentation::default();
    for size in [1_450, 1_000] {
        let train = train(20, size);
        let sent = socket.send_train(Outer::plain(from, to), &train, size, &segmentation);
        assert_eq!(sent.lost, 0, "{:?}", sent.error);
        assert_eq!(receive(socket, 20).0.concat(), train);
    }
    // Whole or not at all.
    let whole = Outer { whole: true, ..Outer::plain(from, to) };
    let sent = socket.send_train(whole, &train(20, 1_450), 1_450, &segmentation);
    assert_eq!(sent.lost, 19, "all but the last, which is short");
    assert_eq!(sent.error.and_then(|error| error.raw_os_error()), Some(libc::EMSGSIZE));
    assert_eq!(receive(socket, 1).0.concat().len(), 725);
    let sent = socket.send_train(whole, &train(20, 1_000), 1_000, &segmentation);
    assert_eq!(sent.lost, 0, "{:?}", sent.error);
    assert_eq!(receive(socket, 20).0.len(), 20);
}

#[test]
fn a_datagram_leaves_whole_or_in_fragments_as_it_is_asked() {
    let namespace = Namespace::new();
    namespace.ip("link set lo mtu 1400");
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    for (from, to) in [("127.0.0.1:4500", "127.0.0.2:500"), ("[::1]:4500", "[::1]:500")] {
        let (from, to) = (address(from), address(to));
        for (whole, length, passes) in
            [(true, 1_300, true), (true, 1_500, false), (false, 1_500, true), (true, 1_500, false)]
        {
            let sent = sockets.send(from, to, whole, &vec![7; length]);
            assert_eq!(sent.is_ok(), passes, "{from}, {whole}, {length}");
            if passes {
                let received = receive(sockets.between(0, to, from).expect("a socket"), 1);
                assert_eq!(received.0.concat().len(), length);
            }
        }
    }
}

/// A line that does not take a peer's trains does not slow the others down, nor is it asked again and again.
#[test]
fn a_refusal_is_remembered_for_its_peer_alone_and_nothing_is_lost_by_it() {
    let namespace = Namespace::new();
    namespace.ip("link set lo mtu 1400");
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    let (from, to) = (address("127.0.0.1:4500"), address("127.0.0.2:4500"));
    let socket = sockets.between(0, from, to).expect("a socket");
    let (narrow, wide) = (Segmentation::default(), Segmentation::default());
    // Datagrams that were sent one by one come one by one.
    let joined = |segmentation: &Segmentation, size: usize| {
        let train = train(20, size);
        assert_eq!(socket.send_train(Outer::plain(from, to), &train, size, segmentation).lost, 0);
        let (datagrams, trains) = receive(socket, 20);
        assert_eq!(datagrams.concat(), train);
        trains.len() < 20
    };
    assert!(joined(&narrow, 1_000), "before the refusal the kernel cuts");
    assert!(!joined(&narrow, 1_450));
    for _ in 0..100 {
        assert!(!joined(&narrow, 1_000), "asked again too soon");
    }
    assert!(joined(&wide, 1_000));
    for _ in 100..1_000 {
        joined(&narrow, 1_000);
    }
    assert!(joined(&narrow, 1_000), "asked again in the end");
}

#[test]
fn ike_messages_wear_the_marker_where_asked_and_an_unspecified_source_will_do() {
    let namespace = Namespace::new();
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    let peer = namespace.run(|| UdpSocket::bind("127.0.0.1:9000").expect("bind"));
    peer.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let to = peer.local_addr().expect("address");
    let mut buffer = [0; 100];

    sockets.send(address("127.0.0.9:500"), to, false, b"ike").expect("send");
    let (length, from) = peer.recv_from(&mut buffer).expect("recv");
    assert_eq!((&buffer[..length], from), (&b"ike"[..], address("127.0.0.9:500")));

    sockets.send_marked(address("0.0.0.0:4500"), to, false, b"ike").expect("send");
    let (length, from) = peer.recv_from(&mut buffer).expect("recv");
    assert_eq!((&buffer[..length], from), (&b"\0\0\0\0ike"[..], address("127.0.0.1:4500")));

    assert!(sockets.send(address("127.0.0.1:501"), to, false, b"ike").is_err(), "no socket has that port");
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let error = Namespace::new().run(|| {
        let _other = UdpSocket::bind("0.0.0.0:4500").expect("bind");
        Sockets::bind(SETTINGS).expect_err("the port is taken")
    });
    assert!(matches!(error, BindError::Taken { port: 4500, .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("UDP port 4500 is taken, probably by another IKE daemon") && text.contains("nat_port"),
        "{text}"
    );
}

#[test]
fn a_machine_without_ipv6_still_serves_ipv4() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv6/conf/all/disable_ipv6", "1");
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    assert!(sockets.of(0).iter().filter(|socket| !socket.is_ipv6()).count() == 2);
}

/// While a thread has no processor the kernel drops in silence: whoever looks for lost packets must find them.
#[test]
fn what_the_kernel_drops_for_want_of_room_is_counted() {
    let namespace = Namespace::new();
    let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
    assert_eq!(sockets.overflowed(), 0);
    let stranger = namespace.run(|| UdpSocket::bind("127.0.0.1:0").expect("bind"));
    let mut sent = 0;
    while sockets.overflowed() < 10 {
        stranger.send_to(&[0xc1; 8_000], "127.0.0.1:4500").expect("send");
        sent += 1;
        assert!(sent < 100_000, "none is counted");
    }
    let dropped = sockets.overflowed();
    let socket = sockets.between(0, address("127.0.0.1:4500"), address("127.0.0.1:1")).expect("a socket");
    let arrived = sent - usize::try_from(dropped).expect("a number");
    assert_eq!(receive(socket, arrived).0.len(), arrived, "all others are there");
}

/// 10 Gb/s for as long as a thread may wait for its turn.
#[test]
fn buffers_hold_what_comes_while_a_thread_waits_for_its_turn() {
    const LEAST: usize = 10_000_000_000 / 8 / 150;
    let settings = udp::Settings { workers: 2, ..SETTINGS };
    let sockets = Namespace::new().run(|| Sockets::bind(settings).expect("bind"));
    for worker in [0, 1] {
        let udp = sockets.of(worker).iter().map(SockRef::from);
        let native = sockets.native_of(worker).iter().map(SockRef::from);
        let all: Vec<_> = udp.chain(native).collect();
        assert_eq!(all.len(), if worker == 0 { 6 } else { 4 });
        for socket in all {
            let sizes =
                [socket.recv_buffer_size(), socket.send_buffer_size()].map(|size| size.expect("a size"));
            assert!(sizes.iter().all(|size| *size >= LEAST), "{sizes:?}");
        }
    }
}

#[test]
fn without_offloads_datagrams_leave_and_come_one_by_one() {
    let namespace = Namespace::new();
    let off = udp::Settings { offloads: Asked::Off, ..SETTINGS };
    let on = udp::Settings { ike_port: 501, nat_port: 4501, ..SETTINGS };
    let (on, off) = namespace.run(|| (Sockets::bind(on).expect("bind"), Sockets::bind(off).expect("bind")));
    assert_eq!((on.unjoined(), off.unjoined()), (None, None), "what is switched off is not missed");
    let (with, without) = (address("127.0.0.1:4501"), address("127.0.0.1:4500"));
    let (with_socket, without_socket) =
        (on.between(0, with, without).expect("a socket"), off.between(0, without, with).expect("a socket"));
    let train = train(20, 1_000);
    for (from, to, way) in [
        (with_socket, without_socket, Outer::plain(with, without)),
        (without_socket, with_socket, Outer::plain(without, with)),
    ] {
        let segmentation = Segmentation::default();
        let sent = from.send_train(way, &train, 1_000, &segmentation);
        assert_eq!((sent.lost, segmentation.paused().is_none()), (0, true));
        let (datagrams, trains) = receive(to, 20);
        assert_eq!((datagrams.concat(), trains.len()), (train.clone(), 20));
    }
    let sent = with_socket.send_train(Outer::plain(with, with), &train, 1_000, &Segmentation::default());
    assert_eq!(sent.lost, 0);
    assert!(receive(with_socket, 20).1.len() < 20, "with them it is otherwise");
}

/// Forgers may send any number of them.
#[test]
fn what_is_said_of_packets_and_finds_no_room_is_counted() {
    let namespace = Namespace::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    for (ip, domain, protocol, kind) in
        [("127.0.0.1", Domain::IPV4, Protocol::ICMPV4, 3), ("::1", Domain::IPV6, Protocol::ICMPV6, 1)]
    {
        let (icmp, problems) = namespace.run(|| {
            let _inside = runtime.enter();
            Icmp::open()
        });
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(icmp.overflowed(), 0);
        let stranger =
            namespace.run(|| socket2::Socket::new(domain, Type::RAW, Some(protocol)).expect("a socket"));
        let mut message = vec![0; 1_200];
        message[0] = kind;
        for sent in 0.. {
            assert!(sent < 100_000, "none is counted");
            stranger
                .send_to(&message, &SocketAddr::new(ip.parse().expect("an address"), 0).into())
                .expect("send");
            if icmp.overflowed() >= 10 {
                break;
            }
        }
    }
}
