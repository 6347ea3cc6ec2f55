//! The words of every kind of diagnosis, from both ends where both know something: of simulated conversations where these
//! can bring it about, else of values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod certificates;

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{Childless, Connection, LocalAuth, Remote, RemoteAuth};
use crate::diagnose::*;
use crate::diagnosis::{Diagnosis, DiagnosisKind as Kind};
use crate::event::Command;
use crate::identity::{Identity, ProofError, RemoteId};
use crate::path::Path;
use crate::secret::Secret;
use crate::sim::{Conditions, Side, World, connection_pair};
use crate::time::Instant;
use crate::wire::{
    AuthMethod, ExchangeType, IdData, IdType, NotifyType, Proposal, ProtocolId, Transform, TransformType as T,
};

#[test]
fn every_kind_has_its_words() {
    for kind in Kind::ALL {
        let samples = samples(*kind);
        assert!(!samples.is_empty(), "{kind:?}");
        let mut text = format!("{}\n", kind.meaning());
        for diagnosis in &samples {
            assert_eq!(diagnosis.kind, *kind, "{diagnosis}");
            show(&mut text, diagnosis);
        }
        insta::assert_snapshot!(kind.code(), text);
    }
}

fn show(text: &mut String, diagnosis: &Diagnosis) {
    let exchange = diagnosis.exchange.map_or_else(String::new, |exchange| format!(" in {exchange}"));
    writeln!(text, "\n--- refused by {}{exchange}", diagnosis.refused_by.code()).unwrap();
    writeln!(text, "{diagnosis}").unwrap();
    for row in &diagnosis.comparison {
        let theirs = row.theirs.as_ref().map_or("?".to_owned(), |theirs| theirs.join(" "));
        let agrees = row.agrees.map_or("unknown", |agrees| if agrees { "agrees" } else { "DIFFERS" });
        let common = row.common.join(" ");
        write!(
            text,
            "{}: ours [{}], theirs [{theirs}], common [{common}]: {agrees}",
            row.what,
            row.ours.join(" ")
        )
        .unwrap();
        row.remarks.iter().for_each(|remark| write!(text, "; {remark}").unwrap());
        text.push('\n');
    }
}

/// No wildcard: a new kind without a sample does not compile.
fn samples(kind: Kind) -> Vec<Diagnosis> {
    match kind {
        Kind::Unreachable => vec![
            first_of_a(|a, _| a.remote = Remote::Hosts(vec!["no.such.host".into()])),
            unreachable("10.9.9.9", "no route leads to 10.9.9.9"),
        ],
        Kind::NotSent => vec![silence(&Silence {
            unsent: Some("Operation not permitted (os error 1)".into()),
            ..silent(ExchangeType::IKE_SA_INIT)
        })],
        Kind::NoAnswer => vec![
            simulated(|_, _| {}, |world| world.link.cut = true).a(),
            silence(&Silence { answers_short: true, ..silent(ExchangeType::IKE_AUTH) }),
            silence(&Silence {
                told: Some("203.0.113.2 answered: port unreachable".into()),
                ..silent(ExchangeType::IKE_SA_INIT)
            }),
        ],
        Kind::NatPortFiltered => {
            let mut samples = both(&simulated(|_, _| {}, |world| world.link.closed_port = Some(4500)));
            samples.push(never_came_back(silent(ExchangeType::IKE_AUTH).path, 4500, 30, false));
            samples
        }
        Kind::FragmentsLost => fragments_lost(),
        Kind::NoIkeProposal => no_ike_proposal(),
        Kind::NoChildProposal => no_child_proposal(),
        Kind::PfsMismatch => pfs_mismatch(),
        Kind::KeyExchangeGroup => {
            let ours = ["x25519", "ecp384"].map(|name| name.parse().unwrap());
            vec![
                key_exchange_group(20, &ours[..1], (Negotiated::IkeSa, ExchangeType::IKE_SA_INIT)),
                key_exchange_group(2, &ours, (Negotiated::ChildSa, ExchangeType::CREATE_CHILD_SA)),
                too_many_restarts(),
            ]
        }
        Kind::AuthenticationFailed => authentication_failed(),
        Kind::UnknownIdentity => unknown_identities(),
        Kind::WrongIdentity => {
            let of = |id| proof(&ProofError::Identity, &id, &hub()).during(ExchangeType::IKE_AUTH);
            vec![
                of(fqdn("spoke.example")),
                of(fqdn("hub.example.")),
                of(IdData::new(IdType::KEY_ID, b"hub.example".to_vec())),
            ]
        }
        Kind::AdminDown => vec![simulated_down().b.failures[0].clone()],
        Kind::PutOff => vec![simulated_down().a.failures[0].clone()],
        Kind::NotUnique => vec![not_unique(&"clinic-17.example".parse().unwrap())],
        Kind::NetworkTaken => taken(),
        Kind::PoolExhausted => {
            vec![pool_exhausted(&"clinic-17.example".parse().unwrap(), "ipv4 10.9.0.0/30".into())]
        }
        Kind::NoPool => vec![no_pool(&"clinic-17.example".parse().unwrap(), &"ward".into())],
        Kind::AddressNotAsked => vec![address_not_asked(&"ward".into())],
        Kind::AddressRefused => addresses_refused(),
        Kind::TrafficSelectors => traffic_selectors(),
        Kind::ChildRefused => {
            let outcome = simulated(
                |a, b| (a.childless, b.childless) = (Childless::Preferred, Childless::Never),
                |_| {},
            );
            assert!(outcome.0.is_up(), "it does without");
            vec![childless_here(), no_childless_there(), expired()]
        }
        Kind::Malformed => vec![
            malformed(ExchangeType::IKE_AUTH, "payload AUTH is missing"),
            bad_answer(ExchangeType::IKE_SA_INIT),
            reflected(ExchangeType::IKE_SA_INIT),
        ],
        Kind::PeerDead => {
            let mut outcome = simulated(|_, _| {}, |_| {});
            outcome.0.link.cut = true;
            outcome.0.run_for(Duration::from_secs(40));
            vec![outcome.a()]
        }
        Kind::DeletedByPeer => {
            let mut outcome = simulated(|_, _| {}, |_| {});
            outcome.0.command(Side::B, Command::Down("link".into())).unwrap();
            outcome.0.run_for(Duration::from_millis(100));
            vec![outcome.a(), deleted_at_once(&connection_pair().0, 1, 0)]
        }
        Kind::PeerError => {
            let errors = [
                NotifyType::NO_ADDITIONAL_SAS,
                NotifyType::INTERNAL_ADDRESS_FAILURE,
                NotifyType::TEMPORARY_FAILURE,
                NotifyType::INVALID_SYNTAX,
                NotifyType(11_111),
            ];
            let errors = errors.into_iter().map(|kind| peer_error(ExchangeType::CREATE_CHILD_SA, kind));
            let others = [no_nat_traversal(), out_of_step(ExchangeType::CREATE_CHILD_SA), one_pair()];
            errors.chain(others).collect()
        }
        Kind::Local => vec![local("no ESP SPI is left")],
        other => certificates::of_certificates(other),
    }
}

/// A tunnel that an operator took down at B, and that A wants.
fn simulated_down() -> World {
    let mut world = World::new(1, Conditions::GOOD);
    let (a, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.configure(Side::A, vec![a]);
    world.run_for(Duration::from_secs(5));
    world
}

fn taken() -> Vec<Diagnosis> {
    let (peer, holder) = ("two.clinic.example", "one.clinic.example");
    let networks = ["10.17.0.0/24".parse().unwrap()];
    vec![network_taken(&peer.parse().unwrap(), &holder.parse().unwrap(), &networks)]
}

/// A conversation whose ends differ as `change` has it, on a line as `prepare` makes it, after two minutes.
fn simulated(
    change: impl FnOnce(&mut Connection, &mut Connection),
    prepare: impl FnOnce(&mut World),
) -> Outcome {
    let mut world = World::new(1, Conditions::GOOD);
    prepare(&mut world);
    let (mut a, mut b) = connection_pair();
    change(&mut a, &mut b);
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world.run_for(Duration::from_secs(100));
    Outcome(world)
}

struct Outcome(World);

impl Outcome {
    fn a(&self) -> Diagnosis {
        self.0.a.failures.first().expect("A has a diagnosis").clone()
    }

    fn b(&self) -> Diagnosis {
        self.0.b.failures.first().expect("B has a diagnosis").clone()
    }
}

fn both(outcome: &Outcome) -> Vec<Diagnosis> {
    vec![outcome.a(), outcome.b()]
}

fn first_of_a(change: impl FnOnce(&mut Connection, &mut Connection)) -> Diagnosis {
    simulated(change, |_| {}).a()
}

fn silent(exchange: ExchangeType) -> Silence {
    let (local, remote) = ("198.51.100.2:4500".parse().unwrap(), "203.0.113.2:4500".parse().unwrap());
    Silence {
        path: Path::udp(local, remote),
        exchange,
        seconds: 25,
        datagrams: 1,
        longest: 312,
        fragmentation: Some(true),
        answers_short: false,
        answered_elsewhere: false,
        pieces: 0,
        unsent: None,
        told: None,
    }
}

fn fragments_lost() -> Vec<Diagnosis> {
    let auth = || Silence { answers_short: true, answered_elsewhere: true, ..silent(ExchangeType::IKE_AUTH) };
    let whole = |fragmentation| Silence { longest: 2_310, fragmentation: Some(fragmentation), ..auth() };
    let (sent, heard) =
        (Instant::from_boot(Duration::from_secs(5)), Instant::from_boot(Duration::from_secs(9)));
    vec![
        silence(&Silence { datagrams: 3, longest: 1_500, ..auth() }),
        silence(&Silence { datagrams: 3, longest: 1_280, ..auth() }),
        silence(&Silence { datagrams: 3, longest: 576, ..auth() }),
        silence(&whole(false)),
        silence(&whole(true)),
        silence(&Silence { pieces: 2, ..auth() }),
        peer_dead(
            &Silence { datagrams: 2, longest: 1_280, ..silent(ExchangeType::CREATE_CHILD_SA) },
            sent,
            heard,
        ),
        request_incomplete(silent(ExchangeType::IKE_AUTH).path, ExchangeType::IKE_AUTH, 2, 30),
    ]
}

fn no_ike_proposal() -> Vec<Diagnosis> {
    let of = |at_a: &'static [&str], at_b: &'static [&str]| {
        simulated(
            |a, b| {
                a.proposals = at_a.iter().map(|text| text.parse().unwrap()).collect();
                b.proposals = at_b.iter().map(|text| text.parse().unwrap()).collect();
            },
            |_| {},
        )
    };
    let one = of(&["aes256gcm16-prfsha384-x25519"], &["aes256gcm16-prfsha384-ecp256"]);
    let several = of(
        &["aes128gcm16-prfsha256-ecp256", "aes128-sha256-modp2048"],
        &["aes256gcm16-prfsha384-ecp256", "aes256-sha512-modp3072"],
    );
    // What others offer and we never will.
    let old = |kind, id| Transform::new(kind, id);
    let weak = [old(T::ENCR, 3), old(T::PRF, 2), old(T::INTEG, 2), old(T::KE, 2)];
    let weak = Proposal { number: 1, protocol: ProtocolId::IKE, spi: Vec::new(), transforms: weak.into() };
    let ours = ["aes256-sha256-modp2048".parse().unwrap()];
    let chosen = several.0.b.status().connection.proposals[1].clone();
    vec![
        one.a(),
        one.b(),
        several.b(),
        no_ike_proposal_here(&[weak], &ours, ExchangeType::IKE_SA_INIT),
        no_ike_proposal_here(&[], &[chosen], ExchangeType::IKE_SA_INIT),
    ]
}

fn no_child_proposal() -> Vec<Diagnosis> {
    let of = |at_a: &'static str, at_b: &'static str| {
        both(&simulated(
            |a, b| {
                a.children[0].proposals = vec![at_a.parse().unwrap()];
                b.children[0].proposals = vec![at_b.parse().unwrap()];
            },
            |_| {},
        ))
    };
    [of("aes128gcm16-noesn", "aes256gcm16-noesn"), of("aes256-sha256-esn", "aes256-sha512-noesn")].concat()
}

fn pfs_mismatch() -> Vec<Diagnosis> {
    let of = |at_a: &'static str, at_b: &'static str| {
        both(&simulated(
            |a, b| {
                a.children[0].proposals = vec![at_a.parse().unwrap()];
                b.children[0].proposals = vec![at_b.parse().unwrap()];
            },
            |_| {},
        ))
    };
    let without = of("aes256gcm16-x25519-ecp384-noesn", "aes256gcm16-noesn");
    let other = of("aes256gcm16-x25519-noesn", "aes256gcm16-ecp384-noesn");
    [without, other].concat()
}

fn authentication_failed() -> Vec<Diagnosis> {
    let other = simulated(
        |a, _| {
            let psk = || Secret::new(b"not the same at all".to_vec());
            (a.local_auth, a.remote_auth) = (LocalAuth::Psk(psk()), RemoteAuth::Psk(psk()));
        },
        |_| {},
    );
    let method = |method| {
        proof(&ProofError::Method(method), &fqdn("hub.example"), &hub()).during(ExchangeType::IKE_AUTH)
    };
    let methods = [method(AuthMethod::DIGITAL_SIGNATURE), method(AuthMethod::SHARED_KEY_MIC)];
    [both(&other), methods.into(), vec![no_auth(&hub())]].concat()
}

fn unknown_identities() -> Vec<Diagnosis> {
    let stranger = simulated(|a, _| a.local_id = "stranger.example".parse().unwrap(), |_| {});
    let asked = simulated(|a, _| a.remote_id = RemoteId::Exact("centre.example".parse().unwrap()), |_| {});
    let pairs = [Pair { remote: hub(), local: "clinic-17.example".parse().unwrap() }];
    let distinguished: Identity = "C=JP, O=Clinic, CN=hub.example".parse().unwrap();
    let hostile = IdData::new(IdType::FQDN, b"\x1b[31m\xff; rm -rf".to_vec());
    let us = Some(fqdn("clinic-17.example"));
    let constructed = [
        unknown_identity(&fqdn("hub.example."), us.as_ref(), &pairs),
        unknown_identity(&distinguished.to_wire(), us.as_ref(), &pairs),
        unknown_identity(&fqdn("clinic-17.example"), Some(&fqdn("hub.example")), &pairs),
        unknown_identity(&fqdn("hub.exmaple"), us.as_ref(), &pairs),
        unknown_identity(&hostile, None, &[]),
    ];
    [vec![stranger.b(), asked.b()], constructed.into()].concat()
}

fn traffic_selectors() -> Vec<Diagnosis> {
    let of = |change: fn(&mut Connection)| both(&simulated(|a, _| change(a), |_| {}));
    let list = |text: &str| text.split(' ').map(|t| t.parse().unwrap()).collect::<Vec<_>>();
    let outside = of(|a| a.children[0].remote = vec!["172.16.0.0/16".parse().unwrap()]);
    let interchanged = of(|a| {
        let child = &mut a.children[0];
        std::mem::swap(&mut child.local, &mut child.remote);
    });
    let mut child = connection_pair().0.children[0].clone();
    child.local = list("10.0.0.0/16[tcp/443] 2001:db8::/32");
    let (local, remote) = (list("10.0.0.0/16[udp] 192.168.9.0/24"), list("192.168.2.0/24"));
    vec![
        outside[0].clone(),
        outside[1].clone(),
        interchanged[1].clone(),
        selectors_here((&local, &remote), &[(&child.local, &child.remote)], ExchangeType::IKE_AUTH),
        selectors_widened((&child.local, &child.remote), (&local, &remote), ExchangeType::IKE_AUTH),
    ]
}

fn one_pair() -> Diagnosis {
    let child = &connection_pair().0.children[0];
    single_pair(&child.name, (&child.local, &child.remote), ExchangeType::IKE_AUTH)
}

fn addresses_refused() -> Vec<Diagnosis> {
    vec![
        started_by_peer(&"ward".into()),
        address_refused_there(NotifyType::INTERNAL_ADDRESS_FAILURE),
        no_address(),
        address_unusable("127.0.0.1".parse().unwrap(), "is a loopback address"),
    ]
}

fn hub() -> RemoteId {
    RemoteId::Exact("hub.example".parse().unwrap())
}

fn fqdn(name: &str) -> IdData {
    IdData::new(IdType::FQDN, name.as_bytes().to_vec())
}
