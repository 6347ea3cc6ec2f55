//! Randomness as it comes in from outside.

/// A source of unpredictable bytes: the operating system's in the shell, a seeded one in tests.
pub trait SecureRandom: Send {
    /// Fills `out`. A source that cannot must not return (the shell aborts the process).
    fn fill(&mut self, out: &mut [u8]);
}

impl dyn SecureRandom + '_ {
    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}
