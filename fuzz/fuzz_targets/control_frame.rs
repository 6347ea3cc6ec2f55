//! A request on the control socket.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::api::fuzz::control_frame(data));
