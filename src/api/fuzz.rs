//! The body of the fuzz target `control_frame`; an ordinary test runs it over the corpus and mutations of it.

use super::{Frames, MAX_REQUEST, Reply, Request, TooLong};

/// Reads any bytes as what a client sends: a first byte that says in how large pieces they arrive, then the stream.
///
/// # Panics
/// If lines depend on the pieces, or a request or reply reads back differently.
pub fn control_frame(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let pieces = lines(stream, usize::from(*piece).max(1));
    assert_eq!(pieces, lines(stream, stream.len().max(1)), "the pieces changed the lines");
    for line in pieces.unwrap_or_default() {
        if let Ok(request) = serde_json::from_slice::<Request>(&line) {
            let again = serde_json::to_vec(&request).map(|bytes| serde_json::from_slice(&bytes));
            assert!(matches!(again, Ok(Ok(again)) if request == again), "{request:?}");
        }
        if let Ok(reply) = serde_json::from_slice::<Reply>(&line) {
            let again = serde_json::to_vec(&reply).map(|bytes| serde_json::from_slice(&bytes));
            assert!(matches!(again, Ok(Ok(again)) if reply == again), "{reply:?}");
        }
    }
}

fn lines(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut frames = Frames::new(MAX_REQUEST);
    let mut lines = Vec::new();
    for chunk in stream.chunks(piece) {
        frames.push(chunk);
        while let Some(line) = frames.next_line()? {
            lines.push(line.to_vec());
        }
    }
    Ok(lines)
}
