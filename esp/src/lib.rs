//! ESP (RFC 4303) as pure packet transforms and look-ups: no socket, no clock, no random source.
#![forbid(unsafe_code)]
