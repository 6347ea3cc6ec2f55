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

    /// From the wire; `None` for an empty range or OPAQUE ports, which we do not offer.
    pub fn from_wire(wire: &WireSelector) -> Option<Self> {
        let ports = wire.first_port..=wire.last_port;
        Self::new(wire.first, wire.last, Protocol(wire.protocol), ports).ok()
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

/// What both lists select, without what another entry of the result holds already.
pub fn narrow(offered: &[TrafficSelector], allowed: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut common: Vec<TrafficSelector> = Vec::new();
    for selector in offered.iter().flat_map(|a| allowed.iter().filter_map(move |b| a.intersection(b))) {
        if !common.iter().any(|have| have.contains(&selector)) {
            common.retain(|have| !selector.contains(have));
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
    #![allow(clippy::unwrap_used)]
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
}
