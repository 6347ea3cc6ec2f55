//! The command line (to be built).
