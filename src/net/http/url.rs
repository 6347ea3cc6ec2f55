//! `http://host[:port]/path` (RFC 9110 §4.2.1), and nothing else that a URL may be.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

/// The longest URL that is followed, bytes.
const LENGTH: usize = 2048;
/// The port of http.
const PORT: u16 = 80;

/// Where something is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    authority: Authority,
    port: u16,
    path: PathAndQuery,
}

/// Why a URL is not followed: the end of a sentence that begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("is no URL")]
    Malformed,
    /// Another scheme: ldap, https, ftp.
    #[error("is no http URL, the only kind that is fetched")]
    Scheme,
    /// `user@host`.
    #[error("names a user, which is not allowed")]
    User,
}

impl Url {
    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As it stands in the `Host` field.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// As it stands in the request line.
    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// Where a `Location` field leads from here (RFC 9110 §10.2.2).
    ///
    /// # Errors
    /// Why that is not followed.
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlError> {
        let (authority, path) = (&self.authority, self.path.path());
        if let Some(rest) = location.strip_prefix("//") {
            return format!("http://{rest}").parse();
        }
        if location.starts_with('/') {
            return format!("http://{authority}{location}").parse();
        }
        let scheme = location.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+'))
        {
            return location.parse();
        }
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("http://{authority}{directory}/{location}").parse()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LENGTH {
            return Err(UrlError::Malformed);
        }
        let parts = text.parse::<Uri>().map_err(|_| UrlError::Malformed)?.into_parts();
        match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP => {}
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Malformed),
        }
        let authority = parts.authority.ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = (authority.host(), authority.as_str().strip_prefix(authority.host()));
        let port = match port.and_then(|rest| rest.strip_prefix(':')) {
            Some(digits) => {
                digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or(UrlError::Malformed)?
            }
            None => PORT,
        };
        if host.trim_matches(['[', ']']).is_empty() {
            return Err(UrlError::Malformed);
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { authority, port, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    #[test]
    fn a_plain_url_is_read() {
        let parts = |text: &str| {
            let url = url(text);
            (url.host().to_owned(), url.port(), url.path().to_string())
        };
        assert_eq!(parts("http://crl.example/root.crl"), ("crl.example".into(), 80, "/root.crl".into()));
        assert_eq!(parts("HTTP://crl.example:8080"), ("crl.example".into(), 8080, "/".into()));
        assert_eq!(parts("http://[2001:db8::1]:81/a?b=c"), ("2001:db8::1".into(), 81, "/a?b=c".into()));
        assert_eq!(url("http://192.0.2.1/x").to_string(), "http://192.0.2.1/x");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "crl.example/root.crl",
            "/root.crl",
            "http://",
            "http:///x",
            "http://:80/",
            "http://a:/",
            "http://a:0/",
            "http://a:65536/",
            "http://a b/",
            "http://a/\r\nX: y",
            "http://\u{3042}/",
        ] {
            assert_eq!(text.parse::<Url>(), Err(UrlError::Malformed), "{text:?}");
        }
        for text in ["https://a/", "ldap://a/cn=x", "ftp://a/", "file://a/etc/passwd"] {
            assert_eq!(text.parse::<Url>(), Err(UrlError::Scheme), "{text}");
        }
        assert_eq!("http://user@a/".parse::<Url>(), Err(UrlError::User));
        assert_eq!("http://user:word@a:80/".parse::<Url>(), Err(UrlError::User));
        let long = format!("http://a/{}", "x".repeat(LENGTH));
        assert_eq!(long.parse::<Url>(), Err(UrlError::Malformed));
    }

    #[test]
    fn a_location_is_followed_from_where_it_was_given() {
        let base = url("http://a:81/one/two?q");
        let to = |location: &str| base.join(location).map(|url| url.to_string());
        assert_eq!(to("http://b/x"), Ok("http://b/x".to_owned()));
        assert_eq!(to("//b/x"), Ok("http://b/x".to_owned()));
        assert_eq!(to("/x"), Ok("http://a:81/x".to_owned()));
        assert_eq!(to("x?y"), Ok("http://a:81/one/x?y".to_owned()));
        assert_eq!(to("https://b/x"), Err(UrlError::Scheme));
        assert_eq!(to("file:/etc/passwd"), Err(UrlError::Malformed));
        assert_eq!(to("http://user@b/"), Err(UrlError::User));
        assert_eq!(to("//user@b/"), Err(UrlError::User));
    }
}
