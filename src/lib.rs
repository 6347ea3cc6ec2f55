//! The shell around `sekisho-ike` and `sekisho-esp`: every socket, clock, file and device is here.

pub mod data;
pub mod net;
