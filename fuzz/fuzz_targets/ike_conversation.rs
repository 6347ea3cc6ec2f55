//! A whole endpoint in conversation with a peer that has the right keys and keeps no rule.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::conversation(data));
