//! A program that knows nothing of us: iperf3 through the tunnel, both ways.

use crate::lab::{Capture, Iperf, Outer, Site};
use crate::peers::we_initiate;

const BYTES: u64 = 20_000_000;

#[test]
fn iperf3_both_ways() {
    let site = Site::new("real_client_iperf3");
    let capture = Capture::start(&site);
    let (_sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let server = Iperf::serve(&site.b.host, site.b.inside[0]);
    for direction in [&[][..], &["--reverse"][..]] {
        let arrived = server.measure(&site.a.host, &[direction, &["--bytes", &BYTES.to_string()]].concat());
        println!("iperf3 {direction:?}: {arrived}");
        // What is still on its way when the sender has done does not count.
        assert!(arrived["bytes"].as_u64().is_some_and(|bytes| bytes >= BYTES / 2), "{arrived}");
    }
    capture.finish().assert_no_clear_text();
}
