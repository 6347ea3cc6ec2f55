//! What else deserves a look, whether traffic passes or not.

use crate::api::{ConfiguredChild, Tunnel};
use crate::config::limits::EXPIRY_WARNING;

/// What else deserves a look.
pub(super) fn remarks(tunnel: &Tunnel) -> Vec<String> {
    let warned = i64::try_from(EXPIRY_WARNING.as_secs() / 86_400).unwrap_or_default();
    let ends = |left: Option<i64>, whose: &str, who: &str| match left {
        Some(..0) => Some(format!("{whose} has expired: {who}.")),
        Some(days) if days <= warned => Some(format!("{whose} expires in {days} days: {who}.")),
        _ => None,
    };
    let ours = ends(
        tunnel.certificate_days_left,
        "Our certificate",
        "have it renewed, put the new one into the same file, and `sekisho reload`",
    );
    let theirs =
        ends(tunnel.peer_certificate_days_left, "The peer's certificate", "the peer needs a new one");
    let note = tunnel.ike.as_ref().and_then(|ike| ike.peer_auth_note.as_ref());
    let note = note.map(|note| format!("The peer passed unchecked: {note}."));
    let weak = tunnel.weak_psk.then(|| "Its pre-shared key is weak (allow_weak_psk): replace it.".to_owned());
    let narrowed = tunnel.configured_children.iter().filter_map(narrowed);
    ours.into_iter().chain(theirs).chain(note).chain(weak).chain(narrowed).collect()
}

/// What the peer did not let a child carry.
fn narrowed(child: &ConfiguredChild) -> Option<String> {
    let ConfiguredChild { name, left_out_local: ours, left_out_remote: theirs, .. } = child;
    let sides = [("our side", ours, "remote_ts"), ("the peer's side", theirs, "local_ts")];
    let sides = sides.into_iter().filter(|(_, networks, _)| !networks.is_empty());
    let (out, named): (Vec<_>, Vec<_>) = sides
        .map(|(whose, networks, strongswan)| {
            (format!("{} of {whose}", networks.join(" ")), format!("`{strongswan}`"))
        })
        .unzip();
    (!out.is_empty()).then(|| {
        format!(
            "Child {name} carries less than is configured, since the peer asks for or allows less. Left out, and dropped, is {}. What to do: Widen the peer's networks (strongSwan: {}), or take these out of the configuration here.",
            out.join(", and "),
            named.join(", ")
        )
    })
}
