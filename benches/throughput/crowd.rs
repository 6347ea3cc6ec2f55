//! The same data path with one SA and with ten thousand, keys made by hand: what looking an SA up costs.

use std::net::IpAddr;
use std::thread;

use sekisho::data::NewSa;

use crate::measure::Ends;
use crate::namespace::Namespace;
use crate::site::{self, Place, Site, connect};

/// Two data paths of this process, in namespaces of their own.
pub struct Crowd {
    sites: [Site; 2],
}

impl Crowd {
    /// With one SA that is used, and so many of other networks beside it.
    pub fn new(others: u32) -> Self {
        let (a, b) = Site::pair(false);
        thread::scope(|scope| {
            for site in [&a, &b] {
                scope.spawn(move || {
                    (0..others).for_each(|number| install(site, number));
                    site.data.publish();
                });
            }
        });
        connect(1, &a, &b);
        Self { sites: [a, b] }
    }

    /// Through the SA that is used.
    pub fn ends(&self) -> Ends<'_, Namespace> {
        let [here, there] = self.sites.each_ref().map(|site| (&site.namespace, site.place.inner4));
        Ends { here, there }
    }
}

/// An SA to a network that nobody sends to.
fn install(site: &Site, number: u32) {
    let remote = elsewhere(number);
    let id = u64::from(number) + 100;
    let (inbound, outbound) = site::sas(id, site.place, remote);
    let path = site::path(site.place, remote);
    site.data.install(NewSa { id, tunnel: id, policy: id, inbound, outbound, path });
    site.data.switch_outbound(id);
}

fn elsewhere(number: u32) -> Place {
    let outer = IpAddr::from((0xc633_0000 + number).to_be_bytes());
    let inner4 = IpAddr::from((0x6400_0001 + (number << 16)).to_be_bytes());
    let inner6 = IpAddr::from(((0x2002_0000 + u128::from(number)) << 96 | 1).to_be_bytes());
    Place { outer, inner4, inner6 }
}
