//! From a negotiated Child SA to the SAs of the data path: the only place that knows both protocol crates.

pub(super) use sekisho_esp::ConfigError;
use sekisho_esp::ecn::Marking;
use sekisho_esp::{
    AesKey, GcmTag, Hmac, InboundSa, InnerView, Keymat, Layout, OutboundSa, Ports, SaConfig, Selector, Suite,
};
use sekisho_ike::config::{Child, Connection, Start};
use sekisho_ike::event::{ChildSaParameters, DirectionKeys, TfcPadding, Trigger};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::suite::{Aead, Cbc, Esn, EspProposal, Integrity, Protection};
use sekisho_ike::{Path, Transport};

use crate::config::limits::OVERDUE;
use crate::config::{self, Config, Daemon};
use crate::data::{Reservation, UdpPath};

/// Both directions of a Child SA, and the way of its packets.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) inbound: InboundSa,
    pub(super) outbound: OutboundSa,
    pub(super) path: UdpPath,
}

/// Makes the SAs of a Child SA.
pub(super) fn pair(child: &ChildSaParameters, daemon: &Daemon) -> Result<Pair, ConfigError> {
    let inbound = InboundSa::new(direction(child, &child.inbound, daemon)?)?;
    let outbound = OutboundSa::new(direction(child, &child.outbound, daemon)?)?;
    let end = (child.expires_at + OVERDUE).since_boot().as_nanos();
    let end = u64::try_from(end).unwrap_or(u64::MAX);
    inbound.end_at(end);
    outbound.end_at(end);
    Ok(Pair {
        inbound,
        outbound: outbound.with_tfc_padding(child.tfc_padding == TfcPadding::On),
        path: esp_path(child.path, child.encapsulated),
    })
}

/// What a configured child may carry.
///
/// # Errors
/// If its selectors could never make an SA.
pub(super) fn reservation(
    policy: u64,
    connection: &Connection,
    child: &Child,
    (local, remote): &Sides,
) -> Result<Reservation, ConfigError> {
    Ok(Reservation {
        policy,
        on_demand: connection.initiate && child.start == Start::OnDemand,
        in_part: connection.remote_id.exact().is_none()
            || !connection.pools.is_empty()
            || connection.internal_address.is_asked(),
        local: selectors(local)?,
        remote: selectors(remote)?,
    })
}

/// Both sides of a child: ours and the peer's.
pub(super) type Sides = (Vec<TrafficSelector>, Vec<TrafficSelector>);

/// What the sides of a child may be.
pub(super) fn sides(config: &Config, connection: &Connection, child: &Child) -> Sides {
    (local(child), config::remote_side(config, connection, child))
}

/// What our side of a child may be, before we know the address that we are given.
fn local(child: &Child) -> Vec<TrafficSelector> {
    if child.local.is_empty() {
        [true, false].map(TrafficSelector::everything).to_vec()
    } else {
        child.local.clone()
    }
}

/// How packets may be laid out under these proposals, each way once.
pub(super) fn layouts<'p>(proposals: impl IntoIterator<Item = &'p EspProposal>) -> Vec<Layout> {
    let mut layouts = Vec::new();
    for proposal in proposals {
        for protection in Protection::all().filter(|protection| proposal.ciphers.holds(*protection)) {
            let layout = suite(protection).layout();
            if !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
    }
    layouts
}

/// The data path's word for the way of an SA.
pub(super) fn esp_path(path: Path, encapsulated: bool) -> UdpPath {
    UdpPath { local: path.local, remote: path.remote, encap: encapsulated }
}

/// The endpoint's word for a path.
pub(super) fn ike_path(path: UdpPath) -> Path {
    let transport = if path.encap { Transport::UdpEncap } else { Transport::Udp };
    Path { local: path.local, remote: path.remote, transport }
}

/// What a packet says, for the endpoint. What stands for ports in ICMP is left out: not all peers know it as such.
pub(super) fn trigger(packet: &InnerView) -> Option<Trigger> {
    let ports = match packet.ports() {
        Ports::Known { source, destination } if ![ICMP, ICMPV6].contains(&packet.protocol()) => {
            Some((source, destination))
        }
        _ => None,
    };
    Trigger::new(packet.source(), packet.destination(), packet.protocol(), ports)
}

/// IP protocol numbers.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn direction(
    child: &ChildSaParameters,
    keys: &DirectionKeys,
    daemon: &Daemon,
) -> Result<SaConfig, ConfigError> {
    Ok(SaConfig {
        spi: keys.spi.0,
        suite: suite(child.suite.protection),
        keymat: Keymat::new(keys.keymat.expose().to_vec()),
        esn: child.suite.esn == Esn::Extended,
        local: selectors(&child.local)?,
        remote: selectors(&child.remote)?,
        marking: Marking { copy_dscp: daemon.copy_dscp, dscp: daemon.dscp, ecn: daemon.ecn },
        replay_window: daemon.replay_window,
        packet_limit: None,
    })
}

/// The data path's word for what protects packets.
fn suite(protection: Protection) -> Suite {
    match protection {
        Protection::Aead(Aead::Aes256Gcm16) => Suite::AesGcm(AesKey::Bits256, GcmTag::Octets16),
        Protection::Aead(Aead::Aes256Gcm12) => Suite::AesGcm(AesKey::Bits256, GcmTag::Octets12),
        Protection::Aead(Aead::Aes256Gcm8) => Suite::AesGcm(AesKey::Bits256, GcmTag::Octets8),
        Protection::Aead(Aead::Aes128Gcm16) => Suite::AesGcm(AesKey::Bits128, GcmTag::Octets16),
        Protection::Aead(Aead::Aes128Gcm12) => Suite::AesGcm(AesKey::Bits128, GcmTag::Octets12),
        Protection::Aead(Aead::Aes128Gcm8) => Suite::AesGcm(AesKey::Bits128, GcmTag::Octets8),
        Protection::Aead(Aead::ChaCha20Poly1305) => Suite::ChaCha20Poly1305,
        Protection::Cbc(cbc, integrity) => Suite::AesCbc(aes_key(cbc), hmac(integrity)),
    }
}

fn aes_key(cbc: Cbc) -> AesKey {
    match cbc {
        Cbc::Aes256 => AesKey::Bits256,
        Cbc::Aes128 => AesKey::Bits128,
    }
}

fn hmac(integrity: Integrity) -> Hmac {
    match integrity {
        Integrity::HmacSha256 => Hmac::Sha256,
        Integrity::HmacSha384 => Hmac::Sha384,
        Integrity::HmacSha512 => Hmac::Sha512,
    }
}

fn selectors(selectors: &[TrafficSelector]) -> Result<Vec<Selector>, ConfigError> {
    let one = |ts: &TrafficSelector| {
        let ports = (*ts.ports().start(), *ts.ports().end());
        Selector::new(ts.first(), ts.last(), ts.protocol().0, ports)
    };
    selectors.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use sekisho_esp::DropReason;
    use sekisho_ike::config::Name;
    use sekisho_ike::event::{ChildSaId, TunnelId, Withheld};
    use sekisho_ike::suite::EspSuite;
    use sekisho_ike::wire::EspSpi;
    use sekisho_ike::{Instant, Now, Secret};

    use super::*;

    const LIFETIME: Instant = Instant::from_boot(Duration::from_hours(1));

    fn child(protection: Protection, keymat: usize) -> ChildSaParameters {
        let keys = |spi| DirectionKeys { spi: EspSpi(spi), keymat: Secret::new(vec![7; keymat]) };
        let path = Path::udp("192.0.2.1:500".parse().unwrap(), "203.0.113.1:500".parse().unwrap());
        ChildSaParameters {
            id: ChildSaId(1),
            tunnel: TunnelId(1),
            connection: Name::from("centre"),
            child: Name::from("centre"),
            replaces: None,
            remote_id: "hub.example".parse().unwrap(),
            suite: EspSuite { protection, group: None, esn: Esn::Extended },
            inbound: keys(0x1000),
            outbound: keys(0x2000),
            local: vec!["10.17.0.0/24[tcp/443]".parse().unwrap()],
            remote: vec!["10.0.0.0/16".parse().unwrap()],
            path: path.floated(4500, 4500),
            encapsulated: true,
            established: Now { boot: Instant::default(), wall: 0 },
            expires_at: LIFETIME,
            tfc_padding: TfcPadding::On,
            withheld: None,
        }
    }

    #[test]
    fn each_direction_gets_its_spi_and_the_path_its_encapsulation() {
        for protection in Protection::all() {
            let child = child(protection, protection.keymat_length());
            let pair = pair(&child, &Daemon::default()).unwrap();
            assert_eq!((pair.inbound.spi(), pair.outbound.spi()), (0x1000, 0x2000));
            assert!(pair.path.encap);
            assert_eq!(pair.outbound.layout_for(1400), pair.outbound.layout().padded_to(1400));
            assert!(!esp_path(child.path, false).encap, "whatever port IKE uses");
            assert_eq!(ike_path(pair.path), child.path);
        }
    }

    #[test]
    fn what_is_given_of_a_network_is_not_told_as_withheld() {
        let protection = Protection::Aead(Aead::Aes256Gcm16);
        let asked = vec!["10.17.0.0/24".parse().unwrap()];
        let withheld = Some(Box::new(Withheld { local: asked, remote: Vec::new() }));
        let child = ChildSaParameters { withheld, ..child(protection, protection.keymat_length()) };
        let record = crate::telemetry::ChildSa::from(&child);
        assert_eq!(record.withheld_local, ["10.17.0.0/24 except tcp/443"]);
    }

    /// A control that hangs ends nothing.
    #[test]
    fn a_child_sa_that_nobody_ends_ends_by_itself_a_minute_after_its_lifetime() {
        let protection = Protection::Aead(Aead::Aes256Gcm16);
        let pair = pair(&child(protection, protection.keymat_length()), &Daemon::default()).unwrap();
        let at =
            |late: u64| (LIFETIME + Duration::from_secs(late)).since_boot().as_nanos().try_into().unwrap();
        let seal = |now_ns| pair.outbound.sealer(now_ns).seal(&mut [0x45; 100], 16..36).map(drop);
        let open = |now_ns| {
            let mut packet = [0; 100];
            packet[2] = 0x10;
            pair.inbound.opener(now_ns).open(&mut packet, 0).map(drop)
        };
        assert_eq!((seal(at(0)), seal(at(59))), (Ok(()), Ok(())));
        assert_eq!(open(at(59)), Err(DropReason::SequenceZero));
        assert_eq!(seal(at(60)), Err(DropReason::SaEnded));
        assert_eq!(open(at(60)), Err(DropReason::SaEnded));
    }

    #[test]
    fn both_crates_mean_the_same_suite() {
        let ours: BTreeSet<_> = Suite::ALL.iter().map(Suite::to_string).collect();
        let negotiated: BTreeSet<_> = Protection::all().map(|protection| protection.to_string()).collect();
        assert_eq!(ours, negotiated);
        for protection in Protection::all() {
            let suite = suite(protection);
            assert_eq!(suite.to_string(), protection.to_string());
            assert_eq!(suite.keymat_length(), protection.keymat_length(), "{protection}");
        }
    }

    #[test]
    fn marks_are_carried_as_the_daemon_is_configured() {
        // Expedited, with congestion experienced.
        let (inner, dscp, ecn) = (0xb8 | 3, 0xb8, 3);
        let protection = Protection::Aead(Aead::Aes256Gcm16);
        for (copy_dscp, ours, ecn_copied, outer) in [
            (true, 0, true, dscp | ecn),
            (true, 0, false, dscp),
            (false, 0, true, ecn),
            (false, 10, false, 10 << 2),
            (false, 10, true, 10 << 2 | ecn),
        ] {
            let daemon = Daemon { copy_dscp, dscp: ours, ecn: ecn_copied, ..Daemon::default() };
            let pair = pair(&child(protection, protection.keymat_length()), &daemon).unwrap();
            assert_eq!(pair.outbound.outer_tos(inner), outer, "{copy_dscp} {ours} {ecn_copied}");
        }
    }

    #[test]
    fn keys_of_the_wrong_length_are_refused() {
        assert!(pair(&child(Protection::Aead(Aead::Aes256Gcm16), 20), &Daemon::default()).is_err());
    }
}
