//! Contents that are known from their number: what was changed, cut or put in another's place differs.

use std::sync::LazyLock;

/// A power of two.
const LONGEST: usize = 1 << 16;

/// Noise, twice as long as the longest content, which is a window of it. (A table, since tests are built without
/// optimisation.)
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = (0..2 * LONGEST).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    bytes.collect()
});

/// The content of this number; at most 64 KiB.
pub fn content(number: u64, length: usize) -> &'static [u8] {
    let start = scatter(number) as usize % LONGEST;
    &NOISE[start..start + length]
}

/// A number that tells nothing of its neighbours'.
pub fn scatter(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 27
}
