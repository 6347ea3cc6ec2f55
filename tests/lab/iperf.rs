//! iperf3: a real TCP client and server that know nothing of tunnels.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::process::{Process, run};
use super::wait::wait_until;

/// An iperf3 server on a host, ready for one client after the other.
pub struct Iperf {
    address: IpAddr,
    _server: Process,
    _scratch: TempDir,
}

impl Iperf {
    /// Starts the server and waits until it listens.
    pub fn serve(host: &Namespace, address: IpAddr) -> Self {
        let scratch = tempfile::tempdir().expect("make a directory for iperf3");
        let server = Process::start(host.command("iperf3").arg("--server"), &scratch.path().join("log"));
        wait_until(Duration::from_secs(5), "iperf3 to listen", || {
            run(host.command("ss").args(["--tcp", "--listening", "--numeric"])).contains(":5201")
        });
        Self { address, _server: server, _scratch: scratch }
    }

    /// Runs a client on another host and returns what arrived: `bytes`, `seconds`, `bits_per_second`.
    pub fn measure(&self, from: &Namespace, options: &[&str]) -> Value {
        let mut client = from.command("iperf3");
        let said = run(client.args(["--json", "--client"]).arg(self.address.to_string()).args(options));
        let report: Value = serde_json::from_str(&said).expect("iperf3 prints JSON");
        report["end"]["sum_received"].clone()
    }
}
