//! The shell around `sekisho-ike` and `sekisho-esp`: every socket, clock, file and device is here.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod data;
pub mod demo;
pub mod net;
pub mod telemetry;
pub mod words;
