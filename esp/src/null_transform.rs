//! For the throughput bench alone: packets laid out as ESP that nothing protects, to know what is possible without a cipher.
//!
//! This is compiled only with the feature `null-transform`, which no build of the product has: it is asked for by the root
//! package's dev-dependencies, whose features do not reach `cargo build`. Where it is compiled in, a process must choose it
//! by a call that only that bench makes. `tests/null_transform.rs` holds both.

use std::sync::atomic::{AtomicBool, Ordering};

static CHOSEN: AtomicBool = AtomicBool::new(false);

/// From now on and for the rest of this process, SAs that are made neither encrypt nor authenticate, whatever their suite;
/// headers, lengths and replay protection are the suite's.
pub fn protect_nothing() {
    CHOSEN.store(true, Ordering::Relaxed);
}

/// Whether it was chosen.
pub(crate) fn is_chosen() -> bool {
    CHOSEN.load(Ordering::Relaxed)
}
