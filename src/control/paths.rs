//! From what is known of paths to the data path, the TUN and the endpoint.

use sekisho_ike::event::{Command, TunnelId, TunnelStatus};

use super::apply::PathChange;
use super::path_mtu::{PathMtu, Source};
use super::{Control, now};
use crate::api::PacketSize;
use crate::data::{PathLimits, Quote};
use crate::net::icmp::{IcmpMessage, Unreachable};
use crate::telemetry::Fact;

impl Control {
    /// Paths came, changed or went.
    pub(super) async fn follow_paths(&mut self, changes: Vec<(TunnelId, PathChange)>) {
        let routing = &mut self.out.routing;
        for (tunnel, change) in changes {
            match change {
                PathChange::Up(path, on_path) => routing.lead(tunnel, path, on_path).await,
                PathChange::Moved(path) => {
                    if let Some(on_path) = routing.paths().get(tunnel).map(|path| path.on_path) {
                        routing.lead(tunnel, path, on_path).await;
                    }
                }
                PathChange::Found(mtu, proven) => routing.paths_mut().found(tunnel, mtu, proven),
                PathChange::Gone => {
                    routing.paths_mut().remove(tunnel);
                    self.out.data.forget_path(tunnel.0);
                }
            }
        }
    }

    /// Whoever is concerned learns what has changed of paths: whether the endpoint was told anything.
    pub(super) async fn spread_paths(&mut self) -> bool {
        let changed = self.out.routing.paths_mut().take_changed();
        if !changed.is_empty() {
            self.limit_paths(&changed);
            if let Some(mtu) = self.out.routing.update_mtu().await {
                self.out.data.set_mtu(mtu);
            }
        }
        let new_lines = self.out.routing.paths_mut().take_new_lines();
        let told = !new_lines.is_empty();
        for (tunnel, line) in new_lines {
            self.command(Command::LineCarries(tunnel, line));
        }
        told
    }

    /// The configuration changed what holds for all paths.
    pub(super) fn limit_all_paths(&mut self) {
        let all: Vec<_> = self.out.routing.paths().iter().map(|(tunnel, path)| (tunnel, *path)).collect();
        self.limit_paths(&all);
        self.out.data.set_clamp_mss(self.config.daemon.clamp_mss);
    }

    /// For `status`: of the children of a tunnel, the one that carries the least.
    pub(super) fn packet_size(&self, tunnel: &TunnelStatus) -> Option<PacketSize> {
        let path = self.out.routing.paths().get(tunnel.ike_sa.tunnel)?;
        let sending = tunnel.children.iter().filter(|child| child.sending);
        let mtu = sending.filter_map(|child| self.out.data.inner_mtu(child.id.0)).min()?;
        let configured = self.out.routing.configured_mtu().is_some_and(|configured| configured <= mtu);
        let again_at =
            tunnel.path_raised_at.or(path.until).filter(|_| !configured && path.source != Source::Line);
        Some(PacketSize {
            mtu,
            path_mtu: path.mtu,
            proven: path.proven,
            source: if configured { "configured" } else { path.source.code() }.to_owned(),
            router: match path.source {
                Source::Router(router) if !configured => Some(router),
                _ => None,
            },
            tried_again_in_s: again_at.map(|at| at.since(now().boot).as_secs()),
            dont_fragment: path.on_path.dont_fragment(),
        })
    }

    fn limit_paths(&self, paths: &[(TunnelId, PathMtu)]) {
        let most = self.out.routing.configured_mtu().unwrap_or(u16::MAX);
        for (tunnel, path) in paths {
            let PathMtu { mtu, on_path, source, remote, .. } = *path;
            self.out
                .data
                .limit_path(tunnel.0, PathLimits { mtu, most, dont_fragment: on_path.dont_fragment() });
            if source == Source::Line {
                tracing::debug!(%remote, mtu, "the path is taken to carry what the line does");
            } else {
                tracing::info!(%remote, mtu, source = source.code(), "the path carries less than the line");
            }
        }
    }

    /// What changed of paths, for the records.
    pub(super) fn record_paths(&mut self) {
        for (tunnel, from, path) in self.out.routing.paths_mut().take_news(now().boot) {
            let router = match path.source {
                Source::Router(router) => Some(router),
                _ => None,
            };
            let source = path.source.code().to_owned();
            if let Some((name, remote_id)) = self.books.tunnel(tunnel) {
                let (tunnel, remote_id) = (name.to_owned(), remote_id.to_owned());
                let (remote, to) = (path.remote, path.mtu);
                self.record(Fact::PathMtuChanged { tunnel, remote_id, remote, from, to, source, router });
            }
        }
    }

    /// A router says that a packet was too big for it. Who does not show one that we have sent lately is not heard. Or somebody
    /// says that a packet did not arrive, which may help an operator.
    pub(super) fn hear_router(&mut self, message: &IcmpMessage) {
        self.icmp_budget = self.icmp_budget.saturating_sub(1);
        if let Some(Unreachable { local_port, remote, why }) = message.unreachable() {
            return self.endpoint.told(local_port, remote, &format!("{} answered: {why}", message.from));
        }
        let read = if message.from.is_ipv4() { Quote::of_icmpv4 } else { Quote::of_icmpv6 };
        let Some(quote) = read(&message.bytes) else { return };
        let Some(tunnel) = self.out.data.quoted(&quote).map(TunnelId) else { return };
        let lowered = self.out.routing.paths_mut().too_big(now().boot, tunnel, message.from, &quote);
        if let Some(mtu) = lowered {
            self.command(Command::PathTooNarrow(tunnel, mtu));
        }
    }
}
