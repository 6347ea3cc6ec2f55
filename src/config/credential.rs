//! What we prove ourselves with: `certificate` and `private_key`, or `pkcs12`; judged as a peer would judge it.

use sekisho_ike::identity::{Identity, binds};
use sekisho_ike::pki::{
    Certificate, Credential, CredentialError, KeyKind, PathError, RsaPadding, SchemeError, SigningKey, Trust,
    Utc, trust,
};
use toml::Spanned;

use super::document::{Judge, Section, Span, all_good};
use super::limits;
use super::store::Store;
use crate::words::{RENEW, TOO_EARLY, days};

/// The settings, as they are written.
struct Given {
    certificate: Option<Spanned<Vec<Spanned<String>>>>,
    private_key: Option<Spanned<String>>,
    pkcs12: Option<Spanned<String>>,
    passphrase_file: Option<Spanned<String>>,
    rsa_padding: Option<Spanned<String>>,
}

/// All settings are read, so that every error is found.
pub(super) fn read(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    store: &Store<'_>,
) -> Option<Credential> {
    let given = Given {
        certificate: section.texts(judge, "certificate", true, limits::FILES),
        private_key: section.text(judge, "private_key"),
        pkcs12: section.text(judge, "pkcs12"),
        passphrase_file: section.text(judge, "passphrase_file"),
        rsa_padding: section.text(judge, "rsa_padding"),
    };
    let mut credential = of_files(judge, section, store, &given)?;
    if let Some(word) = &given.rsa_padding {
        credential.rsa_padding = rsa_padding(judge, word, &credential)?;
    }
    Some(credential)
}

/// How an RSA key signs.
fn rsa_padding(judge: &mut Judge<'_>, word: &Spanned<String>, credential: &Credential) -> Option<RsaPadding> {
    let kind = credential.key.public_key().kind();
    if !matches!(kind, KeyKind::Rsa(_)) {
        judge.error(&word.span(), format!("our key is not RSA but {kind}"), "remove `rsa_padding`");
        return None;
    }
    match word.get_ref().as_str() {
        "pss" => Some(RsaPadding::Pss),
        "pkcs1" => Some(RsaPadding::Pkcs1),
        other => {
            let message = format!("`rsa_padding` cannot be `{}`", other.escape_debug());
            let help = "write \"pss\" (the default), or \"pkcs1\" for a peer that knows nothing else";
            judge.error(&word.span(), message, help);
            None
        }
    }
}

fn of_files(
    judge: &mut Judge<'_>,
    section: &Section<'_>,
    store: &Store<'_>,
    given: &Given,
) -> Option<Credential> {
    if let Some(bundle) = &given.pkcs12 {
        return of_bundle(judge, section, store, bundle, given);
    }
    let Some(key_file) = &given.private_key else {
        if let Some(files) = &given.certificate {
            let message = format!("{} has a `certificate`, but no `private_key`", section.title);
            judge.error(&files.span(), message, "name the file of its key: private_key = \"FILE\"");
        }
        return None;
    };
    let chain = given.certificate.as_ref().map(|files| certificates(judge, store, files));
    let key = private_key(judge, store, key_file, given.passphrase_file.as_ref());
    // A raw key of its own, without a certificate (RFC 7670).
    let (chain, span) = match (chain, &given.certificate) {
        (Some(chain), Some(files)) => (chain?, files.span()),
        _ => (Vec::new(), key_file.span()),
    };
    credential(judge, store, key?, chain, &span, &key_file.span())
}

fn of_bundle(
    judge: &mut Judge<'_>,
    section: &Section<'_>,
    store: &Store<'_>,
    bundle: &Spanned<String>,
    given: &Given,
) -> Option<Credential> {
    let twice =
        [given.certificate.as_ref().map(Spanned::span), given.private_key.as_ref().map(Spanned::span)];
    let mut good = Some(());
    for span in twice.into_iter().flatten() {
        let message = "`pkcs12` holds both the certificate and its key";
        judge.error(&span, message, "remove this, or remove `pkcs12` and `passphrase_file`");
        good = None;
    }
    let Some(passphrase_file) = &given.passphrase_file else {
        let message = format!("{} has no `passphrase_file`", section.title);
        let help = "write the passphrase of the PKCS#12 file into a file of its own, mode 0600, and passphrase_file = \"FILE\"";
        judge.error(&bundle.span(), message, help);
        return None;
    };
    let passphrase = judge.file(&passphrase_file.span(), store.passphrase(passphrase_file.get_ref()))?;
    let span = bundle.span();
    let (key, chain) = judge.file(&span, store.pkcs12(bundle.get_ref(), &passphrase))?;
    good?;
    credential(judge, store, key, chain, &span, &span)
}

fn certificates(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    files: &Spanned<Vec<Spanned<String>>>,
) -> Option<Vec<Certificate>> {
    if files.get_ref().is_empty() {
        let help = "name the file of our certificate, such as certificate = \"clinic-17.pem\"; or remove it to prove ourselves by the key alone";
        judge.error(&files.span(), "`certificate` is empty", help);
        return None;
    }
    let read = files
        .get_ref()
        .iter()
        .map(|file| judge.file(&file.span(), store.certificates("certificate", file.get_ref())));
    Some(all_good(read)?.concat())
}

fn private_key(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    file: &Spanned<String>,
    passphrase_file: Option<&Spanned<String>>,
) -> Option<SigningKey> {
    let passphrase = match passphrase_file {
        Some(file) => Some(judge.file(&file.span(), store.passphrase(file.get_ref()))?),
        None => None,
    };
    let read = store.private_key(file.get_ref(), passphrase.as_ref());
    let (key, encrypted) = judge.file(&file.span(), read)?;
    if let Some(passphrase_file) = passphrase_file.filter(|_| !encrypted) {
        let message = "the private key is not encrypted: the passphrase is not needed";
        judge.warn(&passphrase_file.span(), message, "remove `passphrase_file`, or encrypt the key");
    }
    Some(key)
}

/// Key and chain fit each other, and a peer would take them.
fn credential(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    key: SigningKey,
    chain: Vec<Certificate>,
    span: &Span,
    key_span: &Span,
) -> Option<Credential> {
    let order = "put our own certificate first, then the one that issued it, and so on; leave the others out";
    if let Some(own) = chain.iter().position(|certificate| key.matches(certificate)).filter(|own| *own > 0)
        && let (Some(own), Some(first)) = (chain.get(own), chain.first())
    {
        let (own, first) = (own.subject(), first.subject());
        judge.error(span, format!("our own certificate, `{own}`, stands behind `{first}`"), order);
        return None;
    }
    // Both are looked at, so that a certificate that is expired and of another key is both.
    let acceptable = acceptable(judge, store, &chain, span);
    let credential = Credential::new(key, chain).map_err(|error| {
        let (span, help) = match &error {
            CredentialError::KeyMismatch(_) => (
                key_span,
                "name the key with which the certificate was requested, or have a new certificate issued",
            ),
            CredentialError::Disorder(..) => (span, order),
            CredentialError::TooLong(_) => {
                (span, "leave out what does not lie between ours and the authority's")
            }
        };
        judge.error(span, error.to_string(), help);
    });
    acceptable?;
    credential.ok()
}

/// What a peer would say of our chain that trusts its top.
fn acceptable(judge: &mut Judge<'_>, store: &Store<'_>, chain: &[Certificate], span: &Span) -> Option<()> {
    let ([own, above @ ..], Some(top)) = (chain, chain.last()) else { return Some(()) };
    for certificate in chain.iter().filter(|certificate| !certificate.is_self_issued()) {
        if let Err(SchemeError::Weak(algorithm)) = certificate.signature_scheme() {
            let subject = certificate.subject();
            let message = format!("certificate `{subject}` is signed with {algorithm}, which is too weak");
            judge.error(span, message, "peers refuse it: have it issued anew, signed with SHA-256 or better");
            return None;
        }
    }
    let anchors = Trust { anchors: vec![top.clone()], ..Trust::default() };
    match trust(own, above, &anchors, store.now) {
        // Who issued it is the peer's business, and the order of the chain is judged elsewhere.
        Ok(_) | Err(PathError::UnknownIssuer { .. } | PathError::BadSignature { .. }) => {}
        Err(PathError::NotACa { .. }) if own.is_self_issued() => {}
        Err(PathError::CaAsEndEntity { subject }) => {
            let message = format!("our certificate `{subject}` is the one of an authority (CA)");
            store.warn_once(
                judge,
                span,
                message,
                "a peer takes it only if it has pinned exactly this certificate",
            );
        }
        Err(
            PathError::Expired { subject, not_after, now }
            | PathError::AnchorExpired { subject, not_after, now },
        ) => {
            let message = format!("our certificate `{subject}` expired on {not_after}; it is {now} here");
            return expired(judge, store, span, message, &format!("peers refuse it: {RENEW}"));
        }
        Err(error @ (PathError::NotYetValid { .. } | PathError::AnchorNotYetValid { .. })) => {
            store.warn_once(
                judge,
                span,
                error.to_string(),
                &format!("peers refuse it until then: {TOO_EARLY}"),
            );
        }
        Err(error) => {
            let help = "peers refuse it: have one issued that is made for this, such as with keyUsage digitalSignature and extendedKeyUsage ipsecIKE or serverAuth";
            judge.error(span, error.to_string(), help);
            return None;
        }
    }
    soon(judge, store, chain, span, "our certificate", RENEW);
    Some(())
}

/// At a start or reload an expired certificate is told of, but must not keep the other tunnels down or as they were.
fn expired(judge: &mut Judge<'_>, store: &Store<'_>, span: &Span, message: String, help: &str) -> Option<()> {
    if store.forgives_dates {
        store.warn_once(judge, span, message, help);
        return Some(());
    }
    let help = format!(
        "{help}; the daemon starts and reloads with it as it is, and only the tunnels that prove themselves by it do not come up"
    );
    judge.error(span, message, help);
    None
}

/// Warns of certificates that end soon.
pub(super) fn soon(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    certificates: &[Certificate],
    span: &Span,
    whose: &str,
    help: &str,
) {
    for certificate in certificates {
        let left = certificate.not_after().saturating_sub(store.now);
        if left > 0 && left <= limits::EXPIRY_WARNING.as_secs() {
            let (subject, end) = (certificate.subject(), Utc(certificate.not_after()));
            let days = days((left / 86_400).cast_signed());
            let message = format!("{whose} `{subject}` expires in {days}, on {end}");
            store.warn_once(judge, span, message, help);
        }
    }
}

/// Who we are by our certificate if nothing else is said: its first host name, else its subject.
pub(super) fn identity(credential: &Credential) -> Option<Identity> {
    let names = credential.chain.first()?.identities();
    let host = names.iter().find(|name| matches!(name, Identity::Fqdn(_)));
    let subject = || names.iter().find(|name| matches!(name, Identity::Dn(_)));
    host.or_else(subject).cloned()
}

/// Our certificate must be one for who we say we are, or the peer refuses us.
pub(super) fn stands_for(
    judge: &mut Judge<'_>,
    credential: &Credential,
    id: &Spanned<Identity>,
) -> Option<()> {
    let own = credential.chain.first()?;
    let error = binds(own, id.get_ref()).err()?;
    let named = identity(credential);
    let help = match named {
        Some(named) => format!(
            "write local_id = \"{named}\", leave it out, or have a certificate issued with this name among its subjectAltNames"
        ),
        None => "have a certificate issued with this name among its subjectAltNames".to_owned(),
    };
    judge.error(&id.span(), error.to_string(), help);
    Some(())
}
