//! Two lists of traffic selectors side by side: for a diagnosis (RFC 7296 §2.9).

use super::narrow::narrow;
use super::selector::TrafficSelector;
use crate::diagnosis::Row;

/// Remarks on one list at most.
const REMARKS: usize = 4;

/// What we allow of one side's networks, and what the peer asks for.
pub(crate) fn compare(what: &'static str, ours: &[TrafficSelector], theirs: &[TrafficSelector]) -> Row {
    let words = |list: &[TrafficSelector]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut row = Row::both(what, words(ours), words(theirs));
    let common = narrow(theirs, ours);
    row.agrees = Some(!common.is_empty());
    row.common = words(&common);
    row.remarks = theirs.iter().filter_map(|theirs| apart(theirs, ours)).take(REMARKS).collect();
    row
}

/// Whether what the peer asks for would do if both sides were interchanged: `ours` and `theirs` are (local, remote).
pub(crate) fn is_interchanged(
    ours: (&[TrafficSelector], &[TrafficSelector]),
    theirs: (&[TrafficSelector], &[TrafficSelector]),
) -> bool {
    let meets = |a: &[TrafficSelector], b: &[TrafficSelector]| !narrow(a, b).is_empty();
    meets(theirs.0, ours.1) && meets(theirs.1, ours.0)
}

/// Why a selector has nothing in common with a list; `None` if it has.
fn apart(theirs: &TrafficSelector, ours: &[TrafficSelector]) -> Option<String> {
    if ours.iter().any(|ours| ours.intersection(theirs).is_some()) {
        return None;
    }
    let same_family: Vec<_> = ours.iter().filter(|ours| ours.is_ipv4() == theirs.is_ipv4()).collect();
    let Some(first) = same_family.first() else {
        let family = if theirs.is_ipv4() { "IPv4" } else { "IPv6" };
        return Some(format!("{theirs} is {family}, and nothing of ours is"));
    };
    let meeting = same_family.iter().find(|ours| ours.shares_addresses(theirs));
    Some(match meeting {
        Some(ours) if ours.protocol() != theirs.protocol() => {
            format!("{theirs} has another protocol than {ours}")
        }
        Some(ours) => format!("{theirs} has other ports than {ours}"),
        None if same_family.len() == 1 => format!("{theirs} lies outside {first}"),
        None => format!("{theirs} lies outside all of ours"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<TrafficSelector> {
        text.split(' ').map(|t| t.parse().unwrap()).collect()
    }

    fn remarks(ours: &str, theirs: &str) -> Vec<String> {
        compare("local networks", &list(ours), &list(theirs)).remarks
    }

    #[test]
    fn each_selector_that_does_not_fit_is_explained() {
        assert_eq!(remarks("10.0.0.0/16", "10.1.0.0/16"), ["10.1.0.0/16 lies outside 10.0.0.0/16"]);
        assert_eq!(
            remarks("10.0.0.0/16 10.2.0.0/16", "10.1.0.0/16"),
            ["10.1.0.0/16 lies outside all of ours"]
        );
        assert_eq!(
            remarks("10.0.0.0/16", "2001:db8::/32"),
            ["2001:db8::/32 is IPv6, and nothing of ours is"]
        );
        assert_eq!(
            remarks("10.0.0.0/16[tcp]", "10.0.3.0/24[udp]"),
            ["10.0.3.0/24[udp] has another protocol than 10.0.0.0/16[tcp]"]
        );
        assert_eq!(
            remarks("10.0.0.0/16[tcp/443]", "10.0.3.0/24[tcp/80]"),
            ["10.0.3.0/24[tcp/80] has other ports than 10.0.0.0/16[tcp/443]"]
        );
        assert_eq!(remarks("10.0.0.0/16", "10.0.3.0/24 0.0.0.0/0"), [""; 0]);
    }

    #[test]
    fn interchanged_sides_are_recognised() {
        let (a, b) = (list("10.1.0.0/16"), list("10.2.0.0/16"));
        assert!(is_interchanged((&a, &b), (&b, &a)));
        assert!(!is_interchanged((&a, &b), (&a, &b)));
        assert!(!is_interchanged((&a, &b), (&b, &b)));
    }
}
