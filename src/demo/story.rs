//! The story that the demonstration tells, step by step. Each step claims something and shows what it saw.

use std::fmt::Display;
use std::process::Command;
use std::time::Instant;

use super::Error;
use super::node::Order;
use super::report::{Report, Voice};
use super::stage::Stage;
use super::traffic::{ping, stream, tcp};
use super::witness::Sightings;
use crate::api::{Tunnel, What};

const PINGS: u16 = 20;
/// One TCP stream of three seconds.
const THROUGHPUT: tcp::Limit = tcp::Limit { milliseconds: 3000, bytes: u64::MAX };
/// Enough to be seen.
const SAMPLE: tcp::Limit = tcp::Limit { milliseconds: 1000, bytes: 4_000_000 };

/// The teller.
pub(super) struct Story<'a> {
    voice: &'a Voice,
    report: &'a mut Report,
    stage: &'a mut Stage,
    /// What crossed the link during the long TCP stream.
    bulk: Sightings,
}

impl<'a> Story<'a> {
    pub(super) fn new(voice: &'a Voice, report: &'a mut Report, stage: &'a mut Stage) -> Self {
        Self { voice, report, stage, bulk: Sightings::default() }
    }

    /// All of it; with `keep` the daemons are left running at the end.
    pub(super) fn tell(&mut self, keep: bool) -> Result<(), Error> {
        self.show_that_the_capture_sees()?;
        self.stage.watch()?;
        self.bring_up()?;
        self.send_through()?;
        self.rekey(What::Child)?;
        self.rekey(What::Ike)?;
        self.show_status()?;
        self.crash()?;
        self.come_back()?;
        if !keep {
            self.stop()?;
        }
        self.judge_the_link()
    }

    /// Without this, a capture that sees nothing would prove nothing.
    fn show_that_the_capture_sees(&mut self) -> Result<(), Error> {
        self.voice.step("Without a tunnel: the capture on the link must see what the hosts send each other");
        self.stage.watch()?;
        let echoes = self.stage.ping(5)?;
        let (stream, ()) = self.stage.under_stream(|_| Ok(()))?;
        let received = self.stage.tcp(SAMPLE)?;
        let seen = self.stage.sightings()?;
        let arrived = echoes.received == echoes.sent && received.intact && stream.lost == 0;
        // A request and a reply for each ping, one packet for each number of the stream, and TCP.
        let ok = arrived && seen.marked > u64::from(echoes.received) * 2 + stream.sent && seen.esp == 0;
        let words = format!(
            "{} of {} packets on the link showed the marker, {} were ESP",
            seen.marked, seen.frames, seen.esp
        );
        self.judge("the capture sees clear text when there is some", ok, words);
        Ok(())
    }

    fn bring_up(&mut self) -> Result<(), Error> {
        self.voice.step("Two daemons, a fresh pre-shared key: the facility calls the data centre");
        let start = Instant::now();
        self.stage.centre.start(&mut self.stage.lab.centre)?;
        self.stage.facility.start(&mut self.stage.lab.facility)?;
        self.stage.facility.bring_up(&self.stage.centre)?;
        let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.tunnel_up_ms = Some(milliseconds);
        let words = format!("both ends call it up {milliseconds} ms after the daemons were started");
        self.judge("the tunnel comes up", true, words);
        Ok(())
    }

    fn send_through(&mut self) -> Result<(), Error> {
        self.voice.step("Through the tunnel, from host to host: ICMP and TCP");
        let echoes = self.stage.ping(PINGS)?;
        self.report.ping_rtt_us = echoes.rtt_us;
        self.judge_pings("pings are answered", echoes);

        let before = self.stage.sightings()?;
        let received = self.stage.tcp(THROUGHPUT)?;
        self.bulk = self.stage.sightings()? - before;
        let gbps = received.gigabits_per_second();
        self.report.tcp_gbps = Some((gbps * 1000.0).round() / 1000.0);
        let words = format!(
            "{} MB in one stream, {gbps:.2} Gb/s with the capture running beside it, every byte compared",
            received.bytes / 1_000_000
        );
        self.judge("TCP arrives complete and unchanged", received.intact, words);
        Ok(())
    }

    fn rekey(&mut self, what: What) -> Result<(), Error> {
        let sa = if what == What::Ike { "IKE SA" } else { "Child SA" };
        let rate = stream::RATE;
        self.voice.step(format_args!("The {sa} is replaced under {rate} packets a second each way"));
        let (stream, (before, after)) = self.stage.under_stream(|stage| stage.facility.rekey(what))?;
        let (old, new) = (spis(&before, what), spis(&after, what));
        let replaced = !new.is_empty() && new.iter().all(|spi| !old.contains(spi));
        let words = format!("SPI {} became {}", old.join(", "), new.join(", "));
        self.judge(&format!("the {sa} is replaced"), replaced, words);

        let lost = if what == What::Ike {
            &mut self.report.packets_lost_ike_rekey
        } else {
            &mut self.report.packets_lost_child_rekey
        };
        *lost = Some(stream.lost);
        self.judge(&format!("replacing the {sa} loses no packet"), stream.lost == 0, stream);
        Ok(())
    }

    fn show_status(&self) -> Result<(), Error> {
        self.voice.step("What the gateways say");
        for gateway in [&self.stage.facility, &self.stage.centre] {
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
    fn crash(&mut self) -> Result<(), Error> {
        self.voice.step("The facility's daemon is killed, as by a crash, and the hosts go on sending");
        let before = self.stage.sightings()?;
        self.stage.lab.facility.gateway.ask::<()>(&Order::KillDaemon)?;
        let (stream, ()) = self.stage.under_stream(|_| Ok(()))?;
        let Sightings { clear_text, .. } = self.stage.sightings()? - before;
        let arrived = stream.sent - stream.lost;
        let words = format!(
            "{} packets sent, {arrived} arrived, {clear_text} on the link in clear text",
            stream.sent
        );
        let ok = stream.sent > 0 && arrived == 0 && clear_text == 0;
        self.judge("without its daemon the gateway lets nothing out in clear text", ok, words);
        Ok(())
    }

    fn come_back(&mut self) -> Result<(), Error> {
        self.voice.step("The daemon is started again");
        self.stage.facility.start(&mut self.stage.lab.facility)?;
        self.stage.facility.bring_up(&self.stage.centre)?;
        let echoes = self.stage.ping(PINGS)?;
        self.judge_pings("the tunnel comes back by itself", echoes);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.voice.step("Both daemons are asked to stop");
        let facility: bool = self.stage.lab.facility.gateway.ask(&Order::StopDaemon)?;
        let centre: bool = self.stage.lab.centre.gateway.ask(&Order::StopDaemon)?;
        let word = |ok| if ok { "cleanly" } else { "NOT cleanly" };
        let words = format!("the facility's ended {}, the data centre's {}", word(facility), word(centre));
        self.judge("the daemons stop when they are asked to", facility && centre, words);
        Ok(())
    }

    fn judge_the_link(&mut self) -> Result<(), Error> {
        self.voice.step("What crossed the link from before the daemons were started until now");
        let Sightings { frames, clear_text, esp, ike, missed, .. } = self.stage.sightings()?;
        self.report.cleartext_packets = Some(clear_text);
        self.report.esp_packets = Some(esp);
        self.report.capture_drops = Some(missed);
        let words = format!("{clear_text} of {frames} packets showed the marker or a protected address");
        self.judge("no clear text crossed the link", clear_text == 0, words);
        let words = format!("{esp} ESP packets and {ike} IKE messages");
        self.judge("what crossed it was ESP, negotiated by IKE", esp > 0 && ike > 0, words);
        // On a busy machine the capture may fall behind the fastest transfer. There it is enough to see most of it; everywhere else,
        // where single packets could slip out, it has to see each.
        let else_missed = missed.saturating_sub(self.bulk.missed);
        let words =
            format!("it missed {} packets of the long TCP stream and {else_missed} others", self.bulk.missed);
        let ok = else_missed == 0 && self.bulk.missed < self.bulk.frames;
        self.judge("the capture saw what it had to see", ok, words);
        Ok(())
    }

    fn judge_pings(&mut self, claim: &str, echoes: ping::Echoes) {
        let ping::Echoes { sent, received, rtt_us } = echoes;
        let time = rtt_us.map(|rtt| format!(", {rtt} us there and back (median)")).unwrap_or_default();
        self.judge(claim, received == sent, format_args!("{received} of {sent} answered{time}"));
    }

    /// Says and notes whether a claim held, and what was seen.
    fn judge(&mut self, claim: &str, ok: bool, seen: impl Display) {
        self.voice.judge(self.report, claim, ok, seen);
    }
}

/// What names the SAs that a rekeying replaces.
fn spis(tunnel: &Tunnel, what: What) -> Vec<String> {
    match what {
        What::Ike => tunnel.ike.iter().map(|ike| ike.spi_i.clone()).collect(),
        What::Child | What::Both => {
            let sending = tunnel.children.iter().filter(|child| child.sending);
            sending.map(|child| child.spi_out.clone()).collect()
        }
    }
}
