//! Requests that come before their sender's proof was examined. The responder's tunnel stands by then, and it may well have
//! something to ask; nothing of it is opened before the initiator's tunnel stands too.

use crate::limits;
use crate::path::Path;
use crate::sa::context::{Context, DropReason};
use crate::sa::tunnel::Tunnel;
use crate::wire::{Datagram, IkeSpi};

/// They go with their attempt.
#[derive(Debug, Default)]
pub(super) struct Early(Vec<(Path, Vec<u8>)>);

impl Early {
    /// Keeps one, if there is room; otherwise its sender repeats it.
    pub(super) fn keep(&mut self, ctx: &mut Context<'_>, path: Path, datagram: &Datagram<'_>) {
        let bytes = datagram.bytes;
        if self.0.iter().any(|(_, kept)| kept == bytes) {
            return ctx.output.drop(DropReason::InProgress);
        }
        let kept: usize = self.0.iter().map(|(_, kept)| kept.len()).sum();
        if self.0.len() >= limits::EARLY_DATAGRAMS || kept.saturating_add(bytes.len()) > limits::EARLY_BYTES {
            return ctx.output.drop(DropReason::UnexpectedExchange);
        }
        self.0.push((path, bytes.to_vec()));
    }

    /// The tunnel stands, and on it the IKE SA with this SPI of ours.
    pub(super) fn give(self, ctx: &mut Context<'_>, tunnel: &mut Tunnel, spi: IkeSpi) {
        for (path, bytes) in self.0 {
            // They were parsed when they came.
            if let Ok(datagram) = Datagram::parse(&bytes) {
                tunnel.handle_datagram(ctx, spi, path, &datagram);
            }
        }
    }
}
