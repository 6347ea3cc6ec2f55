//! Paths that carry less than the line they begin with, and tell nobody.

use std::time::Duration;

use sekisho_ike::config::{Connection, DontFragment};
use sekisho_ike::event::{Command, Usage};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, run_seeds};
use sekisho_ike::wire::{EspSpi, ExchangeType};

use crate::{HOUR, MINUTE, SECOND, patient, proven, proven_with, up_with};

/// Long enough to find out anything on a good line.
const SOUGHT: Duration = Duration::from_secs(30);

/// The line of an end carries this much.
fn seek(world: &mut World, side: Side, line: u16) {
    let tunnel = world.host(side).status().tunnel().unwrap().ike_sa.tunnel;
    world.command(side, Command::LineCarries(tunnel, line)).unwrap();
}

fn last(world: &mut World, side: Side) -> Option<(u16, bool)> {
    world.host(side).path_mtus.last().copied()
}

/// A world whose path carries so much; what each end has found out of it.
fn found(path: usize, line: u16) -> (World, [Option<(u16, bool)>; 2]) {
    let mut world = proven(1, Conditions::GOOD);
    world.link.mtu = path;
    for side in [Side::A, Side::B] {
        seek(&mut world, side, line);
    }
    world.traffic = Some(SECOND / 10);
    world.run_for(SOUGHT);
    let known = [last(&mut world, Side::A), last(&mut world, Side::B)];
    (world, known)
}

#[test]
fn a_clear_path_is_proven_by_one_packet() {
    let (world, known) = found(1500, 1500);
    assert_eq!(known, [Some((1500, true)); 2]);
    assert_eq!(world.a.path_mtus, [(1500, false), (1500, true)]);
    assert_eq!(world.link.too_long, 0);
}

#[test]
fn what_a_silent_path_carries_is_found_and_the_tunnel_goes_on() {
    for (path, carries) in
        [(1492, 1492), (1460, 1460), (1435, 1430), (1399, 1380), (1280, 1280), (1199, 1100), (600, 576)]
    {
        let (world, known) = found(path, 1500);
        // What every IPv4 host takes needs no proof.
        assert_eq!(known, [Some((carries, carries > 576)); 2], "{path}");
        assert!(world.link.too_long > 0);
        assert!(world.a.path_mtus.contains(&(1280, false)), "believed meanwhile: {:?}", world.a.path_mtus);
        assert_eq!(world.disagreement(), None, "{path}");
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty(), "{path}");
    }
}

/// Routers that fragment what they may must not hide how much passes whole.
#[test]
fn a_path_that_fragments_is_not_taken_for_a_wide_one() {
    let mut world = proven(1, Conditions::GOOD);
    (world.link.mtu, world.link.cuts) = (1400, true);
    seek(&mut world, Side::A, 1500);
    world.run_for(SOUGHT);
    assert_eq!(last(&mut world, Side::A), Some((1400, true)));
    // And all else that is said passes it, as long as it may be.
    (world.link.mtu, world.link.too_long) = (100, 0);
    for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
        world.command(Side::A, command).unwrap();
        world.run_for(SECOND);
    }
    assert_eq!(world.link.too_long, 0);
}

/// A cipher of blocks cannot make a message of any size; what is not proven is not believed.
#[test]
fn with_a_cipher_of_blocks_a_few_bytes_less_are_proven() {
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        for connection in [a, b] {
            connection.proposals = vec!["aes256-sha256-x25519".parse().unwrap()];
        }
    });
    world.link.mtu = 1492;
    seek(&mut world, Side::A, 1500);
    world.run_for(SOUGHT);
    let (mtu, proven) = last(&mut world, Side::A).unwrap();
    assert!(proven && (1477..=1492).contains(&mtu), "{mtu}");
}

#[test]
fn a_path_that_becomes_narrower_or_wider_is_noticed() {
    let (mut world, _) = found(1500, 1500);
    world.traffic = None;
    for path in [1400, 1500, 1280, 1480] {
        world.link.mtu = path.into();
        world.run_for(12 * MINUTE);
        assert_eq!([last(&mut world, Side::A), last(&mut world, Side::B)], [Some((path, true)); 2]);
    }
    assert_eq!(world.disagreement(), None);
    assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
}

/// A failure somewhere on the way, and the repair: what was narrow for a minute is wide again in another one.
#[test]
fn a_path_that_was_narrow_for_a_short_time_is_soon_known_to_be_wide_again() {
    for (narrow_for, at_most) in [(1, 2), (5, 5)] {
        let (mut world, _) = found(1500, 1500);
        world.traffic = None;
        world.link.mtu = 1400;
        assert_eq!(used_for(&mut world, 20, false), Some((1400, true)));
        world.run_for(narrow_for * MINUTE);
        world.link.mtu = 1500;
        let wide = |w: &mut World| last(w, Side::A) == Some((1500, true));
        assert!(world.run_until(at_most * MINUTE, wide), "{narrow_for}: {:?}", world.a.path_mtus);
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    }
}

/// All that it costs to hope for better.
#[test]
fn a_path_that_stays_narrow_is_hardly_bothered() {
    let (mut world, _) = found(1400, 1500);
    world.traffic = None;
    let told = world.a.path_mtus.clone();
    for (within, at_most) in [(8 * MINUTE, 4), (24 * HOUR, 24 * 7)] {
        let (lost, whole) = (world.link.too_long, world.link.whole);
        world.run_for(within);
        let (lost, whole) = (world.link.too_long - lost, world.link.whole - whole);
        assert!((4..=2 * at_most).contains(&lost), "larger packets than pass, of both ends: {lost}");
        assert!(whole <= 4 * at_most, "of any size: {whole}");
    }
    assert_eq!(world.a.path_mtus, told);
    assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    let next = world.a.status().tunnel().unwrap().path_raised_at.unwrap();
    assert!(next > world.now && next.since(world.now) <= 11 * MINUTE);
}

/// Packets leave each second, and some come back or none do; what was found out in so many seconds.
fn used_for(world: &mut World, seconds: u64, answered: bool) -> Option<(u16, bool)> {
    let child = world.a.status().tunnel().unwrap().children[0].id;
    for second in 1..=seconds {
        world.run_for(SECOND);
        let last_in = answered.then_some(world.now);
        let usage = Usage { packets_out: second * 100, last_in, ..Usage::default() };
        world.command(Side::A, Command::Usage(child, usage)).unwrap();
    }
    last(world, Side::A)
}

#[test]
fn under_traffic_a_path_that_becomes_narrower_in_silence_is_noticed_soon() {
    for (answered, seconds) in [(false, 20), (true, 110)] {
        let (mut world, _) = found(1500, 1500);
        world.traffic = None;
        world.link.mtu = 1400;
        assert_eq!(used_for(&mut world, seconds, answered), Some((1400, true)), "{answered}");
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    }
}

/// B sends next to nothing, so that nothing else has it look; what it asks for is lost as what A does.
#[test]
fn an_end_that_only_answers_learns_from_the_others_probes_that_the_path_became_narrower() {
    for path in [1280, 1400] {
        let (mut world, _) = found(1500, 1500);
        world.traffic = None;
        world.link.mtu = path.into();
        let narrow = |w: &mut World, side| last(w, side).is_some_and(|(mtu, _)| mtu <= path);
        let child = world.a.status().tunnel().unwrap().children[0].id;
        let mut seconds = 0;
        while !narrow(&mut world, Side::A) {
            seconds += 1;
            assert!(seconds < 30, "A has not noticed");
            world.run_for(SECOND);
            let usage = Usage { packets_out: seconds * 100, ..Usage::default() };
            world.command(Side::A, Command::Usage(child, usage)).unwrap();
        }
        assert!(world.run_until(5 * SECOND, |w| narrow(w, Side::B)), "{:?}", world.b.path_mtus);
        world.run_for(SOUGHT);
        assert_eq!([last(&mut world, Side::A), last(&mut world, Side::B)], [Some((path, true)); 2]);
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    }
}

/// What the end with the wider direction verifies is no news for the other.
#[test]
fn where_one_direction_is_narrower_the_ends_do_not_have_each_other_probe_without_end() {
    let (mut world, _) = found(1500, 1500);
    world.traffic = None;
    world.link.mtu_from = Some((world.a.address, 1400));
    assert_eq!(used_for(&mut world, 30, false), Some((1400, true)));
    let before = world.link.whole;
    world.run_for(HOUR);
    assert_eq!(
        [last(&mut world, Side::A), last(&mut world, Side::B)],
        [Some((1400, true)), Some((1500, true))]
    );
    let probes = world.link.whole - before;
    // Six times A looks whether more passes, and B does; each time A does, B verifies what it believes.
    assert!(probes <= 60, "{probes}");
    // And under traffic no more than a verification of each end for one of A's.
    let before = world.link.whole;
    assert_eq!(used_for(&mut world, 3600, true), Some((1400, true)));
    let probes = world.link.whole - before;
    assert!(probes <= 150, "{probes}");
    assert_eq!(last(&mut world, Side::B), Some((1500, true)));
}

#[test]
fn what_still_passes_is_verified_without_a_word_and_only_under_traffic() {
    let (mut world, _) = found(1500, 1500);
    world.traffic = None;
    let told = world.a.path_mtus.clone();
    let before = world.link.whole;
    world.run_for(4 * MINUTE);
    assert_eq!(world.link.whole, before);
    assert_eq!(used_for(&mut world, 200, true), Some((1500, true)));
    assert_eq!(world.link.whole, before + 3, "at once after so long, and then each 90 s");
    assert_eq!(world.a.path_mtus, told);
}

#[test]
fn a_peer_far_away_is_given_the_time_that_it_takes() {
    let conditions = Conditions {
        least_delay: Duration::from_millis(390),
        most_delay: Duration::from_millis(410),
        ..Conditions::GOOD
    };
    let mut world = proven(1, conditions);
    world.link.mtu = 1500;
    for side in [Side::A, Side::B] {
        seek(&mut world, side, 1500);
    }
    world.run_for(2 * MINUTE);
    assert_eq!([last(&mut world, Side::A), last(&mut world, Side::B)], [Some((1500, true)); 2]);
    assert_eq!(world.a.path_mtus.len(), 2, "{:?}", world.a.path_mtus);
}

#[test]
fn a_router_that_speaks_is_believed_and_verified() {
    let (mut world, _) = found(1500, 1500);
    world.link.mtu_from = Some((world.a.address, 1404));
    let tunnel = world.a.status().tunnel().unwrap().ike_sa.tunnel;
    world.command(Side::A, Command::PathTooNarrow(tunnel, 1404)).unwrap();
    assert_eq!(last(&mut world, Side::A), Some((1404, false)), "at once");
    world.run_for(SECOND);
    assert_eq!(last(&mut world, Side::A), Some((1404, true)));
    let too_long = world.link.too_long;
    world.run_for(5 * MINUTE);
    assert_eq!(world.link.too_long, too_long, "nor doubted");
    // The next router is silent.
    world.link.mtu_from = Some((world.a.address, 1380));
    world.command(Side::A, Command::PathTooNarrow(tunnel, 1400)).unwrap();
    world.run_for(SOUGHT);
    assert_eq!(last(&mut world, Side::A), Some((1380, true)));
    let too_long = world.link.too_long;
    world.run_for(5 * MINUTE);
    assert_eq!(world.link.too_long, too_long);
    world.link.mtu_from = None;
    world.run_for(12 * MINUTE);
    assert_eq!(last(&mut world, Side::A), Some((1500, true)), "not for ever");
}

#[test]
fn of_a_new_path_nothing_is_known() {
    let (mut world, _) = found(1400, 1500);
    let messages = |w: &World| w.a.path_mtus.len();
    world.move_host(Side::A, [10, 0, 0, 77].into());
    let before = messages(&world);
    world.run_for(HOUR);
    assert_eq!(messages(&world), before, "until the shell has said what its line carries");
    world.link.mtu = 1500;
    seek(&mut world, Side::A, 1500);
    world.run_for(SOUGHT);
    assert_eq!(last(&mut world, Side::A), Some((1500, true)));
    assert_eq!(world.disagreement(), None);
}

#[test]
fn nothing_is_sought_where_it_might_harm_or_is_forbidden() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let mut rogue = Rogue::new(connection(Side::A, true), "198.51.100.66:4500".parse().unwrap(), 1);
    rogue.fragmentation = false;
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    assert!(!world.b.status().tunnel().unwrap().ike_sa.fragmentation);
    let before = world.link.sent;
    seek(&mut world, Side::B, 1500);
    assert_eq!((world.link.sent, world.b.path_mtus.len()), (before, 0), "the peer takes no fragments");
    assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]).is_some());

    let mut world = up_with(1, Conditions::GOOD, |a, _| a.dont_fragment = DontFragment::Never);
    let before = world.link.sent;
    seek(&mut world, Side::A, 1500);
    world.run_for(SECOND);
    assert_eq!((world.link.sent, world.a.path_mtus.len()), (before, 0));
}

/// Probes share the window with everything else, get lost by chance and by size, and cross with the peer's rekeys.
#[test]
fn rekeys_and_losses_meanwhile_do_no_harm() {
    run_seeds(300, |seed| {
        let conditions = if seed % 3 == 0 { Conditions::GOOD } else { Conditions::bad(0.15) };
        let mut world = proven_with(seed, conditions, patient);
        world.link.mtu = 1400;
        world.traffic = Some(SECOND / 20);
        for side in [Side::A, Side::B] {
            seek(&mut world, side, 1500);
        }
        let side = if seed % 2 == 0 { Side::A } else { Side::B };
        for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
            world.run_for(Duration::from_millis(seed * 7 % 1000));
            world.command(side, command).unwrap();
        }
        world.run_for(5 * MINUTE);
        world.traffic = None;
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
        assert_eq!((world.a.refused, world.b.refused), (0, 0));
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
        for side in [Side::A, Side::B] {
            let (mtu, _) = last(&mut world, side).unwrap();
            assert!(mtu <= 1400, "{side:?} believes {mtu}");
        }
    });
}

/// On a line that loses much, chance may look like a path that swallows; it does not stay so.
#[test]
fn chance_does_not_narrow_a_path_for_long() {
    run_seeds(50, |seed| {
        let mut world = up_with(seed, Conditions::bad(0.2), patient);
        seek(&mut world, Side::A, 1500);
        let wide = |w: &mut World| last(w, Side::A) == Some((1500, true));
        assert!(world.run_until(HOUR, wide), "{:?}", world.a.path_mtus);
        assert!(world.a.ended.is_empty());
    });
}

#[test]
fn messages_in_fragments_are_no_longer_than_the_path_carries() {
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        for connection in [a, b] {
            *connection = Connection { fragment_size: 1500, ..connection.clone() };
        }
    });
    world.link.mtu = 1300;
    seek(&mut world, Side::A, 1500);
    world.run_for(SOUGHT);
    assert_eq!(last(&mut world, Side::A), Some((1300, true)));
    world.command(Side::A, Command::RekeyIke("link".into())).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.disagreement(), None);
}
