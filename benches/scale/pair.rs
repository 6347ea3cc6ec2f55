//! The data path's SAs of a Child SA, as the daemon makes them.

use sekisho_esp::{AesKey, GcmTag, InboundSa, Keymat, OutboundSa, SaConfig, Selector, Suite};
use sekisho_ike::event::{ChildSaParameters, DirectionKeys};
use sekisho_ike::negotiate::TrafficSelector;

/// Both directions.
pub struct Pair {
    _inbound: InboundSa,
    _outbound: OutboundSa,
}

impl Pair {
    pub fn new(child: &ChildSaParameters) -> Self {
        Self {
            _inbound: InboundSa::new(direction(child, &child.inbound)).expect("an SA"),
            _outbound: OutboundSa::new(direction(child, &child.outbound)).expect("an SA"),
        }
    }
}

fn direction(child: &ChildSaParameters, keys: &DirectionKeys) -> SaConfig {
    SaConfig {
        spi: keys.spi.0,
        suite: Suite::AesGcm(AesKey::Bits256, GcmTag::Octets16),
        keymat: Keymat::new(keys.keymat.expose().to_vec()),
        esn: true,
        local: selectors(&child.local),
        remote: selectors(&child.remote),
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 1024,
        packet_limit: None,
    }
}

fn selectors(selectors: &[TrafficSelector]) -> Vec<Selector> {
    let one = |ts: &TrafficSelector| {
        let ports = (*ts.ports().start(), *ts.ports().end());
        Selector::new(ts.first(), ts.last(), ts.protocol().0, ports).expect("a selector")
    };
    selectors.iter().map(one).collect()
}
