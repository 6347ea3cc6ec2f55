//! What went wrong: failures, warnings, and refusals that were perhaps meant for the tunnel, each with all that was compared.

use super::super::output::{comparison, time};
use super::wrapped;
use crate::api::{Diagnosis, Failed, NearMiss, Refused, Timestamp, Tunnel};

/// A failure with all that was compared.
pub(super) fn failure(tunnel: &Tunnel, Failed { at, diagnosis }: &Failed, now: Timestamp) -> String {
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let exchange = diagnosis.exchange.as_ref().map_or_else(String::new, |exchange| format!(" in {exchange}"));
    let who = match diagnosis.refused_by.as_str() {
        "here" => match tunnel.failure_from {
            Some(remote) => format!(", we refused {remote}{exchange}"),
            None => format!(", we refused{exchange}"),
        },
        // Who it is was proved by then, and it refused nothing.
        "peer" if diagnosis.kind == "deleted_by_peer" => format!(", {} ended it", tunnel.remote_id),
        "peer" if tunnel.ike.is_some() => format!(", {} refused{exchange}", tunnel.remote_id),
        // Who that was is not known: not who is configured, perhaps.
        "peer" => format!(", the peer refused{exchange}"),
        _ if exchange.is_empty() => exchange,
        _ => format!(",{exchange}"),
    };
    let often = match tunnel.failure_times {
        0 | 1 => String::new(),
        times => format!(", {times} times"),
    };
    let head = format!("{ago} ago{often}{who} ({}): {}", diagnosis.kind, diagnosis.summary);
    told(&head, diagnosis)
}

/// The same where traffic passes all the same.
pub(super) fn warning(Failed { at, diagnosis }: &Failed, now: Timestamp) -> String {
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    told(&format!("Warning ({}, {ago} ago): {}", diagnosis.kind, diagnosis.summary), diagnosis)
}

/// Who was perhaps its peer, and refused.
pub(super) fn near_miss(NearMiss { remote, likeness, times, failed }: &NearMiss, now: Timestamp) -> String {
    let Failed { at, diagnosis } = failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    let since = match likeness.as_str() {
        "address" => "it came from where the peer is, or was when the tunnel last stood",
        _ => "it calls itself almost so, or so and us otherwise",
    };
    let head = format!(
        "Perhaps this tunnel's peer, since {since}, was refused at {remote} {ago} ago{often} ({}): {}",
        diagnosis.kind, diagnosis.summary
    );
    told(&head, diagnosis)
}

/// Who was refused, whatever for.
pub(super) fn refused(Refused { remote, times, failed }: &Refused, now: Timestamp) -> String {
    let Failed { at, diagnosis } = failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    let exchange = diagnosis.exchange.as_ref().map_or_else(String::new, |exchange| format!(" in {exchange}"));
    // Nobody refused anything where one did not go on.
    let what = match diagnosis.refused_by.as_str() {
        "nobody" => "got no further than IKE_SA_INIT".to_owned(),
        _ => format!("was refused{exchange}"),
    };
    told(&format!("{remote} {what} {ago} ago{often} ({}): {}", diagnosis.kind, diagnosis.summary), diagnosis)
}

/// With what to do, and all that was compared.
pub(super) fn told(head: &str, diagnosis: &Diagnosis) -> String {
    let mut text = wrapped(&format!("{head}. What to do: {}.", diagnosis.advice.trim_end_matches('.')));
    let table = comparison(diagnosis);
    if !table.is_empty() {
        text = format!("{text}\n\n  {}", table.join("\n  "));
    }
    let parts = [("offered", &diagnosis.offered), ("acceptable", &diagnosis.acceptable)];
    let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("\n  {name}: {}", part.as_ref()?)));
    let parts: String = parts.collect();
    if parts.is_empty() { text } else { format!("{text}\n{parts}") }
}
