//! CPU time of a whole handshake, both ends: `IKE_SA_INIT` and `IKE_AUTH` over a perfect line.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sekisho_ike::sim::{Conditions, Side, World, connection_pair};

fn handshake(suite: &str) {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, mut b) = connection_pair();
    for connection in [&mut a, &mut b] {
        connection.proposals = suite.parse().into_iter().collect();
    }
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(Duration::from_secs(1), |w| w.is_up()), "{suite} does not come up");
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake, both ends");
    group.sample_size(30);
    for exchange in ["x25519", "ecp256", "ecp384", "modp2048", "modp3072"] {
        let suite = format!("aes256gcm16-prfsha384-{exchange}");
        group.bench_function(exchange, |bencher| bencher.iter(|| handshake(&suite)));
    }
    group.finish();
}

criterion_group!(handshakes, benches);
criterion_main!(handshakes);
