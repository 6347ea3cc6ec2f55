//! Looks at every frame that crosses an interface and counts what it is: clear text, ESP (RFC 4303) or IKE (RFC 3948 framing).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::traffic::Marker;
use crate::net::packet::Capture;

/// Longer than the kernel holds back frames in a block that is not full.
const QUIET: Duration = Duration::from_millis(50);
/// The longest wait for a link to fall silent before it is counted as it is.
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

/// A watch that is going on, on a thread of its own; dropping it ends it.
pub struct Watch(Sender<Question>);

/// Asks for the counts once the link is quiet, or at `deadline`.
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
    let mut pending: Option<Question> = None;
    loop {
        if pending.is_none() {
            match questions.try_recv() {
                Ok(question) => pending = Some(question),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let read = capture.read(QUIET, |frame| judge.count(frame, &mut sightings));
        let Some(question) = pending.take_if(|question| {
            read.as_ref().is_ok_and(|frames| *frames == 0)
                || read.is_err()
                || Instant::now() > question.deadline
        }) else {
            continue;
        };
        let answer = read.and_then(|_| capture.missed()).map(|missed| Sightings { missed, ..sightings });
        let _ = question.answer.send(answer);
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
