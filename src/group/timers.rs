//! When is which group or member due for something? Timers as values: a key, a time, and what was known when it was set.

use std::collections::BTreeMap;

use crate::node::Nanos;

/// What is due. Setting a timer again moves it (`CoordinatorTimer.schedule`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A member of the classic protocol has been silent for its session timeout, or has not come back for its answer.
    Heartbeat {
        /// Group.
        group: String,
        /// Member.
        member: String,
    },
    /// The members of a rebalance have had their time to join.
    Join {
        /// Group.
        group: String,
    },
    /// The members of a generation have had their time to sync.
    Sync {
        /// Group.
        group: String,
    },
    /// A member of the consumer protocol has been silent for its session timeout.
    Session {
        /// Group.
        group: String,
        /// Member.
        member: String,
    },
    /// A member of the consumer protocol has had its time to give partitions back.
    Rebalance {
        /// Group.
        group: String,
        /// Member.
        member: String,
    },
    /// The regular expressions of a group are to be looked up among the topics.
    Expressions {
        /// Group.
        group: String,
    },
    /// Offsets and empty groups are to be looked through for old ones.
    Expiry,
}

/// What was known when a timer was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing that matters.
    None,
    /// An empty group that waits for further members: for how long, and how long it may wait after that.
    InitialDelay {
        /// The wait under way, in milliseconds.
        delay_ms: i32,
        /// What is left of the rebalance timeout.
        remaining_ms: i32,
    },
    /// The generation, or the member's epoch: the timer means no other.
    Of(i32),
}

/// All that is due some time.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    due: BTreeMap<Timer, (Nanos, Note)>,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub fn set(&mut self, timer: Timer, at: Nanos, note: Note) {
        self.due.insert(timer, (at, note));
    }
    /// Sets a timer that is not set.
    pub fn set_if_absent(&mut self, timer: Timer, at: Nanos, note: Note) {
        self.due.entry(timer).or_insert((at, note));
    }
    /// Forgets a timer.
    pub fn cancel(&mut self, timer: &Timer) {
        self.due.remove(timer);
    }
    /// Is it set?
    pub fn is_set(&self, timer: &Timer) -> bool {
        self.due.contains_key(timer)
    }
    /// When the first is due.
    pub fn next(&self) -> Option<Nanos> {
        self.due.values().map(|(at, _)| *at).min()
    }
    /// Takes the first that is due by now; of two for the same time the one that comes first in order.
    pub fn take_due(&mut self, now: Nanos) -> Option<(Timer, Note)> {
        let due = self.due.iter().filter(|(_, (at, _))| *at <= now);
        let first = due.min_by_key(|(timer, (at, _))| (*at, *timer)).map(|(timer, _)| timer.clone())?;
        let (_, note) = self.due.remove(&first)?;
        Some((first, note))
    }
}
