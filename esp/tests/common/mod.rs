//! Keys, SAs and packets for the tests of this crate.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod reference;
pub mod tcp;
pub mod udp;

use std::net::IpAddr;
use std::ops::Range;

use etherparse::{
    IpDscp, IpEcn, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder,
};
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
        let keymat = (0..suite.keymat_length()).map(|at| u8::try_from((at * 7 + 3) % 256).unwrap()).collect();
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
            marking: sekisho_esp::ecn::Marking::default(),
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

    /// ESP by the other implementation: any sequence number, any IV (its start is used, where it is shorter), any
    /// plaintext with its trailer.
    pub fn forge(&self, sequence: u64, iv: [u8; 16], plaintext: &[u8]) -> Vec<u8> {
        let length = self.suite.layout().header_length() - 8;
        reference::seal(self, sequence, &iv[..length], plaintext)
    }

    /// The same with the IV that our sender uses, ordinary padding and the next header that fits.
    pub fn forge_packet(&self, sequence: u64, inner: &[u8]) -> Vec<u8> {
        let text = self.with_trailer(inner, next_header(inner));
        reference::seal(self, sequence, &reference::iv(self, sequence), &text)
    }

    /// The least padding that the suite's packets may have.
    pub fn with_trailer(&self, payload: &[u8], next_header: u8) -> Vec<u8> {
        let padding = (self.alignment() - (payload.len() + 2) % self.alignment()) % self.alignment();
        let padding = u8::try_from(padding).unwrap();
        [payload, &(1..=padding).collect::<Vec<_>>(), &[padding, next_header]].concat()
    }

    /// What the encrypted part must be a multiple of.
    pub fn alignment(&self) -> usize {
        if self.is_cbc() { 16 } else { 4 }
    }

    pub fn is_cbc(&self) -> bool {
        matches!(self.suite, Suite::AesCbc(..))
    }

    /// Bytes of the ICV.
    pub fn icv(&self) -> usize {
        let layout = self.suite.layout();
        layout.sealed_length(14) - layout.header_length() - 16
    }

    /// Every suite with either kind of sequence numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        Suite::ALL.into_iter().flat_map(|suite| [false, true].map(|esn| Self::new(suite, esn)))
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

/// From HERE to THERE; which protocol follows is filled in when the packet is written.
fn ipv4(tos: u8, id: u16, dont_fragment: bool) -> IpHeaders {
    let mut ip = Ipv4Header::new(0, 64, IpNumber(0), HERE, THERE).unwrap();
    ip.dscp = IpDscp::try_new(tos >> 2).unwrap();
    ip.ecn = IpEcn::try_new(tos & 3).unwrap();
    ip.identification = id;
    ip.dont_fragment = dont_fragment;
    IpHeaders::Ipv4(ip, Ipv4Extensions::default())
}

/// The same over IPv6.
fn ipv6(traffic_class: u8) -> IpHeaders {
    let addresses = Ipv6Header { source: HERE6, destination: THERE6, ..Default::default() };
    IpHeaders::Ipv6(Ipv6Header { traffic_class, hop_limit: 64, ..addresses }, Ipv6Extensions::default())
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
    let range = sa.sealer(0).seal(&mut buffer, sekisho_esp::HEADROOM..sekisho_esp::HEADROOM + inner.len())?;
    Ok(buffer[range].to_vec())
}
