//! A line that loses a tenth of its packets: the tunnel comes up, is rekeyed, and loses no more than the line does.
//!
//! The measure is the numbered stream: TCP would tell of its own back-off, since a train that leaves the gateway as one
//! (UDP segmentation offload) is lost on this line as one.

use crate::lab::{Outer, Site, Tally, both_ways};
use crate::peers::{we_initiate, we_respond};

#[test]
fn a_tenth_is_lost_and_we_initiate() {
    let site = Site::new("loss_we_initiate");
    site.lose_percent(10);
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    assert_a_tenth(both_ways(&site, 0, || {
        sekisho.rekey_child();
        sekisho.rekey_ike();
    }));
    strongswan.await_up();
}

#[test]
fn a_tenth_is_lost_and_we_respond() {
    let site = Site::new("loss_we_respond");
    site.lose_percent(10);
    let (sekisho, strongswan) = we_respond(&site, Outer::V4, |_| {});
    assert_a_tenth(both_ways(&site, 1, || {
        strongswan.rekey_child();
        strongswan.rekey_ike();
    }));
    sekisho.await_up();
}

/// A stream has at least 2,000 packets, so that five points are seven standard deviations.
fn assert_a_tenth(tallies: [Tally; 2]) {
    for tally in tallies {
        let share = tally.lost * 100 / tally.sent;
        assert!((5..=15).contains(&share) && tally.duplicated == 0, "{share} % lost: {tally:?}");
    }
}
