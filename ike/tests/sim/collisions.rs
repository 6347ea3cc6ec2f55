//! Everything both ends can do at once (RFC 7296 §2.8.1, §2.8.2, §2.25): afterwards both agree on what exists,
//! nothing is orphaned, what was rekeyed exists exactly once and what was deleted not at all.

use std::time::Duration;

use sekisho_ike::event::Command;
use sekisho_ike::sim::{Conditions, Side, World, run_seeds};

use crate::{MINUTE, SECOND, patient, start_with};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    RekeyChild,
    RekeyIke,
    DeleteChild,
    DeleteIke,
}

const DEEDS: [Deed; 4] = [Deed::RekeyChild, Deed::RekeyIke, Deed::DeleteChild, Deed::DeleteIke];

fn perform(world: &mut World, side: Side, deed: Deed) {
    let name = "link".into();
    let command = match deed {
        Deed::RekeyChild => Command::RekeyChildren(name),
        Deed::RekeyIke => Command::RekeyIke(name),
        Deed::DeleteChild => {
            let tunnel = world.host(side).status().into_tunnel();
            let Some(child) = tunnel.and_then(|t| t.children.first().cloned()) else { return };
            Command::DeleteChild(child.id)
        }
        Deed::DeleteIke => Command::Down(name),
    };
    // The other end's deed may have been faster: then there is nothing left to do it to.
    let _ = world.command(side, command);
}

/// What a collision may be made harder by.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// The longest that each end's arithmetic takes.
    work_time: Duration,
    /// Bytes of the IP packets of IKE messages.
    fragment_size: u16,
}

const PLAIN: Setting = Setting { work_time: Duration::ZERO, fragment_size: 1280 };

/// Both perform their deeds, the second `apart` later, on a line in these conditions.
fn collide(seed: u64, deeds: (Deed, Deed), apart: Duration, conditions: Conditions, setting: Setting) {
    // What is deleted stays deleted: nobody sets it up again by itself.
    let mut world = start_with(seed, Conditions::GOOD, |a, b| {
        a.initiate = false;
        patient(a, b);
        for connection in [a, b] {
            connection.fragment_size = setting.fragment_size;
        }
    });
    world.command(Side::A, Command::Up("link".into())).unwrap();
    assert!(world.run_until(MINUTE, |w| w.is_up()), "set-up: {:?}", world.disagreement());
    world.run_for(SECOND);
    world.link.conditions = conditions;
    world.link.mtu = setting.fragment_size.into();
    for side in [Side::A, Side::B] {
        world.host(side).desk.work_time = setting.work_time;
    }
    world.traffic = Some(Duration::from_millis(50));
    world.run_for(SECOND / 5);
    perform(&mut world, Side::A, deeds.0);
    world.run_for(apart);
    perform(&mut world, Side::B, deeds.1);
    world.run_for(2 * MINUTE);
    world.traffic = None;
    world.link.conditions = Conditions::GOOD;
    world.run_for(15 * MINUTE);
    check(&world, deeds);
    assert_eq!(world.link.too_long, 0);
}

fn check(world: &World, deeds: (Deed, Deed)) {
    let has = |deed| deeds.0 == deed || deeds.1 == deed;
    let (a, b) = (world.a.status(), world.b.status());
    if has(Deed::DeleteIke) {
        assert!(
            a.tunnel().is_none() && b.tunnel().is_none(),
            "the tunnel is gone: {:?} {:?}",
            a.tunnel(),
            b.tunnel()
        );
    } else {
        let (ta, tb) = (a.tunnel().expect("A's tunnel"), b.tunnel().expect("B's tunnel"));
        assert_eq!((ta.ike_sa.spi_i, ta.ike_sa.spi_r), (tb.ike_sa.spi_i, tb.ike_sa.spi_r), "one IKE SA");
        if has(Deed::DeleteChild) {
            assert!(ta.children.is_empty() && tb.children.is_empty(), "{:?} {:?}", ta.children, tb.children);
        } else {
            assert_eq!(world.disagreement(), None);
        }
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty(), "the tunnel never went down");
    }
    let children =
        |host: &sekisho_ike::sim::Host| host.status().into_tunnel().map_or(0, |t| t.children.len());
    for host in [&world.a, &world.b] {
        assert_eq!(host.installed.len(), children(host), "nothing is left in the data path");
        assert_eq!(host.spis_in_use(), children(host), "no SPI is left over");
    }
    if !has(Deed::DeleteIke) && !has(Deed::DeleteChild) {
        assert_eq!((world.a.refused, world.b.refused), (0, 0), "no packet was lost");
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
    }
}

fn matrix(
    seeds: u64,
    apart: impl Fn(u64) -> Duration + std::panic::RefUnwindSafe,
    conditions: impl Fn(u64) -> Conditions + std::panic::RefUnwindSafe,
) {
    matrix_of(seeds, PLAIN, apart, conditions);
}

fn matrix_of(
    seeds: u64,
    setting: Setting,
    apart: impl Fn(u64) -> Duration + std::panic::RefUnwindSafe,
    conditions: impl Fn(u64) -> Conditions + std::panic::RefUnwindSafe,
) {
    run_seeds(seeds, |seed| {
        for first in DEEDS {
            for second in DEEDS {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    collide(seed, (first, second), apart(seed), conditions(seed), setting);
                }));
                if let Err(panic) = result {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    panic!("{first:?} at A meets {second:?} at B: {}", text.unwrap_or_default());
                }
            }
        }
    });
}

#[test]
fn at_the_same_instant() {
    matrix(40, |_| Duration::ZERO, |_| Conditions::GOOD);
}

#[test]
fn a_little_apart() {
    matrix(40, |seed| Duration::from_millis(seed % 20), |_| Conditions::GOOD);
}

/// Each end's arithmetic takes up to 60 ms: requests cross while their answers are computed.
#[test]
fn with_slow_arithmetic() {
    matrix_of(
        30,
        Setting { work_time: Duration::from_millis(60), ..PLAIN },
        |seed| Duration::from_millis(seed * 7 % 120),
        |seed| if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) },
    );
}

/// Every request for a new SA and its answer are cut into three or more, and their arithmetic takes its time.
#[test]
fn in_fragments() {
    matrix_of(
        30,
        Setting { work_time: Duration::from_millis(30), fragment_size: 200 },
        |seed| Duration::from_millis(seed * 11 % 150),
        |seed| if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.15) },
    );
}

#[test]
fn on_a_bad_line() {
    matrix(63, |seed| Duration::from_millis(seed * 37 % 400), |_| Conditions::bad(0.2));
}
