//! The header before a packet of a TUN device, and the packet.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho_esp::fuzzing::virtio_header(data));
