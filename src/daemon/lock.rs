//! One instance a machine: a lock on a file of the state directory, which ends with the process.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Failure;

/// Whoever may open the file may lock it too, and so keep us from starting.
const MODE: u32 = 0o600;

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or names the process that has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self, Failure> {
        let path = state_dir.join("sekishod.lock");
        let cannot =
            |error| Failure(format!("cannot lock {}: {error}; is `state_dir` writable?", path.display()));
        fs::create_dir_all(state_dir).map_err(cannot)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(cannot)?;
        file.set_permissions(Permissions::from_mode(MODE)).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file, &path)),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(cannot)?;
        Ok(Self { _file: file })
    }
}

fn held(file: &mut File, path: &Path) -> Failure {
    let mut holder = String::new();
    // Who it is only helps the reader.
    let _ = file.read_to_string(&mut holder);
    Failure(format!(
        "another sekishod runs already (process {}, which holds {}); stop it first (in a network namespace of its own, one more may run with another `state_dir`)",
        holder.trim(),
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_by_name_and_the_lock_ends_with_its_holder() {
        let state = tempfile::tempdir().unwrap();
        let first = Lock::take(state.path()).unwrap();
        let Failure(why) = Lock::take(state.path()).unwrap_err();
        assert!(why.contains(&format!("process {},", std::process::id())), "{why}");
        drop(first);
        Lock::take(state.path()).unwrap();
    }

    #[test]
    fn nobody_else_can_open_the_file_to_lock_it_first_or_make_it_another_file() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("sekishod.lock");
        fs::write(&path, "1").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let _lock = Lock::take(state.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let (state, victim) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        fs::write(victim.path(), "precious").unwrap();
        std::os::unix::fs::symlink(victim.path(), state.path().join("sekishod.lock")).unwrap();
        Lock::take(state.path()).unwrap_err();
        assert_eq!(fs::read_to_string(victim.path()).unwrap(), "precious");
    }

    #[test]
    fn another_state_directory_is_another_instance() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _first = Lock::take(one.path()).unwrap();
        Lock::take(&other.path().join("made")).unwrap();
    }
}
