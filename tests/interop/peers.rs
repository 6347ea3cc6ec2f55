//! How most scenarios begin: sekishod and strongSwan with a tunnel between them; and what they all ask at the end.

use crate::lab::{End, Gateway, Outer, Sekisho, Site, StrongSwan, Tunnel, transfer};

/// sekishod at a starts the tunnel to strongSwan at b, which accepts any address. `change` is applied to both ends.
pub fn we_initiate(site: &Site, outer: Outer, change: impl Fn(&mut Tunnel)) -> (Sekisho<'_>, StrongSwan<'_>) {
    let (mut here, mut there) = (Tunnel::at(site, End::A, outer), Tunnel::at(site, End::B, outer));
    (here.initiate, there.remote) = (true, None);
    change(&mut here);
    change(&mut there);
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &here);
    sekisho.await_up();
    strongswan.await_up();
    (sekisho, strongswan)
}

/// strongSwan at a starts the tunnel to sekishod at b, which accepts any address. `change` is applied to both ends.
pub fn we_respond(site: &Site, outer: Outer, change: impl Fn(&mut Tunnel)) -> (Sekisho<'_>, StrongSwan<'_>) {
    let (mut there, mut here) = (Tunnel::at(site, End::A, outer), Tunnel::at(site, End::B, outer));
    here.remote = None;
    change(&mut here);
    change(&mut there);
    let sekisho = Sekisho::start(&site.b, &here);
    let strongswan = StrongSwan::start(&site.a, &there);
    strongswan.initiate();
    sekisho.await_up();
    strongswan.await_up();
    (sekisho, strongswan)
}

/// TCP from each host to the other, inside IPv4 and IPv6, every byte compared.
pub fn assert_carries_tcp(site: &Site, kilobytes: u32) {
    for family in [0, 1] {
        let host = |side: &'_ Gateway| side.inside[family];
        let (a, b) = ((&site.a.host, host(&site.a)), (&site.b.host, host(&site.b)));
        let (up, down) = (transfer(a, b, kilobytes), transfer(b, a, kilobytes));
        println!("TCP inside IPv{}: {up:.0} Mb/s a to b, {down:.0} Mb/s b to a", [4, 6][family]);
    }
}
