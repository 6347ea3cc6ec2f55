//! What a tunnel costs a small box while nothing happens.

use crate::lab::{Outer, Site};
use crate::peers::we_initiate;

/// MiB that the daemon may occupy with one tunnel up; this is the development build, the shipped one is smaller.
const RESIDENT_MAX: f64 = 20.0;

#[test]
fn the_daemon_stays_small() {
    let site = Site::new("idle_resident_memory");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let resident = sekisho.resident_mib();
    println!("resident memory with one tunnel: {resident:.1} MiB");
    assert!(resident < RESIDENT_MAX, "{resident:.1} MiB");
}
