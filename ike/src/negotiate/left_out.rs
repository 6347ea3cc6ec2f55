//! What the other end narrowed away of what we would carry (RFC 7296 §2.9).

use std::net::IpAddr;

use super::selector::{Protocol, TrafficSelector};
use crate::limits;

/// What of `configured` none of `carried` holds. One of which some protocols are carried is left out as a whole, since a
/// selector cannot say "all others".
pub fn left_out(configured: &[TrafficSelector], carried: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut rest = configured.to_vec();
    for part in carried {
        rest = rest.iter().flat_map(|selector| without(selector, part)).take(limits::SELECTORS).collect();
    }
    rest
}

/// The same in words, also where some protocols or ports are carried of what is left out: `10.0.0.0/16 except tcp`.
pub fn left_out_in_words(configured: &[TrafficSelector], carried: &[TrafficSelector]) -> Vec<String> {
    in_words(&left_out(configured, carried), carried)
}

/// What was left out, beside what is carried of it.
pub fn in_words(left_out: &[TrafficSelector], carried: &[TrafficSelector]) -> Vec<String> {
    left_out.iter().map(|rest| except(rest, carried)).collect()
}

fn except(rest: &TrafficSelector, carried: &[TrafficSelector]) -> String {
    let carried = carried.iter().filter_map(|part| rest.intersection(part));
    let named: Vec<String> = carried.map(|part| beside(rest, &part)).collect();
    if named.is_empty() { rest.to_string() } else { format!("{rest} except {}", named.join(" and ")) }
}

/// The protocol and its ports alone, where the addresses are the same.
fn beside(rest: &TrafficSelector, part: &TrafficSelector) -> String {
    let text = part.to_string();
    let protocol = text.rsplit_once('[').and_then(|(_, protocol)| protocol.strip_suffix(']'));
    match protocol {
        Some(protocol) if (rest.first(), rest.last()) == (part.first(), part.last()) => protocol.to_owned(),
        _ => text,
    }
}

/// At most four pieces: before and after in addresses, below and above in ports.
fn without(whole: &TrafficSelector, part: &TrafficSelector) -> Vec<TrafficSelector> {
    let Some(common) = whole.intersection(part) else { return vec![whole.clone()] };
    if common.protocol() != whole.protocol() && whole.protocol() == Protocol::ANY {
        return vec![whole.clone()];
    }
    let piece = |first, last, ports| TrafficSelector::new(first, last, whole.protocol(), ports).ok();
    let (ports, held) = (whole.ports(), common.ports());
    let before = previous(common.first()).and_then(|last| piece(whole.first(), last, ports.clone()));
    let after = next(common.last()).and_then(|first| piece(first, whole.last(), ports.clone()));
    let below = held
        .start()
        .checked_sub(1)
        .and_then(|last| piece(common.first(), common.last(), *ports.start()..=last));
    let above = held
        .end()
        .checked_add(1)
        .and_then(|first| piece(common.first(), common.last(), first..=*ports.end()));
    [before, after, below, above].into_iter().flatten().collect()
}

fn previous(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().checked_sub(1)?.into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().checked_sub(1)?.into()),
    })
}

fn next(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().checked_add(1)?.into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().checked_add(1)?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<TrafficSelector> {
        text.split_whitespace().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn what_is_carried_of_it_is_said() {
        for (configured, carried, words) in [
            ("10.0.0.0/16", "10.0.0.0/16[tcp]", "10.0.0.0/16 except tcp"),
            ("10.0.0.0/16", "10.0.0.0/16[tcp/443] 10.0.0.0/16[udp]", "10.0.0.0/16 except tcp/443 and udp"),
            ("10.0.0.0/16", "10.0.1.0/24[tcp]", "10.0.0.0/16 except 10.0.1.0/24[tcp]"),
            ("10.0.0.0/16 10.9.0.0/16", "10.0.0.0/16", "10.9.0.0/16"),
        ] {
            let found = left_out_in_words(&list(configured), &list(carried));
            assert_eq!(found.join(", "), words, "{configured} of which {carried}");
        }
    }

    #[test]
    fn what_is_not_carried_is_named_as_closely_as_it_can_be() {
        for (configured, carried, rest) in [
            ("10.0.0.0/16", "10.0.0.0/16", ""),
            ("10.0.0.0/16", "10.0.0.0/8", ""),
            ("10.0.0.0/16 10.9.0.0/16", "10.0.0.0/16", "10.9.0.0/16"),
            ("10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25"),
            ("10.0.0.0/24", "10.0.0.64/26", "10.0.0.0/26 10.0.0.128/25"),
            ("10.0.0.0/24", "10.0.0.0/25 10.0.0.128/25", ""),
            ("0.0.0.0/0 ::/0", "0.0.0.0/0", "::/0"),
            ("10.0.0.0/24[tcp]", "10.0.0.0/24[tcp/443]", "10.0.0.0/24[tcp/0-442] 10.0.0.0/24[tcp/444-65535]"),
            ("10.0.0.0/24", "10.0.0.0/24[tcp]", "10.0.0.0/24"),
            ("10.0.0.0/24[tcp]", "10.0.0.0/24", ""),
            ("10.0.0.0/24[tcp]", "10.0.0.0/24[udp]", "10.0.0.0/24[tcp]"),
            ("255.255.255.0/24", "255.255.255.255/32", "255.255.255.0-255.255.255.254"),
        ] {
            let found: Vec<_> =
                left_out(&list(configured), &list(carried)).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), rest, "{configured} of which {carried}");
        }
    }
}
