//! Cookies (RFC 7296 §2.6): either side demands them of the other, which proves by one that it receives where it says.

use std::net::UdpSocket;
use std::time::Duration;

use sekisho_ike::wire::{Body, Datagram, NotifyType, Payload};

use crate::lab::{End, Outer, Sekisho, Site, StrongSwan, Tunnel, first_message, wait_until};
use crate::peers::{assert_carries_tcp, we_respond};

/// From the first message on, whatever is half open.
#[test]
fn strongswan_brings_the_cookie_that_we_demand() {
    for outer in [Outer::V4, Outer::V6] {
        let site = Site::new("cookies_demanded_by_us");
        let (sekisho, _strongswan) = we_respond(&site, outer, |tunnel| {
            // Of strongSwan's end this is the default.
            tunnel.cookie_threshold = tunnel.remote.is_none().then_some(0);
        });
        let drops = &sekisho.json(&["status"])["drops"];
        assert!(drops["ike_cookie_wanted"].as_u64().is_some_and(|count| count >= 1), "{drops}");
        assert_eq!(drops["ike_bad_cookie"], 0, "and the first that came was good: {drops}");
        assert_carries_tcp(&site, 100);
    }
}

/// strongSwan demands them once something is half open: a stranger sees to that.
#[test]
fn we_bring_the_cookie_that_strongswan_demands() {
    for outer in [Outer::V4, Outer::V6] {
        let site = Site::new("cookies_demanded_by_strongswan");
        let theirs = Tunnel { remote: None, cookie_threshold: Some(1), ..Tunnel::at(&site, End::B, outer) };
        let strongswan = StrongSwan::start(&site.b, &theirs);
        wait_until(Duration::from_secs(10), "strongSwan to demand a cookie", || demands_cookie(&site, outer));
        let ours = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, outer) };
        let sekisho = Sekisho::start(&site.a, &ours);
        let tunnel = sekisho.await_up();
        strongswan.await_up();
        assert_eq!(tunnel["attempts"], 0, "at the first attempt: {tunnel}");
        assert!(demands_cookie(&site, outer), "it demanded them of everyone all the while");
        sekisho.rekey_ike();
        assert_carries_tcp(&site, 100);
    }
}

/// Whether a stranger who begins without a cookie is asked for one.
fn demands_cookie(site: &Site, outer: Outer) -> bool {
    let message = first_message("aes256gcm16-prfsha384-x25519");
    let peer = site.b.outside[outer as usize];
    let answer = site.router.run(|| {
        let here = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(here).expect("a socket of the stranger");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        socket.send_to(&message, (peer, 500)).expect("send a first message");
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer).expect("an answer of strongSwan");
        answer.truncate(length);
        answer
    });
    let datagram = Datagram::parse(&answer).expect("an IKE message");
    let Body::Clear(payloads) = datagram.body else { panic!("IKE_SA_INIT is in clear") };
    payloads.iter().any(|p| matches!(p, Payload::Notify(notify) if notify.kind == NotifyType::COOKIE))
}
