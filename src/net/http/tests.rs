//! Servers that answer well, and servers that hang, lie, drip, flood and babble. Time is the test's own.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::*;

/// What a server does on a connection.
#[derive(Clone)]
enum Step {
    /// Read the request.
    Listen,
    Say(Vec<u8>),
    /// The same again and again, with a pause before each.
    Repeat(Duration, Vec<u8>),
    /// Neither speak nor end.
    Hang,
}

use Step::{Hang, Listen, Repeat, Say};

fn say(text: impl AsRef<[u8]>) -> Step {
    Say(text.as_ref().to_vec())
}

/// Runs a server's steps, then ends the connection; gives what it was asked.
async fn serve(mut stream: DuplexStream, steps: Vec<Step>) -> String {
    let mut heard = String::new();
    for step in steps {
        match step {
            Listen => heard = listen(&mut stream).await,
            Say(bytes) => drop(stream.write_all(&bytes).await),
            Repeat(pause, bytes) => loop {
                sleep(pause).await;
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            },
            Hang => std::future::pending().await,
        }
    }
    heard
}

async fn listen(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    let whole = |heard: &[u8]| {
        let text = String::from_utf8_lossy(heard).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let body = length.map_or(0, |length| length.parse::<usize>().unwrap());
        text.split_once("\r\n\r\n").is_some_and(|(_, rest)| rest.len() >= body)
    };
    while !whole(&heard) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the request ended too early");
        heard.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(heard).unwrap()
}

/// Servers of which each serves one connection.
struct Servers {
    scripts: Mutex<std::vec::IntoIter<Vec<Step>>>,
    asked: Mutex<Vec<String>>,
}

impl Connect for Servers {
    type Stream = DuplexStream;

    async fn connect(&self, url: &Url, redirected: bool) -> Result<DuplexStream, HttpError> {
        assert_eq!(redirected, !self.asked.lock().unwrap().is_empty());
        self.asked.lock().unwrap().push(url.to_string());
        let script = self.scripts.lock().unwrap().next().expect("one more connection than expected");
        let (near, far) = duplex(4096);
        tokio::spawn(serve(far, script));
        Ok(near)
    }
}

/// Asks them; gives the answer and where was asked.
async fn asked(ask: &Ask, most: usize, scripts: Vec<Vec<Step>>) -> (Result<Vec<u8>, HttpError>, Vec<String>) {
    let servers = Servers { scripts: Mutex::new(scripts.into_iter()), asked: Mutex::default() };
    let url = "http://crl.example/ca/root.crl".parse().unwrap();
    let answer = follow(&servers, &url, ask, most).await;
    (answer, servers.asked.into_inner().unwrap())
}

async fn got(steps: Vec<Step>) -> Result<Vec<u8>, HttpError> {
    asked(&Ask::Get, 100_000, vec![steps]).await.0
}

fn is_broken(answer: &Result<Vec<u8>, HttpError>) -> bool {
    matches!(answer, Err(HttpError::Broken(_)))
}

#[tokio::test(start_paused = true)]
async fn an_honest_server_is_asked_plainly_and_believed() {
    let (near, far) = duplex(4096);
    let steps = vec![Listen, say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nCRL")];
    let server = tokio::spawn(serve(far, steps));
    let url: Url = "http://crl.example:8080/ca/root.crl?x".parse().unwrap();
    let answer = exchange::exchange(near, &url, &Ask::Get, 3).await;
    assert_eq!(answer, Ok(Answer::Content(b"CRL".to_vec())));
    let heard = server.await.unwrap().to_lowercase();
    assert!(heard.starts_with("get /ca/root.crl?x http/1.1\r\n"), "{heard}");
    for field in
        ["host: crl.example:8080", "connection: close", "cache-control: no-cache", "user-agent: sekisho/"]
    {
        assert!(heard.contains(field), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_posted() {
    let (near, far) = duplex(4096);
    let steps = vec![Listen, say("HTTP/1.0 200 OK\r\n\r\nanswer until the end")];
    let server = tokio::spawn(serve(far, steps));
    let ask = Ask::Post {
        content_type: "application/ocsp-request",
        accept: "application/ocsp-response",
        body: b"question".to_vec(),
    };
    let url: Url = "http://ocsp.example".parse().unwrap();
    let answer = exchange::exchange(near, &url, &ask, 100).await;
    assert_eq!(answer, Ok(Answer::Content(b"answer until the end".to_vec())));
    let heard = server.await.unwrap();
    assert!(heard.starts_with("POST / HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("content-type: application/ocsp-request\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\nquestion"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn pieces_are_put_together() {
    let chunks =
        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(got(vec![Listen, chunks]).await, Ok(b"abcdefg".to_vec()));
    let large = vec![b'x'; 100_000];
    let head = say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(got(vec![Listen, head, Say(large.clone())]).await, Ok(large));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_after_five_seconds() {
    let start = Instant::now();
    for steps in [
        vec![Hang],
        vec![Listen, Hang],
        vec![Listen, say("HTTP/1.1 200 OK\r\nContent-Le"), Hang],
        vec![Listen, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Hang],
    ] {
        assert_eq!(got(steps).await, Err(HttpError::Silent));
    }
    assert_eq!(start.elapsed(), PATIENCE * 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_drips_has_no_more_time() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let head = say("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
    assert_eq!(got(vec![Listen, head, Repeat(second, b"x".to_vec())]).await, Err(HttpError::Silent));
    let field = b"X-Field: x\r\n".to_vec();
    let head = say("HTTP/1.1 200 OK\r\n");
    assert_eq!(got(vec![Listen, head, Repeat(second, field)]).await, Err(HttpError::Silent));
    let moved = || {
        let location = b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n".to_vec();
        vec![Listen, Repeat(second * 2, location)]
    };
    let (answer, hops) = asked(&Ask::Get, 100, vec![moved(), moved(), moved()]).await;
    assert_eq!((answer, hops.len()), (Err(HttpError::Silent), 3), "the limit is for all hops together");
    assert_eq!(start.elapsed(), PATIENCE * 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_lies_about_the_length_is_not_believed() {
    let short = say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    assert_eq!(
        got(vec![Listen, short]).await,
        Err(HttpError::Broken("the connection ended too early".to_owned()))
    );
    let long = say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlonger than said");
    assert_eq!(got(vec![Listen, long]).await, Ok(b"lon".to_vec()));
    for lie in ["-1", "0x10", "99999999999999999999999999", "3\r\nContent-Length: 4"] {
        let answer = say(format!("HTTP/1.1 200 OK\r\nContent-Length: {lie}\r\n\r\nabcdefgh"));
        assert!(is_broken(&got(vec![Listen, answer]).await), "{lie}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_floods_is_cut_off() {
    let too_long = Err(HttpError::TooLong(100_000));
    let announced = say("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n");
    assert_eq!(got(vec![Listen, announced, Hang]).await, too_long);
    let now = Duration::ZERO;
    let head = say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"400\r\n".to_vec(), vec![b'x'; 1024], b"\r\n".to_vec()].concat();
    assert_eq!(got(vec![Listen, head, Repeat(now, chunk)]).await, too_long);
    let head = say("HTTP/1.0 200 OK\r\n\r\n");
    assert_eq!(got(vec![Listen, head, Repeat(now, vec![b'x'; 1000])]).await, too_long);
}

#[tokio::test(start_paused = true)]
async fn one_that_babbles_is_refused() {
    let now = Duration::ZERO;
    for babble in [
        "\x16\x03\x01\x02",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "\r\n\r\n\0\0",
    ] {
        assert!(is_broken(&got(vec![Listen, say(babble)]).await), "{babble:?}");
    }
    let head = || say("HTTP/1.1 200 OK\r\n");
    let field = format!("X-Field: {}\r\n", "x".repeat(500));
    assert!(is_broken(&got(vec![Listen, head(), Repeat(now, field.into_bytes())]).await), "endless fields");
    assert!(is_broken(&got(vec![Listen, head(), Repeat(now, vec![b'x'; 500])]).await), "an endless field");
    assert!(
        is_broken(&got(vec![Listen, head(), say("a: b\r\n".repeat(65)), say("\r\n")]).await),
        "many fields"
    );
    let chunk = say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n");
    assert!(is_broken(&got(vec![Listen, chunk]).await));
    assert!(is_broken(&got(vec![]).await), "silence, then the end");
    let more = say("HTTP/1.1 100 Continue\r\n\r\n");
    assert!(got(vec![Listen, more]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn other_answers_are_named() {
    for status in [204, 206, 304, 400, 404, 500, 503] {
        let answer = say(format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(got(vec![Listen, answer]).await, Err(HttpError::Status(status)));
    }
}

fn moved(status: u16, location: &str) -> Vec<Step> {
    vec![Listen, say(format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))]
}

#[tokio::test(start_paused = true)]
async fn three_redirections_are_followed_and_no_more() {
    let here = || vec![Listen, say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere")];
    let servers = vec![moved(301, "http://b/x/y"), moved(302, "z"), moved(307, "/w"), here()];
    let (answer, hops) = asked(&Ask::Get, 4, servers).await;
    assert_eq!(answer, Ok(b"here".to_vec()));
    assert_eq!(hops, ["http://crl.example/ca/root.crl", "http://b/x/y", "http://b/x/z", "http://b/w"]);
    let (answer, hops) = asked(&Ask::Get, 4, vec![moved(308, "/ca/root.crl"); 4]).await;
    assert_eq!((answer, hops.len()), (Err(HttpError::Circle), 4));
}

#[tokio::test(start_paused = true)]
async fn a_redirection_leads_to_http_and_keeps_the_question() {
    let astray = |to: &str, why| Err(HttpError::Astray(to.to_owned(), why));
    let answer = got(moved(301, "https://b/x")).await;
    assert_eq!(answer, astray("https://b/x", UrlError::Scheme));
    assert_eq!(
        answer.unwrap_err().to_string(),
        "leads to `https://b/x`, which is no http URL, the only kind that is fetched"
    );
    assert_eq!(got(moved(301, "http://user@b/")).await, astray("http://user@b/", UrlError::User));
    assert_eq!(got(vec![Listen, say("HTTP/1.1 301 Moved\r\n\r\n")]).await, Err(HttpError::Status(301)));
    let ask = Ask::Post { content_type: "a/b", accept: "c/d", body: b"question".to_vec() };
    assert_eq!(asked(&ask, 100, vec![moved(303, "/x")]).await.0, Err(HttpError::Status(303)));
}

/// A server on loopback that says the same to everyone.
async fn loopback(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            listen(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
        }
    });
    port
}

async fn over_tcp(url: &str) -> Result<Vec<u8>, HttpError> {
    let (url, connector): (Url, _) = (url.parse().unwrap(), Connector::new(None));
    // As a task, which must be `Send`.
    tokio::spawn(async move { fetch(&connector, &url, &Ask::Get, 100).await }).await.unwrap()
}

#[tokio::test]
async fn both_families_and_names_are_connected() {
    let (four, six) = (loopback("127.0.0.1").await, loopback("::1").await);
    assert_eq!(over_tcp(&format!("http://127.0.0.1:{four}/")).await, Ok(b"hi".to_vec()));
    assert_eq!(over_tcp(&format!("http://[::1]:{six}/")).await, Ok(b"hi".to_vec()));
    // Whatever `localhost` is here, IPv4 answers: after IPv6 was refused, if that came first.
    assert_eq!(over_tcp(&format!("http://localhost:{four}/")).await, Ok(b"hi".to_vec()));
}

#[tokio::test]
async fn who_cannot_be_reached_is_said() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = over_tcp(&format!("http://127.0.0.1:{port}/")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot be reached: 127.0.0.1: Connection refused");
    assert!(error.is_of_the_host());
    let error = over_tcp("http://0.0.0.0/").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot be reached: it has no address of a host that may be asked");
}
