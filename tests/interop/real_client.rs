//! A program that knows nothing of us: iperf3 through the tunnel, both ways.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Capture, Outer, Process, Site, run, wait_until};
use crate::peers::we_initiate;

const BYTES: u64 = 20_000_000;

#[test]
fn iperf3_both_ways() {
    let site = Site::new("real_client_iperf3");
    let capture = Capture::start(&site);
    let (_sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let scratch = tempfile::tempdir().expect("make a directory");
    let _server =
        Process::start(site.b.host.command("iperf3").arg("--server"), &scratch.path().join("iperf3.log"));
    wait_until(Duration::from_secs(5), "iperf3 to listen", || {
        run(site.b.host.command("ss").args(["--tcp", "--listening", "--numeric"])).contains(":5201")
    });
    for direction in ["--client", "--reverse --client"] {
        let mut client = site.a.host.command("iperf3");
        client.args(direction.split(' ')).arg(site.b.inside[0].to_string());
        let said = run(client.args(["--bytes", &BYTES.to_string(), "--json"]));
        let report: Value = serde_json::from_str(&said).expect("iperf3 prints JSON");
        let received = &report["end"]["sum_received"];
        println!("iperf3 {direction}: {received}");
        assert!(received["bytes"].as_u64().is_some_and(|bytes| bytes >= BYTES * 9 / 10), "{received}");
    }
    capture.finish().assert_no_clear_text();
}
