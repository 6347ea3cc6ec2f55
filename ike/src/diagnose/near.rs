//! Identities that a person takes for the same.

/// How two identities in words differ, if a person might not see it.
pub(super) fn near_miss(theirs: &str, ours: &str) -> Option<String> {
    let (a, b) = (Form::of(theirs), Form::of(ours));
    if a.core.is_empty() || a.core != b.core || theirs == ours {
        return None;
    }
    Some(if a.kind != b.kind {
        format!("`{theirs}` is a {}, and `{ours}` a {}", a.kind, b.kind)
    } else if theirs.ends_with('.') != ours.ends_with('.') {
        format!("`{theirs}` and `{ours}` differ in the dot at the end")
    } else if theirs.eq_ignore_ascii_case(ours) {
        format!("`{theirs}` and `{ours}` differ in upper and lower case")
    } else {
        format!("`{theirs}` and `{ours}` differ in how they are written")
    })
}

/// What an identity names, apart from how.
struct Form {
    kind: &'static str,
    core: String,
}

impl Form {
    fn of(text: &str) -> Self {
        // Kinds and forms that are not ours stand on the wire's name for the kind.
        let prefixes = [("FQDN:", "host name"), ("RFC822_ADDR:", "e-mail address"), ("keyid:", "key id")];
        for (prefix, kind) in prefixes {
            if let Some(rest) = text.strip_prefix(prefix) {
                return Self { kind, core: core(rest) };
            }
        }
        if let Some(name) = common_name(text) {
            return Self { kind: "distinguished name", core: core(name) };
        }
        let kind = if text.parse::<std::net::IpAddr>().is_ok() {
            "IP address"
        } else if text.trim_start_matches('@').contains('@') {
            "e-mail address"
        } else {
            "host name"
        };
        Self { kind, core: core(text) }
    }
}

fn core(text: &str) -> String {
    text.trim().trim_start_matches('@').trim_end_matches('.').to_ascii_lowercase()
}

fn common_name(text: &str) -> Option<&str> {
    let attributes = text.split([',', '+']).map(str::trim);
    attributes
        .filter_map(|attribute| attribute.split_once('='))
        .find(|(key, _)| *key == "CN")
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_overlooks_is_named() {
        for (theirs, ours, how) in [
            ("FQDN:hub.example.", "hub.example", "in the dot at the end"),
            ("keyid:hub.example", "hub.example", "a key id, and `hub.example` a host name"),
            ("C=JP, O=Clinic, CN=hub.example", "hub.example", "a distinguished name, and"),
            ("hub.example", "CN=hub.example", "a host name, and `CN=hub.example` a distinguished name"),
            ("keyid:Hub", "keyid:hub", "in upper and lower case"),
            ("C=JP, CN=hub", "CN=hub, C=JP", "in how they are written"),
        ] {
            let found = near_miss(theirs, ours).unwrap_or_default();
            assert!(found.contains(how), "{theirs} {ours}: {found}");
        }
        for (theirs, ours) in
            [("hub.example", "hub.example"), ("a.example", "b.example"), ("", ""), (".", "@")]
        {
            assert_eq!(near_miss(theirs, ours), None, "{theirs} {ours}");
        }
    }
}
