//! When children start, whom a tunnel is for, and how many tunnels a peer may have.

use sekisho_ike::config::{Child, Childless, Start, Uniqueness};
use sekisho_ike::identity::RemoteId;

use super::*;

/// The only tunnel of a text that is good and not warned of.
fn tunnel(text: &str) -> Connection {
    let config = judged(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, []);
    let [connection] = config.connections.as_slice() else { panic!("one tunnel") };
    (**connection).clone()
}

fn starts(connection: &Connection) -> Vec<&'static str> {
    connection.children.iter().map(|child| start_word(connection, child)).collect()
}

#[test]
fn a_tunnel_is_started_where_the_peer_is_known_unless_it_says_otherwise() {
    let remote = format!("{TUNNEL}remote = \"203.0.113.1\"\n");
    for (text, start) in [
        (TUNNEL.to_owned(), "listen"),
        (remote.clone(), "always"),
        (format!("{remote}start = \"always\"\n"), "always"),
        (format!("{remote}start = \"on-demand\"\n"), "on-demand"),
        (format!("{remote}start = \"listen\"\n"), "listen"),
        (format!("{TUNNEL}start = \"listen\"\n"), "listen"),
    ] {
        let connection = tunnel(&text);
        assert_eq!(starts(&connection), [start], "{text}");
        assert_eq!(connection.initiate, start != "listen", "{text}");
    }
}

#[test]
fn children_start_as_they_say_or_else_as_their_tunnel_does() {
    let top = "[tunnel.t]\nlocal_id = \"a.example\"\nremote_id = \"b.example\"\npsk_file = \"t.psk\"\nremote = \"b.example\"\nstart = \"on-demand\"\ninactivity = \"10m\"\n";
    let child = |number: u8, more: &str| {
        format!(
            "[[tunnel.t.child]]\nname = \"c{number}\"\nlocal_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.{number}.0.0/16\"]\n{more}"
        )
    };
    let text = [
        top.to_owned(),
        child(1, ""),
        child(2, "start = \"always\"\n"),
        child(3, "start = \"listen\"\n"),
        child(4, "inactivity = \"1h\"\n"),
    ];
    let connection = tunnel(&text.concat());
    assert_eq!(starts(&connection), ["on-demand", "always", "listen", "on-demand"]);
    let inactivity = |child: &Child| child.inactivity.map(|time| time.as_secs());
    assert_eq!(
        connection.children.iter().map(inactivity).collect::<Vec<_>>(),
        [Some(600), None, None, Some(3600)]
    );
    assert_eq!(connection.children[2].start, Start::Listen);
    assert!(connection.initiate);
}

#[test]
fn a_peer_is_unique_and_may_be_without_a_child_as_configured() {
    let plain = tunnel(TUNNEL);
    assert_eq!((plain.unique, plain.childless), (Uniqueness::Replace, Childless::Allowed));
    for (word, unique) in
        [("replace", Uniqueness::Replace), ("keep", Uniqueness::Keep), ("never", Uniqueness::Never)]
    {
        assert_eq!(tunnel(&format!("{TUNNEL}unique = \"{word}\"\n")).unique, unique);
    }
    for (word, childless) in
        [("never", Childless::Never), ("allowed", Childless::Allowed), ("preferred", Childless::Preferred)]
    {
        assert_eq!(tunnel(&format!("{TUNNEL}childless = \"{word}\"\n")).childless, childless);
    }
}

#[test]
fn a_tunnel_may_be_for_many_peers() {
    let many = |id: &str| {
        tunnel(&format!(
            "[tunnel.t]\nremote_id = \"{id}\"\ncertificate = \"clinic-17.pem\"\nprivate_key = \"clinic-17.key\"\nauthorities = [\"root.pem\"]\nlocal_networks = [\"10.0.0.0/16\"]\nremote_networks = [\"10.128.0.0/9\"]\n"
        ))
    };
    for any in ["any", "*", "%any"] {
        assert_eq!(many(any).remote_id, RemoteId::Any, "{any}");
    }
    for pattern in ["*.clinic.example", "*@clinic.example", "C=JP, O=Clinic, CN=*"] {
        let connection = many(pattern);
        assert_eq!(connection.remote_id.to_string(), pattern);
        assert!(connection.remote_id.exact().is_none() && !connection.initiate);
    }
}

/// What is good in every key, and will not do what it is meant to.
fn warned(text: &str) -> String {
    let config = judged(text).unwrap_or_else(|error| panic!("{error}"));
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    warning.message.clone()
}

#[test]
fn a_name_that_only_the_tunnel_could_look_up_is_warned_of() {
    let everything = TUNNEL.replace("10.0.0.0/16", "0.0.0.0/0");
    assert_ne!(everything, TUNNEL);
    let message = warned(&format!("{everything}remote = [\"203.0.113.1\", \"hub.example\"]\n"));
    assert_eq!(message, "`hub.example` is a name, and the tunnel that is to lead to it protects everything");
    tunnel(&format!("{everything}remote = \"203.0.113.1\"\n"));
    tunnel(&format!("{TUNNEL}remote = \"hub.example\"\n"));
}

#[test]
fn an_address_that_is_asked_for_on_demand_is_warned_of() {
    let asks = TUNNEL.replace(
        "local_networks = [\"10.17.0.0/24\"]",
        "internal_address = \"ipv4\"\nremote = \"203.0.113.1\"",
    );
    tunnel(&asks);
    let message = warned(&format!("{asks}start = \"on-demand\"\n"));
    assert!(message.ends_with("asks for an address, and starts on demand"), "{message}");
}
