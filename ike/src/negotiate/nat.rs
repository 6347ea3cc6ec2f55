//! NAT detection (RFC 7296 §2.23): each end sends hashes of the addresses that it sees.

use std::net::{IpAddr, SocketAddr};

use crate::config::Encapsulation;
use crate::crypto::sha1;
use crate::event::NatStatus;
use crate::path::Path;
use crate::wire::{IkeSpi, Notify, NotifyType};

/// SHA-1(SPIs | address | port): not a secret and not a proof of anything.
fn hash(spi_i: IkeSpi, spi_r: IkeSpi, address: SocketAddr) -> [u8; 20] {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(v4) => sha1(&[&spi_i.0, &spi_r.0, &v4.octets(), &port]),
        IpAddr::V6(v6) => sha1(&[&spi_i.0, &spi_r.0, &v6.octets(), &port]),
    }
}

/// An address with a port that nothing comes from.
fn nowhere(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}

/// The two notifications for a message that goes along `path`. To force UDP encapsulation our own hash is made
/// one that cannot match, so that the peer believes in a NAT before us; but one that knows how it is made.
pub fn notifies(spi_i: IkeSpi, spi_r: IkeSpi, path: Path, encapsulation: Encapsulation) -> [Notify; 2] {
    let source = match encapsulation {
        Encapsulation::Detected => path.local,
        Encapsulation::Forced => nowhere(path.local),
    };
    [
        Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, hash(spi_i, spi_r, source)),
        Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, hash(spi_i, spi_r, path.remote)),
    ]
}

/// What the peer's hashes in a message that came along `path` say. Without any the peer does no NAT traversal: `None` if we
/// need it.
pub fn detect(
    notifies: &[Notify],
    spi_i: IkeSpi,
    spi_r: IkeSpi,
    path: Path,
    encapsulation: Encapsulation,
) -> Option<NatStatus> {
    let forced = encapsulation == Encapsulation::Forced;
    let of = |kind| notifies.iter().filter(move |n| n.kind == kind).map(|n| n.data.as_slice());
    let mut sources = of(NotifyType::NAT_DETECTION_SOURCE_IP).peekable();
    let asks = hash(spi_i, spi_r, nowhere(path.remote));
    let there_asks = sources.clone().any(|h| h == asks);
    let mut destinations = of(NotifyType::NAT_DETECTION_DESTINATION_IP).peekable();
    if sources.peek().is_none() || destinations.peek().is_none() {
        return (!forced).then(NatStatus::default);
    }
    let remote = hash(spi_i, spi_r, path.remote);
    let local = hash(spi_i, spi_r, path.local);
    let (there, here) = (sources.all(|h| h != remote), destinations.all(|h| h != local));
    Some(NatStatus { here, there, there_asks, forced })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(local: &str, remote: &str) -> Path {
        Path::udp(local.parse().expect("address"), remote.parse().expect("address"))
    }

    const DETECTED: Encapsulation = Encapsulation::Detected;

    fn seen(here: bool, there: bool) -> NatStatus {
        NatStatus { here, there, ..NatStatus::default() }
    }

    #[test]
    fn a_nat_shows_on_the_side_where_it_is() {
        let (i, r) = (IkeSpi([1; 8]), IkeSpi::ZERO);
        let sent = notifies(i, r, path("10.0.0.1:500", "192.0.2.1:500"), DETECTED);
        let direct = path("192.0.2.1:500", "10.0.0.1:500");
        let detect = |path| detect(&sent, i, r, path, DETECTED);
        assert_eq!(detect(direct), Some(seen(false, false)));
        assert!(!detect(direct).unwrap().encapsulates());
        assert_eq!(detect(path("192.0.2.1:500", "203.0.113.9:1024")), Some(seen(false, true)));
        assert_eq!(detect(path("172.16.0.1:500", "10.0.0.1:500")), Some(seen(true, false)));
    }

    #[test]
    fn a_peer_without_nat_traversal_will_do_unless_we_need_it() {
        let path = path("192.0.2.1:500", "10.0.0.1:500");
        let detect = |encapsulation| detect(&[], IkeSpi([1; 8]), IkeSpi::ZERO, path, encapsulation);
        assert_eq!(detect(DETECTED), Some(seen(false, false)));
        assert_eq!(detect(Encapsulation::Forced), None);
    }

    #[test]
    fn forcing_encapsulation_looks_like_a_nat_before_us() {
        let (i, r) = (IkeSpi([1; 8]), IkeSpi([2; 8]));
        let (ours, theirs) = ("[2001:db8::1]:500", "[2001:db8::2]:500");
        let sent = notifies(i, r, path(ours, theirs), Encapsulation::Forced);
        let asked = NatStatus { there_asks: true, ..seen(false, true) };
        assert_eq!(detect(&sent, i, r, path(theirs, ours), DETECTED), Some(asked));
        let behind_a_nat = path(theirs, "[2001:db8:9::1]:500");
        assert_eq!(detect(&sent, i, r, behind_a_nat, DETECTED), Some(seen(false, true)));
        let answer = notifies(i, r, path(theirs, ours), DETECTED);
        let status = detect(&answer, i, r, path(ours, theirs), Encapsulation::Forced).unwrap();
        assert_eq!(status, NatStatus { forced: true, ..NatStatus::default() });
        assert!(status.encapsulates());
    }
}
