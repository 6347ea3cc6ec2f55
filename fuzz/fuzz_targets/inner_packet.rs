//! A packet from a TUN device or out of ESP.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::inner_packet(data));
