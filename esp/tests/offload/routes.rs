//! Packets whose IP headers are longer than they need be: extension headers, options, and ways by others first.

use super::common::tcp::plain_sum;

const ROUTING: u8 = 43;
/// Whom a packet goes to first.
const FIRST6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77];
const FIRST4: [u8; 4] = [10, 1, 77, 77];

/// An IPv6 packet with these extension headers (type, and how many times 8 bytes it is longer than 8), and by how much it is
/// longer. `first`: if there is a routing header, it goes to somebody else first (RFC 8200 §4.4).
pub(crate) fn extended(packet: &[u8], extensions: &[(u8, usize)], first: bool) -> (Vec<u8>, u16) {
    let mut next = packet[6];
    let mut headers = Vec::new();
    for (kind, longer) in extensions.iter().rev() {
        let mut header = vec![0; 8 + longer * 8];
        (header[0], header[1]) = (next, u8::try_from(*longer).unwrap());
        if *kind == ROUTING {
            // Of a type for experiments (RFC 4727), with or without segments left.
            (header[2], header[3]) = (253, first.into());
        } else {
            // One option that fills the rest (§4.2).
            (header[2], header[3]) = (1, u8::try_from(header.len() - 4).unwrap());
        }
        headers = [header, headers].concat();
        next = *kind;
    }
    let mut packet = [&packet[..40], &headers, &packet[40..]].concat();
    packet[6] = next;
    let length = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    if first && extensions.iter().any(|(kind, _)| *kind == ROUTING) {
        packet[24..40].copy_from_slice(&FIRST6);
    }
    (packet, u16::try_from(headers.len()).unwrap())
}

/// An IPv4 packet with so many words of options, at least two, and by how many bytes it is longer. `first`: one of them is a source
/// route, by which it goes to somebody else first (RFC 791 §3.1).
pub(crate) fn with_options(packet: &[u8], words: usize, first: bool) -> (Vec<u8>, u16) {
    // "No operation".
    let mut options = vec![1; words * 4];
    if first {
        // Loose, of one more hop, and the end of the list.
        options[..8].copy_from_slice(&[131, 7, 4, packet[16], packet[17], packet[18], packet[19], 0]);
    }
    let mut packet = [&packet[..20], &options, &packet[20..]].concat();
    packet[0] += u8::try_from(words).unwrap();
    let length = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    if first {
        packet[16..20].copy_from_slice(&FIRST4);
    }
    packet[10..12].fill(0);
    let checksum = !plain_sum(&packet[..20 + options.len()]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    (packet, u16::try_from(options.len()).unwrap())
}
