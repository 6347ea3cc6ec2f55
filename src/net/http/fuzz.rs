//! The bodies of the fuzz targets `url` and `http_answer`; an ordinary test runs them over the corpus and mutations of it.

use tokio::io::{AsyncWriteExt, duplex};

use super::exchange::{Answer, exchange};
use super::{Ask, HttpError, Url};

/// Bytes of an answer that are taken.
const MOST: usize = 1_000;

/// Two lines: a URL as a certificate names it, and a `Location` that a server answers with.
///
/// # Panics
/// If a URL that is followed leads anywhere but to a host by http.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, location) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(url) = first.parse::<Url>() else { return };
    check(&url);
    if let Ok(next) = url.join(location) {
        check(&next);
    }
}

fn check(url: &Url) {
    assert!(!url.host().is_empty() && url.port() != 0, "{url:?}");
    assert!(!url.host().contains(['@', '/', ' ', '\r', '\n']), "{url:?}");
    assert!(
        !url.authority().contains(['@', '\r', '\n', ' ']) && !url.path().as_str().contains(['\r', '\n', ' '])
    );
}

/// What a server sends for an answer, in pieces whose length the first byte says.
///
/// # Panics
/// If more is taken than allowed, or the answer depends on the pieces.
pub fn http_answer(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let answer = answered(stream, usize::from(*piece).max(1));
    if let Ok(Answer::Content(content)) = &answer {
        assert!(content.len() <= MOST);
    }
    if let Ok(Answer::Moved(url)) = &answer {
        check(url);
    }
    let whole = answered(stream, stream.len().max(1));
    assert_eq!(answer.is_ok(), whole.is_ok(), "the pieces changed the answer: {answer:?}, {whole:?}");
}

fn answered(stream: &[u8], piece: usize) -> Result<Answer, HttpError> {
    let broken = |error: std::io::Error| HttpError::Broken(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(broken)?;
    let url = "http://crl.example/list".parse().map_err(|_| HttpError::Silent)?;
    runtime.block_on(async {
        let (ours, mut theirs) = duplex(1 << 16);
        let serve = async {
            for piece in stream.chunks(piece) {
                // Who has heard enough hangs up.
                if theirs.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            // A line that is cut says no more.
            let _ = theirs.shutdown().await;
            theirs
        };
        let (answer, _theirs) = tokio::join!(exchange(ours, &url, &Ask::Get, MOST), serve);
        answer
    })
}
