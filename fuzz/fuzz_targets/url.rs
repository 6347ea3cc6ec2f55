//! A URL as a certificate names it, and where a server sends us.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::net::http::fuzz::url(data));
