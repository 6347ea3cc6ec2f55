//! Real TCP and UDP between two data paths.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use sekisho::data::FromData;
use sekisho_esp::{AesKey, Hmac, Suite};

use crate::namespace::Namespace;
use crate::site::{Site, connect};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// Bytes that repeat nowhere near, so that a segment in a wrong place shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position ^ (position >> 8) ^ (position >> 16)).to_le_bytes()[0]).collect()
}

/// Send bytes over TCP from one place to another and back again.
pub(crate) fn echo_over_tcp(client: &Namespace, server: &Namespace, address: IpAddr, bytes: &[u8]) {
    let listener = server.run(|| TcpListener::bind((address, 0)).expect("listen"));
    let target = listener.local_addr().expect("address");
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut writer = stream.try_clone().expect("clone");
            std::io::copy(&mut stream, &mut writer).expect("echo");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut stream =
            client.run(|| TcpStream::connect_timeout(&target, PATIENCE.expect("some"))).expect("connect");
        stream.set_read_timeout(PATIENCE).expect("timeout");
        let mut writer = stream.try_clone().expect("clone");
        scope.spawn(move || {
            writer.write_all(bytes).expect("write");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("read");
        assert!(back == bytes, "{} of {} bytes came back, or others", back.len(), bytes.len());
    });
}

pub(crate) fn udp_pair(a: &Site, b: &Site, ipv6: bool) -> (UdpSocket, UdpSocket) {
    let [a, b] = [a, b].map(|site| {
        let address = if ipv6 { site.place.inner6 } else { site.place.inner4 };
        let socket = site.namespace.run(|| UdpSocket::bind((address, 7_000)).expect("bind"));
        socket.set_read_timeout(PATIENCE).expect("timeout");
        socket
    });
    let connect =
        |from: &UdpSocket, to: &UdpSocket| from.connect(to.local_addr().expect("address")).expect("connect");
    connect(&a, &b);
    connect(&b, &a);
    (a, b)
}

pub(crate) fn exchange(a: &UdpSocket, b: &UdpSocket, bytes: &[u8]) {
    let mut buffer = vec![0; 65_535];
    for (from, to) in [(a, b), (b, a)] {
        from.send(bytes).expect("send");
        let length = to.recv(&mut buffer).unwrap_or_else(|error| panic!("{} bytes: {error}", bytes.len()));
        assert!(buffer[..length] == *bytes, "{} bytes changed on the way", bytes.len());
    }
}

fn everything_crosses(outer_ipv6: bool, id: u64) {
    let (a, mut b) = Site::pair(outer_ipv6);
    connect(id, &a, &b);
    carries_everything(&a, &mut b, id);
}

/// TCP and UDP, both ways.
pub(crate) fn carries_everything(a: &Site, b: &mut Site, id: u64) {
    let bytes = pattern(8 << 20);
    for (client, server) in [(a, &*b), (&*b, a)] {
        for address in [server.place.inner4, server.place.inner6] {
            echo_over_tcp(&client.namespace, &server.namespace, address, &bytes);
        }
    }
    for ipv6 in [false, true] {
        let (left, right) = udp_pair(a, b, ipv6);
        // One byte; just what fits; fragments inside the tunnel.
        for length in [1, 37, 1_352, 1_372, 1_500, 60_000] {
            exchange(&left, &right, &pattern(length));
        }
    }
    let (at_a, at_b) = (a.data.usage(id).expect("usage"), b.data.usage(id).expect("usage"));
    assert!(at_a.bytes_out >= 32 << 20 && at_b.bytes_out >= 32 << 20, "{at_a:?} {at_b:?}");
    assert!(at_b.last_in.is_some());
    let told = b.from_data.try_recv();
    assert!(matches!(told, Ok(FromData::FirstPacket(first)) if first == id), "{told:?}");
    assert!(b.from_data.try_recv().is_err(), "the first packet is told once");
}

#[test]
fn tcp_and_udp_of_both_families_cross_an_ipv4_network() {
    everything_crosses(false, 1);
}

#[test]
fn tcp_and_udp_of_both_families_cross_an_ipv6_network() {
    everything_crosses(true, 1);
}

/// The longest headers and trailers, and blocks to fill.
#[test]
fn tcp_and_udp_of_both_families_cross_with_aes_cbc() {
    let longest = Suite::ALL.iter().position(|suite| *suite == Suite::AesCbc(AesKey::Bits256, Hmac::Sha512));
    everything_crosses(false, longest.expect("a suite") as u64);
}

/// Wait until something holds that another thread brings about.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < give_up, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
