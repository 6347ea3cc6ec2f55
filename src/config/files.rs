//! The files that a configuration names: who may read them, and how long they may be.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::limits;
use crate::words::plain;

/// What is expected in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A pre-shared key.
    Psk,
    /// A private key.
    PrivateKey,
    /// What a private key is encrypted with.
    Passphrase,
    /// A private key with its certificates, encrypted.
    Pkcs12,
    /// Certificates.
    Certificate,
    /// A public key.
    PublicKey,
    /// Certificate revocation lists.
    Crl,
}

/// Reads a file; tests and fuzzing stand something else in its place.
pub(super) type Reader<'r> = &'r dyn Fn(&Path, Kind) -> Result<Zeroizing<Vec<u8>>, FileError>;

/// Why a file does not do, without a word of what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileError {
    pub(super) message: String,
    pub(super) help: String,
}

impl FileError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Kind {
    /// As in "the key file x does not exist".
    fn name(self) -> &'static str {
        match self {
            Self::Psk => "key file",
            Self::PrivateKey => "private key",
            Self::Passphrase => "passphrase file",
            Self::Pkcs12 => "PKCS#12 file",
            Self::Certificate => "certificate file",
            Self::PublicKey => "public key",
            Self::Crl => "revocation list",
        }
    }

    fn most(self) -> u64 {
        match self {
            Self::Psk | Self::Passphrase => limits::KEY_FILE_BYTES,
            Self::PrivateKey | Self::PublicKey => limits::PRIVATE_KEY_FILE_BYTES,
            Self::Certificate | Self::Pkcs12 => limits::CERTIFICATE_FILE_BYTES,
            Self::Crl => limits::CRL_FILE_BYTES,
        }
    }

    /// Whether nobody else may read it.
    fn is_secret(self) -> bool {
        matches!(self, Self::Psk | Self::PrivateKey | Self::Passphrase | Self::Pkcs12)
    }

    fn how_to_get(self, shown: &str) -> String {
        match self {
            Self::Psk => format!(
                "make it with `(umask 077; sekisho keygen psk > {shown})` and bring the same file to the peer"
            ),
            _ => "name a file that exists; a path begins in the directory of this configuration".to_owned(),
        }
    }

    fn if_others_read_it(self) -> &'static str {
        match self {
            Self::Psk => "if others may have read it, make a new key",
            Self::Passphrase => "if others may have read it, choose a new one and encrypt the key with that",
            _ => "if others may have read it, have a new key certified",
        }
    }
}

/// A path of the configuration, taken from its directory.
pub(super) fn beside(source: &Path, file: &str) -> PathBuf {
    source.parent().unwrap_or(Path::new("")).join(file)
}

/// Reads a file from the disk: a regular one, and if it is secret, one of ours or root's that nobody else may read or
/// change.
pub(super) fn from_disk(path: &Path, kind: Kind) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (name, shown) = (kind.name(), path.display().to_string());
    let fail = |what: &str, help: String| Err(FileError::new(format!("the {name} {shown} {what}"), help));
    // Without O_NONBLOCK a FIFO would hang the daemon here.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fail("does not exist", kind.how_to_get(&shown));
        }
        Err(error) => {
            let help = "it must be a file that root or the user of sekishod can read".to_owned();
            return fail(&format!("cannot be opened: {}", plain(&error)), help);
        }
    };
    // What was opened is judged, not what stands at the path by now.
    let about = match file.metadata() {
        Ok(about) => about,
        Err(error) => {
            return fail(&format!("cannot be judged: {}", plain(&error)), "look at it with ls -l".to_owned());
        }
    };
    if !about.is_file() {
        return fail("is no regular file", "name a file, not a directory or device".to_owned());
    }
    if kind.is_secret() && about.mode() & 0o077 != 0 {
        let help = format!("`chmod 600 {shown}`; {}", kind.if_others_read_it());
        return fail(&format!("is open to others (mode {:04o})", about.mode() & 0o7777), help);
    }
    // Whom we believe is not for everyone to say.
    if about.mode() & 0o002 != 0 {
        let help = format!("`chmod o-w {shown}`, and see that what is in it is still yours");
        return fail(&format!("may be changed by everyone (mode {:04o})", about.mode() & 0o7777), help);
    }
    let user = nix::unistd::geteuid().as_raw();
    if kind.is_secret() && about.uid() != 0 && about.uid() != user {
        let help = format!("it must belong to root or to the user of sekishod: `chown root {shown}`");
        return fail(&format!("belongs to user {}", about.uid()), help);
    }
    if about.len() > kind.most() {
        return fail(&format!("has {} bytes", about.len()), format!("at most {} are allowed", kind.most()));
    }
    contents(file, about.len(), kind.most()).or_else(|error| {
        fail(&format!("cannot be read: {}", plain(&error)), format!("try it with `cat {shown} > /dev/null`"))
    })
}

fn contents(file: File, length: u64, most: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it from the start: a growing buffer would leave copies behind.
    let room = usize::try_from(length).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(most.min(length)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
