//! Input that nobody honest sends: counted, and without any effect.

use std::net::SocketAddr;

use sekisho_ike::event::Payload;
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection_pair, run_seeds};
use sekisho_ike::{Path, SecureRandom, Transport};

use crate::{MINUTE, up};

fn drops(world: &World, code: &str) -> u64 {
    world.b.endpoint.drops().into_iter().find(|(c, _)| *c == code).expect(code).1
}

/// What A would send next, taken from its endpoint before the line gets it.
fn messages_of_a_handshake() -> Vec<(Path, Vec<u8>)> {
    let mut world = World::new(1, Conditions::GOOD);
    let (a, _) = connection_pair();
    let now = world.clock();
    let command = sekisho_ike::event::Command::Configure(vec![std::sync::Arc::new(a)]);
    world.a.endpoint.handle_command(now, command).unwrap();
    let job = world.a.endpoint.poll_job().unwrap();
    let path = Path::udp("10.0.0.1:500".parse().unwrap(), "10.0.0.2:500".parse().unwrap());
    let resolved = sekisho_ike::event::Completion::Resolved(Ok(vec![path]));
    world.a.endpoint.handle_completion(now, job.id, resolved);
    let job = world.a.endpoint.poll_job().unwrap();
    let sekisho_ike::event::JobKind::Compute(work) = job.kind else { panic!("a key exchange") };
    let computed = sekisho_ike::event::Completion::Computed(work.run());
    world.a.endpoint.handle_completion(now, job.id, computed);
    let transmit = world.a.endpoint.poll_transmit().unwrap();
    let Payload::Ike(bytes) = transmit.payload else { panic!("an IKE message") };
    vec![(transmit.path, bytes)]
}

/// Rule 16: our own message that comes back is no peer.
#[test]
fn a_reflected_first_message_is_refused() {
    let mut world = World::new(1, Conditions::GOOD);
    let (a, b) = connection_pair();
    drop(b);
    world.configure(Side::A, vec![a]);
    let (path, bytes) = messages_of_a_handshake().remove(0);
    let now = world.clock();
    let back = Path { local: path.local, remote: path.remote, transport: Transport::Udp };
    world.a.endpoint.handle_datagram(now, back, &bytes);
    let reflected = world.a.endpoint.drops().into_iter().find(|(c, _)| *c == "ike_reflected").unwrap();
    assert_eq!(reflected.1, 1);
    assert!(world.a.endpoint.poll_transmit().is_none(), "and not answered");
}

/// Rule 14: one attacker cannot push everyone into cookies.
#[test]
fn a_flood_from_one_address_leaves_room_for_others() {
    let mut world = World::new(1, Conditions::GOOD);
    let (a, mut b) = connection_pair();
    b.remote = sekisho_ike::config::Remote::Any;
    world.configure(Side::B, vec![b]);
    let (path, template) = messages_of_a_handshake().remove(0);
    let mut random = sekisho_ike::sim::SeededRandom::new(9, 9);
    let attacker: SocketAddr = "198.51.100.9:500".parse().unwrap();
    for _ in 0..1000 {
        let mut bytes = template.clone();
        random.fill(&mut bytes[..8]);
        let flood = Path { local: path.remote, remote: attacker, transport: Transport::Udp };
        world.inject(Side::B, flood, &bytes);
    }
    assert!(drops(&world, "ike_cookie_wanted") > 900, "without a cookie nothing is done for it");
    world.configure(Side::A, vec![a]);
    let sent = world.link.sent;
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent - sent, 3, "an honest peer elsewhere needs no cookie");
}

#[test]
fn garbage_and_mutations_change_nothing() {
    run_seeds(20, |seed| {
        let mut world = up(seed, Conditions::GOOD);
        let before =
            format!("{:?}", world.b.status().into_tunnel().map(|t| (t.ike_sa.spi_i, t.children.len())));
        let tunnel = world.a.status().into_tunnel().unwrap().ike_sa;
        let mut random = sekisho_ike::sim::SeededRandom::new(seed, 77);
        let path = Path {
            local: "10.0.0.2:4500".parse().unwrap(),
            remote: "10.0.0.1:4500".parse().unwrap(),
            transport: Transport::UdpEncap,
        };
        for round in 0..500u16 {
            let mut bytes = vec![0; usize::from(28 + round % 200)];
            random.fill(&mut bytes);
            // A header that fits the SA, whatever follows it.
            bytes[..8].copy_from_slice(&tunnel.spi_i.0);
            bytes[8..16].copy_from_slice(&tunnel.spi_r.0);
            bytes[16] = 46;
            bytes[17] = 0x20;
            bytes[18] = 34 + u8::try_from(round % 4).unwrap();
            bytes[19] = if round % 2 == 0 { 0x08 } else { 0x28 };
            bytes[20..24].copy_from_slice(&u32::from(round % 5).to_be_bytes());
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[24..28].copy_from_slice(&length.to_be_bytes());
            if bytes.len() > 32 {
                bytes[28] = 41;
                bytes[29] = 0;
                let rest = u16::try_from(length - 28).unwrap();
                bytes[30..32].copy_from_slice(&rest.to_be_bytes());
            }
            let now = world.clock();
            world.b.endpoint.handle_datagram(now, path, &bytes);
            assert!(world.b.endpoint.poll_transmit().is_none(), "nothing forged is answered");
        }
        assert!(drops(&world, "ike_forged") > 0 && drops(&world, "ike_malformed") > 0);
        let after =
            format!("{:?}", world.b.status().into_tunnel().map(|t| (t.ike_sa.spi_i, t.children.len())));
        assert_eq!(before, after);
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
    });
}

/// A refusal leaves nothing behind that would bring cookies about: so it must cost no more than its answer.
#[test]
fn refused_first_messages_are_all_answered_and_a_few_told_of() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, mut b) = connection_pair();
    a.proposals = vec!["aes128gcm16-prfsha256-ecp256".parse().unwrap()];
    b.proposals = vec!["aes256gcm16-prfsha384-x25519".parse().unwrap()];
    world.configure(Side::B, vec![b]);
    let mut stranger = Rogue::new(a, SocketAddr::from(([198, 51, 100, 7], 1000)), 1);
    for _ in 0..200 {
        let [first, _] = stranger.first_messages();
        assert_eq!(stranger.deliver(&mut world, &first).len(), 1);
    }
    assert_eq!(world.b.failures.len(), 20);
    world.run_for(MINUTE);
    let [first, _] = stranger.first_messages();
    stranger.deliver(&mut world, &first);
    assert_eq!(world.b.failures.len(), 21, "later again");
}
