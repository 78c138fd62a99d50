//! The two clocks of a real process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use trial_kafka::node::{Millis, Nanos, Now};

/// Longest sleep: later deadlines are looked at again after that time.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// Monotonic time since the process was started, and the wall clock as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { zero: Instant::now() }
    }
    pub(crate) fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }
    pub(crate) fn mono(&self) -> Nanos {
        Nanos::try_from(self.zero.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }
    /// Sleeps until that time, or an hour if that is sooner, so that no deadline is too large for the system's clock.
    pub(crate) async fn sleep_until(&self, deadline: Nanos) {
        let wait = Duration::from_nanos(deadline.saturating_sub(self.mono()));
        tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
    }
}

/// Milliseconds since the Unix epoch, negative before it.
fn wall() -> Millis {
    let millis = |span: Duration| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}
