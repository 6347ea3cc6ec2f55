//! Which certificates a revocation list is about (RFC 5280 §5.2).

use der::Decode;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::{Certificate, CrlError, oid};
use crate::limits;

#[derive(Default)]
pub(super) struct Scope {
    end_entities_only: bool,
    authorities_only: bool,
    /// The places where it is published; only certificates that name one of them are in it.
    urls: Option<Vec<String>>,
}

impl Scope {
    pub(super) fn read(extensions: &[Extension]) -> Result<Self, CrlError> {
        if extensions.len() > limits::EXTENSIONS {
            return Err(CrlError::Malformed("it has too many extensions"));
        }
        let mut scope = Self::default();
        for extension in extensions {
            match extension.extn_id {
                oid::ISSUING_DISTRIBUTION_POINT => scope = Self::from_point(extension.extn_value.as_bytes())?,
                oid::DELTA_CRL_INDICATOR => {
                    return Err(CrlError::Unsupported("holds only what changed (a delta CRL)".into()));
                }
                other if extension.critical => {
                    return Err(CrlError::Unsupported(format!(
                        "has the critical extension {}",
                        oid::name(other)
                    )));
                }
                _ => {}
            }
        }
        Ok(scope)
    }

    fn from_point(value: &[u8]) -> Result<Self, CrlError> {
        let point = IssuingDistributionPoint::from_der(value);
        let point = point.map_err(|_| CrlError::Malformed("its issuing distribution point"))?;
        let unsupported = |what: &str| Err(CrlError::Unsupported(what.into()));
        if point.indirect_crl {
            return unsupported("holds certificates of other issuers (an indirect one)");
        }
        if point.only_contains_attribute_certs {
            return unsupported("is about attribute certificates");
        }
        if point.only_some_reasons.is_some() {
            return unsupported("is about some reasons only");
        }
        let urls = match point.distribution_point {
            None => None,
            Some(DistributionPointName::FullName(names)) => Some(names.iter().filter_map(url).collect()),
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
                return unsupported("is published in a directory");
            }
        };
        Ok(Self {
            end_entities_only: point.only_contains_user_certs,
            authorities_only: point.only_contains_ca_certs,
            urls,
        })
    }

    /// RFC 5280 §6.3.3 (b) (2): whether the list holds certificates of this kind, and is one that the certificate names.
    pub(super) fn covers(&self, certificate: &Certificate) -> bool {
        let kind = if certificate.is_ca() { !self.end_entities_only } else { !self.authorities_only };
        let point = self
            .urls
            .as_ref()
            .is_none_or(|urls| certificate.extensions().crl_urls.iter().any(|url| urls.contains(url)));
        kind && point
    }
}

fn url(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    }
}
