//! A router's message about a packet that was too big.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::icmp_quote(data));
