//! What both ends must hold once everything has come to rest, said without any protocol: an independent, small model of
//! what a configuration and the operators' commands mean.

use sekisho_ike::config::{Connection, Start};
use sekisho_ike::event::CommandError;
use sekisho_ike::sim::Side;

use super::CHILDREN;
use super::ops::Op;

/// Whether something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    Yes,
    No,
    /// Two things crossed: either is right, as long as both ends say the same.
    Either,
}

impl Belief {
    fn of(seen: bool) -> Self {
        if seen { Self::Yes } else { Self::No }
    }
}

/// What is configured at an end, as far as it decides what stands.
#[derive(Clone, Debug)]
pub struct Plan {
    pub initiate: bool,
    pub starts: [Start; CHILDREN],
}

impl Plan {
    pub fn of(connection: &Connection) -> Self {
        let starts = [0, 1, 2].map(|index| connection.children[index].start);
        Self { initiate: connection.initiate, starts }
    }

    fn keeps(&self, child: usize) -> bool {
        self.initiate && self.starts[child] == Start::Always
    }

    fn may_start(&self, child: usize) -> bool {
        self.starts[child] != Start::Listen
    }
}

/// The model.
#[derive(Clone, Debug)]
pub struct Expectation {
    plans: [Plan; 2],
    /// Taken down by an operator.
    down: [bool; 2],
    pub tunnel: Belief,
    pub children: [Belief; CHILDREN],
}

/// How a command must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    NotUp,
    AdminDown,
    OnlyAnswered,
    /// It depends on what is on its way.
    Any,
}

impl Answer {
    pub fn fits(self, result: &Result<(), CommandError>) -> bool {
        match self {
            Self::Any => true,
            Self::Taken => result.is_ok(),
            Self::NotUp => matches!(result, Err(CommandError::NotUp(_))),
            Self::AdminDown => matches!(result, Err(CommandError::AdminDown(_))),
            Self::OnlyAnswered => matches!(result, Err(CommandError::OnlyAnswered(..))),
        }
    }
}

impl Expectation {
    /// Both ends have just been configured so.
    pub fn new(plans: [Plan; 2]) -> Self {
        let mut new = Self { plans, down: [false; 2], tunnel: Belief::No, children: [Belief::No; CHILDREN] };
        new.settle();
        new
    }

    pub fn is_down(&self, side: Side) -> bool {
        self.down[side as usize]
    }

    fn plan(&self, side: Side) -> &Plan {
        &self.plans[side as usize]
    }

    /// How this command is answered now.
    pub fn answer(&self, op: &Op) -> Answer {
        match op {
            Op::RekeyIke(_) | Op::RekeyChildren(_) => match self.tunnel {
                Belief::Yes => Answer::Taken,
                Belief::No => Answer::NotUp,
                Belief::Either => Answer::Any,
            },
            Op::Acquire(side, _) if self.is_down(*side) => Answer::AdminDown,
            Op::Acquire(side, child) if !self.plan(*side).initiate || !self.plan(*side).may_start(*child) => {
                Answer::OnlyAnswered
            }
            _ => Answer::Taken,
        }
    }

    /// What stands after this, alone, once all has come to rest.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Up(side) => {
                self.down[*side as usize] = false;
                self.ask(*side, Plan::may_start);
            }
            Op::Down(side) => {
                self.down[*side as usize] = true;
                self.lose();
            }
            Op::Acquire(side, wanted) if self.answer(op) == Answer::Taken => {
                self.ask(*side, |_, child| child == *wanted);
            }
            Op::DeleteChild(side, child) => {
                // Who deletes means it; the other sets up again what it keeps up.
                let comes_back =
                    self.plan(side.other()).keeps(*child) && self.children[*child] == Belief::Yes;
                if !comes_back {
                    self.children[*child] = Belief::No;
                }
            }
            Op::Restart(side) | Op::Change(side) => {
                self.down[*side as usize] = false;
                self.lose();
            }
            Op::LongCut => self.lose(),
            Op::RekeyIke(_)
            | Op::RekeyChildren(_)
            | Op::Acquire(..)
            | Op::Reload(_)
            | Op::ShortCut
            | Op::Path(_)
            | Op::Pass(_) => {}
        }
        self.settle();
    }

    /// An operator's word, as far as it decides how later commands are answered.
    pub fn note_command(&mut self, op: &Op) {
        match op {
            Op::Down(side) => self.down[*side as usize] = true,
            Op::Up(side) | Op::Restart(side) | Op::Change(side) => self.down[*side as usize] = false,
            _ => {}
        }
    }

    /// What stands after all of these at once, on a bad line.
    pub fn apply_at_once(&mut self, ops: &[Op]) {
        if ops.iter().all(Op::is_harmless) {
            return;
        }
        let before = self.children;
        for op in ops {
            self.apply(op);
        }
        let deleted = |child: usize| ops.iter().any(|op| matches!(op, Op::DeleteChild(_, c) if *c == child));
        if self.down.contains(&true) {
            return self.lose();
        }
        let pursued = self.is_pursued();
        self.tunnel = if pursued { Belief::Yes } else { Belief::Either };
        for (child, before) in before.into_iter().enumerate() {
            // What is kept up stands, unless somebody who keeps it up has deleted it, then or before.
            let sure = pursued && self.is_kept(child) && !deleted(child) && before == Belief::Yes;
            self.children[child] = if sure { Belief::Yes } else { Belief::Either };
        }
    }

    /// What was seen at both ends, where it could be either.
    pub fn learn(&mut self, tunnel: bool, children: [bool; CHILDREN]) {
        self.tunnel = Belief::of(tunnel);
        self.children = children.map(Belief::of);
    }

    /// A side wants these children, and the tunnel if there is none.
    fn ask(&mut self, side: Side, wanted: impl Fn(&Plan, usize) -> bool) {
        if self.down.contains(&true) {
            return;
        }
        let stood = self.tunnel == Belief::Yes;
        let plan = self.plan(side).clone();
        // On one that stands only an end that initiates sets children up.
        if stood && !plan.initiate {
            return;
        }
        self.settle();
        self.tunnel = Belief::Yes;
        for child in 0..CHILDREN {
            if wanted(&plan, child) || !stood && self.is_kept(child) {
                self.children[child] = Belief::Yes;
            }
        }
    }

    fn lose(&mut self) {
        self.tunnel = Belief::No;
        self.children = [Belief::No; CHILDREN];
    }

    /// What is kept up comes up again.
    fn settle(&mut self) {
        if self.tunnel == Belief::No && self.is_pursued() {
            self.tunnel = Belief::Yes;
            for child in 0..CHILDREN {
                self.children[child] = if self.is_kept(child) { Belief::Yes } else { Belief::No };
            }
        }
    }

    fn is_kept(&self, child: usize) -> bool {
        self.plans.iter().any(|plan| plan.keeps(child))
    }

    fn is_pursued(&self) -> bool {
        !self.down.contains(&true) && (0..CHILDREN).any(|child| self.is_kept(child))
    }
}
