//! Which partitions moved between whom while an assignment is being balanced?
//!
//! Before a partition of a topic moves from one member to another, it is asked whether another one of that topic moved the
//! other way; then that one goes back instead, and two moves become none (`AbstractStickyAssignor.PartitionMovements`).

use std::collections::BTreeMap;

use crate::group::assignor::java_order::JavaTable;
use crate::ids::{Topic, TopicPartition};

/// From whom to whom.
type Pair = (String, String);

#[derive(Clone, Debug, Default)]
pub(super) struct Movements {
    by_topic: BTreeMap<Topic, BTreeMap<Pair, JavaTable<TopicPartition>>>,
    /// For each partition that moved: its first owner and the present one.
    pairs: BTreeMap<TopicPartition, Pair>,
}

impl Movements {
    /// Notes a move. One back to the first owner undoes the note.
    pub(super) fn moved(&mut self, partition: &TopicPartition, from: &str, to: &str) {
        let first = match self.pairs.remove(partition) {
            Some(pair) => {
                self.forget(partition, &pair);
                pair.0
            }
            None => from.to_string(),
        };
        if first == to {
            return;
        }
        let pair = (first, to.to_string());
        let of_topic = self.by_topic.entry(partition.topic.clone()).or_default();
        of_topic.entry(pair.clone()).or_insert_with(JavaTable::new).insert(partition.clone());
        self.pairs.insert(partition.clone(), pair);
    }

    fn forget(&mut self, partition: &TopicPartition, pair: &Pair) {
        let Some(of_topic) = self.by_topic.get_mut(&partition.topic) else { return };
        if let Some(moved) = of_topic.get_mut(pair) {
            moved.remove(partition);
            if moved.is_empty() {
                of_topic.remove(pair);
            }
        }
    }

    /// Which partition is to go from `from` to `to` in order to move this one (`getTheActualPartitionToBeMoved`)?
    pub(super) fn actual_partition_to_be_moved(
        &self,
        partition: &TopicPartition,
        from: &str,
        to: &str,
    ) -> TopicPartition {
        let first = self.pairs.get(partition).map_or(from, |(first, _)| first.as_str());
        let reverse = (to.to_string(), first.to_string());
        let moved_the_other_way = self.by_topic.get(&partition.topic).and_then(|of_topic| of_topic.get(&reverse));
        moved_the_other_way.and_then(JavaTable::first).unwrap_or(partition).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_the_other_way_goes_back_and_a_return_is_no_move() {
        let topic = Topic::new("t");
        let [p0, p1, p2] = [0, 1, 2].map(|partition| TopicPartition::new(&topic, partition));
        let mut movements = Movements::default();
        movements.moved(&p0, "a", "b");
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "b", "a"), p0, "p0 came from a");
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "a", "b"), p1, "that is no way back");
        // Two moves in a row are one from the first owner to the last.
        movements.moved(&p0, "b", "c");
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "c", "a"), p0);
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "b", "a"), p1);
        movements.moved(&p0, "c", "a");
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "c", "a"), p1, "p0 is at home again");
        // A partition that has moved itself counts from its first owner.
        movements.moved(&p1, "a", "b");
        movements.moved(&p2, "c", "a");
        assert_eq!(movements.actual_partition_to_be_moved(&p1, "b", "c"), p2);
    }
}
