//! The leaf that talks to the operating system. It knows no IKE and no ESP; `unsafe` lives here alone.

pub mod packet;
