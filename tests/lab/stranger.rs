//! Peers without a daemon: an endpoint of ours that a test drives by itself, and the first message of nobody in particular.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::effects;
use nix::time::{ClockId, clock_gettime};
use sekisho_ike::config::{Child, Connection, EndpointConfig, LocalAuth, Name, Remote, RemoteAuth};
use sekisho_ike::event::{Command, Completion, JobKind, Payload};
use sekisho_ike::identity::RemoteId;
use sekisho_ike::{Endpoint, Instant, Now, Path, Secret};

/// One with nothing configured.
pub fn endpoint() -> Endpoint {
    effects::endpoint(EndpointConfig::default())
}

/// Both clocks.
pub fn now() -> Now {
    let boot = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).expect("a clock"));
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Now { boot: Instant::from_boot(boot), wall }
}

/// `IKE_SA_INIT` with this proposal, for port 500 of anyone.
pub fn first_message(proposal: &str) -> Vec<u8> {
    let mut stranger = endpoint();
    let name = Name::from("nobody");
    let psk = || Secret::new(vec![1; 32]);
    let id = || "nobody.example".parse().expect("an identity");
    let network = || vec!["192.0.2.0/24".parse().expect("a network")];
    let child = Child::new(name.clone(), network(), network());
    let (us, them) = ((id(), LocalAuth::Psk(psk())), (RemoteId::Exact(id()), RemoteAuth::Psk(psk())));
    let connection = Connection {
        proposals: vec![proposal.parse().expect("a proposal")],
        remote: Remote::Hosts(vec!["192.0.2.1".to_owned()]),
        ..Connection::new(name.clone(), us, them, vec![child])
    };
    stranger.handle_command(now(), Command::Configure(vec![Arc::new(connection)])).expect("configured");
    stranger.handle_command(now(), Command::Up(name)).expect("taken");
    while let Some(job) = stranger.poll_job() {
        let completion = if let JobKind::Compute(work) = job.kind {
            Completion::Computed(work.run())
        } else {
            let [from, to] = ["192.0.2.2:500", "192.0.2.1:500"].map(|text| text.parse().expect("an address"));
            Completion::Resolved(Ok(vec![Path::udp(from, to)]))
        };
        stranger.handle_completion(now(), job.id, completion);
    }
    match stranger.poll_transmit().map(|transmit| transmit.payload) {
        Some(Payload::Ike(bytes)) => bytes,
        other => panic!("a first message, not {other:?}"),
    }
}
