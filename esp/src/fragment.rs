//! Cuts an IPv4 packet that is too big for the tunnel and may be cut, before it is sealed (RFC 791 §3.2, RFC 4301 §8.1):
//! its receiver puts it together again, and no packet outside is a fragment.

use crate::checksum::Sum;
use crate::drop_reason::DropReason;
use crate::format::Layout;
use crate::inner::InnerView;
use crate::offload::segment::Train;

/// Bytes that an offset counts.
const UNIT: usize = 8;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// The bit of an option's type that says that each fragment carries it.
const COPIED: u8 = 0x80;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;

/// Cuts `packet` into fragments of at most `mtu` bytes, laid into `out` for an SA with this layout. Its checksums must be
/// complete; if it is a fragment itself, so are its parts. A packet that fits becomes a train of one.
///
/// # Errors
/// Those of [`crate::InnerView::parse`]; [`DropReason::TooBig`] if nobody may fragment it, or `mtu` is too small for any
/// fragment; [`DropReason::InnerMalformed`] if it would end beyond what an offset can say; [`DropReason::NoRoom`] if
/// `out` is shorter than [`Train::sealed_length`].
pub fn fragment(layout: Layout, packet: &[u8], mtu: usize, out: &mut [u8]) -> Result<Train, DropReason> {
    let inner = InnerView::parse(packet)?;
    let packet = packet.get(..inner.total_length()).ok_or(DropReason::InnerLength)?;
    let cut = Cut::new(&inner, packet, mtu)?;
    let train = cut.train(layout);
    let out = out.get_mut(..train.sealed_length()).ok_or(DropReason::NoRoom)?;
    for (number, place) in train.packets().enumerate() {
        cut.write(number, out.get_mut(place).ok_or(DropReason::NoRoom)?)?;
    }
    Ok(train)
}

/// A packet and how it is cut.
struct Cut<'p> {
    header: &'p [u8],
    payload: &'p [u8],
    /// Bytes of payload a fragment; not 0, and a multiple of [`UNIT`] if there are several.
    size: usize,
    /// Flags and offset as they are in the packet.
    flags: u16,
}

impl<'p> Cut<'p> {
    fn new(inner: &InnerView, packet: &'p [u8], mtu: usize) -> Result<Self, DropReason> {
        let length = if inner.source().is_ipv4() { inner.header_length() } else { packet.len() };
        let (header, payload) = packet.split_at_checked(length).ok_or(DropReason::InnerMalformed)?;
        let flags = header.get(6..8).and_then(|field| field.first_chunk()).copied();
        let flags = flags.map(u16::from_be_bytes).ok_or(DropReason::InnerMalformed)?;
        if packet.len() <= mtu {
            return Ok(Self { header, payload, size: payload.len().max(1), flags });
        }
        // "every internet module must be able to forward a datagram of 68 octets" (RFC 791 §3.2): room for eight bytes.
        let size = mtu.saturating_sub(header.len()) / UNIT * UNIT;
        if inner.dont_fragment() || size == 0 {
            return Err(DropReason::TooBig);
        }
        let end = usize::from(flags & OFFSET) + payload.len().div_ceil(UNIT);
        if end > usize::from(OFFSET) + 1 {
            return Err(DropReason::InnerMalformed);
        }
        Ok(Self { header, payload, size, flags })
    }

    fn train(&self, layout: Layout) -> Train {
        let count = self.payload.len().div_ceil(self.size).max(1);
        let length = self.header.len() + self.size.min(self.payload.len());
        let last_length = self.header.len() + self.payload.len() - (count - 1) * self.size;
        Train { count, stride: layout.sealed_length(length), length, last_length, layout }
    }

    /// Writes the fragment of this number, from 0, into the place that has its length.
    fn write(&self, number: usize, place: &mut [u8]) -> Result<(), DropReason> {
        let start = number * self.size;
        let end = self.payload.len().min(start + self.size);
        let payload = self.payload.get(start..end).ok_or(DropReason::NoRoom)?;
        let total = u16::try_from(place.len()).map_err(|_| DropReason::NoRoom)?;
        let (header, rest) = place.split_at_mut_checked(self.header.len()).ok_or(DropReason::NoRoom)?;
        header.copy_from_slice(self.header);
        rest.get_mut(..payload.len()).ok_or(DropReason::NoRoom)?.copy_from_slice(payload);
        if end == self.payload.len() && start == 0 {
            return Ok(());
        }
        if start > 0 {
            blank_options(header.get_mut(20..).unwrap_or_default());
        }
        let more = if end < self.payload.len() { MORE_FRAGMENTS } else { self.flags & MORE_FRAGMENTS };
        let step = u16::try_from(start / UNIT).map_err(|_| DropReason::InnerMalformed)?;
        let offset = (self.flags & OFFSET).checked_add(step).ok_or(DropReason::InnerMalformed)?;
        let flags = self.flags & !(DONT_FRAGMENT | MORE_FRAGMENTS | OFFSET) | more | offset;
        finish_header(header, total, flags)
    }
}

fn finish_header(header: &mut [u8], total: u16, flags: u16) -> Result<(), DropReason> {
    let fixed = header.first_chunk_mut::<20>().ok_or(DropReason::InnerMalformed)?;
    [fixed[2], fixed[3]] = total.to_be_bytes();
    [fixed[6], fixed[7]] = flags.to_be_bytes();
    [fixed[10], fixed[11]] = [0; 2];
    let checksum = Sum::default().add(header).complement();
    let field = header.get_mut(10..12).ok_or(DropReason::InnerMalformed)?;
    field.copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Options that are not copied give way to "no operation": so all headers have one length, and the fragments but the last
/// too. What cannot be read is the end of the list.
fn blank_options(mut options: &mut [u8]) {
    loop {
        let length = match *options {
            [OPTION_NOP, ..] => 1,
            [OPTION_END, ..] | [] => return,
            [_, length @ 2..=u8::MAX, ..] if usize::from(length) <= options.len() => length.into(),
            _ => return options.fill(OPTION_END),
        };
        let Some((option, rest)) = options.split_at_mut_checked(length) else { return };
        if option.first().is_some_and(|kind| kind & COPIED == 0) {
            option.fill(OPTION_NOP);
        }
        options = rest;
    }
}
