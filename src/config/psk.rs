//! Files that hold a pre-shared key: who may read them, and what stands in them.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sekisho_ike::Secret;
use sekisho_ike::identity::{parse_psk, psk_strength};
use zeroize::Zeroizing;

use super::limits;
use super::problem::looks_like_key;
use super::tunnel::beside;

/// Reads the key file at a path; tests and fuzzing stand something else in its place.
pub(super) type Reader<'r> = &'r dyn Fn(&Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError>;

/// Where key files come from.
pub(super) struct KeyFiles<'r> {
    /// The configuration; paths are relative to its directory.
    pub(super) source: &'r Path,
    pub(super) reader: Reader<'r>,
}

/// A key, and what makes it weak.
pub(super) struct Key {
    pub(super) secret: Secret,
    pub(super) weakness: Option<String>,
}

/// Why there is no key, without a word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFileError {
    pub(super) message: String,
    pub(super) help: String,
}

impl KeyFiles<'_> {
    /// The key in the file named.
    pub(super) fn read(&self, file: &str) -> Result<Key, KeyFileError> {
        let fail = |message: String, help: &str| Err(KeyFileError { message, help: help.to_owned() });
        if looks_like_key(file) {
            let help = "put the key into a file of its own, mode 0600, and write the name of that file here";
            return fail("`psk_file` holds a key, not the name of a file".to_owned(), help);
        }
        if file.is_empty() || file.contains('\0') {
            return fail(
                "`psk_file` names no file".to_owned(),
                "write the name of a file that holds the key",
            );
        }
        let path = beside(self.source, file);
        let bytes = (self.reader)(&path)?;
        match parse_psk(&bytes) {
            Ok(secret) => {
                let weakness =
                    psk_strength(secret.expose()).err().map(|weak| format!("{weak} ({})", path.display()));
                Ok(Key { secret, weakness })
            }
            Err(error) => {
                let help = "a key file holds text as it is, 0x and hexadecimal digits, or 0s and base64; `sekisho keygen psk` makes one";
                fail(format!("{error} ({})", path.display()), help)
            }
        }
    }
}

/// Reads a key file from the disk: a regular file of ours or root's that nobody else may read or change.
pub(super) fn from_disk(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let shown = path.display();
    let fail = |message: String, help: String| Err(KeyFileError { message, help });
    // Without O_NONBLOCK a FIFO would hang the daemon here.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = format!(
                "make it with `(umask 077; sekisho keygen psk > {shown})` and bring the same file to the peer"
            );
            return fail(format!("the key file {shown} does not exist"), help);
        }
        Err(error) => {
            let help = "it must be a file that root or the user of sekishod can read".to_owned();
            return fail(format!("the key file {shown} cannot be opened: {}", plain(&error)), help);
        }
    };
    // What was opened is judged, not what stands at the path by now.
    let about = file.metadata().map_err(|error| KeyFileError {
        message: format!("the key file {shown} cannot be judged: {}", plain(&error)),
        help: "look at it with ls -l".to_owned(),
    })?;
    if !about.is_file() {
        return fail(
            format!("the key file {shown} is no regular file"),
            "name a file, not a directory or device".to_owned(),
        );
    }
    if about.mode() & 0o077 != 0 {
        let message = format!("the key file {shown} is open to others (mode {:04o})", about.mode() & 0o7777);
        return fail(message, format!("`chmod 600 {shown}`; if others may have read it, make a new key"));
    }
    let user = nix::unistd::geteuid().as_raw();
    if about.uid() != 0 && about.uid() != user {
        let message = format!("the key file {shown} belongs to user {}", about.uid());
        return fail(
            message,
            format!("it must belong to root or to the user of sekishod: `chown root {shown}`"),
        );
    }
    if about.len() > limits::KEY_FILE_BYTES {
        let message = format!("the key file {shown} has {} bytes", about.len());
        return fail(message, format!("at most {} are allowed", limits::KEY_FILE_BYTES));
    }
    contents(file).map_err(|error| KeyFileError {
        message: format!("the key file {shown} cannot be read: {}", plain(&error)),
        help: "try it with `head -c 0`".to_owned(),
    })
}

fn contents(file: File) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it from the start: a growing buffer would leave copies behind.
    let room = usize::try_from(limits::KEY_FILE_BYTES).unwrap_or(4096);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(limits::KEY_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error of the system without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
