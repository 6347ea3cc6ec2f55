//! The answer to a packet that does not fit the tunnel: ICMP "fragmentation needed" (RFC 792, RFC 1191) or `ICMPv6`
//! "packet too big" (RFC 4443 §3.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::{Sum, pseudo_header};
use crate::drop_reason::DropReason;
use crate::inner::{Fragment, ICMP, ICMPV6, InnerView, Ports};

/// Bytes of an answer at most.
pub const LENGTH: usize = 1280;

/// What every IPv6 path carries (RFC 8200 §5): no answer may ask for less.
const IPV6_MINIMUM_MTU: u16 = 1280;
/// Bytes of an answer over IPv4 at most (RFC 1812 §4.3.2.3).
const IPV4_LENGTH: usize = 576;
/// IP header and ICMP header of an answer.
const IPV4_HEADERS: usize = 28;
const IPV6_HEADERS: usize = 48;

/// Writes the answer to `packet` into `out` and gives its length. It comes from the address that `packet` was going
/// to, which the reverse path filter expects on the TUN, and goes to its sender.
///
/// An IPv6 packet of up to 1,280 bytes and an IPv4 packet without DF get no answer: send them, and let the outer
/// packet be fragmented.
///
/// # Errors
/// [`DropReason::TooBig`] if the RFCs forbid an answer (to ICMP errors, later fragments, multicast, packets that may
/// be fragmented); those of [`crate::InnerView::parse`]; [`DropReason::NoRoom`] if `out` has fewer than [`LENGTH`]
/// bytes.
pub fn answer(packet: &[u8], mtu: u16, out: &mut [u8]) -> Result<usize, DropReason> {
    let inner = InnerView::parse(packet)?;
    let packet = packet.get(..inner.total_length()).ok_or(DropReason::InnerLength)?;
    if !inner.dont_fragment() || inner.fragment() == Fragment::Later || is_icmp_error(&inner) {
        return Err(DropReason::TooBig);
    }
    let out = out.get_mut(..LENGTH).ok_or(DropReason::NoRoom)?;
    match (inner.source(), inner.destination()) {
        (IpAddr::V4(to), IpAddr::V4(from)) if unicast_ipv4(to) && unicast_ipv4(from) => {
            write_ipv4(packet, (from, to), mtu, out)
        }
        (IpAddr::V6(to), IpAddr::V6(from))
            if unicast_ipv6(to) && unicast_ipv6(from) && packet.len() > IPV6_MINIMUM_MTU.into() =>
        {
            write_ipv6(packet, (from, to), mtu.max(IPV6_MINIMUM_MTU), out)
        }
        _ => Err(DropReason::TooBig),
    }
}

fn write_ipv4(
    packet: &[u8],
    (from, to): (Ipv4Addr, Ipv4Addr),
    mtu: u16,
    out: &mut [u8],
) -> Result<usize, DropReason> {
    let (out, length, [t0, t1]) = quote(packet, IPV4_HEADERS, IPV4_LENGTH, out)?;
    let (header, icmp) = out.split_first_chunk_mut::<20>().ok_or(DropReason::NoRoom)?;
    // Internetwork control, identification 0 under DF, 64 hops.
    *header = [0x45, 0xc0, t0, t1, 0, 0, 0x40, 0, 64, ICMP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let checksum = Sum::default().add(header).complement();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let [m0, m1] = mtu.to_be_bytes();
    finish_icmp(Sum::default(), icmp, [3, 4, 0, 0, 0, 0, m0, m1])?;
    Ok(length)
}

fn write_ipv6(
    packet: &[u8],
    (from, to): (Ipv6Addr, Ipv6Addr),
    mtu: u16,
    out: &mut [u8],
) -> Result<usize, DropReason> {
    let (out, length, _) = quote(packet, IPV6_HEADERS, LENGTH, out)?;
    let (header, icmp) = out.split_first_chunk_mut::<40>().ok_or(DropReason::NoRoom)?;
    let [l0, l1] = u16::try_from(icmp.len()).map_err(|_| DropReason::NoRoom)?.to_be_bytes();
    *header = [0; 40];
    header[..8].copy_from_slice(&[0x60, 0, 0, 0, l0, l1, ICMPV6, 64]);
    header[8..24].copy_from_slice(&from.octets());
    header[24..40].copy_from_slice(&to.octets());
    let [m0, m1] = mtu.to_be_bytes();
    let pseudo = pseudo_header(header, ICMPV6, icmp.len());
    finish_icmp(pseudo, icmp, [2, 0, 0, 0, 0, 0, m0, m1])?;
    Ok(length)
}

/// Copies the start of `packet` behind `headers` bytes; gives the answer's bytes, their number, and that number as
/// it is written into a header.
fn quote<'o>(
    packet: &[u8],
    headers: usize,
    limit: usize,
    out: &'o mut [u8],
) -> Result<(&'o mut [u8], usize, [u8; 2]), DropReason> {
    let length = limit.min(headers + packet.len());
    let out = out.get_mut(..length).ok_or(DropReason::NoRoom)?;
    let place = out.get_mut(headers..).ok_or(DropReason::NoRoom)?;
    place.copy_from_slice(packet.get(..place.len()).ok_or(DropReason::NoRoom)?);
    Ok((out, length, u16::try_from(length).map_err(|_| DropReason::NoRoom)?.to_be_bytes()))
}

/// Writes the ICMP header, then its checksum.
fn finish_icmp(pseudo_header: Sum, icmp: &mut [u8], header: [u8; 8]) -> Result<(), DropReason> {
    *icmp.first_chunk_mut::<8>().ok_or(DropReason::NoRoom)? = header;
    let checksum = pseudo_header.add(icmp).complement();
    let field = icmp.get_mut(2..4).ok_or(DropReason::NoRoom)?;
    field.copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Errors and redirects, to which nobody answers (RFC 1122 §3.2.2, RFC 4443 §2.4 e).
fn is_icmp_error(inner: &InnerView) -> bool {
    let Ports::Known { source: type_and_code, .. } = inner.ports() else { return false };
    match (inner.protocol(), type_and_code >> 8) {
        (ICMP, kind) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (ICMPV6, kind) => kind < 128 || kind == 137,
        _ => false,
    }
}

fn unicast_ipv4(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.octets()[0] >= 224)
}

fn unicast_ipv6(address: Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}
