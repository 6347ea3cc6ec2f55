//! An IKE message as it comes from the network.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::message(data));
