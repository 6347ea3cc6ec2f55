//! `sekisho demo`: a facility and a data centre on one machine, a tunnel between them, and proof of what it does.
//!
//! The story is [`story`]: each step is a function below it. Nothing but this executable and the kernel is needed, and nothing stays
//! behind: namespaces without a name, files in memory that only these processes see, and processes that the kernel kills with their
//! parent.

mod daemon;
pub mod gateway;
pub mod lab;
pub mod link;
pub mod node;
mod report;
pub mod traffic;
pub mod witness;

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use crate::api::What;
use gateway::Gateway;
use lab::{DATA_CENTRE, FACILITY, Lab, Side, WAN};
use node::{Node, Order};
use report::{Report, Voice};
use traffic::{Marker, ping, stream, tcp};
use witness::Sightings;

/// What `sekisho demo` was asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Leave it running and print how to play with it
    #[arg(long)]
    pub keep: bool,
    /// End with one JSON object
    #[arg(skip)]
    pub json: bool,
}

/// Why the demonstration ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine does not let us make what we need.
    #[error(
        "{what} is refused ({error}). Run it as root (sudo), or allow unprivileged user namespaces: \
         user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 (Debian), \
         kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a container, --privileged"
    )]
    Forbidden {
        /// What is refused.
        what: &'static str,
        /// By the kernel's word.
        error: io::Error,
    },
    /// There is no TUN driver.
    #[error(
        "/dev/net/tun cannot be opened ({0}). Load the driver: modprobe tun; in a container, --device /dev/net/tun"
    )]
    NoTun(io::Error),
    /// A machine of the laboratory could not do what it was told.
    #[error("{name}: {reason}")]
    Node {
        /// The machine.
        name: &'static str,
        /// In words.
        reason: String,
    },
    /// A daemon refused, failed or died.
    #[error("sekishod of the {name}: {reason}")]
    Daemon {
        /// Whose.
        name: &'static str,
        /// In words.
        reason: String,
    },
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    fn node(name: &'static str, reason: impl Display) -> Self {
        Self::Node { name, reason: reason.to_string() }
    }
}

/// If this process is one that the demonstration started as a part of itself: its life, and how it ended. `main` asks this first.
pub fn take_part() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next()?.as_str(), arguments.next(), arguments.next()) {
        (node::SUBCOMMAND, Some(name), Some(parent)) => Some(node::live(&name, &parent)),
        (daemon::SUBCOMMAND, Some(parent), Some(config)) => Some(daemon::live(&parent, Path::new(&config))),
        _ => None,
    }
}

/// Runs it; success only if all that it claims held. The process must have one thread only.
pub fn run(args: &Args) -> ExitCode {
    let voice = Voice::new(args.json);
    let mut report = Report::default();
    let start = Instant::now();
    let stage = Stage::set(voice);
    let (result, stage) = match stage {
        Ok(mut stage) => (story(&mut stage, &mut report, args.keep), Some(stage)),
        Err(error) => (Err(error), None),
    };
    report.finish(result, start.elapsed().as_secs_f64());
    voice.conclude(&report);
    if let Some(stage) = stage.filter(|_| args.keep) {
        stage.invite();
        wait_for_interrupt();
        voice.say("\nEverything is gone.");
    }
    report.exit_code()
}

/// What everything happens on.
struct Stage {
    voice: Voice,
    lab: Lab,
    /// The gateways' daemons: files and control sockets.
    facility: Gateway,
    centre: Gateway,
    marker: Marker,
    as_user: bool,
}

fn story(stage: &mut Stage, report: &mut Report, keep: bool) -> Result<(), Error> {
    stage.show_that_the_capture_sees(report)?;
    stage.watch()?;
    stage.bring_up(report)?;
    stage.send_through(report)?;
    stage.rekey(What::Child, report)?;
    stage.rekey(What::Ike, report)?;
    stage.show_status()?;
    stage.crash(report)?;
    stage.come_back(report)?;
    if !keep {
        stage.stop(report)?;
    }
    stage.judge_the_link(report)
}

const DRAWING: &str = "
   facility-host           facility                          data-centre          data-centre-host
   10.17.0.10 ------ 10.17.0.1 | 203.0.113.17 ====== 203.0.113.1 | 10.0.0.1 ------ 10.0.0.10
                                          ^ the capture";

const PORT: u16 = 7000;
const PINGS: u16 = 20;
/// One TCP stream of three seconds.
const THROUGHPUT: tcp::Limit = tcp::Limit { milliseconds: 3000, bytes: u64::MAX };
/// Enough to be seen.
const SAMPLE: tcp::Limit = tcp::Limit { milliseconds: 1000, bytes: 4_000_000 };
/// How long the packet stream runs before and after what it is to be disturbed by.
const UNDISTURBED: Duration = Duration::from_millis(500);

impl Stage {
    fn set(voice: Voice) -> Result<Self, Error> {
        voice.say("Sekisho: a facility and a data centre on this machine, and a tunnel between them.");
        voice.step("1. Four machines in network namespaces of their own, which vanish with this program");
        let as_user = lab::withdraw()?;
        std::fs::File::open("/dev/net/tun").map_err(Error::NoTun)?;
        let lab = Lab::build(Path::new("/proc/self/exe"))?;
        let (facility, centre) = gateway::configure(Path::new(lab::SCRATCH), &FACILITY, &DATA_CENTRE)?;
        voice.say(DRAWING);
        Ok(Self { voice, lab, facility, centre, marker: Marker::random()?, as_user })
    }

    /// Without this, a capture that sees nothing would prove nothing.
    fn show_that_the_capture_sees(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice
            .step("2. Without a tunnel: the capture on the link must see what the hosts send each other");
        self.watch()?;
        let echoes = self.ping(5)?;
        let (stream, ()) = self.under_stream(|_| Ok(()))?;
        let received = self.tcp(SAMPLE)?;
        let seen = self.sightings()?;
        let arrived = echoes.received == echoes.sent && received.intact && stream.lost == 0;
        // A request and a reply for each ping, one packet for each number of the stream, and TCP.
        let ok = arrived && seen.marked > u64::from(echoes.received) * 2 + stream.sent && seen.esp == 0;
        let words = format!(
            "{} of {} packets on the link showed the marker, {} were ESP",
            seen.marked, seen.frames, seen.esp
        );
        self.voice.judge(report, "the capture sees clear text when there is some", ok, words);
        Ok(())
    }

    fn bring_up(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("3. Two daemons, a fresh pre-shared key: the facility calls the data centre");
        let start = Instant::now();
        self.centre.start(&mut self.lab.centre)?;
        self.facility.start(&mut self.lab.facility)?;
        self.facility.bring_up(&self.centre)?;
        let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        report.tunnel_up_ms = Some(milliseconds);
        let words = format!("both ends call it up {milliseconds} ms after the daemons were started");
        self.voice.judge(report, "the tunnel comes up", true, words);
        Ok(())
    }

    fn send_through(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("4. Through the tunnel, from host to host: ICMP and TCP");
        let echoes = self.ping(PINGS)?;
        report.ping_rtt_us = echoes.rtt_us;
        self.judge_pings(report, "pings are answered", echoes);

        let received = self.tcp(THROUGHPUT)?;
        let gbps = received.gigabits_per_second();
        report.tcp_gbps = Some((gbps * 1000.0).round() / 1000.0);
        let words = format!(
            "{} MB in one stream, {gbps:.2} Gb/s with the capture running beside it, every byte compared",
            received.bytes / 1_000_000
        );
        self.voice.judge(report, "TCP arrives complete and unchanged", received.intact, words);
        Ok(())
    }

    fn rekey(&mut self, what: What, report: &mut Report) -> Result<(), Error> {
        let (step, sa) = if what == What::Ike { (6, "IKE SA") } else { (5, "Child SA") };
        let rate = stream::RATE;
        self.voice.step(format_args!("{step}. The {sa} is replaced under {rate} packets a second each way"));
        let (stream, (before, after)) = self.under_stream(|stage| stage.facility.rekey(what))?;
        let spis = |tunnel: &crate::api::Tunnel| match what {
            What::Ike => tunnel.ike.iter().map(|ike| ike.spi_i.clone()).collect::<Vec<_>>(),
            _ => tunnel
                .children
                .iter()
                .filter(|child| child.sending)
                .map(|child| child.spi_out.clone())
                .collect(),
        };
        let (old, new) = (spis(&before), spis(&after));
        let replaced = !new.is_empty() && new.iter().all(|spi| !old.contains(spi));
        let words = format!("SPI {} became {}", old.join(", "), new.join(", "));
        self.voice.judge(report, &format!("the {sa} is replaced"), replaced, words);

        let lost = if what == What::Ike {
            &mut report.packets_lost_ike_rekey
        } else {
            &mut report.packets_lost_child_rekey
        };
        *lost = Some(stream.lost);
        let words = stream.to_string();
        self.voice.judge(report, &format!("replacing the {sa} loses no packet"), stream.lost == 0, words);
        Ok(())
    }

    fn show_status(&self) -> Result<(), Error> {
        self.voice.step("7. What the gateways say");
        for gateway in [&self.facility, &self.centre] {
            let socket = gateway.socket();
            let output =
                Command::new("/proc/self/exe").arg("--socket").arg(&socket).arg("status").output()?;
            self.voice.say(format_args!("   $ sekisho --socket {} status", socket.display()));
            for line in String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).lines() {
                self.voice.say(format_args!("   {line}"));
            }
        }
        Ok(())
    }

    /// A gateway that lost its daemon must not fall back to the ordinary route, which is there all the time.
    fn crash(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("8. The facility's daemon is killed, as by a crash, and the hosts go on sending");
        let before = self.sightings()?;
        self.lab.facility.gateway.ask::<()>(&Order::KillDaemon)?;
        let (stream, ()) = self.under_stream(|_| Ok(()))?;
        let clear_text = self.sightings()?.clear_text - before.clear_text;
        let arrived = stream.sent - stream.lost;
        let words = format!(
            "{} packets sent, {arrived} arrived, {clear_text} on the link in clear text",
            stream.sent
        );
        let ok = stream.sent > 0 && arrived == 0 && clear_text == 0;
        self.voice.judge(report, "without its daemon the gateway lets nothing out in clear text", ok, words);
        Ok(())
    }

    fn come_back(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("9. The daemon is started again");
        self.facility.start(&mut self.lab.facility)?;
        self.facility.bring_up(&self.centre)?;
        let echoes = self.ping(PINGS)?;
        self.judge_pings(report, "the tunnel comes back by itself", echoes);
        Ok(())
    }

    fn stop(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("10. Both daemons are asked to stop");
        let facility: bool = self.lab.facility.gateway.ask(&Order::StopDaemon)?;
        let centre: bool = self.lab.centre.gateway.ask(&Order::StopDaemon)?;
        let word = |ok| if ok { "cleanly" } else { "NOT cleanly" };
        let words = format!("the facility's ended {}, the data centre's {}", word(facility), word(centre));
        self.voice.judge(report, "the daemons stop when they are asked to", facility && centre, words);
        Ok(())
    }

    fn judge_the_link(&mut self, report: &mut Report) -> Result<(), Error> {
        self.voice.step("11. What crossed the link from before the daemons were started until now");
        let Sightings { frames, clear_text, esp, ike, missed, .. } = self.sightings()?;
        report.cleartext_packets = Some(clear_text);
        report.esp_packets = Some(esp);
        report.capture_drops = Some(missed);
        let words = format!("{clear_text} of {frames} packets showed the marker or a protected address");
        self.voice.judge(report, "no clear text crossed the link", clear_text == 0, words);
        let words = format!("{esp} ESP packets and {ike} IKE messages");
        self.voice.judge(report, "what crossed it was ESP, negotiated by IKE", esp > 0 && ike > 0, words);
        let words = format!("{missed} packets missed");
        self.voice.judge(report, "the capture missed nothing", missed == 0, words);
        Ok(())
    }

    fn judge_pings(&self, report: &mut Report, claim: &str, echoes: ping::Echoes) {
        let ping::Echoes { sent, received, rtt_us } = echoes;
        let time = rtt_us.map(|rtt| format!(", {rtt} us there and back (median)")).unwrap_or_default();
        self.voice.judge(
            report,
            claim,
            received == sent,
            format_args!("{received} of {sent} answered{time}"),
        );
    }

    /// From now on, sees everything that crosses the link between the gateways.
    fn watch(&mut self) -> Result<(), Error> {
        let protected = vec![FACILITY.network(), DATA_CENTRE.network()];
        let order = Order::Watch { interface: WAN.to_owned(), marker: self.marker, protected };
        self.lab.facility.gateway.ask(&order)
    }

    fn sightings(&mut self) -> Result<Sightings, Error> {
        self.lab.facility.gateway.ask(&Order::Sightings)
    }

    fn ping(&mut self, count: u16) -> Result<ping::Echoes, Error> {
        let plan = ping::Plan { count, patience_ms: 500, marker: self.marker };
        self.lab.facility.host.ask(&Order::Ping { to: DATA_CENTRE.host.into(), plan })
    }

    fn tcp(&mut self, until: tcp::Limit) -> Result<tcp::Received, Error> {
        let (address, marker) = (DATA_CENTRE.host_port(PORT), self.marker);
        self.lab.centre.host.ask::<()>(&Order::ReceiveTcp { at: address, marker })?;
        let sent: u64 = self.lab.facility.host.ask(&Order::SendTcp { to: address, marker, until })?;
        let mut received: tcp::Received = self.lab.centre.host.ask(&Order::TcpReceived)?;
        received.intact &= received.bytes == sent;
        Ok(received)
    }

    /// Numbered packets both ways from before `meanwhile` until after it.
    fn under_stream<T>(
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
    fn invite(&self) {
        let enter = if self.as_user { "--user --preserve-credentials " } else { "" };
        let program = std::env::current_exe().unwrap_or_else(|_| "sekisho".into());
        self.voice.step("It goes on until you press Ctrl-C. From another terminal, with the same rights:");
        for (site, gateway) in [(&self.lab.facility, &self.facility), (&self.lab.centre, &self.centre)] {
            let root = format!("/proc/{}/root", site.gateway.pid());
            let Side { name, host_name, host, .. } = site.side;
            self.voice.say(format_args!(
                "\n   {name}: configuration, log and control socket in {root}{directory}\n     \
                 {program} --socket {root}{socket} status\n     \
                 nsenter --target {gateway_pid} {enter}--net --uts     # a shell on the gateway\n     \
                 nsenter --target {host_pid} {enter}--net --uts     # a shell on {host_name}, {host}",
                directory = gateway.directory().display(),
                program = program.display(),
                socket = gateway.socket().display(),
                gateway_pid = site.gateway.pid(),
                host_pid = site.host.pid(),
            ));
        }
    }
}

/// What became of the packet stream, both ways together.
struct Loss {
    sent: u64,
    lost: u64,
    longest_pause_ms: u64,
}

impl Display for Loss {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, lost, longest_pause_ms } = self;
        write!(formatter, "{lost} of {sent} lost, at most {longest_pause_ms} ms between two arrivals")
    }
}

/// Until Ctrl-C or a request to end. By default either would end this process at once, and with it everything.
fn wait_for_interrupt() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_ok() {
        let _ = signals.wait();
    }
}
