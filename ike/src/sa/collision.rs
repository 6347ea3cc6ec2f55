//! Which of two SAs made at the same time stays (RFC 7296 §2.8.1, §2.8.2).

/// What the peer's exchange made while ours for the same SA was on its way.
#[derive(Debug)]
pub(crate) struct Collision<T> {
    /// The SA that the peer's exchange made.
    pub(crate) theirs: T,
    /// The lower of the two nonces of that exchange.
    pub(crate) lowest_nonce: Vec<u8>,
}

/// The lower of two nonces: "compared octet by octet"; a beginning of another is lower than that.
pub(crate) fn lowest_nonce(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.min(b).to_vec()
}

/// "The SA created with the lowest of the four nonces SHOULD be closed by the endpoint that created it": whether
/// that is ours.
pub(crate) fn ours_goes<T>(our_lowest: &[u8], collision: &Collision<T>) -> bool {
    our_lowest < collision.lowest_nonce.as_slice()
}
