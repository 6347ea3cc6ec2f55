//! A configuration file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::config::fuzz::config_file(data));
