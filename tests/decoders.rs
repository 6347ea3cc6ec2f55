//! The bodies of the fuzz targets of this crate over their corpora, and over mutations of them.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

const MUTATIONS: usize = 4000;

/// A generator that needs no quality, only repeatability (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "a corpus of {}", paths.len());
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One to four changes: a byte, a piece gone, doubled, or taken from another entry.
fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    const TELLING: &[u8] = b"\n\"'[]{}=.,#-_/:0x9\\\0\x7f\xff ";
    let mut data = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(data.len() + 1);
        let end = (at + dice.below(40)).min(data.len());
        match dice.below(5) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..end)),
            2 => data.insert(at, TELLING[dice.below(TELLING.len())]),
            3 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            _ => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(60)).min(other.len());
                data.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    data
}

fn hold(target: &str, body: fn(&[u8])) {
    let corpus = corpus(target);
    for entry in &corpus {
        body(entry);
    }
    for seed in 1..=MUTATIONS {
        let data =
            mutated(&mut Dice(u64::try_from(seed).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15)), &corpus);
        let held = std::panic::catch_unwind(|| body(&data)).is_ok();
        assert!(held, "{target}, seed {seed}: {:?}", String::from_utf8_lossy(&data));
    }
}

#[test]
fn no_configuration_file_breaks_the_judge() {
    hold("config_file", sekisho::config::fuzz::config_file);
}

#[test]
fn no_frame_breaks_the_control_socket() {
    hold("control_frame", sekisho::api::fuzz::control_frame);
}

#[test]
fn no_file_of_keys_or_certificates_breaks_its_reader() {
    hold("key_file", sekisho::config::fuzz::key_file);
}

#[test]
fn no_url_leads_astray() {
    hold("url", sekisho::net::http::fuzz::url);
}

#[test]
fn no_answer_of_a_server_breaks_its_reader() {
    hold("http_answer", sekisho::net::http::fuzz::http_answer);
}
