//! What a TUN device may hand us in one packet, and we it, and why not more (Linux, `TUNSETOFFLOAD`).

use std::io;

/// What was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// Checksums left open, TCP and UDP super-packets.
    TcpAndUdp,
    /// Checksums left open, TCP super-packets (Linux before 6.2).
    Tcp,
    /// Whole packets only.
    None,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// As much as the kernel has.
    #[default]
    Auto,
    /// Nothing.
    Off,
}

/// What was granted, and what was asked for before that and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// In the end.
    pub offloads: Offloads,
    /// Each step that was refused, with the kernel's answer.
    pub refused: Vec<String>,
}

impl Offloads {
    /// Whether TCP super-packets are exchanged.
    pub fn tcp(self) -> bool {
        self != Self::None
    }

    /// Whether UDP super-packets are.
    pub fn udp(self) -> bool {
        self == Self::TcpAndUdp
    }

    fn flags(self) -> u32 {
        let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        match self {
            Self::TcpAndUdp => tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6,
            Self::Tcp => tcp,
            Self::None => 0,
        }
    }

    fn names(self) -> &'static str {
        match self {
            Self::TcpAndUdp => "CSUM, TSO4, TSO6, USO4, USO6",
            Self::Tcp => "CSUM, TSO4, TSO6",
            Self::None => "nothing",
        }
    }
}

/// Asks for ever less until `set` takes it. The flags are set whatever they are: a device keeps those of its last owner.
///
/// # Errors
/// What `set` says to no flags at all.
pub(super) fn negotiate(asked: Asked, set: impl Fn(u32) -> io::Result<()>) -> io::Result<Granted> {
    let mut refused = Vec::new();
    let steps = match asked {
        Asked::Auto => &[Offloads::TcpAndUdp, Offloads::Tcp][..],
        Asked::Off => &[],
    };
    for &offloads in steps {
        match set(offloads.flags()) {
            Ok(()) => return Ok(Granted { offloads, refused }),
            Err(error) => refused.push(format!("TUNSETOFFLOAD ({}): {error}", offloads.names())),
        }
    }
    set(Offloads::None.flags())?;
    Ok(Granted { offloads: Offloads::None, refused })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;

    use super::{Asked, Granted, Offloads, negotiate};

    /// A kernel that knows these flags and no others: what is granted, and what it was asked.
    fn kernel(asked: Asked, known: u32) -> (Granted, Vec<u32>) {
        let calls = RefCell::new(Vec::new());
        let granted = negotiate(asked, |flags| {
            calls.borrow_mut().push(flags);
            if flags & !known == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
        });
        (granted.unwrap(), calls.into_inner())
    }

    #[test]
    fn an_older_kernel_grants_less_and_the_reason_is_kept() {
        let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        let (all, _) = kernel(Asked::Auto, u32::MAX);
        assert_eq!((all.offloads, all.refused.len()), (Offloads::TcpAndUdp, 0));
        let (less, _) = kernel(Asked::Auto, tcp);
        assert_eq!(less.offloads, Offloads::Tcp);
        assert_eq!(
            less.refused,
            ["TUNSETOFFLOAD (CSUM, TSO4, TSO6, USO4, USO6): Invalid argument (os error 22)"]
        );
        let (nothing, calls) = kernel(Asked::Auto, 0);
        assert_eq!((nothing.offloads, nothing.refused.len()), (Offloads::None, 2));
        assert_eq!(calls.last(), Some(&0), "the flags are set in any case");
    }

    #[test]
    fn off_is_set_too_and_nothing_else_is_tried() {
        let (off, calls) = kernel(Asked::Off, u32::MAX);
        assert_eq!(off, Granted { offloads: Offloads::None, refused: vec![] });
        assert_eq!(calls, [0]);
    }

    #[test]
    fn a_kernel_that_takes_no_flags_at_all_is_an_error() {
        let broken = |_| Err(io::Error::from_raw_os_error(libc::ENOTTY));
        assert_eq!(negotiate(Asked::Auto, broken).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
