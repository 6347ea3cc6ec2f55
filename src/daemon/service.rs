//! The running daemon: everything opened, then everything served until a signal ends it.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::api::{Limits, Server};
use crate::config::Config;
use crate::control::{Control, Inputs, Order, Outputs, Routing, cut_off_lines, look_at_cut_off};
use crate::data::{self, DataPath};
use crate::net::icmp::Icmp;
use crate::net::netlink::Netlink;
use crate::net::offload::Asked;
use crate::net::tun::Tun;
use crate::net::udp::{self, Sockets};
use crate::telemetry::{Fact, Telemetry};

use super::{Args, Failure, privileges};

/// Requests of operators that may wait for the control loop.
const REQUESTS: usize = 32;

/// Serves until told to stop.
pub(super) async fn serve(args: &Args, config: Config, netlink: Netlink) -> Result<(), Failure> {
    let daemon = &config.daemon;
    let workers = daemon.worker_count();
    let offloads = if daemon.offloads { Asked::Auto } else { Asked::Off };
    let queues = Tun::open_queues(&daemon.interface, workers, offloads).map_err(Failure::new)?;
    let (ike_port, nat_port, mark) = (daemon.ike_port, daemon.nat_port, daemon.mark);
    let ports = udp::Settings { ike_port, nat_port, mark, workers, offloads };
    let sockets = Arc::new(Sockets::bind(ports).map_err(Failure::new)?);
    let routing = Routing::start(netlink, &config).await.map_err(Failure::new)?;
    let icmp = listen_to_routers();
    let signals = Signals::new()?;
    let socket = args.socket.as_ref().unwrap_or(&daemon.control_socket);
    let server = Server::bind(socket, &daemon.control_group, Limits::default()).map_err(Failure::new)?;
    privileges::drop_others();

    // Threads from here on: they inherit what privileges are left.
    let telemetry = Telemetry::with_sa_log(&daemon.sa_log);

    let (to_control, from_data) = data::channel();
    let settings = data::Settings { mtu: routing.mtu(), clamp_mss: daemon.clamp_mss };
    let data = DataPath::start(queues, sockets.clone(), settings, to_control)
        .map_err(|error| Failure(format!("cannot start the data path: {error}")))?;
    let (asked, requests) = mpsc::channel(REQUESTS);
    let (orders, ordered) = mpsc::channel(1);
    let inputs = Inputs { data: from_data, requests, orders: ordered };
    let cut_off = look_at_cut_off(routing.netlink().clone(), &config).await;
    announce(&config, cut_off_lines(&config, &cut_off), &telemetry);
    let outputs = Outputs { data, sockets, routing, icmp, telemetry: telemetry.clone() };
    let control = Control::new(config, outputs, cut_off)
        .map_err(|error| Failure(format!("cannot start the control loop: {error}")))?;
    let serving = server.run(asked, telemetry.clone());
    let served = tokio::spawn(async {
        if let Err(error) = serving.await {
            tracing::error!("the control socket is not served: {error}");
        }
    });
    let ended = signals.serve(tokio::spawn(control.run(inputs)), orders, &telemetry).await;
    served.abort();
    telemetry.flush();
    ended
}

/// Without it, only probes find out that a path carries less than the line.
fn listen_to_routers() -> Icmp {
    let (icmp, problems) = Icmp::open();
    for error in problems {
        tracing::warn!(%error, "routers are not listened to that say that a packet was too big");
    }
    icmp
}

fn announce(config: &Config, cut_off: Vec<String>, telemetry: &Telemetry) {
    let warnings = config.warnings.iter().map(ToString::to_string).chain(cut_off).collect();
    let source = config.source.display().to_string();
    telemetry.record(Fact::ConfigLoaded { source, tunnels: config.connections.len(), warnings });
    telemetry.record(Fact::DaemonStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        interface: config.daemon.interface.clone(),
    });
}

/// What systemd and operators say by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure(format!("cannot listen to signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Until the control loop has ended. A second signal ends the daemon at once.
    async fn serve(
        mut self,
        mut control: JoinHandle<Result<(), String>>,
        orders: mpsc::Sender<Order>,
        telemetry: &Telemetry,
    ) -> Result<(), Failure> {
        notify(&[NotifyState::Ready]);
        let mut stopping = false;
        loop {
            let reason = tokio::select! {
                ended = &mut control => {
                    let ended = ended.map_err(|error| Failure(format!("the control loop failed: {error}")))?;
                    return ended.map_err(|why| Failure(format!("{why}; start it again: until then all is blocked")));
                }
                _ = self.hang_up.recv(), if !stopping => {
                    telemetry.reopen();
                    reload(&orders).await;
                    continue;
                }
                _ = self.terminate.recv() => "on SIGTERM",
                _ = self.interrupt.recv() => "on SIGINT",
            };
            if stopping {
                return Ok(());
            }
            stopping = true;
            notify(&[NotifyState::Stopping]);
            // A loop that has ended needs no order.
            let _ = orders.send(Order::Stop(reason.to_owned())).await;
        }
    }
}

async fn reload(orders: &mpsc::Sender<Order>) {
    match NotifyState::monotonic_usec_now() {
        Ok(at) => notify(&[NotifyState::Reloading, at]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    let (reply, answer) = oneshot::channel();
    if orders.send(Order::Reload(reply)).await.is_ok() {
        // A refusal was recorded, and so logged.
        let _ = answer.await;
    }
    notify(&[NotifyState::Ready]);
}

/// Tells systemd, where there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
