//! A number of which only the bounds are known: how many faults, which occurrence of an event, after how many operations.

use std::fmt;

/// How many: both bounds included. `min <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRange {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl CountRange {
    /// A range of one value.
    pub fn exactly(count: u32) -> Self {
        CountRange { min: count, max: count }
    }
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CountRange { min, max } = self;
        if min == max { write!(f, "{min}") } else { write!(f, "{min}..{max}") }
    }
}
