//! Pools and internal addresses.

use sekisho_ike::config::InternalAddress;

use super::*;

const HUB: &str = "[tunnel.hub]
local_id = \"a.example\"
remote_id = \"hub.example\"
remote = \"192.0.2.1\"
psk_file = \"hub.psk\"
remote_networks = [\"10.0.0.0/16\", \"2001:db8::/48\"]
";

#[test]
fn who_asks_has_no_networks_and_starts_the_tunnel() {
    let config = judged(&format!("{HUB}internal_address = [\"ipv4\", \"ipv6\"]\n")).unwrap();
    let connection = &config.connections[0];
    assert_eq!(connection.internal_address, InternalAddress { ipv4: true, ipv6: true });
    assert!(connection.initiate && connection.children[0].local.is_empty());
    connection.check().unwrap();
    let lone =
        judged(&format!("{HUB}internal_address = \"ipv4\"\n").replace(", \"2001:db8::/48\"", "")).unwrap();
    assert_eq!(lone.connections[0].internal_address, InternalAddress { ipv4: true, ipv6: false });
}

#[test]
fn who_gives_names_pools_and_answers() {
    let examples = [example("mobile-hub.toml"), example("mobile.toml")];
    let [hub, mobile] = &examples;
    let names: Vec<_> = hub.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["technicians"]);
    assert_eq!((hub.pools[0].size(true), hub.pools[0].dns.len()), (254, 1));
    for connection in hub.connections.iter().chain(&mobile.connections) {
        connection.check().unwrap();
    }
    let four = &hub.connections[0];
    assert_eq!((four.pools.as_slice(), four.initiate), ([Name::from("technicians")].as_slice(), false));
    assert!(four.children[0].remote.is_empty());
    assert!(hub.warnings.is_empty() && mobile.warnings.is_empty(), "{:?}", hub.warnings);
}

#[test]
fn a_pool_beside_a_remote_peer_still_waits_for_it() {
    let text = "[pool.p]\naddresses = [\"10.9.0.0/24\"]\n[tunnel.t]\nlocal_id = \"a.example\"\nremote_id = \"b.example\"\nremote = \"192.0.2.1\"\npsk_file = \"t.psk\"\nlocal_networks = [\"10.0.0.0/16\"]\npool = \"p\"\n";
    let config = judged(text).unwrap();
    assert!(!config.connections[0].initiate);
    config.connections[0].check().unwrap();
}

#[test]
fn children_of_their_own_share_what_stands_for_their_networks() {
    let text = "[pool.p]\naddresses = [\"10.9.0.0/24\"]\n[tunnel.t]\nlocal_id = \"a.example\"\nremote_id = \"b.example\"\npsk_file = \"t.psk\"\npool = \"p\"\n[[tunnel.t.child]]\nname = \"one\"\nlocal_networks = [\"10.1.0.0/16\"]\n[[tunnel.t.child]]\nname = \"two\"\nlocal_networks = [\"10.2.0.0/16\"]\nremote_networks = [\"10.9.0.0/24[tcp]\"]\n";
    let config = judged(text).unwrap();
    let children = &config.connections[0].children;
    assert_eq!((children[0].remote.len(), children[1].remote.len()), (0, 1));
    config.connections[0].check().unwrap();
}
