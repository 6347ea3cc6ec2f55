//! Fragments inside a tunnel, of several packets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::inner_fragments(data));
