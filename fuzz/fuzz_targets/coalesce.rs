//! Packets that may be joined.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::coalesce(data));
