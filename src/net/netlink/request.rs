//! One request and its answers.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use tokio::time::timeout;

use super::Netlink;

/// The kernel answers at once, but an answer that found no room in our socket never comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// One request failed.
    #[error("cannot {what}: {source}")]
    Refused {
        /// What was asked, as the rest of "cannot ...".
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Refused { what, source }
    }

    /// Whether the kernel lacks the address family altogether: then nothing of it can leave either.
    pub(super) fn is_missing_family(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP))
    }
}

/// Both address families, in the order in which everything is done.
pub(super) const FAMILIES: [AddressFamily; 2] = [AddressFamily::Inet, AddressFamily::Inet6];

impl Netlink {
    /// Everything of a kind.
    pub(super) async fn dump(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.exchange(message, NLM_F_DUMP).await
    }

    /// One thing, by its key.
    pub(super) async fn get(&self, message: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
        Ok(self.exchange(message, 0).await?.into_iter().next())
    }

    /// Adds it, or puts it in the place of the one with the same key.
    pub(super) async fn replace(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE).await.map(drop)
    }

    /// Adds it unless it is there.
    pub(super) async fn ensure(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        unless(libc::EEXIST, self.exchange(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL).await)
    }

    /// Changes it.
    pub(super) async fn change(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK).await.map(drop)
    }

    /// Removes it unless it is gone.
    pub(super) async fn remove(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        let gone = self.exchange(message, NLM_F_ACK).await;
        unless(libc::ENOENT, gone.or_else(|error| unless(libc::ESRCH, Err(error)).map(|()| Vec::new())))
    }

    async fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        timeout(PATIENCE, self.answers(request)).await?
    }

    async fn answers(
        &self,
        request: NetlinkMessage<RouteNetlinkMessage>,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(io::Error::other)?;
        let mut messages = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => {}
            }
        }
        Ok(messages)
    }
}

fn unless(code: i32, result: io::Result<Vec<RouteNetlinkMessage>>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() != Some(code) => Err(error),
        _ => Ok(()),
    }
}
