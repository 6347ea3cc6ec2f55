//! Seldom-trodden ground of RFC 7296: what an honest peer of another making may say one day, and what it must get for an answer.

use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection};
use sekisho_ike::wire::{
    Body, ChildSpi, Datagram, EspSpi, ExchangeType, Header, IkeSpi, Notify, NotifyType, Payload, PayloadType,
    Proposal, emit_clear,
};

use crate::{MINUTE, SECOND};

const PEER: &str = "198.51.100.66:4500";

/// B alone.
fn waiting() -> (World, Rogue) {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let rogue = Rogue::new(connection(Side::A, true), PEER.parse().unwrap(), 1);
    (world, rogue)
}

/// B, and a peer whose tunnel stands.
fn standing() -> (World, Rogue) {
    let (mut world, mut rogue) = waiting();
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    assert_eq!(world.b.status().state, ConnectionState::Up);
    (world, rogue)
}

/// §2.25: "The SA that the initiator attempted to rekey is indicated by the SPI field in the Notify payload, which is copied from
/// the SPI field in the `REKEY_SA` notification."
#[test]
fn the_rekey_of_an_unknown_child_sa_is_answered_with_its_spi() {
    let (mut world, mut rogue) = standing();
    // §3.10 knows of Child SAs of AH too: one has the number of an SA of ESP that does exist, and is another all the same.
    let unknown = [ChildSpi::Esp(EspSpi(0x7777)), ChildSpi::Ah([0, 0, 0x10, 0])];
    for (unknown, new) in unknown.into_iter().zip([0x2000, 0x2001]) {
        let mut request = rogue.another_child(EspSpi(new));
        request.insert(0, Payload::Notify(Notify::about(NotifyType::REKEY_SA, unknown)));
        let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
        assert_eq!(answer, [Payload::Notify(Notify::about(NotifyType::CHILD_SA_NOT_FOUND, unknown))]);
        assert_eq!(world.b.status().into_tunnel().unwrap().children.len(), 1, "and none is made");
    }
}

/// What is not there is refused as often as what is there may be made.
#[test]
fn rekeys_of_child_sas_of_ah_are_not_answered_without_end() {
    let (mut world, mut rogue) = standing();
    let told = world.b.failures.len();
    let mut answers = Vec::new();
    for new in 0..150 {
        let mut request = rogue.another_child(EspSpi(0x2000 + new));
        request.insert(0, Payload::Notify(Notify::about(NotifyType::REKEY_SA, ChildSpi::Ah([0; 4]))));
        answers.extend(rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).expect("an answer"));
    }
    let kinds = answers.iter().map(|answer| match answer {
        Payload::Notify(notify) => notify.kind,
        other => panic!("{other:?}"),
    });
    let kinds: Vec<_> = kinds.collect();
    let found = kinds.iter().filter(|kind| **kind == NotifyType::CHILD_SA_NOT_FOUND).count();
    assert_eq!((kinds.len(), found, kinds[149]), (150, 120, NotifyType::NO_ADDITIONAL_SAS));
    assert_eq!((world.b.failures.len(), world.b.installed.len()), (told, 1));
}

/// The payloads in clear text of a lone answer to a first message.
fn lone_answer(answers: &[Vec<u8>]) -> (Header, Vec<Payload>) {
    let [answer] = answers else { panic!("{} answers", answers.len()) };
    let Datagram { header, body: Body::Clear(payloads), .. } = Datagram::parse(answer).unwrap() else {
        panic!("in clear text")
    };
    assert!(header.response && !header.from_initiator);
    (header, payloads)
}

fn is_accepted(answers: &[Vec<u8>]) -> bool {
    lone_answer(answers).1.iter().any(|p| p.kind() == PayloadType::KE)
}

/// A message in clear text with one payload more, in front.
fn with_payload(message: &[u8], kind: u8, flags: u8) -> Vec<u8> {
    let (header, chain) = message.split_at(Header::LENGTH);
    let mut header = header.to_vec();
    let payload = [header[16], flags, 0, 5, 7];
    header[16] = kind;
    let length = u32::try_from(message.len() + payload.len()).unwrap();
    header[24..].copy_from_slice(&length.to_be_bytes());
    [&header[..], &payload, chain].concat()
}

/// What nobody has defined yet, and what may be said without being asked, none of which needs an answer.
fn news() -> Vec<Payload> {
    let notify = |kind, data: &[u8]| Payload::Notify(Notify::new(kind, data));
    vec![
        notify(NotifyType(8191), &[1, 2, 3]),
        notify(NotifyType(40_001), &[]),
        notify(NotifyType::SET_WINDOW_SIZE, &[0, 0, 0, 8]),
        notify(NotifyType::INVALID_SPI, &[1, 2, 3, 4]),
        notify(NotifyType::INVALID_SELECTORS, &[0x45; 20]),
        notify(NotifyType::INVALID_MESSAGE_ID, &[0, 0, 0, 9]),
        notify(NotifyType::ADDITIONAL_TS_POSSIBLE, &[]),
        notify(NotifyType::HTTP_CERT_LOOKUP_SUPPORTED, &[]),
        Payload::Other(PayloadType::VENDOR),
        Payload::Other(PayloadType(200)),
    ]
}

/// §2.5: "the response to the IKE request containing that payload MUST include a Notify payload `UNSUPPORTED_CRITICAL_PAYLOAD`".
#[test]
fn an_unknown_critical_payload_of_a_first_message_is_named_to_its_sender() {
    let (mut world, mut rogue) = waiting();
    let [first, _] = rogue.first_messages();
    let (header, payloads) = lone_answer(&rogue.deliver(&mut world, &with_payload(&first, 200, 0x80)));
    assert_eq!(payloads, [Payload::Notify(Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [200]))]);
    assert_eq!((header.spi_i.0, header.spi_r), (first[..8].try_into().unwrap(), IkeSpi::ZERO));
    assert_eq!((header.exchange, header.message_id), (ExchangeType::IKE_SA_INIT, 0));
    // Not critical, whatever the reserved bits; and critical, of a type that is known.
    for (kind, flags) in [(200, 0x7f), (PayloadType::VENDOR.0, 0x80)] {
        let [first, _] = rogue.first_messages();
        let answers = rogue.deliver(&mut world, &with_payload(&first, kind, flags));
        assert!(is_accepted(&answers), "{kind} {flags:02x}");
    }
    // An answer is never answered, and what is of an SA is for its keys to say.
    for (at, value) in [(19, 0x28), (8, 1), (18, ExchangeType::INFORMATIONAL.0), (23, 1)] {
        let mut message = with_payload(&first, 200, 0x80);
        message[at] = value;
        assert!(rogue.deliver(&mut world, &message).is_empty(), "byte {at}");
    }
}

/// §2.5, §3.1: all that is reserved "MUST be ignored on receipt", and so are the minor version and the bit V.
#[test]
fn what_is_reserved_is_ignored() {
    let (mut world, mut rogue) = waiting();
    let [mut first, _] = rogue.first_messages();
    first[17] = 0x2f;
    first[19] |= 0xd7;
    let (mut at, mut next) = (Header::LENGTH, first[16]);
    while next != 0 {
        next = first[at];
        first[at + 1] = 0xff;
        at += usize::from(u16::from_be_bytes([first[at + 2], first[at + 3]]));
    }
    assert!(is_accepted(&rogue.deliver(&mut world, &first)));
}

/// §2.5: "a higher major version number, it MUST drop the message and SHOULD send an unauthenticated Notify message of type
/// `INVALID_MAJOR_VERSION`", §1.5: "with no notification data".
#[test]
fn a_higher_major_version_is_told_ours_and_not_without_end() {
    let (mut world, mut rogue) = waiting();
    let [first, _] = rogue.first_messages();
    let of = |version: u8| {
        let mut message = first.clone();
        message[17] = version << 4;
        message
    };
    let answers = rogue.deliver(&mut world, &of(3));
    let (header, payloads) = lone_answer(&answers);
    assert_eq!(payloads, [Payload::Notify(Notify::new(NotifyType::INVALID_MAJOR_VERSION, []))]);
    assert_eq!((answers[0][17], header.message_id), (0x20, 0));
    assert!(rogue.deliver(&mut world, &of(1)).is_empty(), "a lower one is nobody whom we could help");
    let mut response = of(3);
    response[19] = 0x20;
    assert!(rogue.deliver(&mut world, &response).is_empty(), "an answer is never answered");
    let answered =
        |world: &mut World| (0..1000).filter(|_| !rogue.deliver(world, &of(15)).is_empty()).count();
    assert_eq!(answered(&mut world), 19);
    world.run_for(MINUTE);
    assert_eq!(answered(&mut world), 20);
}

/// §2.5: "payload types that are not defined are reserved for future use; implementations … MUST skip over those payloads"; §3.10.1:
/// "Unrecognized error types in a request and status types in a request or response MUST be ignored".
#[test]
fn what_is_not_known_and_asks_for_nothing_changes_nothing() {
    let (mut world, mut rogue) = waiting();
    rogue.besides = news();
    // Each is declined by not being repeated.
    for declined in [NotifyType::USE_TRANSPORT_MODE, NotifyType::IPCOMP_SUPPORTED] {
        rogue.besides.push(Payload::Notify(Notify::new(declined, [0, 0, 2])));
    }
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    let said = rogue.answered.iter().filter(|p| p.kind() == PayloadType::NOTIFY).count();
    assert_eq!((said, world.b.status().into_tunnel().unwrap().children.len()), (0, 1));
    assert_eq!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &news()), Some(vec![]));
    let request = [news(), rogue.another_child(EspSpi(0x2000))].concat();
    let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
    assert!(answer.iter().any(|p| p.kind() == PayloadType::SA));
    assert_eq!(world.b.status().into_tunnel().unwrap().children.len(), 2);
    // Its window is one still: the peer's wider one is an offer.
    world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
    world.run_for(SECOND / 10);
    assert_eq!(rogue.requests(&mut world, 0).len(), 1);
}

/// §2.5: "implementations MUST NOT reject as invalid a message with those payloads in any other order".
#[test]
fn payloads_may_come_in_any_order() {
    let (mut world, mut rogue) = waiting();
    let answer = rogue.connect_with(&mut world, EspSpi(0x1000), |payloads| payloads.reverse()).unwrap();
    assert!(answer.iter().any(|p| p.kind() == PayloadType::SA));
    let mut request = rogue.another_child(EspSpi(0x2000));
    request.reverse();
    let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
    assert!(answer.iter().any(|p| p.kind() == PayloadType::SA));
}

/// §3.10.1: "An implementation receiving a Notify payload with one of these types that it does not recognize in a response MUST
/// assume that the corresponding request has failed entirely".
#[test]
fn an_unknown_error_in_an_answer_refuses_it_and_an_unknown_status_does_not() {
    for (kind, made) in [(NotifyType(8191), 1), (NotifyType(40_001), 2)] {
        let (mut world, mut rogue) = standing();
        world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
        world.run_for(SECOND / 10);
        let request = rogue.requests(&mut world, 0).remove(0);
        let mut answer = choice_of(&request.payloads);
        answer.push(Payload::Notify(Notify::new(kind, [1, 2, 3])));
        rogue.answer(&mut world, 0, &request, &answer);
        assert_eq!(world.b.child_sas_made, made, "{kind}");
        assert_eq!(world.b.status().state, ConnectionState::Up, "{kind}");
    }
}

/// The answer that a good peer gives to our request for a Child SA: the first of everything, and another nonce.
fn choice_of(request: &[Payload]) -> Vec<Payload> {
    let choose = |payload: &Payload| match payload {
        Payload::Notify(_) => None,
        Payload::Nonce(_) => Some(Payload::Nonce(vec![9; 32])),
        Payload::Sa(proposals) => Some(Payload::Sa(proposals.iter().take(1).map(first_of_each).collect())),
        other => Some(other.clone()),
    };
    request.iter().filter_map(choose).collect()
}

fn first_of_each(proposal: &Proposal) -> Proposal {
    let mut proposal = proposal.clone();
    let mut kinds = vec![];
    proposal.transforms.retain(|t| {
        let new = !kinds.contains(&t.kind);
        kinds.push(t.kind);
        new
    });
    proposal
}

/// §1.5, §2.21.4: "A peer receiving such an unprotected Notify payload MUST NOT respond and MUST NOT change the state of any
/// existing SAs."
#[test]
fn what_is_said_outside_of_the_ike_sa_is_not_answered_and_changes_nothing() {
    let (mut world, rogue) = standing();
    let tunnel = world.b.status().into_tunnel().unwrap().ike_sa;
    let (spi_i, spi_r) = (tunnel.spi_i, tunnel.spi_r);
    let before = world.link.sent;
    for kind in [
        NotifyType::INVALID_IKE_SPI,
        NotifyType::INVALID_SPI,
        NotifyType::INVALID_MAJOR_VERSION,
        NotifyType::INVALID_MESSAGE_ID,
        NotifyType::AUTHENTICATION_FAILED,
        NotifyType::INVALID_SYNTAX,
    ] {
        for (spis, exchange) in [
            ((IkeSpi::ZERO, IkeSpi::ZERO), ExchangeType::INFORMATIONAL),
            ((spi_i, spi_r), ExchangeType::INFORMATIONAL),
            ((spi_i, spi_r), ExchangeType::CREATE_CHILD_SA),
        ] {
            for (response, message_id) in [(false, 0), (true, 0), (true, 1), (false, 2), (true, 2)] {
                let header = Header {
                    spi_i: spis.0,
                    spi_r: spis.1,
                    next_payload: PayloadType::NONE,
                    exchange,
                    from_initiator: true,
                    response,
                    message_id,
                    length: 0,
                };
                let message = emit_clear(header, &[Payload::Notify(Notify::new(kind, [0; 4]))]);
                assert!(rogue.deliver(&mut world, &message).is_empty(), "{kind} {exchange} {message_id}");
            }
        }
    }
    assert_eq!((world.b.status().state, world.link.sent), (ConnectionState::Up, before));
}

/// §2.21.3: `INVALID_SYNTAX` "is considered fatal in both peers": whoever says so must not go on as if nothing had been.
#[test]
fn an_exchange_that_has_no_place_in_a_standing_ike_sa_ends_it_for_both() {
    for exchange in [ExchangeType::IKE_AUTH, ExchangeType::IKE_SA_INIT, ExchangeType(43), ExchangeType(250)] {
        let (mut world, mut rogue) = standing();
        let answer = rogue.ask(&mut world, 0, exchange, &[]).unwrap();
        assert_eq!(answer, [Payload::Notify(Notify::new(NotifyType::INVALID_SYNTAX, []))], "{exchange}");
        assert!(world.b.status().into_tunnel().is_none(), "{exchange}");
        assert_eq!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]), None, "{exchange}");
    }
}

/// §2.5, §3.14: what stands in clear text before the encrypted payload is covered by its tag, so it is the peer's word too.
#[test]
fn a_critical_payload_before_the_encrypted_one_is_named_as_well() {
    let (mut world, mut rogue) = standing();
    for (kind, critical, named) in
        [(PayloadType(200), true, true), (PayloadType(200), false, false), (PayloadType::VENDOR, true, false)]
    {
        let mut forged = rogue.seal_behind(0, kind, critical);
        *forged.last_mut().unwrap() ^= 1;
        assert!(rogue.deliver(&mut world, &forged).is_empty(), "a stranger's is not answered");
        rogue.go_back(0);
        let request = rogue.seal_behind(0, kind, critical);
        let answer = rogue.ask_sealed(&mut world, 0, &request).unwrap();
        let refusal = Payload::Notify(Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [200]));
        assert_eq!(answer, if named { vec![refusal] } else { vec![] }, "{kind} {critical}");
    }
    assert_eq!(world.b.status().state, ConnectionState::Up);
}

/// §3.9: "The size of the Nonce Data MUST be between 16 and 256 octets, inclusive."
#[test]
fn the_shortest_and_the_longest_nonce_will_do() {
    let (mut world, mut rogue) = standing();
    for (length, spi) in [(16, 0x2000), (256, 0x3000)] {
        let mut request = rogue.another_child(EspSpi(spi));
        let nonce = request.iter_mut().find(|p| p.kind() == PayloadType::NONCE).unwrap();
        *nonce = Payload::Nonce(vec![5; length]);
        let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
        assert!(answer.iter().any(|p| p.kind() == PayloadType::SA), "{length} bytes");
    }
}

/// §1.2, §1.3: a group is tried again where the peer asks for another one, but not for ever.
#[test]
fn a_peer_that_asks_for_one_group_and_then_for_the_other_is_not_obeyed_without_end() {
    let groups = "aes256gcm16-prfsha256-x25519-ecp256";
    let esp = "aes256gcm16-x25519-ecp256-noesn";
    for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
        let mut world = World::new(1, Conditions::GOOD);
        let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, false));
        for end in [&mut a, &mut b] {
            end.proposals = vec![groups.parse().unwrap()];
            end.children[0].proposals = vec![esp.parse().unwrap()];
        }
        world.configure(Side::B, vec![b]);
        let mut rogue = Rogue::new(a, PEER.parse().unwrap(), 1);
        assert!(rogue.connect(&mut world, EspSpi(0x1000)));
        world.command(Side::B, command.clone()).unwrap();
        let mut asked = 0;
        for _ in 0..50 {
            world.run_for(SECOND / 10);
            for request in rogue.requests(&mut world, 0) {
                let group = request.payloads.iter().find_map(|payload| match payload {
                    Payload::KeyExchange { group, .. } => Some(*group),
                    _ => None,
                });
                asked += 1;
                let other: u16 = if group == Some(31) { 19 } else { 31 };
                let refusal = Notify::new(NotifyType::INVALID_KE_PAYLOAD, other.to_be_bytes());
                rogue.answer(&mut world, 0, &request, &[Payload::Notify(refusal)]);
            }
        }
        assert_eq!(asked, 2, "{command:?}: within five seconds");
        assert_eq!(world.b.status().state, ConnectionState::Up, "and the tunnel stands");
    }
}

/// §1.3.1: "enabled only if `NON_FIRST_FRAGMENTS_ALSO` notification is included in both the request proposing an SA and the response
/// accepting it".
#[test]
fn later_fragments_where_ports_decide_are_offered_and_agreed_to() {
    let also = || Payload::Notify(Notify::new(NotifyType::NON_FIRST_FRAGMENTS_ALSO, []));
    for (ports, offers) in [("", false), ("[udp/5000]", true)] {
        let mut world = World::new(1, Conditions::GOOD);
        let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, false));
        let selectors = |all: &[TrafficSelector]| -> Vec<TrafficSelector> {
            all.iter().map(|selector| format!("{selector}{ports}").parse().unwrap()).collect()
        };
        for child in [&mut a.children[0], &mut b.children[0]] {
            (child.local, child.remote) = (selectors(&child.local), selectors(&child.remote));
        }
        world.configure(Side::B, vec![b]);
        let mut rogue = Rogue::new(a, PEER.parse().unwrap(), 1);
        assert!(rogue.connect(&mut world, EspSpi(0x1000)));
        assert!(!rogue.answered.contains(&also()), "nobody asked");
        let mut request = rogue.another_child(EspSpi(0x2000));
        request.insert(0, also());
        let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
        assert!(answer.contains(&also()));
        world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
        world.run_for(SECOND / 10);
        let request = rogue.requests(&mut world, 0).remove(0);
        assert_eq!(request.payloads.contains(&also()), offers, "`{ports}`");
    }
}

/// Only the peer's word ends it: nobody on the way can make one of what he saw, nor have two endpoints end each other's.
#[test]
fn who_stands_on_the_way_makes_no_fatal_message_of_those_he_saw() {
    let (mut world, mut rogue) = standing();
    let harmless = rogue.seal(0, ExchangeType::INFORMATIONAL, &[]);
    let answers = rogue.deliver(&mut world, &harmless);
    let next = rogue.seal(0, ExchangeType::INFORMATIONAL, &[]);
    let foreign = |message: &[u8]| {
        let flipped = (0..message.len() * 8).map(|bit| {
            let mut message = message.to_vec();
            message[bit / 8] ^= 1 << (bit % 8);
            message
        });
        let cut = (Header::LENGTH..message.len()).map(|length| {
            let mut message = message[..length].to_vec();
            message[24..28].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            message
        });
        flipped.chain(cut).collect::<Vec<_>>()
    };
    for seen in [&next, &harmless, &answers[0]] {
        for message in foreign(seen) {
            // Of another version, it is told ours, in clear text.
            let told = rogue.deliver(&mut world, &message);
            assert!(told.iter().all(|answer| {
                Datagram::parse(answer).is_ok_and(|answer| matches!(answer.body, Body::Clear(_)))
            }));
            told.iter().for_each(|answer| assert!(rogue.deliver(&mut world, answer).is_empty()));
        }
    }
    assert_eq!(world.b.status().state, ConnectionState::Up);
    assert_eq!(rogue.ask_sealed(&mut world, 0, &next), Some(vec![]), "the number is the peer's still");
}
