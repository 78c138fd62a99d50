//! The replicas on this broker, found by name or by topic id.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::partition::Partition;
use crate::ids::TopicPartition;

/// Place of a partition in [`Replicas`]; never used again after the partition is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionIx(u32);

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas {
    slots: Vec<Option<Partition>>,
    by_name: BTreeMap<TopicPartition, PartitionIx>,
    by_id: BTreeMap<(Uuid, i32), PartitionIx>,
}

impl Replicas {
    pub(super) fn insert(&mut self, partition: Partition) -> PartitionIx {
        let ix = PartitionIx(u32::try_from(self.slots.len()).expect("fewer than 2^32 replicas on one broker"));
        self.by_name.insert(partition.id.clone(), ix);
        self.by_id.insert((partition.topic_id, partition.id.partition), ix);
        self.slots.push(Some(partition));
        ix
    }
    pub(super) fn remove(&mut self, ix: PartitionIx) -> Option<Partition> {
        let partition = self.slots[ix.0 as usize].take()?;
        self.by_name.remove(&partition.id);
        self.by_id.remove(&(partition.topic_id, partition.id.partition));
        Some(partition)
    }
    pub(super) fn find(&self, id: &TopicPartition) -> Option<PartitionIx> {
        self.by_name.get(id).copied()
    }
    pub(super) fn find_by_id(&self, topic_id: Uuid, partition: i32) -> Option<PartitionIx> {
        self.by_id.get(&(topic_id, partition)).copied()
    }
    /// The partition, if it has not been removed meanwhile.
    pub(super) fn try_get(&self, ix: PartitionIx) -> Option<&Partition> {
        self.slots[ix.0 as usize].as_ref()
    }
    /// As [`Self::try_get`].
    pub(super) fn try_get_mut(&mut self, ix: PartitionIx) -> Option<&mut Partition> {
        self.slots[ix.0 as usize].as_mut()
    }
    /// The partition. Panics if it was removed: for indices found in the same handler.
    pub(super) fn get(&self, ix: PartitionIx) -> &Partition {
        self.slots[ix.0 as usize].as_ref().expect("found in this handler")
    }
    /// As [`Self::get`].
    pub(super) fn get_mut(&mut self, ix: PartitionIx) -> &mut Partition {
        self.slots[ix.0 as usize].as_mut().expect("found in this handler")
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (PartitionIx, &Partition)> {
        self.slots.iter().zip(0..).filter_map(|(slot, ix)| Some((PartitionIx(ix), slot.as_ref()?)))
    }
    pub(super) fn indices(&self) -> Vec<PartitionIx> {
        self.iter().map(|(ix, _)| ix).collect()
    }
}
