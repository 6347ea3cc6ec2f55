//! How fast the data path is, without negotiation: iperf3 and a UDP echo between two namespaces of this machine, over two
//! data paths with keys made by hand. `cargo bench --bench datapath [-- SECONDS]`; needs root and iperf3.
#![allow(clippy::expect_used, clippy::indexing_slicing, dead_code, missing_docs)]

#[path = "../tests/datapath/namespace.rs"]
mod namespace;
#[path = "../tests/datapath/site.rs"]
mod site;

use std::net::{IpAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use namespace::Namespace;
use site::{Site, connect};

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        println!("nothing is measured without `cargo bench`");
        return;
    }
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5);
    let (a, b) = Site::pair(false);
    connect(1, &a, &b);
    println!("without a tunnel");
    measure(&a.namespace, &b.namespace, b.place.outer, seconds);
    println!("through the data path, AES-256-GCM");
    measure(&a.namespace, &b.namespace, b.place.inner4, seconds);
    for (name, site) in [("sender", &a), ("receiver", &b)] {
        let drops: Vec<_> = site.data.drops().into_iter().filter(|(_, count)| *count > 0).collect();
        println!("  {name}: {:?}, drops {drops:?}", site.data.usage(1).expect("usage"));
    }
}

fn measure(client: &Namespace, server: &Namespace, address: IpAddr, seconds: u32) {
    let _server = Iperf::serve(server, address);
    for (name, options) in [("TCP, 1 stream", ""), ("TCP, 1 stream back", "-R"), ("TCP, 4 streams", "-P 4")] {
        let report = iperf(client, address, &format!("-t {seconds} {options}"));
        println!("  {name}: {:.2} Gb/s", number(&report, "sum_received", "bits_per_second") / 1e9);
    }
    let report = iperf(client, address, &format!("-t {seconds} -u -l 64 -b 0"));
    let packets = number(&report, "sum", "packets") - number(&report, "sum", "lost_packets");
    println!(
        "  UDP of 64 bytes: {:.0} thousand packets a second delivered",
        packets / f64::from(seconds) / 1e3
    );
    println!("  UDP round trip: {} µs (median)", round_trip(client, server, address).as_micros());
}

/// The median of two thousand, one after the other.
fn round_trip(client: &Namespace, server: &Namespace, address: IpAddr) -> Duration {
    const TIMES: usize = 2_000;
    let echo = server.run(|| UdpSocket::bind((address, 0)).expect("bind"));
    let target = echo.local_addr().expect("address");
    let socket = client.run(|| {
        let any = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).expect("bind");
        socket.connect(target).expect("connect");
        socket
    });
    for socket in [&socket, &echo] {
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("timeout");
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..TIMES {
                let (_, from) = echo.recv_from(&mut [0; 64]).expect("receive");
                echo.send_to(&[0; 64], from).expect("send");
            }
        });
        let mut times: Vec<_> = (0..TIMES)
            .map(|_| {
                let begin = Instant::now();
                socket.send(&[0; 64]).expect("send");
                socket.recv(&mut [0; 64]).expect("receive");
                begin.elapsed()
            })
            .collect();
        times.sort();
        times[TIMES / 2]
    })
}

/// The report of one run. A server that has not begun to listen, or still ends the run before, is asked again.
fn iperf(client: &Namespace, address: IpAddr, options: &str) -> serde_json::Value {
    let words: Vec<_> = options.split_whitespace().collect();
    for _ in 0..50 {
        let output = client.run(|| {
            let mut command = Command::new("iperf3");
            command
                .args(["-J", "-c", &address.to_string()])
                .args(&words)
                .output()
                .expect("iperf3 (package iperf3)")
        });
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report of iperf3");
        if report["error"].is_null() {
            return report;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("iperf3 does not serve {address}");
}

fn number(report: &serde_json::Value, part: &str, field: &str) -> f64 {
    report["end"][part][field]
        .as_f64()
        .unwrap_or_else(|| panic!("iperf3 reports no {part}.{field}: {report}"))
}

/// An iperf3 server, ended with the measurement.
struct Iperf(Child);

impl Iperf {
    fn serve(namespace: &Namespace, address: IpAddr) -> Self {
        let child = namespace.run(|| {
            let mut command = Command::new("iperf3");
            command.args(["-s", "-B", &address.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("iperf3 (package iperf3)")
        });
        Self(child)
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
