//! What was fetched, in memory and on disk: a restart or a server that is down costs no tunnel whose CRL is still valid.
//!
//! One file an answer, named by the hash of the question. What is broken is taken away and fetched anew. No lock is held
//! while the disk is read or written.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256, digest};
use sekisho_ike::pki::{Answer, Fetch, FetchKind};

use super::round::Round;

/// Bytes of all answers.
const BYTES: u64 = 64 << 20;
/// Answers.
const ANSWERS: usize = 4096;
/// Stands at the beginning of a file; a hash of the content and the content follow.
const MARK: &[u8] = b"sekisho fetched 1\n";
/// Bytes of SHA-256.
const HASH: usize = 32;
/// A file that is being written.
const UNFINISHED: &str = "new";

/// The hash of a question, in hexadecimal digits: the name of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn of(fetch: &Fetch) -> Self {
        let request: &[u8] = match &fetch.kind {
            FetchKind::Crl { .. } => &[],
            FetchKind::Ocsp { request, .. } => request,
        };
        // Its issuer is in it, so that no other authority that is trusted can take the place of what this one says.
        let issuer = fetch.issuer.fingerprint();
        let mut context = Context::new(&SHA256);
        for part in [fetch.url.as_bytes(), request, &issuer] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        Self(HEXLOWER.encode(context.finish().as_ref()))
    }

    fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (name.len() == HASH * 2 && name.bytes().all(digits)).then(|| Self(name.to_owned()))
    }
}

/// When an answer was put here: the time, seconds since 1970 UTC, and its place in the order of this run; and the round in
/// which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    pub(super) fetched: u64,
    order: u64,
    pub(super) round: Round,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    age: Age,
    /// `None`: on disk only, as yet.
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
struct Entries {
    all: BTreeMap<Key, Entry>,
    order: u64,
}

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// `None`: in memory only.
    directory: Option<PathBuf>,
    entries: Mutex<Entries>,
}

impl Cache {
    /// Takes over what is in a directory, which is made if it is not there.
    pub(super) fn open(directory: Option<PathBuf>) -> Self {
        let Some(directory) = directory else { return Self::default() };
        let mut entries = Entries::default();
        if let Err(error) = entries.scan(&directory) {
            tracing::warn!("what is fetched cannot be kept in {}: {error}", directory.display());
            return Self::default();
        }
        let cache = Self { directory: Some(directory), entries: Mutex::new(entries) };
        let surplus = cache.entries().shrink(0);
        cache.remove(&surplus);
        cache
    }

    /// When the last answer was put here.
    pub(super) fn age(&self, key: &Key) -> Option<Age> {
        self.entries().all.get(key).map(|entry| entry.age)
    }

    /// The last answer, if it is one to this question: it may have been given about another certificate. Reads the disk, and
    /// checks signatures: whatever wrote there, an answer that is none would be in the way of all that come later.
    pub(super) fn get(&self, key: &Key, fetch: &Fetch) -> Option<Answer> {
        let kept = self.entries().all.get(key)?.answer.clone();
        let answer = kept.or_else(|| self.read(key, fetch))?.to(fetch.clone()).vouched(now());
        (!matches!(answer, Answer::Failed(..))).then_some(answer)
    }

    fn read(&self, key: &Key, fetch: &Fetch) -> Option<Answer> {
        let (bytes, age) = self.entries().all.get(key).map(|entry| (entry.bytes, entry.age))?;
        let path = self.directory.as_ref()?.join(&key.0);
        let read = read(&path, bytes).map_err(|error| error.to_string());
        let read = read.and_then(|content| {
            let answer = Answer::read(fetch.clone(), &content, age.fetched);
            // A list that is of no use to whoever asks first is still the one for others.
            let answer = if answer.is_about_others() { answer } else { answer.vouched(now()) };
            match answer {
                Answer::Failed(_, why) => Err(why),
                answer => Ok(answer),
            }
        });
        match read {
            Ok(answer) => {
                if let Some(entry) = self.entries().all.get_mut(key).filter(|entry| entry.age == age) {
                    entry.answer = Some(answer.clone());
                }
                Some(answer)
            }
            Err(error) => {
                tracing::warn!("{} is not used: {error}", path.display());
                self.entries().all.remove(key);
                self.remove(std::slice::from_ref(key));
                None
            }
        }
    }

    /// Keeps an answer that was asked for in this round, and whose signature is right, in place of the one before; returns the
    /// one that counts. An old one, true in its day, does not take the place of a newer. Reads and writes the disk; a failure
    /// is told, and costs another fetch some day.
    pub(super) fn put(&self, key: &Key, content: &[u8], answer: Answer, round: Round) -> Answer {
        if let Some(newer) = self.get(key, answer.fetch()).filter(|kept| kept.outdates(&answer, now())) {
            self.entries().confirm(key, round);
            return newer;
        }
        let bytes = (MARK.len() + HASH + content.len()) as u64;
        let surplus = self.entries().add(key, bytes, answer.clone(), round);
        self.remove(&surplus);
        if let Some(directory) = &self.directory
            && let Err(error) = write(directory, key, content)
        {
            tracing::warn!("what was fetched cannot be kept in {}: {error}", directory.display());
        }
        answer
    }

    fn remove(&self, keys: &[Key]) {
        for key in keys {
            if let Some(directory) = &self.directory {
                remove(&directory.join(&key.0));
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn scan(&mut self, directory: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for file in fs::read_dir(directory)? {
            let file = file?;
            let (path, about) = (file.path(), file.metadata()?);
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                remove(&path);
            } else if let (Some(key), true) = (Key::of_file(&path), about.is_file()) {
                let written = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let fetched = written.unwrap_or_default().as_secs();
                let age = Age { fetched, order: 0, round: Round::default() };
                self.all.insert(key, Entry { bytes: about.len(), age, answer: None });
            }
        }
        Ok(())
    }

    /// Those that had to make room.
    fn add(&mut self, key: &Key, bytes: u64, answer: Answer, round: Round) -> Vec<Key> {
        self.all.remove(key);
        let surplus = self.shrink(bytes);
        let age = self.next_age(round);
        self.all.insert(key.clone(), Entry { bytes, age, answer: Some(answer) });
        surplus
    }

    /// Nothing newer was to be had.
    fn confirm(&mut self, key: &Key, round: Round) {
        let age = self.next_age(round);
        if let Some(entry) = self.all.get_mut(key) {
            entry.age = age;
        }
    }

    fn next_age(&mut self, round: Round) -> Age {
        self.order = self.order.saturating_add(1);
        Age { fetched: now(), order: self.order, round }
    }

    /// Makes room for one of so many bytes; the oldest go first.
    fn shrink(&mut self, room: u64) -> Vec<Key> {
        let mut surplus = Vec::new();
        let mut total: u64 = self.all.values().map(|entry| entry.bytes).sum();
        while total.saturating_add(room) > BYTES || self.all.len() >= ANSWERS {
            let oldest = self.all.iter().min_by_key(|(_, entry)| entry.age);
            let Some((key, bytes)) = oldest.map(|(key, entry)| (key.clone(), entry.bytes)) else { break };
            self.all.remove(&key);
            total = total.saturating_sub(bytes);
            surplus.push(key);
        }
        surplus
    }
}

/// Seconds since 1970 UTC.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn read(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    let mut content = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)?;
    file.take(bytes.saturating_add(1).min(BYTES)).read_to_end(&mut content)?;
    let rest = content.strip_prefix(MARK).ok_or_else(broken)?;
    let (hash, rest) = rest.split_at_checked(HASH).ok_or_else(broken)?;
    if digest(&SHA256, rest).as_ref() != hash {
        return Err(broken());
    }
    Ok(rest.to_vec())
}

/// Whole or not at all: a power cut leaves the old file, or none.
fn write(directory: &Path, key: &Key, content: &[u8]) -> io::Result<()> {
    let (new, kept) = (directory.join(format!("{}.{UNFINISHED}", key.0)), directory.join(&key.0));
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let mut file: File = options.open(&new)?;
    file.write_all(MARK)?;
    file.write_all(digest(&SHA256, content).as_ref())?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, &kept)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!("{} is not removed: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{Authority, crl, crl_of_length, issuer, list};
    use super::*;

    fn fetch(name: &str) -> Fetch {
        list(&format!("http://{name}/crl"))
    }

    fn key(name: &str) -> Key {
        Key::of(&fetch(name))
    }

    fn open(directory: &tempfile::TempDir) -> Cache {
        Cache::open(Some(directory.path().join("fetched")))
    }

    fn put(cache: &Cache, name: &str, content: &[u8]) {
        cache.put(&key(name), content, Answer::read(fetch(name), content, now()), Round::default());
    }

    fn get(cache: &Cache, name: &str) -> Option<Vec<u8>> {
        match cache.get(&key(name), &fetch(name))? {
            Answer::Crl(of, crl, _) if of == fetch(name) => Some(crl.der().to_vec()),
            other => panic!("{other:?}"),
        }
    }

    fn files(directory: &tempfile::TempDir) -> usize {
        fs::read_dir(directory.path().join("fetched")).unwrap().count()
    }

    #[test]
    fn an_answer_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(&directory);
        let (first, second) = (crl(2100, 1), crl(2100, 2));
        assert_eq!((get(&cache, "a"), cache.age(&key("a"))), (None, None));
        put(&cache, "a", &first);
        let age = cache.age(&key("a"));
        put(&cache, "a", &second);
        assert!(cache.age(&key("a")) > age);
        put(&cache, "b", &first);
        for cache in [cache, open(&directory)] {
            assert_eq!(get(&cache, "a").as_ref(), Some(&second));
            assert_eq!(get(&cache, "b").as_ref(), Some(&first));
        }
        assert_eq!(files(&directory), 2);
    }

    #[test]
    fn questions_are_told_apart_by_all_their_parts() {
        let ocsp = |url: &str, request: &[u8]| {
            let kind = FetchKind::Ocsp { request: request.to_vec(), certificate: issuer() };
            Key::of(&Fetch { url: url.to_owned(), kind, issuer: issuer() })
        };
        assert_ne!(ocsp("http://ab", b"c"), ocsp("http://a", b"bc"));
        assert_ne!(ocsp("http://a/crl", b"x"), key("a"));
        let of_another = Fetch { issuer: Authority::new().certificate, ..fetch("a") };
        assert_ne!(Key::of(&of_another), key("a"));
    }

    #[test]
    fn a_damaged_file_is_taken_away_and_the_others_serve() {
        let directory = tempfile::tempdir().unwrap();
        let written = open(&directory);
        let names = ["cut", "flipped", "empty", "other", "grown", "garbage"];
        for name in names.into_iter().chain(["whole"]) {
            put(&written, name, &crl(2100, 1));
        }
        let path = |name: &str| directory.path().join("fetched").join(key(name).0);
        let mut bytes = fs::read(path("whole")).unwrap();
        fs::write(path("cut"), &bytes[..bytes.len() - 1]).unwrap();
        fs::write(path("grown"), [bytes.as_slice(), b"x"].concat()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path("flipped"), &bytes).unwrap();
        fs::write(path("empty"), b"").unwrap();
        fs::write(path("other"), b"something else altogether, and longer than a header").unwrap();
        write(path("garbage").parent().unwrap(), &key("garbage"), b"no list at all").unwrap();
        assert!(get(&written, "cut").is_some(), "in memory it is whole");
        let cache = open(&directory);
        for name in names {
            assert_eq!(get(&cache, name), None, "{name}");
            assert!(!path(name).exists(), "{name}");
            assert_eq!(cache.age(&key(name)), None);
        }
        assert!(get(&cache, "whole").is_some());
    }

    #[test]
    fn what_was_left_unfinished_is_swept_and_what_is_not_ours_is_left() {
        let directory = tempfile::tempdir().unwrap();
        put(&open(&directory), "a", &crl(2100, 1));
        let fetched = directory.path().join("fetched");
        fs::write(fetched.join(format!("{}.new", key("b").0)), b"half").unwrap();
        fs::write(fetched.join("notes.txt"), b"a reader's").unwrap();
        fs::create_dir(fetched.join(key("c").0)).unwrap();
        let cache = open(&directory);
        assert_eq!((get(&cache, "b"), get(&cache, "c")), (None, None));
        assert!(get(&cache, "a").is_some());
        assert_eq!(files(&directory), 3);
    }

    #[test]
    fn the_oldest_make_room_also_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let large = crl_of_length(15 << 20);
        let cache = open(&directory);
        for name in ["a", "b", "c", "d"] {
            put(&cache, name, &large);
        }
        assert!(get(&cache, "a").is_some(), "four fit");
        put(&cache, "a", &large);
        put(&cache, "e", &large);
        assert!(get(&cache, "b").is_none(), "the oldest by now");
        assert!(get(&cache, "a").is_some());
        assert_eq!(files(&directory), 4);

        let file = File::open(directory.path().join("fetched").join(key("a").0)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(400)).unwrap();
        let cache = open(&directory);
        put(&cache, "f", &large);
        assert!(get(&cache, "a").is_none(), "the oldest on disk");
        assert!(get(&cache, "c").is_some());
        assert_eq!(files(&directory), 4);
    }

    #[test]
    fn without_a_directory_memory_serves_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        for cache in [Cache::open(None), Cache::open(Some(file.join("below")))] {
            put(&cache, "a", &crl(2100, 1));
            assert!(get(&cache, "a").is_some());
        }
    }
}
