//! A soak: two sekishods under full load while their SAs are replaced every other second.
//! No packet is delivered twice, none is changed, none is lost to a rekey, and the memory stays as it was.
//!
//! Each test takes half a minute; `SEKISHO_SOAK_SECONDS=1800 cargo test --release --test soak -- --nocapture` lets each soak
//! for half an hour. (nextest would end that: its limit is in `.config/nextest.toml`.)

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod bytes;
mod link;
mod numbered;
mod pattern;
mod rekeys;

use std::env;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lab::{End, Namespace, Outer, Sekisho, Site, Tunnel};
use link::{Fate, Link};
use numbered::{Numbered, Tally};
use rekeys::{await_single_sas, keep_rekeying, replaced};

const DEFAULT: Duration = Duration::from_secs(30);
/// How much a daemon may grow once all its buffers are in use: the records of SAs that it keeps, and what the allocator holds.
const GROWTH_MIB: f64 = 4.0;

/// Over a line that loses nothing everything arrives: datagrams and streams, both ways, through every rekey.
#[test]
fn at_full_rate_nothing_is_lost_to_a_rekey() {
    let site = Site::new("soak_full_rate");
    let [a, b] = pair(&site);
    let datagrams = both_ways(&site, Numbered::start);
    let streams = both_ways(&site, Bytes::start);
    let rekeys = soak(&a, &b, duration());
    for bytes in streams.map(Bytes::finish) {
        println!("a stream of {} MB arrived as it was sent", bytes / 1_000_000);
    }
    for tally in datagrams.map(Numbered::finish) {
        println!("{tally:?}; dropped by kernels on the way: {:?}", site.kernel_drops());
        assert_eq!((tally.lost, tally.duplicated), (0, 0), "{tally:?}");
        assert!(tally.sent > 10_000, "hardly anything was sent: {tally:?}");
    }
    assert_rekeyed(&a, &b, rekeys);
}

/// Over a line that loses, repeats and reorders, exactly that is missing which the line lost, and nothing comes twice.
#[test]
fn over_a_bad_line_only_what_it_loses_is_lost_and_nothing_comes_twice() {
    let site = Site::new("soak_bad_line");
    let link = Link::instead_of_router(&site, Fate { lost: 10, repeated: 10, delayed: 50 });
    let [a, b] = pair(&site);
    let before = link.lost();
    let datagrams = both_ways(&site, Numbered::start);
    let rekeys = soak(&a, &b, duration() / 2);
    let tallies = datagrams.map(Numbered::finish);
    let lost = [0, 1].map(|way| link.lost()[way] - before[way]);
    for (Tally { sent, lost, duplicated }, of_link) in tallies.into_iter().zip(lost) {
        println!("{sent} sent, {lost} lost, {of_link} of the line's");
        assert_eq!((lost, duplicated), (of_link, 0), "of {sent}");
        assert!(lost > 0, "the line lost nothing of {sent}");
    }
    for end in [&a, &b] {
        let replayed = end.json(&["status"])["drops"]["replayed"].as_u64();
        assert!(replayed > Some(0), "the line repeated packets: {replayed:?}");
    }

    let streams = both_ways(&site, Bytes::start);
    let more = soak(&a, &b, duration() / 2);
    for bytes in streams.map(Bytes::finish) {
        println!("a stream of {} MB arrived as it was sent", bytes / 1_000_000);
    }
    assert_rekeyed(&a, &b, rekeys + more);
}

/// How long each test soaks.
fn duration() -> Duration {
    let seconds = env::var("SEKISHO_SOAK_SECONDS").ok();
    seconds.map_or(DEFAULT, |text| Duration::from_secs(text.parse().expect("a number of seconds")))
}

fn pair(site: &Site) -> [Sekisho<'_>; 2] {
    let b = Sekisho::start(&site.b, &Tunnel::at(site, End::B, Outer::V4));
    let a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(site, End::A, Outer::V4) });
    a.await_up();
    b.await_up();
    [a, b]
}

type Place<'a> = (&'a Namespace, IpAddr);

fn both_ways<T>(site: &Site, start: impl Fn(Place<'_>, Place<'_>) -> T) -> [T; 2] {
    let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    [start(a, b), start(b, a)]
}

/// Rekeys for so long, and holds the memory of both against what it was after the first third. How many rekeys were asked for.
fn soak(a: &Sekisho, b: &Sekisho, duration: Duration) -> u32 {
    let start = Instant::now();
    let warm = keep_rekeying(a, b, start + duration / 3);
    let before = [a, b].map(Sekisho::resident_mib);
    let asked = warm + keep_rekeying(a, b, start + duration);
    let after = [a, b].map(Sekisho::resident_mib);
    println!("{asked} rekeys; memory {before:.1?} MiB, then {after:.1?} MiB");
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before < GROWTH_MIB, "a daemon grew from {before:.1} to {after:.1} MiB");
    }
    asked
}

fn assert_rekeyed(a: &Sekisho, b: &Sekisho, asked: u32) {
    await_single_sas(a, b);
    let [children, ike] = replaced(a);
    println!("{asked} rekeys were asked for; {children} Child SAs came after the first, {ike} IKE SAs");
    assert!(children >= asked / 3 && ike >= 1, "of {asked} rekeys only {children} and {ike} were made");
}
