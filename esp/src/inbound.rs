//! The SA that we receive on (RFC 4303 §3.4).
//!
//! A packet passes, in this order: length and SPI; the SA's end; the 64-bit sequence number inferred; replay pre-check;
//! authentication and decryption in place; replay commit; padding and next header; inner header and length; inner
//! selectors; ECN.

use std::ops::Range;
use std::sync::MutexGuard;

use crate::cipher::{Cipher, PacketId};
use crate::drop_reason::DropReason;
use crate::ecn;
use crate::format::{FIXED, Layout, NEXT_IPV4, NEXT_IPV6, NEXT_NONE, read_trailer};
use crate::fragments::Fragments;
use crate::inner::{InnerView, set_tos};
use crate::replay::ReplayWindow;
use crate::sa::{Changing, ConfigError, SaConfig, Usage};
use crate::selector::{Match, Selector, judge};

/// Packets of one SA whose fragments are followed at once.
const FRAGMENTED: usize = 64;

/// An SA that we receive on. Shared by `Arc`; its replay window sits behind one lock, taken once a train.
#[derive(Debug)]
pub struct InboundSa {
    spi: u32,
    esn: bool,
    layout: Layout,
    cipher: Cipher,
    local: Box<[Selector]>,
    remote: Box<[Selector]>,
    changing: Changing<State>,
}

#[derive(Debug)]
struct State {
    window: ReplayWindow,
    announced: bool,
    /// Where selectors name ports.
    fragments: Option<Box<Fragments>>,
}

impl InboundSa {
    /// An SA that has received nothing yet.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(config: SaConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let cipher = Cipher::new(config.suite, &config.keymat)?;
        let names_ports = config.local.iter().chain(&config.remote).any(Selector::names_ports);
        let state = State {
            window: ReplayWindow::new(config.replay_window),
            announced: false,
            fragments: names_ports.then(|| Box::new(Fragments::new(FRAGMENTED))),
        };
        Ok(Self {
            spi: config.spi,
            esn: config.esn,
            layout: config.suite.layout(),
            cipher,
            local: config.local.into(),
            remote: config.remote.into(),
            changing: Changing::new(state),
        })
    }

    /// Locks the SA for one train, whose time is `now_ns` on the caller's clock. Waits if another thread holds
    /// it, which the owner's never finds.
    pub fn opener(&self, now_ns: u64) -> Opener<'_> {
        // A panic elsewhere cannot leave the window half changed: it is changed by one call that does not panic.
        let state = self.changing.lock();
        let over = self.changing.is_over(now_ns);
        Opener { sa: self, state, now_ns, over, authenticated: false, packets: 0, bytes: 0 }
    }

    /// From `end_ns` on, on the clock of [`Self::opener`]'s caller, nothing is opened any more, whoever still knows the SA; 0: from
    /// now on. Waits for the train under way, so that [`Self::usage`] is final once this end has come.
    pub fn end_at(&self, end_ns: u64) {
        self.changing.end_at(end_ns);
    }

    /// Our SPI.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// What may be the destination.
    pub fn local(&self) -> &[Selector] {
        &self.local
    }

    /// What may be the source.
    pub fn remote(&self) -> &[Selector] {
        &self.remote
    }

    /// What it has accepted, without waiting; a train that is being opened is not yet in it.
    pub fn usage(&self) -> Usage {
        self.changing.usage.read()
    }
}

impl AsRef<Self> for InboundSa {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// An [`InboundSa`] locked for one train.
#[derive(Debug)]
pub struct Opener<'sa> {
    sa: &'sa InboundSa,
    state: MutexGuard<'sa, State>,
    now_ns: u64,
    over: bool,
    authenticated: bool,
    packets: u64,
    bytes: u64,
}

impl Opener<'_> {
    /// Opens one ESP packet in place and gives where in it the inner packet lies, without padding of any kind.
    /// `outer_tos` is the TOS or traffic class that it arrived with; only its ECN bits count.
    ///
    /// # Errors
    /// Any reason of the inbound way. The packet is then destroyed, and if it was not authentic the SA is as it
    /// was. [`DropReason::Dummy`] is no fault.
    pub fn open(&mut self, packet: &mut [u8], outer_tos: u8) -> Result<Range<usize>, DropReason> {
        let payload = self.authenticate(packet)?;
        let start = payload.start;
        let payload = packet.get_mut(payload).ok_or(DropReason::Padding)?;
        let length = self.accept(payload, outer_tos)?;
        self.packets += 1;
        self.bytes += length as u64;
        Ok(start..start + length)
    }

    /// Whether the SA's first authentic packet has arrived: true once in the life of the SA, so ask after each
    /// train.
    pub fn first_packet(&mut self) -> bool {
        let state = &mut *self.state;
        state.window.highest() > 0 && !std::mem::replace(&mut state.announced, true)
    }

    /// Everything that concerns the ESP packet as such; gives where the decrypted payload, trailer included, lies.
    fn authenticate(&mut self, packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        let parts = self.sa.layout.split(packet).ok_or(DropReason::Truncated)?;
        let header = parts.header.first_chunk::<FIXED>().ok_or(DropReason::Truncated)?;
        let &[s0, s1, s2, s3, n0, n1, n2, n3] = header;
        if u32::from_be_bytes([s0, s1, s2, s3]) != self.sa.spi {
            return Err(DropReason::UnknownSpi);
        }
        if self.over {
            return Err(DropReason::SaEnded);
        }
        let window = &mut self.state.window;
        let sequence = window.infer(u32::from_be_bytes([n0, n1, n2, n3]), self.sa.esn)?;
        window.check(sequence)?;
        let payload = parts.header.len()..parts.header.len() + parts.text.len();
        self.sa.cipher.open(PacketId { spi: self.sa.spi, sequence, esn: self.sa.esn }, parts)?;
        window.commit(sequence);
        self.authenticated = true;
        Ok(payload)
    }

    /// Everything that concerns what was inside; gives the length of the inner packet at the start of `payload`.
    fn accept(&mut self, payload: &mut [u8], outer_tos: u8) -> Result<usize, DropReason> {
        let (length, next_header) = read_trailer(payload)?;
        let payload = payload.get_mut(..length).ok_or(DropReason::Padding)?;
        let version = match next_header {
            NEXT_IPV4 => 4,
            NEXT_IPV6 => 6,
            NEXT_NONE => return Err(DropReason::Dummy),
            _ => return Err(DropReason::NextHeader),
        };
        if payload.first().is_some_and(|byte| byte >> 4 != version) {
            return Err(DropReason::NextHeader);
        }
        // What lies behind the inner packet is padding for traffic flow confidentiality (RFC 4303 §2.7).
        let inner = InnerView::parse(payload)?;
        let judged = match &mut self.state.fragments {
            Some(fragments) => fragments.judge(self.now_ns, payload, &inner)?,
            None => inner,
        };
        self.check_selectors(&judged)?;
        if inner.is_link_local() {
            return Err(DropReason::LinkLocal);
        }
        let tos = ecn::decapsulate(outer_tos, inner.tos())?;
        if tos != inner.tos() {
            set_tos(payload, tos);
        }
        Ok(inner.total_length())
    }

    /// "the packet MUST be checked ... against the inbound selectors identified by the SAD entry" (RFC 4301 §5.2):
    /// against those of this SA and of no other.
    fn check_selectors(&self, inner: &InnerView) -> Result<(), DropReason> {
        let from = judge(&self.sa.remote, inner.source(), inner.protocol(), inner.ports().source());
        let to = judge(&self.sa.local, inner.destination(), inner.protocol(), inner.ports().destination());
        match from.min(to) {
            Match::Yes => Ok(()),
            Match::PortsHidden => Err(DropReason::FragmentWithoutPorts),
            Match::No => Err(DropReason::InboundSelector),
        }
    }
}

impl Drop for Opener<'_> {
    fn drop(&mut self) {
        if self.authenticated {
            self.sa.changing.usage.seen(self.now_ns);
            self.sa.changing.usage.add(self.packets, self.bytes);
        }
    }
}
