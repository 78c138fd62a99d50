//! What a record changes: the only way for what survives a coordinator to change.

use crate::group::classic::ClassicGroup;
use crate::group::coordinator::{Context, Coordinator, Group};
use crate::group::records::Record;

impl Coordinator {
    /// Applies a record, whether it was just made or comes from the log.
    /// Source: `GroupCoordinatorShard.replay`, `OffsetMetadataManager.replay`.
    pub fn replay(&mut self, cx: Context<'_>, record: &Record) {
        match record {
            Record::Offset { group, topic, partition, value } => {
                let key = (group.clone(), topic.clone(), *partition);
                match value {
                    Some(value) => {
                        if self.groups.get(group).is_none() {
                            let simple = Group::Classic(ClassicGroup::new(group, cx.now.wall));
                            self.groups.insert(self.written, group.clone(), simple);
                        }
                        self.offsets.insert(self.written, key, value.clone());
                    }
                    None => {
                        self.offsets.remove(self.written, &key);
                    }
                }
            }
            Record::ClassicGroup { group, value: Some(value) } => {
                let loaded = Group::Classic(ClassicGroup::from_record(group, value));
                self.groups.insert(self.written, group.clone(), loaded);
            }
            Record::ClassicGroup { group, value: None } => {
                self.groups.remove(self.written, group);
            }
            _ => self.replay_consumer_group(record),
        }
    }
}
