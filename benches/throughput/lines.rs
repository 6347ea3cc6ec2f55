//! Our tunnels over other lines, and without UDP, and the same measurement over IPv4 in UDP beside them.

use crate::LINES;
use crate::contender::{Contender, Pair, without_udp};
use crate::lab::{Namespace, Outer, Site};
use crate::run::Run;

pub struct Lines<'a> {
    sites: &'a [Site; 4],
    _pairs: [Pair<'a>; 4],
}

impl<'a> Lines<'a> {
    pub fn start(sites: &'a [Site; 4]) -> Self {
        let [plain, ipv6_outside, nat, native] = sites;
        nat.masquerade();
        let in_udp = |site, outer| Contender::Sekisho.start(site, None, outer);
        let pairs = [
            in_udp(plain, Outer::V4),
            in_udp(ipv6_outside, Outer::V6),
            in_udp(nat, Outer::V4),
            without_udp(native),
        ];
        Self { sites, _pairs: pairs }
    }

    pub fn runs(&self) -> [Run<'a, Namespace>; 6] {
        let [plain, ipv6_outside, nat, native] = self.sites;
        [
            ("ipv4_tcp1_gbps", Contender::Sekisho, plain),
            ("ipv6_outside_tcp1_gbps", Contender::Sekisho, ipv6_outside),
            ("nat_tcp1_gbps", Contender::Sekisho, nat),
            ("native_tcp1_gbps", Contender::Sekisho, native),
            // What the line itself loses to a NAT.
            ("bare_tcp1_gbps", Contender::Bare, plain),
            ("bare_nat_tcp1_gbps", Contender::Bare, nat),
        ]
        .map(|(key, contender, site)| Run::new(LINES, key, [contender.ends(site, Outer::V4)], 1))
    }
}
