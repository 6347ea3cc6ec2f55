//! What a key exchange costs: the initiator's two halves, and the responder's one step.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic, and its macros write no docs")]

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use criterion::{Criterion, criterion_group, criterion_main};
use sekisho_ike::SecureRandom;
use sekisho_ike::crypto::Provider;
use sekisho_ike::suite::Group;

struct Seeded(ChaCha20Rng);

impl SecureRandom for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

fn key_exchange(criterion: &mut Criterion) {
    let factory = Provider::ring().key_exchange;
    let mut random = Seeded(ChaCha20Rng::seed_from_u64(1));
    for group in Group::ALL {
        let peer = factory.draw(group, &mut random).unwrap().begin().public().to_vec();
        let mut benches = criterion.benchmark_group(format!("key_exchange/{group}"));
        benches.bench_function("initiator", |b| {
            b.iter(|| factory.draw(group, &mut random).unwrap().begin().complete(&peer).unwrap());
        });
        benches.bench_function("responder", |b| {
            b.iter(|| factory.draw(group, &mut random).unwrap().respond(&peer).unwrap());
        });
        benches.finish();
    }
}

criterion_group!(benches, key_exchange);
criterion_main!(benches);
