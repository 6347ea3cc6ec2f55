use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::telemetry::Telemetry;

/// Short enough for a test that waits for them to end, and irrelevant to those that do not.
const SHORT: Limits = Limits {
    clients: 3,
    request: Duration::from_millis(300),
    answer: Duration::from_millis(300),
    control: Duration::from_millis(300),
};

/// Far beyond any test.
const LONG: Limits = Limits {
    clients: 3,
    request: Duration::from_mins(10),
    answer: Duration::from_mins(10),
    control: Duration::from_mins(10),
};

/// A server with a control loop that answers in its own way, in a thread of its own.
struct Running {
    directory: tempfile::TempDir,
    telemetry: Telemetry,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// `status` says how often it was asked, `reload` is refused, `down` is never answered, `sas` is dropped.
fn answer(
    count: u64,
    request: &Request,
    reply: oneshot::Sender<Reply>,
    kept: &mut Vec<oneshot::Sender<Reply>>,
) {
    match request {
        Request::Status => drop(reply.send(Reply::done(&json!({ "count": count })))),
        Request::Reload => drop(reply.send(Reply::failed("line 3: no"))),
        Request::Down { .. } => kept.push(reply),
        Request::Rekey { .. } => drop(reply.send(Reply::Done(Value::String("x".repeat(MAX_REPLY))))),
        _ => {}
    }
}

impl Running {
    fn start(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let telemetry = Telemetry::without_file();
        let (stop, stopped) = oneshot::channel();
        let server = Server::bind(&directory.path().join("control.sock"), "", limits).unwrap();
        let records = telemetry.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (to_control, mut requests) = mpsc::channel::<Asked>(4);
                let control = async {
                    let (mut count, mut kept) = (0, Vec::new());
                    while let Some((request, reply)) = requests.recv().await {
                        count += 1;
                        answer(count, &request, reply, &mut kept);
                    }
                };
                tokio::select! {
                    result = server.run(to_control, records) => panic!("the server ended: {result:?}"),
                    () = control => panic!("the control loop ended"),
                    _ = stopped => {}
                }
            });
        });
        Self { directory, telemetry, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        // Longer than any test may take: so that one that would hang fails.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    fn status(&self) -> Value {
        Client::connect(&self.socket()).unwrap().ask(&Request::Status).unwrap().into_data().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the server's thread failed");
        assert!(!self.socket().exists(), "the socket stayed behind");
    }
}

/// Waits for what must come, for as long as a machine may be slow.
fn eventually(mut come: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !come() {
        assert!(Instant::now() < deadline, "it does not come");
        thread::yield_now();
    }
}

/// Everything until the end of the stream.
fn rest(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn refusal(line: &str) -> String {
    let Reply::Failed(failure) = serde_json::from_str(line).unwrap() else { panic!("not refused: {line}") };
    failure.error
}

#[test]
fn requests_and_replies_are_written_as_documented() {
    let requests = [
        (Request::Status, r#"{"command":"status"}"#),
        (Request::Sas, r#"{"command":"sas"}"#),
        (
            Request::Up { tunnel: "centre".to_owned(), child: None, timeout_s: 30 },
            r#"{"command":"up","tunnel":"centre","timeout_s":30}"#,
        ),
        (
            Request::Up { tunnel: "centre".to_owned(), child: Some("images".to_owned()), timeout_s: 30 },
            r#"{"command":"up","tunnel":"centre","child":"images","timeout_s":30}"#,
        ),
        (
            Request::Down { tunnel: "centre".to_owned(), child: None },
            r#"{"command":"down","tunnel":"centre"}"#,
        ),
        (
            Request::Rekey { tunnel: "centre".to_owned(), child: None, what: What::Ike, timeout_s: 30 },
            r#"{"command":"rekey","tunnel":"centre","what":"ike","timeout_s":30}"#,
        ),
        (Request::Reload, r#"{"command":"reload"}"#),
        (
            Request::Unprotect { networks: vec!["10.99.0.0/16".parse().unwrap()] },
            r#"{"command":"unprotect","networks":["10.99.0.0/16"]}"#,
        ),
        (
            Request::Events { follow: true, tunnel: None, limit: None },
            r#"{"command":"events","follow":true}"#,
        ),
    ];
    for (request, text) in requests {
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
    }
    let short: Request = serde_json::from_str(r#"{"command":"rekey","tunnel":"centre"}"#).unwrap();
    assert_eq!(
        short,
        Request::Rekey { tunnel: "centre".to_owned(), child: None, what: What::Both, timeout_s: 30 }
    );
    for bad in [
        r#"{"command":"up"}"#,
        r#"{"command":"up","tunnel":"a","force":1}"#,
        r#"{"command":"stop"}"#,
        "[]",
        "7",
    ] {
        assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
    }

    let replies = [
        (Reply::Done(json!({"a": 1})), r#"{"ok":true,"data":{"a":1}}"#),
        (Reply::Done(Value::Null), r#"{"ok":true,"data":null}"#),
        (Reply::failed("no"), r#"{"ok":false,"error":"no","diagnosis":null}"#),
    ];
    for (reply, text) in replies {
        assert_eq!(serde_json::to_string(&reply).unwrap(), text);
        assert_eq!(serde_json::from_str::<Reply>(text).unwrap(), reply);
    }
    for bad in [r#"{"ok":true,"error":"x"}"#, r#"{"ok":false}"#, r#"{"data":1}"#] {
        assert!(serde_json::from_str::<Reply>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_request_is_logged_as_it_is_typed() {
    for (request, logged) in [
        (r#"{"command":"up","tunnel":"centre"}"#, "up centre"),
        (r#"{"command":"down","tunnel":"centre","child":"images"}"#, "down centre/images"),
        (r#"{"command":"rekey","tunnel":"centre","what":"ike"}"#, "rekey centre --ike"),
        (r#"{"command":"unprotect"}"#, "unprotect --stale"),
        (r#"{"command":"unprotect","networks":["10.99.0.0/16","::/0"]}"#, "unprotect 10.99.0.0/16 ::/0"),
        (r#"{"command":"up","tunnel":"a\u001b[2J\nb"}"#, r"up a\u{1b}[2J\nb"),
    ] {
        assert_eq!(serde_json::from_str::<Request>(request).unwrap().to_string(), logged);
    }
}

#[test]
fn the_last_records_of_a_tunnel_are_those_that_are_wanted() {
    let time = "2025-11-21T21:48:40.123Z";
    let of_ward = |who: &str| json!({"time": time, "event": "path_changed", "tunnel": "ward", "remote_id": who, "local": "192.0.2.1:500", "remote": "192.0.2.2:500"});
    let of_daemon = |why: &str| json!({"time": time, "event": "daemon_stopping", "reason": why});
    let record = |of: Value| -> Arc<str> { of.to_string().into() };
    let recent = || {
        ["a", "b", "c"]
            .into_iter()
            .flat_map(|kind| [record(of_ward(kind)), record(of_daemon(kind))])
            .collect()
    };
    let kinds = |tunnel: Option<&str>, limit| -> Vec<String> {
        let wanted = Wanted { tunnel: tunnel.map(str::to_owned), limit };
        let last = wanted.last(recent());
        let kind = |line: &Arc<str>| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["remote_id"].as_str().or(line["reason"].as_str()).unwrap().to_owned()
        };
        last.iter().map(kind).collect()
    };
    assert_eq!(kinds(None, None), ["a", "a", "b", "b", "c", "c"]);
    assert_eq!(kinds(None, Some(3)), ["b", "c", "c"]);
    assert_eq!(kinds(Some("ward"), None), ["a", "b", "c"]);
    assert_eq!(kinds(Some("ward"), Some(2)), ["b", "c"]);
    assert_eq!(kinds(Some("ward"), Some(0)), [""; 0]);
    assert_eq!(kinds(Some("centre"), Some(2)), [""; 0]);
}

#[test]
fn lines_come_out_whatever_the_pieces_and_long_ones_are_refused() {
    let mut frames = Frames::new(5);
    frames.push(b"ab");
    assert_eq!(frames.next_line(), Ok(None));
    frames.push(b"c\n\n12345\n6");
    assert_eq!(frames.next_line(), Ok(Some(&b"abc"[..])));
    assert_eq!(frames.next_line(), Ok(Some(&b""[..])));
    assert_eq!(frames.next_line(), Ok(Some(&b"12345"[..])));
    assert_eq!(frames.next_line(), Ok(None));
    frames.push(b"78901");
    assert_eq!(frames.next_line(), Err(TooLong(5)), "before its newline is there");
    let mut frames = Frames::new(5);
    frames.push(b"123456\n");
    assert_eq!(frames.next_line(), Err(TooLong(5)));
}

#[test]
fn a_client_may_ask_several_times_and_a_refusal_has_its_reason() {
    let running = Running::start(LONG);
    let mut client = Client::connect(&running.socket()).unwrap();
    assert_eq!(client.ask(&Request::Status).unwrap(), Reply::Done(json!({"count": 1})));
    assert_eq!(client.ask(&Request::Reload).unwrap(), Reply::failed("line 3: no"));
    assert_eq!(client.ask(&Request::Status).unwrap(), Reply::Done(json!({"count": 3})));
    let sas = client.ask(&Request::Sas).unwrap();
    assert_eq!(sas, Reply::failed("the daemon is stopping"), "the control loop dropped it");
}

#[test]
fn nonsense_is_answered_and_changes_nothing() {
    let running = Running::start(LONG);
    let mut stream = running.connect();
    stream.write_all(b"hello\n\x00\xff\n{\"command\":\"up\"}\n{\"command\":\"status\"}\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    for _ in 0..3 {
        assert!(refusal(&lines.next().unwrap().unwrap()).starts_with("the request is not understood: "));
    }
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"ok":true,"data":{"count":1}}"#);
}

#[test]
fn an_endless_request_is_cut_off() {
    let running = Running::start(LONG);
    let mut stream = running.connect();
    // The server may have answered and gone before all of it is written.
    let _ = stream.write_all(&vec![b' '; MAX_REQUEST + 5000]);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    assert_eq!(refusal(&answer), "a request is longer than 65536 bytes");
    assert_eq!(running.status(), json!({"count": 1}));
}

#[test]
fn a_silent_client_is_dropped_and_holds_nobody_up() {
    let running = Running::start(SHORT);
    let silent = running.connect();
    let mut half = running.connect();
    half.write_all(b"{\"command\":").unwrap();
    assert_eq!(running.status(), json!({"count": 1}), "served beside them");
    for stream in [silent, half] {
        assert_eq!(refusal(&rest(stream)), "no request came within 0 s");
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let running = Running::start(SHORT);
    let mut stream = running.connect();
    // More than any socket's buffer holds, in one answer.
    stream.write_all(b"{\"command\":\"rekey\",\"tunnel\":\"t\"}\n").unwrap();
    let big = r#"{"command":"events","follow":true}"#;
    let mut follower = running.connect();
    writeln!(follower, "{big}").unwrap();
    let text = "x".repeat(60_000);
    for _ in 0..100 {
        running.telemetry.record(Fact::DaemonStopping { reason: text.clone() });
    }
    assert_eq!(running.status()["count"], 2);
    for mut stalled in [stream, follower] {
        stalled.set_nonblocking(true).unwrap();
        eventually(|| stalled.write(b" ").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
    }
}

#[test]
fn an_answer_beyond_the_limit_is_replaced_by_a_reason() {
    let running = Running::start(LONG);
    let request = Request::Rekey { tunnel: "t".to_owned(), child: None, what: What::Both, timeout_s: 1 };
    let reply = Client::connect(&running.socket()).unwrap().ask(&request).unwrap();
    assert_eq!(reply, Reply::failed("the answer is longer than 16777216 bytes"));
}

#[test]
fn a_control_loop_that_does_not_answer_is_not_waited_for_for_ever() {
    let running = Running::start(SHORT);
    let mut client = Client::connect(&running.socket()).unwrap();
    let reply = client.ask(&Request::Down { tunnel: "t".to_owned(), child: None }).unwrap();
    assert_eq!(reply, Reply::failed("the daemon is too busy to answer"));
    let reply = client.ask(&Request::Up { tunnel: "t".to_owned(), child: None, timeout_s: 601 }).unwrap();
    assert_eq!(reply, Reply::failed("a wait may last 600 s at most"));
}

#[test]
fn more_clients_than_allowed_are_turned_away_with_a_word() {
    let running = Running::start(LONG);
    let held: Vec<UnixStream> = (0..LONG.clients).map(|_| running.connect()).collect();
    let turned_away = rest(running.connect());
    assert!(refusal(&turned_away).starts_with("the daemon has too many clients already"), "{turned_away}");
    let reply = Client::connect(&running.socket()).unwrap().ask(&Request::Status).unwrap();
    assert!(matches!(reply, Reply::Failed(_)), "the command line reads the reason: {reply:?}");
    drop(held);
    // The server notices when it next gets to run; until then the answer is still the refusal.
    let ask = || Client::connect(&running.socket()).and_then(|mut client| client.ask(&Request::Status));
    eventually(|| matches!(ask(), Ok(Reply::Done(_))));
}

#[test]
fn a_client_that_has_ended_is_not_counted_against_the_next() {
    let running = Running::start(Limits { clients: 1, ..LONG });
    for _ in 0..3 {
        let mut stream = running.connect();
        writeln!(stream, r#"{{"command":"events"}}"#).unwrap();
        assert_eq!(rest(stream), "", "no events, and the end");
    }
}

#[test]
fn a_client_that_left_while_its_request_waits_makes_room() {
    let running = Running::start(LONG);
    let held: Vec<UnixStream> = (0..LONG.clients).map(|_| running.connect()).collect();
    for mut stream in held {
        writeln!(stream, r#"{{"command":"down","tunnel":"t"}}"#).unwrap();
    }
    let ask = || Client::connect(&running.socket()).and_then(|mut client| client.ask(&Request::Status));
    eventually(|| matches!(ask(), Ok(Reply::Done(_))));
}

#[test]
fn a_client_that_has_no_more_to_say_still_gets_its_answer() {
    let running = Running::start(LONG);
    let mut stream = running.connect();
    writeln!(stream, r#"{{"command":"status"}}"#).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(stream).trim_end(), r#"{"ok":true,"data":{"count":1}}"#);
}

#[test]
fn events_are_the_recent_ones_and_then_those_to_come() {
    let running = Running::start(LONG);
    let lost = |lost| Fact::EventsLost { lost };
    running.telemetry.record(lost(1));
    running.telemetry.record(lost(2));
    let fact = |event: Result<(String, Option<Record>), ClientError>| event.unwrap().1.unwrap().fact;
    let recent = Client::connect(&running.socket()).unwrap().events(false, Wanted::default()).unwrap();
    assert_eq!(recent.map(fact).collect::<Vec<_>>(), [lost(1), lost(2)]);

    let mut following = Client::connect(&running.socket()).unwrap().events(true, Wanted::default()).unwrap();
    assert_eq!(following.next().map(fact), Some(lost(1)));
    assert_eq!(following.next().map(fact), Some(lost(2)));
    running.telemetry.record(lost(3));
    assert_eq!(following.next().map(fact), Some(lost(3)));
}

#[test]
fn a_follower_that_lags_is_told_how_many_it_lost() {
    let running = Running::start(LONG);
    let mut stream = running.connect();
    writeln!(stream, r#"{{"command":"events","follow":true}}"#).unwrap();
    // Large records, so that the socket's buffer is full long before the last one; the reader sleeps until all are
    // recorded.
    let text = "x".repeat(20_000);
    for _ in 0..1000 {
        running.telemetry.record(Fact::DaemonStopping { reason: text.clone() });
    }
    running.telemetry.record(Fact::EventsLost { lost: 424_242 });
    let mut told = 0;
    let mut read = 0;
    for line in BufReader::new(stream).lines() {
        let record: Record = serde_json::from_str(&line.unwrap()).unwrap();
        match record.fact {
            Fact::EventsLost { lost: 424_242 } => break,
            Fact::EventsLost { lost } => told += lost,
            _ => read += 1,
        }
    }
    // What was subscribed to late is missing without a word, but what was lost while following is counted.
    assert!(told + read <= 1000, "{told} lost and {read} read");
    assert!(told > 0, "{read} read");
}

#[test]
fn only_a_dead_daemons_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/control.sock");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let bind = || Server::bind(&path, "no-such-group", LONG);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "as a daemon that was killed leaves it");
    let server = bind().unwrap();
    let about = fs::metadata(&path).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600, "without a group only root may use it");
    assert!(matches!(bind(), Err(BindError::InUse(_))), "somebody answers");
    drop(server);
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(), Err(BindError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else was left behind");
}

#[test]
fn the_group_may_use_the_socket_where_there_is_one() {
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = Server::bind(&path, &group.name, LONG).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn a_missing_daemon_is_said_to_be_missing() {
    let error = Client::connect(Path::new("/nowhere/control.sock")).unwrap_err();
    assert!(error.to_string().starts_with("no sekishod answers at /nowhere/control.sock"), "{error}");
}
