//! `IKE_SA_INIT`: what the first message is answered with, before anybody has proved anything.

use super::{Acceptable, HalfOpen, HalfOpenStep, InitOutcome, Phase, Refusal, Sender};
use crate::config::Encapsulation;
use crate::crypto::sha256;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::NatStatus;
use crate::exchange::{InitRequest, InitResponse, KeyExchangeData};
use crate::identity::{PeerWishes, our_hashes};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::limits;
use crate::negotiate::proposal::{Choice, choose_ike};
use crate::negotiate::{fragmentation, nat};
use crate::path::Path;
use crate::sa::context::{Context, JobOwner};
use crate::sa::ike_sa::{Channel, OtherKeys};
use crate::suite::IkeSuite;
use crate::wire::{
    CertEncoding, Datagram, ExchangeType, Header, IkeSpi, Notify, NotifyType, Payload, PayloadType,
    emit_clear,
};
use crate::work::{Agreement, Work};

/// What was chosen of a first message whose key exchange is being computed.
pub(super) struct Agreeing {
    choice: Choice<IkeSuite>,
    nonce_i: Vec<u8>,
    nat: NatStatus,
    fragmentation: bool,
    encapsulation: Encapsulation,
    childless: bool,
    cert_requests: Vec<(CertEncoding, Vec<u8>)>,
    wishes: PeerWishes,
    header: Header,
}

/// What both ends know once the first message is answered.
pub(super) struct Answered {
    pub(super) channel: Channel,
    pub(super) keys: OtherKeys,
    pub(super) suite: IkeSuite,
    pub(super) nonce_i: Vec<u8>,
    pub(super) nonce_r: Vec<u8>,
    pub(super) init_response: Vec<u8>,
    pub(super) nat: NatStatus,
    pub(super) wishes: PeerWishes,
}

impl HalfOpen {
    /// Chooses from a first message, and has the key exchange computed. Why it is refused is found out only to `tell` of it.
    pub(crate) fn open(
        ctx: &mut Context<'_>,
        acceptable: &Acceptable,
        path: Path,
        datagram: &Datagram<'_>,
        request: InitRequest,
        tell: bool,
    ) -> InitOutcome {
        let refuse = |ctx: &mut Context<'_>, response: InitResponse, why: Option<&dyn Fn() -> Diagnosis>| {
            answer_init(ctx, path, datagram, IkeSpi::ZERO, response);
            InitOutcome::Refused(why.filter(|_| tell).map(|why| Box::new(why())))
        };
        let ours = &acceptable.proposals;
        let sent = request.key_exchange.group;
        let Some(choice) = choose_ike(&request.proposals, ours, Some(sent)) else {
            let why = || diagnose::no_ike_proposal_here(&request.proposals, ours, ExchangeType::IKE_SA_INIT);
            return refuse(ctx, InitResponse::Error(NotifyType::NO_PROPOSAL_CHOSEN), Some(&why));
        };
        if choice.suite.group.number() != sent {
            return refuse(ctx, InitResponse::InvalidKe(choice.suite.group.number()), None);
        }
        let encapsulation = acceptable.encapsulation;
        let spi_i = datagram.header.spi_i;
        let Some(nat) = nat::detect(&request.notifies, spi_i, IkeSpi::ZERO, path, encapsulation) else {
            let error = InitResponse::Error(NotifyType::INVALID_SYNTAX);
            return refuse(ctx, error, Some(&diagnose::no_nat_traversal));
        };
        match ctx.provider.key_exchange.draw(choice.suite.group, ctx.random) {
            Ok(private) => {
                let work = Work::respond(private, request.key_exchange.data);
                let agreeing = Agreeing {
                    choice,
                    nonce_i: request.nonce,
                    nat,
                    fragmentation: fragmentation::is_supported(&request.notifies),
                    encapsulation,
                    childless: acceptable.childless,
                    cert_requests: acceptable.cert_requests.clone(),
                    wishes: PeerWishes::new(&request.notifies, Vec::new()),
                    header: datagram.header,
                };
                InitOutcome::Opened(Self::begin(ctx, path, datagram, agreeing, work))
            }
            Err(error) => InitOutcome::Refused(Some(Box::new(diagnose::local(&error.to_string())))),
        }
    }

    fn begin(
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        agreeing: Agreeing,
        work: Work,
    ) -> Box<Self> {
        let lease = ctx.spis.ike(ctx.random);
        let job = ctx.work(JobOwner::HalfOpen(lease.spi()), work);
        Box::new(Self {
            lease,
            spi_i: datagram.header.spi_i,
            path,
            sender: Sender::Claimed,
            init_request: datagram.bytes.to_vec(),
            init_digest: sha256(&[datagram.bytes]),
            started: ctx.now.boot,
            repeats: 0,
            expires_at: ctx.now.boot + limits::HALF_OPEN_LIFETIME,
            phase: Phase::Agreeing(job, Box::new(agreeing)),
        })
    }

    /// The key exchange is computed: answers the first message.
    pub(super) fn agreed(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        agreeing: Agreeing,
        agreement: Agreement,
    ) -> HalfOpenStep {
        let header = agreeing.header;
        match self.answer(ctx, agreeing, agreement) {
            Ok(answered) => {
                ctx.output.transmit_datagram(self.path, answered.init_response.clone());
                self.phase = Phase::Answered(Box::new(answered));
                HalfOpenStep::Pending(self)
            }
            Err(diagnosis) => {
                let refusal = Refusal::nameless(Notify::new(NotifyType::INVALID_SYNTAX, []), diagnosis);
                let payloads = [Payload::Notify(refusal.notify.clone())];
                let bytes = emit_clear(init_header(&header, IkeSpi::ZERO), &payloads);
                ctx.output.transmit_datagram(self.path, bytes);
                HalfOpenStep::Refused { left: None, refusal }
            }
        }
    }

    fn answer(
        &self,
        ctx: &mut Context<'_>,
        agreeing: Agreeing,
        agreement: Agreement,
    ) -> Result<Answered, Diagnosis> {
        let Agreeing {
            choice,
            nonce_i,
            nat,
            fragmentation,
            encapsulation,
            childless,
            cert_requests,
            wishes,
            header,
        } = agreeing;
        let suite = choice.suite;
        let malformed =
            |error: &dyn ToString| diagnose::malformed(ExchangeType::IKE_SA_INIT, &error.to_string());
        let (data, shared) = agreement.result.map_err(|error| malformed(&error))?;
        let nonce_r = ctx.nonce();
        let spis = Spis { initiator: self.spi_i, responder: self.spi() };
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let keys = IkeKeys::derive(ctx.provider, suite, nonces, spis, &shared);
        let keys = keys.map_err(|error| diagnose::local(&error.to_string()))?;
        let (channel, keys) = Channel::new(keys, spis, false, fragmentation);
        let nat_here = nat::notifies(spis.initiator, spis.responder, self.path, encapsulation);
        let notifies = nat_here.into_iter().chain(fragmentation.then(fragmentation::notify));
        // RFC 6023 §3: the responder alone says so, "in the response to the IKE_SA_INIT".
        let childless = childless.then(|| Notify::new(NotifyType::CHILDLESS_IKEV2_SUPPORTED, []));
        let response = InitResponse::Accept {
            proposals: vec![choice.answer(&[])],
            key_exchange: KeyExchangeData { group: suite.group.number(), data },
            nonce: nonce_r.clone(),
            notifies: notifies.chain([our_hashes()]).chain(childless).collect(),
            cert_requests,
        };
        let init_response = emit_clear(init_header(&header, spis.responder), &response.write());
        Ok(Answered { channel, keys, suite, nonce_i, nonce_r, init_response, nat, wishes })
    }
}

fn init_header(request: &Header, spi_r: IkeSpi) -> Header {
    Header {
        spi_r,
        next_payload: PayloadType::NONE,
        from_initiator: false,
        response: true,
        length: 0,
        ..*request
    }
}

/// An answer to `IKE_SA_INIT` that leaves nothing behind.
pub(crate) fn answer_init(
    ctx: &mut Context<'_>,
    path: Path,
    request: &Datagram<'_>,
    spi_r: IkeSpi,
    response: InitResponse,
) {
    ctx.output.transmit_datagram(path, emit_clear(init_header(&request.header, spi_r), &response.write()));
}
