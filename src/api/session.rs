//! One client of the control socket, from its first byte to its last.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::server::{Asked, Limits};
use super::{Fact, Frames, MAX_REPLY, MAX_REQUEST, Record, Reply, Request, Timestamp, Wanted};
use crate::net::peer::Peer;
use crate::telemetry::Telemetry;

pub(super) struct Session {
    peer: Peer,
    limits: Limits,
    control: mpsc::Sender<Asked>,
    telemetry: Telemetry,
}

/// The client is gone, or was too slow: nothing more can be done for it.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Session {
    pub(super) fn new(
        peer: Peer,
        limits: Limits,
        control: mpsc::Sender<Asked>,
        telemetry: Telemetry,
    ) -> Self {
        Self { peer, limits, control, telemetry }
    }

    /// Answers one request after the other until the client has no more.
    pub(super) async fn run(self, mut stream: UnixStream) {
        let mut frames = Frames::new(MAX_REQUEST);
        while let Ok(more) = self.serve(&mut stream, &mut frames).await {
            if !more {
                return;
            }
        }
        tracing::debug!("process {} left the control socket or was too slow", self.peer.pid);
    }

    /// One request; whether another may follow.
    async fn serve(&self, stream: &mut UnixStream, frames: &mut Frames) -> Result<bool, Gone> {
        let line = match timeout(self.limits.request, read_line(stream, frames)).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => return Ok(false),
            Ok(Err(ReadError::TooLong)) => {
                let why = format!("a request is longer than {MAX_REQUEST} bytes");
                self.answer(stream, &Reply::failed(why)).await?;
                return Ok(false);
            }
            Ok(Err(ReadError::Io)) => return Err(Gone),
            Err(_) => {
                let why = format!("no request came within {} s", self.limits.request.as_secs());
                self.answer(stream, &Reply::failed(why)).await?;
                return Ok(false);
            }
        };
        match serde_json::from_slice(&line) {
            Ok(Request::Events { follow, tunnel, limit }) => {
                self.events(stream, follow, &Wanted { tunnel, limit }).await.map(|()| false)
            }
            Ok(request) => {
                let reply = tokio::select! {
                    reply = self.ask(request) => reply,
                    () = left(stream) => return Err(Gone),
                };
                self.answer(stream, &reply).await.map(|()| true)
            }
            Err(error) => {
                let reply = Reply::failed(format!("the request is not understood: {error}"));
                self.answer(stream, &reply).await.map(|()| true)
            }
        }
    }

    /// Lets the control loop answer, and answers in its place if it does not.
    async fn ask(&self, request: Request) -> Reply {
        let wait = match &request {
            Request::Up { timeout_s, .. } | Request::Rekey { timeout_s, .. } => {
                if *timeout_s > Request::MAX_WAIT {
                    return Reply::failed(format!("a wait may last {} s at most", Request::MAX_WAIT));
                }
                Duration::from_secs(*timeout_s)
            }
            _ => Duration::ZERO,
        };
        if !matches!(request, Request::Status | Request::Sas) {
            let Peer { pid, uid, .. } = self.peer;
            tracing::info!("user {uid} (process {pid}) asks: {request}");
        }
        let answered = timeout(wait + self.limits.control, async {
            let (reply, answer) = oneshot::channel();
            self.control.send((request, reply)).await.ok()?;
            answer.await.ok()
        });
        match answered.await {
            Ok(Some(reply)) => reply,
            Ok(None) => Reply::failed("the daemon is stopping"),
            Err(_) => Reply::failed("the daemon is too busy to answer"),
        }
    }

    async fn answer(&self, stream: &mut UnixStream, reply: &Reply) -> Result<(), Gone> {
        let mut line = json(reply)?;
        if line.len() > MAX_REPLY {
            line = json(&Reply::failed(format!("the answer is longer than {MAX_REPLY} bytes")))?;
        }
        self.write(stream, line).await
    }

    async fn events(&self, stream: &mut UnixStream, follow: bool, wanted: &Wanted) -> Result<(), Gone> {
        let mut subscription = self.telemetry.subscribe();
        for line in wanted.last(std::mem::take(&mut subscription.recent)) {
            self.write(stream, line.as_bytes().to_vec()).await?;
        }
        if !follow {
            return Ok(());
        }
        loop {
            let line = tokio::select! {
                record = subscription.live.recv() => match record {
                    Ok(line) if !wanted.holds(&line) => continue,
                    Ok(line) => line.as_bytes().to_vec(),
                    Err(RecvError::Lagged(lost)) => {
                        json(&Record { time: Timestamp::now(), fact: Fact::EventsLost { lost } })?
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = hung_up(stream) => return Ok(()),
            };
            self.write(stream, line).await?;
        }
    }

    async fn write(&self, stream: &mut UnixStream, mut line: Vec<u8>) -> Result<(), Gone> {
        line.push(b'\n');
        timeout(self.limits.answer, stream.write_all(&line)).await.map_err(|_| Gone)?.map_err(Gone::from)
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Gone> {
    serde_json::to_vec(value).map_err(|_| Gone)
}

enum ReadError {
    TooLong,
    Io,
}

/// The next request; `None` if the client has no more.
async fn read_line(stream: &mut UnixStream, frames: &mut Frames) -> Result<Option<Vec<u8>>, ReadError> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(line) = frames.next_line().map_err(|_| ReadError::TooLong)? {
            return Ok(Some(line.to_vec()));
        }
        let length = stream.read(&mut chunk).await.map_err(|_| ReadError::Io)?;
        if length == 0 {
            return Ok(None);
        }
        frames.push(chunk.get(..length).unwrap_or_default());
    }
}

/// Until nobody is left to answer. A client that only ended its own direction still reads.
async fn left(stream: &UnixStream) {
    // Nothing urgent ever comes on such a socket, but the end of the client's direction is told so.
    let _ = stream.ready(Interest::PRIORITY).await;
    if stream.ready(Interest::WRITABLE).await.is_ok_and(|ready| !ready.is_write_closed()) {
        std::future::pending::<()>().await;
    }
}

/// Until the client has gone. One that only ended its own direction is taken for gone as well: a follower keeps it
/// open. What it still says is ignored.
async fn hung_up(stream: &UnixStream) {
    let mut ignored = [0; 256];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
