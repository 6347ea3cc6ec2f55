//! SAs come, are replaced and go; what has no SA does not leave.

use std::io::{ErrorKind, Read};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sekisho::data::FromData;
use socket2::{Domain, Protocol, Socket, Type};

use crate::site::{Site, connect};
use crate::traffic::{exchange, udp_pair, until};

/// Every frame on the interfaces of a namespace.
struct Capture(Socket);

impl Capture {
    fn new(site: &Site) -> Self {
        let every_protocol = i32::from(u16::try_from(libc::ETH_P_ALL).expect("two bytes").to_be());
        let socket = site.namespace.run(|| {
            Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(Protocol::from(every_protocol)))
        });
        let socket = socket.expect("a packet socket");
        socket.set_recv_buffer_size(8 << 20).expect("a buffer");
        Self(socket)
    }

    /// How many of the frames until now hold the marker, and how many there are.
    fn count(&mut self, marker: &[u8]) -> (usize, usize) {
        let (mut marked, mut all) = (0, 0);
        let mut frame = vec![0; 70_000];
        loop {
            match self.0.read(&mut frame) {
                Ok(length) => {
                    all += 1;
                    marked +=
                        usize::from(frame[..length].windows(marker.len()).any(|window| window == marker));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (marked, all),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn nothing_leaves_in_clear_before_with_or_after_an_sa() {
    const MARKER: &[u8] = b"a record that nobody else may read";
    let (a, b) = Site::pair(false);
    let (left, right) = udp_pair(&a, &b, false);
    let mut capture = Capture::new(&b);

    // Past the tunnel, to show that the capture sees what is in clear.
    let clear = a.namespace.run(|| UdpSocket::bind("192.0.2.1:9000").expect("bind"));
    let listener = b.namespace.run(|| UdpSocket::bind("192.0.2.2:9000").expect("bind"));
    clear.send_to(MARKER, "192.0.2.2:9000").expect("send");
    listener.recv(&mut [0; 100]).expect("receive");
    assert_eq!(capture.count(MARKER).0, 1);

    let dropped = |expected| {
        until("dropped", || a.drops("no_sa") >= expected);
        a.drops("no_sa")
    };
    left.send(MARKER).expect("send");
    assert_eq!(dropped(1), 1);
    assert_eq!(capture.count(MARKER).0, 0);

    connect(1, &a, &b);
    exchange(&left, &right, MARKER);
    let (marked, all) = capture.count(MARKER);
    // Seen: ESP on the cable. The TUN of this namespace shows the packets that came out of it, once each way.
    assert!(all > marked && marked == 2, "{marked} of {all}");

    let usage = a.remove(1).expect("usage");
    assert_eq!((usage.packets_out, usage.packets_in), (1, 1));
    left.send(MARKER).expect("send");
    assert_eq!(dropped(2), 2);
    assert_eq!(capture.count(MARKER).0, 0);
    assert!(a.remove(1).is_none());
}

/// Sets a flag when it goes.
pub(crate) struct End<'a>(pub(crate) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_sa_is_replaced_under_traffic_without_losing_a_packet() {
    const REPLACEMENTS: u64 = 20;
    let (a, b) = Site::pair(false);
    connect(1, &a, &b);
    let (left, right) = udp_pair(&a, &b, false);
    right.set_read_timeout(Some(Duration::from_millis(500))).expect("timeout");
    let over = AtomicBool::new(false);
    let (sent, received) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                left.send(&number.to_be_bytes()).expect("send");
                number += 1;
                thread::sleep(Duration::from_micros(200));
            }
            number
        });
        let receiver = scope.spawn(|| {
            let mut expected = 0_u64;
            let mut bytes = [0; 8];
            while right.recv(&mut bytes).is_ok() {
                assert_eq!(u64::from_be_bytes(bytes), expected, "lost, or out of order");
                expected += 1;
            }
            expected
        });
        // Also when an assertion below fails: the sender must end.
        let ending = End(&over);
        let arrived = |id| {
            while b.data.usage(id).expect("usage").packets_in == 0 {
                thread::yield_now();
            }
        };
        arrived(1);
        for old in 1..=REPLACEMENTS {
            let new = old + 1;
            // Each with another suite. As a rekey goes: both receive on the new one, the initiator switches, then the responder, then the
            // old one goes. Packets under way on it keep arriving until then.
            b.install(new, a.place);
            a.install(new, b.place);
            a.switch_outbound(new);
            arrived(new);
            b.switch_outbound(new);
            a.remove(old);
            assert!(b.remove(old).expect("usage").packets_in > 0);
        }
        drop(ending);
        (sender.join().expect("sender"), receiver.join().expect("receiver"))
    });
    assert_eq!(sent, received);
    assert!(a.data.usage(REPLACEMENTS + 1).is_some_and(|usage| usage.packets_out > 0));
}

#[test]
fn only_what_was_switched_to_is_sent_on_and_it_can_be_stopped() {
    let (a, b) = Site::pair(true);
    for id in [1, 2] {
        a.install(id, b.place);
        b.install(id, a.place);
    }
    let (left, right) = udp_pair(&a, &b, true);
    b.switch_outbound(1);
    let sent = || [1, 2].map(|id| a.data.usage(id).expect("usage").packets_out);
    for (id, expected) in [(1, [1, 0]), (2, [1, 1]), (1, [2, 1])] {
        a.switch_outbound(id);
        let before = sent();
        exchange(&left, &right, b"on which?");
        // It is counted when the train was sent, which may have arrived by then.
        until("sent", || sent() != before);
        assert_eq!(sent(), expected);
    }
    a.data.stop_outbound(1);
    a.data.publish();
    left.send(b"on none").expect("send");
    until("dropped", || a.drops("no_sa") > 0);
    // It is received on still.
    right.send(b"back").expect("send");
    left.recv(&mut [0; 10]).expect("what came on an SA that we do not send on");
}

#[test]
fn a_sender_of_what_does_not_fit_is_told_and_then_gets_through_in_fragments() {
    let (a, b) = Site::pair(false);
    connect(1, &a, &b);
    a.data.set_mtu(1_300);
    for (ipv6, dropped_before) in [(false, 0), (true, 1)] {
        let (left, right) = udp_pair(&a, &b, ipv6);
        right.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
        // Linux sets Don't Fragment by default, until an ICMP answer tells it of the narrow path.
        let mut tries = 0;
        while right.recv(&mut [0; 2_000]).is_err() {
            tries += 1;
            assert!(tries < 100, "the sender was never told");
            // The kernel tells the application too, by an error of its next call.
            let told = left.send(&[1; 1_320]).err().and_then(|error| error.raw_os_error());
            assert!(matches!(told, None | Some(libc::EMSGSIZE)), "{told:?}");
        }
        assert!(a.drops("too_big") > dropped_before);
        assert!(a.drops("too_big") < dropped_before + 5, "one answer is enough: {tries} tries");
    }
}

#[test]
fn a_device_that_goes_away_ends_the_data_path_which_says_so_once() {
    let (mut a, _b) = Site::pair(false);
    a.namespace.ip("link delete sekisho0");
    let told = a.from_data.blocking_recv();
    let Some(FromData::Dead(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("the TUN device sekisho0 was removed"), "{why}");
    a.data.shutdown();
    assert!(a.from_data.try_recv().is_err(), "told twice");
}
