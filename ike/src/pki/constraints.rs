//! Name constraints (RFC 5280 §4.2.1.10).

use std::net::IpAddr;

use super::{Certificate, DistinguishedName, SubjectAltName, oid};

/// What an authority may issue certificates for.
pub(super) struct NameConstraint {
    pub(super) permitted: Vec<Subtree>,
    pub(super) excluded: Vec<Subtree>,
}

/// Names that belong together.
pub(super) enum Subtree {
    /// A host, and all below it.
    Dns(String),
    /// One mailbox, all of a host, or with a dot before it all of the hosts below.
    Email(String),
    /// Address and mask, four or sixteen bytes each.
    Ip(Vec<u8>, Vec<u8>),
    /// All names that begin with this one.
    Directory(DistinguishedName),
    /// Of a kind that we do not compare: see [`NameConstraint::violated_by`].
    Uri,
    /// Likewise.
    Other,
}

/// Whether a name lies in a subtree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Inside,
    Outside,
    /// The subtree is of another kind and says nothing about the name.
    Unrelated,
    /// The kinds are the same, but we do not compare names of it.
    Unknown,
}

impl NameConstraint {
    /// The first name of the certificate that its authority may not give.
    ///
    /// "If a name constraints extension that is marked as critical imposes constraints on a particular name form, and an
    /// instance of that name form appears in the subject field or subjectAltName extension of a subsequent certificate,
    /// then the application MUST either process the constraint or reject the certificate": the latter for kinds that we
    /// do not compare.
    pub(super) fn violated_by(&self, certificate: &Certificate) -> Option<String> {
        names(certificate).iter().find(|name| !self.allows(name)).map(describe)
    }

    fn allows(&self, name: &SubjectAltName) -> bool {
        let relations = |subtrees: &[Subtree]| -> Vec<Relation> {
            let relations = subtrees.iter().map(|subtree| subtree.relation(name));
            relations.filter(|relation| *relation != Relation::Unrelated).collect()
        };
        let (permitted, excluded) = (relations(&self.permitted), relations(&self.excluded));
        let permitted = permitted.is_empty() || permitted.contains(&Relation::Inside);
        permitted && excluded.iter().all(|relation| *relation == Relation::Outside)
    }
}

/// All names of the certificate that a constraint can be about. An e-mail address in the subject counts as one, too.
fn names(certificate: &Certificate) -> Vec<SubjectAltName> {
    let subject = certificate.subject();
    let distinguished = (!subject.is_empty()).then(|| SubjectAltName::Directory(subject.clone()));
    let emails = subject.values(oid::EMAIL_ADDRESS).into_iter().map(SubjectAltName::Email);
    certificate.subject_alt_names().iter().cloned().chain(distinguished).chain(emails).collect()
}

fn describe(name: &SubjectAltName) -> String {
    match name {
        SubjectAltName::Dns(name) | SubjectAltName::Email(name) | SubjectAltName::Uri(name) => {
            name.escape_debug().to_string()
        }
        SubjectAltName::Ip(address) => address.to_string(),
        SubjectAltName::Directory(name) => name.to_string(),
        SubjectAltName::Other => "a name of another kind".into(),
    }
}

impl Subtree {
    /// An address range: "encoded in the style of RFC 4632 (CIDR)", address and mask in a row.
    pub(super) fn ip(range: &[u8]) -> Option<Self> {
        if range.len() != 8 && range.len() != 32 {
            return None;
        }
        let (address, mask) = range.split_at(range.len() / 2);
        let ones = mask.iter().map(|byte| byte.count_ones()).sum::<u32>();
        let leading = mask.iter().take_while(|byte| **byte == 0xff).count();
        let partial = mask.get(leading).map_or(0, |byte| byte.leading_ones());
        let contiguous = u32::try_from(leading * 8).is_ok_and(|whole| whole + partial == ones);
        contiguous.then(|| Self::Ip(address.to_vec(), mask.to_vec()))
    }

    fn relation(&self, name: &SubjectAltName) -> Relation {
        let inside = match (self, name) {
            (Self::Dns(base), SubjectAltName::Dns(name)) => dns_within(name, base),
            // RFC 5280 does not say what an empty one means: all addresses, or none.
            (Self::Email(base), SubjectAltName::Email(_)) if base.is_empty() => return Relation::Unknown,
            (Self::Email(base), SubjectAltName::Email(name)) => email_within(name, base),
            (Self::Ip(base, mask), SubjectAltName::Ip(address)) => ip_within(*address, base, mask),
            (Self::Directory(base), SubjectAltName::Directory(name)) => name.is_under(base),
            (Self::Uri, SubjectAltName::Uri(_)) | (Self::Other, SubjectAltName::Other) => {
                return Relation::Unknown;
            }
            _ => return Relation::Unrelated,
        };
        if inside { Relation::Inside } else { Relation::Outside }
    }
}

/// "Any DNS name that can be constructed by simply adding zero or more labels to the left-hand side of the name
/// satisfies the name constraint." A dot before it, which is common though not foreseen, asks for one label at least.
fn dns_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    base.is_empty()
        || if base.starts_with('.') {
            name.ends_with(&base)
        } else {
            name.strip_suffix(&base).is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
        }
}

fn email_within(name: &str, base: &str) -> bool {
    let Some((mailbox, host)) = name.rsplit_once('@') else { return false };
    if let Some((base_mailbox, base_host)) = base.rsplit_once('@') {
        return mailbox == base_mailbox && host.eq_ignore_ascii_case(base_host);
    }
    if base.starts_with('.') { dns_within(host, base) } else { host.eq_ignore_ascii_case(base) }
}

fn ip_within(address: IpAddr, base: &[u8], mask: &[u8]) -> bool {
    let bytes = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let masked = bytes.iter().zip(base).zip(mask).all(|((byte, base), mask)| byte & mask == base & mask);
    bytes.len() == base.len() && masked
}
