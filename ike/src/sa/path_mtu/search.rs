//! Which sizes to try, and what follows from what became of them (RFC 8899 §5.3, RFC 4821 §7).

use crate::limits;

/// Bytes of IP packet that lines are known to carry: those of jumbo frames, FDDI and 2,000-byte Ethernet; Ethernet; `PPPoE`; tunnels
/// in Ethernet (IP in IP, GRE, VXLAN, Japan's `PPPoE` and DS-Lite lines, `WireGuard`, ESP, and several of them); IPv6's
/// minimum; and what narrow IPv4 lines have. In between little is lost by taking the next smaller.
const SIZES: [u16; 24] = [
    9000, 4352, 2000, 1500, 1492, 1480, 1476, 1460, 1454, 1450, 1440, 1430, 1420, 1400, 1380, 1360, 1340,
    1320, 1300, 1280, 1200, 1100, 1006, 768,
];

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The peer has it; it had this many bytes, a few less than it was to have.
    Passed(u16),
    /// The peer has what was sent in its place, and answered that at once.
    Lost,
    /// Small packets got lost too.
    Unclear,
}

/// The search for the largest IP packet that a path carries, bytes.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// What is not sought: every path carries this much.
    least: u16,
    /// What is not exceeded: the line carries no more.
    most: u16,
    /// What was believed before, and whether it had passed then.
    start: u16,
    proven: bool,
    /// The largest that passed, as it was to be and as it was.
    passed: Option<(u16, u16)>,
    /// The smallest that did not.
    lost: Option<u16>,
    losses: u32,
    unclear: u32,
    /// The smallest that is known not to have passed when it was tried last, in this search or one before.
    beyond: Option<u16>,
    /// Of all sizes above what was believed only this is tried, and once; the others when it has passed.
    step: Option<u16>,
}

impl Search {
    /// Among packets of more than `least` bytes, which every path carries, and up to `most`; beginning with the size that was
    /// believed until now.
    pub(crate) fn new(least: u16, most: u16, start: u16) -> Self {
        let least = least.min(most);
        let start = start.clamp(least, most);
        let (passed, lost, beyond, step) = (None, None, None, None);
        Self { least, most, start, proven: false, passed, lost, losses: 0, unclear: 0, beyond, step }
    }

    /// A router said that no more than this passes: nothing larger is tried in this search.
    pub(crate) fn told(least: u16, most: u16, mtu: u16) -> Self {
        let search = Self::new(least, most, mtu);
        let lost = search.start.checked_add(1).filter(|lost| *lost <= most);
        let beyond = lost
            .map(|lost| SIZES.into_iter().rfind(|size| *size >= lost).map_or(most, |size| size.min(most)));
        Self { lost, beyond, ..search }
    }

    /// Whether more passes than before: one packet, of the next size that did not. Most of the time it does not pass now either,
    /// and that is all that it costs; if it does, all is sought anew.
    pub(crate) fn raise(&self) -> Self {
        let (proven, beyond) = (self.is_proven(), self.beyond);
        Self { proven, beyond, step: beyond, ..Self::new(self.least, self.most, self.believed()) }
    }

    /// Whether what is believed still passes, and if not, what does.
    pub(crate) fn verify(&self) -> Self {
        let (proven, beyond) = (self.is_proven(), self.beyond);
        Self { proven, beyond, ..Self::told(self.least, self.most, self.believed()) }
    }

    /// Whether what is believed is another size than before.
    pub(crate) fn has_changed(&self) -> bool {
        self.believed() != self.start
    }

    /// Whether the line carries more than the path is believed to.
    pub(crate) fn is_narrow(&self) -> bool {
        self.believed() < self.most
    }

    /// What the line carries.
    pub(crate) fn most(&self) -> u16 {
        self.most
    }

    /// The next size to try: what was believed, then the one step up or what the line carries, then what nearly every path
    /// carries, and then halfway between what passed and what did not. `None` if nothing is left to be found out.
    pub(crate) fn next(&self) -> Option<u16> {
        let between: Vec<u16> = SIZES.into_iter().filter(|size| self.is_open(*size)).collect();
        let up = self.step.unwrap_or(self.most);
        let first = [self.start, up, limits::PATH_MTU_BASE].into_iter().find(|size| self.is_open(*size));
        first.or_else(|| between.get(between.len() / 2).copied())
    }

    /// What is believed now: what passed; until anything did, what was believed before, as long as it was not found lost.
    pub(crate) fn believed(&self) -> u16 {
        let may_pass = |size: &u16| *size <= self.most && self.lost.is_none_or(|lost| *size < lost);
        let untried = || [self.start, limits::PATH_MTU_BASE].into_iter().find(may_pass);
        self.passed.map(|(_, packet)| packet).or_else(untried).unwrap_or(self.least).max(self.least)
    }

    /// Whether what is believed was found out, now or before.
    pub(crate) fn is_proven(&self) -> bool {
        self.passed.is_some() || self.proven && self.believed() == self.start
    }

    /// How often the size that is tried next has got lost.
    pub(crate) fn losses(&self) -> u32 {
        self.losses + self.unclear
    }

    /// What became of a packet that was to have this size.
    pub(crate) fn tried(&mut self, size: u16, outcome: Outcome) {
        if !self.is_open(size) {
            return;
        }
        match outcome {
            Outcome::Passed(packet) => self.passed(size, packet),
            Outcome::Lost => self.losses += 1,
            Outcome::Unclear => self.unclear += 1,
        }
        let failed = self.losses + self.unclear > 0;
        let is_lost = self.losses >= limits::PATH_MTU_LOSSES
            || self.unclear >= limits::PATH_MTU_UNCLEAR
            || failed && self.step == Some(size);
        if is_lost {
            (self.lost, self.beyond) = (Some(size), Some(size));
            (self.losses, self.unclear) = (0, 0);
        }
    }

    fn passed(&mut self, size: u16, packet: u16) {
        self.passed = Some((size, packet));
        self.beyond = self.beyond.filter(|beyond| *beyond > size);
        self.step = self.step.filter(|step| *step != size);
        (self.losses, self.unclear) = (0, 0);
    }

    fn is_open(&self, size: u16) -> bool {
        let above = self.passed.map_or(self.least, |(size, _)| size);
        let is_sought = self.step.is_none_or(|step| size <= self.start || size == step);
        above < size && size <= self.most && self.lost.is_none_or(|lost| size < lost) && is_sought
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: u16 = limits::PATH_MTU_LEAST_IPV4;
    const V6: u16 = limits::PATH_MTU_LEAST_IPV6;

    /// What a cipher of blocks makes of a size.
    fn cut(size: u16, block: u16) -> u16 {
        size - size % block
    }

    /// Searches a path that carries this much.
    fn search(mut search: Search, path: u16, block: u16) -> (u16, u32, u16) {
        let (mut tries, mut least_believed) = (0, search.believed());
        while let Some(size) = search.next() {
            tries += 1;
            assert!(tries < 100, "{search:?}");
            let packet = cut(size, block);
            search.tried(size, if packet <= path { Outcome::Passed(packet) } else { Outcome::Lost });
            least_believed = least_believed.min(search.believed());
        }
        (search.believed(), tries, least_believed)
    }

    #[test]
    fn a_clear_path_costs_one_packet() {
        for most in [1280, 1454, 1500, 9000] {
            assert_eq!(search(Search::new(V4, most, most), most, 1), (most, 1, most));
            assert_eq!(search(Search::new(V6, 1281, 1281), 9000, 1).0, 1281);
        }
        assert_eq!(search(Search::new(V6, 1280, 1280), 1280, 1), (1280, 0, 1280), "nothing to be found out");
        assert_eq!(search(Search::new(V4, 400, 400), 400, 1), (400, 0, 400));
    }

    #[test]
    fn what_is_found_passes_and_the_next_usual_size_does_not() {
        for least in [V4, V6] {
            for path in 576..=1600 {
                for block in [1, 4, 16] {
                    let (found, tries, _) = search(Search::new(least, 1500, 1500), path, block);
                    let fits = |size: &u16| *size <= 1500 && cut(*size, block) <= path && *size > least;
                    let best = SIZES.into_iter().find(fits).map_or(least, |size| cut(size, block));
                    assert_eq!(found, best.max(least), "{path}");
                    assert!(tries <= 14, "{path}: {tries}");
                }
            }
        }
    }

    #[test]
    fn nothing_that_got_lost_is_believed() {
        for path in [1280, 1400, 1492] {
            let (found, _, least) = search(Search::new(V4, 1500, 1500), path, 1);
            assert_eq!((found, least), (path, 1280), "what nearly every path carries, until more is known");
        }
    }

    #[test]
    fn a_search_anew_keeps_what_still_passes_and_finds_what_became_wider_or_narrower() {
        let narrow = || Search::new(V4, 1500, 1400);
        assert_eq!(search(narrow(), 1400, 1).0, 1400);
        assert_eq!(search(narrow(), 1400, 1).2, 1400, "it is used all along");
        assert_eq!(search(narrow(), 1500, 1), (1500, 2, 1400));
        assert_eq!(search(narrow(), 1300, 1).0, 1300);
    }

    #[test]
    fn to_see_whether_more_passes_costs_one_packet_above_what_did_unless_it_passes() {
        for (block, path) in
            [1, 4, 16].into_iter().flat_map(|block| (592..=1480).map(move |path| (block, path)))
        {
            let (mut known, all) =
                (Search::new(V4, 1500, 1500), |path| search(Search::new(V4, 1500, 1500), path, block).0);
            while let Some(size) = known.next() {
                let packet = cut(size, block);
                known.tried(size, if packet <= path { Outcome::Passed(packet) } else { Outcome::Lost });
            }
            let believed = known.believed();
            for same in [known.raise(), known.verify().raise(), known.raise().raise()] {
                let (found, tries, least) = search(same, path, block);
                assert_eq!((found, least), (believed, believed), "{path}");
                assert!(tries <= 3, "{path}, {block}: {tries}");
            }
            // What became wider is found, by much or by little.
            for wider in [1600, path + 100] {
                assert_eq!(search(known.raise(), wider, block).0, all(wider), "{path}, {block}");
            }
        }
    }

    #[test]
    fn one_lost_step_up_lowers_nothing_and_is_not_tried_again() {
        for outcome in [Outcome::Lost, Outcome::Unclear] {
            let mut next = Search { proven: true, ..Search::told(V4, 1500, 1400) }.raise();
            next.tried(1400, Outcome::Passed(1400));
            assert_eq!(next.next(), Some(1420));
            next.tried(1420, outcome);
            assert_eq!((next.next(), next.believed(), next.is_proven()), (None, 1400, true));
        }
    }

    #[test]
    fn a_size_that_has_passed_stays_proven_until_it_gets_lost() {
        let mut known = Search::new(V4, 1500, 1500);
        known.tried(1500, Outcome::Passed(1500));
        for mut next in [known.raise(), known.verify()] {
            assert_eq!((next.believed(), next.is_proven(), next.next()), (1500, true, Some(1500)));
            next.tried(1500, Outcome::Lost);
            assert_eq!((next.believed(), next.is_proven(), next.next()), (1500, true, Some(1500)));
            next.tried(1500, Outcome::Lost);
            assert_eq!((next.believed(), next.is_proven(), next.next()), (1280, false, Some(1280)));
        }
    }

    #[test]
    fn to_verify_costs_one_packet_and_what_got_lost_is_sought_below() {
        let mut known = Search::new(V4, 1500, 1500);
        while let Some(size) = known.next() {
            known.tried(size, if size <= 1400 { Outcome::Passed(size) } else { Outcome::Lost });
        }
        assert_eq!(search(known.verify(), 1500, 1), (1400, 1, 1400), "what is wider is for another time");
        assert_eq!(search(known.verify(), 1400, 1), (1400, 1, 1400));
        assert_eq!(search(known.verify(), 1300, 1).0, 1300);
        assert_eq!(search(known.verify().raise(), 1500, 1).0, 1500);
    }

    #[test]
    fn what_a_router_told_is_the_end_of_it_if_it_passes() {
        assert_eq!(search(Search::told(V4, 1500, 1404), 1404, 1), (1404, 1, 1404));
        assert_eq!(search(Search::told(V4, 1500, 1404), 1500, 1), (1404, 1, 1404), "raised another time");
        assert_eq!(search(Search::told(V4, 1500, 1404), 1400, 1).0, 1400, "and another router is silent");
        assert_eq!(search(Search::told(V6, 1500, 68), 1500, 1), (1280, 0, 1280));
        let told = Search::told(V4, 1500, 1404);
        assert_eq!(search(told.raise(), 1500, 1).0, 1500);
    }

    #[test]
    fn one_loss_may_be_chance_and_losses_of_small_packets_say_nothing_at_first() {
        let mut search = Search::new(V4, 1500, 1500);
        search.tried(1500, Outcome::Lost);
        assert_eq!((search.next(), search.believed()), (Some(1500), 1500));
        search.tried(1500, Outcome::Passed(1500));
        assert_eq!((search.next(), search.believed(), search.is_proven()), (None, 1500, true));

        let mut search = Search::new(V4, 1500, 1500);
        for _ in 1..limits::PATH_MTU_UNCLEAR {
            search.tried(1500, Outcome::Unclear);
            assert_eq!((search.next(), search.believed()), (Some(1500), 1500));
        }
        search.tried(1500, Outcome::Unclear);
        assert_eq!(search.next(), Some(1280));
        search.tried(1500, Outcome::Passed(1500));
        assert_eq!(search.next(), Some(1280), "an answer to an earlier search");
    }
}
