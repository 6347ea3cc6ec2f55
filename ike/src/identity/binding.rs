//! Which identities a certificate stands for (RFC 4945 §3.1, §5.1.2).

use super::Identity;
use crate::pki::{Certificate, SubjectAltName, TrustedPath, quote};

/// The identity is not one of the certificate's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate `{subject}` is not one for the {kind} `{identity}`; it names {names}")]
pub struct BindingError {
    /// The certificate's subject.
    pub subject: String,
    /// Which kind of identity.
    pub kind: &'static str,
    /// The identity.
    pub identity: String,
    /// The identities that it stands for.
    pub names: String,
}

/// Whether the certificate is one for the identity.
///
/// A distinguished name must be the subject; a host name, e-mail or IP address must be among the subject's alternative
/// names, whole and without wildcards (the subject's CN is never taken for a host name); a key id must be the subject key
/// identifier, as strongSwan has it.
///
/// # Errors
/// [`BindingError`], with the names that would have done.
pub fn binds(certificate: &Certificate, identity: &Identity) -> Result<(), BindingError> {
    let names = certificate.identities();
    let key_id =
        matches!(identity, Identity::KeyId(id) if certificate.subject_key_id() == Some(id.as_slice()));
    if key_id || names.contains(identity) {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    // Whoever had the certificate made chose how long these are.
    Err(BindingError {
        subject: quote(&certificate.subject().to_string()),
        kind: identity.kind(),
        identity: quote(&identity.to_string()),
        names: if names.is_empty() { "nobody".into() } else { quote(&names.join(", ")) },
    })
}

impl Certificate {
    /// The identities that the certificate stands for: its host names, e-mail and IP addresses, and its subject. Names
    /// that no peer can have (wildcards, white space, other kinds) are left out.
    pub fn identities(&self) -> Vec<Identity> {
        let alternative = self.subject_alt_names().iter().filter_map(identity_of);
        let subject = (!self.subject().is_empty()).then(|| Identity::Dn(self.subject().clone()));
        alternative.chain(subject).collect()
    }
}

fn identity_of(name: &SubjectAltName) -> Option<Identity> {
    match name {
        SubjectAltName::Dns(name) => Identity::host_name(name).map(Identity::Fqdn),
        SubjectAltName::Email(name) => {
            name.parse().ok().filter(|id: &Identity| matches!(id, Identity::Email(_)))
        }
        SubjectAltName::Ip(address) => Some((*address).into()),
        SubjectAltName::Directory(_) | SubjectAltName::Uri(_) | SubjectAltName::Other => None,
    }
}

impl TrustedPath {
    /// Whether the path's end entity is the one with this identity. One that is pinned is: the connection names its
    /// identity and its key side by side, and no authority's word is needed.
    ///
    /// # Errors
    /// [`BindingError`].
    pub fn binds(&self, identity: &Identity) -> Result<(), BindingError> {
        match self.end_entity() {
            Some(certificate) if !self.is_pinned() => binds(certificate, identity),
            _ => Ok(()),
        }
    }
}
