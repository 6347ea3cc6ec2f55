//! Our daemon goes away and comes back: nothing crosses in clear meanwhile, and the tunnel returns by itself.

use std::net::UdpSocket;

use crate::lab::{Capture, Outer, Sekisho, Site};
use crate::peers::{assert_carries_tcp, we_initiate};

#[test]
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path is not general over lifetimes"
)]
fn after_an_orderly_end() {
    restart("restart_orderly", |sekisho| sekisho.stop());
}

#[test]
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path is not general over lifetimes"
)]
fn after_a_crash() {
    restart("restart_crash", |sekisho| sekisho.kill());
}

/// The control experiment for the other two: without the blackhole that `unprotect` removes, clear text would cross.
#[test]
fn only_unprotect_opens_the_way() {
    let site = Site::new("restart_unprotect");
    let (mut sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let refused = sekisho.try_command(&["unprotect"]);
    assert_eq!(refused.status.code(), Some(1), "`unprotect` beside a running daemon: {refused:?}");
    sekisho.stop();
    strongswan.await_down();
    let removed = sekisho.try_command(&["unprotect"]);
    assert!(removed.status.success(), "`unprotect`: {removed:?}");
    let capture = Capture::start(&site);
    speak_into_the_void(&site);
    let crossed = capture.finish();
    assert!(crossed.marked >= 100, "clear text reaches the Internet now: {crossed:?}");
}

fn restart(name: &'static str, end: impl FnOnce(&mut Sekisho)) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let (mut sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let before = sekisho.await_up();
    end(&mut sekisho);
    speak_into_the_void(&site);

    sekisho.restart();
    sekisho.await_up_again(&before);
    strongswan.await_up();
    assert_carries_tcp(&site, 1_000);
    capture.finish().assert_no_clear_text();
}

/// Host a sends 100 marked datagrams of each family to host b; none needs to arrive.
fn speak_into_the_void(site: &Site) {
    for family in [0, 1] {
        let (from, to) = (site.a.inside[family], site.b.inside[family]);
        site.a.host.run(|| {
            let socket = UdpSocket::bind((from, 0)).expect("bind a UDP socket");
            for _ in 0..100 {
                // An ICMP error that came back shows up here; it is one way of being refused.
                let _ = socket.send_to(&site.marker(), (to, 9));
            }
        });
    }
}
