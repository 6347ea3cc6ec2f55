//! When children are set up and end, how many tunnels a peer may have, and whether an IKE SA may stand without a child.

use std::time::Duration;

use sekisho_ike::config::{Child, Childless, Connection, Remote, Start, Uniqueness};
use toml::Spanned;

use super::document::{Judge, Section};
use super::limits;

const STARTS: [(&str, Start); 3] =
    [("always", Start::Always), ("on-demand", Start::OnDemand), ("listen", Start::Listen)];
const UNIQUE: [(&str, Uniqueness); 3] =
    [("replace", Uniqueness::Replace), ("keep", Uniqueness::Keep), ("never", Uniqueness::Never)];
const CHILDLESS: [(&str, Childless); 3] =
    [("never", Childless::Never), ("allowed", Childless::Allowed), ("preferred", Childless::Preferred)];

/// Whether we can start a tunnel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    Yes,
    /// We do not know where the peer is.
    Nowhere,
    /// It gives its peer an address: who asks for one starts.
    Gives,
    /// It is for many peers, of whom none in particular is to be called.
    Many,
}

impl Callable {
    /// `many`: it is for many peers; `gives`: it gives its peer an address.
    pub(super) fn of(many: bool, gives: bool, remote: Option<&Remote>) -> Self {
        match remote {
            _ if many => Self::Many,
            _ if gives => Self::Gives,
            Some(Remote::Any) => Self::Nowhere,
            // Where the address is wrong, nothing is said of what it is needed for.
            Some(Remote::Hosts(_)) | None => Self::Yes,
        }
    }
}

/// When a child starts and ends.
#[derive(Clone)]
pub(super) struct Schedule {
    pub(super) start: Start,
    inactivity: Option<Spanned<Duration>>,
}

impl Schedule {
    /// We start what we know the address of.
    pub(super) fn of(remote: Option<&Remote>) -> Self {
        let start = if matches!(remote, Some(Remote::Hosts(_))) { Start::Always } else { Start::Listen };
        Self { start, inactivity: None }
    }

    /// What a section says, or else what holds already.
    pub(super) fn read(
        judge: &mut Judge<'_>,
        section: &mut Section<'_>,
        or: &Self,
        callable: Callable,
    ) -> Self {
        let start = start(judge, section, callable).unwrap_or(or.start);
        let own = section.span_of_time(judge, "inactivity", &limits::INACTIVITY);
        // The span is the section's if the key is absent, or was found wrong already.
        let said = own.span() != section.span;
        let inherited = || or.inactivity.clone().filter(|_| start == Start::OnDemand);
        Self { start, inactivity: if said { Some(own) } else { inherited() } }
    }

    /// The inactivity of one child, judged.
    pub(super) fn inactivity(self, judge: &mut Judge<'_>) -> Option<Duration> {
        let inactivity = self.inactivity?;
        let message = "`inactivity` ends a child that is set up";
        match self.start {
            Start::OnDemand => {}
            Start::Always => judge.error(
                &inactivity.span(),
                format!("{message} always"),
                "write start = \"on-demand\" beside it: then the next packet brings it back; or remove it",
            ),
            Start::Listen => judge.warn(
                &inactivity.span(),
                format!("{message} by the peer alone"),
                "what we have to send is dropped from then on until the peer sets it up again",
            ),
        }
        Some(inactivity.into_inner())
    }

    /// What a tunnel says of inactivity must hold for one of its children.
    pub(super) fn serves(&self, judge: &mut Judge<'_>, children: &[Child]) {
        if let Some(inactivity) = &self.inactivity
            && children.iter().all(|child| child.inactivity.is_none())
        {
            let help = "it holds for children with start = \"on-demand\": the next packet brings them back";
            judge.error(&inactivity.span(), "`inactivity` is for none of the children", help);
        }
    }
}

fn start(judge: &mut Judge<'_>, section: &mut Section<'_>, callable: Callable) -> Option<Start> {
    let start = section.choice(judge, "start", &STARTS)?;
    let (wrong, help) = match callable {
        _ if *start.get_ref() == Start::Listen => return Some(Start::Listen),
        Callable::Yes => return Some(start.into_inner()),
        Callable::Nowhere => (
            "has no `remote`",
            "write the peer's address or host name as `remote`, or leave `start` out: then the peer starts the tunnel",
        ),
        Callable::Gives => (
            "gives its peer an address",
            "who asks for an address starts the tunnel: leave `start` out, or name the peer's networks instead of a pool",
        ),
        Callable::Many => ("is for many peers", "leave `start` out: each of them starts a tunnel of its own"),
    };
    judge.error(&start.span(), format!("{} is to be started by us, but {wrong}", section.title), help);
    Some(Start::Listen)
}

pub(super) fn unique(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Uniqueness {
    section.choice(judge, "unique", &UNIQUE).map(Spanned::into_inner).unwrap_or_default()
}

pub(super) fn childless(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Childless {
    section.choice(judge, "childless", &CHILDLESS).map(Spanned::into_inner).unwrap_or_default()
}

/// Where no child is ours to start, none is started by itself, and an operator may start all of them.
pub(super) fn settle(connection: &mut Connection) {
    connection.initiate = connection.children.iter().any(|child| child.start != Start::Listen);
    if !connection.initiate {
        connection.children.iter_mut().for_each(|child| child.start = Start::default());
    }
}

/// The word for when a child is set up.
pub fn start_word(connection: &Connection, child: &Child) -> &'static str {
    let start = if connection.initiate { child.start } else { Start::Listen };
    STARTS.iter().find(|(_, of)| *of == start).map_or("", |(word, _)| word)
}
