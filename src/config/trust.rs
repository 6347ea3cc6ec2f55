//! Whom we believe: `authorities`, or exactly the peer's certificate or key; and what was revoked.

use sekisho_ike::pki::{Certificate, Crl, Pin, RevocationPolicy, Trust, Utc};
use toml::Spanned;

use super::credential::soon;
use super::document::{Judge, Section, Span, all_good};
use super::limits;
use super::store::Store;

/// All settings are read, so that every error is found.
pub(super) fn read(judge: &mut Judge<'_>, section: &mut Section<'_>, store: &Store<'_>) -> Option<Trust> {
    let anchors = list(judge, section, "authorities", |judge, file| {
        let certificates = judge.file(&file.span(), store.certificates("authorities", file.get_ref()))?;
        authorities(judge, store, file, certificates)
    });
    let certificates = list(judge, section, "peer_certificates", |judge, file| {
        let certificates =
            judge.file(&file.span(), store.certificates("peer_certificates", file.get_ref()))?;
        pinned(judge, store, file, certificates)
    });
    let keys = list(judge, section, "peer_keys", |judge, file| {
        let key = judge.file(&file.span(), store.public_key("peer_keys", file.get_ref()))?;
        Some(vec![Pin::Key(key)])
    });
    let lists = section.has("crl_files");
    let crls = list(judge, section, "crl_files", |judge, file| {
        let crls = judge.file(&file.span(), store.crls("crl_files", file.get_ref()))?;
        stale(judge, store, &file.span(), &crls);
        Some(crls)
    });
    let revocation = revocation(judge, section, lists);
    let pinned = [certificates?, keys?].concat();
    Some(Trust { anchors: anchors?, intermediates: Vec::new(), pinned, crls: crls?, revocation: revocation? })
}

/// What a list of files holds; nothing if the setting is absent, `None` if something is wrong.
fn list<T: Clone>(
    judge: &mut Judge<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    mut read: impl FnMut(&mut Judge<'_>, &Spanned<String>) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    if section.lacks(key) {
        return Some(Vec::new());
    }
    let files = section.texts(judge, key, true, limits::FILES)?;
    if files.get_ref().is_empty() {
        judge.error(&files.span(), format!("`{key}` is empty"), "name at least one file, or leave it out");
        return None;
    }
    Some(all_good(files.get_ref().iter().map(|file| read(judge, file)))?.concat())
}

fn authorities(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    file: &Spanned<String>,
    certificates: Vec<Certificate>,
) -> Option<Vec<Certificate>> {
    let mut good = Some(());
    for certificate in &certificates {
        let subject = certificate.subject();
        if !certificate.is_ca() {
            let message =
                format!("certificate `{subject}` is not the one of an authority (CA) ({})", file.get_ref());
            let help = format!(
                "if it is the peer's own, write peer_certificates = [\"{}\"]; else name the authority's that issued it",
                file.get_ref()
            );
            judge.error(&file.span(), message, help);
            good = None;
        } else if let Err(error) = certificate.public_key() {
            let message = format!("authority `{subject}` cannot be used: {error} ({})", file.get_ref());
            judge.error(&file.span(), message, "name an authority with a strong key");
            good = None;
        }
    }
    dates(judge, store, file, &certificates, "authority");
    good.map(|()| certificates)
}

fn pinned(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    file: &Spanned<String>,
    certificates: Vec<Certificate>,
) -> Option<Vec<Pin>> {
    if certificates.len() > 1 {
        let message = format!("{} holds {} certificates", file.get_ref(), certificates.len());
        judge.error(
            &file.span(),
            message,
            "leave the peer's own alone in it: each of them could speak for the peer",
        );
        return None;
    }
    if let Some(Err(error)) = certificates.first().map(Certificate::public_key) {
        let message = format!("the peer's certificate cannot be used: {error} ({})", file.get_ref());
        judge.error(&file.span(), message, "the peer needs one with a strong key");
        return None;
    }
    dates(judge, store, file, &certificates, "the peer's certificate");
    Some(certificates.into_iter().map(Pin::Certificate).collect())
}

/// Dates are judged when a peer comes; here they are told of.
fn dates(
    judge: &mut Judge<'_>,
    store: &Store<'_>,
    file: &Spanned<String>,
    certificates: &[Certificate],
    whose: &str,
) {
    for certificate in certificates {
        let (subject, from, until) =
            (certificate.subject(), certificate.not_before(), certificate.not_after());
        if until < store.now {
            let message = format!("{whose} `{subject}` expired on {}", Utc(until));
            store.warn_once(
                judge,
                &file.span(),
                message,
                "no peer is believed by it any more: name the new one",
            );
        } else if from > store.now {
            let message = format!("{whose} `{subject}` is not valid before {}", Utc(from));
            store.warn_once(judge, &file.span(), message, "is the clock right? `timedatectl` shows it");
        }
    }
    soon(judge, store, certificates, &file.span(), whose, "name the new one beside it in time");
}

fn stale(judge: &mut Judge<'_>, store: &Store<'_>, span: &Span, crls: &[Crl]) {
    for crl in crls.iter().filter(|crl| crl.next_update() < store.now) {
        let (issuer, due) = (crl.issuer(), Utc(crl.next_update()));
        let message = format!("the revocation list of `{issuer}` is out of date since {due}");
        store.warn_once(
            judge,
            span,
            message,
            "it is not used any more: fetch the new one, then `sekisho reload`",
        );
    }
}

fn revocation(judge: &mut Judge<'_>, section: &mut Section<'_>, lists: bool) -> Option<RevocationPolicy> {
    if section.lacks("revocation") {
        return Some(RevocationPolicy::default());
    }
    let text = section.text(judge, "revocation")?;
    let policy = match text.get_ref().as_str() {
        "strict" => RevocationPolicy::Strict,
        "soft" => RevocationPolicy::Soft,
        "off" => RevocationPolicy::Off,
        other => {
            let message = format!("`revocation` cannot be `{}`", other.escape_debug());
            let help = "write \"strict\" (who cannot be checked is refused), \"soft\" (who cannot be checked passes, the default) or \"off\"";
            judge.error(&text.span(), message, help);
            return None;
        }
    };
    if policy == RevocationPolicy::Off && lists {
        judge.warn(
            &text.span(),
            "`crl_files` are not looked at, since `revocation` is off",
            "write \"soft\" or \"strict\", or remove `crl_files`",
        );
    }
    Some(policy)
}
