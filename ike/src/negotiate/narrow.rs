//! Narrowing: what of the peer's traffic selectors we let pass (RFC 7296 §2.9).

use super::selector::{Protocol, TrafficSelector};
use crate::limits;
use crate::wire::WireSelector;

impl TrafficSelector {
    /// As it stands on the wire.
    pub fn to_wire(&self) -> WireSelector {
        WireSelector {
            protocol: self.protocol().0,
            first_port: *self.ports().start(),
            last_port: *self.ports().end(),
            first: self.first(),
            last: self.last(),
        }
    }

    /// From the wire; `None` for an empty range or OPAQUE ports, which we do not offer, and for ports of what has none: "For
    /// protocols for which port is undefined (including protocol 0) … this field MUST be zero", the last port 65535 (§3.13.1).
    pub fn from_wire(wire: &WireSelector) -> Option<Self> {
        let (protocol, ports) = (Protocol(wire.protocol), wire.first_port..=wire.last_port);
        if !protocol.has_ports() && ports != (0..=u16::MAX) {
            return None;
        }
        Self::new(wire.first, wire.last, protocol, ports).ok()
    }
}

/// The selectors of a payload that we can use, no more than [`limits::SELECTORS`] of them.
pub fn from_wire(wire: &[WireSelector]) -> Vec<TrafficSelector> {
    wire.iter().filter_map(TrafficSelector::from_wire).take(limits::SELECTORS).collect()
}

/// For the wire.
pub fn to_wire(selectors: &[TrafficSelector]) -> Vec<WireSelector> {
    selectors.iter().map(TrafficSelector::to_wire).collect()
}

/// What both lists select, without what another entry of the result holds already. RFC 7296 §2.9: "If the responder's policy
/// allows it to accept the first selector of `TSi` and `TSr`, then the responder MUST narrow the Traffic Selectors to a subset
/// that includes the initiator's first choices": what holds the first stays first, however long the lists are.
pub fn narrow(offered: &[TrafficSelector], allowed: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut common: Vec<TrafficSelector> = Vec::new();
    for selector in offered.iter().flat_map(|a| allowed.iter().filter_map(move |b| a.intersection(b))) {
        if common.iter().any(|have| have.contains(&selector)) {
            continue;
        }
        let mut placed = false;
        common.retain_mut(|have| {
            let held = selector.contains(have);
            if held && !placed {
                have.clone_from(&selector);
            }
            let stays = !held || !placed;
            placed |= held;
            stays
        });
        if !placed {
            common.push(selector);
        }
    }
    common.truncate(limits::SELECTORS);
    common
}

/// Whether every selector of an answer lies within what we offered.
pub fn is_within(answer: &[TrafficSelector], offered: &[TrafficSelector]) -> bool {
    !answer.is_empty() && answer.iter().all(|a| offered.iter().any(|o| o.contains(a)))
}

/// A list for a diagnosis.
pub fn describe(selectors: &[TrafficSelector]) -> String {
    selectors.iter().map(TrafficSelector::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<TrafficSelector> {
        text.split(' ').filter(|t| !t.is_empty()).map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn a_responder_narrows_to_what_it_allows() {
        assert_eq!(
            narrow(&list("0.0.0.0/0 ::/0"), &list("10.1.0.0/16 2001:db8::/32")),
            list("10.1.0.0/16 2001:db8::/32")
        );
        assert_eq!(narrow(&list("10.0.0.5 10.0.0.0/24"), &list("10.0.0.0/16")), list("10.0.0.0/24"));
        assert_eq!(
            narrow(&list("10.0.0.0/24"), &list("10.0.0.0/24[tcp/443] 10.0.0.0/24[udp/53]")),
            list("10.0.0.0/24[tcp/443] 10.0.0.0/24[udp/53]")
        );
        assert_eq!(narrow(&list("10.0.0.0/24"), &list("192.168.0.0/24")), []);
    }

    /// RFC 7296 §2.9: the addresses of the packet that had the initiator ask come first.
    #[test]
    fn the_initiators_first_choice_is_kept_however_long_the_lists_are() {
        let allowed = list("10.0.0.0/8 172.16.0.0/12");
        let mut offered = list("10.1.1.1[tcp/443]");
        let others = (0..=u8::MAX).map(|n| format!("172.16.{n}.0/24").parse().expect("a selector"));
        offered.extend(others);
        offered.extend(list("10.1.0.0/16"));
        let narrowed = narrow(&offered, &allowed);
        assert_eq!(narrowed.len(), limits::SELECTORS);
        assert!(narrowed.first().is_some_and(|first| first.contains(&offered[0])), "{narrowed:?}");
    }

    #[test]
    fn an_initiator_accepts_only_what_it_offered() {
        assert!(is_within(&list("10.0.0.0/25 10.0.0.200"), &list("10.0.0.0/24")));
        assert!(!is_within(&list("10.0.0.0/23"), &list("10.0.0.0/24")));
        assert!(!is_within(&[], &list("10.0.0.0/24")));
    }

    #[test]
    fn the_wire_form_reads_back_and_opaque_ports_do_not() {
        for selector in list("10.0.0.0/24[tcp/443] ::/0 10.0.0.5-10.0.0.9[udp]") {
            assert_eq!(TrafficSelector::from_wire(&selector.to_wire()), Some(selector));
        }
        let opaque =
            WireSelector { first_port: u16::MAX, last_port: 0, ..list("10.0.0.1[tcp]")[0].to_wire() };
        assert_eq!(TrafficSelector::from_wire(&opaque), None);
    }

    /// RFC 7296 §3.13.1.
    #[test]
    fn ports_of_what_has_none_are_no_selector() {
        let wire = |protocol, first_port, last_port| WireSelector {
            protocol,
            first_port,
            last_port,
            ..list("10.0.0.0/24")[0].to_wire()
        };
        for (protocol, first, last, is_one) in [
            (0, 0, u16::MAX, true),
            (0, 443, 443, false),
            (0, 0, 0, false),
            (47, 0, u16::MAX, true),
            (47, 0, 0, false),
            (50, 1, u16::MAX, false),
            // Echo request and all of its codes; a later fragment; a Mobility Header.
            (1, 0x0800, 0x08ff, true),
            (6, u16::MAX, 0, false),
            (135, 5 << 8, 5 << 8, true),
        ] {
            let read = TrafficSelector::from_wire(&wire(protocol, first, last));
            assert_eq!(read.is_some(), is_one, "{protocol} {first}-{last}");
        }
    }
}
