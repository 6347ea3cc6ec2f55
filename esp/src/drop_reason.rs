//! Why a packet was dropped, and how often.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])+ $variant:ident = $code:literal),+ $(,)?) => {
        /// Why a packet was dropped. Each reason has a counter in [`Counters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DropReason { $($(#[$doc])+ $variant),+ }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// A stable word for `status --json` and metrics.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

drop_reasons! {
    /// A datagram too short to be ESP or IKE.
    Truncated = "truncated",
    /// An SPI that RFC 4303 §2.1 reserves (1 to 255).
    ReservedSpi = "reserved_spi",
    /// No SA of ours has this SPI. Its sender is not told, which is knowingly less than RFC 7296 §2.21.4's SHOULD: the address in the
    /// packet is anybody's, and whoever sends on an SA that is gone finds out by its own probes.
    UnknownSpi = "unknown_spi",
    /// Sequence number 0, which no sender uses (RFC 4303 §2.2).
    SequenceZero = "sequence_zero",
    /// A sequence number that was accepted before.
    Replayed = "replayed",
    /// A sequence number behind the replay window.
    TooOld = "too_old",
    /// The packet was not made with this SA's key, or was changed on its way; with ESN also one that is far behind
    /// the replay window, which cannot be told apart.
    Authentication = "authentication",
    /// Pad length or padding that RFC 4303 §2.4 does not allow.
    Padding = "padding",
    /// A next header that tunnel mode does not carry, or one that contradicts the inner packet.
    NextHeader = "next_header",
    /// A dummy packet (next header 59, RFC 4303 §2.6): no error.
    Dummy = "dummy",
    /// Neither IPv4 nor IPv6.
    NotIp = "not_ip",
    /// An IP header that contradicts itself.
    InnerMalformed = "inner_malformed",
    /// An IP packet that claims to be longer than what arrived.
    InnerLength = "inner_length",
    /// More IPv6 extension headers than we follow.
    ExtensionHeaders = "extension_headers",
    /// Inner addresses, protocol or ports that the SA it came in on was not negotiated for.
    InboundSelector = "inbound_selector",
    /// Source, protocol or ports that the SAs to this destination were not negotiated for: no SPD entry of theirs matches
    /// (RFC 4301 §5.1).
    OutboundSelector = "outbound_selector",
    /// A later fragment, which shows no ports, where the selectors name ports.
    FragmentWithoutPorts = "fragment_without_ports",
    /// A first fragment without the whole transport header, where the selectors name ports (RFC 1858).
    TinyFragment = "tiny_fragment",
    /// A fragment that overlaps another, or one too many, where the selectors name ports (RFC 5722).
    FragmentOverlap = "fragment_overlap",
    /// Congestion was marked outside on a packet that cannot carry the mark inside (RFC 6040 §4.2).
    EcnCeOnNotEct = "ecn_ce_on_not_ect",
    /// Link-local or of link-local scope: the kernel's own noise on the TUN, or what a peer would tell our kernel as
    /// if it stood beside us. Never for a tunnel.
    LinkLocal = "link_local",
    /// No SA is there for it: fail closed.
    NoSa = "no_sa",
    /// Its Child SA stands, but the peer let that carry less than we are configured for (RFC 7296 §2.9).
    Narrowed = "narrowed",
    /// The SA has sent all that it may.
    PacketLimit = "packet_limit",
    /// The SA's life is over: it was removed just now, or has outlived its lifetime because nobody ended it.
    SaEnded = "sa_ended",
    /// The buffer has no room for header, trailer or segments: a mistake of ours.
    NoRoom = "no_room",
    /// A super-packet whose offload header contradicts it.
    SuperPacket = "super_packet",
    /// Too big for the path; the sender was told.
    TooBig = "too_big",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One counter for each [`DropReason`]. Counting neither locks nor waits.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; DropReason::ALL.len()]);

impl Counters {
    /// Counts one packet.
    pub fn count(&self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts several packets.
    pub fn add(&self, reason: DropReason, packets: u64) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// Packets dropped for one reason until now.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// All counters, those that are zero included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().map(|reason| (reason, self.get(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_word_and_a_counter_of_its_own() {
        let counters = Counters::default();
        for (position, reason) in DropReason::ALL.into_iter().enumerate() {
            counters.add(reason, position as u64 + 1);
        }
        for (position, (reason, packets)) in counters.iter().enumerate() {
            assert_eq!((reason as usize, packets), (position, position as u64 + 1), "{reason}");
        }
        let words: BTreeSet<_> = DropReason::ALL.map(DropReason::code).into();
        assert_eq!(words.len(), DropReason::ALL.len());
    }
}
