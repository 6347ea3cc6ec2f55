//! A file with certificates, keys or revocation lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::config::fuzz::key_file(data));
