//! Which of several sockets a line's trains leave by. What a line has not sent yet lies in the send buffer of a socket: were it one for
//! all, a line that is slower than what is to go by it would have what goes by others dropped.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

/// Lines of one address family that have a send buffer of their own; further ones share.
pub(super) const LINES: usize = 4;

/// The lines of one address family, by our address at each, in the order in which they were seen first.
#[derive(Debug, Default)]
pub(super) struct Lines([OnceLock<IpAddr>; LINES]);

impl Lines {
    /// The number of the line that `local` is at. Neither locks nor waits.
    pub(super) fn number(&self, local: SocketAddr) -> usize {
        let local = local.ip();
        let known = self.0.iter().position(|line| *line.get_or_init(|| local) == local);
        known.unwrap_or_else(|| some_number(local))
    }
}

/// For addresses beyond those: at random, and the same each time.
fn some_number(local: IpAddr) -> usize {
    let sum = |octets: &[u8]| octets.iter().map(|octet| usize::from(*octet)).sum::<usize>();
    let sum = match local {
        IpAddr::V4(local) => sum(&local.octets()),
        IpAddr::V6(local) => sum(&local.octets()),
    };
    sum % LINES
}

#[cfg(test)]
mod tests {
    use super::{LINES, Lines};

    #[test]
    fn each_address_keeps_its_number_and_the_first_ones_share_with_nobody() {
        let lines = Lines::default();
        let number = |last: u8| lines.number(format!("192.0.2.{last}:4500").parse().unwrap());
        let first: Vec<_> = (1..=4).map(number).collect();
        assert_eq!(first, [0, 1, 2, 3]);
        assert!((5..=200).all(|last| number(last) < LINES && number(last) == number(last)));
        assert_eq!((1..=4).map(number).collect::<Vec<_>>(), first);
    }
}
