use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;

fn child_sa() -> ChildSa {
    ChildSa {
        tunnel: "centre".to_owned(),
        child: "records".to_owned(),
        remote_id: "hub.example".to_owned(),
        local: "192.0.2.17:4500".parse().unwrap(),
        remote: "[2001:db8::1]:4500".parse().unwrap(),
        suite: "aes256gcm16-x25519-esn".to_owned(),
        spi_in: "c0000001".to_owned(),
        spi_out: "c0000002".to_owned(),
        local_networks: vec!["10.17.0.0/24".to_owned()],
        remote_networks: vec!["10.0.0.0/16".to_owned()],
        withheld_local: vec![],
        withheld_remote: vec![],
    }
}

fn ike_sa() -> IkeSa {
    IkeSa {
        tunnel: "centre".to_owned(),
        local_id: "clinic-17.example".to_owned(),
        remote_id: "hub.example".to_owned(),
        local: "192.0.2.17:4500".parse().unwrap(),
        remote: "203.0.113.1:4500".parse().unwrap(),
        suite: "aes256gcm16-prfsha384-x25519".to_owned(),
        spi_i: "0123456789abcdef".to_owned(),
        spi_r: "fedcba9876543210".to_owned(),
        initiator: true,
        peer_auth: "ECDSA with SHA-256".to_owned(),
        peer_certificate: Some("C=JP, O=Centre, CN=hub, serial 07".to_owned()),
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        kind: "no_answer".to_owned(),
        refused_by: "nobody".to_owned(),
        summary: "203.0.113.1 does not answer".to_owned(),
        offered: None,
        acceptable: None,
        advice: "Is UDP 500 open on the way?".to_owned(),
        exchange: Some("IKE_SA_INIT".to_owned()),
        comparison: vec![Comparison {
            what: "request".to_owned(),
            ours: vec!["1 datagram of 312 bytes".to_owned()],
            theirs: None,
            common: vec![],
            agrees: None,
            remarks: vec![],
        }],
    }
}

fn end(reason: &str) -> End {
    End { reason: reason.to_owned(), explanation: "the peer deleted it".to_owned(), diagnosis: None }
}

fn certificate_expires(side: &str, days_left: i64) -> Fact {
    Fact::CertificateExpires {
        tunnel: None,
        tunnels: 3,
        side: side.to_owned(),
        subject: "CN=clinic-17".to_owned(),
        expires: Timestamp::from_unix(1_763_761_720),
        days_left,
    }
}

fn path_mtu_changed(source: &str, router: Option<&str>) -> Fact {
    Fact::PathMtuChanged {
        tunnel: "centre".to_owned(),
        remote_id: "hub.example".to_owned(),
        remote: "203.0.113.1".parse().unwrap(),
        from: 1500,
        to: 1400,
        source: source.to_owned(),
        router: router.map(|router| router.parse().unwrap()),
    }
}

#[test]
fn a_change_of_a_path_says_why() {
    let told = |source, router| path_mtu_changed(source, router).to_string();
    let carries = "the path to 203.0.113.1 carries packets of 1400 bytes, before 1500";
    assert_eq!(told("router", Some("198.51.100.1")), format!("{carries}: so says the router 198.51.100.1"));
    assert_eq!(told("probed", None), format!("{carries}: that was found out by probes"));
    assert_eq!(told("interface", None), format!("{carries}: as much as our own line"));
}

const TRAFFIC: Traffic = Traffic { packets_in: 1, packets_out: 2, bytes_in: 84, bytes_out: 168 };

fn every_fact() -> Vec<Fact> {
    vec![
        Fact::DaemonStarted { version: "0.1.0".to_owned(), pid: 7, interface: "sekisho0".to_owned() },
        Fact::DaemonStopping { reason: "on SIGTERM".to_owned() },
        Fact::ConfigLoaded {
            source: "/etc/s.toml".to_owned(),
            tunnels: 1,
            warnings: vec!["line 3: weak".to_owned()],
        },
        Fact::ConfigRefused { source: "/etc/s.toml".to_owned(), reason: "line 2: no".to_owned() },
        Fact::TunnelUp(ike_sa()),
        Fact::IkeSaRekeyed(ike_sa()),
        Fact::TunnelDown(IkeSaEnd { sa: ike_sa(), end: end("deleted_by_peer"), traffic: TRAFFIC }),
        Fact::ChildSaUp(child_sa()),
        Fact::ChildSaSending(child_sa()),
        Fact::ChildSaDown(ChildSaEnd {
            sa: child_sa(),
            end: End { diagnosis: Some(diagnosis()), ..end("failed") },
            traffic: TRAFFIC,
        }),
        Fact::PathChanged {
            tunnel: "centre".to_owned(),
            remote_id: "hub.example".to_owned(),
            local: "192.0.2.17:4500".parse().unwrap(),
            remote: "203.0.113.1:4500".parse().unwrap(),
        },
        path_mtu_changed("router", Some("198.51.100.1")),
        certificate_expires("local", 12),
        Fact::NegotiationFailed {
            tunnel: Some("centre".to_owned()),
            remote: Some("203.0.113.1".to_owned()),
            diagnosis: diagnosis(),
            next_try_in_s: Some(4),
        },
        Fact::EventsLost { lost: 3 },
    ]
}

#[test]
fn every_record_reads_back_and_has_a_stable_word() {
    let words: Vec<String> = every_fact()
        .into_iter()
        .map(|fact| {
            let record = Record { time: Timestamp::from_unix(1_763_761_720), fact };
            let line = serde_json::to_string(&record).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
            serde_json::from_str::<Value>(&line).unwrap()["event"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        words,
        [
            "daemon_started",
            "daemon_stopping",
            "config_loaded",
            "config_refused",
            "tunnel_up",
            "ike_sa_rekeyed",
            "tunnel_down",
            "child_sa_up",
            "child_sa_sending",
            "child_sa_down",
            "path_changed",
            "path_mtu_changed",
            "certificate_expires",
            "negotiation_failed",
            "events_lost"
        ]
    );
}

#[test]
fn the_end_of_a_child_sa_says_who_what_and_why() {
    let fact =
        Fact::ChildSaDown(ChildSaEnd { sa: child_sa(), end: end("deleted_by_peer"), traffic: TRAFFIC });
    let record = Record { time: Timestamp::from_unix(1_763_761_720), fact };
    let expected = serde_json::json!({
        "time": "2025-11-21T21:48:40.000Z", "event": "child_sa_down", "tunnel": "centre", "child": "records",
        "remote_id": "hub.example", "local": "192.0.2.17:4500", "remote": "[2001:db8::1]:4500",
        "suite": "aes256gcm16-x25519-esn", "spi_in": "c0000001", "spi_out": "c0000002",
        "local_networks": ["10.17.0.0/24"], "remote_networks": ["10.0.0.0/16"],
        "reason": "deleted_by_peer", "explanation": "the peer deleted it",
        "packets_in": 1, "packets_out": 2, "bytes_in": 84, "bytes_out": 168,
    });
    assert_eq!(serde_json::to_value(&record).unwrap(), expected);
    assert_eq!(
        record.to_string(),
        "2025-11-21T21:48:40.000Z centre: Child SA records (aes256gcm16-x25519-esn, SPIs in c0000001 out c0000002, \
         10.17.0.0/24 to 10.0.0.0/16) ended: the peer deleted it; 1 packets (84 bytes) in, 2 packets (168 bytes) out"
    );
}

#[test]
fn faults_are_warnings_and_wishes_are_not() {
    use text::Severity;
    let down = |end: End| Fact::TunnelDown(IkeSaEnd { sa: ike_sa(), end, traffic: TRAFFIC }).severity();
    assert_eq!(down(end("deleted_here")), Severity::Info);
    assert_eq!(down(end("peer_dead")), Severity::Warn);
    assert_eq!(down(End { diagnosis: Some(diagnosis()), ..end("failed") }), Severity::Warn);
    assert_eq!(Fact::TunnelUp(ike_sa()).severity(), Severity::Info);
    assert_eq!(certificate_expires("local", 0).severity(), Severity::Warn);
    assert_eq!(certificate_expires("local", -1).severity(), Severity::Error);
    assert_eq!(certificate_expires("peer", -1).severity(), Severity::Warn);
}

#[test]
fn the_end_of_a_certificate_is_told_in_words() {
    let told = |side, days_left| certificate_expires(side, days_left).to_string();
    assert_eq!(
        told("local", 12),
        "our certificate `CN=clinic-17` expires in 12 days, on 2025-11-21; 3 tunnels need it: have it renewed, put the new one into the same file, and `sekisho reload`"
    );
    assert_eq!(
        told("peer", -1),
        "the peer's certificate `CN=clinic-17` expired on 2025-11-21; 3 tunnels need it"
    );
}

fn lost(lost: u64) -> Fact {
    Fact::EventsLost { lost }
}

fn numbers(lines: &str) -> Vec<u64> {
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["lost"].as_u64().unwrap()).collect()
}

#[test]
fn the_sa_log_holds_every_record_and_follows_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("log/sa.jsonl"), directory.path().join("log/sa.jsonl.1"));
    let telemetry = Telemetry::with_sa_log(&path);
    telemetry.record(lost(1));
    telemetry.record(lost(2));
    telemetry.flush();
    assert_eq!(numbers(&fs::read_to_string(&path).unwrap()), [1, 2]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "mode 0640 or less");
    fs::rename(&path, &old).unwrap();
    telemetry.record(lost(3));
    telemetry.reopen();
    telemetry.record(lost(4));
    telemetry.flush();
    assert_eq!(numbers(&fs::read_to_string(&old).unwrap()), [1, 2, 3]);
    assert_eq!(numbers(&fs::read_to_string(&path).unwrap()), [4]);
    drop(telemetry);
    Telemetry::with_sa_log(&path).record(lost(5));
    assert_eq!(numbers(&fs::read_to_string(&path).unwrap()), [4, 5], "appended, and written at the end");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sa.jsonl");
    fs::create_dir(&path).unwrap();
    let telemetry = Telemetry::with_sa_log(&path);
    telemetry.record(lost(1));
    telemetry.flush();
    fs::remove_dir(&path).unwrap();
    telemetry.record(lost(2));
    telemetry.flush();
    assert_eq!(numbers(&fs::read_to_string(&path).unwrap()), [2]);
    assert_eq!(telemetry.subscribe().recent.len(), 2, "the other outlets have both");
}

#[test]
fn a_full_disk_loses_records_and_nothing_else() {
    let telemetry = Telemetry::with_sa_log(Path::new("/dev/full"));
    for n in 0..10 {
        telemetry.record(lost(n));
    }
    telemetry.flush();
    assert_eq!(telemetry.subscribe().recent.len(), 10);
}

#[test]
fn a_slow_reader_is_told_what_it_lost_and_the_recent_ones_are_bounded() {
    use tokio::sync::broadcast::error::TryRecvError;
    let telemetry = Telemetry::without_file();
    let mut early = telemetry.subscribe();
    assert!(early.recent.is_empty());
    let all = RECENT as u64 + 10;
    for n in 0..all {
        telemetry.record(lost(n));
    }
    assert!(matches!(early.live.try_recv(), Err(TryRecvError::Lagged(10))));
    assert_eq!(numbers(&early.live.try_recv().unwrap()), [10]);
    let late = telemetry.subscribe();
    assert_eq!(late.recent.len(), RECENT);
    assert_eq!(numbers(&late.recent[0]), [10]);
    assert_eq!(numbers(late.recent.last().unwrap()), [all - 1]);
}
