//! The running daemon: everything opened, then everything served until a signal ends it.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::api::Reply;
use crate::config::Config;
use crate::control::{Control, Inputs, Order, Outputs, Routing};
use crate::data::{self, DataPath};
use crate::net::netlink::Netlink;
use crate::net::tun::Tun;
use crate::net::udp::{self, Sockets};
use crate::telemetry::Fact;

use super::{Args, Failure, privileges};

/// Requests of operators that may wait for the control loop.
const REQUESTS: usize = 32;

/// Serves until told to stop.
pub(super) async fn serve(args: &Args, config: Config, netlink: Netlink) -> Result<(), Failure> {
    let daemon = &config.daemon;
    let tun = Tun::open(&daemon.interface).map_err(Failure::new)?;
    let ports = udp::Settings { ike_port: daemon.ike_port, nat_port: daemon.nat_port, mark: daemon.mark };
    let sockets = Arc::new(Sockets::bind(ports).map_err(Failure::new)?);
    let routing = Routing::start(netlink, &config).await.map_err(Failure::new)?;
    let signals = Signals::new()?;
    let (_requests_in, requests) = mpsc::channel(REQUESTS);
    let record = Box::new(|fact: Fact| tracing::info!(?fact, "recorded"));
    privileges::drop_others();

    let (to_control, from_data) = data::channel();
    let settings = data::Settings { mtu: routing.mtu() };
    let data = DataPath::start(tun, sockets.clone(), settings, to_control)
        .map_err(|error| Failure(format!("cannot start the data path: {error}")))?;
    let (orders, ordered) = mpsc::channel(1);
    let inputs = Inputs { data: from_data, requests, orders: ordered };
    let control = Control::new(config, Outputs { data, sockets, routing, record });
    signals.serve(tokio::spawn(control.run(inputs)), orders).await
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
        mut control: JoinHandle<()>,
        orders: mpsc::Sender<Order>,
    ) -> Result<(), Failure> {
        notify(&[NotifyState::Ready]);
        let mut stopping = false;
        loop {
            let reason = tokio::select! {
                ended = &mut control => {
                    return ended.map_err(|error| Failure(format!("the control loop failed: {error}")));
                }
                _ = self.hang_up.recv(), if !stopping => {
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
    if orders.send(Order::Reload(reply)).await.is_ok()
        && let Ok(Reply::Failed(failure)) = answer.await
    {
        tracing::error!("the new configuration is refused and the old one stays in force: {}", failure.error);
    }
    notify(&[NotifyState::Ready]);
}

/// Tells systemd, where there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
