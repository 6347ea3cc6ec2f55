//! Rules bought with others' CVEs, those that no other file here shows (`tests/rules.rs` has the whole list).

use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_ike::Path;
use sekisho_ike::config::Connection;
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, Completion, JobKind, Payload as Sent};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{
    AuthMethod, Body, CertEncoding, Datagram, Delete, EspSpi, ExchangeType, Header, IkeSpi, Notify,
    NotifyType, Payload, emit_clear,
};

use crate::certificates::{Pki, host, signs};
use crate::made::NOW;
use crate::{MINUTE, SECOND, start_with};

const SPI: EspSpi = EspSpi(0x1000);

fn rogue(connection: Connection) -> Rogue {
    let there: SocketAddr = "198.51.100.66:4500".parse().unwrap();
    Rogue::new(connection, there, 1)
}

/// B alone.
fn waiting() -> World {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    world
}

/// B has nothing of any peer.
fn assert_untouched(world: &World) {
    assert!(world.b.status().into_tunnel().is_none());
    assert!(world.b.installed.is_empty());
    assert_eq!((world.b.ike_sas_made, world.b.spis_in_use()), (0, 0));
}

/// Rule 1: a rekey, delete or config exchange on an SA that is not yet authenticated is not even looked at, though it
/// comes under the right keys (CVE-2014-2338).
#[test]
fn who_has_proved_nothing_rekeys_deletes_and_asks_nothing() {
    let delete = || vec![Payload::Delete(Delete::Ike)];
    let configure = || vec![Payload::Notify(Notify::new(NotifyType(40_000), []))];
    for (exchange, payloads) in [
        (ExchangeType::INFORMATIONAL, Vec::new()),
        (ExchangeType::INFORMATIONAL, delete()),
        (ExchangeType::INFORMATIONAL, configure()),
        (ExchangeType::CREATE_CHILD_SA, Vec::new()),
        (ExchangeType::CREATE_CHILD_SA, delete()),
    ] {
        let mut world = waiting();
        let mut rogue = rogue(connection(Side::A, true));
        assert!(rogue.half_open(&mut world));
        let rekey = payloads.is_empty() && exchange == ExchangeType::CREATE_CHILD_SA;
        let payloads = if rekey { rogue.another_child(SPI) } else { payloads };
        assert_eq!(rogue.ask(&mut world, 0, exchange, &payloads), None, "{exchange}");
        assert_untouched(&world);
        let drops = world.b.endpoint.drops();
        assert!(drops.contains(&("ike_unexpected_exchange", 1)), "{drops:?}");
        // Nor after it was refused.
        rogue.go_back(0);
        let refused = rogue.ask(&mut world, 0, ExchangeType::IKE_AUTH, &[]);
        assert!(refused.is_some(), "an IKE_AUTH without anything is answered");
        assert_eq!(rogue.ask(&mut world, 0, exchange, &payloads), None, "{exchange}");
        assert_untouched(&world);
    }
}

/// Rule 3: a peer's constraints are enforced before anything of ours that depends on them is sent: whoever is refused
/// learns neither our identity nor our certificate, nor gets a signature of ours (CVE-2015-4171).
#[test]
fn who_is_refused_sees_nothing_of_ours() {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    let mut wrong_name = a.clone();
    signs(&mut wrong_name, pki.issue(host("another")), pki.trust());
    let mut stranger = a.clone();
    stranger.local_id = "stranger.example".parse().unwrap();
    let mut unvouched = a.clone();
    signs(&mut unvouched, Pki::new().issue(host("a")), pki.trust());
    for (peer, good) in [(a, true), (wrong_name, false), (stranger, false), (unvouched, false)] {
        let mut world = World::new(1, Conditions::GOOD);
        world.wall = NOW;
        world.configure(Side::B, vec![b.clone()]);
        let answer = rogue(peer).connect_with(&mut world, SPI, |_| {}).expect("an answer");
        let ours = |p: &Payload| {
            matches!(p, Payload::IdResponder(_) | Payload::Certificate { .. } | Payload::Auth(_))
        };
        assert_eq!(answer.iter().filter(|p| ours(p)).count(), if good { 4 } else { 0 }, "{answer:?}");
        if !good {
            let [Payload::Notify(notify)] = &answer[..] else { panic!("{answer:?}") };
            assert_eq!((notify.kind, &notify.data[..]), (NotifyType::AUTHENTICATION_FAILED, &[][..]));
            assert_untouched(&world);
        }
    }
}

type Change = Box<dyn FnOnce(&mut Vec<Payload>)>;

/// Rule 4: no shortcut to success. Without AUTH, with an empty one, one of another method, or somebody else's, nothing is
/// established (CVE-2021-45079).
#[test]
fn nothing_but_the_right_proof_establishes_anything() {
    let auth = |change: fn(&mut sekisho_ike::wire::AuthData)| {
        move |payloads: &mut Vec<Payload>| {
            for payload in payloads {
                if let Payload::Auth(auth) = payload {
                    change(auth);
                }
            }
        }
    };
    let changes: [(&str, Change); 8] = [
        ("none", Box::new(|payloads| payloads.retain(|p| !matches!(p, Payload::Auth(_))))),
        ("empty", Box::new(auth(|auth| auth.data.clear()))),
        ("zeros", Box::new(auth(|auth| auth.data.fill(0)))),
        ("cut", Box::new(auth(|auth| auth.data.truncate(16)))),
        ("a bit", Box::new(auth(|auth| auth.data[0] ^= 1))),
        // NULL authentication (RFC 7619) and RFC 7427 in place of the key.
        ("no method", Box::new(auth(|auth| auth.method = AuthMethod(13)))),
        ("a signature", Box::new(auth(|auth| auth.method = AuthMethod::DIGITAL_SIGNATURE))),
        (
            "a certificate",
            Box::new(|payloads| {
                payloads.push(Payload::Certificate {
                    encoding: CertEncoding::X509_SIGNATURE,
                    data: vec![0x30, 0],
                });
            }),
        ),
    ];
    for (what, change) in changes {
        let mut world = waiting();
        let mut rogue = rogue(connection(Side::A, true));
        let answer = rogue.connect_with(&mut world, SPI, change).expect("an answer");
        if what == "a certificate" {
            assert!(world.b.status().into_tunnel().is_some(), "one too many does no harm: {answer:?}");
            continue;
        }
        assert!(matches!(&answer[..], [Payload::Notify(_)]), "{what}: {answer:?}");
        assert_untouched(&world);
        // The one that answers it again is no way in either.
        assert_eq!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]), None, "{what}");
        assert_untouched(&world);
    }
}

/// Rule 9: a failed path leaves nothing behind: no SA, no key, no SPI, and no deadline but that of the next attempt
/// (libreswan CVE-2024-2357).
#[test]
fn an_attempt_that_fails_anywhere_leaves_nothing_behind() {
    let other_key = |c: &mut Connection| {
        c.remote_auth = sekisho_ike::config::RemoteAuth::Psk(sekisho_ike::Secret::new(
            b"another key altogether".to_vec(),
        ));
    };
    let failures: [fn(&mut Connection, &mut Connection); 4] = [
        |_, b| b.proposals = vec!["aes256-sha512-prfsha512-ecp384".parse().unwrap()],
        |_, b| b.remote_id = sekisho_ike::identity::RemoteId::Exact("another.example".parse().unwrap()),
        |a, _| a.remote_id = sekisho_ike::identity::RemoteId::Exact("another.example".parse().unwrap()),
        |_, b| b.children[0].remote = vec!["10.9.0.0/16".parse().unwrap()],
    ];
    let mut worlds: Vec<World> =
        failures.into_iter().map(|change| start_with(1, Conditions::GOOD, change)).collect();
    worlds.push(start_with(1, Conditions::GOOD, |a, _| other_key(a)));
    worlds.push(start_with(1, Conditions::GOOD, |_, b| other_key(b)));
    let mut silent = start_with(1, Conditions::GOOD, |_, _| {});
    silent.link.lose.extend(3..100_000);
    worlds.push(silent);
    for (number, mut world) in worlds.into_iter().enumerate() {
        world.run_for(3 * MINUTE);
        assert!(!world.is_up(), "{number}");
        let (a, b) = (world.a.failures.len(), world.b.failures.len());
        assert!(a + b > 3, "{number}: {a} {b}");
        world.command(Side::A, Command::Down("link".into())).unwrap();
        world.run_for(5 * MINUTE);
        for side in [Side::A, Side::B] {
            let host = world.host(side);
            assert!(host.status().into_tunnel().is_none() && host.installed.is_empty(), "{number} {side:?}");
            assert_eq!(host.spis_in_use(), 0, "{number} {side:?}");
            assert_eq!(host.endpoint.poll_timeout(), None, "{number} {side:?}");
        }
    }
}

/// Rule 10: nothing a peer sent is echoed unchecked. What B answers to names no SPI that it does not have, and the names
/// of payloads that it does not know are all that comes back of them (libreswan CVE-2023-38710).
#[test]
fn answers_hold_nothing_that_the_peer_made_up() {
    let marker: [u8; 16] = *b"a-made-up-marker";
    let connected = || {
        let (mut world, mut rogue) = (waiting(), rogue(connection(Side::A, true)));
        assert!(rogue.connect(&mut world, SPI));
        (world, rogue)
    };
    let rekeys = |spi: &[u8]| {
        let mut notify = Notify::new(NotifyType::REKEY_SA, marker);
        notify.spi = spi.to_vec();
        Payload::Notify(notify)
    };
    for spi in [&[][..], &marker[..3], &marker[..4], &marker] {
        let (mut world, mut rogue) = connected();
        let mut request = rogue.another_child(EspSpi(0x2000));
        request.insert(0, rekeys(spi));
        let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request);
        let text = format!("{answer:?}");
        assert!(text.len() > 20, "it is answered: {text}");
        let echoed = answer.into_iter().flatten().any(|payload| match payload {
            Payload::Notify(notify) => {
                notify.data.windows(3).any(|w| w == &marker[..3])
                    || (!notify.spi.is_empty() && spi.len() != 4)
            }
            _ => false,
        });
        assert!(!echoed, "{text}");
    }
    let (mut world, mut rogue) = connected();
    let delete = Payload::Delete(Delete::Esp(vec![EspSpi(0x6d61_726b), EspSpi(0), EspSpi(u32::MAX)]));
    assert_eq!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[delete]), Some(Vec::new()));
    let unknown = Payload::Notify(Notify::new(NotifyType(16_500), marker));
    assert_eq!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[unknown]), Some(Vec::new()));
}

/// Rule 14: a limiter counts per address and per prefix, so that one attacker, who has a whole prefix and returns every
/// cookie, cannot push everyone into cookies.
#[test]
fn whoever_has_a_whole_prefix_pushes_nobody_else_into_cookies() {
    let mut world = waiting();
    let mut taken = 0;
    for host in 0..=255_u8 {
        for port in [500, 501] {
            let there = SocketAddr::from(([198, 51, 100, host], port));
            let mut rogue =
                Rogue::new(connection(Side::A, true), there, u64::from(host) * 1000 + u64::from(port));
            taken += u32::from(rogue.half_open(&mut world));
        }
    }
    assert!((32..=64).contains(&taken), "{taken} were taken in");
    let sent = world.link.sent;
    world.configure(Side::A, vec![connection(Side::A, true)]);
    assert!(world.run_until(20 * SECOND, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent - sent, 4, "an honest peer elsewhere needs no cookie");
}

/// What A sends first, and A, which waits for an answer.
fn first_message() -> (World, Path, Vec<u8>) {
    let mut world = World::new(1, Conditions::GOOD);
    let now = world.clock();
    let endpoint = &mut world.a.endpoint;
    endpoint.handle_command(now, Command::Configure(vec![Arc::new(connection(Side::A, true))])).unwrap();
    let path = Path::udp("10.0.0.1:500".parse().unwrap(), "10.0.0.2:500".parse().unwrap());
    for _ in 0..2 {
        let job = endpoint.poll_job().unwrap();
        let completion = match job.kind {
            JobKind::Compute(work) => Completion::Computed(work.run()),
            _ => Completion::Resolved(Ok(vec![path])),
        };
        endpoint.handle_completion(now, job.id, completion);
    }
    let Sent::Ike(bytes) = endpoint.poll_transmit().unwrap().payload else { panic!("an IKE message") };
    (world, path, bytes)
}

/// Rule 16: a message that reflects our own SPI or nonce is refused, and says so.
#[test]
fn an_answer_made_of_our_own_words_is_refused() {
    for own_spi in [false, true] {
        let (mut world, path, bytes) = first_message();
        let first = Datagram::parse(&bytes).unwrap();
        let Body::Clear(mut payloads) = first.body else { panic!("in clear") };
        let spi_r = if own_spi { first.header.spi_i } else { IkeSpi([7; 8]) };
        for payload in &mut payloads {
            match payload {
                Payload::Nonce(nonce) if own_spi => *nonce = vec![1; 32],
                Payload::Sa(proposals) => proposals.iter_mut().for_each(one_of_each),
                _ => {}
            }
        }
        let header = Header { spi_r, response: true, from_initiator: false, ..first.header };
        let answer = emit_clear(header, &payloads);
        world.inject(Side::A, path, &answer);
        let failure = world.a.failures.first().expect("a failure");
        assert_eq!(failure.kind, DiagnosisKind::Malformed);
        assert!(failure.summary.contains("our own SPI or nonce"), "{failure}");
    }
}

/// As an answer has it: one transform of each type.
fn one_of_each(proposal: &mut sekisho_ike::wire::Proposal) {
    let mut seen = Vec::new();
    proposal.transforms.retain(|transform| {
        let new = !seen.contains(&transform.kind);
        seen.push(transform.kind);
        new
    });
}

/// Rule 16: `IDr` is checked against what was configured, and the connection is bound to it: a responder whom an authority
/// vouches for under another name is not whom we want, whatever it is asked for.
#[test]
fn a_responder_that_is_somebody_else_is_refused_though_it_is_vouched_for() {
    run_seeds(5, |seed| {
        let pki = Pki::new();
        let (mut a, mut b) = connection_pair();
        signs(&mut a, pki.issue(host("a")), pki.trust());
        signs(&mut b, pki.issue(host("c")), pki.trust());
        b.local_id = "c.example".parse().unwrap();
        let mut world = World::new(seed, Conditions::GOOD);
        world.wall = NOW;
        // B knows A, and answers as itself to whom asks for it or for nobody.
        world.configure(Side::B, vec![b.clone()]);
        world.configure(Side::A, vec![a.clone()]);
        world.run_for(10 * SECOND);
        assert!(world.a.installed.is_empty() && world.b.installed.is_empty());
        // A deviating responder that does not look at what it is asked for.
        let mut blind = connection(Side::B, false);
        signs(&mut blind, pki.issue(host("c")), pki.trust());
        world.configure(Side::B, vec![blind]);
        world.run_for(MINUTE);
        assert!(world.a.installed.is_empty(), "its certificate is not one for b.example");
        let kinds: Vec<_> = world.a.failures.iter().map(|failure| failure.kind).collect();
        assert!(kinds.contains(&DiagnosisKind::CertificateName), "{kinds:?}");
    });
}
