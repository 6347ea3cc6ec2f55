//! Rekeys under a stream of 1,000 packets a second in each direction: none is lost, and nothing is left over.

use std::time::Duration;

use crate::lab::{Outer, Sekisho, Site, StrongSwan, both_ways, wait_until};
use crate::peers::{we_initiate, we_respond};

#[test]
fn child_sa_by_us() {
    rekey("rekey_child_by_us", |sekisho, _| sekisho.rekey_child());
}

#[test]
fn child_sa_by_strongswan() {
    rekey("rekey_child_by_strongswan", |_, strongswan| strongswan.rekey_child());
}

#[test]
fn ike_sa_by_us() {
    rekey("rekey_ike_by_us", |sekisho, _| sekisho.rekey_ike());
}

#[test]
fn ike_sa_by_strongswan() {
    rekey("rekey_ike_by_strongswan", |_, strongswan| strongswan.rekey_ike());
}

/// Short lifetimes at both ends, so that both rekey both SAs by themselves.
#[test]
fn both_sas_by_time() {
    let site = Site::new("rekey_by_time");
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        let ours = tunnel.initiate;
        (tunnel.child_lifetime_s, tunnel.ike_lifetime_s) = if ours { (300, 300) } else { (3, 5) };
    });
    let before = (strongswan.ike_spis(), strongswan.child_spis());
    let tallies = both_ways(&site, 0, || {
        wait_until(Duration::from_secs(15), "both SAs to be replaced", || {
            let now = (strongswan.ike_spis(), strongswan.child_spis());
            now.0.len() == 1 && now.1.len() == 1 && now.0 != before.0 && now.1 != before.1
        });
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
    // A Child SA that was replaced goes on receiving for a while, so there may be several; one is sent on.
    let tunnel = sekisho.tunnel();
    let sending = |child: &&serde_json::Value| child["sending"] == true;
    assert_eq!(tunnel["children"].as_array().into_iter().flatten().filter(sending).count(), 1, "{tunnel:#}");
}

/// Twice in each role: the end that did not start the SA must be able to replace it too, and a replaced one again.
fn rekey(name: &'static str, again: impl Fn(&Sekisho, &StrongSwan)) {
    for we_start in [true, false] {
        let site = Site::new(name);
        let (sekisho, strongswan) = if we_start {
            we_initiate(&site, Outer::V4, |_| {})
        } else {
            we_respond(&site, Outer::V4, |_| {})
        };
        let tallies = both_ways(&site, 0, || {
            again(&sekisho, &strongswan);
            again(&sekisho, &strongswan);
        });
        assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
        let tunnel = sekisho.await_up();
        strongswan.await_up();
        assert_eq!(tunnel["ike"]["spi_i"], strongswan.ike_spis()[0], "both speak of the same IKE SA");
        assert_eq!(tunnel["children"][0]["spi_out"], strongswan.child_spis()[0], "and of the same Child SA");
    }
}
