//! A key that its section does not have: what was probably meant by it.

use super::values;

/// Those of `[daemon]`.
const DAEMON: &[&str] = &[
    "control_socket",
    "clamp_mss",
    "control_group",
    "state_dir",
    "sa_log",
    "log",
    "interface",
    "mtu",
    "route_table",
    "rule_priority",
    "mark",
    "ike_port",
    "nat_port",
    "cookie_threshold",
    "half_open_max",
    "replay_window",
    "workers",
    "copy_dscp",
    "dscp",
    "ecn",
    "refuse_clear_text",
    "offloads",
];
/// Those of a tunnel; in it stand those of a child too, if it has one alone.
const TUNNEL: &[&str] = &[
    "local_auth",
    "remote_auth",
    "allow_weak_psk",
    "psk_file",
    "certificate",
    "private_key",
    "pkcs12",
    "passphrase_file",
    "rsa_padding",
    "authorities",
    "peer_certificates",
    "peer_keys",
    "crl_files",
    "revocation",
    "local_id",
    "remote_id",
    "remote",
    "unique",
    "childless",
    "pool",
    "internal_address",
    "profile",
    "ike_proposals",
    "retransmit_first",
    "retransmit_tries",
    "ike_lifetime",
    "esp_proposals",
    "child_lifetime",
    "child_packets",
    "child_bytes",
    "start",
    "inactivity",
    "tfc_padding",
    "child",
    "local_networks",
    "remote_networks",
    "keepalive",
    "encapsulation",
    "dont_fragment",
    "force_keepalive",
    "liveness",
    "retry_first",
    "retry_max",
    "fragment_size",
];
/// Those of a pool.
const POOL: &[&str] = &["addresses", "dns"];

const SECTIONS: [(&str, &[&str]); 3] =
    [("[daemon]", DAEMON), ("[tunnel.NAME]", TUNNEL), ("[pool.NAME]", POOL)];

/// How strongSwan and libreswan call things, how they are called here, if they are anything here, and what is to be known of it.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("aggressive", "", "IKEv2 has no aggressive mode"),
    ("also", "", "there are no defaults to include: each tunnel says all that differs from the default"),
    ("auth", "local_auth", "a pre-shared key needs `psk_file` alone, and certificates are told by `certificate` and `authorities`"),
    ("authby", "local_auth", "a pre-shared key needs `psk_file` alone, and certificates are told by `certificate` and `authorities`"),
    ("auto", "start", ""),
    ("cacert", "authorities", ""),
    ("cacerts", "authorities", ""),
    ("cert", "certificate", ""),
    ("certs", "certificate", ""),
    ("charondebug", "", "what is logged is `log` of [daemon]"),
    ("children", "child", "each is a [[tunnel.NAME.child]]"),
    ("close_action", "start", "a tunnel that is to stand is set up anew by itself"),
    ("closeaction", "start", "a tunnel that is to stand is set up anew by itself"),
    ("compress", "", "packets are not compressed"),
    ("conn", "tunnel", "each is a section of its own: [tunnel.centre]"),
    ("connections", "tunnel", "each is a section of its own: [tunnel.centre]"),
    ("copy_df", "dont_fragment", ""),
    ("copy_ecn", "", "that is `ecn` of [daemon], for all tunnels"),
    ("dpd_action", "", "a tunnel whose peer is dead is set up anew by itself; after which silence the peer is probed, `liveness` says"),
    ("dpd_delay", "liveness", ""),
    ("dpd_timeout", "retransmit_tries", "that is how often a request is sent again before the peer counts as dead"),
    ("dpdaction", "", "a tunnel whose peer is dead is set up anew by itself; after which silence the peer is probed, `liveness` says"),
    ("dpddelay", "liveness", ""),
    ("dpdtimeout", "retransmit_tries", "that is how often a request is sent again before the peer counts as dead"),
    ("eap_identity", "", "EAP is not there: a peer proves itself by a pre-shared key or a certificate"),
    ("encap", "encapsulation", ""),
    ("esn", "esp_proposals", "`esn` and `noesn` are words of a proposal, and without either both are offered"),
    ("esp", "esp_proposals", ""),
    ("forceencaps", "encapsulation", ""),
    ("fragmentation", "fragment_size", "messages are always sent in fragments where the peer takes them"),
    ("hw_offload", "", "packets are encrypted by this machine's processor"),
    ("id", "", "who we are is `local_id`, and who the peer is `remote_id`"),
    ("if_id_in", "", "packets go by the TUN device, `interface` of [daemon], and there are no XFRM interfaces"),
    ("if_id_out", "", "packets go by the TUN device, `interface` of [daemon], and there are no XFRM interfaces"),
    ("ike", "ike_proposals", ""),
    ("ikelifetime", "ike_lifetime", ""),
    ("ikev2", "", "IKEv2 is all that is spoken"),
    ("inactivity_timeout", "inactivity", ""),
    ("installpolicy", "", "the networks of a tunnel are always led into it, and what is for them and finds no SA is dropped"),
    ("ipcomp", "", "packets are not compressed"),
    ("keyexchange", "", "IKEv2 is all that is spoken"),
    ("keyingtries", "", "it is tried for ever; the longest wait between two attempts is `retry_max`"),
    ("keylife", "child_lifetime", ""),
    ("left", "", "our own address is found by itself"),
    ("leftauth", "local_auth", ""),
    ("leftca", "authorities", ""),
    ("leftcert", "certificate", ""),
    ("leftfirewall", "", "the packet filter stays yours"),
    ("leftid", "local_id", ""),
    ("leftprotoport", "local_networks", "protocol and port stand behind a network: \"10.17.0.0/24[tcp/443]\""),
    ("leftsourceip", "internal_address", ""),
    ("leftsubnet", "local_networks", ""),
    ("leftsubnets", "local_networks", ""),
    ("life_bytes", "child_bytes", ""),
    ("life_packets", "child_packets", ""),
    ("life_time", "child_lifetime", ""),
    ("lifetime", "child_lifetime", ""),
    ("local", "", "who we are is `local_id`, and our own address is found by itself"),
    ("local_addrs", "", "our own address is found by itself"),
    ("local_port", "", "the ports are `ike_port` and `nat_port` of [daemon], for all tunnels"),
    ("local_ts", "local_networks", ""),
    ("margintime", "", "when keys are replaced within their lifetime is chosen by itself"),
    ("mark_in", "", "packets go by the TUN device; the mark of our own sockets is `mark` of [daemon], for all tunnels: mark = 0x5e51"),
    ("mark_out", "", "packets go by the TUN device; the mark of our own sockets is `mark` of [daemon], for all tunnels: mark = 0x5e51"),
    ("mobike", "", "MOBIKE is not there; a peer that moves is followed where it is behind a NAT, and set up anew elsewhere"),
    ("mode", "", "there is tunnel mode alone"),
    ("nat_traversal", "encapsulation", "a NAT is found and passed by itself"),
    ("over_time", "", "when keys are replaced within their lifetime is chosen by itself"),
    ("pfs", "esp_proposals", "a group in a proposal gives each rekey a key exchange of its own, and `nopfs` none"),
    ("phase2", "", "ESP is all that there is"),
    ("phase2alg", "esp_proposals", ""),
    ("policies", "", "the networks of a tunnel are always led into it, and what is for them and finds no SA is dropped"),
    ("pools", "pool", ""),
    ("port", "ike_port", "ike_port = 500"),
    ("port_nat_t", "nat_port", "nat_port = 4500"),
    ("priority", "", "of networks that overlap the most specific decides, and nothing is let past a tunnel"),
    ("proposals", "ike_proposals", ""),
    ("pubkeys", "peer_keys", ""),
    ("rand_time", "", "when keys are replaced within their lifetime is chosen by itself"),
    ("reauth", "", "keys are replaced without the peer's proving itself again"),
    ("reauth_time", "ike_lifetime", "keys are replaced without the peer's proving itself again"),
    ("rekey", "", "keys are always replaced in time"),
    ("rekey_bytes", "child_bytes", ""),
    ("rekey_packets", "child_packets", ""),
    ("rekey_time", "child_lifetime", "that of the IKE SA is `ike_lifetime`"),
    ("rekeyfuzz", "", "when keys are replaced within their lifetime is chosen by itself"),
    ("rekeymargin", "", "when keys are replaced within their lifetime is chosen by itself"),
    ("remote_addrs", "remote", ""),
    ("remote_port", "", "a peer is called on the port that is ours, `ike_port` of [daemon], for all tunnels"),
    ("remote_ts", "remote_networks", ""),
    ("reqid", "", "what goes into a tunnel is told by its networks alone: remote_networks = [\"10.0.0.0/16\"]"),
    ("right", "remote", ""),
    ("rightauth", "remote_auth", ""),
    ("rightca", "authorities", ""),
    ("rightcert", "peer_certificates", ""),
    ("rightdns", "", "name servers are given by the pool: `dns` of [pool.NAME]"),
    ("rightid", "remote_id", ""),
    ("rightprotoport", "remote_networks", "protocol and port stand behind a network: \"10.0.0.0/16[tcp/443]\""),
    ("rightsourceip", "pool", "its addresses are those of a [pool.NAME]"),
    ("rightsubnet", "remote_networks", ""),
    ("rightsubnets", "remote_networks", ""),
    ("salifetime", "child_lifetime", ""),
    ("secrets", "", "a pre-shared key stands in a file of its own: psk_file = \"centre.psk\" of [tunnel.centre]"),
    ("send_cert", "", "certificates are sent where the peer asks for them"),
    ("start_action", "start", ""),
    ("tfc", "tfc_padding", ""),
    ("threads", "workers", "one a core, unless it says how many carry packets: workers = 2"),
    ("type", "", "there is tunnel mode alone"),
    ("uniqueids", "unique", ""),
    ("updown", "", "no script is run: `sekisho events --follow --json` tells what happens"),
    ("version", "", "IKEv2 is all that is spoken"),
    ("vips", "internal_address", ""),
    ("xauth", "", "EAP and XAuth are not there: a peer proves itself by a pre-shared key or a certificate"),
];

/// The help for a key that a section does not know, which knows others. `value`: what it is set to, if that is a text.
pub(super) fn meant((key, value): (&str, Option<&str>), title: &str, known: &[&str]) -> String {
    if is_secret(key) {
        let file = if ["password", "passphrase"].contains(&key) { "passphrase_file" } else { "psk_file" };
        return format!(
            "a secret does not stand in this file: put it into a file of its own (mode 0600) and name that in `{file}`"
        );
    }
    let others = SECTIONS.iter().filter(|(_, keys)| keys.contains(&key) && !is(title, keys));
    if let Some((section, _)) = others.clone().next() {
        return format!("that is a setting of {section}: write it below that line");
    }
    if let Some(told) = elsewhere(key, value, known) {
        return told;
    }
    match nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("allowed are {}", known.join(", ")),
    }
}

/// A key that others have. Its value tells more than a note.
fn elsewhere(key: &str, value: Option<&str>, known: &[&str]) -> Option<String> {
    let (_, ours, note) = ELSEWHERE.iter().find(|(theirs, ..)| *theirs == key)?;
    let of_value = value.and_then(|value| Some((value, values::meant(ours, value)?)));
    if let Some((value, meant)) = of_value.filter(|_| known.contains(ours)) {
        return Some(format!("what others call `{key}` is about `{ours}` here, and `{value}`: {meant}"));
    }
    match (*ours, *note) {
        ("", note) if known.contains(&"local_networks") || known.contains(&"tunnel") => {
            Some(format!("leave it out: {note}"))
        }
        (ours, "") if known.contains(&ours) => {
            Some(format!("what others call `{key}` is about `{ours}` here"))
        }
        (ours, note) if known.contains(&ours) => {
            Some(format!("what others call `{key}` is about `{ours}` here: {note}"))
        }
        _ => None,
    }
}

/// Whether a title is of the section that has these keys.
fn is(title: &str, keys: &[&str]) -> bool {
    let of = |name: &str| title.trim_start_matches('[').starts_with(name);
    keys == DAEMON && of("daemon")
        || keys == POOL && of("pool")
        || keys == TUNNEL && of("tunnel") && !title.starts_with("[[")
}

fn is_secret(key: &str) -> bool {
    ["psk", "secret", "password", "passphrase", "shared_secret", "key"].contains(&key)
}

/// The known word that was probably meant, if one is near.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A key of a kilobyte is no slip of the finger.
    if word.len() > 64 {
        return None;
    }
    let near = known.iter().map(|known| (strsim::levenshtein(word, known), *known)).min()?;
    (near.0 <= 1 + word.len().min(20) / 5).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::judged;
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let known = ["remote_networks", "local_networks", "remote", "liveness"];
        assert_eq!(nearest("remote_netwroks", &known), Some("remote_networks"));
        assert_eq!(nearest("remotes", &known), Some("remote"));
        assert_eq!(nearest("livenes", &known), Some("liveness"));
        assert_eq!(nearest("dpd_delay", &known), None);
        assert_eq!(nearest(&"remote".repeat(100), &known), None);
    }

    #[test]
    fn a_key_of_another_section_is_sent_there() {
        let of = |key, title| meant((key, None), title, &["liveness"]);
        assert_eq!(of("mtu", "[tunnel.centre]"), "that is a setting of [daemon]: write it below that line");
        assert_eq!(
            of("dns", "[tunnel.centre]"),
            "that is a setting of [pool.NAME]: write it below that line"
        );
        assert_eq!(
            of("local_id", "[daemon]"),
            "that is a setting of [tunnel.NAME]: write it below that line"
        );
        assert_eq!(
            of("local_id", "[[tunnel.centre.child]]"),
            "that is a setting of [tunnel.NAME]: write it below that line"
        );
        assert_eq!(
            of("dpd_delay", "[tunnel.centre]"),
            "what others call `dpd_delay` is about `liveness` here"
        );
    }

    #[test]
    fn what_others_need_and_is_nothing_here_is_left_out() {
        let of = |key| meant((key, None), "[tunnel.centre]", TUNNEL);
        assert_eq!(of("keyexchange"), "leave it out: IKEv2 is all that is spoken");
        assert!(
            of("auth").starts_with("what others call `auth` is about `local_auth` here: a pre-shared key")
        );
        assert!(
            of("dpd_action")
                .starts_with("leave it out: a tunnel whose peer is dead is set up anew by itself")
        );
        assert_eq!(of("ipcomp"), "leave it out: packets are not compressed");
        assert_eq!(
            of("inactivity_timeout"),
            "what others call `inactivity_timeout` is about `inactivity` here"
        );
        assert_eq!(of("right"), "what others call `right` is about `remote` here");
        assert_eq!(
            meant(("start_action", Some("trap")), "[tunnel.centre]", TUNNEL),
            "what others call `start_action` is about `start` here, and `trap`: that is start = \"on-demand\" here"
        );
    }

    #[test]
    fn what_others_write_elsewhere_has_its_example() {
        let of = |key, title, known: &[&str]| meant((key, None), title, known);
        assert_eq!(
            of("threads", "[daemon]", DAEMON),
            "what others call `threads` is about `workers` here: one a core, unless it says how many carry packets: workers = 2"
        );
        assert_eq!(
            of("connections", "the file", &["daemon", "pool", "tunnel"]),
            "what others call `connections` is about `tunnel` here: each is a section of its own: [tunnel.centre]"
        );
        for (key, example) in [("reqid", "remote_networks = "), ("mark_in", "mark = 0x5e51")] {
            let help = of(key, "[tunnel.centre]", TUNNEL);
            assert!(help.starts_with("leave it out: ") && help.contains(example), "{help}");
        }
    }

    /// What is said above of the sections is what they take.
    #[test]
    fn the_lists_are_those_of_the_sections() {
        let allowed = |text: &str| -> BTreeSet<String> {
            let refused = judged(text).err().unwrap();
            let help =
                refused.errors.iter().find_map(|error| error.help.strip_prefix("allowed are ")).unwrap();
            help.split(", ").map(str::to_owned).collect()
        };
        let listed = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(allowed("[daemon]\nxxxxxxxxxxxx = 1\n"), listed(DAEMON));
        assert_eq!(allowed("[tunnel.a]\nxxxxxxxxxxxx = 1\n"), listed(TUNNEL));
        assert_eq!(allowed("[pool.a]\nxxxxxxxxxxxx = 1\n"), listed(POOL));
    }

    #[test]
    fn what_others_call_otherwise_exists_here() {
        for (theirs, ours, note) in ELSEWHERE {
            let known = TUNNEL.contains(ours) || DAEMON.contains(ours) || *ours == "tunnel";
            assert!(if ours.is_empty() { !note.is_empty() } else { known }, "{theirs}");
            assert!(!TUNNEL.contains(theirs) && !DAEMON.contains(theirs), "{theirs} is ours too");
        }
        assert!(ELSEWHERE.is_sorted());
    }
}
