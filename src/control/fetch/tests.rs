use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use sekisho_ike::pki::Certificate;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::*;

/// A list that is good until a year, with a number.
pub(super) fn crl(until: i32, number: u64) -> Vec<u8> {
    crl_with(until, number, Vec::new())
}

/// A list of at least so many bytes.
pub(super) fn crl_of_length(bytes: usize) -> Vec<u8> {
    let revoked = |n: usize| RevokedCertParams {
        serial_number: SerialNumber::from(
            vec![1; 4000].into_iter().chain(n.to_be_bytes()).collect::<Vec<u8>>(),
        ),
        revocation_time: date_time_ymd(2025, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    crl_with(2100, 1, (0..bytes / 4000).map(revoked).collect())
}

fn crl_with(until: i32, number: u64, revoked_certs: Vec<RevokedCertParams>) -> Vec<u8> {
    crl_changed(|list| {
        list.next_update = date_time_ymd(until, 1, 1);
        list.crl_number = SerialNumber::from(number);
        list.revoked_certs = revoked_certs;
    })
}

fn crl_changed(change: impl FnOnce(&mut CertificateRevocationListParams)) -> Vec<u8> {
    AUTHORITY.crl_changed(change)
}

/// Whose word all fetches here ask for.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

pub(super) fn issuer() -> Certificate {
    AUTHORITY.certificate.clone()
}

/// Whom all fetches here are about: the list of which it is on is at `http://a/crl`.
static LEAF: LazyLock<Certificate> = LazyLock::new(|| AUTHORITY.issue("http://a/crl"));

pub(super) fn leaf() -> Certificate {
    LEAF.clone()
}

pub(super) struct Authority {
    pub(super) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// All of one name, each with a key of its own.
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, list: &str) -> Certificate {
        let mut params = CertificateParams::default();
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list.to_owned()] }];
        let made = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        Certificate::from_der(made.der()).unwrap()
    }

    fn crl_changed(&self, change: impl FnOnce(&mut CertificateRevocationListParams)) -> Vec<u8> {
        let mut list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut list);
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

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
    running: JoinSet<Answer>,
    directory: tempfile::TempDir,
}

pub(super) fn list(url: &str) -> Fetch {
    Fetch { url: url.to_owned(), kind: FetchKind::Crl { certificate: leaf() }, issuer: issuer() }
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        let fetcher = Fetcher::with(Fake(sender), Some(directory.path().join("fetched")));
        Self { fetcher, asked, running: JoinSet::new(), directory }
    }

    /// The daemon starts again, so much later.
    fn restart(&mut self, later: Duration) {
        for file in fs::read_dir(self.directory.path().join("fetched")).unwrap() {
            let file = fs::File::open(file.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now() - later).unwrap();
        }
        let (sender, asked) = mpsc::unbounded_channel();
        self.fetcher = Fetcher::with(Fake(sender), Some(self.directory.path().join("fetched")));
        self.asked = asked;
    }

    fn fetch(&mut self, url: &str) {
        self.fetch_for(Class::Attempt, url);
    }

    fn fetch_for(&mut self, class: Class, url: &str) {
        self.running.spawn(self.fetcher.clone().fetch(list(url), class));
    }

    async fn done(&mut self) -> Result<Vec<u8>, String> {
        match self.running.join_next().await.unwrap().unwrap() {
            Answer::Crl(_, crl, _) => Ok(crl.der().to_vec()),
            Answer::Failed(_, why) => Err(why),
            Answer::Ocsp(..) => panic!("nobody asked"),
        }
    }

    async fn answer(&mut self, content: &[u8]) -> String {
        let asked = self.next_asked().await;
        asked.answer.send(Ok(content.to_vec())).unwrap();
        asked.url
    }

    async fn fail(&mut self, error: HttpError) {
        self.next_asked().await.answer.send(Err(error)).unwrap();
    }

    async fn next_asked(&mut self) -> Asked {
        let asked = timeout(Duration::from_hours(1), self.asked.recv()).await;
        asked.expect("nobody asks").unwrap()
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
    lab.fetch("http://a/crl");
    let asked = lab.next_asked().await;
    assert_eq!((asked.url.as_str(), asked.ask, asked.most), ("http://a/crl", Ask::Get, 16 << 20));
    let list = crl(2100, 1);
    asked.answer.send(Ok(list.clone())).unwrap();
    assert_eq!(lab.done().await, Ok(list));

    let kind = FetchKind::Ocsp { request: b"who".to_vec(), certificate: issuer() };
    let fetch = Fetch { url: "http://a/".to_owned(), kind, issuer: issuer() };
    lab.running.spawn(lab.fetcher.clone().fetch(fetch, Class::Attempt));
    let asked = lab.next_asked().await;
    let Ask::Post { content_type, accept, body } = asked.ask else { panic!("{:?}", asked.ask) };
    assert_eq!((content_type, accept), ("application/ocsp-request", "application/ocsp-response"));
    assert_eq!((body.as_slice(), asked.most), (b"who".as_slice(), 64 << 10));
    asked.answer.send(Ok(b"good".to_vec())).unwrap();
    let why = lab.done().await.unwrap_err();
    assert!(why.starts_with("answered, but the OCSP response is malformed"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_for_an_hour_and_over_a_restart() {
    let mut lab = Lab::new();
    let (first, second) = (crl(2100, 1), crl(2100, 2));
    lab.fetch("http://a/crl");
    lab.answer(&first).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&first));
    for _ in 0..2 {
        lab.fetch("http://a/crl");
        assert_eq!(lab.done().await.as_ref(), Ok(&first));
        assert!(lab.is_quiet().await);
        lab.restart(Duration::from_secs(3500));
    }
    lab.restart(Duration::from_secs(3700));
    lab.fetch("http://a/crl");
    lab.answer(&second).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&second));
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&second));
    assert!(lab.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_valid_serves_while_the_server_gives_none() {
    let mut lab = Lab::new();
    let valid = crl(2100, 1);
    lab.fetch("http://a/crl");
    lab.answer(&valid).await;
    lab.done().await.unwrap();
    lab.restart(Duration::from_hours(24));
    lab.fetch("http://a/crl");
    lab.fail(HttpError::Status(503)).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&valid));
    lab.fetch("http://a/crl");
    lab.answer(b"<html>sorry</html>").await;
    assert_eq!(lab.done().await.as_ref(), Ok(&valid), "and what cannot be read does not take its place");
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&valid), "nobody answers");
}

/// An operator has published a list: what was asked for before is old, however young.
#[tokio::test(start_paused = true)]
async fn nothing_is_fresh_that_was_asked_for_before_all_was_to_be_asked_anew() {
    let mut lab = Lab::new();
    let lists: Vec<_> = (1..4).map(|number| crl(2100, number)).collect();
    for list in &lists {
        lab.fetcher.ask_anew();
        (0..20).for_each(|_| lab.fetch("http://a/crl"));
        lab.answer(list).await;
        for _ in 0..20 {
            assert_eq!(lab.done().await.as_ref(), Ok(list));
        }
        lab.fetch("http://a/crl");
        assert_eq!(lab.done().await.as_ref(), Ok(list));
        assert!(lab.is_quiet().await, "asked once for all");
    }
}

/// It may have been answered before the list was published.
#[tokio::test(start_paused = true)]
async fn a_question_that_was_under_way_when_all_was_to_be_asked_anew_is_one_of_before() {
    let mut lab = Lab::new();
    let (first, second) = (crl(2100, 1), crl(2100, 2));
    lab.fetch("http://a/crl");
    let asked = lab.next_asked().await;
    lab.fetcher.ask_anew();
    lab.fetch("http://a/crl");
    asked.answer.send(Ok(first.clone())).unwrap();
    assert_eq!(lab.done().await.as_ref(), Ok(&first));
    lab.answer(&second).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&second), "whoever came later is told what was said later");
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&second));
    assert!(lab.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_fresh_serves_while_nobody_answers_who_was_to_be_asked_anew() {
    let mut lab = Lab::new();
    let (first, second) = (crl(2100, 1), crl(2100, 2));
    lab.fetch("http://a/crl");
    lab.answer(&first).await;
    lab.done().await.unwrap();
    lab.fetcher.ask_anew();
    for error in [HttpError::Status(503), HttpError::Silent] {
        lab.fetch("http://a/crl");
        lab.fail(error).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&first));
    }
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&first));
    assert!(lab.is_quiet().await, "it rests");
    tokio::time::advance(REST).await;
    lab.fetch("http://a/crl");
    lab.answer(&second).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&second));
}

/// An operator who has mended the server need not wait; nor does a question from before that hung count against it.
#[tokio::test(start_paused = true)]
async fn a_host_that_rests_is_asked_at_once_when_all_is_to_be_asked_anew() {
    let mut lab = Lab::new();
    let list = crl(2100, 1);
    lab.fetch("http://a/1");
    lab.fail(HttpError::Silent).await;
    lab.done().await.unwrap_err();
    lab.fetch("http://a/2");
    assert!(lab.done().await.unwrap_err().contains("it is asked again"));
    lab.fetcher.ask_anew();
    lab.fetch("http://a/3");
    let hangs = lab.next_asked().await;
    lab.fetcher.ask_anew();
    lab.fetch("http://a/3");
    assert_eq!(lab.done().await, Err("did not answer within 5 s".to_owned()));
    assert_eq!(lab.answer(&list).await, "http://a/3");
    assert_eq!(lab.done().await, Ok(list));
    drop(hangs);
}

/// Whoever sits on the way and lies gains nothing over whoever is silent.
#[tokio::test(start_paused = true)]
async fn a_list_by_somebody_else_does_not_take_the_place_of_the_good_one() {
    let mut lab = Lab::new();
    let good = crl(2100, 1);
    let forged = Authority::new().crl_changed(|list| list.crl_number = SerialNumber::from(2));
    lab.fetch("http://a/crl");
    lab.answer(&forged).await;
    assert_eq!(lab.done().await, Err("answered, but its signature is wrong".to_owned()));
    lab.fetch("http://a/crl");
    lab.answer(&good).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&good), "asked again at once");
    lab.restart(Duration::from_hours(24));
    for _ in 0..2 {
        lab.fetch("http://a/crl");
        lab.answer(&forged).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&good), "what was had before is still valid");
    }
    lab.restart(Duration::ZERO);
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&good), "and it is what the disk keeps");
}

/// A replay: true in its day, from before somebody was revoked.
#[tokio::test(start_paused = true)]
async fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    let mut lab = Lab::new();
    let made = |year| crl_changed(|list| list.this_update = date_time_ymd(year, 1, 1));
    let (old, new, newest) = (made(2020), made(2021), made(2022));
    for (later, content, counts) in [(0, &new, &new), (24, &old, &new), (24, &newest, &newest)] {
        lab.restart(Duration::from_hours(later));
        lab.fetch("http://a/crl");
        lab.answer(content).await;
        assert_eq!(lab.done().await.as_ref(), Ok(counts));
        lab.fetch("http://a/crl");
        assert_eq!(lab.done().await.as_ref(), Ok(counts));
        assert!(lab.is_quiet().await, "asked once for each hour");
    }
    // Lists are made in advance too. One that is over says as little.
    let from_the_future = made(2090);
    let over = crl_changed(|list| {
        (list.this_update, list.next_update) = (date_time_ymd(2023, 1, 1), date_time_ymd(2023, 2, 1));
    });
    for content in [&from_the_future, &over] {
        lab.restart(Duration::from_hours(24));
        lab.fetch("http://a/crl");
        lab.answer(content).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&newest), "silence would be no worse");
    }
    let mut lab = Lab::new();
    for content in [&from_the_future, &newest] {
        lab.fetch("http://a/crl");
        lab.answer(content).await;
        assert_eq!(lab.done().await.as_ref(), Ok(content), "a clock that was wrong blocks nothing");
    }
}

/// An authority may have several lists, all rightly signed: whoever puts one in the place of another would hide who is on it,
/// and for as long as that one is newer.
#[tokio::test(start_paused = true)]
async fn another_list_of_the_same_authority_does_not_take_the_place_of_the_one_that_counts() {
    let mut lab = Lab::new();
    let of = |year, url: &str, scope| {
        let distribution_point = CrlDistributionPoint { uris: vec![url.to_owned()] };
        crl_changed(|list| {
            list.this_update = date_time_ymd(year, 1, 1);
            list.issuing_distribution_point = Some(CrlIssuingDistributionPoint { distribution_point, scope });
        })
    };
    let ours = of(2021, "http://a/crl", Some(CrlScope::UserCertsOnly));
    let of_others = of(2022, "http://a/other", None);
    let of_authorities = of(2022, "http://a/crl", Some(CrlScope::CaCertsOnly));
    for other in [&of_others, &of_authorities] {
        lab.fetch("http://a/crl");
        lab.answer(other).await;
        assert!(lab.done().await.unwrap_err().starts_with("answered, but"));
    }
    lab.fetch("http://a/crl");
    lab.answer(&ours).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&ours), "it does not matter that it is older");
    for other in [&of_others, &of_authorities] {
        lab.restart(Duration::from_hours(24));
        lab.fetch("http://a/crl");
        lab.answer(other).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&ours));
    }
}

/// One list is about many certificates, and each that asks is told of its own.
#[tokio::test(start_paused = true)]
async fn a_list_that_was_kept_serves_other_certificates_that_it_is_about() {
    let mut lab = Lab::new();
    let list_of = |certificate| Fetch { kind: FetchKind::Crl { certificate }, ..list("http://a/crl") };
    let (other, elsewhere) = (AUTHORITY.issue("http://a/crl"), AUTHORITY.issue("http://a/elsewhere"));
    let distribution_point = CrlDistributionPoint { uris: vec!["http://a/crl".to_owned()] };
    let point = CrlIssuingDistributionPoint { distribution_point, scope: None };
    let content = crl_changed(|list| list.issuing_distribution_point = Some(point));
    lab.fetch("http://a/crl");
    lab.answer(&content).await;
    lab.done().await.unwrap();
    let answer = lab.fetcher.clone().fetch(list_of(other.clone()), Class::Attempt).await;
    let Answer::Crl(_, _, fetched) = &answer else { panic!("{answer:?}") };
    assert_eq!(answer, Answer::read(list_of(other), &content, *fetched), "nobody is asked");
    lab.running.spawn(lab.fetcher.clone().fetch(list_of(elsewhere), Class::Attempt));
    lab.answer(&content).await;
    assert!(lab.done().await.is_err());
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&content));
}

/// Who names a list on which it cannot be costs itself, and neither those who wait for the same list nor what is kept of it.
#[tokio::test(start_paused = true)]
async fn who_is_on_no_list_that_it_names_holds_off_nobody_else() {
    let mut lab = Lab::new();
    let elsewhere = AUTHORITY.issue("http://a/elsewhere");
    let of_elsewhere = Fetch { kind: FetchKind::Crl { certificate: elsewhere }, ..list("http://a/crl") };
    let distribution_point = CrlDistributionPoint { uris: vec!["http://a/crl".to_owned()] };
    let point = CrlIssuingDistributionPoint { distribution_point, scope: None };
    let content = crl_changed(|list| list.issuing_distribution_point = Some(point));
    for _ in 0..2 {
        lab.running.spawn(lab.fetcher.clone().fetch(of_elsewhere.clone(), Class::Attempt));
    }
    lab.fetch("http://a/crl");
    lab.answer(&content).await;
    let useless = Err("answered, but it does not cover this certificate".to_owned());
    assert_eq!([lab.done().await, lab.done().await], [useless.clone(), useless], "those two ask once");
    lab.answer(&content).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&content));

    lab.restart(Duration::ZERO);
    lab.running.spawn(lab.fetcher.clone().fetch(of_elsewhere, Class::Attempt));
    lab.fail(HttpError::Status(503)).await;
    lab.done().await.unwrap_err();
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await, Ok(content));
}

/// Whatever wrote there: it would be newer than all that comes.
#[tokio::test(start_paused = true)]
async fn what_the_disk_keeps_is_believed_for_its_signature_alone() {
    let mut lab = Lab::new();
    let good = crl(2100, 1);
    let forged = Authority::new().crl_changed(|list| list.this_update = date_time_ymd(2024, 1, 1));
    lab.fetch("http://a/crl");
    lab.answer(&good).await;
    lab.done().await.unwrap();
    let file = fs::read_dir(lab.directory.path().join("fetched")).unwrap().next().unwrap().unwrap().path();
    let hash = ring::digest::digest(&ring::digest::SHA256, &forged);
    fs::write(&file, [b"sekisho fetched 1\n", hash.as_ref(), &forged].concat()).unwrap();
    for _ in 0..2 {
        lab.restart(Duration::ZERO);
        lab.fetch("http://a/crl");
        lab.answer(&good).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&good));
        fs::write(&file, [b"sekisho fetched 1\n", hash.as_ref(), &forged].concat()).unwrap();
    }
}

/// Another authority that is trusted too has no say in this one's lists.
#[tokio::test(start_paused = true)]
async fn two_authorities_behind_one_url_are_kept_apart() {
    let mut lab = Lab::new();
    let other = Authority::new();
    let (ours, theirs) = (crl(2100, 1), other.crl_changed(|_| ()));
    lab.fetch("http://a/crl");
    lab.answer(&ours).await;
    assert_eq!(lab.done().await.as_ref(), Ok(&ours));
    let fetch = Fetch { issuer: other.certificate.clone(), ..list("http://a/crl") };
    lab.running.spawn(lab.fetcher.clone().fetch(fetch, Class::Attempt));
    lab.answer(&theirs).await;
    assert_eq!(lab.done().await, Ok(theirs));
    lab.fetch("http://a/crl");
    assert_eq!(lab.done().await, Ok(ours));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_out_of_date_is_given_when_it_comes_but_never_out_of_the_cache() {
    let mut lab = Lab::new();
    let stale = crl(2021, 1);
    for _ in 0..2 {
        lab.fetch("http://a/crl");
        lab.answer(&stale).await;
        assert_eq!(lab.done().await.as_ref(), Ok(&stale), "what it is worth is judged elsewhere");
    }
    lab.fetch("http://a/crl");
    lab.fail(HttpError::Status(503)).await;
    assert_eq!(lab.done().await, Err("answered with the HTTP status 503".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_kept_and_broke_is_fetched_again() {
    let mut lab = Lab::new();
    lab.fetch("http://a/crl");
    lab.answer(&crl(2100, 1)).await;
    lab.done().await.unwrap();
    for file in fs::read_dir(lab.directory.path().join("fetched")).unwrap() {
        fs::write(file.unwrap().path(), b"broken").unwrap();
    }
    lab.restart(Duration::ZERO);
    let again = crl(2100, 2);
    lab.fetch("http://a/crl");
    lab.answer(&again).await;
    assert_eq!(lab.done().await, Ok(again));
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_ask_once() {
    let mut lab = Lab::new();
    (0..20).for_each(|_| lab.fetch("http://a/crl"));
    let list = crl(2100, 1);
    lab.answer(&list).await;
    for _ in 0..20 {
        assert_eq!(lab.done().await.as_ref(), Ok(&list));
    }
    assert!(lab.is_quiet().await);
}

/// Also when there is none, or a wrong one.
#[tokio::test(start_paused = true)]
async fn many_who_want_what_is_not_to_be_had_ask_once() {
    let mut lab = Lab::new();
    let forged = Authority::new().crl_changed(|_| ());
    let other = AUTHORITY.issue("http://a/crl");
    for (answer, why) in [
        (Err(HttpError::Status(404)), "answered with the HTTP status 404"),
        (Ok(forged), "answered, but its signature is wrong"),
    ] {
        for _ in 0..10 {
            lab.fetch("http://a/crl");
            let of_another =
                Fetch { kind: FetchKind::Crl { certificate: other.clone() }, ..list("http://a/crl") };
            lab.running.spawn(lab.fetcher.clone().fetch(of_another, Class::Attempt));
        }
        lab.next_asked().await.answer.send(answer).unwrap();
        for _ in 0..20 {
            assert_eq!(lab.done().await, Err(why.to_owned()));
        }
        assert!(lab.is_quiet().await);
    }
    lab.fetch("http://a/crl");
    lab.answer(&crl(2100, 1)).await;
    lab.done().await.unwrap();
}

/// A hub that starts again has hundreds of strangers at its door; the tunnels that stand do not wait for them.
#[tokio::test(start_paused = true)]
async fn the_questions_of_those_that_stand_go_first() {
    let mut lab = Lab::new();
    for n in 0..50 {
        lab.fetch_for(Class::Stranger, &format!("http://a/{n}"));
    }
    let first = lab.next_asked().await;
    lab.fetch_for(Class::Attempt, "http://a/attempt");
    lab.fetch_for(Class::Established, "http://a/established");
    tokio::task::yield_now().await;
    first.answer.send(Ok(crl(2100, 1))).unwrap();
    let list = crl(2100, 1);
    assert_eq!(lab.answer(&list).await, "http://a/established");
    assert_eq!(lab.answer(&list).await, "http://a/attempt");
    for _ in 1..50 {
        assert!(!lab.answer(&list).await.ends_with('t'), "and each has its turn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_is_asked_one_question_at_a_time_and_eight_hosts_at_once() {
    let mut lab = Lab::new();
    for n in 0..24 {
        lab.fetch(&format!("http://host{}/{n}", n % 12));
    }
    let (mut open, mut most) = (Vec::new(), 0);
    for _ in 0..24 {
        open.extend(lab.asked_by_now().await);
        let hosts: BTreeSet<_> = open.iter().map(|a: &Asked| a.url.split('/').nth(2).unwrap()).collect();
        assert_eq!(hosts.len(), open.len(), "two questions to one host");
        most = most.max(open.len());
        open.remove(0).answer.send(Ok(Vec::new())).unwrap();
        lab.done().await.unwrap_err();
    }
    assert_eq!(most, 8);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_costs_whoever_needs_it_and_then_rests() {
    let mut lab = Lab::new();
    let start = Instant::now();
    (0..100).for_each(|n| lab.fetch(&format!("http://hangs/{n}")));
    let hangs = lab.next_asked().await;
    lab.fetch("http://well/crl");
    let list = crl(2100, 1);
    assert_eq!(lab.answer(&list).await, "http://well/crl");
    assert_eq!(lab.done().await.as_ref(), Ok(&list), "the others are served meanwhile");
    assert!(start.elapsed().is_zero());
    for _ in 0..100 {
        let error = lab.done().await.unwrap_err();
        assert!(error.contains("did not answer within 5 s"), "{error}");
    }
    assert_eq!(start.elapsed(), http::PATIENCE, "the hundred waited for one answer");
    assert!(lab.is_quiet().await);
    drop(hangs);
    lab.fetch("http://hangs/x");
    let error = lab.done().await.unwrap_err();
    assert_eq!(error, "did not answer within 5 s; it is asked again 30 s after that");
    tokio::time::advance(REST).await;
    lab.fetch("http://hangs/x");
    lab.answer(&list).await;
    assert_eq!(lab.done().await, Ok(list));
}

/// Many tunnels that stand, each with a server of its own that hangs, and all with questions again and again.
#[tokio::test(start_paused = true)]
async fn many_that_stand_and_whose_hosts_hang_keep_out_no_stranger() {
    let mut lab = Lab::new();
    for n in 0..100 {
        let fetcher = lab.fetcher.clone();
        lab.running.spawn(async move {
            loop {
                let url = format!("http://hangs{n}/");
                fetcher.clone().fetch(list(&url), Class::Established).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let mut open = Vec::new();
    for n in 0..20 {
        let stranger = lab.fetcher.clone().fetch(list(&format!("http://well{n}/")), Class::Stranger);
        let mut stranger = tokio::spawn(stranger);
        loop {
            tokio::select! {
                answer = &mut stranger => {
                    assert!(matches!(answer.unwrap(), Answer::Crl(..)));
                    break;
                }
                Some(asked) = lab.asked.recv() => if asked.url.contains("well") {
                    asked.answer.send(Ok(crl(2100, 1))).unwrap();
                } else {
                    open.push(asked);
                },
            }
        }
    }
    assert!(open.len() >= AT_A_TIME, "all turns were theirs at first");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_about_one_question_spares_the_host() {
    let mut lab = Lab::new();
    lab.fetch("http://a/missing");
    lab.fail(HttpError::Status(404)).await;
    assert_eq!(lab.done().await, Err("answered with the HTTP status 404".to_owned()));
    lab.fetch("http://a/crl");
    lab.answer(&crl(2100, 1)).await;
    lab.done().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hosts_without_number_wait_in_vain_but_not_for_ever() {
    let mut lab = Lab::new();
    let start = Instant::now();
    // All of them hang.
    (0..2000).for_each(|n| lab.fetch(&format!("http://host{n}/")));
    let mut told = BTreeMap::<String, usize>::new();
    for _ in 0..2000 {
        let error = lab.done().await.unwrap_err();
        *told.entry(error).or_default() += 1;
    }
    let told: Vec<_> = told.iter().map(|(why, times)| (why.as_str(), *times)).collect();
    assert_eq!(
        told,
        [
            ("did not answer within 5 s", 16),
            ("was not asked: too many hosts are being asked", 976),
            ("was not asked: too many others are being asked", 1008),
        ]
    );
    assert!(start.elapsed() <= PATIENCE + http::PATIENCE);
}

#[tokio::test]
async fn what_is_no_url_is_said() {
    let mut lab = Lab::new();
    lab.fetch("ldap://a/\ncn=x");
    assert_eq!(lab.done().await, Err("is no URL".to_owned()));
}

/// Half of its validity has passed: whoever wants it next asks for a newer one, and has the old one if there is none.
#[tokio::test(start_paused = true)]
async fn a_short_lived_answer_is_asked_for_again_before_its_end() {
    let mut lab = Lab::new();
    let soon = SystemTime::now() + Duration::from_mins(20);
    let list = crl_changed(|list| list.next_update = soon.into());
    for (later, asked) in [(0, true), (5, false), (25, true)] {
        lab.restart(Duration::from_mins(later));
        lab.fetch("http://a/crl");
        if asked {
            lab.answer(&list).await;
        }
        assert_eq!(lab.done().await.as_ref(), Ok(&list));
        assert!(lab.is_quiet().await);
    }
}
