//! Seldom-trodden ground of RFC 7296: what an honest peer of another making may say one day, and what it must get for an answer.

use sekisho_ike::event::ConnectionState;
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection};
use sekisho_ike::wire::{EspSpi, ExchangeType, Notify, NotifyType, Payload};

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
    let unknown = EspSpi(0x7777);
    let mut request = rogue.another_child(EspSpi(0x2000));
    request.insert(0, Payload::Notify(Notify::about(NotifyType::REKEY_SA, unknown)));
    let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &request).unwrap();
    assert_eq!(answer, [Payload::Notify(Notify::about(NotifyType::CHILD_SA_NOT_FOUND, unknown))]);
    assert_eq!(world.b.status().into_tunnel().unwrap().children.len(), 1, "and none is made");
}
