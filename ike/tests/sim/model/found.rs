//! What the model has found, each in the fewest operations that show it.

use sekisho_ike::sim::Side;

use super::{Op, Setting, Step, run};

const PLAIN: Setting = Setting {
    seed: 0,
    plans: 0,
    fragments: false,
    slow_arithmetic: false,
    childless: false,
    keep_first: false,
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
    let setting =
        Setting { seed: 4664110563379422325, plans: 1, fragments: false, slow_arithmetic: true, ..PLAIN };
    let ops = [
        (Op::RekeyChildren(Side::B), 0),
        (Op::RekeyChildren(Side::B), 111),
        (Op::ShortCut, 0),
        (Op::DeleteChild(Side::A, 0), 0),
    ];
    replay(setting, &[at_once(0, &ops)]);
}
