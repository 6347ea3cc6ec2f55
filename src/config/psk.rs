//! Pre-shared keys in files of their own.

use sekisho_ike::Secret;
use sekisho_ike::identity::{parse_psk, psk_strength};

use super::files::{FileError, Kind};
use super::problem::looks_like_key;
use super::store::Store;

/// A key, and what makes it weak.
pub(super) struct Key {
    pub(super) secret: Secret,
    pub(super) weakness: Option<String>,
}

/// The key in the file named.
pub(super) fn read(store: &Store<'_>, file: &str) -> Result<Key, FileError> {
    if looks_like_key(file) {
        let help = "put the key into a file of its own, mode 0600, and write the name of that file here";
        return Err(FileError::new("`psk_file` holds a key, not the name of a file", help));
    }
    let (path, bytes) = store.bytes("psk_file", file, Kind::Psk)?;
    match parse_psk(&bytes) {
        Ok(secret) => {
            let weakness =
                psk_strength(secret.expose()).err().map(|weak| format!("{weak} ({})", path.display()));
            Ok(Key { secret, weakness })
        }
        Err(error) => {
            let help = "a key file holds text as it is, 0x and hexadecimal digits, or 0s and base64; `sekisho keygen psk` makes one";
            Err(FileError::new(format!("{error} ({})", path.display()), help))
        }
    }
}
