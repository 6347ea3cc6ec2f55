use std::collections::BTreeSet;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::*;

/// Asks nobody: the test answers.
struct Fake(mpsc::UnboundedSender<Asked>);

struct Asked {
    url: String,
    ask: Ask,
    most: usize,
    answer: oneshot::Sender<Result<Vec<u8>, HttpError>>,
}

impl Messenger for Fake {
    async fn ask(&self, url: &Url, ask: &Ask, most: usize) -> Result<Vec<u8>, HttpError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { url: url.to_string(), ask: ask.clone(), most, answer };
        self.0.send(asked).ok().unwrap();
        timeout(http::PATIENCE, answered).await.map_or(Err(HttpError::Silent), |answer| answer.unwrap())
    }
}

struct Lab {
    fetcher: Fetcher<Fake>,
    asked: mpsc::UnboundedReceiver<Asked>,
    running: JoinSet<Result<Vec<u8>, String>>,
    directory: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        let fetcher = Fetcher::with(Fake(sender), Some(directory.path().join("fetched")));
        Self { fetcher, asked, running: JoinSet::new(), directory }
    }

    /// The daemon starts again.
    fn restart(&mut self) {
        let (sender, asked) = mpsc::unbounded_channel();
        self.fetcher = Fetcher::with(Fake(sender), Some(self.directory.path().join("fetched")));
        self.asked = asked;
    }

    fn fetch(&mut self, url: &str, refresh: bool) {
        let want = Want { url: url.to_owned(), kind: Kind::Crl, refresh };
        self.running.spawn(self.fetcher.clone().fetch(want));
    }

    async fn done(&mut self) -> Result<Vec<u8>, String> {
        self.running.join_next().await.unwrap().unwrap()
    }

    async fn answer(&mut self, content: &[u8]) -> String {
        let asked = self.asked.recv().await.unwrap();
        asked.answer.send(Ok(content.to_vec())).unwrap();
        asked.url
    }

    /// Everything that is asked without an answer to what was asked before.
    async fn asked_by_now(&mut self) -> Vec<Asked> {
        let mut all = Vec::new();
        while let Ok(Some(asked)) = timeout(Duration::from_millis(1), self.asked.recv()).await {
            all.push(asked);
        }
        all
    }

    async fn is_quiet(&mut self) -> bool {
        self.asked_by_now().await.is_empty()
    }
}

#[tokio::test(start_paused = true)]
async fn a_crl_is_got_and_a_responder_is_asked_with_limits_of_their_own() {
    let mut lab = Lab::new();
    lab.fetch("http://a/crl", false);
    let asked = lab.asked.recv().await.unwrap();
    assert_eq!((asked.url.as_str(), asked.ask, asked.most), ("http://a/crl", Ask::Get, 16 << 20));
    asked.answer.send(Ok(b"crl".to_vec())).unwrap();
    assert_eq!(lab.done().await, Ok(b"crl".to_vec()));

    let want = Want { url: "http://a/".to_owned(), kind: Kind::Ocsp(b"who".to_vec()), refresh: false };
    lab.running.spawn(lab.fetcher.clone().fetch(want));
    let asked = lab.asked.recv().await.unwrap();
    let Ask::Post { content_type, accept, body } = asked.ask else { panic!("{:?}", asked.ask) };
    assert_eq!((content_type, accept), ("application/ocsp-request", "application/ocsp-response"));
    assert_eq!((body.as_slice(), asked.most), (b"who".as_slice(), 64 << 10));
    asked.answer.send(Ok(b"good".to_vec())).unwrap();
    assert_eq!(lab.done().await, Ok(b"good".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_over_a_restart_until_it_does_not_do() {
    let mut lab = Lab::new();
    lab.fetch("http://a/crl", false);
    lab.answer(b"first").await;
    assert_eq!(lab.done().await, Ok(b"first".to_vec()));
    lab.restart();
    lab.fetch("http://a/crl", false);
    assert_eq!(lab.done().await, Ok(b"first".to_vec()));
    assert!(lab.is_quiet().await);
    lab.fetch("http://a/crl", true);
    lab.answer(b"second").await;
    assert_eq!(lab.done().await, Ok(b"second".to_vec()));
    lab.fetch("http://a/crl", false);
    assert_eq!(lab.done().await, Ok(b"second".to_vec()));
    assert!(lab.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_kept_and_broke_is_fetched_again() {
    let mut lab = Lab::new();
    lab.fetch("http://a/crl", false);
    lab.answer(b"first").await;
    lab.done().await.unwrap();
    for file in std::fs::read_dir(lab.directory.path().join("fetched")).unwrap() {
        std::fs::write(file.unwrap().path(), b"broken").unwrap();
    }
    lab.fetch("http://a/crl", false);
    lab.answer(b"again").await;
    assert_eq!(lab.done().await, Ok(b"again".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_ask_once() {
    let mut lab = Lab::new();
    (0..20).for_each(|n| lab.fetch("http://a/crl", n % 2 == 0));
    lab.answer(b"crl").await;
    for _ in 0..20 {
        assert_eq!(lab.done().await, Ok(b"crl".to_vec()));
    }
    assert!(lab.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_asked_one_question_at_a_time_and_eight_hosts_at_once() {
    let mut lab = Lab::new();
    for n in 0..24 {
        lab.fetch(&format!("http://host{}/{n}", n % 12), false);
    }
    let (mut open, mut most) = (Vec::new(), 0);
    for _ in 0..24 {
        open.extend(lab.asked_by_now().await);
        let hosts: BTreeSet<_> = open.iter().map(|a| a.url.split('/').nth(2).unwrap()).collect();
        assert_eq!(hosts.len(), open.len(), "two questions to one host");
        most = most.max(open.len());
        open.remove(0).answer.send(Ok(Vec::new())).unwrap();
        lab.done().await.unwrap();
    }
    assert_eq!(most, 8);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_costs_whoever_needs_it_and_then_rests() {
    let mut lab = Lab::new();
    let start = Instant::now();
    (0..100).for_each(|n| lab.fetch(&format!("http://hangs/{n}"), false));
    let hangs = lab.asked.recv().await.unwrap();
    lab.fetch("http://well/crl", false);
    assert_eq!(lab.answer(b"crl").await, "http://well/crl");
    assert_eq!(lab.done().await, Ok(b"crl".to_vec()), "the others are served meanwhile");
    assert!(start.elapsed().is_zero());
    for _ in 0..100 {
        let error = lab.done().await.unwrap_err();
        assert!(error.contains("did not answer within 5 s"), "{error}");
    }
    assert_eq!(start.elapsed(), http::PATIENCE, "the hundred waited for one answer");
    assert!(lab.is_quiet().await);
    drop(hangs);
    lab.fetch("http://hangs/x", true);
    let error = lab.done().await.unwrap_err();
    assert_eq!(error, "http://hangs/x did not answer within 5 s; it is asked again 30 s after that");
    tokio::time::advance(REST).await;
    lab.fetch("http://hangs/x", true);
    lab.answer(b"back").await;
    assert_eq!(lab.done().await, Ok(b"back".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_about_one_question_spares_the_host() {
    let mut lab = Lab::new();
    lab.fetch("http://a/missing", false);
    lab.asked.recv().await.unwrap().answer.send(Err(HttpError::Status(404))).unwrap();
    assert_eq!(lab.done().await, Err("http://a/missing answered with the HTTP status 404".to_owned()));
    lab.fetch("http://a/crl", false);
    lab.answer(b"crl").await;
    assert_eq!(lab.done().await, Ok(b"crl".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn hosts_without_number_wait_in_vain_but_not_for_ever() {
    let mut lab = Lab::new();
    let start = Instant::now();
    // All of them hang.
    (0..2000).for_each(|n| lab.fetch(&format!("http://host{n}/"), false));
    let mut told = BTreeMap::<String, usize>::new();
    for _ in 0..2000 {
        let error = lab.done().await.unwrap_err();
        *told.entry(error.split_once(' ').unwrap().1.to_owned()).or_default() += 1;
    }
    let told: Vec<_> = told.iter().map(|(why, times)| (why.as_str(), *times)).collect();
    assert_eq!(
        told,
        [
            ("did not answer within 5 s", 24),
            ("was not asked: too many hosts are being asked", 976),
            ("was not asked: too many others are being asked", 1000),
        ]
    );
    assert!(start.elapsed() <= PATIENCE + http::PATIENCE);
}

#[tokio::test]
async fn what_is_no_url_is_said() {
    let lab = Lab::new();
    let want = Want { url: "ldap://a/\ncn=x".to_owned(), kind: Kind::Crl, refresh: false };
    assert_eq!(lab.fetcher.clone().fetch(want).await, Err("`ldap://a/cn=x` is no URL".to_owned()));
}
