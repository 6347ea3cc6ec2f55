//! The same data path with one worker and with two, between the same two peers, keys made by hand: what a second worker is
//! worth on this machine.

use std::net::IpAddr;

use sekisho::data::NewSa;
use sekisho_esp::{Selector, Suite};

use crate::measure::Ends;
use crate::namespace::Namespace;
use crate::site::{Place, Site, path, place, sas_between};

/// A site, and another that stands for two peers, each at an outer address and with a network of its own.
pub struct Peers {
    site: Site,
    peers: Site,
}

impl Peers {
    /// With so many workers; where there are two, each peer's SAs belong to another.
    pub fn new(workers: u8) -> Self {
        let (left, right) = (Namespace::new(), Namespace::new());
        left.cable("wire", &right);
        let (at_a, at_b) = (place(1, false), place(2, false));
        let site = Site::with_workers(left, at_a, at_b, workers);
        let peers = Site::with_workers(right, at_b, at_a, workers);
        let all = Self { site, peers };
        (0..2).for_each(|number| all.connect(number));
        all
    }

    /// From the site to each peer.
    pub fn ends(&self) -> [Ends<'_, Namespace>; 2] {
        let here = (&self.site.namespace, self.site.place.inner4);
        [0, 1].map(|number| Ends { here, there: (&self.peers.namespace, inside(number)) })
    }

    fn connect(&self, number: u8) {
        let [ours, theirs] = [self.site.place, self.peers.place];
        let there = Place { outer: IpAddr::from([192, 0, 2, 100 + number]), ..theirs };
        self.peers.namespace.ip(&format!("address add {}/24 dev wire", there.outer));
        self.peers.namespace.ip(&format!("address add {}/32 dev sekisho0", inside(number)));
        // So many suites further it is the same, AES-256-GCM-16, and the last byte of its SPIs of another parity.
        let id = 1 + u64::from(number) * Suite::ALL.len() as u64;
        let ranges = [
            selectors([10, 1, 0, 0], [10, 1, 255, 255]),
            selectors([10, 2, 10 + number, 0], [10, 2, 10 + number, 255]),
        ];
        let turned = [ranges[1].clone(), ranges[0].clone()];
        for (site, ways, sides) in [(&self.site, [ours, there], ranges), (&self.peers, [there, ours], turned)]
        {
            let (inbound, outbound) = sas_between(id, &sides, ways[0].outer < ways[1].outer);
            site.install_sa(NewSa {
                id,
                tunnel: id,
                policy: id,
                inbound,
                outbound,
                path: path(ways[0], ways[1]),
            });
            site.switch_outbound(id);
        }
    }
}

fn inside(number: u8) -> IpAddr {
    [10, 2, 10 + number, 1].into()
}

fn selectors(first: [u8; 4], last: [u8; 4]) -> Vec<Selector> {
    vec![Selector::new(first.into(), last.into(), 0, (0, u16::MAX)).expect("a selector")]
}
