//! Fragments inside the tunnel where selectors name ports: whole packets pass, tricks do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use common::{Direction, HERE, HERE6, THERE, THERE6, net, service};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header};
use sekisho_esp::{
    DropReason, Fragments, InboundSa, InnerView, OutboundSa, Ports, Suite, Table, TableBuilder,
};

const UDP: u8 = 17;
const TCP: u8 = 6;
const SECOND: u64 = 1_000_000_000;

/// A fragment from THERE to HERE: which packet, where it begins, whether more follow, and its payload.
#[derive(Clone)]
struct Piece {
    id: u16,
    protocol: u8,
    offset: u16,
    more: bool,
    payload: Vec<u8>,
}

fn piece(offset: u16, more: bool, length: usize) -> Piece {
    // From port 1000 to 2000, if it is the first.
    let payload = [&[0x03, 0xe8, 0x07, 0xd0][..], &vec![0; length - 4]].concat();
    Piece { id: 7, protocol: UDP, offset, more, payload }
}

impl Piece {
    fn ipv4(&self) -> Vec<u8> {
        let length = u16::try_from(self.payload.len()).unwrap();
        let mut ip = Ipv4Header::new(length, 64, IpNumber(self.protocol), THERE, HERE).unwrap();
        (ip.identification, ip.dont_fragment, ip.more_fragments) = (self.id, false, self.more);
        ip.fragment_offset = IpFragOffset::try_new(self.offset / 8).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        [&ip.to_bytes()[..], &self.payload].concat()
    }

    fn ipv6(&self) -> Vec<u8> {
        let ip = Ipv6Header {
            payload_length: u16::try_from(self.payload.len() + 8).unwrap(),
            next_header: IpNumber(44),
            hop_limit: 64,
            source: THERE6,
            destination: HERE6,
            ..Ipv6Header::default()
        };
        let offset = IpFragOffset::try_new(self.offset / 8).unwrap();
        let fragment = Ipv6FragmentHeader::new(IpNumber(self.protocol), offset, self.more, self.id.into());
        [&ip.to_bytes()[..], &fragment.to_bytes(), &self.payload].concat()
    }
}

type Verdict = Result<(), DropReason>;

/// How a receiver whose SA carries only what goes to UDP or TCP port 2000 judges these, one after the other.
fn received(pieces: &[Piece], ipv6: bool) -> Vec<Verdict> {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let ours = vec![service("10.17.0.0/24", 0, (2000, 2000)), service("2001:db8:17::/64", 0, (2000, 2000))];
    let theirs = vec![net("10.0.0.0/8"), net("2001:db8::/32")];
    let sa = InboundSa::new(direction.config(ours, theirs)).unwrap();
    let open = |(number, piece): (usize, &Piece)| {
        let inner = if ipv6 { piece.ipv6() } else { piece.ipv4() };
        let mut packet = direction.forge_packet(number as u64 + 1, &inner);
        sa.opener(0).open(&mut packet, 0).map(|_| ())
    };
    pieces.iter().enumerate().map(open).collect()
}

fn both(pieces: &[Piece]) -> Vec<Verdict> {
    let (ipv4, ipv6) = (received(pieces, false), received(pieces, true));
    assert_eq!(ipv4, ipv6);
    ipv4
}

const OVERLAP: Verdict = Err(DropReason::FragmentOverlap);
const UNKNOWN: Verdict = Err(DropReason::FragmentWithoutPorts);

#[test]
fn the_fragments_of_what_may_pass_pass_and_only_they() {
    let good = [piece(0, true, 1400), piece(1400, true, 800), piece(2200, false, 5)];
    assert_eq!(both(&good), [Ok(()); 3]);
    assert_eq!(both(&[good[0].clone(), good[2].clone(), good[1].clone()]), [Ok(()); 3], "in any order");
    assert_eq!(both(&good[1..]), [UNKNOWN, UNKNOWN], "the first is missing");
    let mut other = piece(1400, false, 800);
    other.id = 8;
    assert_eq!(both(&[good[0].clone(), other]), [Ok(()), UNKNOWN], "of another packet");

    let mut elsewhere = good.clone();
    elsewhere[0].payload[2..4].copy_from_slice(&2001u16.to_be_bytes());
    assert_eq!(both(&elsewhere), [Err(DropReason::InboundSelector); 3], "to another port");
}

#[test]
fn what_was_put_together_is_forgotten() {
    let two = [piece(0, true, 1400), piece(1400, false, 8)];
    assert_eq!(both(&[&two[..], &two[1..]].concat()), [Ok(()), Ok(()), UNKNOWN]);
    assert_eq!(both(&[&two[..], &two[..]].concat()), [Ok(()); 4], "identifications come again");
}

#[test]
fn fragments_that_overlap_spoil_their_packet() {
    let first = || piece(0, true, 1400);
    // One that would be written over the start, over the end, and one that lies within.
    for (offset, length) in [(8, 8), (1392, 16), (8, 1400)] {
        let verdicts = both(&[first(), piece(offset, true, length), piece(1400, false, 8)]);
        assert_eq!(verdicts, [Ok(()), OVERLAP, OVERLAP], "{offset}");
    }
    // Behind the end, and another end.
    let verdicts = both(&[first(), piece(2800, false, 8), piece(2808, true, 8), piece(1400, true, 1400)]);
    assert_eq!(verdicts, [Ok(()), Ok(()), OVERLAP, OVERLAP]);
    let verdicts = both(&[first(), piece(2800, false, 8), piece(1600, false, 8)]);
    assert_eq!(verdicts, [Ok(()), Ok(()), OVERLAP]);
    // Nor does a new first fragment help.
    assert_eq!(both(&[first(), piece(8, true, 8), first()]), [Ok(()), OVERLAP, OVERLAP]);
    // The same twice is only dropped.
    let verdicts = both(&[first(), piece(1400, true, 8), piece(1400, true, 8), piece(1408, false, 8)]);
    assert_eq!(verdicts, [Ok(()), Ok(()), OVERLAP, Ok(())]);
}

#[test]
fn a_first_fragment_shows_the_whole_transport_header() {
    let first = |protocol, length| {
        let mut first = piece(0, true, length);
        first.protocol = protocol;
        both(&[first])[0]
    };
    assert_eq!(first(TCP, 16), Err(DropReason::TinyFragment));
    assert_eq!((first(TCP, 24), first(UDP, 8)), (Ok(()), Ok(())));
    let mut flags = piece(8, false, 16);
    flags.protocol = TCP;
    let mut ports = piece(0, true, 8);
    ports.protocol = TCP;
    assert_eq!(both(&[ports, flags]), [Err(DropReason::TinyFragment), UNKNOWN], "RFC 1858, section 3.1");
}

#[test]
fn fragments_of_no_packet_are_dropped() {
    let malformed = Err(DropReason::InnerMalformed);
    assert_eq!(both(&[piece(0, true, 1399)]), [malformed]);
    assert_eq!(both(&[piece(0, true, 1400), piece(65_528, false, 100)]), [Ok(()), malformed]);
    let mut empty = piece(1400, false, 8);
    empty.payload.clear();
    assert_eq!(both(&[piece(0, true, 1400), empty]), [Ok(()), malformed]);
}

#[test]
fn they_are_remembered_for_a_while_and_not_without_end() {
    let mut fragments = Fragments::new(3);
    let mut judge = |at: u64, piece: &Piece, id: u16| {
        let packet = Piece { id, ..piece.clone() }.ipv4();
        let judged = fragments.judge(at * SECOND, &packet, &InnerView::parse(&packet).unwrap());
        let shows = |view: InnerView| if view.ports() == Ports::Hidden { UNKNOWN } else { Ok(()) };
        (judged.and_then(shows), fragments.len())
    };
    let (first, later) = (piece(0, true, 1400), piece(1400, true, 8));
    for (id, length) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        assert_eq!(judge(u64::from(id), &first, id), (Ok(()), length));
    }
    assert_eq!(judge(5, &later, 1).0, UNKNOWN, "the oldest gave way");
    assert_eq!(judge(5, &later, 2).0, Ok(()));
    assert_eq!(judge(31, &later, 3).0, Ok(()));
    assert_eq!(judge(32, &later, 2), (UNKNOWN, 2), "after 30 s");
    // Begun anew, it lives on from then.
    assert_eq!(judge(32, &first, 3).0, Ok(()));
    assert_eq!(judge(60, &later, 3), (Ok(()), 1));
    for _ in 0..1_000 {
        let _ = judge(60, &first, 3);
    }
    assert_eq!(judge(91, &later, 3), (UNKNOWN, 0));
}

#[test]
fn the_sender_finds_the_way_of_the_first_fragment_for_the_others() {
    let sa = |remote| {
        let config = Direction::new(Suite::AES_128_GCM_16, false).config(vec![net("10.1.0.0/16")], remote);
        Arc::new(OutboundSa::new(config).unwrap())
    };
    let table = |sas: &[&Arc<OutboundSa>]| -> Table {
        let mut builder = TableBuilder::new();
        sas.iter().for_each(|sa| builder.outbound(Arc::clone(sa)));
        builder.build()
    };
    let everything = sa(vec![net("10.17.0.0/16")]);
    assert!(!table(&[&everything]).names_ports());
    let records = sa(vec![service("10.17.0.0/16", UDP, (2000, 2000))]);
    let table = table(&[&everything, &records]);
    assert!(table.names_ports());

    let mut fragments = Fragments::new(8);
    let mut way = |piece: &Piece| {
        let packet = piece.ipv4();
        let view = InnerView::parse(&packet).unwrap();
        let judged = fragments.judge(0, &packet, &view)?;
        table.outbound(&judged).map(|sa| Arc::ptr_eq(sa, &records))
    };
    let mut other = piece(0, true, 1400);
    (other.id, other.payload[3]) = (8, 0xd1);
    let mut others_end = piece(1400, false, 8);
    others_end.id = 8;
    assert_eq!(way(&piece(1400, false, 8)), Err(DropReason::FragmentWithoutPorts));
    assert_eq!((way(&piece(0, true, 1400)), way(&other)), (Ok(true), Ok(false)));
    assert_eq!((way(&others_end), way(&piece(1400, false, 8))), (Ok(false), Ok(true)));
}
