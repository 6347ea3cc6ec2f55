//! The extensions of a certificate that count (RFC 5280 §4.2).

use std::net::IpAddr;

use der::Decode;
use der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName as AltNames,
};

use super::constraints::{NameConstraint, Subtree};
use super::{CertificateError, DistinguishedName, oid};
use crate::limits;

/// A name that a certificate gives its subject beside the distinguished one (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// `dNSName`, as it stands there.
    Dns(String),
    /// `rfc822Name`, as it stands there.
    Email(String),
    /// `iPAddress`.
    Ip(IpAddr),
    /// `directoryName`.
    Directory(DistinguishedName),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// Of a kind that no identity of IKE can have.
    Other,
}

#[derive(Default)]
pub(super) struct Extensions {
    /// Whether it is a CA's; and how many CAs may follow below it.
    pub(super) ca: bool,
    pub(super) path_length: Option<u8>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) purposes: Option<Vec<ObjectIdentifier>>,
    pub(super) subject_alt_names: Vec<SubjectAltName>,
    pub(super) name_constraints: Option<NameConstraint>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    /// Of the OCSP responders.
    pub(super) ocsp_urls: Vec<String>,
    /// Of the complete lists by the certificate's own issuer.
    pub(super) crl_urls: Vec<String>,
    /// "A certificate-using system MUST reject the certificate if it encounters a critical extension it does not
    /// recognize": remembered until someone is to be trusted by it.
    pub(super) unknown_critical: Option<String>,
}

impl Extensions {
    pub(super) fn read(extensions: &[Extension]) -> Result<Self, CertificateError> {
        if extensions.len() > limits::EXTENSIONS {
            return Err(CertificateError::TooMany("extensions"));
        }
        let mut read = Self::default();
        for (at, extension) in extensions.iter().enumerate() {
            // "A certificate MUST NOT include more than one instance of a particular extension."
            if !oid::is_minimal(extension.extn_id) {
                return Err(CertificateError::Malformed("the identifier of an extension"));
            }
            if extensions.iter().take(at).any(|earlier| earlier.extn_id == extension.extn_id) {
                return Err(CertificateError::Malformed("an extension stands there twice"));
            }
            read.add(extension)?;
        }
        Ok(read)
    }

    fn add(&mut self, extension: &Extension) -> Result<(), CertificateError> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            oid::BASIC_CONSTRAINTS => {
                let constraints: BasicConstraints = decode(value, "basic constraints")?;
                self.ca = constraints.ca;
                self.path_length = constraints.path_len_constraint;
            }
            oid::KEY_USAGE => self.key_usage = Some(decode(value, "key usage")?),
            oid::EXTENDED_KEY_USAGE => {
                self.purposes = Some(decode::<ExtendedKeyUsage>(value, "extended key usage")?.0);
            }
            oid::SUBJECT_ALT_NAME => {
                let names: AltNames = decode(value, "subject alternative names")?;
                self.subject_alt_names = alt_names(&names.0)?;
            }
            oid::NAME_CONSTRAINTS => {
                let constraints: NameConstraints = decode(value, "name constraints")?;
                self.name_constraints = Some(NameConstraint {
                    permitted: subtrees(constraints.permitted_subtrees)?,
                    excluded: subtrees(constraints.excluded_subtrees)?,
                });
            }
            oid::SUBJECT_KEY_IDENTIFIER => {
                let id: OctetString = decode(value, "subject key identifier")?;
                self.subject_key_id = Some(id.into_bytes().into());
            }
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let id: AuthorityKeyIdentifier = decode(value, "authority key identifier")?;
                self.authority_key_id = id.key_identifier.map(|id| id.into_bytes().into());
            }
            oid::AUTHORITY_INFO_ACCESS => {
                self.ocsp_urls = ocsp_urls(&decode(value, "authority information access")?);
            }
            oid::CRL_DISTRIBUTION_POINTS => {
                self.crl_urls = crl_urls(&decode(value, "CRL distribution points")?);
            }
            // No policy is asked for (RFC 5280 §6.1.1 c-g: any-policy, not explicit), so these change nothing.
            oid::CERTIFICATE_POLICIES | oid::INHIBIT_ANY_POLICY | oid::ISSUER_ALT_NAME => {}
            other if extension.critical => self.unknown_critical = Some(oid::name(other)),
            _ => {}
        }
        Ok(())
    }
}

fn decode<'a, T: Decode<'a>>(value: &'a [u8], what: &'static str) -> Result<T, CertificateError> {
    T::from_der(value).map_err(|_| CertificateError::Malformed(what))
}

fn alt_names(names: &[GeneralName]) -> Result<Vec<SubjectAltName>, CertificateError> {
    if names.len() > limits::CERTIFICATE_NAMES {
        return Err(CertificateError::TooMany("names"));
    }
    names.iter().map(alt_name).collect()
}

fn alt_name(name: &GeneralName) -> Result<SubjectAltName, CertificateError> {
    Ok(match name {
        GeneralName::DnsName(name) => SubjectAltName::Dns(name.to_string()),
        GeneralName::Rfc822Name(name) => SubjectAltName::Email(name.to_string()),
        GeneralName::UniformResourceIdentifier(uri) => SubjectAltName::Uri(uri.to_string()),
        GeneralName::DirectoryName(name) => SubjectAltName::Directory(directory(name)?),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            SubjectAltName::Ip(address.map_err(|_| CertificateError::Malformed("an IP address"))?)
        }
        GeneralName::OtherName(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => {
            SubjectAltName::Other
        }
    })
}

fn directory(name: &x509_cert::name::Name) -> Result<DistinguishedName, CertificateError> {
    DistinguishedName::from_name(name).map_err(|_| CertificateError::Malformed("a directory name"))
}

fn subtrees(subtrees: Option<Vec<GeneralSubtree>>) -> Result<Vec<Subtree>, CertificateError> {
    let subtrees = subtrees.unwrap_or_default();
    if subtrees.len() > limits::CERTIFICATE_NAMES {
        return Err(CertificateError::TooMany("name constraints"));
    }
    subtrees.iter().map(subtree).collect()
}

fn subtree(subtree: &GeneralSubtree) -> Result<Subtree, CertificateError> {
    // "the minimum MUST be zero, and maximum MUST be absent".
    if subtree.minimum != 0 || subtree.maximum.is_some() {
        return Err(CertificateError::Malformed("name constraints with a distance"));
    }
    Ok(match &subtree.base {
        GeneralName::DnsName(name) => Subtree::Dns(name.to_string()),
        GeneralName::Rfc822Name(name) => Subtree::Email(name.to_string()),
        GeneralName::DirectoryName(name) => Subtree::Directory(directory(name)?),
        GeneralName::IpAddress(range) => {
            Subtree::ip(range.as_bytes()).ok_or(CertificateError::Malformed("an IP address range"))?
        }
        GeneralName::UniformResourceIdentifier(_) => Subtree::Uri,
        GeneralName::OtherName(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => {
            Subtree::Other
        }
    })
}

fn ocsp_urls(access: &AuthorityInfoAccessSyntax) -> Vec<String> {
    let responders = access.0.iter().filter(|description| description.access_method == oid::OCSP);
    responders
        .filter_map(|description| url(&description.access_location))
        .take(limits::REVOCATION_URLS)
        .collect()
}

/// Points with some reasons only, or with a list by another issuer, are left out: their lists are not used.
fn crl_urls(points: &CrlDistributionPoints) -> Vec<String> {
    let points = points.0.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
    let names = points.filter_map(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => Some(names),
        _ => None,
    });
    names.flatten().filter_map(url).take(limits::REVOCATION_URLS).collect()
}

fn url(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    }
}
