//! What the model has found, each in the fewest operations that show it.

use sekisho_ike::sim::Side;

use super::ops::{Op, Setting, Step};
use super::run;

const PLAIN: Setting = Setting {
    seed: 0,
    plans: 0,
    fragments: false,
    slow_arithmetic: false,
    childless: false,
    keep_first: false,
    probes: false,
    cookies: false,
    certificates: false,
};

fn replay(setting: Setting, steps: &[Step]) {
    if let Err(error) = run(setting, steps) {
        panic!("{error}");
    }
}

fn at_once(loss: u8, ops: &[(Op, u16)]) -> Step {
    Step::AtOnce { ops: ops.to_vec(), loss }
}

/// The DELETE of a Child SA overtakes the answer that made it.
#[test]
fn a_child_deleted_before_its_answer_came_does_not_stand() {
    let setting = Setting {
        seed: 11_145_094_145_139_846_591,
        plans: 2,
        fragments: true,
        slow_arithmetic: false,
        ..PLAIN
    };
    replay(setting, &[at_once(0, &[(Op::Up(Side::A), 250), (Op::DeleteChild(Side::B, 2), 0)])]);
}

/// The answer was lost meanwhile, and comes when it is asked for again.
#[test]
fn a_rekeyed_child_deleted_before_its_answer_came_does_not_stand() {
    let setting = Setting {
        seed: 4_664_110_563_379_422_325,
        plans: 1,
        fragments: false,
        slow_arithmetic: true,
        ..PLAIN
    };
    let ops = [
        (Op::RekeyChildren(Side::B), 0),
        (Op::RekeyChildren(Side::B), 111),
        (Op::ShortCut, 0),
        (Op::DeleteChild(Side::A, 0), 0),
    ];
    replay(setting, &[at_once(0, &ops)]);
}

/// Both ends ask for the same child at once.
#[test]
fn of_a_child_set_up_by_both_one_is_left() {
    let setting = Setting { seed: 17_176_451_246_396_753_370, plans: 1, slow_arithmetic: true, ..PLAIN };
    let first = [(Op::RekeyChildren(Side::B), 53), (Op::Change(Side::B), 4), (Op::RekeyChildren(Side::A), 0)];
    let second = [
        (Op::Restart(Side::A), 310),
        (Op::Up(Side::A), 58),
        (Op::Acquire(Side::B, 2), 162),
        (Op::RekeyChildren(Side::A), 0),
    ];
    replay(setting, &[at_once(26, &first), Step::Alone(Op::Acquire(Side::A, 0)), at_once(5, &second)]);
}
