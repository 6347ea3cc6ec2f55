//! The addresses and name servers that peers gave us: on the TUN while their tunnels stand or are set up anew, and in a
//! file for whoever resolves names on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sekisho_ike::config::Name;
use sekisho_ike::event::{Assignment, ConnectionState, ConnectionStatus, TunnelId};

use super::Control;
use crate::config::Daemon;

const FILE: &str = "resolv.conf";

/// What peers gave us, by tunnel.
#[derive(Debug)]
pub(super) struct Given {
    by_name: BTreeMap<Name, Entry>,
    file: PathBuf,
    /// What the file says.
    written: Option<String>,
}

#[derive(Debug)]
struct Entry {
    /// `None` once it is gone: what it had is kept while it is being set up anew.
    tunnel: Option<TunnelId>,
    addresses: Vec<IpAddr>,
    dns: Vec<IpAddr>,
}

impl Given {
    /// Nothing yet; what an earlier run left in the file goes.
    pub(super) fn new(daemon: &Daemon) -> Self {
        let file = directory(daemon).join(FILE);
        if let Err(error) = remove(&file) {
            tracing::warn!("the name servers of an earlier run stay in {}: {error}", file.display());
        }
        Self { by_name: BTreeMap::new(), file, written: None }
    }

    fn take(&mut self, assignment: &Assignment) {
        let entry = Entry {
            tunnel: Some(assignment.tunnel),
            addresses: assignment.inner.addresses.clone(),
            dns: assignment.inner.dns.clone(),
        };
        self.by_name.insert(assignment.connection.clone(), entry);
    }

    /// A tunnel is gone.
    pub(super) fn lost(&mut self, tunnel: TunnelId) {
        for entry in self.by_name.values_mut().filter(|entry| entry.tunnel == Some(tunnel)) {
            entry.tunnel = None;
        }
    }

    fn has_orphans(&self) -> bool {
        self.by_name.values().any(|entry| entry.tunnel.is_none())
    }

    /// Forgets what belongs to tunnels that nobody sets up anew.
    fn settle(&mut self, status_for: impl Fn(&Name) -> Option<ConnectionStatus>) {
        let comes_back = |name: &Name| {
            use ConnectionState::{BackOff, Connecting, Up};
            let asks = status_for(name).filter(|c| c.connection.internal_address.is_asked());
            asks.is_some_and(|c| matches!(c.state, Connecting | BackOff | Up))
        };
        self.by_name.retain(|name, entry| entry.tunnel.is_some() || comes_back(name));
    }

    fn addresses(&self) -> BTreeMap<Name, Vec<IpAddr>> {
        self.by_name.iter().map(|(name, entry)| (name.clone(), entry.addresses.clone())).collect()
    }

    /// As `resolv.conf(5)`; `None` if there are no name servers.
    fn resolv_conf(&self) -> Option<String> {
        let mut text = "# Written by sekishod: name servers that peers gave us.\n".to_owned();
        let mut told = BTreeSet::new();
        for (name, entry) in &self.by_name {
            let new: Vec<_> = entry.dns.iter().filter(|server| told.insert(**server)).collect();
            if !new.is_empty() {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "# tunnel {name}");
            }
            for server in new {
                let _ = writeln!(text, "nameserver {server}");
            }
        }
        (!told.is_empty()).then_some(text)
    }

    /// Brings the file up to date. It appears, changes and goes as a whole.
    fn write(&mut self) {
        let text = self.resolv_conf();
        if text == self.written {
            return;
        }
        let done = match &text {
            Some(text) => replace(&self.file, text),
            None => remove(&self.file),
        };
        match done {
            Ok(()) => self.written = text,
            Err(error) => tracing::warn!("cannot bring {} up to date: {error}", self.file.display()),
        }
    }
}

impl Control {
    /// A peer gave us addresses: they are there before the Child SA that carries them is used.
    pub(super) async fn take_addresses(&mut self, assignment: &Assignment) {
        self.given.take(assignment);
        self.put_addresses().await;
    }

    /// Tunnels have gone: what they had goes too, unless they are coming back. At the end of the daemon all goes.
    pub(super) async fn drop_addresses(&mut self) {
        if !self.given.has_orphans() {
            return;
        }
        let known = self.given.by_name.len();
        let ends = self.end.is_some();
        self.given.settle(|name| self.endpoint.status_for(name).filter(|_| !ends));
        if self.given.by_name.len() != known {
            self.put_addresses().await;
        }
    }

    async fn put_addresses(&mut self) {
        if let Some(mtu) = self.out.routing.set_given(self.given.addresses()).await {
            self.out.data.set_mtu(mtu);
        }
        self.given.write();
    }
}

/// Where systemd says that what lives as long as we belongs (`RuntimeDirectory=`); else beside the lock.
fn directory(daemon: &Daemon) -> PathBuf {
    let named = env::var_os("RUNTIME_DIRECTORY");
    let first = named.and_then(|named| env::split_paths(&named).next()).filter(|path| path.is_absolute());
    first.unwrap_or_else(|| daemon.state_dir.clone())
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("conf.new");
    // One of an earlier attempt; or a link that somebody laid there, which is not to be followed.
    remove(&new)?;
    let mut options = fs::File::options();
    let mut opened = options.write(true).create_new(true).mode(0o644).open(&new)?;
    io::Write::write_all(&mut opened, text.as_bytes())?;
    fs::rename(&new, file)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sekisho_ike::event::InnerAddresses;

    use super::*;

    fn assignment(tunnel: u64, name: &str, address: &str, dns: &[&str]) -> Assignment {
        let dns = dns.iter().map(|server| server.parse().unwrap()).collect();
        let inner = InnerAddresses { ours: true, addresses: vec![address.parse().unwrap()], dns };
        let remote_id = "hub.example".parse().unwrap();
        Assignment { tunnel: TunnelId(tunnel), connection: name.into(), remote_id, inner }
    }

    fn given(directory: &Path) -> Given {
        let daemon = Daemon { state_dir: directory.to_owned(), ..Daemon::default() };
        Given::new(&daemon)
    }

    #[test]
    fn the_file_appears_with_the_first_name_server_and_goes_with_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        let mut given = given(directory.path());
        assert!(!file.exists(), "what an earlier run left is gone");
        given.take(&assignment(1, "hub", "10.9.0.1", &["10.0.0.53", "2001:db8::53"]));
        given.take(&assignment(2, "lab", "10.8.0.1", &["10.0.0.53"]));
        given.write();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with("# tunnel hub\nnameserver 10.0.0.53\nnameserver 2001:db8::53\n"), "{text}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        given.lost(TunnelId(1));
        given.lost(TunnelId(2));
        given.settle(|_| None);
        given.write();
        assert!(!file.exists());
    }

    #[test]
    fn what_a_newer_tunnel_was_given_does_not_go_with_the_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut given = given(directory.path());
        given.take(&assignment(1, "hub", "10.9.0.1", &[]));
        given.take(&assignment(2, "hub", "10.9.0.2", &[]));
        given.lost(TunnelId(1));
        given.settle(|_| None);
        assert_eq!(given.addresses()[&Name::from("hub")], ["10.9.0.2".parse::<IpAddr>().unwrap()]);
        assert!(given.resolv_conf().is_none());
    }
}
