//! Who a peer must prove to be: one identity, or any that fits a pattern.

use std::fmt;
use std::str::FromStr;

use super::{Identity, IdentityError};
use crate::pki::DistinguishedName;

/// Whom a connection is for. All but `Exact` need certificates that an authority vouches for: a key that is shared or
/// pinned would let each peer speak for every other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemoteId {
    /// This identity alone.
    Exact(Identity),
    /// All that fit a pattern.
    Pattern(Pattern),
    /// Everyone whom the authorities vouch for.
    Any,
}

/// A set of identities.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// `*.clinic.example`: every host whose name ends so, with one or more labels before.
    Hosts(String),
    /// `*@clinic.example`: every e-mail address of exactly this host.
    Emails(String),
    /// `C=JP, O=Clinic, CN=*`: every name of these attributes, with any one value for each `*`.
    Names(DistinguishedName),
}

impl RemoteId {
    /// The only identity, if there is only one.
    pub fn exact(&self) -> Option<&Identity> {
        match self {
            Self::Exact(identity) => Some(identity),
            Self::Pattern(_) | Self::Any => None,
        }
    }

    /// Whether a peer with this identity is meant.
    pub fn matches(&self, identity: &Identity) -> bool {
        match self {
            Self::Exact(wanted) => wanted == identity,
            Self::Pattern(pattern) => pattern.matches(identity),
            Self::Any => true,
        }
    }

    /// The longer a pattern, the more it says: of several that fit, the one with the highest number is meant.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Pattern(Pattern::Hosts(host) | Pattern::Emails(host)) => host.len(),
            Self::Pattern(Pattern::Names(name)) => name.fixed_attributes().max(1),
            Self::Any => 0,
        }
    }
}

impl Pattern {
    fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Hosts(under), Identity::Fqdn(name)) => {
                // Whole labels: `*.example` is not `badexample`.
                name.strip_suffix(under.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Self::Emails(host), Identity::Email(address)) => {
                address.rsplit_once('@').is_some_and(|(_, of)| of == host)
            }
            (Self::Names(pattern), Identity::Dn(name)) => name.fits(pattern),
            _ => false,
        }
    }
}

impl From<Identity> for RemoteId {
    fn from(identity: Identity) -> Self {
        Self::Exact(identity)
    }
}

impl FromStr for RemoteId {
    type Err = IdentityError;

    /// `*` or `%any`, `*.host`, `*@host`, a distinguished name with `*` for values, or an identity.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" || text == "%any" {
            return Ok(Self::Any);
        }
        let host = |host| {
            let malformed = || IdentityError::Malformed(text.to_owned());
            Identity::host_name(host).filter(|_| text.len() <= Identity::MAX_LENGTH).ok_or_else(malformed)
        };
        if let Some(under) = text.strip_prefix("*.") {
            return Ok(Self::Pattern(Pattern::Hosts(host(under)?)));
        }
        if let Some(of) = text.strip_prefix("*@") {
            return Ok(Self::Pattern(Pattern::Emails(host(of)?)));
        }
        Ok(match text.parse()? {
            Identity::Dn(name) if name.has_wildcard() => Self::Pattern(Pattern::Names(name)),
            identity => Self::Exact(identity),
        })
    }
}

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(identity) => identity.fmt(f),
            Self::Pattern(Pattern::Hosts(host)) => write!(f, "*.{host}"),
            Self::Pattern(Pattern::Emails(host)) => write!(f, "*@{host}"),
            Self::Pattern(Pattern::Names(name)) => name.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

impl fmt::Debug for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RemoteId::Pattern(self.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, identity: &str) -> bool {
        let pattern: RemoteId = pattern.parse().expect(pattern);
        pattern.matches(&identity.parse().expect(identity))
    }

    #[test]
    fn a_pattern_of_hosts_counts_whole_labels() {
        for good in ["a.clinic.example", "b.a.clinic.example", "A.Clinic.Example"] {
            assert!(fits("*.clinic.example", good), "{good}");
        }
        for other in ["clinic.example", "xclinic.example", "a.clinic.example.org", "x@a.clinic.example"] {
            assert!(!fits("*.clinic.example", other), "{other}");
        }
    }

    #[test]
    fn a_pattern_of_addresses_is_of_one_host() {
        assert!(fits("*@clinic.example", "nurse@clinic.example"));
        for other in ["nurse@a.clinic.example", "clinic.example", "nurse@xclinic.example"] {
            assert!(!fits("*@clinic.example", other), "{other}");
        }
    }

    #[test]
    fn a_pattern_of_names_wants_each_attribute_and_no_other() {
        let pattern = "C=JP, O=Clinic, CN=*";
        for good in ["C=JP, O=Clinic, CN=box-1", "c=jp, O=CLINIC, CN=*"] {
            assert!(fits(pattern, good), "{good}");
        }
        for other in [
            "C=JP, O=Clinic",
            "C=JP, O=Clinic, OU=box-1",
            "C=JP, O=Other, CN=box-1",
            "C=JP, O=Clinic, CN=a, CN=b",
            "O=Clinic, C=JP, CN=box-1",
            "C=JP, O=Clinic, CN=a+OU=b",
        ] {
            assert!(!fits(pattern, other), "{other}");
        }
    }

    #[test]
    fn each_kind_reads_back_as_it_prints_and_weighs_what_it_says() {
        let all = ["*", "*.example", "*.clinic.example", "a.clinic.example", "*@clinic.example"];
        for text in all.into_iter().chain(["C=JP, O=Clinic, CN=*", "10.0.0.1"]) {
            assert_eq!(text.parse::<RemoteId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let weights: Vec<_> = all[..4].iter().map(|t| t.parse::<RemoteId>().expect(t).weight()).collect();
        assert!(weights.is_sorted(), "{weights:?}");
        for wrong in ["a.*.example", "*a.example", "*.", "*@", "**", "*.a..b", "a@*"] {
            assert!(wrong.parse::<RemoteId>().is_err(), "{wrong}");
        }
    }
}
