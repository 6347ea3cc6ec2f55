//! What the process may do and what may be read of it.

use capctl::caps::{Cap, CapSet, CapState, ambient, bounding};
use capctl::prctl;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::Failure;

/// Needed as long as the daemon runs: routes follow the configuration and the lines.
const KEPT: Cap = Cap::NET_ADMIN;

/// Keys stay in memory and out of core dumps, debuggers and swap. Each part may fail without harm to the others.
pub(super) fn harden() {
    report("core dumps are not disabled", setrlimit(Resource::RLIMIT_CORE, 0, 0));
    report("other processes may read our memory", prctl::set_dumpable(false));
    // Without a limit on locked memory, later allocations would fail when it is reached; so first the limit.
    let unlimited = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    // Only pages that are used are locked, so that this costs no memory.
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let lock = || mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault);
    report("memory may be swapped out", unlimited.and_then(|()| lock()));
}

/// Names the missing privilege before the kernel refuses one step or another.
pub(super) fn require() -> Result<(), Failure> {
    let state =
        CapState::get_current().map_err(|error| Failure(format!("cannot read our privileges: {error}")))?;
    if state.effective.has(KEPT) {
        return Ok(());
    }
    Err(Failure(
        "the privilege CAP_NET_ADMIN is missing; start sekishod as root or by its systemd unit".to_owned(),
    ))
}

/// Keeps what is needed from now on, and gives the rest up for good. Threads started later inherit this.
pub(super) fn drop_others() {
    let mut kept = CapSet::empty();
    kept.add(KEPT);
    // What is left in the bounding set could only come back through an exec, which the line below forbids.
    for cap in Cap::iter().filter(|cap| *cap != KEPT && bounding::read(*cap) == Some(true)) {
        report("a capability stays in the bounding set", bounding::drop(cap));
    }
    report("ambient capabilities stay", ambient::clear());
    report("no_new_privs is not set", prctl::set_no_new_privs());
    let state = CapState { effective: kept, permitted: kept, inheritable: CapSet::empty() };
    if let Err(error) = state.set_current() {
        tracing::warn!(%error, "capabilities that are no longer needed are still held");
    }
}

fn report<E: std::fmt::Display>(consequence: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "{consequence}");
    }
}
