//! A small HTTP/1.1 client (RFC 9110, 9112) for what certificates point at: CRLs and OCSP over plain http, bounded in
//! time and size. No proxies, no cookies, no other schemes.

mod connect;
mod exchange;
pub mod fuzz;
#[cfg(test)]
mod tests;
mod url;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use exchange::Answer;

pub use connect::Connector;
pub use url::{Url, UrlError};

/// How long a request may take, from the look-up of the name to the last byte, all redirections together.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Redirections that are followed.
const REDIRECTIONS: usize = 3;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// GET.
    Get,
    /// POST.
    Post {
        /// What `body` is.
        content_type: &'static str,
        /// What the answer is to be.
        accept: &'static str,
        /// The question.
        body: Vec<u8>,
    },
}

/// Why there is no answer: the end of a sentence that begins with the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// See [`PATIENCE`].
    #[error("did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The name has no address.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Any status but "OK".
    #[error("answered with the HTTP status {0}")]
    Status(u16),
    /// More bytes than allowed.
    #[error("answered with more than {0} bytes")]
    TooLong(usize),
    /// Against HTTP.
    #[error("answered wrongly: {0}")]
    Broken(String),
    /// A redirection to where we do not go.
    #[error("leads to `{0}`, which {1}")]
    Astray(String, UrlError),
    /// See [`REDIRECTIONS`].
    #[error("leads from one place to another without end")]
    Circle,
}

impl HttpError {
    /// Whether the host does not answer anybody, rather than this question.
    pub fn is_of_the_host(&self) -> bool {
        matches!(self, Self::Silent | Self::Unreachable(_))
    }
}

/// Asks for `url` and gives the content of the answer, at most `most` bytes.
///
/// # Errors
/// Why there is none, in [`PATIENCE`] at the latest.
pub async fn fetch(connector: &Connector, url: &Url, ask: &Ask, most: usize) -> Result<Vec<u8>, HttpError> {
    follow(connector, url, ask, most).await
}

/// Makes connections; tests have servers of their own.
trait Connect {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Connects to the host of a URL. One to which a server sent us (`redirected`) is not on this machine.
    fn connect(
        &self,
        url: &Url,
        redirected: bool,
    ) -> impl Future<Output = Result<Self::Stream, HttpError>> + Send;
}

async fn follow<C: Connect>(connector: &C, url: &Url, ask: &Ask, most: usize) -> Result<Vec<u8>, HttpError> {
    let hops = async {
        let mut url = url.clone();
        for redirections in 0..=REDIRECTIONS {
            let stream = connector.connect(&url, redirections > 0).await?;
            match exchange::exchange(stream, &url, ask, most).await? {
                Answer::Content(content) => return Ok(content),
                Answer::Moved(next) => url = next,
            }
        }
        Err(HttpError::Circle)
    };
    timeout(PATIENCE, hops).await.unwrap_or(Err(HttpError::Silent))
}
