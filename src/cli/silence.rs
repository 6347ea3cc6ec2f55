//! Packets that bring nothing back, in words: what was seen, and what may be behind it. Traffic of one direction is no fault.

use super::output::time;
use crate::api::{Child, IkeSa, Tunnel, Unanswered};

/// A Child SA that may carry packets in one direction only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// What was seen.
    pub(super) seen: String,
    /// What to look at.
    pub(super) advice: String,
}

/// Where ESP goes without UDP.
const NATIVE: &str = "ESP goes without UDP here, and a firewall on the way that passes IKE and drops IP protocol 50 looks just like this: let protocol 50 pass in both directions, or set `encapsulation = \"always\"`";
const BEHIND: &str =
    "whether it forwards, whether its hosts have a way back to our networks, and their firewalls";
const UNASKED: &str = "whether the peer is there is not known: nothing that IKE asked it since was answered yet, and it is soon asked again. If it answers, look behind it";
const IN_UDP: &str = "a firewall on the way may also tell ESP from IKE on UDP port 4500";
const HARMLESS: &str = "If the packets are of a kind that nobody answers, nothing is wrong";

const DEAF: &str = "look behind this end: whether this machine forwards (`sekisho check FILE`), whether the hosts are there and have their way back through it, and their firewalls. If the packets are of a kind that nobody answers, nothing is wrong";
/// So many packets at least are worth a look, after so many seconds.
const DEAF_PACKETS: u64 = 10;
const DEAF_TIME: u64 = 20;

/// Those of a tunnel, of all its peers.
pub(super) fn silences(tunnel: &Tunnel) -> Vec<Silence> {
    if tunnel.peers.is_empty() {
        let ike = tunnel.ike.as_ref();
        let had = tunnel.packets_in;
        return tunnel.children.iter().filter_map(|child| silence(None, child, (ike, had))).collect();
    }
    let of_peer = |peer: &crate::api::Peer| {
        let known = (Some(&peer.ike), peer.packets_in);
        let silences = peer.children.iter().filter_map(|child| silence(Some(&peer.remote_id), child, known));
        silences.collect::<Vec<_>>()
    };
    tunnel.peers.iter().flat_map(of_peer).collect()
}

/// `had`: packets that have come through this tunnel, on whichever SA.
fn silence(peer: Option<&str>, child: &Child, (ike, had): (Option<&IkeSa>, u64)) -> Option<Silence> {
    if child.sending && child.packets_out == 0 && child.packets_in >= DEAF_PACKETS && child.age_s >= DEAF_TIME
    {
        return Some(Silence { seen: deaf(peer, child), advice: DEAF.to_owned() });
    }
    let Unanswered { packets, for_s } = child.unanswered.filter(|_| child.sending)?;
    let to = peer.map_or_else(String::new, |peer| format!(" to {peer}"));
    let last = match child.last_in_s {
        Some(ago) => format!("the last came {} ago", time(ago)),
        None if had == 0 => "none has come since the tunnel was set up".to_owned(),
        // An SA that it has replaced, or another child's.
        None => format!("none has come on it since it was set up {} ago, but on others", time(child.age_s)),
    };
    let seen = format!(
        "on Child SA {}, {packets} packets were sent{to} within {} and none came back; {last}",
        child.name,
        time(for_s)
    );
    Some(Silence { seen, advice: advice(ike, for_s) })
}

/// Where to look first is what IKE knows of the line: whether the peer has answered it in these last seconds of silence.
fn advice(ike: Option<&IkeSa>, silent_s: u64) -> String {
    if let Some(waits) = ike.and_then(|ike| ike.unanswered_for_s) {
        let waits = time(waits);
        return format!(
            "IKE is not answered either, for {waits} now: look at the line, and whether the peer runs. If that stays so, the tunnel ends and is tried again by itself"
        );
    }
    let answered = ike.and_then(|ike| ike.last_answer_s).filter(|ago| *ago < silent_s).map(time);
    match (answered, ike.is_some_and(|ike| !ike.esp_in_udp)) {
        (Some(ago), false) => format!(
            "IKE passes on the same UDP port, it was answered {ago} ago; so look behind the peer first: {BEHIND}; {IN_UDP}. {HARMLESS}"
        ),
        (Some(ago), true) => format!("IKE passes, it was answered {ago} ago, but {NATIVE}. {HARMLESS}"),
        (None, false) => format!("{UNASKED}: {BEHIND}; {IN_UDP}. {HARMLESS}"),
        (None, true) => format!("{NATIVE}. {HARMLESS}"),
    }
}

/// What the other end sees as silence.
fn deaf(peer: Option<&str>, child: &Child) -> String {
    let from = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
    format!(
        "on Child SA {}, {} packets came{from} within {} and none went back",
        child.name,
        child.packets_in,
        time(child.age_s)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Status;

    fn tunnel(name: &str) -> Tunnel {
        let status: Status = serde_json::from_str(include_str!("../../tests/status.json")).unwrap();
        status.tunnels.into_iter().find(|tunnel| tunnel.name == name).unwrap()
    }

    #[test]
    fn what_was_seen_and_the_likely_cause_are_told_by_how_esp_travels() {
        let mut tunnel = tunnel("centre");
        assert_eq!(silences(&tunnel), [], "packets come");
        tunnel.children[0].unanswered = Some(Unanswered { packets: 53, for_s: 40 });
        tunnel.children[0].last_in_s = None;
        let sent = "on Child SA centre, 53 packets were sent within 40s and none came back";
        let told = silences(&tunnel);
        assert_eq!(
            told[0].seen,
            format!("{sent}; none has come on it since it was set up 2m05s ago, but on others"),
            "before a rekey"
        );
        tunnel.packets_in = 0;
        let told = silences(&tunnel);
        assert_eq!(told[0].seen, format!("{sent}; none has come since the tunnel was set up"));
        assert!(told[0].advice.starts_with("whether the peer is there is not known"), "{}", told[0].advice);
        tunnel.ike.as_mut().unwrap().last_answer_s = Some(40);
        assert_eq!(silences(&tunnel), told, "that was before");
        tunnel.ike.as_mut().unwrap().last_answer_s = Some(9);
        let told = silences(&tunnel);
        let behind = "IKE passes on the same UDP port, it was answered 9s ago; so look behind the peer first";
        assert!(told[0].advice.starts_with(behind), "{}", told[0].advice);
        tunnel.ike.as_mut().unwrap().unanswered_for_s = Some(3);
        let told = silences(&tunnel);
        assert!(told[0].advice.starts_with("IKE is not answered either, for 3s now"), "{}", told[0].advice);
        tunnel.ike.as_mut().unwrap().unanswered_for_s = None;
        tunnel.ike.as_mut().unwrap().esp_in_udp = false;
        tunnel.children[0].last_in_s = Some(75);
        let told = silences(&tunnel);
        assert!(told[0].seen.ends_with("and none came back; the last came 1m15s ago"), "{}", told[0].seen);
        assert!(
            told[0].advice.contains("IP protocol 50")
                && told[0].advice.contains("encapsulation = \"always\"")
        );
        tunnel.children[0].sending = false;
        assert_eq!(silences(&tunnel), [], "it is being replaced");
        (tunnel.children[0].sending, tunnel.children[0].unanswered) = (true, None);
        tunnel.children[0].packets_out = 0;
        let told = silences(&tunnel);
        assert_eq!(told[0].seen, "on Child SA centre, 12000 packets came within 2m05s and none went back");
        assert!(told[0].advice.starts_with("look behind this end"));
    }

    #[test]
    fn of_many_peers_the_silent_one_is_named() {
        let mut tunnel = tunnel("homes");
        tunnel.peers[0].children[0].unanswered = Some(Unanswered { packets: 12, for_s: 21 });
        let told = silences(&tunnel);
        assert!(
            told[0].seen.contains("12 packets were sent to one.home.example within 21s"),
            "{}",
            told[0].seen
        );
    }
}
