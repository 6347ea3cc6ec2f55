//! What several parts of the shell tell in the same words.

use std::fmt::Display;
use std::io;

/// What to do about a certificate of ours that ends.
pub const RENEW: &str = "have it renewed, put the new one into the same file, and `sekisho reload`";
/// What to do about one that has not begun.
pub const TOO_EARLY: &str = "set the clock here if it is wrong (`date -u`), else wait until then or have one issued that is valid already";

/// What to do about a network that a tunnel takes away from this machine.
pub const GIVE_BACK: &str = "if that is on this side, take it out of `remote_networks`";

/// What comes of networks that this machine is on, `10.1.0.5/24 of eth1`, and that lie in those of a peer.
pub fn cut_off(networks: &[impl Display], within: &str) -> String {
    let lie = if networks.len() == 1 { "lies" } else { "lie" };
    let list = networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("{list} {lie} in {within}: what is there is reached through the tunnel only")
}

/// Whole days, as far as there are any: `less than a day`, `1 day`, `12 days`.
pub fn days(whole: i64) -> String {
    match whole {
        ..=0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{whole} days"),
    }
}

/// An error of the system without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_without_its_number() {
        assert_eq!(plain(&io::Error::from_raw_os_error(libc::EISDIR)), "Is a directory");
        assert_eq!(plain(&io::Error::other("it is damaged")), "it is damaged");
    }

    #[test]
    fn one_network_lies_and_several_lie_where_the_tunnel_leads() {
        let told = |networks: &[&str]| cut_off(networks, "the peer's networks");
        let only = "in the peer's networks: what is there is reached through the tunnel only";
        assert_eq!(told(&["10.1.0.5/24 of eth1"]), format!("10.1.0.5/24 of eth1 lies {only}"));
        assert_eq!(
            told(&["10.1.0.5/24 of a", "10.2.0.5/24 of b"]),
            format!("10.1.0.5/24 of a, 10.2.0.5/24 of b lie {only}")
        );
    }

    #[test]
    fn days_are_counted_from_one_on() {
        assert_eq!([-3, 0, 1, 2].map(days), ["less than a day", "less than a day", "1 day", "2 days"]);
    }
}
