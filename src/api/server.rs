//! The daemon's end of the control socket. No client can hold it up: their number, their requests and their time are
//! bounded.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::access::Access;
use super::session::Session;
use super::{Reply, Request};
use crate::net::peer::Peer;
use crate::telemetry::Telemetry;

/// A request for the control loop, and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Reply>);

/// What a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at a time.
    pub clients: usize,
    /// From connecting, or from the last answer, until a whole request is there.
    pub request: Duration,
    /// For reading an answer.
    pub answer: Duration,
    /// What the control loop may take beyond the wait that a client asked for.
    pub control: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { clients: 32, request: ten, answer: ten, control: ten + ten }
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A daemon is there.
    #[error("{0} is in use: another sekishod answers there; stop it first, or set another `control_socket`")]
    InUse(PathBuf),
    /// Something else than a socket.
    #[error("{0} is there and no socket: remove it, or set another `control_socket`")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("the control socket {path} cannot be made: {error}; look at its directory and its permissions")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A bound socket. Dropping it removes the socket's file.
#[derive(Debug)]
pub struct Server {
    listener: unix::UnixListener,
    path: PathBuf,
    access: Access,
    limits: Limits,
}

impl Server {
    /// Binds the socket; what a dead daemon left is replaced. The mode is 0660 with the group, 0600 without it.
    ///
    /// # Errors
    /// [`BindError`]: it is in use, or cannot be made.
    pub fn bind(path: &Path, group: &str, limits: Limits) -> Result<Self, BindError> {
        vacant(path)?;
        let mut access = Access::of_group(group);
        // Made under another name and then moved: nobody finds it before its permissions are right, and what a dead
        // daemon left is replaced in one step.
        let hidden = path.with_extension(format!("new{}", std::process::id()));
        let refused = |error| BindError::Refused { path: path.to_owned(), error };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(refused)?;
        }
        // One of an earlier daemon of this process id; most often there is none.
        let _ = fs::remove_file(&hidden);
        let listener = unix::UnixListener::bind(&hidden).map_err(refused)?;
        let made = (|| {
            if let Some(group) = access.group()
                && let Err(error) = chown(&hidden, None, Some(group.as_raw()))
            {
                tracing::warn!(
                    "the control socket cannot be given to its group: {error}; only root may use it"
                );
                access = access.without_group();
            }
            let mode = if access.group().is_some() { 0o660 } else { 0o600 };
            fs::set_permissions(&hidden, Permissions::from_mode(mode))?;
            listener.set_nonblocking(true)?;
            fs::rename(&hidden, path)
        })();
        if let Err(error) = made {
            let _ = fs::remove_file(&hidden);
            return Err(refused(error));
        }
        Ok(Self { listener, path: path.to_owned(), access, limits })
    }

    /// Serves clients until it is dropped: requests go to `control`, records come from `telemetry`.
    ///
    /// # Errors
    /// The socket cannot be given to the runtime.
    pub async fn run(self, control: mpsc::Sender<Asked>, telemetry: Telemetry) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let mut clients = JoinSet::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: it gets better or not, but without a busy loop.
                    tracing::warn!("a client of the control socket was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            while clients.try_join_next().is_some() {}
            match self.admit(&stream, clients.len()) {
                Ok(peer) => {
                    let session = Session::new(peer, self.limits, control.clone(), telemetry.clone());
                    clients.spawn(session.run(stream));
                }
                Err(why) => refuse(&stream, why),
            }
        }
    }

    fn admit(&self, stream: &UnixStream, clients: usize) -> Result<Peer, &'static str> {
        let peer = Peer::of(stream).map_err(|_| "the daemon cannot tell who you are")?;
        if !self.access.allows(&peer) {
            tracing::warn!("user {} (process {}) may not use the control socket", peer.uid, peer.pid);
            return Err("you may not use the control socket: be root or a member of its group");
        }
        if clients >= self.limits.clients {
            tracing::warn!("process {} was turned away: the control socket has {clients} clients", peer.pid);
            return Err("the daemon has too many clients already: try again, or end an `events --follow`");
        }
        Ok(peer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether nobody answers at the path.
fn vacant(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::Refused { path: path.to_owned(), error }),
        Ok(about) if !about.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) => Err(BindError::Refused { path: path.to_owned(), error }),
    }
}

/// A word to a client that is not served; it fits into any socket's buffer, so nobody waits.
fn refuse(stream: &UnixStream, why: &str) {
    if let Ok(mut line) = serde_json::to_vec(&Reply::failed(why)) {
        line.push(b'\n');
        let _ = stream.try_write(&line);
    }
}
