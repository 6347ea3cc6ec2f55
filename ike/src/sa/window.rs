//! Message ids, the window of one request each way, and the answers kept for repeated requests
//! (RFC 7296 §2.1 to §2.3).

use super::retransmission::Retransmission;
use crate::crypto::sha256;
use crate::exchange::Message;
use crate::wire::{Body, Datagram, ExchangeType, Header};

/// Both directions of one IKE SA. `E` is what our outstanding request is about.
#[derive(Debug)]
pub(crate) struct Window<E> {
    next_send: u32,
    outstanding: Option<Outstanding<E>>,
    next_receive: u32,
    /// The answer to the next request is being worked out.
    answering: bool,
    answered: Option<Answered>,
}

/// Our request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Outstanding<E> {
    pub(crate) message_id: u32,
    pub(crate) message: Message,
    pub(crate) retransmission: Retransmission,
    pub(crate) exchange: E,
    /// Its answer came and is being worked on.
    pub(crate) is_answered: bool,
}

/// What an answer must know of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) exchange: ExchangeType,
    pub(crate) message_id: u32,
    /// Of its datagram or first fragment, by which it is known when it comes again.
    digest: [u8; 32],
}

impl Request {
    pub(crate) fn new(header: &Header, digest: [u8; 32]) -> Self {
        Self { exchange: header.exchange, message_id: header.message_id, digest }
    }
}

#[derive(Debug)]
struct Answered {
    request: [u8; 32],
    response: Message,
}

/// What a request's message id says about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one: open it and answer.
    New,
    /// It came before, and its answer is not ready.
    InProgress,
    /// The last one again, bit for bit: send this answer again.
    Repeated(Message),
    /// A first fragment with the number of the last one, but other bytes: send this answer again, if it is the peer's. It
    /// may cut its request smaller when it sends it again (RFC 7383 §2.5.2).
    CutAnew(Message),
    /// A later fragment of the last one. Only the first has the answer sent again, so that a repetition has it sent once
    /// (RFC 7383 §2.6.1).
    LaterFragment,
    /// Any other.
    Outside,
}

impl<E> Window<E> {
    /// The window of an IKE SA whose sides have sent and received this many requests.
    pub(crate) fn new(next_send: u32, next_receive: u32) -> Self {
        Self { next_send, outstanding: None, next_receive, answering: false, answered: None }
    }

    pub(crate) fn arrival(&self, datagram: &Datagram<'_>) -> Arrival {
        let message_id = datagram.header.message_id;
        // The last id is never taken: without a next one, it could be repeated as new for ever.
        if message_id == self.next_receive && message_id != u32::MAX {
            return if self.answering { Arrival::InProgress } else { Arrival::New };
        }
        let is_last = Some(self.next_receive) == message_id.checked_add(1);
        let Some(answered) = self.answered.as_ref().filter(|_| is_last) else { return Arrival::Outside };
        let same = || answered.request == sha256(&[datagram.bytes]);
        match &datagram.body {
            Body::Fragment(fragment) if fragment.place.number != 1 => Arrival::LaterFragment,
            _ if same() => Arrival::Repeated(answered.response.clone()),
            // A shorter one in the place of one that may have been swallowed for its length: see `path_mtu`.
            Body::Encrypted(_) if datagram.header.exchange == ExchangeType::INFORMATIONAL => {
                Arrival::CutAnew(answered.response.clone())
            }
            Body::Fragment(_) => Arrival::CutAnew(answered.response.clone()),
            _ => Arrival::Outside,
        }
    }

    /// Notes that the answer to the request just opened is being worked out.
    pub(crate) fn work_on(&mut self) {
        self.answering = true;
    }

    /// Notes that the request just opened, or worked on, was answered, for when it is repeated.
    pub(crate) fn answer(&mut self, request: &Request, response: Message) {
        self.answering = false;
        self.next_receive = self.next_receive.saturating_add(1);
        self.answered = Some(Answered { request: request.digest, response });
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
        self.outstanding.as_ref().is_some_and(|o| o.message_id == message_id && !o.is_answered)
    }

    /// The outstanding exchange: its answer came, or it is forgotten.
    pub(crate) fn take(&mut self) -> Option<E> {
        self.outstanding.take().map(|o| o.exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Encrypted, Fragment, FragmentPlace, IkeSpi, PayloadType};

    const ENCRYPTED: Encrypted<'static> =
        Encrypted { first: PayloadType::NONE, associated: &[], sealed: &[], unsupported: None };

    fn datagram<'a>(message_id: u32, bytes: &'a [u8], body: Body<'static>) -> Datagram<'a> {
        let header = Header {
            spi_i: IkeSpi([1; 8]),
            spi_r: IkeSpi([2; 8]),
            next_payload: PayloadType::SK,
            exchange: ExchangeType::INFORMATIONAL,
            from_initiator: true,
            response: false,
            message_id,
            length: 0,
        };
        Datagram { header, bytes, body }
    }

    fn arrival(window: &Window<()>, message_id: u32, bytes: &[u8]) -> Arrival {
        window.arrival(&datagram(message_id, bytes, Body::Encrypted(ENCRYPTED)))
    }

    fn fragment(window: &Window<()>, message_id: u32, bytes: &[u8], number: u16) -> Arrival {
        let place = FragmentPlace { number, total: 3 };
        window.arrival(&datagram(message_id, bytes, Body::Fragment(Fragment { place, sealed: ENCRYPTED })))
    }

    fn request(bytes: &[u8]) -> Request {
        Request { exchange: ExchangeType::INFORMATIONAL, message_id: 1, digest: sha256(&[bytes]) }
    }

    #[test]
    fn a_request_is_answered_once_and_its_repetition_from_the_cache() {
        let mut window = Window::<()>::new(0, 1);
        let answer = Message::whole(b"answer".to_vec());
        assert_eq!(arrival(&window, 0, b"old"), Arrival::Outside);
        assert_eq!(arrival(&window, 1, b"one"), Arrival::New);
        window.work_on();
        assert_eq!(arrival(&window, 1, b"one"), Arrival::InProgress);
        window.answer(&request(b"one"), answer.clone());
        assert_eq!(arrival(&window, 1, b"one"), Arrival::Repeated(answer));
        let answer = Message::whole(b"answer".to_vec());
        assert_eq!(arrival(&window, 1, b"other"), Arrival::CutAnew(answer), "same id, other bytes");
        assert_eq!(arrival(&window, 3, b"three"), Arrival::Outside);
        assert_eq!(arrival(&window, 2, b"two"), Arrival::New);
    }

    /// RFC 7383 §2.6.1: the answer is sent again for the first fragment and for no other.
    #[test]
    fn a_repetition_in_fragments_is_answered_once() {
        let mut window = Window::<()>::new(0, 1);
        let answer = Message::whole(b"answer".to_vec());
        assert_eq!(fragment(&window, 1, b"one of three", 1), Arrival::New);
        assert_eq!(fragment(&window, 1, b"two of three", 2), Arrival::New);
        window.work_on();
        assert_eq!(fragment(&window, 1, b"two of three", 2), Arrival::InProgress);
        window.answer(&request(b"one of three"), answer.clone());
        assert_eq!(fragment(&window, 1, b"one of three", 1), Arrival::Repeated(answer.clone()));
        assert_eq!(fragment(&window, 1, b"two of three", 2), Arrival::LaterFragment);
        assert_eq!(fragment(&window, 1, b"cut otherwise", 1), Arrival::CutAnew(answer));
        assert_eq!(fragment(&window, 0, b"one of three", 1), Arrival::Outside);
        assert_eq!(fragment(&window, 2, b"another", 2), Arrival::New);
    }

    #[test]
    fn message_ids_never_wrap() {
        let mut window = Window::<()>::new(u32::MAX, u32::MAX);
        assert_eq!(window.free(), None);
        assert_eq!(arrival(&window, u32::MAX, b"last"), Arrival::Outside);
        window.answer(&request(b"last"), Message::whole(vec![]));
        assert_eq!(arrival(&window, u32::MAX, b"last"), Arrival::Outside, "not new again and again");
        assert_eq!(arrival(&window, 0, b"wrapped"), Arrival::Outside);
    }
}
