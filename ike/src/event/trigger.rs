//! The packet for which a Child SA is set up (RFC 7296 §2.9).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::limits;
use crate::negotiate::{Protocol, TrafficSelector};

/// The addresses, protocol and ports of a packet, as two traffic selectors that hold it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    local: TrafficSelector,
    remote: TrafficSelector,
}

impl Trigger {
    /// Of a packet from us to the peer's side. Without `ports`, the sender's first, of them all. `None` if it is of two address
    /// families, or if ports are named and no protocol.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, ports: Option<(u16, u16)>) -> Option<Self> {
        let range =
            |port: Option<u16>| -> RangeInclusive<u16> { port.map_or(0..=u16::MAX, |port| port..=port) };
        let selector =
            |address, port| TrafficSelector::new(address, address, Protocol(protocol), range(port)).ok();
        let local = selector(source, ports.map(|(source, _)| source))?;
        let remote = selector(destination, ports.map(|(_, destination)| destination))?;
        (local.is_ipv4() == remote.is_ipv4()).then_some(Self { local, remote })
    }

    /// Both sides with this packet first: "the initiator SHOULD include as the first Traffic Selector in each of `TSi` and `TSr` a
    /// very specific Traffic Selector including the addresses in the packet triggering the request". Unchanged if it is not for
    /// this child, or if the peer might not read one more.
    pub(crate) fn before(
        &self,
        local: &[TrafficSelector],
        remote: &[TrafficSelector],
    ) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
        let holds = |side: &[TrafficSelector], own: &TrafficSelector| side.iter().any(|s| s.contains(own));
        let room = local.len().max(remote.len()) < limits::SELECTORS;
        if !room || !holds(local, &self.local) || !holds(remote, &self.remote) {
            return (local.to_vec(), remote.to_vec());
        }
        let first = |own: &TrafficSelector, side: &[TrafficSelector]| {
            std::iter::once(own).chain(side.iter().filter(|s| *s != own)).cloned().collect()
        };
        (first(&self.local, local), first(&self.remote, remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<TrafficSelector> {
        text.split_whitespace().map(|text| text.parse().expect(text)).collect()
    }

    fn trigger(source: &str, destination: &str, protocol: u8, ports: Option<(u16, u16)>) -> Trigger {
        let address = |text: &str| text.parse().expect(text);
        Trigger::new(address(source), address(destination), protocol, ports).expect("a packet")
    }

    fn texts(sides: (Vec<TrafficSelector>, Vec<TrafficSelector>)) -> [String; 2] {
        [sides.0, sides.1].map(|side| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_packet_comes_before_what_is_configured() {
        let (local, remote) = (list("10.17.0.0/24 2001:db8:17::/64"), list("10.0.0.0/16"));
        let of = |trigger: &Trigger| texts(trigger.before(&local, &remote));
        assert_eq!(
            of(&trigger("10.17.0.5", "10.0.9.1", 6, Some((40_000, 443)))),
            ["10.17.0.5[tcp/40000] 10.17.0.0/24 2001:db8:17::/64", "10.0.9.1[tcp/443] 10.0.0.0/16"]
        );
        assert_eq!(
            of(&trigger("10.17.0.5", "10.0.9.1", 50, None)),
            ["10.17.0.5[50] 10.17.0.0/24 2001:db8:17::/64", "10.0.9.1[50] 10.0.0.0/16"]
        );
        let unchanged = ["10.17.0.0/24 2001:db8:17::/64", "10.0.0.0/16"];
        assert_eq!(of(&trigger("10.18.0.5", "10.0.9.1", 6, None)), unchanged, "it is for another child");
    }

    #[test]
    fn what_is_configured_so_is_not_said_twice() {
        let (local, remote) = (list("10.17.0.6 10.17.0.5"), list("10.0.9.1"));
        let all = trigger("10.17.0.5", "10.0.9.1", 0, None);
        assert_eq!(texts(all.before(&local, &remote)), ["10.17.0.5 10.17.0.6", "10.0.9.1"]);
    }

    #[test]
    fn a_full_list_stays_as_it_is_and_two_families_are_no_packet() {
        let many: Vec<_> = (0..64).map(|n| format!("10.{n}.0.0/16").parse().expect("a network")).collect();
        let packet = trigger("10.3.0.1", "10.5.0.1", 17, Some((1, 2)));
        assert_eq!(packet.before(&many, &many).0.len(), 64);
        let mixed = ["10.3.0.1", "2001:db8::1"].map(|text| text.parse().expect(text));
        assert_eq!(Trigger::new(mixed[0], mixed[1], 17, None), None);
    }
}
