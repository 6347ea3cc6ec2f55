//! Fragments that we cut, put together again by another implementation and by the book.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{HERE, THERE, udp4, udp6};
use etherparse::defrag::IpDefragPool;
use etherparse::{Ipv4Header, SlicedPacket};
use proptest::prelude::*;
use sekisho_esp::{DropReason, Layout, Suite, fragment};

/// UDP without DF, with these options (a multiple of four bytes).
fn datagram(payload: &[u8], options: &[u8]) -> Vec<u8> {
    let packet = udp4(payload);
    let (mut ip, rest) = Ipv4Header::from_slice(&packet).unwrap();
    ip.dont_fragment = false;
    ip.identification = 0xbeef;
    ip.options = options.try_into().unwrap();
    ip.set_payload_len(rest.len()).unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    [&ip.to_bytes()[..], rest].concat()
}

fn layout() -> Layout {
    Suite::AES_256_GCM_16.layout()
}

fn cut(packet: &[u8], mtu: usize) -> Result<Vec<Vec<u8>>, DropReason> {
    let mut out = vec![0xcc; 1 << 18];
    let train = fragment(layout(), packet, mtu, &mut out)?;
    Ok(train.packets().map(|range| out[range].to_vec()).collect())
}

/// By the book (RFC 791 §3.2): payload by offset; headers right.
fn joined(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (number, fragment) in fragments.iter().enumerate() {
        let (ip, rest) = Ipv4Header::from_slice(fragment).unwrap();
        assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "fragment {number}");
        assert_eq!(usize::from(ip.total_len), fragment.len());
        assert_eq!(usize::from(ip.fragment_offset.value()) * 8, payload.len());
        assert_eq!(ip.more_fragments, number + 1 < fragments.len());
        assert_eq!((ip.identification, ip.source, ip.destination), (0xbeef, HERE, THERE));
        payload.extend_from_slice(rest);
    }
    payload
}

/// By etherparse's pool, which gets them in this order.
fn pooled<'f>(fragments: impl Iterator<Item = &'f Vec<u8>>) -> Option<Vec<u8>> {
    let mut pool = IpDefragPool::<(), ()>::new();
    fragments
        .filter_map(|fragment| {
            let sliced = SlicedPacket::from_ip(fragment).unwrap();
            pool.process_sliced_packet(&sliced, (), ()).unwrap().map(|whole| whole.payload)
        })
        .last()
}

proptest! {
    #[test]
    fn what_is_cut_comes_together_again(
        length in 0..9000usize, mtu in 68..3000usize, seed: u8, backwards: bool,
    ) {
        let payload: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect();
        let packet = datagram(&payload, &[]);
        let fragments = cut(&packet, mtu).unwrap();
        prop_assert!(fragments.iter().all(|fragment| fragment.len() <= mtu));
        prop_assert!(fragments.len() == 1 || fragments[0].len() + 8 > mtu, "as few as can be");
        prop_assert_eq!(&joined(&fragments), &packet[20..]);
        if fragments.len() > 1 {
            let pooled = if backwards { pooled(fragments.iter().rev()) } else { pooled(fragments.iter()) };
            prop_assert_eq!(pooled.as_deref(), Some(&packet[20..]));
        } else {
            prop_assert_eq!(&fragments[0], &packet);
        }
    }

    #[test]
    fn fragments_are_cut_again(length in 100..4000usize, first in 68..1500usize, then in 68..1500usize) {
        let packet = datagram(&vec![7; length], &[]);
        let mut fragments = Vec::new();
        for fragment in cut(&packet, first).unwrap() {
            fragments.extend(cut(&fragment, then).unwrap());
        }
        prop_assert_eq!(joined(&fragments), &packet[20..]);
    }
}

#[test]
fn only_options_that_are_to_be_copied_are_in_each_fragment() {
    // Record route (7, not copied) of 7 bytes, NOP, a security option (130, copied) of 4.
    let options = [7, 7, 4, 0, 0, 0, 0, 1, 130, 4, 0xab, 0xcd];
    let fragments = cut(&datagram(&[1; 400], &options), 200).unwrap();
    assert_eq!(fragments[0][20..32], options);
    for later in &fragments[1..] {
        assert_eq!(later[20..32], [1, 1, 1, 1, 1, 1, 1, 1, 130, 4, 0xab, 0xcd]);
    }
    // One that lies about its length.
    let fragments = cut(&datagram(&[1; 400], &[130, 60, 0, 0]), 200).unwrap();
    assert_eq!((&fragments[0][20..24], &fragments[1][20..24]), (&[130, 60, 0, 0][..], &[0; 4][..]));
}

#[test]
fn what_nobody_may_cut_is_not() {
    let mut atomic = datagram(&[0; 1000], &[]);
    atomic[6] |= 0x40;
    assert_eq!(cut(&atomic, 500), Err(DropReason::TooBig));
    assert_eq!(cut(&udp6(&[0; 2000]), 1280), Err(DropReason::TooBig));
    assert_eq!(cut(&datagram(&[0; 1000], &[]), 27), Err(DropReason::TooBig));
    assert_eq!(cut(&datagram(&[0; 1000], &[]), 28).unwrap().len(), 126);
    assert_eq!(cut(&[], 1280), Err(DropReason::NotIp));
    assert_eq!(cut(&atomic, 1500).unwrap(), [atomic]);
}

#[test]
fn a_fragment_that_would_end_beyond_every_packet_is_refused() {
    let mut packet = datagram(&[0; 1000], &[]);
    packet[6..8].copy_from_slice(&0x1ff0u16.to_be_bytes());
    assert_eq!(cut(&packet, 500), Err(DropReason::InnerMalformed));
}

#[test]
fn without_room_nothing_is_cut() {
    let packet = datagram(&[0; 1000], &[]);
    let mut out = vec![0; 1 << 18];
    let needed = fragment(layout(), &packet, 500, &mut out).unwrap().sealed_length();
    assert!(fragment(layout(), &packet, 500, &mut out[..needed]).is_ok());
    assert_eq!(fragment(layout(), &packet, 500, &mut out[..needed - 1]), Err(DropReason::NoRoom));
}
