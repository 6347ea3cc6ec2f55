//! What a datagram on the UDP encapsulation port is (RFC 3948 §2, RFC 7296 §2.23).

use crate::drop_reason::DropReason;
use crate::format::SHORTEST;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// An IKE message; its bytes, without the non-ESP marker.
    Ike(&'a [u8]),
    /// An ESP packet, the datagram as a whole.
    Esp {
        /// Its SPI, 256 or more.
        spi: u32,
    },
    /// A NAT keepalive: nothing to do.
    Keepalive,
    /// Neither.
    Garbage(DropReason),
}

/// Bytes before an IKE message on the UDP encapsulation port.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The only byte of a NAT keepalive.
pub const KEEPALIVE: u8 = 0xff;

/// Tells what a datagram is. It decides nothing on authenticity, and does not know which suite an SPI has.
pub fn classify(datagram: &[u8]) -> Datagram<'_> {
    if datagram == [KEEPALIVE] {
        return Datagram::Keepalive;
    }
    match datagram.split_first_chunk::<4>() {
        None | Some((_, [])) => Datagram::Garbage(DropReason::Truncated),
        Some((&NON_ESP_MARKER, message)) => Datagram::Ike(message),
        Some((&spi, _)) => match u32::from_be_bytes(spi) {
            ..256 => Datagram::Garbage(DropReason::ReservedSpi),
            _ if datagram.len() < SHORTEST => Datagram::Garbage(DropReason::Truncated),
            spi => Datagram::Esp { spi },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ike_esp_keepalives_and_garbage_are_told_apart() {
        let esp = [&[0xc0, 1, 2, 3][..], &[0; 40]].concat();
        assert_eq!(classify(&[0xff]), Datagram::Keepalive);
        assert_eq!(classify(&[0, 0, 0, 0, 9, 9]), Datagram::Ike(&[9, 9]));
        assert_eq!(classify(&esp), Datagram::Esp { spi: 0xc001_0203 });
        for short in [&[][..], &[0], &[0xff, 0xff], &[0; 3], &[0; 4], &[1, 0, 0, 0], &esp[..25]] {
            assert_eq!(classify(short), Datagram::Garbage(DropReason::Truncated), "{short:?}");
        }
        for spi in [1u32, 2, 255] {
            let datagram = [&spi.to_be_bytes()[..], &[0; 40]].concat();
            assert_eq!(classify(&datagram), Datagram::Garbage(DropReason::ReservedSpi));
        }
    }
}
