//! The binary `sekisho` from outside: what it prints, where, and its exit code.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use sekisho_ike::suite::Profile;
use serde_json::Value;

fn sekisho(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.env("SEKISHO_SOCKET", "/nowhere/control.sock").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A daemon that gives these answers, one a connection, and tells what it was asked.
fn daemon(path: &Path, answers: Vec<String>) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let serve = |answer: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            request.trim_end().to_owned()
        };
        answers.into_iter().map(serve).collect()
    })
}

/// Runs a command against a daemon that gives one answer.
fn asked(answer: &str, arguments: &[&str]) -> (Output, String) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let daemon = daemon(&socket, vec![format!("{answer}\n")]);
    let output = sekisho(&[&["--socket", socket.to_str().unwrap()], arguments].concat());
    (output, daemon.join().unwrap().remove(0))
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    for arguments in [
        &["frobnicate"][..],
        &["up"],
        &["rekey", "a", "--ike", "--child"],
        &["keygen"],
        &["up", "a", "--timeout", "0"],
    ] {
        assert_eq!(sekisho(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for command in
        ["status", "sas", "up", "down", "rekey", "reload", "check", "events", "keygen", "unprotect", "demo"]
    {
        let output = sekisho(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(text(&output.stdout).contains("--json"), "{command}");
    }
}

#[test]
fn a_daemon_that_does_not_run_is_a_failure_with_its_remedy() {
    for arguments in
        [&["status"][..], &["sas"], &["up", "a"], &["down", "a"], &["rekey", "a"], &["reload"], &["events"]]
    {
        let output = sekisho(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let error = text(&output.stderr);
        assert!(
            error.starts_with("sekisho: no sekishod answers at /nowhere/control.sock: is it running"),
            "{error}"
        );
    }
    let output = sekisho(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
}

#[test]
fn a_pre_shared_key_is_fresh_and_long() {
    let key = |output: Output| {
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout).trim_end().to_owned()
    };
    let (one, other) = (key(sekisho(&["keygen", "psk"])), key(sekisho(&["keygen", "psk"])));
    assert_ne!(one, other);
    let bytes = sekisho_ike::identity::parse_psk(one.as_bytes()).unwrap();
    assert_eq!(bytes.len(), 32);
    assert!(one.starts_with("0s") && !one.contains('\n'));
    let json: Value = serde_json::from_slice(&sekisho(&["keygen", "psk", "--json"]).stdout).unwrap();
    assert!(json["psk"].as_str().unwrap().starts_with("0s"));
}

#[test]
fn status_prints_what_the_daemon_says() {
    let status: Value = serde_json::from_str(include_str!("status.json")).unwrap();
    let answer = serde_json::json!({ "ok": true, "data": status }).to_string();
    let (output, request) = asked(&answer, &["status", "--json"]);
    assert_eq!(request, r#"{"command":"status"}"#);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), status);
    let (output, _) = asked(&answer, &["status"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    for tunnel in ["centre", "spare", "support", "ward"] {
        assert!(shown.lines().any(|line| line.starts_with(tunnel)), "{tunnel} is missing:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colour in a pipe");
    let (output, request) = asked(&answer, &["sas"]);
    assert_eq!((output.status.code(), request.as_str()), (Some(0), r#"{"command":"sas"}"#));
}

#[test]
fn a_refusal_is_1_with_reason_and_advice() {
    let refusal = r#"{"ok":false,"error":"tunnel `centre` did not come up","diagnosis":{"kind":"no_ike_proposal","refused_by":"peer","summary":"the peer accepts none of our proposals","offered":"aes256gcm16-prfsha384-x25519","acceptable":null,"advice":"Compare `ike_proposals` at both ends."}}"#;
    let (output, request) = asked(refusal, &["up", "centre", "--timeout", "7"]);
    assert_eq!(request, r#"{"command":"up","tunnel":"centre","timeout_s":7}"#);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "sekisho: tunnel `centre` did not come up\n  the peer accepts none of our proposals\n  offered: aes256gcm16-prfsha384-x25519\n  => Compare `ike_proposals` at both ends.\n"
    );
    let (output, _) = asked(refusal, &["rekey", "centre", "--ike", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["diagnosis"]["kind"], "no_ike_proposal");
}

#[test]
fn a_child_of_a_tunnel_is_named_behind_a_slash() {
    let refusal = r#"{"ok":false,"error":"child `images` of tunnel `centre` is not up"}"#;
    for (arguments, asked_for) in [
        (
            &["up", "centre/images"][..],
            r#"{"command":"up","tunnel":"centre","child":"images","timeout_s":30}"#,
        ),
        (&["down", "centre/images"], r#"{"command":"down","tunnel":"centre","child":"images"}"#),
        (
            &["rekey", "centre/images"],
            r#"{"command":"rekey","tunnel":"centre","child":"images","what":"child","timeout_s":30}"#,
        ),
    ] {
        let (output, request) = asked(refusal, arguments);
        assert_eq!(request, asked_for);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), "sekisho: child `images` of tunnel `centre` is not up\n");
    }
    let output = sekisho(&["rekey", "centre/images", "--ike"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("a child has no IKE SA of its own"), "{}", text(&output.stderr));
}

#[test]
fn a_refusal_with_a_comparison_shows_it() {
    let refusal = r#"{"ok":false,"error":"no common suite","diagnosis":{"kind":"no_ike_proposal","refused_by":"here","summary":"no common suite","offered":null,"acceptable":null,"advice":"Compare them.","exchange":"IKE_SA_INIT","comparison":[{"what":"cipher","ours":["aes256gcm16"],"theirs":["3des"],"common":[],"agrees":false,"remarks":["the peer offers only what is not implemented here"]},{"what":"PRF","ours":["prfsha384"],"theirs":["prfsha384"],"common":["prfsha384"],"agrees":true,"remarks":[]}]}}"#;
    let (output, _) = asked(refusal, &["up", "centre"]);
    assert_eq!(
        text(&output.stderr),
        "sekisho: no common suite\n  => Compare them.\n          OURS         PEER'S\n  cipher  aes256gcm16  3des       DIFFER: the peer offers only what is not implemented here\n  PRF     prfsha384    prfsha384  agree\n"
    );
}

#[test]
fn explain_tells_why_a_tunnel_is_down() {
    let status: Value = serde_json::from_str(include_str!("status.json")).unwrap();
    let answer = serde_json::json!({ "ok": true, "data": status }).to_string();
    let (output, request) = asked(&answer, &["explain", "spare", "--json"]);
    assert_eq!((output.status.code(), request.as_str()), (Some(0), r#"{"command":"status"}"#));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["state"], &json["kind"]), (&"backoff".into(), &"no_ike_proposal".into()));
    assert_eq!(json["failure"], status["tunnels"][1]["last_failure"], "the whole diagnosis");
    let (output, _) = asked(&answer, &["explain", "spare"]);
    assert!(text(&output.stdout).contains("the peer refused in IKE_SA_INIT (no_ike_proposal)"));
    let (output, _) = asked(&answer, &["explain", "other"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("configured are: centre, spare, support, ward"));
}

#[test]
fn an_answer_that_breaks_off_is_a_failure() {
    for answer in ["{\"ok\":", "{}", "", "[1]"] {
        let (output, _) = asked(answer, &["reload"]);
        assert_eq!(output.status.code(), Some(1), "{answer}");
        assert!(text(&output.stderr).starts_with("sekisho: the daemon"), "{answer}");
    }
}

#[test]
fn events_are_words_or_json_lines() {
    let lines = "{\"time\":\"2025-11-21T21:48:40.000Z\",\"event\":\"daemon_stopping\",\"reason\":\"on SIGTERM\"}\n{\"time\":\"2025-11-21T21:48:41.000Z\",\"event\":\"from_the_future\"}";
    let (output, request) = asked(lines, &["events"]);
    assert_eq!(request, r#"{"command":"events","follow":false}"#);
    assert_eq!(output.status.code(), Some(0));
    let expected = "2025-11-21T21:48:40.000Z sekishod stops on SIGTERM\n{\"time\":\"2025-11-21T21:48:41.000Z\",\"event\":\"from_the_future\"}\n";
    assert_eq!(text(&output.stdout), expected);
    let (output, _) = asked(lines, &["events", "--json", "--follow"]);
    assert!(text(&output.stdout).starts_with(lines), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "whoever follows must not take the daemon's end for quiet");
    assert!(text(&output.stderr).contains("no more events come"), "{}", text(&output.stderr));
}

#[test]
fn check_judges_a_file_and_says_so_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sekisho.toml");
    fs::write(&path, include_str!("../configs/minimal.toml")).unwrap();
    let file = path.to_str().unwrap();

    let output = sekisho(&["check", "--file-only", file]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("centre.psk does not exist") && error.contains("sekisho.toml:11:"), "{error}");
    let json: Value =
        serde_json::from_slice(&sekisho(&["check", "--file-only", file, "--json"]).stdout).unwrap();
    assert_eq!((&json["ok"], &json["errors"][0]["line"]), (&Value::Bool(false), &Value::from(11)));

    let key = directory.path().join("centre.psk");
    fs::write(&key, sekisho(&["keygen", "psk"]).stdout).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let output = sekisho(&["check", "--file-only", file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{file} is good; tunnels: 1\n"));

    let output = sekisho(&["check", file, "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stops = json["machine"].as_array().unwrap().iter().any(|finding| finding["severity"] == "error");
    assert_eq!(json["ok"], !stops, "the machine counts as well: {json}");
    assert_eq!(output.status.code(), Some(i32::from(stops)));
}

#[test]
fn check_explains_what_a_profile_stands_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sekisho.toml");
    let key = directory.path().join("centre.psk");
    fs::write(&key, sekisho(&["keygen", "psk"]).stdout).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = "profile = \"compatible\"\nesp_proposals = [\"aes256-sha256-modp2048-nopfs-noesn\"]\n";
    fs::write(&path, format!("{}{settings}", include_str!("../configs/minimal.toml"))).unwrap();
    let file = path.to_str().unwrap();

    let output = sekisho(&["check", "--file-only", "--explain", file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("lets the peer rekey without perfect forward secrecy"), "{shown}");
    let expected = "tunnel centre, profile compatible
  ike_proposals, preferred first
    1. aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512-x25519-ecp256-ecp384-modp3072-modp2048
    2. aes256-aes128-sha256-sha384-sha512-prfsha384-prfsha256-prfsha512-x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048
  esp_proposals of child centre, preferred first
    1. aes256-sha256-modp2048-nopfs-noesn
";
    assert!(shown.ends_with(expected), "{shown}");

    let output = sekisho(&["check", "--file-only", "--explain", file, "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tunnel = &json["tunnels"][0];
    assert_eq!((&tunnel["name"], &tunnel["profile"]), (&"centre".into(), &"compatible".into()));
    assert_eq!(tunnel["ike_proposals"].as_array().unwrap().len(), 2);
    assert_eq!(
        tunnel["children"][0]["esp_proposals"],
        serde_json::json!(["aes256-sha256-modp2048-nopfs-noesn"])
    );
}

/// What is shown is what is offered.
#[test]
fn check_explains_every_profile() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sekisho.toml");
    let key = directory.path().join("centre.psk");
    fs::write(&key, sekisho(&["keygen", "psk"]).stdout).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for profile in Profile::ALL {
        let name = profile.name();
        let settings = format!("profile = \"{name}\"\n");
        fs::write(&path, format!("{}{settings}", include_str!("../configs/minimal.toml"))).unwrap();
        let output = sekisho(&["check", "--file-only", "--explain", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let numbered = |proposals: Vec<String>| {
            let lines = proposals.iter().enumerate();
            lines.map(|(at, proposal)| format!("    {}. {proposal}\n", at + 1)).collect::<Vec<_>>().concat()
        };
        let ike = numbered(profile.ike_proposals().iter().map(ToString::to_string).collect());
        let esp = numbered(profile.esp_proposals().iter().map(ToString::to_string).collect());
        let expected = format!(
            "tunnel centre, profile {name}\n  ike_proposals, preferred first\n{ike}  esp_proposals of child centre, preferred first\n{esp}"
        );
        let shown = text(&output.stdout);
        assert!(shown.ends_with(&expected), "{shown}");
        assert_eq!(shown.contains("aes256gcm16-prfsha384-ecp384\n"), profile == Profile::Cnsa, "{shown}");
    }
}

#[test]
fn unprotect_is_refused_while_a_daemon_answers() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let output = sekisho(&["--socket", socket.to_str().unwrap(), "unprotect"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("stop it first to free everything"), "{}", text(&output.stderr));
}
