//! Keys, SAs and packets for the tests of this crate.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod tcp;

use std::net::IpAddr;
use std::ops::Range;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use etherparse::PacketBuilder;
use sekisho_esp::{DropReason, InboundSa, Keymat, OutboundSa, SaConfig, Selector, Suite};

pub const SPI: u32 = 0xc0de_0001;
pub const HERE: [u8; 4] = [10, 17, 0, 5];
pub const THERE: [u8; 4] = [10, 1, 2, 3];
pub const HERE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
pub const THERE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];

/// `10.0.0.0/24` or `10.0.0.5-10.0.0.9`, any protocol and port.
pub fn net(text: &str) -> Selector {
    service(text, 0, (0, u16::MAX))
}

pub fn service(text: &str, protocol: u8, ports: (u16, u16)) -> Selector {
    let (first, last): (IpAddr, IpAddr) = if let Some((first, last)) = text.split_once('-') {
        (first.parse().unwrap(), last.parse().unwrap())
    } else {
        let (first, length) = text.split_once('/').unwrap();
        let (first, length): (IpAddr, u32) = (first.parse().unwrap(), length.parse().unwrap());
        match first {
            IpAddr::V4(v4) => {
                (first, IpAddr::V4((v4.to_bits() | u32::MAX.checked_shr(length).unwrap_or(0)).into()))
            }
            IpAddr::V6(v6) => {
                (first, IpAddr::V6((v6.to_bits() | u128::MAX.checked_shr(length).unwrap_or(0)).into()))
            }
        }
    };
    Selector::new(first, last, protocol, ports).unwrap()
}

/// One direction, from our networks to the peer's.
#[derive(Clone, Debug)]
pub struct Direction {
    pub suite: Suite,
    pub esn: bool,
    pub keymat: Vec<u8>,
    pub window: u32,
    pub limit: Option<u64>,
}

impl Direction {
    pub fn new(suite: Suite, esn: bool) -> Self {
        let keymat = (0..suite.keymat_length()).map(|at| u8::try_from(at * 7 + 3).unwrap()).collect();
        Self { suite, esn, keymat, window: 1024, limit: None }
    }

    pub fn config(&self, local: Vec<Selector>, remote: Vec<Selector>) -> SaConfig {
        SaConfig {
            spi: SPI,
            suite: self.suite,
            keymat: Keymat::new(self.keymat.clone()),
            esn: self.esn,
            local,
            remote,
            copy_dscp: true,
            replay_window: self.window,
            packet_limit: self.limit,
        }
    }

    /// The sender's end: we are HERE.
    pub fn outbound(&self) -> OutboundSa {
        OutboundSa::new(self.config(ours(), theirs())).unwrap()
    }

    /// The receiver's end: it is THERE.
    pub fn inbound(&self) -> InboundSa {
        InboundSa::new(self.config(theirs(), ours())).unwrap()
    }

    /// ESP by the other implementation: any sequence number, any IV, any plaintext with its trailer.
    pub fn forge(&self, sequence: u64, iv: [u8; 8], plaintext: &[u8]) -> Vec<u8> {
        let low = u32::try_from(sequence & 0xffff_ffff).unwrap();
        let mut aad = SPI.to_be_bytes().to_vec();
        if self.esn {
            aad.extend(u32::try_from(sequence >> 32).unwrap().to_be_bytes());
        }
        aad.extend(low.to_be_bytes());
        let (key, salt) = self.keymat.split_at(self.suite.key_length());
        let nonce: [u8; 12] = [salt, &iv].concat().try_into().unwrap();
        let payload = Payload { msg: plaintext, aad: &aad };
        let sealed = match self.suite {
            Suite::Aes128Gcm16 => Aes128Gcm::new_from_slice(key).unwrap().encrypt(&nonce.into(), payload),
            Suite::Aes256Gcm16 => Aes256Gcm::new_from_slice(key).unwrap().encrypt(&nonce.into(), payload),
        };
        [&SPI.to_be_bytes()[..], &low.to_be_bytes(), &iv, &sealed.unwrap()].concat()
    }

    /// The same with ordinary padding and the next header that fits.
    pub fn forge_packet(&self, sequence: u64, inner: &[u8]) -> Vec<u8> {
        self.forge(sequence, sequence.to_be_bytes(), &with_trailer(inner, next_header(inner)))
    }
}

pub fn ours() -> Vec<Selector> {
    vec![net("10.17.0.0/24"), net("2001:db8:17::/48")]
}

pub fn theirs() -> Vec<Selector> {
    vec![net("10.1.0.0/16"), net("2001:db8:1::/48")]
}

pub fn next_header(inner: &[u8]) -> u8 {
    if inner[0] >> 4 == 4 { 4 } else { 41 }
}

pub fn with_trailer(payload: &[u8], next_header: u8) -> Vec<u8> {
    let padding = u8::try_from((4 - (payload.len() + 2) % 4) % 4).unwrap();
    [payload, &(1..=padding).collect::<Vec<_>>(), &[padding, next_header]].concat()
}

/// UDP from HERE to THERE.
pub fn udp4(payload: &[u8]) -> Vec<u8> {
    written(PacketBuilder::ipv4(HERE, THERE, 64).udp(5000, 53), payload)
}

/// UDP from HERE to THERE over IPv6.
pub fn udp6(payload: &[u8]) -> Vec<u8> {
    written(PacketBuilder::ipv6(HERE6, THERE6, 64).udp(5000, 53), payload)
}

pub fn written(builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// Opens a copy and gives the inner packet.
pub fn open(sa: &InboundSa, packet: &[u8]) -> Result<Vec<u8>, DropReason> {
    open_marked(sa, packet, 0)
}

pub fn open_marked(sa: &InboundSa, packet: &[u8], outer_tos: u8) -> Result<Vec<u8>, DropReason> {
    let mut packet = packet.to_vec();
    let range: Range<usize> = sa.opener(1).open(&mut packet, outer_tos)?;
    Ok(packet[range].to_vec())
}

/// Seals a copy.
pub fn seal(sa: &OutboundSa, inner: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut buffer = vec![0xa5; sekisho_esp::HEADROOM];
    buffer.extend_from_slice(inner);
    buffer.extend([0xa5; sekisho_esp::TAILROOM]);
    let range = sa.sealer().seal(&mut buffer, sekisho_esp::HEADROOM..sekisho_esp::HEADROOM + inner.len())?;
    Ok(buffer[range].to_vec())
}
