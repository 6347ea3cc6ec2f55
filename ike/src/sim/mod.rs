//! Two endpoints, a virtual clock and a seeded link between them: a seed replays a whole conversation exactly.

mod desk;
mod host;
mod link;
mod random;
mod rogue;
mod rogue_server;
mod world;

pub use crate::exchange::tamper;
pub use desk::Desk;
pub use host::{Host, Installed};
pub use link::{Conditions, Link, Nat};
pub use random::SeededRandom;
pub use rogue::{Request, Rogue};
pub use rogue_server::RogueServer;
pub use world::{Side, World, connection, connection_pair, run_seeds};
