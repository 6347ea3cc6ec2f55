//! What an attempt finds out about the line while `IKE_AUTH` is not answered: whether the port for NAT traversal lets
//! anything pass, and whether only long messages are lost (RFC 7296 §2.23, RFC 7383).
//!
//! `IKE_SA_INIT` passed on port 500. When `IKE_AUTH` stays without an answer on port 4500, our first message is sent there
//! again beside it: it is short, and every responder answers it, since a negotiation may begin on that port. Whatever comes
//! back decides nothing but what a diagnosis says.

use super::{Attempt, Phase};
use crate::diagnose::Silence;
use crate::path::Transport;
use crate::sa::context::Context;
use crate::wire::{Body, Datagram, ExchangeType};

/// From this retransmission on the short message is sent too: what is only slow is not asked twice.
const PATIENCE: u32 = 2;
/// How often it is sent.
const MOST: u32 = 3;

/// What is known of the line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Our `IKE_SA_INIT`, once it was answered.
    pub(super) init: Vec<u8>,
    /// How often it was sent to the other port.
    asked: u32,
    /// It was answered there.
    answers_short: bool,
    /// Why our last message did not leave, if it did not.
    pub(super) unsent: Option<String>,
    /// What somebody on the way said of it.
    told: Option<String>,
}

impl Attempt {
    /// `IKE_AUTH` is about to be sent again.
    pub(super) fn sound(&mut self, ctx: &mut Context<'_>) {
        let floated = self.path.transport == Transport::UdpEncap && self.path != self.first_path;
        let waits = matches!(self.phase, Phase::Auth(_)) && self.retransmission.attempt() > PATIENCE;
        if floated && waits && !self.line.answers_short && self.line.asked < MOST {
            self.line.asked += 1;
            ctx.output.transmit_datagram(self.path, self.line.init.clone());
        }
    }

    /// Whether this is an answer to the short message.
    pub(super) fn is_echo(&mut self, transport: Transport, datagram: &Datagram<'_>) -> bool {
        let is_init =
            datagram.header.exchange == ExchangeType::IKE_SA_INIT && datagram.header.message_id == 0;
        let asked = self.line.asked > 0 && transport == self.path.transport;
        if !asked || !is_init || !matches!(datagram.body, Body::Clear(_)) {
            return false;
        }
        self.line.answers_short = true;
        true
    }

    /// Our messages do not leave.
    pub(crate) fn not_sent(&mut self, why: &str) {
        self.line.unsent = Some(why.to_owned());
    }

    /// Somebody says that our messages do not arrive. A node "MUST NOT conclude that the other endpoint has failed based on any
    /// routing information (e.g., ICMP messages)" (RFC 7296 §2.4): it decides nothing but what a diagnosis says.
    pub(crate) fn told(&mut self, what: &str) {
        self.line.told = Some(what.to_owned());
    }

    /// The request of this phase was given up after this long.
    pub(super) fn silence(&self, exchange: ExchangeType, seconds: u64) -> Silence {
        let lengths = || self.message.datagrams().map(|datagram| self.path.packet(datagram.len()));
        let (fragmentation, pieces) = match &self.phase {
            Phase::Auth(auth) => (Some(auth.channel.fragmentation), auth.channel.held_of_answer()),
            _ => (None, 0),
        };
        let floated = self.path != self.first_path;
        Silence {
            path: self.path,
            exchange,
            seconds,
            datagrams: lengths().count(),
            longest: lengths().max().unwrap_or(0),
            fragmentation,
            // Without a change of ports the answer to IKE_SA_INIT has shown it.
            answers_short: fragmentation.is_some() && (!floated || self.line.answers_short),
            answered_elsewhere: fragmentation.is_some() && floated,
            pieces,
            unsent: self.line.unsent.clone(),
            told: self.line.told.clone(),
        }
    }
}
