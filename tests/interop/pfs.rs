//! Rekeys with and without a key exchange of their own, of both SAs, by both ends, whoever began: no packet is lost.

use crate::lab::{Outer, Site, both_ways};
use crate::peers::{we_initiate, we_respond};

#[test]
fn with_perfect_forward_secrecy() {
    // ecp256 for the SAs of ESP and x25519 for that of IKE: nothing is taken from the one for the other.
    rekeys("pfs_on", ["aes256gcm16-ecp256-noesn"; 2], "own");
}

#[test]
fn without_perfect_forward_secrecy() {
    // strongSwan will have none; we would, and are allowed to do without.
    rekeys("pfs_off", ["aes256gcm16-ecp256-nopfs-noesn", "aes256gcm16-noesn"], "off");
}

fn rekeys(name: &'static str, [ours, theirs]: [&'static str; 2], pfs: &str) {
    for we_start in [true, false] {
        let site = Site::new(name);
        // We begin at a, and answer at b without knowing where the peer is.
        let (sekisho, strongswan) = if we_start {
            we_initiate(&site, Outer::V4, |t| t.esp_proposal = if t.initiate { ours } else { theirs })
        } else {
            we_respond(&site, Outer::V4, |t| t.esp_proposal = if t.remote.is_none() { ours } else { theirs })
        };
        let tallies = both_ways(&site, 0, || {
            sekisho.rekey_child();
            assert_eq!(sekisho.await_up()["children"][0]["pfs"], pfs, "a rekey by us");
            strongswan.rekey_ike();
            strongswan.rekey_child();
            assert_eq!(sekisho.await_up()["children"][0]["pfs"], pfs, "a rekey by strongSwan");
            sekisho.rekey_ike();
            strongswan.rekey_child();
            sekisho.rekey_child();
            assert_eq!(sekisho.await_up()["children"][0]["pfs"], pfs, "on an IKE SA that was rekeyed");
        });
        assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
    }
}
