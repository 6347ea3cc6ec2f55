//! What a tunnel waits for while its arithmetic is done elsewhere.
//!
//! A request whose answer needs a key exchange is judged twice: first up to the arithmetic, with nothing changed, and
//! again with its result. So whatever has happened in between is met by the same rules as ever (RFC 7296 §2.25).

use super::context::{Context, JobOwner};
use super::dispatch::Response;
use super::ike_sa::{Exchange, IkeSa};
use super::share::Share;
use super::tunnel::Tunnel;
use super::window::Request;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::JobId;
use crate::exchange::{CreateChildRequest, CreateChildResponse, Protected};
use crate::limits;
use crate::path::Path;
use crate::suite::Group;
use crate::wire::{IkeSpi, NotifyType};
use crate::work::{Agreement, Outcome, Work};

/// What is to be done with a `CREATE_CHILD_SA` request.
pub(super) enum Answer {
    /// Send this.
    Now(CreateChildResponse),
    /// Do our half of a key exchange in this group, and ask again with its result.
    Compute(Group),
}

impl Answer {
    pub(super) const TEMPORARY_FAILURE: Self = Self::error(NotifyType::TEMPORARY_FAILURE);

    pub(super) const fn error(kind: NotifyType) -> Self {
        Self::Now(CreateChildResponse::Error(kind))
    }
}

/// A request of the peer whose answer is being computed.
#[derive(Debug)]
pub(crate) struct Answering {
    job: JobId,
    request: Request,
    path: Path,
    asked: Protected<CreateChildRequest>,
}

/// An answer of the peer that is being computed with.
#[derive(Debug)]
pub(crate) struct Held {
    job: JobId,
    response: Response,
}

impl Tunnel {
    /// What was wrong is noted, and the peer gets this for an answer.
    pub(super) fn refuse(&mut self, kind: NotifyType, diagnosis: Diagnosis) -> Answer {
        self.fail(diagnosis);
        Answer::error(kind)
    }

    /// Answers a peer's request for a new SA, now or once its key exchange is computed.
    pub(super) fn create_child_asked(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        path: Path,
        request: Request,
        asked: Protected<CreateChildRequest>,
    ) {
        let group = match self.answer_create_child(ctx, spi, &asked, None) {
            Answer::Now(response) => return self.send_answer(ctx, spi, path, &request, &response.write()),
            Answer::Compute(group) => group,
        };
        let theirs = asked.get().key_exchange().map(|ke| ke.data.clone());
        let private = ctx.provider.key_exchange.draw(group, ctx.random).ok().zip(theirs);
        let (Some((private, theirs)), Some(ike_sa)) = (private, self.ike_sas.get_mut(&spi)) else { return };
        let job = ctx.work(JobOwner::Tunnel(self.id), Work::respond(private, theirs));
        ike_sa.window.work_on();
        ike_sa.answering = Some(Answering { job, request, path, asked });
    }

    /// Keeps an answer of the peer until the shared secret is computed; or gives it back, if there is nothing to
    /// compute.
    pub(super) fn hold(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        response: Response,
    ) -> Option<Response> {
        let owner = JobOwner::Tunnel(self.id);
        let Some(ike_sa) = self.ike_sas.get_mut(&spi) else { return Some(response) };
        let Some(outstanding) = ike_sa.window.outstanding_mut() else { return Some(response) };
        let Some(work) = response
            .key_exchange()
            .and_then(|theirs| outstanding.exchange.share_mut().and_then(|share| share.work(theirs)))
        else {
            return Some(response);
        };
        outstanding.is_answered = true;
        ike_sa.held = Some(Held { job: ctx.work(owner, work), response });
        None
    }

    /// A job of this tunnel is done.
    pub(crate) fn completed(&mut self, ctx: &mut Context<'_>, job: JobId, outcome: Outcome) {
        match outcome {
            Outcome::Begun(half) => self.key_exchange_begun(ctx, job, half),
            Outcome::Responded(agreement) => self.answer_computed(ctx, job, agreement),
            Outcome::Completed(secret) => {
                let Some((spi, response)) = self.take_held(job) else { return };
                let ike_sa = self.ike_sas.get_mut(&spi);
                let outstanding = ike_sa.and_then(|sa| sa.window.outstanding_mut());
                if let Some(share) = outstanding.and_then(|o| o.exchange.share_mut()) {
                    share.agree(secret);
                }
                self.conclude(ctx, spi, Ok(response));
            }
            Outcome::Reviewed(reviewed) => self.reviewed(ctx, job, *reviewed),
            Outcome::Proved(_) | Outcome::Examined(_) | Outcome::Stapled(_) => {}
        }
        self.start_tasks(ctx);
    }

    /// A job of this tunnel was lost.
    pub(crate) fn job_lost(&mut self, ctx: &mut Context<'_>, job: JobId, why: &str) {
        self.review_lost(ctx, job, why);
        self.tasks.half_lost(job, ctx.now.boot + limits::TEMPORARY_FAILURE_WAIT);
        if let Some((spi, Answering { request, path, .. })) = self.take_answering(job) {
            let busy = CreateChildResponse::Error(NotifyType::TEMPORARY_FAILURE);
            self.send_answer(ctx, spi, path, &request, &busy.write());
        }
        // The peer has what the exchange made; without its keys we have not.
        if let Some((spi, _)) = self.take_held(job) {
            self.conclude(ctx, spi, Err(diagnose::local(why)));
        }
        self.start_tasks(ctx);
    }

    fn answer_computed(&mut self, ctx: &mut Context<'_>, job: JobId, agreement: Agreement) {
        let Some((spi, Answering { request, path, asked, .. })) = self.take_answering(job) else { return };
        let response = match self.answer_create_child(ctx, spi, &asked, Some(agreement)) {
            Answer::Now(response) => response,
            // What was agreed on before is not any more: the peer asks again.
            Answer::Compute(_) => CreateChildResponse::Error(NotifyType::TEMPORARY_FAILURE),
        };
        self.send_answer(ctx, spi, path, &request, &response.write());
    }

    fn take_answering(&mut self, job: JobId) -> Option<(IkeSpi, Answering)> {
        let ours = |sa: &&mut Box<IkeSa>| sa.answering.as_ref().is_some_and(|answering| answering.job == job);
        let ike_sa = self.ike_sas.values_mut().find(ours)?;
        Some((ike_sa.spi(), ike_sa.answering.take()?))
    }

    fn take_held(&mut self, job: JobId) -> Option<(IkeSpi, Response)> {
        let ours = |sa: &&mut Box<IkeSa>| sa.held.as_ref().is_some_and(|held| held.job == job);
        let ike_sa = self.ike_sas.values_mut().find(ours)?;
        Some((ike_sa.spi(), ike_sa.held.take()?.response))
    }
}

impl Exchange {
    /// Our half of its key exchange, if it has one.
    fn share_mut(&mut self) -> Option<&mut Share> {
        match self {
            Self::Child { pending, .. } => pending.share.as_mut(),
            Self::RekeyIke { pending, .. } => Some(&mut pending.share),
            Self::DeleteChildren(_) | Self::DeleteIke | Self::Probe | Self::ProbePath(_) => None,
        }
    }
}
