//! The files of a configuration, each read once however many tunnels name it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sekisho_ike::pki::{Certificate, Credential, Crl, PublicKey, SigningKey, Trust};
use zeroize::Zeroizing;

use super::document::{Judge, Span};
use super::files::{FileError, Kind, Reader, beside};
use super::material::{self, Passphrase};
use super::pkcs12;

/// A result that is kept.
type Kept<K, V> = RefCell<BTreeMap<K, Result<V, FileError>>>;

/// Where files come from, and when.
pub(super) struct Store<'r> {
    source: &'r Path,
    reader: Reader<'r>,
    /// Seconds since 1970 UTC: for the dates of certificates.
    pub(super) now: u64,
    /// Whether a certificate of ours may be expired: at a start or reload, which the other tunnels need.
    pub(super) forgives_dates: bool,
    certificates: Kept<PathBuf, Vec<Certificate>>,
    crls: Kept<PathBuf, Vec<Crl>>,
    private_keys: Kept<(PathBuf, Option<PathBuf>), (SigningKey, bool)>,
    bundles: Kept<(PathBuf, PathBuf), (SigningKey, Vec<Certificate>)>,
    credentials: RefCell<Vec<Arc<Credential>>>,
    trusts: RefCell<Vec<Arc<Trust>>>,
    told: RefCell<BTreeSet<String>>,
}

/// What a private key is encrypted with, and where that stands.
pub(super) struct PassphraseFile {
    path: PathBuf,
    passphrase: Passphrase,
}

impl<'r> Store<'r> {
    /// The configuration, in whose directory paths begin, how files are read, and the time.
    pub(super) fn new(source: &'r Path, reader: Reader<'r>, now: u64) -> Self {
        Self {
            source,
            reader,
            now,
            forgives_dates: false,
            certificates: RefCell::default(),
            crls: RefCell::default(),
            private_keys: RefCell::default(),
            bundles: RefCell::default(),
            credentials: RefCell::default(),
            trusts: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// The file that the setting `key` names.
    pub(super) fn bytes(
        &self,
        key: &str,
        file: &str,
        kind: Kind,
    ) -> Result<(PathBuf, Zeroizing<Vec<u8>>), FileError> {
        let path = self.path(key, file)?;
        (self.reader)(&path, kind).map(|bytes| (path, bytes))
    }

    /// Its certificates, at least one.
    pub(super) fn certificates(&self, key: &str, file: &str) -> Result<Vec<Certificate>, FileError> {
        let path = self.path(key, file)?;
        kept(&self.certificates, path.clone(), || {
            material::certificates(&path, &(self.reader)(&path, Kind::Certificate)?)
        })
    }

    /// Its revocation lists, at least one.
    pub(super) fn crls(&self, key: &str, file: &str) -> Result<Vec<Crl>, FileError> {
        let path = self.path(key, file)?;
        kept(&self.crls, path.clone(), || material::crls(&path, &(self.reader)(&path, Kind::Crl)?))
    }

    /// Its public key.
    pub(super) fn public_key(&self, key: &str, file: &str) -> Result<PublicKey, FileError> {
        let (path, bytes) = self.bytes(key, file, Kind::PublicKey)?;
        material::public_key(&path, &bytes)
    }

    /// Its private key, and whether a passphrase was needed.
    pub(super) fn private_key(
        &self,
        file: &str,
        passphrase: Option<&PassphraseFile>,
    ) -> Result<(SigningKey, bool), FileError> {
        let path = self.path("private_key", file)?;
        let passphrase_path = passphrase.map(|file| file.path.clone());
        kept(&self.private_keys, (path.clone(), passphrase_path), || {
            let bytes = (self.reader)(&path, Kind::PrivateKey)?;
            material::private_key(&path, &bytes, passphrase.map(|file| &file.passphrase))
        })
    }

    /// Its private key and the chain of its certificates.
    pub(super) fn pkcs12(
        &self,
        file: &str,
        passphrase: &PassphraseFile,
    ) -> Result<(SigningKey, Vec<Certificate>), FileError> {
        let path = self.path("pkcs12", file)?;
        kept(&self.bundles, (path.clone(), passphrase.path.clone()), || {
            pkcs12::read(&path, &(self.reader)(&path, Kind::Pkcs12)?, &passphrase.passphrase)
        })
    }

    /// Warns, unless the same was told at another tunnel with the same file.
    pub(super) fn warn_once(&self, judge: &mut Judge<'_>, span: &Span, message: String, help: &str) {
        if self.told.borrow_mut().insert(message.clone()) {
            judge.warn(span, message, help);
        }
    }

    /// The same for all tunnels that have the same.
    pub(super) fn credential(&self, credential: Credential) -> Arc<Credential> {
        shared(&self.credentials, credential)
    }

    /// The same for all tunnels that have the same.
    pub(super) fn trust(&self, trust: Trust) -> Arc<Trust> {
        shared(&self.trusts, trust)
    }

    /// The passphrase in a file.
    pub(super) fn passphrase(&self, file: &str) -> Result<PassphraseFile, FileError> {
        let (path, bytes) = self.bytes("passphrase_file", file, Kind::Passphrase)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let shown = path.display();
        let help = "write the passphrase into it, in one line of UTF-8";
        match std::str::from_utf8(line) {
            Ok("") => Err(FileError::new(format!("the passphrase file {shown} is empty"), help)),
            Ok(text) if text.contains(['\n', '\0']) => {
                Err(FileError::new(format!("the passphrase file {shown} holds more than a line"), help))
            }
            Ok(text) => {
                let passphrase = Zeroizing::new(text.to_owned());
                Ok(PassphraseFile { path, passphrase })
            }
            Err(_) => Err(FileError::new(format!("the passphrase file {shown} is no UTF-8 text"), help)),
        }
    }

    fn path(&self, key: &str, file: &str) -> Result<PathBuf, FileError> {
        if file.contains("-----BEGIN") {
            let help = "put it into a file of its own and write the name of that file here";
            return Err(FileError::new(
                format!("`{key}` holds the thing itself, not the name of a file"),
                help,
            ));
        }
        if file.is_empty() || file.contains('\0') {
            return Err(FileError::new(format!("`{key}` names no file"), "write the name of a file"));
        }
        Ok(beside(self.source, file))
    }
}

fn kept<K: Ord, V: Clone>(
    kept: &Kept<K, V>,
    key: K,
    read: impl FnOnce() -> Result<V, FileError>,
) -> Result<V, FileError> {
    if let Some(known) = kept.borrow().get(&key) {
        return known.clone();
    }
    let result = read();
    kept.borrow_mut().insert(key, result.clone());
    result
}

/// Few are different, so that looking through all of them is quick enough.
fn shared<T: PartialEq>(all: &RefCell<Vec<Arc<T>>>, new: T) -> Arc<T> {
    let mut all = all.borrow_mut();
    if let Some(known) = all.iter().find(|known| ***known == new) {
        return known.clone();
    }
    let new = Arc::new(new);
    // With thousands of different ones there is nothing to be shared.
    if all.len() < SHARED {
        all.push(new.clone());
    }
    new
}

/// Different things among which equal ones are looked for.
const SHARED: usize = 64;
