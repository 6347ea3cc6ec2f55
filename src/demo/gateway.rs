//! The daemon of a gateway, from outside: its files, its control socket, and what it says of its tunnel.

use std::fmt::Display;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Error;
use super::lab::{Side, Site};
use super::node::Order;
use crate::api::{Client, Request, State, Status, Tunnel, What};

/// Seconds that a negotiation may take.
const NEGOTIATION: u64 = 15;
/// How long a daemon may take until it answers at its control socket.
const START: Duration = Duration::from_secs(5);
/// How long the responder may lag behind the initiator.
const AGREEMENT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// The files of one gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The gateway's name.
    pub name: &'static str,
    directory: PathBuf,
    tunnel: &'static str,
}

/// Writes the configurations of both gateways, with a fresh pre-shared key, below `scratch`: first the facility's, which initiates.
///
/// # Errors
/// A file cannot be written.
pub fn configure(scratch: &Path, facility: &Side, centre: &Side) -> io::Result<(Gateway, Gateway)> {
    let mut secret = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *secret).map_err(|_| io::Error::other("no random numbers"))?;
    let psk = Zeroizing::new(format!("0s{}\n", BASE64.encode(&*secret)));

    let at_facility = Gateway::new(scratch, facility.name, "centre");
    let remote = format!("remote = \"{}\"", centre.outer);
    at_facility.write(&psk, "clinic-17.example", "hub.example", &remote, facility, centre)?;

    let at_centre = Gateway::new(scratch, centre.name, "clinic-17");
    let remote = "# No `remote`: the facility calls, from whatever address it has.";
    at_centre.write(&psk, "hub.example", "clinic-17.example", remote, centre, facility)?;
    Ok((at_facility, at_centre))
}

impl Gateway {
    fn new(scratch: &Path, name: &'static str, tunnel: &'static str) -> Self {
        Self { name, directory: scratch.join(name), tunnel }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("sekisho.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// What the daemon logs.
    pub fn log(&self) -> PathBuf {
        self.directory.join("daemon.log")
    }

    fn write(
        &self,
        psk: &str,
        local_id: &str,
        remote_id: &str,
        remote: &str,
        here: &Side,
        there: &Side,
    ) -> io::Result<()> {
        let Self { directory, tunnel, .. } = self;
        DirBuilder::new().mode(0o700).create(directory)?;
        DirBuilder::new().mode(0o700).create(directory.join("state"))?;
        write_private(&directory.join("tunnel.psk"), psk)?;
        let text = format!(
            r#"[daemon]
control_socket = "{socket}"
state_dir = "{state}"
sa_log = "{sa_log}"

[tunnel.{tunnel}]
local_id = "{local_id}"
remote_id = "{remote_id}"
{remote}
psk_file = "tunnel.psk"
local_networks = ["{local}"]
remote_networks = ["{far}"]
"#,
            socket = self.socket().display(),
            state = directory.join("state").display(),
            sa_log = directory.join("sa.jsonl").display(),
            local = here.network(),
            far = there.network(),
        );
        write_private(&self.config(), &text)
    }

    /// Starts the daemon in the gateway's namespaces and waits until it answers at its control socket. The answer is its process id.
    ///
    /// # Errors
    /// It does not start; the error holds the end of its log.
    pub fn start(&self, site: &mut Site) -> Result<u32, Error> {
        let order = Order::StartDaemon { config: self.config(), log: self.log() };
        let pid = site.gateway.ask(&order)?;
        let deadline = Instant::now() + START;
        while self.status().is_err() {
            if let Some(end) = site.gateway.ask::<Option<String>>(&Order::DaemonEnd)? {
                return Err(self.silent(end));
            }
            if Instant::now() > deadline {
                return Err(self.silent("nobody listens at its control socket"));
            }
            thread::sleep(POLL);
        }
        Ok(pid)
    }

    /// Sets the tunnel up from here and waits until both ends say that it stands.
    ///
    /// # Errors
    /// The negotiation failed; the error is the daemon's diagnosis.
    pub fn bring_up(&self, other: &Self) -> Result<(), Error> {
        self.ask::<Tunnel>(&Request::Up {
            tunnel: self.tunnel.to_owned(),
            child: None,
            timeout_s: NEGOTIATION,
        })?;
        let deadline = Instant::now() + AGREEMENT;
        while other.tunnel()?.state != State::Up {
            if Instant::now() > deadline {
                return Err(other.error("it does not say that its tunnel is up, though the other end does"));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Replaces the SAs and waits until it is done. The answer is the tunnel before and after.
    ///
    /// # Errors
    /// The rekeying failed.
    pub fn rekey(&self, what: What) -> Result<(Tunnel, Tunnel), Error> {
        let before = self.tunnel()?;
        let request =
            Request::Rekey { tunnel: self.tunnel.to_owned(), child: None, what, timeout_s: NEGOTIATION };
        self.ask::<Tunnel>(&request)?;
        Ok((before, self.tunnel()?))
    }

    fn status(&self) -> Result<Status, Error> {
        self.ask(&Request::Status)
    }

    fn tunnel(&self) -> Result<Tunnel, Error> {
        let mut tunnels = self.status()?.tunnels.into_iter();
        tunnels
            .find(|tunnel| tunnel.name == self.tunnel)
            .ok_or_else(|| self.error("its tunnel is not in its status"))
    }

    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let reply = Client::connect(&self.socket()).and_then(|mut daemon| daemon.ask(request));
        reply.map_err(|error| self.error(error))?.into_data().map_err(|failure| self.error(failure))
    }

    fn error(&self, reason: impl Display) -> Error {
        Error::Daemon { name: self.name, reason: reason.to_string() }
    }

    fn silent(&self, why: impl Display) -> Error {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
        self.error(format_args!("it does not start: {why}; the end of its log:\n{}", tail.join("\n")))
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
