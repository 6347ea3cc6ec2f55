//! Routers' messages about packets of ours, and what others would have us believe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{Direction, HERE, HERE6, SPI, THERE, THERE6, udp4};
use etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded;
use etherparse::{Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, PacketBuilder};
use sekisho_esp::icmp_quote::Quote;
use sekisho_esp::{HEADROOM, OutboundSa, Suite, TAILROOM};

fn esp(spi: u32, sequence: u32) -> Vec<u8> {
    [&spi.to_be_bytes()[..], &sequence.to_be_bytes(), &[0xee; 1400]].concat()
}

/// ESP in UDP over IPv4 from HERE to THERE.
fn outer4(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(HERE, THERE, 64).udp(4500, 4501).write(&mut packet, payload).unwrap();
    packet
}

fn needed(next_hop_mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let kind = Icmpv4Type::DestinationUnreachable(FragmentationNeeded { next_hop_mtu });
    [&Icmpv4Header::with_checksum(kind, quoted).to_bytes()[..], quoted].concat()
}

fn too_big6(mtu: u32, quoted: &[u8]) -> Vec<u8> {
    let kind = Icmpv6Type::PacketTooBig { mtu };
    let header = Icmpv6Header::with_checksum(kind, THERE6, HERE6, quoted).unwrap();
    [&header.to_bytes()[..], quoted].concat()
}

#[test]
fn a_router_that_had_the_packet_in_hand_is_understood() {
    let quote = Quote::of_icmpv4(&needed(1400, &outer4(&esp(SPI, 7))[..56])).unwrap();
    assert_eq!((quote.source, quote.destination), (HERE.into(), THERE.into()));
    assert_eq!((quote.ports, quote.esp), (Some((4500, 4501)), Some((SPI, 7))));
    assert_eq!((quote.lowers(1500), quote.lowers(1400), quote.lowers(1300)), (Some(1400), None, None));

    let mut native = Vec::new();
    let builder = PacketBuilder::ipv6(HERE6, THERE6, 64);
    builder.write(&mut native, etherparse::IpNumber(50), &esp(SPI, 9)).unwrap();
    let quote = Quote::of_icmpv6(&too_big6(1380, &native)).unwrap();
    assert_eq!((quote.source, quote.destination), (HERE6.into(), THERE6.into()));
    assert_eq!((quote.ports, quote.esp, quote.lowers(1500)), (None, Some((SPI, 9)), Some(1380)));
}

#[test]
fn no_path_is_made_narrower_than_every_host_takes() {
    let quote = |mtu| Quote::of_icmpv4(&needed(mtu, &outer4(&esp(SPI, 7)))).unwrap().lowers(1500);
    assert_eq!(
        [68, 575, 576, 577, 1499, 1500, 9000].map(quote),
        [Some(576), Some(576), Some(576), Some(577), None, None, None]
    );
    let mut packet = Vec::new();
    PacketBuilder::ipv6(HERE6, THERE6, 64).udp(4500, 4500).write(&mut packet, &esp(SPI, 7)).unwrap();
    let quote = |mtu| Quote::of_icmpv6(&too_big6(mtu, &packet)).unwrap().lowers(1500);
    assert_eq!(
        [0, 68, 1279, 1281, 70_000].map(quote),
        [Some(1280), Some(1280), Some(1280), Some(1281), None]
    );
}

#[test]
fn a_router_that_does_not_say_what_it_carries_has_the_next_usual_size() {
    let quote = Quote::of_icmpv4(&needed(0, &outer4(&esp(SPI, 7)))).unwrap();
    assert_eq!(quote.lowers(1500), Some(1006), "the packet had 1,436 bytes");
}

#[test]
fn an_old_router_shows_too_little() {
    // "Internet header + 64 bits" (RFC 792).
    let quote = Quote::of_icmpv4(&needed(1400, &outer4(&esp(SPI, 7))[..28])).unwrap();
    assert_eq!((quote.ports, quote.esp), (Some((4500, 4501)), None));
}

#[test]
fn what_is_about_other_packets_is_left_alone() {
    let good = needed(1400, &outer4(&esp(SPI, 7)));
    let other = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut quoted = outer4(&esp(SPI, 7));
        edit(&mut quoted);
        assert_eq!(Quote::of_icmpv4(&needed(1400, &quoted)), None);
    };
    other(&|quoted| quoted[9] = 6);
    other(&|quoted| quoted[0] = 0x65);
    other(&|quoted| quoted[0] = 0x44);
    other(&|quoted| quoted[7] = 1);
    other(&|quoted| quoted[28..32].fill(0));
    other(&|quoted| quoted.truncate(19));
    let mut wrong = good.clone();
    wrong[7] ^= 1;
    assert_eq!(Quote::of_icmpv4(&wrong), None, "its checksum is wrong");
    for code in [0, 1, 3, 13] {
        let mut unreachable = good.clone();
        unreachable[1] = code;
        assert_eq!(Quote::of_icmpv4(&unreachable), None);
    }
    assert_eq!(Quote::of_icmpv6(&good), None);
    for length in 0..36 {
        assert_eq!(Quote::of_icmpv4(&good[..length]), None);
        assert_eq!(Quote::of_icmpv6(&good[..length]), None);
    }
}

/// Sends `packets` packets on an SA.
fn send(sa: &OutboundSa, packets: usize) {
    let mut buffer = [&[0; HEADROOM][..], &udp4(b"x"), &[0; TAILROOM]].concat();
    let before = buffer.clone();
    for _ in 0..packets {
        buffer.copy_from_slice(&before);
        sa.sealer(0).seal(&mut buffer, HEADROOM..before.len() - TAILROOM).unwrap();
    }
}

#[test]
fn only_what_was_sent_lately_is_remembered() {
    for esn in [false, true] {
        let sa = Direction::new(Suite::AES_128_GCM_16, esn).outbound();
        assert!(!sa.has_sent_lately(0) && !sa.has_sent_lately(1));
        send(&sa, 5);
        let sent: Vec<u32> = (0..10).filter(|number| sa.has_sent_lately(*number)).collect();
        assert_eq!(sent, [1, 2, 3, 4, 5]);
        assert!(!sa.has_sent_lately(u32::MAX));
        send(&sa, 70_000);
        let sent = [1, 4_469, 4_470, 70_005, 70_006].map(|number| sa.has_sent_lately(number));
        assert_eq!(sent, [false, false, true, true, false], "65,536 of them");
    }
}
