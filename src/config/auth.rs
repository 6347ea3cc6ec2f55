//! How both ends of a tunnel prove themselves: by a pre-shared key, by certificates, or each in a way of its own
//! (RFC 7296 §2.15: "There is no requirement that the initiator and responder sign with the same cryptographic
//! algorithms").

use sekisho_ike::Secret;
use sekisho_ike::config::{LocalAuth, RemoteAuth};
use toml::Spanned;

use super::credential;
use super::document::{Judge, Section, Span};
use super::psk::{self, Key};
use super::store::Store;
use super::trust;

/// Both, and where they stand.
pub(super) struct Auth {
    pub(super) local: LocalAuth,
    pub(super) remote: RemoteAuth,
    /// The value of `certificate` or `pkcs12`.
    pub(super) certificate: Span,
    /// The value of `psk_file`.
    pub(super) psk_file: Span,
    pub(super) weak_psk: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Psk,
    Signature,
}

use Method::{Psk, Signature};

/// What our signature needs.
const OURS: [&str; 3] = ["certificate", "private_key", "pkcs12"];
/// What the peer's signature needs.
const THEIRS: [&str; 3] = ["authorities", "peer_certificates", "peer_keys"];
/// What goes with one of these, but says nothing by itself.
const BESIDE: [(&str, &[&str]); 4] =
    [("passphrase_file", &OURS), ("rsa_padding", &OURS), ("crl_files", &THEIRS), ("revocation", &THEIRS)];

/// Reads all of it before it decides, so that every error is found.
pub(super) fn read(judge: &mut Judge<'_>, section: &mut Section<'_>, store: &Store<'_>) -> Option<Auth> {
    let certificate = if section.has("pkcs12") { "pkcs12" } else { "certificate" };
    let (certificate, psk_file) = (section.value_span(certificate), section.value_span("psk_file"));
    let methods = methods(judge, section);
    let psk = shared_key(judge, section, store);
    let ours = credential::read(judge, section, store);
    let theirs = trust::read(judge, section, store);
    let (local, remote) = methods?;
    let weak_psk = psk.as_ref().is_some_and(|(_, weak)| *weak);
    let secret = psk.map(|(secret, _)| secret);
    let local = match local {
        Psk => LocalAuth::Psk(secret.clone()?),
        Signature => LocalAuth::Signature(store.credential(ours?)),
    };
    let remote = match remote {
        Psk => RemoteAuth::Psk(secret?),
        Signature => RemoteAuth::Signature(store.trust(theirs?)),
    };
    Some(Auth { local, remote, certificate, psk_file, weak_psk })
}

/// Which way each end takes; what is there says it, unless it says two things.
fn methods(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<(Method, Method)> {
    let there = |keys: &[&str]| keys.iter().any(|key| section.has(key));
    let (psk, ours, theirs) = (there(&["psk_file"]), there(&OURS), there(&THEIRS));
    let (local_said, remote_said) = (section.has("local_auth"), section.has("remote_auth"));
    let local = method(judge, section, "local_auth");
    let remote = method(judge, section, "remote_auth");
    if psk && (ours || theirs) && !local_said && !remote_said {
        let span = section.value_span("psk_file");
        let message = format!("{} has both a pre-shared key and certificates", section.title);
        let help = match (ours, theirs) {
            (true, true) => "remove `psk_file`",
            (true, false) => {
                "remove `psk_file` and name the peer's `authorities`; or, if the peer alone proves itself by that key, write remote_auth = \"psk\""
            }
            _ => {
                "remove `psk_file` and name our `certificate`; or, if we alone prove ourselves by that key, write local_auth = \"psk\""
            }
        };
        judge.error(&span, message, help);
        return None;
    }
    // A method that was said wrongly is not guessed.
    if local_said && local.is_none() || remote_said && remote.is_none() {
        return None;
    }
    let guess = |there| if there || (!psk && (ours || theirs)) { Signature } else { Psk };
    let (local, remote) = (local.unwrap_or(guess(ours)), remote.unwrap_or(guess(theirs)));
    complete(judge, section, local, remote)?;
    fitting(judge, section, local, remote)?;
    Some((local, remote))
}

fn method(judge: &mut Judge<'_>, section: &mut Section<'_>, key: &'static str) -> Option<Method> {
    let text = section.text(judge, key)?;
    match text.get_ref().as_str() {
        "psk" => Some(Psk),
        "signature" => Some(Signature),
        other => {
            let message = format!("`{key}` cannot be `{}`", other.escape_debug());
            judge.error(
                &text.span(),
                message,
                "write \"psk\", or \"signature\" for certificates and raw keys",
            );
            None
        }
    }
}

/// Nothing that the methods need is missing.
fn complete(judge: &mut Judge<'_>, section: &Section<'_>, local: Method, remote: Method) -> Option<()> {
    let there = |keys: &[&str]| keys.iter().any(|key| section.has(key));
    let mut lacking = None;
    let mut lacks = |key: &str, help: &str| {
        judge.error(&section.span, format!("{} has no `{key}`", section.title), help);
        lacking = Some(());
    };
    if (local == Psk || remote == Psk) && !there(&["psk_file"]) {
        lacks(
            "psk_file",
            "make a key with `sekisho keygen psk > FILE`, mode 0600, the same at both ends, and write psk_file = \"FILE\"; or use certificates: certificate, private_key and authorities",
        );
    }
    if local == Signature && !there(&OURS) {
        lacks(
            "certificate",
            "the peer proves itself by a certificate; name ours with certificate = \"FILE\" and private_key = \"FILE\", or write psk_file and local_auth = \"psk\"",
        );
    }
    if remote == Signature && !there(&THEIRS) {
        lacks(
            "authorities",
            "name the certificate of the authority that issued the peer's, such as authorities = [\"ca.pem\"]; or the peer's own in `peer_certificates`",
        );
    }
    lacking.map_or(Some(()), |()| None)
}

/// Nothing is there that the methods do not use: whoever wrote it expects something of it.
fn fitting(judge: &mut Judge<'_>, section: &Section<'_>, local: Method, remote: Method) -> Option<()> {
    let mut good = Some(());
    let mut unused = |key: &str, help: &str| {
        if section.has(key) {
            judge.error(&section.value_span(key), format!("`{key}` is not used"), help);
            good = None;
        }
    };
    if local == Signature && remote == Signature {
        unused("psk_file", "both ends prove themselves by signatures: remove it");
    }
    if local == Psk {
        OURS.iter().for_each(|key| unused(key, "we prove ourselves by the pre-shared key: remove it"));
    }
    if remote == Psk {
        THEIRS.iter().for_each(|key| unused(key, "the peer proves itself by the pre-shared key: remove it"));
    }
    for (key, beside) in BESIDE {
        if !beside.iter().any(|key| section.has(key)) {
            unused(key, &format!("it goes with `{}`: name that, or remove this", beside.join("` or `")));
        }
    }
    good
}

/// The key, and whether it is weak and allowed to be.
fn shared_key(judge: &mut Judge<'_>, section: &mut Section<'_>, store: &Store<'_>) -> Option<(Secret, bool)> {
    let allowed = section.boolean(judge, "allow_weak_psk").unwrap_or(false);
    let file: Spanned<String> = section.text(judge, "psk_file")?;
    let span = file.span();
    match judge.file(&span, psk::read(store, file.get_ref()))? {
        Key { secret, weakness: None } => Some((secret, false)),
        Key { secret, weakness: Some(weakness) } if allowed => {
            let help =
                "`allow_weak_psk` lets it pass: replace it soon by one of `sekisho keygen psk`, at both ends";
            judge.warn(&span, weakness, help);
            Some((secret, true))
        }
        Key { weakness: Some(weakness), .. } => {
            let help =
                "make one with `sekisho keygen psk`; if the peer cannot change, write allow_weak_psk = true";
            judge.error(&span, weakness, help);
            None
        }
    }
}
