//! What a server answers who is asked about revocation.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::net::http::fuzz::http_answer(data));
