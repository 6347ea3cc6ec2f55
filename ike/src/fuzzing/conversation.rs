//! A whole endpoint in conversation with a peer that has the right keys and says what it likes, while another tunnel of it
//! is an honest peer's.

use std::time::Duration;

use super::NOW;
use super::certified::{certify, publish};
use crate::config::{Childless, Connection, InternalAddress, Name, Pool, Retransmit, Start};
use crate::event::{ChildSaId, Command, ConnectionStatus};
use crate::limits;
use crate::sim::{Conditions, Rogue, Side, World, connection, tamper};
use crate::wire::{EspSpi, ExchangeType};

const LINK: &str = "link";
const OTHER: &str = "other";
const POOL: &str = "office";
/// Of the honest peer.
const HONEST: &str = "198.51.100.66:4500";
/// Operations in one conversation.
const OPERATIONS: usize = 24;
/// Datagrams that both ends together may send within one operation, repeated ones included.
const CHATTER: u64 = 4_000;

/// The first byte says who begins and how, and how both ends prove themselves; the next 24 what operators, clocks and lines do; all others what becomes of each
/// message of the hostile end, before it is sealed and behind it.
///
/// # Panics
/// If the honest end panics or holds more than its limits, if the honest peer loses its tunnel, or if anything is left
/// behind once all is over.
pub fn conversation(data: &[u8]) {
    let Some((setting, rest)) = data.split_first() else { return };
    let (operations, script) = rest.split_at(rest.len().min(OPERATIONS));
    let mut play = Play::new(*setting);
    tamper::begin(script);
    play.world.a.hostile = true;
    play.start();
    for operation in operations {
        let sent = play.world.link.sent;
        play.operate(*operation);
        play.pass(2);
        assert!(
            play.world.link.sent - sent < CHATTER,
            "a storm of {} datagrams",
            play.world.link.sent - sent
        );
        play.assert_bounded();
    }
    play.assert_honest_stands();
    play.assert_nothing_left();
    play.assert_recovers();
}

struct Play {
    world: World,
    honest: Rogue,
    ours: [Connection; 2],
    theirs: Connection,
    /// The hostile end asks for an address, so that it alone can begin.
    roams: bool,
}

impl Play {
    fn new(setting: u8) -> Self {
        let has = |bit: u8| setting & (1 << bit) != 0;
        let conditions = if has(4) { Conditions::bad(0.1) } else { Conditions::GOOD };
        let mut world = World::new(setting.into(), conditions);
        if has(6) {
            (world.b.line, world.link.mtu) = (Some(1500), 1400);
        }
        // Who begins: the hostile end, the honest one, or both.
        let (mut theirs, mut ours) = (connection(Side::A, !has(0) || has(1)), connection(Side::B, has(0)));
        for connection in [&mut theirs, &mut ours] {
            connection.retransmit = Retransmit { first: Duration::from_millis(100), tries: 5 };
            let mut second = connection.children.first().cloned();
            second.iter_mut().for_each(|child| (child.name, child.start) = (OTHER.into(), Start::OnDemand));
            connection.children.extend(second);
            if has(2) {
                connection.fragment_size = 200;
            }
            if has(3) {
                connection.childless = Childless::Preferred;
            }
        }
        if has(6) {
            certify(&mut theirs, Side::A);
            certify(&mut ours, Side::B);
            publish(&mut world);
            world.wall = NOW;
        }
        let roams = has(7) && !has(0);
        if roams {
            roam(&mut theirs, &mut ours);
            let pools = Command::ConfigurePools(vec![pool()]);
            assert_eq!(world.command(Side::B, pools), Ok(()));
        }
        let honest = peaceful(connection(Side::A, true), "c.example", Side::A);
        let other =
            Connection { name: OTHER.into(), ..peaceful(connection(Side::B, false), "c.example", Side::B) };
        let mut honest = Rogue::new(honest, HONEST.parse().unwrap_or_else(|_| unreachable!("an address")), 7);
        world.configure(Side::B, vec![other.clone()]);
        assert!(honest.connect(&mut world, EspSpi(0x1000)), "the honest peer comes first");
        // Its answers are taken at once, so there was nothing to wait for until here.
        for side in [Side::A, Side::B] {
            world.host(side).desk.work_time = Duration::from_millis(if has(5) { 40 } else { 0 });
        }
        Self { world, honest, ours: [ours, other], theirs, roams }
    }

    fn start(&mut self) {
        self.world.configure(Side::B, self.ours.to_vec());
        self.world.configure(Side::A, vec![self.theirs.clone()]);
        self.pass(3);
    }

    /// Lets so many seconds pass, in which the honest peer answers what it is asked.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.world.run_for(Duration::from_secs(1));
            for request in self.honest.requests(&mut self.world, 0) {
                self.honest.answer(&mut self.world, 0, &request, &[]);
            }
        }
    }

    fn operate(&mut self, operation: u8) {
        let side = if operation & 0x10 == 0 { Side::A } else { Side::B };
        let link = || Name::from(LINK);
        let command = match operation & 0x0f {
            0 | 1 => Command::RekeyIke(link()),
            2 | 3 => Command::RekeyChildren(link()),
            4 => Command::Up(link()),
            5 => Command::Down(link()),
            6 | 7 => Command::Acquire { connection: link(), child: OTHER.into(), packet: None },
            8 => match self.child(side) {
                Some(id) => Command::DeleteChild(id),
                None => return,
            },
            9 => Command::NetworkChanged,
            10 => return self.restart_hostile(true),
            11 => return self.pass(60),
            12 => return self.pass(10),
            13 => return self.assert_honest_stands(),
            14 => {
                self.world.traffic = Some(Duration::from_millis(500));
                return;
            }
            _ => {
                self.world.link.conditions = Conditions::bad(0.2);
                return;
            }
        };
        // What cannot be done is refused.
        let _ = self.world.command(side, command);
    }

    /// The peer that was hostile begins anew.
    fn restart_hostile(&mut self, hostile: bool) {
        self.world.restart(Side::A, vec![self.theirs.clone()]);
        // It reaches the responder as before.
        publish(&mut self.world);
        self.world.a.hostile = hostile;
    }

    /// The first Child SA of the link at this end.
    fn child(&mut self, side: Side) -> Option<ChildSaId> {
        let status = self.world.host(side).endpoint.status();
        let link = status.into_iter().find(|status| status.connection.name == LINK.into())?;
        link.into_tunnel()?.children.first().map(|child| child.id)
    }

    fn status(&self, name: &str) -> ConnectionStatus {
        let all = self.world.b.endpoint.status();
        let found = all.into_iter().find(|status| status.connection.name == name.into());
        found.unwrap_or_else(|| unreachable!("configured"))
    }

    /// A peer with the right keys takes what it may, and no more.
    fn assert_bounded(&self) {
        // Those of two tunnels, while one takes the place of the other; and the honest one's.
        let most = 2 * limits::CHILD_SAS + 1;
        let b = &self.world.b;
        assert!(b.installed.len() <= most, "{} Child SAs", b.installed.len());
        assert!(
            b.spis_in_use() <= most + limits::HALF_OPEN_PER_ADDRESS + limits::TASKS,
            "{} SPIs",
            b.spis_in_use()
        );
        assert!(self.status(LINK).tunnels.len() <= 2);
        assert!(self.leases() <= 2, "one address a tunnel, while one takes the place of the other");
    }

    /// The honest peer asks, and is answered, on the IKE SA that it has had from the beginning.
    fn assert_honest_stands(&mut self) {
        let answer = self.honest.ask(&mut self.world, 0, ExchangeType::INFORMATIONAL, &[]);
        assert_eq!(answer, Some(Vec::new()), "the honest peer's tunnel stands");
        let children = self.status(OTHER).into_tunnel().map(|tunnel| tunnel.children.len());
        assert_eq!(children, Some(1), "with its Child SA");
    }

    /// Taken down, the hostile peer leaves nothing behind.
    fn assert_nothing_left(&mut self) {
        self.world.traffic = None;
        let down = Command::Down(LINK.into());
        assert_eq!(self.world.command(Side::B, down), Ok(()));
        self.world.link.conditions = Conditions::GOOD;
        // It says nothing more, not even that it would have another tunnel.
        self.world.restart(Side::A, Vec::new());
        self.pass(120);
        let b = &self.world.b;
        assert_eq!((b.installed.len(), b.spis_in_use()), (1, 1), "what is left is the honest peer's");
        assert!(self.status(LINK).tunnels.is_empty());
        assert_eq!(self.leases(), 0);
    }

    /// Addresses that are given out.
    fn leases(&self) -> usize {
        self.world.b.endpoint.pools().iter().flat_map(|pool| pool.used.iter()).sum()
    }

    /// Once the peer keeps the rules again, the tunnel comes up.
    fn assert_recovers(&mut self) {
        self.restart_hostile(false);
        let up = self.world.command(Side::B, Command::Up(LINK.into()));
        assert!(up.is_ok() || self.roams, "{up:?}");
        let up = self.world.run_until(Duration::from_mins(10), |world| {
            let sending = |side| !side_of(world, side).sending.is_empty();
            sending(Side::A) && side_of(world, Side::B).sending.len() >= 2
        });
        assert!(up, "it comes up again: {:?}", self.status(LINK));
        self.assert_honest_stands();
    }
}

fn side_of(world: &World, side: Side) -> &crate::sim::Host {
    match side {
        Side::A => &world.a,
        Side::B => &world.b,
    }
}

/// One end asks the other for an address, and is to reach nothing but what is behind it.
fn roam(theirs: &mut Connection, ours: &mut Connection) {
    theirs.internal_address = InternalAddress { ipv4: true, ipv6: false };
    theirs.children.iter_mut().for_each(|child| child.local.clear());
    ours.pools = vec![POOL.into()];
    ours.children.iter_mut().for_each(|child| child.remote.clear());
}

fn pool() -> Pool {
    let range = "10.9.0.0/28".parse().unwrap_or_else(|_| unreachable!("a range"));
    Pool { name: POOL.into(), ranges: vec![range], dns: Vec::new() }
}

/// The other tunnel: of an honest peer, which nobody has to ask whether it lives.
fn peaceful(mut connection: Connection, peer: &str, at: Side) -> Connection {
    let day = Duration::from_hours(24);
    let identity = || peer.parse().unwrap_or_else(|_| unreachable!("an identity"));
    let network = || vec!["192.168.3.0/24".parse().unwrap_or_else(|_| unreachable!("a network"))];
    match at {
        Side::A => connection.local_id = identity(),
        Side::B => connection.remote_id = crate::identity::RemoteId::Exact(identity()),
    }
    (connection.liveness, connection.lifetime) = (day, day);
    for child in &mut connection.children {
        child.lifetime.time = day;
        if at == Side::A {
            child.local = network();
        } else {
            child.remote = network();
        }
    }
    connection
}
