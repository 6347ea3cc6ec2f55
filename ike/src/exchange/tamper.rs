//! In the simulator one end says what it likes: what it is about to seal, and what it sends, is changed as a script of bytes wills. So it is
//! a peer that has the right keys, knows how to go on, and keeps no rule.

use std::cell::RefCell;

use crate::limits;
use crate::wire::{Header, Notify, NotifyType, Payload, PayloadType, emit_chain, parse_chain};

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// What is still to be done to what is sent. Without bytes left, nothing is.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    at: usize,
    /// The end that says what it likes has its turn.
    active: bool,
}

impl Script {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    /// A number from 0 up to but not including `end`, 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        let number = usize::from(u16::from_be_bytes([self.next().unwrap_or(0), self.next().unwrap_or(0)]));
        number.checked_rem(end).unwrap_or(0)
    }
}

/// This is to be done from now on, by every world of this thread.
pub fn begin(script: &[u8]) {
    SCRIPT.with_borrow_mut(|have| *have = Script { bytes: script.to_vec(), at: 0, active: false });
}

/// Whether the end whose turn it is now says what it likes.
pub(crate) fn turn(hostile: bool) {
    SCRIPT.with_borrow_mut(|script| script.active = hostile);
}

/// A message that is about to be sealed.
pub(crate) fn chain(header: &Header, first: PayloadType, chain: Vec<u8>) -> (PayloadType, Vec<u8>) {
    SCRIPT.with_borrow_mut(|script| {
        if !script.active {
            return (first, chain);
        }
        // Most are left as they are, for the conversation to go on.
        match script.next() {
            Some(deed @ 160..) => changed(script, deed, header, first, chain),
            _ => (first, chain),
        }
    })
}

/// A datagram that is about to leave; whether it leaves at all.
pub(crate) fn datagram(bytes: &mut Vec<u8>) -> bool {
    SCRIPT.with_borrow_mut(|script| {
        if !script.active {
            return true;
        }
        match script.next() {
            Some(240..=247) => {
                let at = script.below(bytes.len());
                let value = script.next().unwrap_or(0);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= value);
            }
            Some(248..=251) => {
                let most = script.below(bytes.len());
                bytes.truncate(most);
            }
            Some(252..) => return false,
            _ => {}
        }
        true
    })
}

fn changed(
    script: &mut Script,
    deed: u8,
    header: &Header,
    first: PayloadType,
    bytes: Vec<u8>,
) -> (PayloadType, Vec<u8>) {
    // As a chain of payloads where that will do, else as bytes.
    let Ok(mut payloads) = parse_chain(first, &bytes) else { return (first, bytes) };
    let at = script.below(payloads.len());
    match deed {
        160..=169 => drop((at < payloads.len()).then(|| payloads.remove(at))),
        170..=179 => {
            let again = payloads.get(at).cloned();
            payloads.extend(again);
        }
        180..=189 => payloads.reverse(),
        190..=209 => payloads.insert(at, invented(script)),
        210..=214 => payloads = vec![invented(script)],
        215..=219 => payloads.clear(),
        220..=224 => {
            let long = Notify::new(NotifyType(40_960), vec![7; script.below(limits::MESSAGE)]);
            payloads.push(Payload::Notify(long));
        }
        _ => return changed_bytes(script, header, first, bytes),
    }
    let mut chain = Vec::new();
    let first = emit_chain(&payloads, &mut chain);
    (first, chain)
}

fn changed_bytes(
    script: &mut Script,
    header: &Header,
    first: PayloadType,
    mut bytes: Vec<u8>,
) -> (PayloadType, Vec<u8>) {
    for _ in 0..=script.below(4) {
        let at = script.below(bytes.len());
        match script.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, script.next().unwrap_or(0)),
            2 => drop((at < bytes.len()).then(|| bytes.remove(at))),
            3 => return (PayloadType(script.next().unwrap_or(0)), bytes),
            // A number that this IKE SA knows, where it does not belong.
            4 => {
                let spi = if header.from_initiator { header.spi_r } else { header.spi_i };
                bytes.iter_mut().skip(at).zip(spi.0).for_each(|(byte, of_spi)| *byte = of_spi);
            }
            _ => {
                let value = script.next().unwrap_or(0);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
        }
    }
    (first, bytes)
}

/// A payload out of the bytes of the script.
fn invented(script: &mut Script) -> Payload {
    let kind = PayloadType(script.next().unwrap_or(0));
    let length = script.below(80);
    let body: Vec<u8> = (0..length).map_while(|_| script.next()).collect();
    // Most of what matters between established peers is a notify or a DELETE.
    let notify = || {
        let kind =
            u16::from_be_bytes([body.first().copied().unwrap_or(64), body.get(1).copied().unwrap_or(0)]);
        Payload::Notify(Notify::new(NotifyType(kind), body.get(2..).unwrap_or_default().to_vec()))
    };
    let length = u16::try_from(body.len() + 4).unwrap_or(4).to_be_bytes();
    let raw = [&[0, 0, length[0], length[1]], body.as_slice()].concat();
    let read = parse_chain(kind, &raw).ok().and_then(|payloads| payloads.into_iter().next());
    read.unwrap_or_else(notify)
}
