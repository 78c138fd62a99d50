//! group-skip, at the end: an acknowledged record below what its group has committed, which no member ever processed.
//!
//! Why is told by what was seen: a member committed it while it had it in hand and had not processed it; or the group began
//! behind it, or was sent over it, by auto.offset.reset, or because the log began behind it then: a crash may take that back.
//! Whether that is what the configuration asked for, the judge says.

use super::{GroupHistory, GroupViolation, Place};
use crate::history::History;
use crate::history::records::Told;
use crate::observation::EventRef;

/// Why nobody processed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It was committed by this consumer, which had it in hand and had not processed it.
    CommittedUnprocessed {
        /// The consumer.
        consumer: u32,
        /// When it asked for the commit.
        at: EventRef,
    },
    /// auto.offset.reset took this consumer over it.
    Reset {
        /// The consumer.
        consumer: u32,
        /// When.
        at: EventRef,
    },
    /// This consumer was taken over it, though not by what auto.offset.reset asks for: the log had nothing there then.
    LogBeganLater {
        /// The consumer.
        consumer: u32,
        /// When.
        at: EventRef,
    },
    /// Nothing that was seen.
    Unknown,
}

/// All of them, group by group, in order of partition and offset.
pub(super) fn find(groups: &GroupHistory, history: &History, found: &mut Vec<GroupViolation>) {
    for (name, group) in &groups.groups {
        for (number, shared) in &group.partitions {
            let log = &history.logs[*number as usize];
            let Some(last) = shared.commits.last().filter(|_| log.complete()) else { continue };
            for (offset, record) in log.final_log.iter().take_while(|(offset, _)| *offset < last.offset) {
                let is_acknowledged = history.records.get(*record).is_some_and(|r| r.told == Told::Acked);
                if !is_acknowledged || group.processed.contains_key(record) {
                    continue;
                }
                let partition = history.partitions.name(*number).clone();
                found.push(GroupViolation::NeverProcessed {
                    place: Place { group: name.clone(), partition },
                    record: *record,
                    offset: *offset,
                    committed: *last,
                    because: shared.why_passed(*offset),
                });
            }
        }
    }
}
