//! The machines of the demonstration, their daemons' files, and what the story lets them do.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;
use std::{env, fs, thread};

use super::Error;
use super::gateway::{self, Gateway};
use super::lab::{self, DATA_CENTRE, FACILITY, Lab, Side, Site, WAN};
use super::node::{Node, Order};
use super::traffic::{Marker, ping, stream, tcp};
use super::witness::Sightings;

/// What [`Stage::set`] makes.
pub(super) const DRAWING: &str = "
   facility-host           facility                          data-centre          data-centre-host
   10.17.0.10 ------ 10.17.0.1 | 203.0.113.17 ====== 203.0.113.1 | 10.0.0.1 ------ 10.0.0.10
                                          ^ the capture";

const PORT: u16 = 7000;
/// How long the packet stream runs before and after what may disturb it.
const UNDISTURBED: Duration = Duration::from_millis(500);

/// What everything happens on.
pub(super) struct Stage {
    pub(super) lab: Lab,
    pub(super) facility: Gateway,
    pub(super) centre: Gateway,
    marker: Marker,
    as_user: bool,
}

impl Stage {
    /// Withdraws this process from the rest of the machine and makes the four machines and their configurations.
    pub(super) fn set() -> Result<Self, Error> {
        let as_user = lab::withdraw()?;
        fs::File::open("/dev/net/tun").map_err(Error::NoTun)?;
        let lab = Lab::build(Path::new("/proc/self/exe"))?;
        let (facility, centre) = gateway::configure(Path::new(lab::SCRATCH), &FACILITY, &DATA_CENTRE)?;
        Ok(Self { lab, facility, centre, marker: Marker::random()?, as_user })
    }

    /// From now on, sees everything that crosses the link between the gateways.
    pub(super) fn watch(&mut self) -> Result<(), Error> {
        let protected = vec![FACILITY.network(), DATA_CENTRE.network()];
        let order = Order::Watch { interface: WAN.to_owned(), marker: self.marker, protected };
        self.lab.facility.gateway.ask(&order)
    }

    pub(super) fn sightings(&mut self) -> Result<Sightings, Error> {
        self.lab.facility.gateway.ask(&Order::Sightings)
    }

    pub(super) fn ping(&mut self, count: u16) -> Result<ping::Echoes, Error> {
        let plan = ping::Plan { count, patience_ms: 500, marker: self.marker };
        self.lab.facility.host.ask(&Order::Ping { to: DATA_CENTRE.host.into(), plan })
    }

    pub(super) fn tcp(&mut self, until: tcp::Limit) -> Result<tcp::Received, Error> {
        let (address, marker) = (DATA_CENTRE.host_port(PORT), self.marker);
        self.lab.centre.host.ask::<()>(&Order::ReceiveTcp { at: address, marker })?;
        let sent: u64 = self.lab.facility.host.ask(&Order::SendTcp { to: address, marker, until })?;
        let mut received: tcp::Received = self.lab.centre.host.ask(&Order::TcpReceived)?;
        received.intact &= received.bytes == sent;
        Ok(received)
    }

    /// Numbered packets both ways from before `meanwhile` until after it.
    pub(super) fn under_stream<T>(
        &mut self,
        meanwhile: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<(Loss, T), Error> {
        let (here, there, marker) = (FACILITY.host_port(PORT), DATA_CENTRE.host_port(PORT), self.marker);
        self.lab.facility.host.ask::<()>(&Order::OpenStream { at: here, to: there, marker })?;
        self.lab.centre.host.ask::<()>(&Order::OpenStream { at: there, to: here, marker })?;
        for host in self.hosts() {
            host.ask::<()>(&Order::StartStream)?;
        }
        thread::sleep(UNDISTURBED);
        let result = meanwhile(self)?;
        thread::sleep(UNDISTURBED);
        let [facility, centre] = self.hosts();
        let out: u64 = facility.ask(&Order::StopStream)?;
        let back: u64 = centre.ask(&Order::StopStream)?;
        let at_centre: stream::Arrived = centre.ask(&Order::StreamArrived { sent: out })?;
        let at_facility: stream::Arrived = facility.ask(&Order::StreamArrived { sent: back })?;
        Ok((
            Loss {
                sent: out + back,
                lost: at_centre.lost + at_facility.lost,
                longest_pause_ms: at_centre.longest_pause_ms.max(at_facility.longest_pause_ms),
            },
            result,
        ))
    }

    fn hosts(&mut self) -> [&mut Node; 2] {
        [&mut self.lab.facility.host, &mut self.lab.centre.host]
    }

    /// How to play with what `--keep` leaves running.
    pub(super) fn invitation(&self) -> String {
        [
            "\nIt goes on until you press Ctrl-C. From another terminal, with the same rights:\n".to_owned(),
            self.ways_into(&self.lab.facility, &self.facility),
            self.ways_into(&self.lab.centre, &self.centre),
        ]
        .concat()
    }

    fn ways_into(&self, site: &Site, gateway: &Gateway) -> String {
        let Side { name, host_name, host, .. } = site.side;
        let (gateway_pid, host_pid) = (site.gateway.pid(), site.host.pid());
        let root = format!("/proc/{gateway_pid}/root");
        let enter = if self.as_user { "--user --preserve-credentials --net --uts" } else { "--net --uts" };
        format!(
            "\n   {name}: configuration, keys, log and control socket are in {root}{directory}\n     \
             {program} --socket {root}{socket} status\n     \
             nsenter --target {gateway_pid} {enter}    # a shell on the gateway {name}\n     \
             nsenter --target {host_pid} {enter}    # a shell on {host_name}, {host}\n",
            directory = gateway.directory().display(),
            program = env::current_exe().unwrap_or_else(|_| "sekisho".into()).display(),
            socket = gateway.socket().display(),
        )
    }
}

/// What became of the packet stream, both ways together.
pub(super) struct Loss {
    pub(super) sent: u64,
    pub(super) lost: u64,
    longest_pause_ms: u64,
}

impl Display for Loss {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, lost, longest_pause_ms } = self;
        write!(formatter, "{lost} of {sent} lost, at most {longest_pause_ms} ms between two arrivals")
    }
}
