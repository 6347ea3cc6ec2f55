//! Every algorithm carries a tunnel through its whole life; and a peer without perfect forward secrecy.

use std::time::Duration;

use sekisho_ike::event::{Command, Pfs};
use sekisho_ike::sim::{Conditions, Side, World};
use sekisho_ike::suite::{Group, Prf, Profile, Protection};

use crate::{MINUTE, SECOND, start_with, up_with};

/// A tunnel with this suite of both kinds, and traffic on it: up, everything rekeyed by either end, closed.
fn live(protection: Protection, prf: Prf, group: Group) {
    let ike = format!("{protection}-{prf}-{group}");
    let esp = format!("{protection}-{group}-noesn");
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        for connection in [a, b] {
            connection.proposals = vec![ike.parse().unwrap()];
            connection.children[0].proposals = vec![esp.parse().unwrap()];
        }
    });
    let suites = |world: &World| {
        let tunnel = world.a.status().into_tunnel().unwrap();
        [tunnel.ike_sa.suite.to_string(), tunnel.children[0].suite.to_string()]
    };
    assert_eq!(suites(&world), [ike.clone(), format!("{protection}-noesn")]);
    world.traffic = Some(Duration::from_millis(100));
    for side in [Side::A, Side::B] {
        for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
            world.command(side, command).unwrap();
            world.run_for(10 * SECOND);
        }
    }
    world.traffic = None;
    world.run_for(SECOND);
    assert_eq!(world.disagreement(), None, "{ike}");
    assert_eq!((world.a.child_sas_made, world.a.ike_sas_made), (3, 3), "{ike}");
    assert_eq!(suites(&world), [ike.clone(), esp], "{ike}");
    assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent), "{ike}");
    let (_, keymat) = &world.a.outbound().unwrap().outbound;
    assert_eq!(keymat.len(), protection.keymat_length());

    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(10 * SECOND);
    assert_eq!((world.a.ended.len(), world.b.ended.len()), (1, 1), "{ike}");
    assert_eq!((world.a.spis_in_use(), world.b.spis_in_use()), (0, 0), "{ike}");
    let forged =
        |world: &World| world.a.endpoint.drops().iter().find(|(code, _)| *code == "ike_forged").unwrap().1;
    assert_eq!(forged(&world), 0, "{ike}");
}

#[test]
fn every_protection_carries_a_tunnel_through_its_life() {
    for (protection, prf) in Protection::all().zip(Prf::ALL.into_iter().cycle()) {
        live(protection, prf, Group::X25519);
    }
}

#[test]
fn every_group_carries_a_tunnel_through_its_life() {
    for (group, protection) in Group::ALL.into_iter().zip(Protection::all()) {
        live(protection, Prf::HmacSha256, group);
    }
}

#[test]
fn every_profile_agrees_with_itself_and_the_compatible_one_with_older_peers() {
    let pair = |ours: Profile, ike: &[&str], esp: &[&str]| {
        let mut world = start_with(1, Conditions::GOOD, |a, b| {
            a.proposals = ours.ike_proposals();
            a.children[0].proposals = ours.esp_proposals();
            b.proposals = ike.iter().map(|p| p.parse().unwrap()).collect();
            b.children[0].proposals = esp.iter().map(|p| p.parse().unwrap()).collect();
        });
        world.run_until(MINUTE, |w| w.is_up()).then(|| {
            let tunnel = world.a.status().into_tunnel().unwrap();
            format!("{} {}", tunnel.ike_sa.suite, tunnel.children[0].suite)
        })
    };
    for profile in Profile::ALL {
        let ike: Vec<_> = profile.ike_proposals().iter().map(ToString::to_string).collect();
        let esp: Vec<_> = profile.esp_proposals().iter().map(ToString::to_string).collect();
        let texts = |list: &[String]| list.iter().map(|text| text.clone().leak() as &str).collect::<Vec<_>>();
        assert!(pair(profile, &texts(&ike), &texts(&esp)).is_some(), "{profile}");
    }
    let (ike, esp) = (["aes256-sha256-modp2048"], ["aes256-sha256-modp2048-noesn"]);
    let agreed = pair(Profile::Compatible, &ike, &esp);
    assert_eq!(agreed.unwrap(), "aes256-sha256-prfsha256-modp2048 aes256-sha256-noesn");
    assert_eq!(pair(Profile::Default, &ike, &esp), None);
    assert_eq!(pair(Profile::Cnsa, &["aes128gcm16-prfsha256-x25519"], &["aes128gcm16-x25519"]), None);
}

/// Either end may be the one whose configuration allows it, and either may begin the rekey.
#[test]
fn perfect_forward_secrecy_is_off_where_the_peer_insists_and_the_word_allows_it() {
    let (lenient, without) = ("aes256gcm16-x25519-nopfs-noesn", "aes256gcm16-noesn");
    for (at_a, at_b, agreed) in [
        (lenient, without, without),
        (without, lenient, without),
        (lenient, lenient, "aes256gcm16-x25519-noesn"),
        (lenient, "aes256gcm16-x25519-noesn", "aes256gcm16-x25519-noesn"),
        (lenient, "aes256gcm16-ecp256-x25519-noesn", "aes256gcm16-x25519-noesn"),
        ("aes256gcm16-ecp256-x25519-nopfs-noesn", "aes256gcm16-x25519-noesn", "aes256gcm16-x25519-noesn"),
    ] {
        for side in [Side::A, Side::B] {
            let mut world = up_with(1, Conditions::GOOD, |a, b| {
                a.children[0].proposals = vec![at_a.parse().unwrap()];
                b.children[0].proposals = vec![at_b.parse().unwrap()];
            });
            let first = if at_a == without { Pfs::First } else { Pfs::Unproven };
            assert_eq!(world.a.status().into_tunnel().unwrap().children[0].pfs, first);
            world.traffic = Some(Duration::from_millis(100));
            world.command(side, Command::RekeyChildren("link".into())).unwrap();
            world.run_for(10 * SECOND);
            assert_eq!(world.disagreement(), None, "{at_a} / {at_b}");
            assert_eq!(world.a.child_sas_made, 2, "{at_a} / {at_b}: {:?}", world.a.failures);
            for host in [&world.a, &world.b] {
                let child = &host.status().into_tunnel().unwrap().children[0];
                assert_eq!(child.suite.to_string(), agreed, "{at_a} / {at_b}, rekeyed by {side:?}");
                assert_eq!(
                    child.pfs,
                    if agreed == without { Pfs::Off } else { Pfs::Own },
                    "`status` says so"
                );
            }
        }
    }
}
