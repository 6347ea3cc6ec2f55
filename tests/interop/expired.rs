//! A certificate of ours that has expired: its own tunnel does not come up, and no other is kept from coming up by it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use crate::certificates::host;
use crate::lab::{Authority, Belief, End, KeyKind, Outer, Proof, Request, Sekisho, Site, Tunnel, wait_until};
use crate::peers::assert_carries_tcp;

#[test]
fn a_reload_adds_a_tunnel_beside_one_whose_certificate_has_expired() {
    let site = Site::new("expired_reload");
    let root = Authority::root("Root");
    let valid = (-20, -2);
    let certificate = root.issue(&Request { valid, ..Request::of(host(End::A), KeyKind::P256) });
    let good = Tunnel { local_id: "clinic-18.example", ..Tunnel::at(&site, End::A, Outer::V4) };
    let mut expired = Tunnel {
        initiate: true,
        proof: Proof::by(&certificate),
        belief: Belief::Authorities(vec![root.certificate]),
        remote_id: "pharmacy-3.example",
        remote_networks: ["10.99.0.0/16", "2001:db8:99::/48"].map(str::to_owned).to_vec(),
        ..Tunnel::at(&site, End::A, Outer::V4)
    };
    let hub = Tunnel { remote: None, remote_id: good.local_id, ..Tunnel::at(&site, End::B, Outer::V4) };
    let hub = Sekisho::start(&site.b, &hub);
    let sekisho = Sekisho::start(&site.a, &expired);
    let alone = sekisho.tunnel();
    assert!(alone["certificate_days_left"].as_i64().expect("days") < 0, "it stands all the same: {alone}");

    let key = sekisho.configuration().with_file_name("good.psk");
    fs::write(&key, good.psk).expect("write the pre-shared key");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("close the pre-shared key");
    expired.more = added(&good);
    sekisho.rewrite(&expired);
    let reloaded = sekisho.json(&["reload"]);
    assert_eq!((&reloaded["added"], &reloaded["unchanged"]), (&json!(["good"]), &json!(["centre"])));
    assert!(reloaded["warnings"].to_string().contains("expired on"), "{reloaded}");

    hub.await_up();
    let state = |name: &str| {
        let status = sekisho.json(&["status"]);
        let tunnels = status["tunnels"].as_array().expect("tunnels");
        tunnels.iter().find(|tunnel| tunnel["name"] == name).expect("the tunnel")["state"].clone()
    };
    wait_until(Duration::from_secs(10), "the added tunnel to be up", || state("good") == "up");
    assert_carries_tcp(&site, 100);
    assert_ne!(state("centre"), "up");
    let judged = sekisho.try_command(&["check", sekisho.configuration().to_str().expect("a path")]);
    assert!(!judged.status.success(), "before a start it is an error to be mended: {judged:?}");
}

/// In the configuration.
fn added(tunnel: &Tunnel) -> String {
    let Tunnel { local_id, remote_id, local_networks, remote_networks, .. } = tunnel;
    let (ike, esp) = (tunnel.ike_proposal, tunnel.esp_proposal);
    let remote = tunnel.remote.expect("an address of the hub");
    format!(
        r#"
[tunnel.good]
local_id = "{local_id}"
remote_id = "{remote_id}"
remote = "{remote}"
psk_file = "good.psk"
local_networks = {local_networks:?}
remote_networks = {remote_networks:?}
ike_proposals = ["{ike}"]
esp_proposals = ["{esp}"]
retry_first = "1s"
start = "always"
"#
    )
}
