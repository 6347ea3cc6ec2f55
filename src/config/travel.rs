//! How a tunnel's messages and packets travel: sent again, encapsulated, fragmented, and kept alive.

use std::time::Duration;

use sekisho_ike::config::{DontFragment, Encapsulation, Keepalive, Retransmit, Retry};
use toml::Spanned;

use super::document::{Judge, Section, Span};
use super::{duration, limits};

const ENCAPSULATION: [(&str, Encapsulation); 2] =
    [("always", Encapsulation::Forced), ("auto", Encapsulation::Detected)];
const DONT_FRAGMENT: [(&str, DontFragment); 3] =
    [("auto", DontFragment::Auto), ("always", DontFragment::Always), ("never", DontFragment::Never)];

/// What a tunnel says of its packets' way to the peer, or the defaults.
pub(super) struct Travel {
    pub(super) keepalive: Keepalive,
    pub(super) encapsulation: Encapsulation,
    /// The value of `encapsulation`, if that is "auto".
    pub(super) auto: Option<Span>,
    pub(super) liveness: Duration,
    pub(super) retry: Retry,
    pub(super) fragment_size: u16,
    pub(super) dont_fragment: DontFragment,
}

impl Travel {
    pub(super) fn read(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Self {
        let interval = section.span_of_time(judge, "keepalive", &limits::KEEPALIVE).into_inner();
        let encapsulation = section.choice(judge, "encapsulation", &ENCAPSULATION);
        let forced = section.boolean(judge, "force_keepalive").unwrap_or(false);
        let liveness = section.span_of_time(judge, "liveness", &limits::LIVENESS).into_inner();
        let retry = retry(judge, section);
        let sizes = &limits::FRAGMENT_SIZE;
        let fragment_size = section.number(judge, "fragment_size", (sizes.floor, sizes.ceiling));
        let dont_fragment = section.choice(judge, "dont_fragment", &DONT_FRAGMENT);
        let detects = |way: &&Spanned<Encapsulation>| *way.get_ref() == Encapsulation::Detected;
        Self {
            auto: encapsulation.as_ref().filter(detects).map(Spanned::span),
            keepalive: Keepalive { interval, forced },
            encapsulation: encapsulation.map_or(Encapsulation::Forced, Spanned::into_inner),
            liveness,
            retry,
            fragment_size: fragment_size.map_or(sizes.default, Spanned::into_inner),
            dont_fragment: dont_fragment.map(Spanned::into_inner).unwrap_or_default(),
        }
    }
}

/// When a request is sent again, and how often. By itself, since lifetimes are judged by it.
pub(super) fn retransmit(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Retransmit {
    let first = section.span_of_time(judge, "retransmit_first", &limits::RETRANSMIT_FIRST);
    let bounds = &limits::RETRANSMIT_TRIES;
    let tries = section.number(judge, "retransmit_tries", (bounds.floor, bounds.ceiling));
    let span = tries.as_ref().map_or_else(|| first.span(), Spanned::span);
    let schedule =
        Retransmit { first: first.into_inner(), tries: tries.map_or(bounds.default, Spanned::into_inner) };
    if schedule.whole() > limits::RETRANSMIT_WHOLE_MAX {
        let message = format!("a dead peer would be noticed only after {}", duration::show(schedule.whole()));
        let help = format!(
            "each wait is twice the one before it: lower `retransmit_first` or `retransmit_tries` until all waits together are at most {}",
            duration::show(limits::RETRANSMIT_WHOLE_MAX)
        );
        judge.error(&span, message, help);
        return Retransmit::default();
    }
    schedule
}

fn retry(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Retry {
    let first = section.span_of_time(judge, "retry_first", &limits::RETRY_FIRST);
    let max = section.span_of_time(judge, "retry_max", &limits::RETRY_MAX);
    if first.get_ref() > max.get_ref() {
        let (a, b) = (duration::show(*first.get_ref()), duration::show(*max.get_ref()));
        let message = format!("`retry_first` ({a}) is longer than `retry_max` ({b})");
        let span = if first.span() == section.span { max.span() } else { first.span() };
        judge.error(&span, message, "waits grow from `retry_first` to `retry_max`");
    }
    Retry { first: first.into_inner(), max: max.into_inner() }
}
