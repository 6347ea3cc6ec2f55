//! Headers that lie, packets that are none.

use proptest::prelude::*;
use sekisho_esp::{DropReason, InnerView, OffloadHeader, complete_checksum, segment};

use super::common::tcp::Tcp;
use super::routes::extended;
use super::{LAYOUT, common, cut, flow, join, tcp};

proptest! {
    #[test]
    fn nonsense_from_the_tun_is_refused_or_harmless(
        bytes in any::<[u8; OffloadHeader::LENGTH]>(), packet in prop::collection::vec(any::<u8>(), 0..200),
        flow in tcp(any::<u8>(), 0..300), change in any::<(prop::sample::Index, u8)>(), room in 0..2000usize,
    ) {
        let header = OffloadHeader::from_bytes(bytes);
        let mut real = flow.bytes();
        let at = change.0.index(real.len());
        real[at] ^= change.1;
        let mut plausible = flow.super_packet(u16::from_ne_bytes([bytes[4], bytes[5]])).0;
        plausible.csum_start = header.csum_start;
        for (header, packet) in [(header, &packet), (header, &real), (plausible, &real)] {
            let mut out = vec![0; room];
            if let Ok(train) = segment(LAYOUT, header, packet, &mut out) {
                prop_assert!(train.sealed_length() <= room && train.count > 0);
                let whole = InnerView::parse(packet).unwrap();
                for place in train.packets() {
                    let view = InnerView::parse(&out[place.clone()]).unwrap();
                    prop_assert_eq!(view.total_length(), place.len());
                    prop_assert_eq!((view.source(), view.destination()), (whole.source(), whole.destination()));
                    prop_assert_eq!((view.protocol(), view.ports()), (whole.protocol(), whole.ports()));
                }
            }
            let _ = complete_checksum(header, &mut packet.clone());
            for (header, bytes) in join(&[packet.clone(), packet.clone()]) {
                prop_assert!(header.gso() == OffloadHeader::GSO_NONE || cut(header, &bytes).is_ok());
            }
        }
    }
}

#[test]
fn a_header_that_contradicts_the_packet_is_refused() {
    let (header, packet) = flow(3000).super_packet(1000);
    let udp = common::udp4(&[0; 300]);
    let refused = |header, packet: &[u8]| cut(header, packet).map(|_| ()).unwrap_err();
    for gso_type in [OffloadHeader::GSO_TCPV6, OffloadHeader::GSO_UDP_L4, 2, 3, 6, 0x7f] {
        assert_eq!(refused(OffloadHeader { gso_type, ..header }, &packet), DropReason::SuperPacket);
    }
    assert_eq!(refused(OffloadHeader { gso_size: 0, ..header }, &packet), DropReason::SuperPacket);
    assert_eq!(refused(header, &udp), DropReason::SuperPacket);
    let mut short_tcp = packet.clone();
    short_tcp[32] = 0x40;
    assert_eq!(refused(header, &short_tcp), DropReason::SuperPacket);
    let mut fragment = packet.clone();
    fragment[6] = 0x20;
    assert_eq!(refused(header, &fragment), DropReason::SuperPacket);
    let needed = cut(header, &packet).unwrap().0.sealed_length();
    assert_eq!(segment(LAYOUT, header, &packet, &mut vec![0; needed - 1]), Err(DropReason::NoRoom));
    assert!(segment(LAYOUT, header, &packet, &mut vec![0; needed]).is_ok());
}

/// Behind other headers than the plain ones the sender alone knows the last destination.
#[test]
fn behind_extension_headers_a_checksum_that_was_not_begun_is_refused() {
    let flow = Tcp { ipv4: false, ..flow(3000) };
    let (header, packet) = flow.super_packet(1000);
    let (packet, more) = extended(&packet, &[(43, 0)], true);
    let header = OffloadHeader { csum_start: header.csum_start + more, ..header };
    assert!(cut(header, &packet).is_ok());
    for wrong in [
        OffloadHeader { flags: 0, ..header },
        OffloadHeader { csum_start: header.csum_start - more, ..header },
        OffloadHeader { csum_offset: 6, ..header },
    ] {
        assert_eq!(cut(wrong, &packet).map(|_| ()), Err(DropReason::SuperPacket), "{wrong:?}");
    }
}
