//! Lengths and checksums of a packet whose size has changed. Each takes a packet whose headers were checked.

use crate::checksum::{Sum, pseudo_header};
use crate::inner::{TCP, UDP};

/// TCP flags (RFC 9293 §3.1).
pub(super) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const URG: u8 = 0x20;
    pub(crate) const CWR: u8 = 0x80;
}

/// Writes the length of `packet` into its IP header of `header_length` bytes, adds `id_step` to the identification
/// of IPv4 and completes the header's checksum.
pub(super) fn set_ip_length(packet: &mut [u8], header_length: usize, id_step: u16) {
    let total = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let Some(header) = packet.get_mut(..header_length) else { return };
    if let Some(ipv6) = header.first_chunk_mut::<40>().filter(|header| header[0] >> 4 == 6) {
        [ipv6[4], ipv6[5]] = total.saturating_sub(40).to_be_bytes();
        return;
    }
    if let Some(ipv4) = header.first_chunk_mut::<20>() {
        let id = u16::from_be_bytes([ipv4[4], ipv4[5]]).wrapping_add(id_step);
        [ipv4[2], ipv4[3]] = total.to_be_bytes();
        [ipv4[4], ipv4[5]] = id.to_be_bytes();
        [ipv4[10], ipv4[11]] = [0; 2];
    }
    let checksum = Sum::default().add(header).complement();
    if let Some(ipv4) = header.first_chunk_mut::<20>() {
        [ipv4[10], ipv4[11]] = checksum.to_be_bytes();
    }
}

/// Computes the checksum of the TCP segment or UDP datagram at `transport` and writes it.
pub(super) fn complete_transport_checksum(packet: &mut [u8], transport: usize, protocol: u8) {
    let pseudo = pseudo_header(packet, protocol, packet.len().saturating_sub(transport));
    complete_checksum_over(pseudo, packet, transport, protocol);
}

/// The same over a pseudo-header whose sum is known.
pub(super) fn complete_checksum_over(pseudo: Sum, packet: &mut [u8], transport: usize, protocol: u8) {
    write_transport_checksum(packet, transport, protocol, 0);
    let checksum = pseudo.add(packet.get(transport..).unwrap_or_default()).complement();
    // "If the computed checksum is zero, it is transmitted as all ones" (RFC 768).
    let checksum = if checksum == 0 && protocol == UDP { 0xffff } else { checksum };
    write_transport_checksum(packet, transport, protocol, checksum);
}

/// Writes what `NEEDS_CSUM` expects: the sum of the pseudo-header alone, not complemented.
pub(super) fn partial_transport_checksum(packet: &mut [u8], transport: usize, protocol: u8) {
    let sum = pseudo_header(packet, protocol, packet.len().saturating_sub(transport)).fold();
    write_transport_checksum(packet, transport, protocol, sum);
}

/// The sum over pseudo-header, header and data; its complement is zero if the checksum is right.
pub(super) fn transport_sum(packet: &[u8], transport: usize, protocol: u8) -> Sum {
    let covered = packet.get(transport..).unwrap_or_default();
    pseudo_header(packet, protocol, covered.len()).add(covered)
}

/// Where the checksum lies in a TCP or UDP header.
pub(super) const fn checksum_offset(protocol: u8) -> u16 {
    if protocol == TCP { 16 } else { 6 }
}

/// Writes the length of all from `transport` on into the UDP header there.
pub(super) fn set_udp_length(packet: &mut [u8], transport: usize) {
    let Some(datagram) = packet.get_mut(transport..) else { return };
    let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
    if let Some(header) = datagram.first_chunk_mut::<8>() {
        [header[4], header[5]] = length.to_be_bytes();
    }
}

fn write_transport_checksum(packet: &mut [u8], transport: usize, protocol: u8, checksum: u16) {
    let at = transport + usize::from(checksum_offset(protocol));
    if let Some(field) = packet.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}
