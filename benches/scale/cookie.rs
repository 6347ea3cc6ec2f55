//! What a stateless answer costs: a first message without a cookie, at an endpoint that wants one of everybody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::crowd::{HUB, first_message, responder_under_attack};
use crate::measure::Meter;
use sekisho_ike::{Path, Transport};

const MESSAGES: u32 = 20_000;

/// Microseconds of processor time.
pub fn microseconds() -> f64 {
    let (mut endpoint, now) = responder_under_attack();
    let template = first_message();
    let mut meter = Meter::default();
    for number in 0..MESSAGES {
        let mut bytes = template.clone();
        bytes[..4].copy_from_slice(&(number + 1).to_be_bytes());
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), 500);
        let path = Path { local: HUB, remote, transport: Transport::Udp };
        let answer = meter.run(|| {
            endpoint.handle_datagram(now, path, &bytes);
            endpoint.poll_transmit()
        });
        assert!(answer.is_some(), "a cookie");
        assert!(endpoint.poll_job().is_none(), "and no work");
    }
    meter.time.as_secs_f64() * 1e6 / f64::from(MESSAGES)
}
