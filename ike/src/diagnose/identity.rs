//! Who a peer says it is, and why that is not accepted (RFC 7296 §2.15, §3.5).

use std::fmt::Display;

use super::near::near_miss;
use super::{certificate, diagnosis};
use crate::config::{Connection, LocalAuth};
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::identity::{Identity, ProofError, RemoteId};
use crate::pki::Utc;
use crate::wire::{AuthMethod, ExchangeType, IdData};

/// Why the proof of a peer that says it has this identity is not accepted.
pub(crate) fn proof(error: &ProofError, id: &IdData, configured: &RemoteId) -> Diagnosis {
    match error {
        ProofError::Value | ProofError::Nobody => wrong_proof(configured),
        ProofError::Method(method) => other_auth_method(configured, *method),
        ProofError::Identity => wrong_identity(&Identity::describe(id), configured),
        ProofError::Certificates(error) => certificate::offered(error),
        ProofError::NoCertificate => certificate::missing(configured),
        ProofError::Path(error) => certificate::path(error),
        ProofError::Binding(error) => certificate::binding(error),
        ProofError::Signature(error) => certificate::signature(error),
        ProofError::Revocation(error) => certificate::revocation(error),
        ProofError::Ours(error) => certificate::no_signature(error),
    }
}

fn wrong_proof(peer: &RemoteId) -> Diagnosis {
    let summary = format!("`{peer}` sent a wrong proof of its identity: its pre-shared key is not ours");
    let advice = "Compare `psk_file` with the peer's secret (strongSwan: `secret`): blanks, a newline and `0s` or `0x` before it count; of several secrets the peer may have taken that of other identities";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice)
}

fn other_auth_method(peer: &RemoteId, method: AuthMethod) -> Diagnosis {
    let signs = method != AuthMethod::SHARED_KEY_MIC;
    let (theirs, ours) =
        if signs { ("certificate", "pre-shared key") } else { ("pre-shared key", "certificate") };
    let summary = format!("`{peer}` proves its identity by {theirs} (method {method}), and we want a {ours}");
    let advice = if signs {
        "Set the peer to pre-shared key authentication (strongSwan: `auth = psk`), or give this tunnel `authorities` in place of `psk_file`"
    } else {
        "Set the peer to certificates (strongSwan: `auth = pubkey`), or give this tunnel a `psk_file`"
    };
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice).compared(vec![Row::both(
        "authentication",
        vec![ours.to_owned()],
        vec![theirs.to_owned()],
    )])
}

pub(crate) fn no_auth(peer: &RemoteId) -> Diagnosis {
    let summary = format!("`{peer}` wants EAP");
    let advice = "Set the peer to authentication by pre-shared key or certificate";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice).during(ExchangeType::IKE_AUTH)
}

/// `now`: seconds since 1970 UTC.
pub(crate) fn auth_refused_there(connection: &Connection, now: u64) -> Diagnosis {
    let (local, remote) = (&connection.local_id, &connection.remote_id);
    let proof = proof_of_ours(connection);
    let summary = format!(
        "the peer does not accept {proof} for `{local}`, or has no tunnel with us as `{local}` and itself as `{remote}`"
    );
    let summary = match not_valid(connection, now) {
        Some((why, _)) => format!("{why}; {summary}"),
        None => summary,
    };
    let advice = format!(
        "{}, and that the peer is configured for exactly these two identities (strongSwan: `remote.id` is our `local_id`, `local.id` our `remote_id`); its log says which of it",
        compare_proof(connection, now)
    );
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Peer, summary, &advice)
        .about(format!("local_id {local}, remote_id {remote}"), None)
        .compared(vec![
            Row::ours("our identity", vec![local.to_string()]),
            Row::ours("peer's identity", vec![remote.to_string()]),
        ])
        .during(ExchangeType::IKE_AUTH)
}

/// A tunnel that the peer began and deleted so soon after it came up that it may have found something wrong with us.
pub(crate) fn deleted_at_once(connection: &Connection, seconds: u64, now: u64) -> Diagnosis {
    let proof = proof_of_ours(connection);
    let summary = format!(
        "the peer deleted the tunnel {seconds} s after it had set it up, before anything passed and without a reason: it was ended there, or it does not accept {proof} or that we are `{}` (though most peers say so then)",
        connection.local_id
    );
    let summary = match not_valid(connection, now) {
        Some((why, _)) => format!("{why}; {summary}"),
        None => summary,
    };
    let advice = format!(
        "Look into the peer's log for the reason. {}, if it refused us",
        compare_proof(connection, now)
    );
    diagnosis(DiagnosisKind::DeletedByPeer, Side::Peer, summary, &advice)
}

/// What we prove our identity with.
fn proof_of_ours(connection: &Connection) -> String {
    match &connection.local_auth {
        LocalAuth::Psk(_) => "our pre-shared key".to_owned(),
        LocalAuth::Signature(credential) => match credential.chain.first() {
            Some(own) => format!("our certificate `{}`, issued by `{}`,", own.subject(), own.issuer()),
            None => "our raw public key".to_owned(),
        },
    }
}

const RENEW: &str = "Have our certificate renewed, put the new one into the same file, and `sekisho reload` (if it is not that old, the clock here is wrong: `date -u`); then see that the peer trusts its authority";
const TOO_EARLY: &str = "Set the clock here if it is wrong (`date -u`); if it is right, wait until then, or have a certificate issued that is valid already; then see that the peer trusts its authority";

/// That our certificate, or one that we send with it, has expired or is not valid yet, and what to do: before all guesses.
fn not_valid(connection: &Connection, now: u64) -> Option<(String, &'static str)> {
    let LocalAuth::Signature(credential) = &connection.local_auth else { return None };
    if let Some(expired) = credential.chain.iter().find(|certificate| certificate.not_after() < now) {
        let (subject, end) = (expired.subject(), Utc(expired.not_after()));
        return Some((format!("our own certificate `{subject}` expired on {end}"), RENEW));
    }
    let early = credential.chain.iter().find(|certificate| certificate.not_before() > now)?;
    let (subject, begins) = (early.subject(), Utc(early.not_before()));
    let why =
        format!("our own certificate `{subject}` is not valid before {begins}, and it is {} here", Utc(now));
    Some((why, TOO_EARLY))
}

fn compare_proof(connection: &Connection, now: u64) -> &'static str {
    match connection.local_auth {
        LocalAuth::Psk(_) => "Compare the pre-shared key at both ends (`psk_file`; strongSwan: `secret`)",
        LocalAuth::Signature(_) => not_valid(connection, now).map_or(
            "See that the peer trusts the authority of our certificate, that this has not been revoked, and that it names our `local_id`",
            |(_, advice)| advice,
        ),
    }
}

/// Two identities that are configured for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) remote: RemoteId,
    pub(crate) local: Identity,
}

impl Pair {
    fn words(&self) -> String {
        named(&self.remote, Some(&self.local))
    }
}

/// Who the peer is and, if it is known, whom it takes us for.
fn named(peer: &dyn Display, us: Option<&dyn Display>) -> String {
    us.map_or_else(|| peer.to_string(), |us| format!("{peer}, with us as {us}"))
}

/// No connection is for `theirs` and, if the peer named it, `ours`.
pub(crate) fn unknown_identity(theirs: &IdData, ours: Option<&IdData>, configured: &[Pair]) -> Diagnosis {
    let (peer, asked) = (Identity::describe(theirs), ours.map(Identity::describe));
    let known = Identity::from_wire(theirs);
    let matches = |pair: &&Pair| known.as_ref().is_some_and(|id| pair.remote.matches(id));
    let asking = asked.as_ref().map_or_else(String::new, |id| format!(" asking for `{id}`"));
    let (why, advice) = match (configured.iter().find(matches), &asked) {
        (Some(pair), Some(asked)) => (
            format!("; `{peer}` is configured, with us as `{}`{}", pair.local, near(asked, &pair.local)),
            "Set `local_id` of that tunnel to what the peer asks for, or the peer's name for us (strongSwan: `remote.id`) to our `local_id`",
        ),
        _ if configured.iter().any(|pair| Some(&pair.local) == known.as_ref()) => (
            "; that is our own identity".to_owned(),
            "The two identities are interchanged: the peer's own (strongSwan: `local.id`) must be our `remote_id`",
        ),
        _ => (
            configured.iter().find_map(|pair| did_you_mean(&peer, &pair.remote)).unwrap_or_default(),
            "Set `remote_id` (and `local_id`) of a tunnel to these, or correct the peer's identities (strongSwan: `local.id`, `remote.id`)",
        ),
    };
    let summary = format!("a peer that calls itself `{peer}`{asking} is not configured{why}");
    let list: Vec<_> = configured.iter().take(8).map(Pair::words).collect();
    let remotes = configured.iter().map(|pair| pair.remote.to_string()).collect();
    let mut row = Row::both("peer's identity", remotes, vec![peer.clone()]);
    row.agrees = Some(configured.iter().any(|pair| matches(&pair)));
    let locals = || configured.iter().map(|pair| pair.local.to_string()).collect();
    let offered = named(&peer, asked.as_ref().map(|asked| asked as &dyn Display));
    let asked = asked.map(|asked| Row::both("our identity", locals(), vec![asked]));
    diagnosis(DiagnosisKind::UnknownIdentity, Side::Here, summary, advice)
        .about(offered, (!list.is_empty()).then(|| list.join("; ")))
        .compared([row].into_iter().chain(asked).collect())
        .during(ExchangeType::IKE_AUTH)
}

fn near(theirs: &str, ours: &dyn ToString) -> String {
    near_miss(theirs, &ours.to_string()).map_or_else(String::new, |how| format!("; {how}"))
}

fn did_you_mean(theirs: &str, ours: &RemoteId) -> Option<String> {
    near_miss(theirs, &ours.to_string()).map(|how| format!(": did you mean `{ours}`? {how}"))
}

fn wrong_identity(theirs: &str, configured: &RemoteId) -> Diagnosis {
    let summary =
        format!("the peer calls itself `{theirs}`, and not `{configured}`{}", near(theirs, configured));
    let advice = "Set `remote_id` to what it says, or correct the peer's identity (strongSwan: `local.id`)";
    diagnosis(DiagnosisKind::WrongIdentity, Side::Here, summary, advice)
        .about(theirs.to_owned(), configured.to_string())
        .compared(vec![Row::both("peer's identity", vec![configured.to_string()], vec![theirs.to_owned()])])
}
