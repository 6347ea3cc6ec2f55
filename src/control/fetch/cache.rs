//! What was fetched, on disk: a restart or a server that is down costs no tunnel whose CRL is still valid.
//!
//! One file an answer, named by the hash of the question. Whether an answer is still good is not known here; what is
//! broken is taken away and fetched anew.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

/// Bytes of all files.
const BYTES: u64 = 64 << 20;
/// Files.
const FILES: usize = 4096;
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
    /// The key of a question, of which a URL is the first part.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut context = ring::digest::Context::new(&SHA256);
        for part in parts {
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

/// An answer on disk.
#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    /// Its place in the order of writing, over restarts too.
    age: (u64, u64),
}

/// The files.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// `None`: nothing is kept.
    directory: Option<PathBuf>,
    entries: BTreeMap<Key, Entry>,
    written: u64,
}

impl Cache {
    /// Takes over what is in a directory, which is made if it is not there. Without one nothing is kept.
    pub(super) fn open(directory: Option<PathBuf>) -> Self {
        let Some(directory) = directory else { return Self::default() };
        let mut cache = Self { directory: Some(directory.clone()), ..Self::default() };
        if let Err(error) = cache.scan(&directory) {
            tracing::warn!("what is fetched cannot be kept in {}: {error}", directory.display());
            return Self::default();
        }
        cache.shrink(0);
        cache
    }

    fn scan(&mut self, directory: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for file in fs::read_dir(directory)? {
            let file = file?;
            let (path, about) = (file.path(), file.metadata()?);
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                remove(&path);
            } else if let (Some(key), true) = (Key::of_file(&path), about.is_file()) {
                let written = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let age = (written.unwrap_or_default().as_secs(), 0);
                self.entries.insert(key, Entry { bytes: about.len(), age });
            }
        }
        Ok(())
    }

    /// Grows with each answer to this question that is put here; `None` while there is none.
    pub(super) fn version(&self, key: &Key) -> Option<(u64, u64)> {
        self.entries.get(key).map(|entry| entry.age)
    }

    /// The last answer.
    pub(super) fn get(&mut self, key: &Key) -> Option<Vec<u8>> {
        let entry = self.entries.get(key)?;
        let path = self.directory.as_ref()?.join(&key.0);
        match read(&path, entry.bytes) {
            Ok(content) => Some(content),
            Err(error) => {
                tracing::warn!("{} is not used: {error}", path.display());
                self.forget(key);
                None
            }
        }
    }

    /// Keeps an answer in place of the one before. A failure is told and costs another fetch some day.
    pub(super) fn put(&mut self, key: &Key, content: &[u8]) {
        let Some(directory) = self.directory.clone() else { return };
        let bytes = (MARK.len() + HASH + content.len()) as u64;
        self.forget(key);
        self.shrink(bytes);
        if let Err(error) = write(&directory, key, content) {
            tracing::warn!("what was fetched cannot be kept in {}: {error}", directory.display());
            return;
        }
        self.written = self.written.saturating_add(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.entries.insert(key.clone(), Entry { bytes, age: (now, self.written) });
    }

    fn forget(&mut self, key: &Key) {
        if self.entries.remove(key).is_some()
            && let Some(directory) = &self.directory
        {
            remove(&directory.join(&key.0));
        }
    }

    /// Makes room for a file of so many bytes; the oldest go first.
    fn shrink(&mut self, room: u64) {
        let mut total: u64 = self.entries.values().map(|entry| entry.bytes).sum();
        while total.saturating_add(room) > BYTES || self.entries.len() >= FILES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.age);
            let Some((key, bytes)) = oldest.map(|(key, entry)| (key.clone(), entry.bytes)) else { break };
            self.forget(&key);
            total = total.saturating_sub(bytes);
        }
    }
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
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
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

    use super::*;

    fn key(text: &str) -> Key {
        Key::of(&[text.as_bytes()])
    }

    fn open(directory: &tempfile::TempDir) -> Cache {
        Cache::open(Some(directory.path().join("fetched")))
    }

    fn files(directory: &tempfile::TempDir) -> usize {
        fs::read_dir(directory.path().join("fetched")).unwrap().count()
    }

    #[test]
    fn an_answer_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = open(&directory);
        assert_eq!((cache.get(&key("a")), cache.version(&key("a"))), (None, None));
        cache.put(&key("a"), b"first");
        let first = cache.version(&key("a"));
        cache.put(&key("a"), b"second");
        assert!(cache.version(&key("a")) > first);
        cache.put(&key("b"), b"");
        for mut cache in [cache, open(&directory)] {
            assert_eq!(cache.get(&key("a")), Some(b"second".to_vec()));
            assert_eq!(cache.get(&key("b")), Some(Vec::new()));
        }
        assert_eq!(files(&directory), 2);
    }

    #[test]
    fn questions_are_told_apart_by_all_their_parts() {
        assert_ne!(Key::of(&[b"ab", b"c"]), Key::of(&[b"a", b"bc"]));
        assert_ne!(Key::of(&[b"a"]), Key::of(&[b"a", b""]));
    }

    #[test]
    fn a_damaged_file_is_taken_away_and_the_others_serve() {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = open(&directory);
        for name in ["cut", "flipped", "empty", "other", "grown", "whole"] {
            cache.put(&key(name), b"content of some length");
        }
        let path = |name: &str| directory.path().join("fetched").join(key(name).0);
        let mut bytes = fs::read(path("whole")).unwrap();
        fs::write(path("cut"), &bytes[..bytes.len() - 1]).unwrap();
        fs::write(path("grown"), [bytes.as_slice(), b"x"].concat()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path("flipped"), &bytes).unwrap();
        fs::write(path("empty"), b"").unwrap();
        fs::write(path("other"), b"something else altogether, and longer than a header").unwrap();
        for name in ["cut", "flipped", "empty", "other", "grown"] {
            assert_eq!(cache.get(&key(name)), None, "{name}");
            assert!(!path(name).exists(), "{name}");
            assert_eq!(cache.version(&key(name)), None);
        }
        assert!(cache.get(&key("whole")).is_some());
    }

    #[test]
    fn what_was_left_unfinished_is_swept_and_what_is_not_ours_is_left() {
        let directory = tempfile::tempdir().unwrap();
        open(&directory).put(&key("a"), b"a");
        let fetched = directory.path().join("fetched");
        fs::write(fetched.join(format!("{}.new", key("b").0)), b"half").unwrap();
        fs::write(fetched.join("notes.txt"), b"a reader's").unwrap();
        fs::create_dir(fetched.join(key("c").0)).unwrap();
        let mut cache = open(&directory);
        assert_eq!(cache.get(&key("b")), None);
        assert_eq!(cache.get(&key("c")), None);
        assert!(cache.get(&key("a")).is_some());
        assert_eq!(files(&directory), 3);
    }

    #[test]
    fn the_oldest_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let large = vec![0; 15 << 20];
        let mut cache = open(&directory);
        for name in ["a", "b", "c", "d"] {
            cache.put(&key(name), &large);
        }
        assert!(cache.get(&key("a")).is_some(), "four fit");
        cache.put(&key("a"), &large);
        cache.put(&key("e"), &large);
        assert!(cache.get(&key("b")).is_none(), "the oldest by now");
        assert!(cache.get(&key("a")).is_some());
        assert_eq!(files(&directory), 4);
    }

    #[test]
    fn the_order_of_age_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let large = vec![0; 20 << 20];
        let mut cache = open(&directory);
        for (name, age) in [("old", 300), ("older", 400), ("young", 100)] {
            cache.put(&key(name), &large);
            let file = File::open(directory.path().join("fetched").join(key(name).0)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let mut cache = open(&directory);
        cache.put(&key("new"), &large);
        assert!(cache.get(&key("older")).is_none());
        assert!(cache.get(&key("old")).is_some());
    }

    #[test]
    fn without_a_directory_nothing_is_kept_and_nothing_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        for mut cache in [Cache::open(None), Cache::open(Some(file.join("below")))] {
            cache.put(&key("a"), b"a");
            assert_eq!(cache.get(&key("a")), None);
        }
    }
}
