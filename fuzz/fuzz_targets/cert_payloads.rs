//! A peer's CERT and CERTREQ payloads.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_ike::fuzzing::cert_payloads(data));
