//! How large packets may be on the way to each peer, and how that is known (RFC 4301 §8.2).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use sekisho_ike::Instant;
use sekisho_ike::config::DontFragment;
use sekisho_ike::event::TunnelId;

use crate::data::Quote;

/// How long a router is believed where its word is not verified: "MUST NOT ... less than 5 minutes", and 10 are recommended (RFC
/// 1191 §6.3).
const BELIEVED: Duration = Duration::from_mins(10);

/// How often one path's changes are recorded: a router in a bad mood is no reason for a full log.
const RECORDED: Duration = Duration::from_secs(30);

/// How the MTU of a path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is that of our own line: nothing says that the rest of the path carries less, and `proven` that it does not.
    Line,
    /// This router said so.
    Router(IpAddr),
    /// A packet of that size has passed, and larger ones have not.
    Probed,
    /// Larger packets got lost; how much passes is being found out.
    Assumed,
}

/// What becomes of packets of ESP outside that are larger than the path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnPath {
    /// They are fragmented. How much it carries is not found out.
    Fragmented,
    /// They are dropped, and routers say so or do not.
    Whole,
    /// They are dropped, and probes find out how much it carries.
    Probed,
}

impl OnPath {
    /// What is asked for, with a peer that takes IKE messages in fragments or does not: without them nothing is probed. In doubt
    /// packets are fragmented then: a path that swallows what is too large would swallow them.
    pub(super) fn new(asked: DontFragment, takes_fragments: bool) -> Self {
        match (asked, takes_fragments) {
            (DontFragment::Auto | DontFragment::Always, true) => Self::Probed,
            (DontFragment::Always, false) => Self::Whole,
            (DontFragment::Auto, false) | (DontFragment::Never, _) => Self::Fragmented,
        }
    }

    /// Whether none may be fragmented outside.
    pub(super) fn dont_fragment(self) -> bool {
        self != Self::Fragmented
    }
}

/// What is known of one path, bytes of IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathMtu {
    /// The peer's address.
    pub(super) remote: IpAddr,
    /// Of the largest packet.
    pub(super) mtu: u16,
    /// How that is known.
    pub(super) source: Source,
    /// A packet of that size has passed.
    pub(super) proven: bool,
    pub(super) on_path: OnPath,
    /// Until when a router is believed, if nobody verifies what it said.
    pub(super) until: Option<Instant>,
    line: u16,
    /// What was recorded last, and when.
    recorded: (u16, Option<Instant>),
}

/// Those of all tunnels.
#[derive(Debug, Default)]
pub(super) struct PathMtus {
    paths: BTreeMap<TunnelId, PathMtu>,
    /// Those that changed and were not told of.
    changed: BTreeSet<TunnelId>,
    /// Those whose line changed.
    new_lines: BTreeSet<TunnelId>,
}

impl PathMtus {
    /// A tunnel's packets go to this address by a line that carries so much. Of a new path nothing else is known.
    pub(super) fn lead(&mut self, tunnel: TunnelId, remote: IpAddr, line: u16, on_path: OnPath) {
        let source = Source::Line;
        // Of the first path of a tunnel there is nothing to record.
        let recorded = self.paths.get(&tunnel).map_or((line, None), |path| path.recorded);
        let path = PathMtu { remote, mtu: line, source, proven: false, on_path, line, until: None, recorded };
        self.paths.insert(tunnel, path);
        self.changed.insert(tunnel);
        self.new_lines.insert(tunnel);
    }

    /// The line of a tunnel carries so much now.
    pub(super) fn set_line(&mut self, tunnel: TunnelId, line: u16) {
        let known = self.paths.get(&tunnel).filter(|path| path.line != line).copied();
        if let Some(path) = known {
            self.lead(tunnel, path.remote, line, path.on_path);
        }
    }

    /// The tunnel is gone.
    pub(super) fn remove(&mut self, tunnel: TunnelId) {
        self.paths.remove(&tunnel);
        self.changed.remove(&tunnel);
        self.new_lines.remove(&tunnel);
    }

    /// What came of the search so far.
    pub(super) fn found(&mut self, tunnel: TunnelId, mtu: u16, proven: bool) {
        let Some(path) = self.paths.get_mut(&tunnel) else { return };
        let before = (path.mtu, path.source);
        path.source = match path.source {
            _ if mtu >= path.line => Source::Line,
            Source::Router(router) if path.mtu == mtu => Source::Router(router),
            _ if proven => Source::Probed,
            _ => Source::Assumed,
        };
        path.mtu = mtu.min(path.line);
        path.proven = proven;
        path.until = None;
        if before != (path.mtu, path.source) {
            self.changed.insert(tunnel);
        }
    }

    /// A router on the way says that a packet was too big, and has shown that it had one in hand. The new MTU, if there is one.
    pub(super) fn too_big(
        &mut self,
        now: Instant,
        tunnel: TunnelId,
        router: IpAddr,
        quote: &Quote,
    ) -> Option<u16> {
        let path = self.paths.get_mut(&tunnel)?;
        let mtu = quote.lowers(path.mtu)?;
        (path.mtu, path.source, path.proven) = (mtu, Source::Router(router), false);
        path.until = (path.on_path != OnPath::Probed).then(|| now + BELIEVED);
        self.changed.insert(tunnel);
        Some(mtu)
    }

    /// What was believed of routers for long enough, and is not verified, is believed no more.
    pub(super) fn expire(&mut self, now: Instant) {
        for (tunnel, path) in &mut self.paths {
            if path.until.is_some_and(|until| until <= now) {
                (path.mtu, path.source, path.until) = (path.line, Source::Line, None);
                path.proven = false;
                self.changed.insert(*tunnel);
            }
        }
    }

    /// Those whose MTU is another than was recorded last, each with that; what is only assumed is no news.
    pub(super) fn take_news(&mut self, now: Instant) -> Vec<(TunnelId, u16, PathMtu)> {
        let mut news = Vec::new();
        for (tunnel, path) in &mut self.paths {
            let (before, at) = path.recorded;
            let lately = at.is_some_and(|at| now.since(at) < RECORDED);
            if before != path.mtu && path.source != Source::Assumed && !lately {
                path.recorded = (path.mtu, Some(now));
                news.push((*tunnel, before, *path));
            }
        }
        news
    }

    pub(super) fn get(&self, tunnel: TunnelId) -> Option<&PathMtu> {
        self.paths.get(&tunnel)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TunnelId, &PathMtu)> {
        self.paths.iter().map(|(tunnel, path)| (*tunnel, path))
    }

    /// Those that changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Vec<(TunnelId, PathMtu)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|tunnel| Some((tunnel, *self.paths.get(&tunnel)?))).collect()
    }

    /// What the lines carry that are new since this was last asked.
    pub(super) fn take_new_lines(&mut self) -> Vec<(TunnelId, u16)> {
        let new = std::mem::take(&mut self.new_lines);
        new.into_iter().filter_map(|tunnel| Some((tunnel, self.paths.get(&tunnel)?.line))).collect()
    }
}

impl Source {
    /// A stable word for `status --json`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Line => "interface",
            Self::Router(_) => "router",
            Self::Probed => "probed",
            Self::Assumed => "assumed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNNEL: TunnelId = TunnelId(7);

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn remote() -> IpAddr {
        "203.0.113.1".parse().unwrap()
    }

    fn router() -> IpAddr {
        "198.51.100.1".parse().unwrap()
    }

    /// A router that carries no more than this says so of a packet of 1,500 bytes.
    fn quote(mtu: u16) -> Quote {
        let mut icmp = vec![0; 8 + 20 + 16];
        icmp[..8].copy_from_slice(&[3, 4, 0, 0, 0, 0, mtu.to_be_bytes()[0], mtu.to_be_bytes()[1]]);
        icmp[8..12].copy_from_slice(&[0x45, 0, 0x05, 0xdc]);
        (icmp[17], icmp[36]) = (17, 1);
        let sum: u32 = icmp.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        icmp[2..4].copy_from_slice(&(!folded).to_be_bytes());
        Quote::of_icmpv4(&icmp).unwrap()
    }

    fn known(paths: &PathMtus) -> (u16, Source) {
        let path = paths.get(TUNNEL).unwrap();
        (path.mtu, path.source)
    }

    #[test]
    fn what_is_found_out_is_told_once_and_never_more_than_the_line_carries() {
        let mut paths = PathMtus::default();
        paths.lead(TUNNEL, remote(), 1500, OnPath::Probed);
        assert_eq!((paths.take_new_lines(), paths.take_changed().len()), (vec![(TUNNEL, 1500)], 1));
        for (mtu, proven, source) in [
            (1500, false, Source::Line),
            (1500, true, Source::Line),
            (1280, false, Source::Assumed),
            (1280, true, Source::Probed),
            (1400, true, Source::Probed),
            (9000, true, Source::Line),
        ] {
            paths.found(TUNNEL, mtu, proven);
            assert_eq!(known(&paths), (mtu.min(1500), source));
            assert_eq!(paths.get(TUNNEL).unwrap().proven, proven, "also of what the line carries");
        }
        assert_eq!(paths.take_changed().len(), 1);
        paths.found(TUNNEL, 1500, true);
        assert_eq!(paths.take_changed(), []);
    }

    #[test]
    fn a_change_is_recorded_once_it_is_known_and_not_too_often() {
        let mut paths = PathMtus::default();
        paths.lead(TUNNEL, remote(), 1500, OnPath::Probed);
        let news = |paths: &mut PathMtus, second| -> Vec<(u16, u16)> {
            paths.take_news(at(second)).into_iter().map(|(_, from, path)| (from, path.mtu)).collect()
        };
        assert_eq!(news(&mut paths, 0), []);
        paths.found(TUNNEL, 1280, false);
        assert_eq!(news(&mut paths, 1), [], "it is being found out");
        paths.found(TUNNEL, 1400, true);
        assert_eq!(news(&mut paths, 2), [(1500, 1400)]);
        paths.too_big(at(3), TUNNEL, router(), &quote(1300));
        assert_eq!([news(&mut paths, 3), news(&mut paths, 31)], [[], []]);
        paths.set_line(TUNNEL, 1454);
        assert_eq!(news(&mut paths, 32), [(1400, 1454)], "and what was meanwhile is not");
    }

    #[test]
    fn a_router_lowers_and_never_raises() {
        let mut paths = PathMtus::default();
        paths.lead(TUNNEL, remote(), 1500, OnPath::Probed);
        assert_eq!(paths.too_big(at(0), TUNNEL, router(), &quote(1400)), Some(1400));
        assert_eq!(known(&paths), (1400, Source::Router(router())));
        assert!(!paths.get(TUNNEL).unwrap().proven);
        for higher in [1400, 1450, 1500, 2000] {
            assert_eq!(paths.too_big(at(0), TUNNEL, router(), &quote(higher)), None);
        }
        paths.found(TUNNEL, 1400, true);
        assert_eq!(known(&paths), (1400, Source::Router(router())), "and it was right");
        paths.expire(at(100_000));
        assert_eq!(known(&paths).0, 1400, "the search raises it");
        paths.found(TUNNEL, 1380, true);
        assert_eq!(known(&paths), (1380, Source::Probed));
    }

    #[test]
    fn where_nothing_is_probed_a_router_is_believed_for_ten_minutes() {
        let mut paths = PathMtus::default();
        paths.lead(TUNNEL, remote(), 1500, OnPath::Whole);
        assert_eq!(paths.too_big(at(0), TUNNEL, router(), &quote(1400)), Some(1400));
        paths.expire(at(599));
        assert_eq!(known(&paths).0, 1400);
        paths.expire(at(600));
        assert_eq!(known(&paths), (1500, Source::Line));
    }

    #[test]
    fn another_line_or_path_begins_anew_and_a_tunnel_that_is_gone_is_forgotten() {
        let mut paths = PathMtus::default();
        paths.lead(TUNNEL, remote(), 1500, OnPath::Probed);
        paths.found(TUNNEL, 1400, true);
        paths.take_new_lines();
        paths.set_line(TUNNEL, 1500);
        assert_eq!((known(&paths).0, paths.take_new_lines()), (1400, vec![]));
        paths.set_line(TUNNEL, 1454);
        assert_eq!((known(&paths).0, paths.take_new_lines()), (1454, vec![(TUNNEL, 1454)]));
        paths.remove(TUNNEL);
        assert!(paths.get(TUNNEL).is_none() && paths.take_changed().is_empty());
    }

    /// A path is searched by IKE messages that would arrive in fragments, so of peers that take those alone.
    #[test]
    fn packets_are_kept_whole_where_that_is_asked_or_the_path_is_probed() {
        for (asked, takes_fragments, expected) in [
            (DontFragment::Auto, true, OnPath::Probed),
            (DontFragment::Auto, false, OnPath::Fragmented),
            (DontFragment::Always, true, OnPath::Probed),
            (DontFragment::Always, false, OnPath::Whole),
            (DontFragment::Never, true, OnPath::Fragmented),
            (DontFragment::Never, false, OnPath::Fragmented),
        ] {
            assert_eq!(
                OnPath::new(asked, takes_fragments),
                expected,
                "{asked:?}, fragments: {takes_fragments}"
            );
        }
        assert_eq!(
            [OnPath::Fragmented, OnPath::Whole, OnPath::Probed].map(OnPath::dont_fragment),
            [false, true, true]
        );
    }
}
