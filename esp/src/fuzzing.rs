//! The bodies of the fuzz targets `esp_open`, `inner_packet`, `inner_fragments` and `icmp_quote`. Ordinary tests run them too, over the corpora and
//! over mutations of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::cipher::{Cipher, PacketId};
use crate::format::{CBC_BLOCK, TRAILER};
use crate::fragments::LONGEST_NS;
use crate::icmp_quote::{self, Quote};
use crate::{
    AesKey, Coalescer, Fragment, Fragments, Hmac, InboundSa, InnerView, Joins, Keymat, OffloadHeader, Ports,
    SaConfig, Selector, Suite, fragment, mss, segment, too_big,
};

pub use crate::offload::fuzz::{coalesce, segment as segment_super_packet, virtio_header};

const SPI: u32 = 0xc0ff_ee01;

/// Opens ESP. The first byte chooses: bits 3 to 5, then 0, are the suite's number; bit 1 ESN; bit 2 what follows is
/// plaintext with its trailer and is sealed first, so that what comes after authentication is reached; bits 6 and 7 are
/// the outer ECN.
///
/// Raw input must never be accepted; what is accepted of sealed input must be an IP packet within the payload, and
/// only once.
pub fn esp_open(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let number = usize::from(choice >> 2 & 0b1110 | choice & 1);
    let Some(&suite) = Suite::ALL.get(number % Suite::ALL.len()) else { return };
    let esn = choice & 2 != 0;
    let Ok(sa) = InboundSa::new(config(suite, esn)) else { return };
    let outer_tos = choice >> 6;
    if choice & 4 == 0 {
        let mut packet = rest.to_vec();
        assert!(
            sa.opener(0).open(&mut packet, outer_tos).is_err(),
            "a packet that nobody sealed was accepted"
        );
        assert_eq!(sa.usage().last_ns, None, "a packet that nobody sealed left a trace");
        return;
    }
    let Some(packet) = sealed(suite, esn, rest) else { return };
    let mut opened = packet.clone();
    let result = sa.opener(0).open(&mut opened, outer_tos);
    if let Ok(range) = result {
        check_inner(suite, &opened, range);
    }
    assert_eq!(sa.usage().last_ns, Some(0), "an authentic packet left no trace");
    assert!(sa.opener(0).open(&mut packet.clone(), outer_tos).is_err(), "a packet was accepted twice");
}

/// Reads an inner packet and does to it all that is done to packets. The first byte is the MTU in units of 8, the
/// next ten are an offload header.
///
/// Nothing may panic, and what coalescing writes must come apart again as what went in.
pub fn inner_packet(data: &[u8]) {
    let Some((&[mtu, ref offload @ ..], packet)) = data.split_first_chunk::<{ 1 + OffloadHeader::LENGTH }>()
    else {
        return;
    };
    if let Ok(view) = InnerView::parse(packet) {
        assert!(view.header_length() <= view.total_length() && view.total_length() <= packet.len());
        let mut fragments = Fragments::new(1);
        for _ in 0..2 {
            let judged = fragments.judge(0, packet, &view);
            assert!(judged.is_err() || fragments.len() <= 1);
        }
    }
    let mtu = u16::from(mtu) * 8;
    let mut out = vec![0; 1 << 17];
    let offload = OffloadHeader::from_bytes(*offload);
    for layout in [Suite::AES_128_GCM_16, Suite::AesCbc(AesKey::Bits256, Hmac::Sha512)].map(Suite::layout) {
        if let Ok(train) = segment(layout, offload, packet, &mut out) {
            assert!(train.count > 0 && train.sealed_length() <= out.len());
        }
    }
    let _ = too_big::answer(packet, mtu, &mut out);
    let mut clamped = packet.to_vec();
    mss::clamp(&mut clamped, mtu);
    assert_eq!(clamped.len(), packet.len());
    check_fragments(packet, mtu.into(), &mut out);

    // Twice the same packet, then one that may continue it.
    let mut coalescer = Coalescer::new(Joins::ALL);
    let mut written = 0;
    for packet in [packet, packet, &clamped] {
        coalescer.push(packet, |_, bytes| written += bytes.len());
    }
    coalescer.flush(|_, bytes| written += bytes.len());
    assert!(written <= 3 * packet.len());
}

/// Fragments must fit, and carry together what the packet did.
fn check_fragments(packet: &[u8], mtu: usize, out: &mut [u8]) {
    let Ok(train) = fragment(Suite::AES_128_GCM_16.layout(), packet, mtu, out) else { return };
    let view = InnerView::parse(packet).ok();
    let whole = view.map_or(0, |view| view.total_length());
    let header = view.map_or(0, |view| view.header_length());
    let lengths = train.packets().map(|range| range.len());
    let fits = |length| length <= mtu || whole <= mtu;
    assert!(train.packets().all(|range| fits(range.len()) && range.end <= out.len()));
    assert!(train.count == 1 || lengths.sum::<usize>() == whole + (train.count - 1) * header);
}

/// Fragments of several packets among each other. Five bytes make one: family, packet, whether more follow, protocol and how much
/// time has passed; where it begins; how long it is, in units of 8; the ports of a first one.
///
/// What is judged by the ports of a first fragment has those of the newest one, and nothing of what passes with it overlaps.
pub fn inner_fragments(data: &[u8]) {
    const MOST: usize = 3;
    let (mut fragments, mut now_ns) = (Fragments::new(MOST), 0_u64);
    let mut begun: BTreeMap<u8, (Ports, Vec<(usize, usize)>)> = BTreeMap::new();
    for &[what, at, fine, length, ports] in data.as_chunks().0 {
        now_ns += u64::from(what >> 6) * LONGEST_NS / 2;
        let (start, length) = (
            usize::from(at) * 8 * usize::from(fine & 3),
            usize::from(length % 16) * 8 + 4 * usize::from(fine >> 7),
        );
        let packet = made_fragment(what, start, length, ports);
        let Ok(view) = InnerView::parse(&packet) else { continue };
        let Ok(judged) = fragments.judge(now_ns, &packet, &view) else { continue };
        assert!(fragments.len() <= MOST);
        // The protocol tells packets of IPv4 apart too.
        let packet = if view.source().is_ipv4() { what & 0b1_0111 } else { what & 0b0_0111 };
        match view.fragment() {
            Fragment::Whole => assert_eq!(judged.ports(), view.ports()),
            Fragment::First => {
                begun.insert(packet, (view.ports(), vec![(start, start + length)]));
            }
            Fragment::Later if judged.ports() == Ports::Hidden => {}
            Fragment::Later => {
                let Some((ports, pieces)) = begun.get_mut(&packet) else {
                    panic!("ports of no first fragment")
                };
                assert_eq!(judged.ports(), *ports);
                let end = start + length;
                assert!(pieces.iter().all(|piece| end <= piece.0 || piece.1 <= start), "an overlap passed");
                pieces.push((start, end));
            }
        }
    }
}

/// Bit 0 is the family, bits 1 and 2 are the packet's number, bit 3 whether more follow, bit 4 the protocol.
fn made_fragment(what: u8, start: usize, length: usize, port: u8) -> Vec<u8> {
    let protocol = if what & 16 == 0 { 17 } else { 6 };
    let more = what & 8 != 0;
    let offset = u16::try_from(start).unwrap_or(u16::MAX) & !7;
    let mut packet = if what & 1 == 0 {
        let total = u16::try_from(20 + length).unwrap_or(u16::MAX).to_be_bytes();
        let place = (offset >> 3 | u16::from(more) << 13).to_be_bytes();
        let number = what >> 1 & 3;
        vec![
            0x45, 0, total[0], total[1], 0, number, place[0], place[1], 64, protocol, 0, 0, 10, 0, 0, 1, 10,
            0, 0, 2,
        ]
    } else {
        let payload = u16::try_from(8 + length).unwrap_or(u16::MAX).to_be_bytes();
        let place = (offset | u16::from(more)).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, payload[0], payload[1], 44, 64];
        packet.extend([Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::LOCALHOST.octets()].concat());
        packet.extend([protocol, 0, place[0], place[1], 0, 0, 0, what >> 1 & 3]);
        packet
    };
    packet.extend(std::iter::repeat_n(port, length));
    packet
}

/// Reads an ICMP message of either family. The first two bytes are the MTU until then.
///
/// Whatever it says, an MTU is only ever lowered, and never below what every host takes.
pub fn icmp_quote(data: &[u8]) {
    let Some((present, message)) = data.split_first_chunk::<2>() else { return };
    let present = u16::from_be_bytes(*present);
    for (quote, least) in [
        (Quote::of_icmpv4(message), icmp_quote::LEAST_IPV4),
        (Quote::of_icmpv6(message), icmp_quote::LEAST_IPV6),
    ] {
        let Some(quote) = quote else { continue };
        assert_eq!(quote.destination.is_ipv4(), least == icmp_quote::LEAST_IPV4);
        assert_ne!(quote.esp.map(|(spi, _)| spi), Some(0), "an IKE message was taken for ESP");
        assert!(quote.lowers(present).is_none_or(|mtu| least <= mtu && mtu < present));
    }
}

/// What [`InboundSa`] accepted must be one whole IP packet from and to where the SA allows.
fn check_inner(suite: Suite, packet: &[u8], range: Range<usize>) {
    let layout = suite.layout();
    let text = layout.header_length()..packet.len() - TRAILER - layout.icv_length();
    assert!(range.start == text.start && range.end <= text.end);
    let inner = packet.get(range.clone()).unwrap_or_default();
    let view = InnerView::parse(inner).ok();
    assert_eq!(view.map(|view| view.total_length()), Some(range.len()));
    let from_ten = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().starts_with(&[10]),
        IpAddr::V6(_) => true,
    };
    assert!(view.is_some_and(|view| from_ten(view.source()) && from_ten(view.destination())));
}

fn sealed(suite: Suite, esn: bool, plaintext: &[u8]) -> Option<Vec<u8>> {
    let cipher = Cipher::new(suite, &config(suite, esn).keymat).ok()?;
    let layout = suite.layout();
    // Too short to hold a trailer is too short to be opened.
    let (payload, trailer) = plaintext.split_last_chunk::<TRAILER>()?;
    // A block cipher wants whole blocks: there is more padding against traffic analysis then.
    let length = if matches!(suite, Suite::AesCbc(..)) {
        plaintext.len().next_multiple_of(CBC_BLOCK)
    } else {
        plaintext.len()
    };
    let more = vec![0; length - plaintext.len()];
    let head = vec![0; layout.header_length()];
    let mut packet = [&head[..], payload, &more, trailer, &vec![0; layout.icv_length()]].concat();
    cipher.seal(PacketId { spi: SPI, sequence: 1, esn }, layout.split(&mut packet)?).ok()?;
    Some(packet)
}

fn config(suite: Suite, esn: bool) -> SaConfig {
    let net10 = (Ipv4Addr::new(10, 0, 0, 0).into(), Ipv4Addr::new(10, 255, 255, 255).into());
    let ipv6 = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into());
    let selectors = || {
        [net10, ipv6]
            .into_iter()
            .filter_map(|(first, last)| Selector::new(first, last, 0, (0, u16::MAX)).ok())
    };
    SaConfig {
        spi: SPI,
        suite,
        keymat: Keymat::new(vec![0x5a; suite.keymat_length()]),
        esn,
        local: selectors().collect(),
        remote: selectors().collect(),
        marking: crate::ecn::Marking::default(),
        replay_window: 64,
        packet_limit: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The corpus, sorted by name; never empty.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut files: Vec<_> =
            fs::read_dir(&folder).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(files.len() > 5, "the corpus of {target} has {} files", files.len());
        files.iter().map(|file| fs::read(file).expect("readable")).collect()
    }

    /// The same numbers in each run (xorshift64*).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
            usize::try_from(number).expect("64 bits") % limit.max(1)
        }

        fn byte(&mut self) -> u8 {
            u8::try_from(self.below(256)).expect("a byte")
        }

        /// Up to four changes: a byte, a bit, a cut, a growth, an interesting value.
        fn mutate(&mut self, input: &[u8]) -> Vec<u8> {
            let mut output = input.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(output.len());
                match self.below(6) {
                    0 => output.truncate(at),
                    1 => output.insert(at, self.byte()),
                    2 => output.extend_from_within(at..),
                    kind => {
                        let value = self.byte();
                        if let Some(byte) = output.get_mut(at) {
                            *byte = match kind {
                                3 => value,
                                4 => *byte ^ 1 << (value % 8),
                                _ => [0, 1, 4, 0x7f, 0x80, 0xff][usize::from(value % 6)],
                            };
                        }
                    }
                }
            }
            output
        }
    }

    fn run(target: &str, body: fn(&[u8])) {
        let corpus = corpus(target);
        let mut numbers = Numbers(0x5e51_5e51_5e51_5e51);
        for input in &corpus {
            body(input);
            for length in 0..input.len().min(200) {
                body(&input[..length]);
            }
        }
        for _ in 0..5_000 {
            let input = &corpus[numbers.below(corpus.len())];
            body(&numbers.mutate(input));
        }
    }

    #[test]
    fn coalesce_holds_for_corpus_and_mutations() {
        run("coalesce", coalesce);
    }

    #[test]
    fn segment_holds_for_corpus_and_mutations() {
        run("segment", segment_super_packet);
    }

    #[test]
    fn virtio_header_holds_for_corpus_and_mutations() {
        run("virtio_header", virtio_header);
    }

    #[test]
    fn esp_open_holds_for_corpus_and_mutations() {
        run("esp_open", esp_open);
    }

    #[test]
    fn icmp_quote_holds_for_corpus_and_mutations() {
        run("icmp_quote", icmp_quote);
    }

    #[test]
    fn inner_fragments_holds_for_corpus_and_mutations() {
        run("inner_fragments", inner_fragments);
    }

    #[test]
    fn inner_packet_holds_for_corpus_and_mutations() {
        run("inner_packet", inner_packet);
    }
}
