//! Slow work of the endpoint, done off its loop.

use sekisho_ike::Path;
use sekisho_ike::event::{Completion, Job, JobId, JobKind};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::net::netlink::Netlink;
use crate::net::resolver;

/// Names resolved at a time; the others wait their turn.
const AT_A_TIME: usize = 8;

/// Work under way; dropping it ends all of it.
pub(super) struct Jobs {
    netlink: Netlink,
    ike_port: u16,
    running: JoinSet<(JobId, Completion)>,
    turns: Arc<Semaphore>,
}

impl Jobs {
    pub(super) fn new(netlink: Netlink, ike_port: u16) -> Self {
        Self { netlink, ike_port, running: JoinSet::new(), turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    pub(super) fn start(&mut self, job: Job) {
        let (netlink, port, turns) = (self.netlink.clone(), self.ike_port, self.turns.clone());
        let JobKind::Resolve { connection, host } = job.kind;
        self.running.spawn(async move {
            let _turn = turns.acquire().await;
            let pairs = resolver::resolve(&netlink, &host, port).await;
            tracing::debug!(%connection, host, ?pairs, "resolved");
            let paths = pairs
                .map(|pairs| pairs.into_iter().map(|(local, remote)| Path::udp(local, remote)).collect());
            (job.id, Completion::Resolved(paths))
        });
    }

    /// The next that is done; never, while nothing runs.
    pub(super) async fn next(&mut self) -> (JobId, Completion) {
        loop {
            match self.running.join_next().await {
                Some(Ok(done)) => return done,
                Some(Err(error)) => tracing::error!(%error, "a job failed without an answer"),
                None => std::future::pending().await,
            }
        }
    }
}
