//! What happens to both ends, and how proptest makes it up.

use proptest::prelude::*;
use sekisho_ike::config::Start;
use sekisho_ike::sim::Side;

use super::{CHILDREN, PATHS};

/// What an operator, the data path, the line or a power cut does.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Up(Side),
    Down(Side),
    RekeyIke(Side),
    RekeyChildren(Side),
    Acquire(Side, usize),
    DeleteChild(Side, usize),
    Restart(Side),
    /// The same configuration again.
    Reload(Side),
    /// Another configuration, in something that does not decide what stands.
    Change(Side),
    /// Shorter than a retransmission schedule, and longer than one and a probe.
    ShortCut,
    LongCut,
    /// From now on the path carries as much as this one of [`PATHS`].
    Path(usize),
    /// Minutes.
    Pass(u16),
}

impl Op {
    /// Whether everything stands before, while and after it.
    pub fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::RekeyIke(_) | Self::RekeyChildren(_) | Self::Reload(_) | Self::Path(_) | Self::Pass(_)
        )
    }
}

/// One thing alone, or several at once on a bad line, each so many milliseconds after the one before.
#[derive(Clone, Debug)]
pub enum Step {
    Alone(Op),
    AtOnce { ops: Vec<(Op, u16)>, loss: u8 },
}

/// Who keeps up what, and how hard it is made.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub seed: u64,
    /// Of [`plans`].
    pub plans: usize,
    pub fragments: bool,
    pub slow_arithmetic: bool,
    /// Each child has a key exchange of its own from the start.
    pub childless: bool,
    /// A second tunnel is refused while the first stands, instead of replacing it.
    pub keep_first: bool,
    /// Both ends find out what the path carries.
    pub probes: bool,
    /// Everybody must return a cookie.
    pub cookies: bool,
    /// Both ends prove themselves by certificates.
    pub certificates: bool,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => side().prop_map(Op::Up),
        2 => side().prop_map(Op::Down),
        4 => side().prop_map(Op::RekeyIke),
        4 => side().prop_map(Op::RekeyChildren),
        4 => (side(), 0..CHILDREN).prop_map(|(side, child)| Op::Acquire(side, child)),
        3 => (side(), 0..CHILDREN).prop_map(|(side, child)| Op::DeleteChild(side, child)),
        1 => side().prop_map(Op::Restart),
        1 => side().prop_map(Op::Reload),
        1 => side().prop_map(Op::Change),
        1 => Just(Op::ShortCut),
        1 => Just(Op::LongCut),
        2 => (0..PATHS.len()).prop_map(Op::Path),
        1 => (1u16..200).prop_map(Op::Pass),
    ]
}

/// Of what may happen within a second.
fn quick_op() -> impl Strategy<Value = Op> {
    op().prop_filter("takes no time", |op| !matches!(op, Op::LongCut | Op::Pass(_)))
}

fn rekey() -> impl Strategy<Value = Op> {
    (side(), any::<bool>())
        .prop_map(|(side, ike)| if ike { Op::RekeyIke(side) } else { Op::RekeyChildren(side) })
}

pub fn step() -> impl Strategy<Value = Step> {
    let gap = || prop_oneof![Just(0u16), 0u16..30, 0u16..400];
    let loss = || prop_oneof![Just(0u8), 5u8..30];
    let burst = |ops| (ops, loss()).prop_map(|(ops, loss)| Step::AtOnce { ops, loss });
    prop_oneof![
        2 => op().prop_map(Step::Alone),
        2 => burst(proptest::collection::vec((quick_op(), gap()), 2..6).boxed()),
        1 => burst(proptest::collection::vec((rekey(), gap()), 2..6).boxed()),
    ]
}

pub fn setting() -> impl Strategy<Value = Setting> {
    (any::<u64>(), 0..PLANS, any::<[bool; 7]>()).prop_map(
        |(
            seed,
            plans,
            [fragments, slow_arithmetic, childless, keep_first, probes, cookies, certificates],
        )| Setting {
            seed,
            plans,
            fragments,
            slow_arithmetic,
            childless,
            keep_first,
            probes,
            cookies,
            certificates,
        },
    )
}

const PLANS: usize = 4;

/// Whether each end initiates, and what its children wait for.
pub fn plans(number: usize) -> [(bool, [Start; CHILDREN]); 2] {
    use Start::{Always, Listen, OnDemand};
    match number {
        // A facility and a hub.
        0 => [(true, [Always, OnDemand, Listen]), (false, [Always; CHILDREN])],
        // Two centres, each keeping up what it needs.
        1 => [(true, [Always, Always, OnDemand]), (true, [Always, OnDemand, Always])],
        // Nothing without a packet.
        2 => [(true, [OnDemand; CHILDREN]), (true, [OnDemand, Listen, OnDemand])],
        // Nothing without an operator.
        _ => [(false, [Always; CHILDREN]), (false, [Always, Always, Listen])],
    }
}
