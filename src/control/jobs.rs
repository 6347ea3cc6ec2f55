//! Slow work of the endpoint, done off its loop.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sekisho_ike::event::{Completion, Job, JobId, JobKind};
use sekisho_ike::{Done, Path};
use tokio::sync::Semaphore;
use tokio::task::{self, JoinSet};

use super::fetch::Fetcher;
use super::workers::Workers;
use crate::net::netlink::Netlink;
use crate::net::resolver;

/// Names resolved at a time; the others wait their turn.
const AT_A_TIME: usize = 8;

/// Work under way; dropping it ends all of it.
pub(super) struct Jobs {
    netlink: Netlink,
    ike_port: u16,
    /// What waits for others.
    running: JoinSet<Completion>,
    ids: HashMap<task::Id, JobId>,
    turns: Arc<Semaphore>,
    fetcher: Fetcher,
    /// What computes.
    workers: Workers<JobId, Done>,
}

impl Jobs {
    /// # Errors
    /// If no thread can be made for what computes.
    pub(super) fn new(netlink: Netlink, ike_port: u16, fetcher: Fetcher) -> io::Result<Self> {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let workers = Workers::start()?;
        let (running, ids) = (JoinSet::new(), HashMap::new());
        Ok(Self { netlink, ike_port, running, ids, turns, fetcher, workers })
    }

    /// What was fetched until now may be out of date.
    pub(super) fn ask_anew(&self) {
        self.fetcher.ask_anew();
    }

    pub(super) fn start(&mut self, job: Job) {
        match job.kind {
            JobKind::Resolve { connection, host } => self.resolve(job.id, connection.to_string(), host),
            JobKind::Fetch(fetch) => {
                let fetcher = self.fetcher.clone();
                self.spawn(job.id, async move {
                    let answer = fetcher.fetch(fetch, job.class).await;
                    tracing::debug!(?answer, "fetched");
                    Completion::Fetched(Box::new(answer))
                });
            }
            JobKind::Compute(work) => {
                self.workers.submit(job.class, job.id, Box::new(|| work.run()));
            }
        }
    }

    fn resolve(&mut self, id: JobId, connection: String, host: String) {
        let (netlink, port, turns) = (self.netlink.clone(), self.ike_port, self.turns.clone());
        self.spawn(id, async move {
            let _turn = turns.acquire().await;
            let pairs = resolver::resolve(&netlink, &host, port).await;
            tracing::debug!(connection, host, ?pairs, "resolved");
            let paths = pairs
                .map(|pairs| pairs.into_iter().map(|(local, remote)| Path::udp(local, remote)).collect());
            Completion::Resolved(paths)
        });
    }

    fn spawn(&mut self, id: JobId, job: impl Future<Output = Completion> + Send + 'static) {
        let task = self.running.spawn(job);
        self.ids.insert(task.id(), id);
    }

    /// The next that is done; never, while nothing runs.
    pub(super) async fn next(&mut self) -> (JobId, Completion) {
        loop {
            let (task, completion) = tokio::select! {
                (id, done) = self.workers.next() => {
                    return (id, match done {
                        Ok(done) => Completion::Computed(done),
                        Err(undone) => Completion::Failed(undone.to_string()),
                    });
                }
                Some(done) = self.running.join_next_with_id() => match done {
                    Ok(done) => done,
                    Err(error) => {
                        tracing::error!(%error, "a job failed by a defect of the program");
                        (error.id(), Completion::Failed("the job failed by a defect of the program".to_owned()))
                    }
                },
            };
            if let Some(id) = self.ids.remove(&task) {
                return (id, completion);
            }
        }
    }
}
