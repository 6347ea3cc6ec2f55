//! Identities that a person takes for the same.

use strsim::osa_distance;

use crate::limits;

/// How two identities in words differ, if a person might not see it.
pub(crate) fn near_miss(theirs: &str, ours: &str) -> Option<String> {
    let (a, b) = (Form::of(theirs), Form::of(ours));
    let edits = a.edits_to(&b)?;
    if theirs == ours {
        return None;
    }
    Some(if edits > 0 {
        let slips = if edits == 1 { "one typing slip" } else { "two typing slips" };
        format!("`{theirs}` and `{ours}` differ by {slips}")
    } else if a.kind != b.kind {
        format!("`{theirs}` is a {}, and `{ours}` a {}", a.kind, b.kind)
    } else if theirs.ends_with('.') != ours.ends_with('.') {
        format!("`{theirs}` and `{ours}` differ in the dot at the end")
    } else if theirs.eq_ignore_ascii_case(ours) {
        format!("`{theirs}` and `{ours}` differ in upper and lower case")
    } else {
        format!("`{theirs}` and `{ours}` differ in how they are written")
    })
}

/// What an identity, or a pattern of such, names, apart from how.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    kind: &'static str,
    core: String,
    /// Of the core: machines with other numbers are others.
    digits: String,
}

impl Form {
    /// Of an identity in words.
    pub(crate) fn of(text: &str) -> Self {
        let (kind, core) = kind_and_core(text);
        let digits = core.chars().filter(char::is_ascii_digit).collect();
        Self { kind, core, digits }
    }

    /// In how many letters this one of a peer differs from ours: 0 if only in how it is written, `None` if nobody would take
    /// it for ours.
    pub(crate) fn edits_to(&self, ours: &Self) -> Option<usize> {
        let Some((theirs, pattern)) = self.tail(&ours.core) else { return self.whole_edits_to(ours) };
        if theirs == pattern {
            return (self.kind != ours.kind).then_some(0);
        }
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        (digits(theirs) == digits(pattern)).then(|| edits(theirs, pattern)).flatten()
    }

    fn whole_edits_to(&self, ours: &Self) -> Option<usize> {
        if self.core.is_empty() {
            None
        } else if self.core == ours.core {
            Some(0)
        } else {
            (self.digits == ours.digits).then(|| edits(&self.core, &ours.core)).flatten()
        }
    }

    /// What stands where the pattern has its fixed part, with this.
    fn tail<'a>(&'a self, pattern: &'a str) -> Option<(&'a str, &'a str)> {
        if let Some(fixed) = pattern.strip_prefix("*.") {
            let dots = fixed.matches('.').count();
            let (at, _) = self.core.rmatch_indices('.').nth(dots)?;
            return Some((self.core.get(at.checked_add(1)?..)?, fixed));
        }
        Some((self.core.rsplit_once('@')?.1, pattern.strip_prefix("*@")?))
    }
}

fn kind_and_core(text: &str) -> (&'static str, String) {
    // Kinds and forms that are not ours stand on the wire's name for the kind.
    let prefixes = [("FQDN:", "host name"), ("RFC822_ADDR:", "e-mail address"), ("keyid:", "key id")];
    for (prefix, kind) in prefixes {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (kind, core(rest));
        }
    }
    if let Some(name) = common_name(text) {
        return ("distinguished name", core(name));
    }
    let kind = if text.parse::<std::net::IpAddr>().is_ok() {
        "IP address"
    } else if text.trim_start_matches('@').contains('@') {
        "e-mail address"
    } else {
        "host name"
    };
    (kind, core(text))
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

/// Letters that were added, left out, interchanged or mistaken, label by label, if so few that it looks like a slip: two in
/// all, and not more than one in four of a label.
fn edits(theirs: &str, ours: &str) -> Option<usize> {
    let longest = theirs.len().max(ours.len());
    if longest > limits::NEAR_IDENTITY || theirs.len().abs_diff(ours.len()) > 2 {
        return None;
    }
    let labels = |text| str::split(text, ['.', '@']).collect::<Vec<_>>();
    let (a, b) = (labels(theirs), labels(ours));
    let apart = |a: &str, b: &str| {
        let edits = osa_distance(a, b);
        (edits.saturating_mul(4) <= a.len().max(b.len())).then_some(edits)
    };
    let total = if a.len() == b.len() {
        a.iter().zip(&b).map(|(a, b)| apart(a, b)).sum::<Option<usize>>()?
    } else {
        apart(theirs, ours)?
    };
    (total <= 2).then_some(total)
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
            ("clinic.exmaple", "clinic.example", "by one typing slip"),
            ("clnic.examples", "clinic.example", "by two typing slips"),
            ("nurse@clinicexample", "nurse@clinic.example", "by one typing slip"),
            ("keyid:a.clinic.example", "*.clinic.example", "a key id, and `*.clinic.example` a host name"),
            ("a.b.clinic.exmaple", "*.clinic.example", "by one typing slip"),
            ("nurse@clinics.example", "*@clinic.example", "by one typing slip"),
        ] {
            let found = near_miss(theirs, ours).unwrap_or_default();
            assert!(found.contains(how), "{theirs} {ours}: {found}");
        }
        let long = |c: char| format!("{}{c}", "x".repeat(10_000));
        for (theirs, ours) in [
            ("hub.example", "hub.example"),
            ("a.example", "b.example"),
            ("", ""),
            (".", "@"),
            ("clinic-17.example", "clinic-18.example"),
            ("clinic17.example", "clinic1.example"),
            ("east.example", "west.example"),
            ("a.clinic.example", "*.clinic.example"),
            ("a.clinic.example", "*"),
            ("clinic.exmaple", "*.clinic.example"),
            (&long('a'), &long('b')),
        ] {
            assert_eq!(near_miss(theirs, ours), None, "{theirs} {ours}");
        }
    }
}
