//! The bug zoo's switches: historical bugs of Kafka, or rules removed, each one small branch at the place of the rule.
//!
//! Off unless a scenario turns it on (`zoo = ["truncate-to-hw"]`). The list, with schedules and sources, is in the
//! design; what each must be convicted of stands here, so that the zoo's test and the command agree.

use std::fmt;
use std::str::FromStr;

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// KAFKA-1211, KIP-101: a follower truncates to its own high watermark on every change of leader epoch.
    TruncateToHw,
    /// KAFKA-7128: a replica joins the ISR once it reaches the leader's high watermark, though the leader epoch's
    /// start offset lies higher.
    IsrExpandBeforeLeso,
    /// A rule removed: acks=all is answered after the leader's own append, before the high watermark covers it.
    AckBeforeHighWatermark,
}

impl Switch {
    /// All switches.
    pub const ALL: [Switch; 3] = [Switch::TruncateToHw, Switch::IsrExpandBeforeLeso, Switch::AckBeforeHighWatermark];

    /// The name in scenario files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Switch::TruncateToHw => "truncate-to-hw",
            Switch::IsrExpandBeforeLeso => "isr-expand-before-leso",
            Switch::AckBeforeHighWatermark => "ack-before-hw",
        }
    }

    /// What it is, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Switch::TruncateToHw => {
                "KAFKA-1211 / KIP-101: followers truncate to their own high watermark (before 0.11)"
            }
            Switch::IsrExpandBeforeLeso => {
                "KAFKA-7128: a replica joins the ISR below the leader epoch's start offset (before 2.0.1)"
            }
            Switch::AckBeforeHighWatermark => {
                "a rule removed: acks=all is answered before the high watermark covers the record"
            }
        }
    }

    /// Codes of which at least one must be found, as BUG.
    pub fn must_any(self) -> &'static [&'static str] {
        match self {
            Switch::TruncateToHw => &["lost-write", "log-mismatch"],
            Switch::IsrExpandBeforeLeso => &["lost-write"],
            Switch::AckBeforeHighWatermark => &["lost-write"],
        }
    }

    /// Codes that may be found besides; any other BUG is a failure of the zoo.
    pub fn may(self) -> &'static [&'static str] {
        match self {
            Switch::TruncateToHw => &["inconsistent-offsets", "unsafe-election", "committed-truncated"],
            Switch::IsrExpandBeforeLeso => {
                &["log-mismatch", "inconsistent-offsets", "unsafe-election", "committed-truncated"]
            }
            Switch::AckBeforeHighWatermark => &["ack-before-committed", "inconsistent-offsets"],
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Switch {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Switch::ALL.into_iter().find(|s| s.name() == name).ok_or(())
    }
}

/// The switches that are on. Empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zoo(u64);

impl Zoo {
    /// Is this one on?
    pub fn on(self, switch: Switch) -> bool {
        self.0 & (1 << switch as u64) != 0
    }
    /// Turns one on.
    pub fn turn_on(&mut self, switch: Switch) {
        self.0 |= 1 << switch as u64;
    }
    /// Is none on?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Switch> for Zoo {
    fn from_iter<I: IntoIterator<Item = Switch>>(switches: I) -> Self {
        let mut zoo = Zoo::default();
        switches.into_iter().for_each(|s| zoo.turn_on(s));
        zoo
    }
}
