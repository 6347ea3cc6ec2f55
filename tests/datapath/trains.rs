//! Trains in which good, foreign and spoiled packets follow one another: each is judged by itself.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use sekisho::data::{FromData, NewSa};
use sekisho::net::udp::{Outer, Received, Segmentation, Socket, Sockets};
use sekisho_esp::{HEADROOM, OutboundSa, Suite, TAILROOM};

use crate::namespace::Namespace;
use crate::site::{POLICY, Place, SETTINGS, Site, path, place, sas};
use crate::traffic::until;

/// Two SAs of one suite, so that their packets are of one length; with two workers, each has one.
const FIRST: u64 = 1;
const SECOND: u64 = FIRST + Suite::ALL.len() as u64;
/// Bytes that an inner datagram carries, but for the last.
const LENGTH: usize = 200;
/// What the last says.
const SHORT: u8 = 5;

/// A peer that sends what it likes in one train.
pub(crate) struct Peer {
    sockets: Sockets,
    way: Outer,
    pub(crate) place: Place,
    sas: [OutboundSa; 2],
}

impl Peer {
    /// An ESP packet of one of the SAs.
    pub(crate) fn seal(&self, sa: usize, inner: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; HEADROOM], inner, &[0; TAILROOM]].concat();
        let range = self.sas[sa].sealer(0).seal(&mut buffer, HEADROOM..HEADROOM + inner.len()).expect("seal");
        buffer[range].to_vec()
    }

    /// The same with an inner datagram of so many bytes that all say `number`.
    fn seal_numbered(&self, sa: usize, number: u8, length: usize) -> Vec<u8> {
        let mut inner = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([10, 2, 0, 1], [10, 1, 0, 1], 64).udp(7_000, 7_000);
        builder.write(&mut inner, &vec![number; length]).expect("a packet");
        self.seal(sa, &inner)
    }

    /// Sends datagrams of one length, the last perhaps shorter, with this TOS.
    pub(crate) fn send(&self, tos: u8, train: &[Vec<u8>]) {
        let (segment, bytes) = (train[0].len(), train.concat());
        let (last, others) = train.split_last().expect("datagrams");
        assert!(others.iter().all(|datagram| datagram.len() == segment) && last.len() <= segment);
        let sent =
            self.socket().send_train(Outer { tos, ..self.way }, &bytes, segment, &Segmentation::default());
        assert_eq!(sent.lost, 0, "{:?}", sent.error);
    }

    /// The next train that comes.
    pub(crate) fn receive(&self) -> Received {
        receive(self.socket(), &mut vec![0; 65_535])
    }

    fn socket(&self) -> &Socket {
        self.sockets.between(0, self.way.local, self.way.remote).expect("a socket")
    }

    /// Two packets of each SA, and between them a forged one, one of an SA that nobody knows and one that came already; `middle`
    /// in their midst, and `tail`, or a short packet, behind.
    fn train(&self, middle: Option<Vec<u8>>, tail: Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let good = self.seal_numbered(0, 1, LENGTH);
        let mut forged = self.seal_numbered(1, 0, LENGTH);
        let at = forged.len() - 20;
        forged[at] ^= 1;
        let foreign = [&[0xc0, 1, 2, 1], &good[4..]].concat();
        let mut train =
            vec![good.clone(), self.seal_numbered(1, 2, LENGTH), forged, self.seal_numbered(0, 3, LENGTH)];
        train.extend(middle);
        train.extend([foreign, good, self.seal_numbered(1, 4, LENGTH)]);
        train.push(tail.unwrap_or_else(|| self.seal_numbered(0, SHORT, LENGTH / 2)));
        train
    }
}

/// The peer, and the namespace at the other end of its line.
pub(crate) fn namespaces(outer_ipv6: bool) -> (Namespace, Peer) {
    let (namespace, other) = (Namespace::new(), Namespace::new());
    namespace.cable("wire", &other);
    let (here, there) = (place(1, outer_ipv6), place(2, outer_ipv6));
    let (prefix, nodad) = if outer_ipv6 { (64, " nodad") } else { (24, "") };
    other.ip(&format!("address add {}/{prefix} dev wire{nodad}", there.outer));
    other.settle(there.outer);
    let sockets = other.run(|| Sockets::bind(SETTINGS).expect("bind"));
    let way = path(there, here);
    let sas = [FIRST, SECOND].map(|id| sas(id, there, here).1);
    (namespace, Peer { sockets, way: Outer::plain(way.local, way.remote), place: there, sas })
}

fn receive(socket: &Socket, buffer: &mut [u8]) -> Received {
    let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert!(poll(&mut ready, 5_000_u16).expect("poll") > 0, "nothing came");
    socket.recv(buffer).expect("a datagram or a train")
}

/// Or what follows would show nothing about trains.
#[test]
fn what_is_sent_as_a_train_comes_as_a_train() {
    for outer_ipv6 in [false, true] {
        let (namespace, peer) = namespaces(outer_ipv6);
        let (prefix, nodad) = if outer_ipv6 { (64, " nodad") } else { (24, "") };
        namespace.ip(&format!("address add {}/{prefix} dev wire{nodad}", peer.way.remote.ip()));
        namespace.settle(peer.way.remote.ip());
        let sockets = namespace.run(|| Sockets::bind(SETTINGS).expect("bind"));
        let socket = sockets.between(0, peer.way.remote, peer.way.local).expect("a socket");
        let mut buffer = vec![0; 65_535];
        for tail in [None, Some(vec![0xff])] {
            let train = peer.train(Some(ike()), tail);
            peer.send(0, &train);
            let received = receive(socket, &mut buffer);
            assert_eq!((received.length, received.segment), (train.concat().len(), train[0].len()));
            assert!(socket.recv(&mut buffer).is_err(), "all of it at once");
        }
    }
}

/// A message behind its marker, as long as a packet of ESP.
fn ike() -> Vec<u8> {
    let inner = LENGTH + 28;
    let mut message = vec![0x1c; Suite::ALL[1].layout().sealed_length(inner)];
    message[..4].fill(0);
    message
}

/// What was dropped until now, by reason.
fn counted(site: &Site) -> BTreeMap<&'static str, u64> {
    let drops = site.data.drops();
    drops.into_iter().filter(|(reason, count)| *count > 0 && *reason != "link_local").collect()
}

/// The good packets of a train arrive, whole and in order.
fn assert_arrive(host: &UdpSocket, numbers: RangeInclusive<u8>) {
    for number in numbers {
        let mut bytes = [0; 300];
        let length = host.recv(&mut bytes).expect("a good packet");
        let whole = if number == SHORT { LENGTH / 2 } else { LENGTH };
        assert_eq!(bytes[..length], vec![number; whole], "all that is good, in order");
    }
}

#[test]
fn in_a_mixed_and_spoiled_train_each_packet_is_judged_by_itself() {
    for (outer_ipv6, workers) in [(false, 1), (false, 2), (true, 1)] {
        let (namespace, peer) = namespaces(outer_ipv6);
        let mut site = Site::with_workers(namespace, place(1, outer_ipv6), peer.place, workers);
        for id in [FIRST, SECOND] {
            let (inbound, outbound) = sas(id, site.place, peer.place);
            let path = path(site.place, peer.place);
            site.install_sa(NewSa { id, tunnel: 1, policy: POLICY, inbound, outbound, path });
        }
        let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
        host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        let await_counts = |trains, keepalives: Option<u64>| {
            let each = ["authentication", "unknown_spi", "replayed"].map(|reason| (reason, trains));
            let expected = each.into_iter().chain(keepalives.map(|count| ("keepalive", count))).collect();
            until(&format!("{expected:?}, not {:?}", counted(&site)), || counted(&site) == expected);
        };

        peer.send(0, &peer.train(None, None));
        assert_arrive(&host, 1..=SHORT);
        await_counts(1, None);
        peer.send(0, &peer.train(None, Some(vec![0xff])));
        assert_arrive(&host, 1..=4);
        await_counts(2, Some(1));
        peer.send(0, &peer.train(Some(ike()), None));
        assert_arrive(&host, 1..=SHORT);
        await_counts(3, Some(1));

        // Counted and told at the end of a train.
        let usage = || [FIRST, SECOND].map(|id| site.data.usage(id).expect("usage").packets_in);
        until("the usage of both", || usage() == [8, 6]);
        let told: Vec<_> = (0..3).filter_map(|_| site.from_data.blocking_recv()).collect();
        let [FromData::FirstPacket(FIRST), FromData::FirstPacket(SECOND), FromData::Ike { bytes, .. }] =
            told.as_slice()
        else {
            panic!("{told:?}")
        };
        assert_eq!(*bytes, ike()[4..], "without its marker");
        assert!(site.from_data.try_recv().is_err(), "the first packet of an SA is told once");
        host.set_nonblocking(true).expect("non-blocking");
        assert!(host.recv(&mut [0; 300]).is_err(), "nothing else was delivered");
    }
}
