//! Super-packets to be cut.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::segment_super_packet(data));
