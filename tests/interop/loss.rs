//! A line that loses a tenth of its packets: the tunnel comes up, is rekeyed by both ends, and carries.

use crate::lab::{Outer, Site};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

#[test]
fn a_tenth_is_lost_and_we_initiate() {
    let site = Site::new("loss_we_initiate");
    site.lose_percent(10);
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    sekisho.rekey_child();
    sekisho.rekey_ike();
    strongswan.await_up();
    assert_carries_tcp(&site, 100);
}

#[test]
fn a_tenth_is_lost_and_we_respond() {
    let site = Site::new("loss_we_respond");
    site.lose_percent(10);
    let (sekisho, strongswan) = we_respond(&site, Outer::V4, |_| {});
    strongswan.rekey_child();
    strongswan.rekey_ike();
    sekisho.await_up();
    assert_carries_tcp(&site, 100);
}
