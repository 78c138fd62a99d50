//! Committed offsets: how far has a group come, who may say so, and for how long is it remembered?
//!
//! Source: `OffsetMetadataManager`. Not modelled: offsets of transactions (TxnOffsetCommit), so none is ever pending.

mod commit;
mod delete;
mod expire;
mod fetch;
#[cfg(test)]
mod tests;

pub(in crate::group) use self::commit::CONSUMER_PROTOCOL_VERSION;
use super::coordinator::{Coordinator, OffsetKey};
use super::records::{OffsetValue, Record};
use crate::ids::Topic;

impl Coordinator {
    /// All offsets of a group, now.
    fn offsets_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a OffsetKey, &'a OffsetValue)> {
        let from = (group.to_string(), Topic::new(""), i32::MIN);
        self.offsets.iter_from(&from).take_while(move |((of, ..), _)| of == group)
    }
    fn has_offset(&self, group: &str, topic: &Topic, partition: i32) -> bool {
        self.offsets.get(&(group.to_string(), topic.clone(), partition)).is_some()
    }
    /// Tombstones of all offsets of a group. Source: `OffsetMetadataManager.deleteAllOffsets`.
    pub fn delete_all_offsets(&self, group: &str, records: &mut Vec<Record>) {
        records.extend(self.offsets_of(group).map(|(key, _)| tombstone(key)));
    }
}

/// The offset is no more.
fn tombstone((group, topic, partition): &OffsetKey) -> Record {
    Record::Offset { group: group.clone(), topic: topic.clone(), partition: *partition, value: None }
}
