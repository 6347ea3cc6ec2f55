//! A revocation list, as DER.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::crl(data));
