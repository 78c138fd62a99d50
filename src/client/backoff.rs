//! How long to pause before trying again.

use crate::node::{Effects, Nanos, RandomFor, ms};

/// `retry.backoff.ms` growing to `retry.backoff.max.ms`, ±20 %. Source: KIP-580, `ExponentialBackoff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// First pause, in milliseconds.
    pub(crate) first_ms: i64,
    /// Longest pause, in milliseconds.
    pub(crate) longest_ms: i64,
}

impl Backoff {
    /// The pause after a failure that so many others came before.
    pub(crate) fn pause(self, failures_before: u32, fx: &mut Effects<'_>) -> Nanos {
        let longest = ms(self.longest_ms);
        let grown = ms(self.first_ms).saturating_mul(1 << failures_before.min(20)).min(longest);
        let jittered = grown / 5 * 4 + fx.random_below(RandomFor::Backoff, grown / 5 * 2 + 1);
        jittered.min(longest)
    }
}

/// The earliest of the times at which something is to be done, all of them later than now: what is due now either has
/// been done or waits for something else than time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WakeUp {
    now: Nanos,
    /// The earliest time so far.
    pub(crate) at: Option<Nanos>,
}

impl WakeUp {
    /// No wake-up yet.
    pub(crate) fn after(now: Nanos) -> Self {
        WakeUp { now, at: None }
    }
    /// Wakes up at that time, too.
    pub(crate) fn also_at(&mut self, time: Nanos) {
        if time > self.now && self.at.is_none_or(|at| time < at) {
            self.at = Some(time);
        }
    }
}
