//! A key that its section does not have: what was probably meant by it.

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

/// How strongSwan calls things, in both of its kinds of configuration, and how they are called here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("auto", "start"),
    ("cacerts", "authorities"),
    ("certs", "certificate"),
    ("close_action", "start"),
    ("dpd_action", "liveness"),
    ("dpd_delay", "liveness"),
    ("dpdaction", "liveness"),
    ("dpddelay", "liveness"),
    ("encap", "encapsulation"),
    ("esp", "esp_proposals"),
    ("forceencaps", "encapsulation"),
    ("fragmentation", "fragment_size"),
    ("ike", "ike_proposals"),
    ("ikelifetime", "ike_lifetime"),
    ("keyingtries", "retry_max"),
    ("left", "remote"),
    ("leftcert", "certificate"),
    ("leftid", "local_id"),
    ("leftsubnet", "local_networks"),
    ("life_time", "child_lifetime"),
    ("local_addrs", "remote"),
    ("local_ts", "local_networks"),
    ("pools", "pool"),
    ("proposals", "ike_proposals"),
    ("reauth_time", "ike_lifetime"),
    ("rekey_time", "child_lifetime"),
    ("remote_addrs", "remote"),
    ("remote_ts", "remote_networks"),
    ("right", "remote"),
    ("rightid", "remote_id"),
    ("rightsubnet", "remote_networks"),
    ("start_action", "start"),
    ("vips", "internal_address"),
];

/// The help for a key that a section does not know, which knows others.
pub(super) fn meant(key: &str, title: &str, known: &[&str]) -> String {
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
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, ours)| *theirs == key && known.contains(ours)) {
        return format!("what others call `{key}` is about `{ours}` here");
    }
    match nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("allowed are {}", known.join(", ")),
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
#[allow(clippy::unwrap_used)]
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
        let of = |key, title| meant(key, title, &["liveness"]);
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
        for (theirs, ours) in ELSEWHERE {
            assert!(TUNNEL.contains(ours), "{theirs}");
            assert!(!TUNNEL.contains(theirs), "{theirs} is ours too");
        }
        assert!(ELSEWHERE.is_sorted());
    }
}
