//! MSS clamp and the answers to packets that are too big.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{HERE, HERE6, THERE, THERE6, udp4, udp6};
use etherparse::{
    IpHeaders, Ipv4Header, NetHeaders, PacketBuilder, PacketHeaders, TcpHeader, TcpOptionElement,
    TransportHeader,
};
use proptest::prelude::*;
use sekisho_esp::{DropReason, mss, too_big};

/// A SYN with these raw options, padded.
fn syn(ipv4: bool, options: &[u8], edit: impl Fn(&mut TcpHeader)) -> Vec<u8> {
    let mut tcp = TcpHeader::new(4000, 443, 9, 65_000);
    tcp.syn = true;
    tcp.set_options_raw(options).unwrap();
    edit(&mut tcp);
    let builder =
        if ipv4 { PacketBuilder::ipv4(HERE, THERE, 64) } else { PacketBuilder::ipv6(HERE6, THERE6, 64) };
    let mut packet = Vec::new();
    builder.tcp_header(tcp).write(&mut packet, b"").unwrap();
    packet
}

fn mss_of(packet: &[u8]) -> Option<u16> {
    let parsed = PacketHeaders::from_ip_slice(packet).unwrap();
    let Some(TransportHeader::Tcp(tcp)) = parsed.transport else { panic!("no TCP") };
    let right = match parsed.net.unwrap() {
        NetHeaders::Ipv4(ip, _) => tcp.calc_checksum_ipv4(&ip, &[]),
        NetHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(&ip, &[]),
        NetHeaders::Arp(_) => unreachable!(),
    };
    assert_eq!(tcp.checksum, right.unwrap());
    tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    })
}

proptest! {
    #[test]
    fn an_mss_is_lowered_never_raised_and_the_checksum_stays_right(
        ipv4: bool, announced: u16, mtu in 576..9000u16, before in 0..4usize, answer: bool,
    ) {
        let [high, low] = announced.to_be_bytes();
        // NOPs before it put the option at odd offsets too.
        let options = [&vec![1; before][..], &[2, 4, high, low], &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let mut packet = syn(ipv4, &options, |tcp| tcp.ack = answer);
        let original = packet.clone();
        let fits = mtu - if ipv4 { 40 } else { 60 };
        prop_assert_eq!(mss::clamp(&mut packet, mtu), announced > fits);
        prop_assert_eq!(mss_of(&packet), Some(announced.min(fits)));
        if announced <= fits {
            prop_assert_eq!(packet, original);
        }
    }

    #[test]
    fn hostile_options_are_left_alone(options in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut packet = syn(true, &options, |_| ());
        let before = packet.clone();
        if !mss::clamp(&mut packet, 576) {
            prop_assert_eq!(packet, before);
        }
    }
}

#[test]
fn only_a_syn_is_touched() {
    let option = [2, 4, 0xff, 0xff];
    for mut packet in [
        syn(true, &option, |tcp| tcp.syn = false),
        syn(true, &[2, 3, 0xff, 0xff], |_| ()),
        syn(true, &[0, 2, 4, 0xff, 0xff], |_| ()),
        syn(true, &[], |_| ()),
        udp4(&[2, 4, 0xff, 0xff]),
    ] {
        let before = packet.clone();
        assert!(!mss::clamp(&mut packet, 1400));
        assert_eq!(packet, before);
    }
}

/// UDP with DF.
fn atomic(payload: usize) -> Vec<u8> {
    let mut packet = udp4(&vec![7; payload]);
    let mut ip = Ipv4Header::from_slice(&packet).unwrap().0;
    ip.dont_fragment = true;
    ip.header_checksum = ip.calc_header_checksum();
    packet[..20].copy_from_slice(&ip.to_bytes());
    packet
}

fn answer(packet: &[u8], mtu: u16) -> Result<Vec<u8>, DropReason> {
    let mut out = vec![0xcc; too_big::LENGTH];
    let length = too_big::answer(packet, mtu, &mut out)?;
    assert!(out[length..].iter().all(|byte| *byte == 0xcc));
    out.truncate(length);
    Ok(out)
}

#[test]
fn an_ipv4_sender_is_told_the_mtu_and_shown_its_packet() {
    let packet = atomic(1472);
    let answer = answer(&packet, 1400).unwrap();
    assert_eq!(answer.len(), 576);
    let parsed = PacketHeaders::from_ip_slice(&answer).unwrap();
    let Some(NetHeaders::Ipv4(ip, _)) = parsed.net else { panic!("no IPv4") };
    assert_eq!((ip.source, ip.destination, ip.header_checksum), (THERE, HERE, ip.calc_header_checksum()));
    let Some(TransportHeader::Icmpv4(icmp)) = parsed.transport else { panic!("no ICMP") };
    assert_eq!(
        icmp.icmp_type,
        etherparse::Icmpv4Type::DestinationUnreachable(
            etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 }
        )
    );
    assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(&packet[..548]));
    assert_eq!(answer[28..], packet[..548]);
}

#[test]
fn an_ipv6_sender_is_told_the_mtu_and_shown_its_packet() {
    let packet = udp6(&[7; 1400]);
    let answered = answer(&packet, 1380).unwrap();
    assert_eq!(answered.len(), 1280);
    let parsed = PacketHeaders::from_ip_slice(&answered).unwrap();
    let Some(NetHeaders::Ipv6(ip, _)) = parsed.net else { panic!("no IPv6") };
    assert_eq!((ip.source, ip.destination), (THERE6, HERE6));
    let Some(TransportHeader::Icmpv6(icmp)) = parsed.transport else { panic!("no ICMPv6") };
    assert_eq!(icmp.icmp_type, etherparse::Icmpv6Type::PacketTooBig { mtu: 1380 });
    let right = icmp.icmp_type.calc_checksum(ip.source, ip.destination, &packet[..1232]).unwrap();
    assert_eq!(icmp.checksum, right);
    assert_eq!(answered[48..], packet[..1232]);
    // Nobody is asked for less than every IPv6 path carries.
    assert_eq!(answer(&packet, 1000).unwrap()[40..48][4..], 1280u32.to_be_bytes());
    assert_eq!(answer(&udp6(&[7; 1280 - 48]), 1000), Err(DropReason::TooBig));
}

#[test]
fn a_short_packet_is_shown_whole() {
    let packet = atomic(30);
    assert_eq!(answer(&packet, 40).unwrap()[28..], packet);
}

#[test]
fn nobody_answers_where_the_rfcs_forbid_it() {
    let refused = |packet: &[u8]| assert_eq!(answer(packet, 1280), Err(DropReason::TooBig));
    let edited = |edit: &dyn Fn(&mut Ipv4Header)| {
        let mut packet = atomic(1472);
        let mut ip = Ipv4Header::from_slice(&packet).unwrap().0;
        edit(&mut ip);
        packet[..20].copy_from_slice(&ip.to_bytes());
        packet
    };
    refused(&edited(&|ip| ip.dont_fragment = false));
    refused(&edited(&|ip| ip.fragment_offset = etherparse::IpFragOffset::try_new(10).unwrap()));
    refused(&edited(&|ip| ip.source = [0; 4]));
    refused(&edited(&|ip| ip.source = [255; 4]));
    refused(&edited(&|ip| ip.source = [224, 0, 0, 1]));
    refused(&edited(&|ip| ip.source = [127, 0, 0, 1]));
    refused(&edited(&|ip| ip.destination = [239, 1, 1, 1]));

    let icmp = |kind: u8| {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4(HERE, THERE, 64).icmpv4_raw(kind, 0, [0; 4]);
        builder.write(&mut packet, &[0; 1472]).unwrap();
        packet[6] = 0x40;
        packet
    };
    for kind in [3, 4, 5, 11, 12] {
        refused(&icmp(kind));
    }
    assert!(answer(&icmp(8), 1280).is_ok(), "an echo request may be answered");

    let icmpv6 = |kind: u8| {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv6(HERE6, THERE6, 64).icmpv6_raw(kind, 0, [0; 4]);
        builder.write(&mut packet, &[0; 1400]).unwrap();
        packet
    };
    for kind in [1, 2, 3, 4, 127, 137] {
        refused(&icmpv6(kind));
    }
    assert!(answer(&icmpv6(128), 1280).is_ok());
    let mut multicast = udp6(&[0; 1400]);
    multicast[24] = 0xff;
    refused(&multicast);
    let _ = IpHeaders::from_slice(&multicast).unwrap();
}

#[test]
fn without_room_there_is_no_answer() {
    let mut out = vec![0; too_big::LENGTH - 1];
    assert_eq!(too_big::answer(&atomic(1472), 1400, &mut out), Err(DropReason::NoRoom));
}
