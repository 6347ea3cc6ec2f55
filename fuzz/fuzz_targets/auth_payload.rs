//! The data of an AUTH payload.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::auth_payload(data));
