//! An ESP packet.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::esp_open(data));
