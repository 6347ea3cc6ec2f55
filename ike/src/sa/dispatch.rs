//! What comes in on an IKE SA of an established tunnel, and where it goes (RFC 7296 §1.3, §1.4, §2.1).

use std::time::Duration;

use super::context::{Context, DropReason};
use super::ike_sa::Exchange;
use super::offloaded::Answer;
use super::retransmission::Retransmission;
use super::tunnel::Tunnel;
use super::window::{Arrival, Outstanding, Request};
use crate::crypto::sha256;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::EndReason;
use crate::exchange::{
    CreateChildRequest, CreateChildResponse, Informational, KeyExchangeData, OpenError, Protected, Received,
};
use crate::limits;
use crate::path::Path;
use crate::time::Instant;
use crate::wire::{Body, Datagram, ExchangeType, IkeSpi, Malformed, Notify, NotifyType, Payload};
use crate::work::Agreement;

/// An answer to a request of ours.
#[derive(Debug)]
pub(super) enum Response {
    CreateChild(Protected<CreateChildResponse>),
    /// Whatever it says: it came.
    Informational,
}

/// What remains to be done once the answer to a request was sent.
#[derive(Debug)]
pub(super) enum Afterwards {
    Nothing,
    /// The peer deleted the IKE SA that the request came on.
    IkeSaDeleted,
    /// The peer broke the protocol: RFC 7296 §2.21.3.
    Broken(Diagnosis),
}

impl Tunnel {
    /// A message came in on the IKE SA with this local SPI.
    pub(crate) fn handle_datagram(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        path: Path,
        datagram: &Datagram<'_>,
    ) {
        if let Some(closed) = self.closed.get(&spi) {
            return match closed.window.arrival(datagram) {
                Arrival::Repeated(answer) if !datagram.header.response => ctx.output.transmit(path, &answer),
                _ => ctx.output.drop(DropReason::OutsideWindow),
            };
        }
        let Some(ike_sa) = self.ike_sas.get(&spi) else { return ctx.output.drop(DropReason::UnknownSpi) };
        if datagram.header.from_initiator == ike_sa.channel.initiator {
            return ctx.output.drop(DropReason::Reflected);
        }
        if datagram.header.response {
            self.handle_response(ctx, spi, path, datagram);
        } else {
            self.handle_request(ctx, spi, path, datagram);
        }
        self.start_tasks(ctx);
    }

    /// A message that the window awaits, once all of it is here.
    fn open(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        datagram: &Datagram<'_>,
    ) -> Option<Result<Received, Malformed>> {
        match self.ike_sas.get_mut(&spi)?.channel.open(datagram) {
            Ok(received) => Some(Ok(received)),
            Err(OpenError::Malformed(error)) => Some(Err(error)),
            Err(error) => {
                DropReason::of(&error).into_iter().for_each(|reason| ctx.output.drop(reason));
                None
            }
        }
    }

    fn handle_request(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, path: Path, datagram: &Datagram<'_>) {
        let header = datagram.header;
        let Some(ike_sa) = self.ike_sas.get(&spi) else { return };
        match ike_sa.window.arrival(datagram) {
            Arrival::New => {}
            Arrival::InProgress => return ctx.output.drop(DropReason::InProgress),
            Arrival::Repeated(answer) => return ctx.output.transmit(path, &answer),
            Arrival::CutAnew(answer) if ike_sa.channel.is_genuine(datagram) => {
                return ctx.output.transmit(path, &answer);
            }
            Arrival::CutAnew(_) => return ctx.output.drop(DropReason::Forged),
            Arrival::LaterFragment => return ctx.output.drop(DropReason::RepeatedFragment),
            Arrival::Outside => return ctx.output.drop(DropReason::OutsideWindow),
        }
        let Some(opened) = self.open(ctx, spi, datagram) else { return };
        // Counted once it is known to be the peer's: it is as if it had been lost.
        if !self.may_ask(ctx) {
            return ctx.output.drop(DropReason::TooManyRequests);
        }
        self.asked(ctx, spi, path);
        let digest = opened.as_ref().map_or_else(|_| sha256(&[datagram.bytes]), |received| received.digest);
        let request = Request::new(&header, digest);
        let answered = opened.and_then(|Received { payloads, .. }| match header.exchange {
            ExchangeType::CREATE_CHILD_SA => {
                let asked = payloads.try_map(CreateChildRequest::read)?;
                self.gone_on = true;
                self.create_child_asked(ctx, spi, path, request, asked);
                Ok(None)
            }
            ExchangeType::INFORMATIONAL => {
                let asked = payloads.try_map(Informational::read)?;
                // What came in fragments says nothing of packets of its size.
                if asked.get().probes_path && matches!(datagram.body, Body::Encrypted(_)) {
                    self.peer_probes_path(ctx, path, datagram.bytes.len());
                }
                Ok(Some(self.answer_informational(ctx, asked)))
            }
            // Over, or unknown; and INVALID_SYNTAX "is considered fatal in both peers" (§2.21.3).
            _ => Err(Malformed::Syntax("an exchange that has no place here")),
        });
        let answer = answered.unwrap_or_else(|error| Some(refusal_of(header.exchange, error)));
        if let Some((payloads, afterwards)) = answer {
            self.send_answer(ctx, spi, path, &request, &payloads);
            self.do_afterwards(ctx, spi, afterwards);
        }
    }

    fn do_afterwards(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, afterwards: Afterwards) {
        match afterwards {
            Afterwards::Nothing => self.gone_on = true,
            Afterwards::IkeSaDeleted => self.ike_sa_deleted_by_peer(ctx, spi),
            Afterwards::Broken(diagnosis) => {
                self.fail(diagnosis.clone());
                self.end(ctx, EndReason::Failed(Box::new(diagnosis)));
                self.close_ike_sa(ctx, spi);
                // The peer gives up this IKE SA without a word; others of the tunnel it would keep.
                self.delete_gracefully(ctx);
            }
        }
    }

    pub(super) fn send_answer(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        path: Path,
        request: &Request,
        payloads: &[Payload],
    ) {
        let most = path.room(self.fragment_size());
        let Some(ike_sa) = self.ike_sas.get_mut(&spi) else { return };
        // Sealing fails only once 2^64 messages were sealed: without an answer the peer gives this SA up.
        if let Ok(answer) = ike_sa.channel.seal(request.exchange, true, request.message_id, payloads, most) {
            ctx.output.transmit(path, &answer);
            ike_sa.window.answer(request, answer);
        }
    }

    /// What to say to a peer that asks for a new SA. Nothing has changed if the answer is that something is to be
    /// computed first.
    pub(super) fn answer_create_child(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        asked: &Protected<CreateChildRequest>,
        agreement: Option<Agreement>,
    ) -> Answer {
        if self.ended().is_some() {
            return Answer::TEMPORARY_FAILURE;
        }
        // Counted once, where it is judged first.
        if agreement.is_none() && !self.may_rekey(ctx) {
            return Answer::error(NotifyType::NO_ADDITIONAL_SAS);
        }
        match asked.get() {
            CreateChildRequest::Child(request) => self.answer_child(ctx, spi, request, agreement),
            CreateChildRequest::Ike(request) => self.answer_rekey_ike(ctx, spi, request, agreement),
        }
    }

    /// A peer that rekeys without end would have us do key exchanges without end; one that asks for an address again and
    /// again, records.
    pub(super) fn may_rekey(&mut self, ctx: &Context<'_>) -> bool {
        let period = (limits::REKEYS_PER_PERIOD, limits::REKEY_PERIOD);
        is_within(&mut self.peer_rekeys, ctx.now.boot, period)
    }

    /// A peer that asks without end, be it for nothing at all, would have us open and seal without end.
    fn may_ask(&mut self, ctx: &Context<'_>) -> bool {
        let period = (limits::REQUESTS_PER_PERIOD, limits::REQUEST_PERIOD);
        is_within(&mut self.peer_requests, ctx.now.boot, period)
    }

    fn handle_response(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, path: Path, datagram: &Datagram<'_>) {
        let Some(ike_sa) = self.ike_sas.get(&spi) else { return };
        if !ike_sa.window.awaits(datagram.header.message_id) {
            return ctx.output.drop(DropReason::OutsideWindow);
        }
        let Some(opened) = self.open(ctx, spi, datagram) else { return };
        if let Some(asked) = self.ike_sas.get(&spi).and_then(|sa| sa.window.outstanding()) {
            self.path_mtu.answered(ctx.now.boot, asked);
        }
        self.last_answer = ctx.now.boot;
        self.gone_on = true;
        self.heard(ctx, spi, path);
        match opened.and_then(|received| Response::read(datagram.header.exchange, received.payloads)) {
            Ok(response) => {
                if let Some(response) = self.hold(ctx, spi, response) {
                    self.conclude(ctx, spi, Ok(response));
                }
            }
            Err(error) => {
                let exchange = datagram.header.exchange;
                self.conclude(ctx, spi, Err(diagnose::malformed(exchange, &error.to_string())));
            }
        }
    }

    /// The answer to our outstanding request is here, and all that had to be computed.
    pub(super) fn conclude(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        response: Result<Response, Diagnosis>,
    ) {
        let Some(exchange) = self.ike_sas.get_mut(&spi).and_then(|sa| sa.window.take()) else { return };
        if matches!(exchange, Exchange::DeleteIke) {
            // Whatever the answer says: it came, and that is all that was awaited.
            return self.ike_sa_deleted_here(ctx, spi);
        }
        if self.ended().is_some() && !matches!(exchange, Exchange::RekeyIke { .. }) {
            return;
        }
        let result = response.and_then(|response| self.answered(ctx, spi, exchange, response));
        if let Err(diagnosis) = result {
            self.fail(diagnosis.clone());
            self.end(ctx, EndReason::Failed(Box::new(diagnosis)));
            self.delete_gracefully(ctx);
        }
    }

    /// The answer to one of our requests. `Err` if the peer broke the protocol: that ends the tunnel, though "a failed attempt to
    /// create a Child SA SHOULD NOT tear down the IKE SA" (RFC 7296 §1.3.1). The peer has a Child SA by then which we have not, and
    /// who answers what was not asked is not to be relied on; a refusal, which is the honest failure, ends nothing.
    fn answered(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        exchange: Exchange,
        response: Response,
    ) -> Result<(), Diagnosis> {
        let kind = exchange.kind();
        match (exchange, response) {
            (Exchange::Child { pending, collision, put_off }, Response::CreateChild(response)) => {
                self.child_answered(ctx, spi, *pending, collision, put_off, response)
            }
            (Exchange::RekeyIke { pending, collision, put_off }, Response::CreateChild(response)) => {
                self.rekey_ike_answered(ctx, spi, *pending, collision, put_off, response)
            }
            (Exchange::DeleteChildren(ids), Response::Informational) => {
                ids.into_iter().for_each(|id| self.child_deleted(ctx, id, &EndReason::DeletedHere));
                Ok(())
            }
            (Exchange::ProbePath(probe), Response::Informational) => {
                self.path_probed(ctx, &probe);
                Ok(())
            }
            (Exchange::Probe | Exchange::DeleteIke, Response::Informational) => Ok(()),
            _ => Err(diagnose::malformed(kind, "it is of another exchange than the request")),
        }
    }

    /// Bytes of the IP packets that carry a fragment: no more than the path is known to carry.
    fn fragment_size(&self) -> u16 {
        let size = self.connection().fragment_size;
        self.path_mtu.believed().map_or(size, |mtu| mtu.min(size))
    }

    /// Sends a request on an IKE SA whose window is free.
    pub(super) fn send_request(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        kind: ExchangeType,
        payloads: &[Payload],
        exchange: Exchange,
    ) {
        let retransmission = Retransmission::new(self.connection().retransmit, ctx);
        let most = self.path.room(self.fragment_size());
        let Some(ike_sa) = self.ike_sas.get_mut(&spi) else { return };
        let Some(message_id) = ike_sa.window.free() else { return };
        let Ok(message) = ike_sa.channel.seal(kind, false, message_id, payloads, most) else { return };
        ctx.output.transmit(self.path, &message);
        ike_sa.window.sent(Outstanding { message_id, message, retransmission, exchange, is_answered: false });
    }
}

/// Counts one more since the beginning of a period; whether it is one of the first `most` of it.
fn is_within((since, count): &mut (Instant, u32), now: Instant, (most, period): (u32, Duration)) -> bool {
    if now.since(*since) >= period {
        (*since, *count) = (now, 0);
    }
    *count = count.saturating_add(1);
    *count <= most
}

impl Response {
    fn read(exchange: ExchangeType, payloads: Protected<Vec<Payload>>) -> Result<Self, Malformed> {
        if exchange == ExchangeType::CREATE_CHILD_SA {
            payloads.try_map(CreateChildResponse::read).map(Self::CreateChild)
        } else {
            payloads.try_map(Informational::read).map(|_| Self::Informational)
        }
    }

    /// The peer's half of a key exchange, if there is one.
    pub(super) fn key_exchange(&self) -> Option<&KeyExchangeData> {
        match self {
            Self::CreateChild(response) => response.get().key_exchange(),
            Self::Informational => None,
        }
    }
}

/// The answer to a request that cannot be read.
fn refusal_of(exchange: ExchangeType, error: Malformed) -> (Vec<Payload>, Afterwards) {
    let afterwards = match error {
        // RFC 7296 §2.21.3: of these, only INVALID_SYNTAX "is considered fatal in both peers".
        Malformed::UnsupportedCritical(_) => Afterwards::Nothing,
        _ => Afterwards::Broken(diagnose::malformed(exchange, &error.to_string())),
    };
    (vec![Payload::Notify(Notify::refusing(error))], afterwards)
}
