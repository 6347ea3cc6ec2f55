//! Message ids, the window of one request each way, and the answers kept for repeated requests
//! (RFC 7296 §2.1 to §2.3).

use super::retransmission::Retransmission;
use crate::crypto::sha256;

/// Both directions of one IKE SA. `E` is what our outstanding request is about.
#[derive(Debug)]
pub(crate) struct Window<E> {
    next_send: u32,
    outstanding: Option<Outstanding<E>>,
    next_receive: u32,
    answered: Option<Answered>,
}

/// Our request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Outstanding<E> {
    pub(crate) message_id: u32,
    pub(crate) message: Vec<u8>,
    pub(crate) retransmission: Retransmission,
    pub(crate) exchange: E,
}

#[derive(Debug)]
struct Answered {
    request: [u8; 32],
    response: Vec<u8>,
}

/// What a request's message id says about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one: open it and answer.
    New,
    /// The last one again, bit for bit: send this answer again.
    Repeated(Vec<u8>),
    /// Any other.
    Outside,
}

impl<E> Window<E> {
    /// The window of an IKE SA whose sides have sent and received this many requests.
    pub(crate) fn new(next_send: u32, next_receive: u32) -> Self {
        Self { next_send, outstanding: None, next_receive, answered: None }
    }

    pub(crate) fn arrival(&self, message_id: u32, request: &[u8]) -> Arrival {
        // The last id is never taken: without a next one, it could be repeated as new for ever.
        if message_id == self.next_receive && message_id != u32::MAX {
            return Arrival::New;
        }
        match &self.answered {
            Some(answered)
                if Some(self.next_receive) == message_id.checked_add(1)
                    && answered.request == sha256(&[request]) =>
            {
                Arrival::Repeated(answered.response.clone())
            }
            _ => Arrival::Outside,
        }
    }

    /// Notes that the request just opened was answered, for when it is repeated.
    pub(crate) fn answer(&mut self, request: &[u8], response: Vec<u8>) {
        self.next_receive = self.next_receive.saturating_add(1);
        self.answered = Some(Answered { request: sha256(&[request]), response });
    }

    /// The id of the next request, if one may be sent: none is outstanding, and the ids are not used up ("once the
    /// message ID reaches the maximum, the IKE SA MUST be closed or rekeyed").
    pub(crate) fn free(&self) -> Option<u32> {
        (self.outstanding.is_none() && self.next_send < u32::MAX).then_some(self.next_send)
    }

    pub(crate) fn sent(&mut self, outstanding: Outstanding<E>) {
        self.next_send = outstanding.message_id.saturating_add(1);
        self.outstanding = Some(outstanding);
    }

    pub(crate) fn outstanding(&self) -> Option<&Outstanding<E>> {
        self.outstanding.as_ref()
    }

    pub(crate) fn outstanding_mut(&mut self) -> Option<&mut Outstanding<E>> {
        self.outstanding.as_mut()
    }

    /// Whether an answer with this message id is awaited.
    pub(crate) fn awaits(&self, message_id: u32) -> bool {
        self.outstanding.as_ref().is_some_and(|o| o.message_id == message_id)
    }

    /// The outstanding exchange: its answer came, or it is forgotten.
    pub(crate) fn take(&mut self) -> Option<E> {
        self.outstanding.take().map(|o| o.exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once_and_its_repetition_from_the_cache() {
        let mut window = Window::<()>::new(0, 1);
        assert_eq!(window.arrival(0, b"old"), Arrival::Outside);
        assert_eq!(window.arrival(1, b"one"), Arrival::New);
        window.answer(b"one", b"answer".to_vec());
        assert_eq!(window.arrival(1, b"one"), Arrival::Repeated(b"answer".to_vec()));
        assert_eq!(window.arrival(1, b"other"), Arrival::Outside, "same id, other bytes");
        assert_eq!(window.arrival(3, b"three"), Arrival::Outside);
        assert_eq!(window.arrival(2, b"two"), Arrival::New);
    }

    #[test]
    fn message_ids_never_wrap() {
        let mut window = Window::<()>::new(u32::MAX, u32::MAX);
        assert_eq!(window.free(), None);
        assert_eq!(window.arrival(u32::MAX, b"last"), Arrival::Outside);
        window.answer(b"last", vec![]);
        assert_eq!(window.arrival(u32::MAX, b"last"), Arrival::Outside, "not new again and again");
        assert_eq!(window.arrival(0, b"wrapped"), Arrival::Outside);
    }
}
