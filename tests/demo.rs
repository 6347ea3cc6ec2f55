//! The demonstration and its parts. Needs root, or user namespaces for everybody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sekisho::demo::lab::{DATA_CENTRE, FACILITY, Lab, WAN};
use sekisho::demo::node::Order;
use sekisho::demo::traffic::{Marker, ping, stream, tcp};
use sekisho::demo::witness::Sightings;
use serde_json::Value;

const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");

fn watch(lab: &mut Lab, marker: Marker) {
    let protected = vec![FACILITY.network(), DATA_CENTRE.network()];
    let order = Order::Watch { interface: WAN.to_owned(), marker, protected };
    lab.facility.gateway.ask::<()>(&order).unwrap();
}

fn sightings(lab: &mut Lab) -> Sightings {
    lab.facility.gateway.ask(&Order::Sightings).unwrap()
}

fn ping(lab: &mut Lab, marker: Marker) -> ping::Echoes {
    let plan = ping::Plan { count: 3, patience_ms: 1000, marker };
    lab.facility.host.ask(&Order::Ping { to: DATA_CENTRE.host.into(), plan }).unwrap()
}

/// A lab whose lines carry: on a busy machine those of a moment ago still lose what is sent first.
fn settled_lab() -> Lab {
    let mut lab = Lab::build(Path::new(SEKISHO)).unwrap();
    let marker = Marker::random().unwrap();
    assert!((0..10).any(|_| ping(&mut lab, marker).received == 3), "the lines do not carry");
    lab
}

#[test]
fn the_witness_sees_every_packet_in_clear_text_and_none_that_is_not_there() {
    let mut lab = settled_lab();
    let (marker, other) = (Marker::random().unwrap(), Marker::random().unwrap());

    watch(&mut lab, marker);
    assert_eq!(ping(&mut lab, marker).received, 3);
    let seen = sightings(&mut lab);
    assert_eq!((seen.marked, seen.clear_text, seen.missed), (6, 6, 0), "3 requests and 3 replies: {seen:?}");

    // Without the marker, the protected addresses still give clear text away.
    watch(&mut lab, other);
    assert_eq!(ping(&mut lab, marker).received, 3);
    let seen = sightings(&mut lab);
    assert_eq!((seen.marked, seen.clear_text), (0, 6), "{seen:?}");
}

#[test]
fn a_tcp_stream_is_compared_byte_by_byte() {
    let mut lab = settled_lab();
    let (marker, other) = (Marker::random().unwrap(), Marker::random().unwrap());
    let address = DATA_CENTRE.host_port(7000);
    let until = tcp::Limit { milliseconds: 10_000, bytes: 2_000_000 };

    watch(&mut lab, marker);
    lab.centre.host.ask::<()>(&Order::ReceiveTcp { at: address, marker }).unwrap();
    let sent: u64 = lab.facility.host.ask(&Order::SendTcp { to: address, marker, until }).unwrap();
    let received: tcp::Received = lab.centre.host.ask(&Order::TcpReceived).unwrap();
    assert!(received.intact && received.bytes == sent && sent >= until.bytes, "{received:?}, {sent} sent");
    assert!(sightings(&mut lab).marked > 0);

    lab.centre.host.ask::<()>(&Order::ReceiveTcp { at: address, marker: other }).unwrap();
    // The receiver may hang up on the first wrong byte while we still send.
    let _ = lab.facility.host.ask::<u64>(&Order::SendTcp { to: address, marker, until });
    let received: tcp::Received = lab.centre.host.ask(&Order::TcpReceived).unwrap();
    assert!(!received.intact, "other content than expected must not count as intact");
}

#[test]
fn a_packet_that_does_not_arrive_is_counted_as_lost() {
    let mut lab = settled_lab();
    let marker = Marker::random().unwrap();
    let (here, there) = (FACILITY.host_port(7000), DATA_CENTRE.host_port(7000));
    lab.facility.host.ask::<()>(&Order::OpenStream { at: here, to: there, marker }).unwrap();
    lab.centre.host.ask::<()>(&Order::OpenStream { at: there, to: here, marker }).unwrap();
    // One way only: what the data centre waits for is there, what the facility waits for never comes.
    lab.facility.host.ask::<()>(&Order::StartStream).unwrap();
    let sent: u64 = lab.facility.host.ask(&Order::StopStream).unwrap();
    let at_centre: stream::Arrived = lab.centre.host.ask(&Order::StreamArrived { sent }).unwrap();
    let at_facility: stream::Arrived = lab.facility.host.ask(&Order::StreamArrived { sent: 5 }).unwrap();
    assert!(sent > 0);
    assert_eq!((at_centre.lost, at_centre.duplicates), (0, 0));
    assert_eq!(at_facility.lost, 5);
}

#[test]
fn everything_that_the_demonstration_claims_holds() {
    let output = Command::new(SEKISHO).args(["demo", "--json"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
    assert!(output.status.success(), "{words}");
    assert_eq!(report["ok"], true, "{words}");
    for zero in ["packets_lost_child_rekey", "packets_lost_ike_rekey", "cleartext_packets"] {
        assert_eq!(report[zero], 0, "{zero}: {words}");
    }
    for positive in ["tcp_gbps", "ping_rtt_us", "tunnel_up_ms", "esp_packets"] {
        assert!(report[positive].as_f64().is_some_and(|number| number > 0.0), "{positive}: {words}");
    }
}

#[test]
fn nothing_outlives_a_demonstration_that_is_killed() {
    let mut demo = Command::new(SEKISHO)
        .args(["demo", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = wait_for(|| Some(descendants(demo.id())).filter(|found| found.len() >= 4));
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_for(|| started.iter().all(|pid| !is_running(*pid)).then_some(()));
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn is_running(pid: u32) -> bool {
    // A zombie holds no namespace any more; whether it is reaped is its new parent's affair.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z')))
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "it did not happen within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
