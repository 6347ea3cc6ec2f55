//! One datagram there and one back: whether the very first packet gets through.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use super::namespace::Namespace;

/// Sends one datagram from one host to another, which sends it back: whether that arrives in time. Nothing is repeated.
pub fn asks_once(from: (&Namespace, IpAddr), to: (&Namespace, IpAddr), wait: Duration) -> bool {
    let socket = |(namespace, address): (&Namespace, IpAddr)| {
        let socket = namespace.run(|| UdpSocket::bind((address, 0)).expect("bind a UDP socket"));
        socket.set_read_timeout(Some(wait)).expect("set a time-out");
        socket
    };
    let (asks, answers) = (socket(from), socket(to));
    asks.connect(answers.local_addr().expect("an address")).expect("connect a UDP socket");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut question = [0; 64];
            if let Ok((length, asker)) = answers.recv_from(&mut question) {
                answers.send_to(&question[..length], asker).expect("send it back");
            }
        });
        asks.send(b"once").expect("send a datagram");
        asks.recv(&mut [0; 64]).is_ok()
    })
}
