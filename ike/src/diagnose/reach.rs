//! Nothing comes back: how far the line carries what (RFC 7296 §2.1, §2.23; RFC 7383).

use super::diagnosis;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::path::Path;
use crate::time::Instant;
use crate::wire::ExchangeType;

/// A request that was sent for the last time and never answered, with what else is known of the line.
#[derive(Clone, Debug)]
pub(crate) struct Silence {
    pub(crate) path: Path,
    pub(crate) exchange: ExchangeType,
    pub(crate) seconds: u64,
    /// The datagrams of the request, and bytes of the IP packet of the longest.
    pub(crate) datagrams: usize,
    pub(crate) longest: usize,
    /// Both ends take fragments (RFC 7383); `None` before that is known.
    pub(crate) fragmentation: Option<bool>,
    /// Whether a short message was answered on these ports meanwhile.
    pub(crate) answers_short: bool,
    /// Whether the peer was heard on other ports before.
    pub(crate) answered_elsewhere: bool,
    /// Fragments of the answer that came.
    pub(crate) pieces: usize,
    /// Why our datagrams did not leave, if they did not.
    pub(crate) unsent: Option<String>,
    /// What somebody on the way said, which proves nothing: anybody can say it.
    pub(crate) told: Option<String>,
}

/// Every IPv4 line carries packets of this many bytes; what is no longer is not lost for its length.
const SHORT: usize = 576;

pub(crate) fn silence(silence: &Silence) -> Diagnosis {
    let Silence { exchange, datagrams, longest, .. } = silence;
    let diagnosis = if let Some(why) = &silence.unsent {
        not_sent(silence, why)
    } else if silence.pieces > 0 {
        answer_incomplete(silence)
    } else if silence.answered_elsewhere && !silence.answers_short {
        nat_port_filtered(silence)
    } else if silence.answers_short && *datagrams > 1 {
        fragments_lost(silence)
    } else if silence.answers_short && *longest > SHORT {
        long_message_lost(silence)
    } else {
        no_answer(silence)
    };
    let sent = match datagrams {
        1 => format!("1 datagram of {longest} bytes"),
        _ => format!("{datagrams} fragments of up to {longest} bytes"),
    };
    diagnosis.compared(vec![Row::ours("request", vec![sent])]).during(*exchange)
}

fn no_answer(silence: &Silence) -> Diagnosis {
    let Silence { path, exchange, seconds, .. } = silence;
    let remote = path.remote;
    let (why, advice) = if silence.answers_short {
        (
            "; short messages it does answer there",
            "Look into the peer's log: it may discard this message, or its own answer (certificates make it long) is lost on the way; let fragments pass, or lower the peer's fragment size",
        )
    } else if *exchange == ExchangeType::IKE_SA_INIT {
        (
            if silence.told.is_some() { "" } else { "; nothing came from there at all" },
            "Check the address in `remote`, that the peer's IKE daemon runs and has a connection for our address, and that UDP ports 500 and 4500 pass every firewall on the way",
        )
    } else {
        ("", "Look into the peer's log for the same moment: it answered what came before")
    };
    let told =
        silence.told.iter().fold(String::new(), |_, told| format!("; {told} (ICMP, which anybody can send)"));
    let summary = format!("{remote} did not answer {exchange} within {seconds} s{why}{told}");
    diagnosis(DiagnosisKind::NoAnswer, Side::Nobody, summary, advice)
}

fn not_sent(silence: &Silence, why: &str) -> Diagnosis {
    let summary = format!("{} could not be sent to {}: {why}", silence.exchange, silence.path.remote);
    let advice = "Look for a firewall rule on this machine that drops our own packets to UDP ports 500 and 4500 (`nft list ruleset`), and for a route to the peer (`ip route get`)";
    diagnosis(DiagnosisKind::NotSent, Side::Nobody, summary, advice)
}

fn nat_port_filtered(silence: &Silence) -> Diagnosis {
    let Silence { path, exchange, seconds, .. } = silence;
    let (address, port) = (path.remote.ip(), path.remote.port());
    let summary = format!(
        "{address} answered IKE_SA_INIT on port 500, but neither {exchange} nor a short message on port {port} within {seconds} s"
    );
    let advice = format!(
        "Let UDP port {port} pass in both directions on every firewall between here and there, on the peer and on this machine; UDP port 500 passes already"
    );
    diagnosis(DiagnosisKind::NatPortFiltered, Side::Nobody, summary, &advice)
}

fn fragments_lost(silence: &Silence) -> Diagnosis {
    let Silence { path, exchange, seconds, datagrams, longest, .. } = silence;
    let summary = format!(
        "{exchange} went to {} in {datagrams} fragments of up to {longest} bytes and was not answered within {seconds} s; short messages are answered",
        path.remote
    );
    diagnosis(DiagnosisKind::FragmentsLost, Side::Nobody, summary, &smaller(*longest))
}

fn long_message_lost(silence: &Silence) -> Diagnosis {
    let Silence { path, exchange, seconds, longest, .. } = silence;
    let (why, advice) = if silence.fragmentation == Some(false) {
        let advice = "Switch IKE fragmentation (RFC 7383; strongSwan: `fragmentation = yes`) on at the peer, or have every firewall on the way let IP fragments pass";
        (", since the peer takes no IKE fragments", advice.to_owned())
    } else {
        ("", smaller(*longest))
    };
    let summary = format!(
        "{exchange} went to {} in one packet of {longest} bytes{why}, and was not answered within {seconds} s; short messages are answered",
        path.remote
    );
    diagnosis(DiagnosisKind::FragmentsLost, Side::Nobody, summary, &advice)
}

fn answer_incomplete(silence: &Silence) -> Diagnosis {
    let Silence { path, exchange, seconds, pieces, .. } = silence;
    let summary = format!(
        "of the answer of {} to {exchange} only {pieces} fragments came within {seconds} s: others are lost on the way",
        path.remote
    );
    let advice = "Lower the fragment size at the peer (strongSwan: `charon.fragment_size = 576`), and see that no firewall on the way limits UDP packets by length or rate";
    diagnosis(DiagnosisKind::FragmentsLost, Side::Nobody, summary, advice)
}

/// What to do about packets of this many bytes that are lost.
fn smaller(longest: usize) -> String {
    let rest = "and see that no firewall on the way drops UDP packets for their length";
    if longest > 1280 {
        format!("Set `fragment_size = 1280` for this tunnel (576 over IPv4, if that does not help), {rest}")
    } else if longest > SHORT {
        format!(
            "Packets of {longest} bytes may be lost on the way: set `fragment_size = 576` for this tunnel (over IPv4), {rest}"
        )
    } else {
        format!(
            "Packets of {longest} bytes are as short as they get: look for a firewall on the way that limits UDP packets by rate, {rest}"
        )
    }
}

/// A peer's request of which not all fragments came before its time was over.
pub(crate) fn request_incomplete(
    path: Path,
    exchange: ExchangeType,
    pieces: usize,
    seconds: u64,
) -> Diagnosis {
    let summary = format!(
        "of the {exchange} of {} only {pieces} fragments came within {seconds} s: others are lost on the way",
        path.remote_ip()
    );
    let advice = "Lower the fragment size at the peer (strongSwan: `charon.fragment_size = 576`), and see that no firewall on the way limits UDP packets by length or rate";
    diagnosis(DiagnosisKind::FragmentsLost, Side::Nobody, summary, advice).during(exchange)
}

/// A peer whose `IKE_SA_INIT` was answered on port 500, and who was not heard after that. `named`: a connection names its address.
pub(crate) fn never_came_back(path: Path, nat_port: u16, seconds: u64, named: bool) -> Diagnosis {
    let summary = format!(
        "{} began with IKE_SA_INIT, was answered, and was not heard within {seconds} s after that: perhaps UDP port {nat_port} is dropped on the way",
        path.remote_ip()
    );
    let whose = if named {
        String::new()
    } else {
        format!(
            "If that is a peer of ours, and nobody who looks for open ports, its packets to UDP port {nat_port} are dropped on the way, or our answers are. "
        )
    };
    let advice = format!(
        "{whose}Let UDP port {nat_port} pass in both directions on every firewall on the way, and see that our answers from port {} reach the peer; its log says what it waits for",
        path.local.port()
    );
    diagnosis(DiagnosisKind::NatPortFiltered, Side::Nobody, summary, &advice).during(ExchangeType::IKE_AUTH)
}

pub(crate) fn unreachable(hosts: &str, reason: &str) -> Diagnosis {
    let advice = "Check the name in `remote`, the name servers, and that there is a route to the peer";
    diagnosis(
        DiagnosisKind::Unreachable,
        Side::Nobody,
        format!("{hosts} cannot be reached: {reason}"),
        advice,
    )
}

/// A request of an established tunnel that was never answered. `heard` is when the peer was heard last, by message or
/// packet.
pub(crate) fn peer_dead(request: &Silence, first_sent: Instant, heard: Instant) -> Diagnosis {
    if request.unsent.is_none() && heard > first_sent && request.longest > SHORT {
        return silence(&Silence { answers_short: true, ..request.clone() });
    }
    let summary = format!("{} has not answered for {} s", request.path.remote, request.seconds);
    let advice =
        "The peer or the line to it is down: see that it runs, and that its UDP packets reach this machine";
    diagnosis(DiagnosisKind::PeerDead, Side::Nobody, summary, advice).during(request.exchange)
}
