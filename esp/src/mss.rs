//! Clamps the maximum segment size that TCP announces, so that no segment is too big for the tunnel (RFC 9293
//! §3.7.1).

use crate::checksum;
use crate::inner::{Fragment, InnerView, TCP};

const SYN: u8 = 0x02;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// Lowers the MSS option of a TCP SYN to what fits `inner_mtu` (40 bytes less for IPv4, 60 for IPv6) and says
/// whether it did. Any other packet stays as it is, and so does a SYN without the option, which asks for less than
/// any tunnel carries. The checksum must be complete already.
pub fn clamp(packet: &mut [u8], inner_mtu: u16) -> bool {
    let Ok(inner) = InnerView::parse(packet) else { return false };
    if inner.protocol() != TCP || inner.fragment() == Fragment::Later {
        return false;
    }
    let headers = if inner.source().is_ipv4() { 40 } else { 60 };
    packet
        .get_mut(inner.header_length()..inner.total_length())
        .and_then(|segment| clamp_segment(segment, inner_mtu.saturating_sub(headers)))
        .is_some()
}

fn clamp_segment(segment: &mut [u8], mss: u16) -> Option<()> {
    let header = segment.first_chunk::<20>()?;
    if header[13] & SYN == 0 {
        return None;
    }
    let checksum = u16::from_be_bytes([header[16], header[17]]);
    let header_length = usize::from(header[12] >> 4) * 4;
    let at = header.len() + find_mss(segment.get(header.len()..header_length)?)?;
    let field = segment.get_mut(at..at + 2)?.first_chunk_mut::<2>()?;
    let announced = u16::from_be_bytes(*field);
    if announced <= mss {
        return None;
    }
    *field = mss.to_be_bytes();
    // At an odd offset its bytes belong to two words, each in the other half.
    let (before, after) =
        if at % 2 == 0 { (announced, mss) } else { (announced.swap_bytes(), mss.swap_bytes()) };
    let checksum = checksum::replace(checksum, before, after);
    segment.get_mut(16..18)?.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// Where among the options the value of the MSS option lies.
fn find_mss(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at..)? {
            [OPTION_MSS, 4, _, _, ..] => return Some(at + 2),
            [] | [OPTION_END, ..] => return None,
            [OPTION_NOP, ..] => at += 1,
            [_, length @ 2..=u8::MAX, ..] => at += usize::from(length),
            [_, ..] => return None,
        }
    }
}
