//! Words that strongSwan and libreswan have for values: the nearest thing here.

/// The dynamic network of the others: an end's own address.
const DYNAMIC: &[&str] = &["dynamic", "%dynamic"];

/// Under which key, which words, and what to write in their place.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &[&str], &str)] = &[
    ("start", &["trap", "route", "ondemand"], "that is start = \"on-demand\" here"),
    ("start", &["start", "trap|start"], "that is start = \"always\" here"),
    ("start", &["none", "add", "ignore"], "that is start = \"listen\" here"),
    ("remote", &["%any", "%any4", "%any6", "0.0.0.0", "0.0.0.0/0", "::", "::/0"], "that is remote = \"any\" here"),
    ("local_id", &["%any"], "who we are is said by name; it may be left out where a certificate of ours says it"),
    ("local_networks", DYNAMIC, "our own address is written as a network of one, such as 192.0.2.1/32, and one that the peer gives us is asked for by `internal_address`"),
    ("remote_networks", DYNAMIC, "the peer's own address is written as a network of one, such as 203.0.113.1/32, and one that we give it comes from a `pool`"),
    ("internal_address", &["%config", "%config4", "0.0.0.0"], "that is internal_address = \"ipv4\" here"),
    ("internal_address", &["%config6", "::"], "that is internal_address = \"ipv6\" here"),
];

/// What a word of others is here.
pub(super) fn meant(key: &str, value: &str) -> Option<&'static str> {
    let is = |(of, words, _): &&(&str, &[&str], &str)| *of == key && words.contains(&value);
    ELSEWHERE.iter().find(is).map(|(.., note)| *note)
}

/// The help for a value that is none here.
pub(super) fn help(key: &str, value: &str, help: &str) -> String {
    meant(key, value).map_or_else(|| help.to_owned(), |meant| format!("{meant}; {help}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::judged;
    use super::*;

    const TUNNEL: &str = "local_id = \"a.example\"\nremote_id = \"b.example\"\nremote = \"203.0.113.1\"\npsk_file = \"t.psk\"\nlocal_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.0.0.0/16\"]\n";

    /// A tunnel with this line in the place of its own of the same key, and without the others that stand in its way.
    fn with(key: &str, value: &str) -> String {
        let beside = if key == "internal_address" { "local_networks" } else { key };
        let others: Vec<&str> =
            TUNNEL.lines().filter(|line| !line.starts_with(&format!("{beside} ="))).collect();
        format!("[tunnel.t]\n{}\n{key} = \"{value}\"\n", others.join("\n"))
    }

    /// None of these words is one of ours, the note is told for each, and what it says to write is taken.
    #[test]
    fn a_word_of_others_is_answered_with_what_is_taken_here() {
        for (key, words, note) in ELSEWHERE {
            for word in *words {
                let text = if key.ends_with("networks") {
                    with(key, word).replace(&format!("\"{word}\""), &format!("[\"{word}\"]"))
                } else {
                    with(key, word)
                };
                let refused = judged(&text).err().unwrap_or_else(|| panic!("{key} = {word} is taken"));
                assert!(
                    refused.errors.iter().any(|error| error.help.starts_with(note)),
                    "{key} = {word}: {refused}"
                );
            }
            if let Some(right) = note.strip_prefix("that is ").and_then(|note| note.strip_suffix(" here")) {
                let (_, value) = right.split_once(" = ").unwrap();
                let mut text = with(key, value.trim_matches('"'));
                if right.ends_with("\"ipv6\"") {
                    text = text.replace("10.0.0.0/16", "2001:db8::/32");
                }
                judged(&text).unwrap_or_else(|error| panic!("{right}: {error}"));
            }
        }
    }
}
