//! Which build this is: a seed means the same run only within one build.

use std::fmt;

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Hash over the sources that decide what a run does: eight hexadecimal digits.
pub const CORE_HASH: &str = env!("TRIAL_CORE_HASH");

/// Both, for `--version`.
pub const VERSION_AND_CORE: &str = concat!(env!("CARGO_PKG_VERSION"), ", core ", env!("TRIAL_CORE_HASH"));

/// Shown as reproduction lines carry it: `trial 0.1.0, core 1a2b3c4d`.
#[derive(Clone, Copy, Debug)]
pub struct ThisBuild;

impl fmt::Display for ThisBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trial {VERSION}, core {CORE_HASH}")
    }
}
