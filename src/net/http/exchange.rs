//! One request and its response over a connection that stands (RFC 9112).

use std::io::{self, ErrorKind};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ask, HttpError, Url};

/// Bytes of a status line and header fields; also the size of the reading buffer.
const HEAD: usize = 16 << 10;
/// Header fields.
const FIELDS: usize = 64;
const NAME: &str = concat!("sekisho/", env!("CARGO_PKG_VERSION"));

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The thing itself.
    Content(Vec<u8>),
    /// It is elsewhere.
    Moved(Url),
}

/// Asks, and reads an answer of at most `most` bytes. It has no limit of time: the caller drops it.
pub(super) async fn exchange<S>(stream: S, url: &Url, ask: &Ask, most: usize) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(url, ask)?;
    let mut settings = http1::Builder::new();
    settings.max_buf_size(HEAD).max_headers(FIELDS);
    let (mut sender, connection) = settings.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        read(url, ask, response, most).await
    };
    tokio::pin!(connection, answer);
    // The connection is served as long as the answer needs it. What breaks it reaches the answer too, and better told.
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        _ = &mut connection => {}
    }
    answer.await
}

fn request(url: &Url, ask: &Ask) -> Result<Request<Full<Bytes>>, HttpError> {
    let request = Request::builder()
        .uri(url.path().as_str())
        .header(HOST, url.authority())
        .header(USER_AGENT, NAME)
        // RFC 9111 §5.2.1.4: "the client prefers a stored response not be used [...] without successful validation".
        .header(CACHE_CONTROL, "no-cache")
        .header(CONNECTION, "close");
    let request = match ask {
        Ask::Get => request.method(Method::GET).header(ACCEPT, "*/*").body(Full::default()),
        Ask::Post { content_type, accept, body } => request
            .method(Method::POST)
            .header(CONTENT_TYPE, *content_type)
            .header(ACCEPT, *accept)
            .body(Full::from(body.clone())),
    };
    request.map_err(|error| HttpError::Broken(error.to_string()))
}

async fn read(url: &Url, ask: &Ask, response: Response<Incoming>, most: usize) -> Result<Answer, HttpError> {
    let status = response.status();
    let moved = match status.as_u16() {
        301 | 302 | 307 | 308 => true,
        // "See other" asks for a GET, which holds no question.
        303 => matches!(ask, Ask::Get),
        _ => false,
    };
    if moved {
        let location = response.headers().get(LOCATION).and_then(|field| field.to_str().ok());
        let location = location.ok_or(HttpError::Status(status.as_u16()))?;
        return url.join(location).map(Answer::Moved).map_err(|error| {
            let shown: String = location.chars().filter(|c| !c.is_control()).take(200).collect();
            HttpError::Astray(shown, error)
        });
    }
    if status.as_u16() != 200 {
        return Err(HttpError::Status(status.as_u16()));
    }
    collect(response.into_body(), most).await.map(Answer::Content)
}

async fn collect(mut body: Incoming, most: usize) -> Result<Vec<u8>, HttpError> {
    // What a server announces is not believed, but heeded if it is too much.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(HttpError::TooLong(most));
    }
    let mut content = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if data.len() > most.saturating_sub(content.len()) {
            return Err(HttpError::TooLong(most));
        }
        content.extend_from_slice(&data);
    }
    Ok(content)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: hyper::Error) -> HttpError {
    // The library's own words are about the message, its cause about the line.
    let cause = std::error::Error::source(&error);
    let line = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    HttpError::Broken(match (cause, line.map(io::Error::kind)) {
        (_, Some(ErrorKind::UnexpectedEof)) => "the connection ended too early".to_owned(),
        (Some(cause), _) => cause.to_string(),
        (None, _) if error.is_incomplete_message() => "the connection ended too early".to_owned(),
        (None, _) => error.to_string(),
    })
}
