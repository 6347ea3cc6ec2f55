//! Looks at every frame that crosses an interface and counts what it is: clear text, ESP (RFC 4303) or IKE (RFC 3948 framing).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Sub;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::traffic::Marker;
use crate::net::packet::{Capture, Progress};

/// How long one look at the link waits for something to cross it.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest wait until everything that crossed the link is counted; what is not then counts as missed.
const DRAIN: Duration = Duration::from_secs(2);

const ETHERNET_HEADER: usize = 14;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ESP: u8 = 50;
const PORT_IKE: u16 = 500;
const PORT_NAT: u16 = 4500;

/// What was seen. A train of packets that the kernel carries in one piece counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sightings {
    /// All frames.
    pub frames: u64,
    /// Frames that show the marker, or an address of a protected network in their outer header.
    pub clear_text: u64,
    /// Of these, the frames that show the marker.
    pub marked: u64,
    /// ESP packets, in UDP or not.
    pub esp: u64,
    /// IKE messages.
    pub ike: u64,
    /// Frames that crossed and that the capture did not see in full.
    pub missed: u64,
}

impl Sub for Sightings {
    type Output = Self;

    /// What was seen after `earlier` was counted, by the same watch. What counted as missed then may have been seen since.
    fn sub(self, earlier: Self) -> Self {
        Self {
            frames: self.frames.saturating_sub(earlier.frames),
            clear_text: self.clear_text.saturating_sub(earlier.clear_text),
            marked: self.marked.saturating_sub(earlier.marked),
            esp: self.esp.saturating_sub(earlier.esp),
            ike: self.ike.saturating_sub(earlier.ike),
            missed: self.missed.saturating_sub(earlier.missed),
        }
    }
}

/// A watch that is going on, on a thread of its own; dropping it ends it.
pub struct Watch(Sender<Question>);

/// Asks for the counts once everything that crossed is counted, or at `deadline`.
struct Question {
    deadline: Instant,
    answer: Sender<io::Result<Sightings>>,
}

impl Watch {
    /// Sees every frame that crosses `interface` from now on.
    ///
    /// # Errors
    /// No such interface, or no right to open a packet socket.
    pub fn start(interface: &str, marker: Marker, protected: Vec<IpNet>) -> io::Result<Self> {
        let capture = Capture::open(interface)?;
        let judge = Judge { marker: Finder::new(marker.bytes()).into_owned(), protected };
        let (questions, inbox) = mpsc::channel();
        thread::spawn(move || look(capture, &judge, &inbox));
        Ok(Self(questions))
    }

    /// Counts everything that crossed since the start and before this call.
    ///
    /// # Errors
    /// The capture failed on the way, so that its counts mean nothing.
    pub fn so_far(&self) -> io::Result<Sightings> {
        let (answer, answers) = mpsc::channel();
        let question = Question { deadline: Instant::now() + DRAIN, answer };
        let ended = |_| io::Error::other("the capture ended");
        self.0.send(question).map_err(|_| io::Error::other("the capture ended"))?;
        answers.recv().map_err(ended)?
    }
}

fn look(mut capture: Capture, judge: &Judge, questions: &Receiver<Question>) {
    let mut sightings = Sightings::default();
    loop {
        let question = match questions.try_recv() {
            Ok(question) => Some(question),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => return,
        };
        let deadline = question.as_ref().map(|question| question.deadline);
        let read = read_up_to(deadline, &mut capture, |frame| judge.count(frame, &mut sightings));
        if let Some(question) = question {
            let _ = question.answer.send(read.map(|missed| Sightings { missed, ..sightings }));
        }
    }
}

/// Reads once, or with a deadline until everything that crossed is seen. The answer is what was not and will not be.
fn read_up_to(
    deadline: Option<Instant>,
    capture: &mut Capture,
    mut visit: impl FnMut(&[u8]),
) -> io::Result<u64> {
    loop {
        capture.read(PATIENCE, &mut visit)?;
        let Some(deadline) = deadline else { return Ok(0) };
        let Progress { pending, missed } = capture.progress()?;
        if pending == 0 {
            return Ok(missed);
        }
        if Instant::now() > deadline {
            return Ok(missed + pending);
        }
    }
}

struct Judge {
    marker: Finder<'static>,
    protected: Vec<IpNet>,
}

impl Judge {
    fn count(&self, frame: &[u8], sightings: &mut Sightings) {
        let marked = self.marker.find(frame).is_some();
        let outer = Outer::of(frame);
        let exposed = outer.as_ref().is_some_and(|outer| self.is_protected(outer));
        sightings.frames += 1;
        sightings.marked += u64::from(marked);
        sightings.clear_text += u64::from(marked || exposed);
        match outer.map(|outer| outer.kind) {
            Some(Kind::Esp) => sightings.esp += 1,
            Some(Kind::Ike) => sightings.ike += 1,
            Some(Kind::Other) | None => {}
        }
    }

    fn is_protected(&self, outer: &Outer) -> bool {
        self.protected
            .iter()
            .any(|network| network.contains(&outer.source) || network.contains(&outer.destination))
    }
}

/// What the outermost IP header says.
struct Outer {
    source: IpAddr,
    destination: IpAddr,
    kind: Kind,
}

enum Kind {
    Esp,
    Ike,
    Other,
}

impl Outer {
    /// Nothing if the frame holds no IP packet.
    fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_HEADER..)?;
        match packet.first()? >> 4 {
            4 if frame.get(12..ETHERNET_HEADER)? == [0x08, 0x00] => {
                let header = usize::from(packet.first()? & 0x0f) * 4;
                Some(Self {
                    source: Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?).into(),
                    destination: Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?).into(),
                    kind: Kind::of(*packet.get(9)?, packet.get(header..)?),
                })
            }
            6 if frame.get(12..ETHERNET_HEADER)? == [0x86, 0xdd] => Some(Self {
                source: Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?).into(),
                destination: Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?).into(),
                kind: Kind::of(*packet.get(6)?, packet.get(40..)?),
            }),
            _ => None,
        }
    }
}

impl Kind {
    fn of(protocol: u8, payload: &[u8]) -> Self {
        if protocol == PROTOCOL_ESP {
            return Self::Esp;
        }
        let port = |offset: usize| payload.get(offset..)?.first_chunk().copied().map(u16::from_be_bytes);
        let on = |number| port(0) == Some(number) || port(2) == Some(number);
        if protocol != PROTOCOL_UDP {
            return Self::Other;
        }
        // RFC 3948 §2.2: four zero bytes where ESP has its SPI mark an IKE message.
        match payload.get(8..).and_then(|data| data.first_chunk::<4>()) {
            Some([0, 0, 0, 0]) if on(PORT_NAT) => Self::Ike,
            Some(_) if on(PORT_NAT) => Self::Esp,
            Some(_) if on(PORT_IKE) => Self::Ike,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: [u8; 16] = *b"marked text here";

    fn judge(frame: &[u8]) -> Sightings {
        let protected =
            vec!["10.0.0.0/8".parse().unwrap_or_default(), "fd00::/8".parse().unwrap_or_default()];
        let mut sightings = Sightings::default();
        Judge { marker: Finder::new(&MARKER).into_owned(), protected }.count(frame, &mut sightings);
        sightings
    }

    fn ipv4(protocol: u8, source: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let ethernet = [[0; 12].as_slice(), &[0x08, 0x00]].concat();
        let header =
            [&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0], source.as_slice(), &[203, 0, 113, 1]].concat();
        [ethernet, header, payload.to_vec()].concat()
    }

    fn udp(port: u16, data: &[u8]) -> Vec<u8> {
        [port.to_be_bytes().as_slice(), &port.to_be_bytes(), &[0; 4], data].concat()
    }

    const OUTER: [u8; 4] = [203, 0, 113, 17];

    #[test]
    fn esp_and_ike_are_told_apart_by_the_marker_of_rfc_3948() {
        let esp = judge(&ipv4(PROTOCOL_UDP, OUTER, &udp(4500, &[0, 0, 1, 2, 0, 0, 0, 1])));
        assert_eq!((esp.esp, esp.ike, esp.clear_text), (1, 0, 0));
        let ike = judge(&ipv4(PROTOCOL_UDP, OUTER, &udp(4500, &[0, 0, 0, 0, 9, 9])));
        assert_eq!((ike.esp, ike.ike, ike.clear_text), (0, 1, 0));
        let first = judge(&ipv4(PROTOCOL_UDP, OUTER, &udp(500, &[1, 2, 3, 4])));
        assert_eq!((first.esp, first.ike), (0, 1));
        let keepalive = judge(&ipv4(PROTOCOL_UDP, OUTER, &udp(4500, &[0xff])));
        assert_eq!((keepalive.frames, keepalive.esp, keepalive.ike), (1, 0, 0));
        let native = judge(&ipv4(PROTOCOL_ESP, OUTER, &[0, 0, 1, 2]));
        assert_eq!(native.esp, 1);
    }

    #[test]
    fn the_marker_and_a_protected_address_give_clear_text_away() {
        let marked = judge(&ipv4(PROTOCOL_UDP, OUTER, &udp(4500, &MARKER)));
        assert_eq!((marked.marked, marked.clear_text), (1, 1), "even where ESP is expected");
        let exposed = judge(&ipv4(6, [10, 17, 0, 10], &[]));
        assert_eq!((exposed.marked, exposed.clear_text), (0, 1));
        let mut ipv6 = [[0; 12].as_slice(), &[0x86, 0xdd, 0x60], &[0; 39]].concat();
        assert_eq!(judge(&ipv6).clear_text, 0);
        ipv6[ETHERNET_HEADER + 24] = 0xfd;
        assert_eq!(judge(&ipv6).clear_text, 1);
    }

    #[test]
    fn a_frame_cut_short_is_counted_and_harms_nothing() {
        let whole = ipv4(PROTOCOL_UDP, OUTER, &udp(4500, &[1, 2, 3, 4]));
        for length in 0..whole.len() {
            assert_eq!(judge(&whole[..length]).frames, 1);
        }
    }
}
