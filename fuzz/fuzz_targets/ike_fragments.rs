//! A decrypted payload chain, sealed with known keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::fragments(data));
