//! TCP connections that carry our mark, so that no tunnel swallows them.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Connect, HttpError, Url};
use crate::words::plain;

/// How long one address may take while there is another to try.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Names that are looked up at a time. Each holds a thread for as long as the system's resolver likes, and the names of
/// peers need threads too; but a few that hang are not to hold up the others.
const LOOK_UPS: usize = 8;

/// Makes connections.
#[derive(Clone, Debug)]
pub struct Connector {
    mark: Option<u32>,
    look_ups: Arc<Semaphore>,
}

impl Connector {
    /// One whose sockets carry the mark; without one, where the privilege to set it is missing.
    pub fn new(mark: Option<u32>) -> Self {
        Self { mark, look_ups: Arc::new(Semaphore::new(LOOK_UPS)) }
    }

    /// By the system's resolver, whose own sockets carry no mark: a name that can only be resolved through a protected prefix
    /// stays unresolved until that tunnel is up.
    async fn look_up(&self, url: &Url) -> Result<Vec<SocketAddr>, HttpError> {
        let port = url.port();
        if let Ok(address) = url.host().parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let failed = |why: String| HttpError::Unreachable(format!("its name was not resolved: {why}"));
        let turn = self.look_ups.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let host = url.host().to_owned();
        let found = tokio::task::spawn_blocking(move || {
            // Held until the resolver is done, also when nobody waits for it any more.
            let _turn = turn;
            (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
        });
        let found = found.await.map_err(|error| failed(error.to_string()))?;
        found.map_err(|error| failed(plain(&error)))
    }

    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(mark) = self.mark {
            SockRef::from(&socket).set_mark(mark)?;
        }
        socket.connect(address).await
    }
}

impl Connect for Connector {
    type Stream = TcpStream;

    async fn connect(&self, url: &Url, redirected: bool) -> Result<TcpStream, HttpError> {
        let found = self.look_up(url).await?;
        let sensible = |address: &SocketAddr| is_sensible(address.ip(), redirected);
        let addresses = alternate(found.into_iter().filter(sensible));
        let mut refusal = "it has no address of a host that may be asked".to_owned();
        let mut left = addresses.len();
        for address in addresses {
            left -= 1;
            let attempt = self.open(address);
            let opened = if left == 0 { Ok(attempt.await) } else { timeout(ATTEMPT, attempt).await };
            match opened {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => refusal = format!("{}: {}", address.ip(), plain(&error)),
                Err(_) => refusal = format!("{} does not answer", address.ip()),
            }
        }
        Err(HttpError::Unreachable(refusal))
    }
}

/// Whether an address can be that of a server. What runs on this machine or is on its own line, such as a cloud's metadata,
/// was not meant for a server far away to reach.
fn is_sensible(address: IpAddr, redirected: bool) -> bool {
    let address = address.to_canonical();
    let nobody = address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]);
    let on_the_line = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let here = redirected && (address.is_loopback() || on_the_line);
    !(nobody || here)
}

/// A few of the addresses, the families in turn: a line that lacks one costs one attempt.
fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (mut these, mut those): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for address in addresses {
        let first_family =
            these.first().is_none_or(|first: &SocketAddr| first.is_ipv4() == address.is_ipv4());
        let list = if first_family { &mut these } else { &mut those };
        if !list.contains(&address) {
            list.push(address);
        }
    }
    let mut those = those.into_iter();
    let mut mixed = Vec::new();
    for address in these {
        mixed.push(address);
        mixed.extend(those.next());
    }
    mixed.extend(those);
    mixed.truncate(ADDRESSES);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_are_tried_in_turn() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let all = ["2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::3", "192.0.2.1", "192.0.2.2"];
        let tried = alternate(all.map(address).into_iter());
        assert_eq!(tried, ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"].map(address));
    }

    #[test]
    fn a_server_is_an_address_of_one_host_and_a_redirection_leads_outside() {
        let sensible = |text: &str, redirected| is_sensible(text.parse().unwrap(), redirected);
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
            assert!(!sensible(text, false), "{text}");
        }
        for text in
            ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.1.1", "fe80::1"]
        {
            assert!(sensible(text, false) && !sensible(text, true), "{text}");
        }
        assert!(sensible("192.0.2.1", true) && sensible("2001:db8::1", true));
    }
}
