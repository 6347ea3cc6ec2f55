//! One connection for many peers, told apart by the identities that their certificates prove.

use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_ike::config::{Connection, ConnectionError, LocalAuth, RemoteAuth, Uniqueness};
use sekisho_ike::diagnosis::Side as DiagnosedSide;
use sekisho_ike::event::{Command, CommandError, ConnectionState, Pfs};
use sekisho_ike::pki::{Credential, Pin, RevocationPolicy, Trust};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::EspSpi;

use crate::made::{Made, NOW, ca, dns, leaf, root};
use crate::{MINUTE, SECOND};

struct Office {
    root: Made,
}

impl Office {
    fn new() -> Self {
        Self { root: root(ca("Root")) }
    }

    fn issue(&self, host: &str) -> Credential {
        let mut params = leaf(host);
        params.subject_alt_names = vec![dns(host)];
        // Ed25519: its signatures are a function of the message, so that a seed replays.
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let made = self.root.issue_for(params, key);
        Credential::new(made.signing_key(), vec![made.certificate.clone()]).unwrap()
    }

    fn signs(&self, mut connection: Connection, ours: &str, theirs: &str) -> Connection {
        let trust = Trust { revocation: RevocationPolicy::Off, ..self.root.trusted() };
        connection.local_auth = LocalAuth::Signature(Arc::new(self.issue(ours)));
        connection.remote_auth = RemoteAuth::Signature(Arc::new(trust));
        (connection.local_id, connection.remote_id) = (ours.parse().unwrap(), theirs.parse().unwrap());
        connection
    }

    /// B's, for everyone whose identity fits.
    fn of_b(&self, name: &str, pattern: &str) -> Connection {
        let mut b = self.signs(connection(Side::B, false), "b.example", pattern);
        b.name = name.into();
        b
    }

    /// A peer of B with this identity.
    fn peer(&self, host: &str, number: u16) -> Rogue {
        self.peer_of(host, number, &format!("192.168.1.{}/30", number * 4))
    }

    /// The same, which asks for this network.
    fn peer_of(&self, host: &str, number: u16, network: &str) -> Rogue {
        let from = SocketAddr::from(([198, 51, 100, 7], 1000 + number));
        let mut connection = self.signs(connection(Side::A, true), host, "b.example");
        connection.children[0].local = vec![network.parse().unwrap()];
        Rogue::new(connection, from, number.into())
    }
}

fn world(seed: u64, connections: Vec<Connection>) -> World {
    let mut world = World::new(seed, Conditions::GOOD);
    world.wall = NOW;
    world.configure(Side::B, connections);
    world
}

fn up(world: &World) -> Vec<(String, Vec<String>)> {
    let status = world.b.endpoint.status();
    let peers = |s: &sekisho_ike::event::ConnectionStatus| {
        s.tunnels.iter().map(|tunnel| tunnel.ike_sa.remote_id.to_string()).collect()
    };
    status.iter().map(|s| (s.connection.name.to_string(), peers(s))).collect()
}

#[test]
fn each_peer_that_fits_has_a_tunnel_of_its_own() {
    let office = Office::new();
    let mut world = world(1, vec![office.of_b("clinics", "*.clinic.example")]);
    for (number, host) in ["one.clinic.example", "two.clinic.example"].into_iter().enumerate() {
        let number = u16::try_from(number).unwrap();
        assert!(office.peer(host, number).connect(&mut world, EspSpi(0x1000 + u32::from(number))));
    }
    assert!(!office.peer("one.other.example", 9).connect(&mut world, EspSpi(0x2000)));
    let both = vec!["one.clinic.example".to_owned(), "two.clinic.example".to_owned()];
    assert_eq!(up(&world), [("clinics".to_owned(), both)]);
    assert_eq!(world.b.status().state, ConnectionState::Up);
    assert_eq!(world.b.installed.len(), 2);
    let told = world.b.failures.first().expect("a diagnosis");
    assert_eq!(told.kind.code(), "unknown_identity", "{told}");
    assert!(told.to_string().contains("*.clinic.example"), "{told}");
}

#[test]
fn it_comes_up_on_bad_lines_and_both_ends_agree() {
    run_seeds(50, |seed| {
        let office = Office::new();
        let mut world = World::new(seed, Conditions::bad(0.2));
        world.wall = NOW;
        world.configure(Side::B, vec![office.of_b("link", "*.example")]);
        world.configure(Side::A, vec![office.signs(connection(Side::A, true), "a.example", "b.example")]);
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

/// A mistake at one clinic is not told of the others.
#[test]
fn what_one_peer_thinks_of_forward_secrecy_says_nothing_of_another() {
    let office = Office::new();
    let esp = |connection: &mut Connection, text: &str| {
        connection.children[0].proposals = vec![text.parse().unwrap()];
    };
    let mut b = office.of_b("clinics", "*.clinic.example");
    let mut a = office.signs(connection(Side::A, true), "a.clinic.example", "b.example");
    esp(&mut a, "aes256gcm16-ecp384-noesn");
    esp(&mut b, "aes256gcm16-x25519-noesn");
    a.children[0].local = vec!["192.168.1.0/30".parse().unwrap()];
    let mut world = world(1, vec![b]);
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    let mut other = office.signs(connection(Side::A, true), "one.clinic.example", "b.example");
    esp(&mut other, "aes256gcm16-x25519-noesn");
    other.children[0].local = vec!["192.168.1.4/30".parse().unwrap()];
    let mut other = Rogue::new(other, SocketAddr::from(([198, 51, 100, 7], 1001)), 1);
    assert!(other.connect(&mut world, EspSpi(0x1001)));
    let pfs = |world: &World| -> Vec<(String, Pfs)> {
        let tunnels = world.b.status().tunnels;
        tunnels.iter().map(|t| (t.ike_sa.remote_id.to_string(), t.children[0].pfs)).collect()
    };
    let (a, one) = ("a.clinic.example".to_owned(), "one.clinic.example".to_owned());
    assert_eq!(pfs(&world), [(a, Pfs::Refused), (one.clone(), Pfs::Unproven)]);
    assert_eq!(world.b.status().warnings.len(), 1);
    // It goes, and what is known of it too.
    world.configure(Side::A, vec![]);
    world.run_for(SECOND);
    assert_eq!(pfs(&world), [(one, Pfs::Unproven)]);
    assert_eq!(world.b.status().warnings.len(), 0);
}

/// Or the second would take the first one's traffic, in silence.
#[test]
fn a_peer_cannot_have_the_network_of_another_one_before_that_is_gone() {
    let office = Office::new();
    let mut world = world(1, vec![office.of_b("clinics", "*.clinic.example")]);
    let mut one = office.peer_of("one.clinic.example", 1, "192.168.1.0/28");
    assert!(one.connect(&mut world, EspSpi(0x1001)));
    for (number, network) in ["192.168.1.0/28", "192.168.1.4/30", "192.168.1.0/24"].iter().enumerate() {
        let number = u16::try_from(number).unwrap() + 2;
        let mut two = office.peer_of("two.clinic.example", number, network);
        assert!(two.connect(&mut world, EspSpi(0x1000 + u32::from(number))), "who it is, is not in doubt");
        assert_eq!(world.b.installed.len(), 1, "{network}");
        let told = world.b.failures.last().expect("a diagnosis");
        assert_eq!((told.kind.code(), told.refused_by), ("network_taken", DiagnosedSide::Here), "{told}");
        assert!(told.to_string().contains("one.clinic.example"), "{told}");
    }
    let failures = world.b.failures.len();
    assert!(office.peer_of("two.clinic.example", 5, "192.168.1.16/28").connect(&mut world, EspSpi(0x1005)));
    assert_eq!(world.b.installed.len(), 2, "what nobody has");
    assert!(office.peer_of("one.clinic.example", 6, "192.168.1.0/28").connect(&mut world, EspSpi(0x1006)));
    assert_eq!((world.b.installed.len(), world.b.failures.len()), (2, failures), "its own, anew");
    world.command(Side::B, Command::Down("clinics".into())).unwrap();
    world.run_for(MINUTE);
    world.command(Side::B, Command::Up("clinics".into())).unwrap();
    assert!(office.peer_of("two.clinic.example", 7, "192.168.1.0/28").connect(&mut world, EspSpi(0x1007)));
    assert_eq!((world.b.installed.len(), world.b.failures.len()), (1, failures), "it is free again");
}

/// Nor what that one has not asked for: for other services, or to another network of ours.
#[test]
fn what_is_left_of_the_network_of_another_peer_is_not_to_be_had_either() {
    let office = Office::new();
    let mut b = office.of_b("clinics", "*.clinic.example");
    b.children[0].local = vec!["192.168.2.0/24".parse().unwrap()];
    let mut images = b.children[0].clone();
    images.name = "images".into();
    images.local = vec!["192.168.3.0/24".parse().unwrap()];
    b.children.push(images);
    let mut world = world(1, vec![b]);
    let asks = |host, number: u16, theirs: &str, ours: &str| {
        let mut connection = office.signs(connection(Side::A, true), host, "b.example");
        connection.children[0].local = vec![theirs.parse().unwrap()];
        connection.children[0].remote = vec![ours.parse().unwrap()];
        Rogue::new(connection, SocketAddr::from(([198, 51, 100, 7], 1000 + number)), number.into())
    };
    let mut one = asks("one.clinic.example", 1, "192.168.1.0/28[tcp/443]", "192.168.2.0/24");
    assert!(one.connect(&mut world, EspSpi(0x1001)));
    assert_eq!(world.b.installed.len(), 1);
    let cases = [("192.168.1.0/28[tcp/22]", "192.168.2.0/24"), ("192.168.1.0/28", "192.168.3.0/24")];
    for (number, (theirs, ours)) in (2..).zip(cases) {
        let mut two = asks("two.clinic.example", number, theirs, ours);
        assert!(two.connect(&mut world, EspSpi(0x1000 + u32::from(number))));
        assert_eq!(world.b.installed.len(), 1, "{theirs} to {ours}");
        assert_eq!(world.b.failures.last().map(|told| told.kind.code()), Some("network_taken"));
    }
}

#[test]
fn a_peer_is_unique_by_its_own_identity() {
    for unique in [Uniqueness::Replace, Uniqueness::Keep] {
        let office = Office::new();
        let mut b = office.of_b("clinics", "*.clinic.example");
        b.unique = unique;
        let mut world = world(1, vec![b]);
        let mut one = office.peer("one.clinic.example", 1);
        assert!(
            one.connect(&mut world, EspSpi(0x1001)),
            "{:?} {:?}",
            world.b.failures,
            world.b.endpoint.drops()
        );
        assert!(office.peer("two.clinic.example", 2).connect(&mut world, EspSpi(0x1002)));
        let again = office.peer("one.clinic.example", 3).connect(&mut world, EspSpi(0x1003));
        assert_eq!(again, unique == Uniqueness::Replace);
        assert_eq!(up(&world)[0].1.len(), 2, "{:?}", up(&world));
        if unique == Uniqueness::Keep {
            let told = world.b.failures.first().expect("a diagnosis");
            assert!(told.kind.code() == "not_unique" && told.to_string().contains("one.clinic"), "{told}");
        }
    }
}

#[test]
fn who_is_named_is_meant_and_then_the_longest_pattern() {
    let office = Office::new();
    let all = [("a-any", "*"), ("b-wide", "*.example"), ("c-near", "*.clinic.example")];
    let mut connections: Vec<_> = all.iter().map(|(name, id)| office.of_b(name, id)).collect();
    connections.push(office.of_b("d-exact", "one.clinic.example"));
    let mut world = world(1, connections);
    let hosts = ["one.clinic.example", "two.clinic.example", "x.example", "x.example.org"];
    for (number, host) in hosts.into_iter().enumerate() {
        let number = u16::try_from(number).unwrap();
        assert!(office.peer(host, number).connect(&mut world, EspSpi(0x1000 + u32::from(number))), "{host}");
    }
    let expected = [
        ("a-any", "x.example.org"),
        ("b-wide", "x.example"),
        ("c-near", "two.clinic.example"),
        ("d-exact", "one.clinic.example"),
    ];
    assert_eq!(up(&world), expected.map(|(name, host)| (name.to_owned(), vec![host.to_owned()])));
}

/// The certificate must be one for the identity, not only the identity one that fits.
#[test]
fn nobody_speaks_for_another_peer_of_the_pattern() {
    let office = Office::new();
    let mut world = world(1, vec![office.of_b("clinics", "*.clinic.example")]);
    let mut liar = office.signs(connection(Side::A, true), "one.clinic.example", "b.example");
    liar.local_id = "two.clinic.example".parse().unwrap();
    let from = "198.51.100.7:1000".parse().unwrap();
    assert!(!Rogue::new(liar, from, 1).connect(&mut world, EspSpi(0x1000)));
    assert_eq!(world.b.failures[0].kind.code(), "certificate_name");
    assert!(world.b.installed.is_empty());
}

#[test]
fn a_key_that_many_have_or_a_call_to_many_is_refused() {
    let office = Office::new();
    let good = || office.of_b("clinics", "*.clinic.example");
    let mut psk = connection(Side::B, false);
    psk.remote_id = "*.clinic.example".parse().unwrap();
    let mut ours_psk = good();
    ours_psk.local_auth = psk.local_auth.clone();
    let mut pinned = good();
    let pin = office.root.certificate.clone();
    pinned.remote_auth = RemoteAuth::Signature(Arc::new(Trust {
        pinned: vec![Pin::Certificate(pin)],
        ..office.root.trusted()
    }));
    let mut calls = good();
    calls.initiate = true;
    let mut world = world(1, vec![good()]);
    for (bad, initiates) in [(psk, false), (ours_psk, false), (pinned, false), (calls, true)] {
        let Err(error) = bad.check() else { panic!("accepted") };
        assert_eq!(matches!(error, ConnectionError::InitiatesToMany(_)), initiates);
        let refused = world.command(Side::B, Command::Configure(vec![Arc::new(bad)]));
        assert_eq!(refused, Err(CommandError::Invalid(error)));
    }
    assert!(office.peer("one.clinic.example", 1).connect(&mut world, EspSpi(0x1000)), "nothing has changed");
    assert_eq!(
        world.command(Side::B, Command::Up("clinics".into())),
        Ok(()),
        "it is up, and there is nobody to call"
    );
    let (a, _) = connection_pair();
    assert_eq!(a.check(), Ok(()));
}

#[test]
fn an_operator_ends_and_rekeys_all_of_them() {
    let office = Office::new();
    let mut world = world(1, vec![office.of_b("clinics", "*.clinic.example")]);
    let mut peers: Vec<_> = (1..=3).map(|n| office.peer(&format!("c{n}.clinic.example"), n)).collect();
    for (peer, spi) in peers.iter_mut().zip(0x1000..) {
        assert!(peer.connect(&mut world, EspSpi(spi)));
    }
    let sent = world.link.sent;
    world.command(Side::B, Command::RekeyIke("clinics".into())).unwrap();
    assert_eq!(world.link.sent - sent, 3, "each is asked for a new IKE SA");
    world.command(Side::B, Command::Down("clinics".into())).unwrap();
    assert!(world.b.installed.is_empty());
    world.run_for(10 * SECOND);
    assert!(!office.peer("c4.clinic.example", 4).connect(&mut world, EspSpi(0x1010)), "taken down");
    world.run_for(10 * MINUTE);
    assert_eq!((world.b.spis_in_use(), up(&world)[0].1.len()), (0, 0));
}
