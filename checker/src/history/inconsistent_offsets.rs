//! inconsistent-offsets: one offset of a partition holds two or more values (Jepsen's Kafka workload, same name).

use std::collections::BTreeSet;

use super::read_log::Sighting;
use super::{History, Violation};
use crate::observation::EventRef;

/// Conflicts as they are read. Each (offset, second value) is told once, however many readers see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct InconsistentOffsets {
    told: BTreeSet<(u32, i64, u64)>,
    found: Vec<(u32, i64, Sighting, Sighting)>,
}

impl InconsistentOffsets {
    /// A reader saw `record` where another was seen `before`.
    pub(crate) fn conflict(&mut self, at: EventRef, partition: u32, offset: i64, before: Sighting, record: u64) {
        if self.told.insert((partition, offset, record)) {
            self.found.push((partition, offset, before, Sighting { record, at }));
        }
    }

    /// All conflicts.
    pub(crate) fn finish(&self, history: &History, found: &mut Vec<Violation>) {
        found.extend(self.found.iter().map(|(partition, offset, first, then)| Violation::InconsistentOffsets {
            partition: history.partitions.name(*partition).clone(),
            offset: *offset,
            first: first.record,
            first_at: first.at,
            then: then.record,
            then_at: then.at,
        }));
    }
}
