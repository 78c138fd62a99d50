//! Where do partitions and consumers stand, and does it matter (KIP-881)?

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_protocol::Subscription;
use crate::ids::{Topic, TopicPartition};

/// The racks of a partition's replicas. Replicas whose broker has no rack tell none.
pub type Racks = BTreeSet<String>;

/// The topics to assign and, for each of their partitions from 0 on, the racks of its replicas.
pub type PartitionsPerTopic = BTreeMap<Topic, Vec<Racks>>;

/// Topics of so many partitions, without racks.
pub fn without_racks<'a>(topics: impl IntoIterator<Item = (&'a str, usize)>) -> PartitionsPerTopic {
    topics.into_iter().map(|(topic, partitions)| (Topic::new(topic), vec![Racks::new(); partitions])).collect()
}

/// Do racks matter? Only if some consumer shares a rack with some partition, and not every partition is in every rack
/// (`AbstractPartitionAssignor.useRackAwareAssignment`, KIP-881).
pub(super) fn use_rack_aware_assignment<'a>(
    consumer_racks: &BTreeSet<&str>,
    mut racks_per_partition: impl Iterator<Item = &'a Racks> + Clone,
) -> bool {
    let partition_racks: BTreeSet<&str> = racks_per_partition.clone().flatten().map(String::as_str).collect();
    let all = partition_racks.len();
    // A partition's racks are among all of them, so as many means the same.
    !consumer_racks.is_disjoint(&partition_racks) && racks_per_partition.any(|racks| racks.len() != all)
}

/// The rack of a consumer that tells one.
pub(super) fn rack_of(subscription: &Subscription) -> Option<&str> {
    subscription.rack_id.as_deref().filter(|rack| !rack.is_empty())
}

/// What the sticky assignors know of racks (`AbstractStickyAssignor.RackInfo`).
pub(super) struct RackInfo<'a> {
    /// Empty where racks do not matter.
    consumer_racks: BTreeMap<&'a str, &'a str>,
    partitions: &'a PartitionsPerTopic,
    /// How many consumers tell each rack.
    consumers_by_rack: BTreeMap<&'a str, i32>,
}

impl<'a> RackInfo<'a> {
    pub(super) fn new(partitions: &'a PartitionsPerTopic, subscriptions: &'a BTreeMap<String, Subscription>) -> Self {
        let mut consumers_by_rack = BTreeMap::new();
        for rack in subscriptions.values().filter_map(rack_of) {
            *consumers_by_rack.entry(rack).or_insert(0) += 1;
        }
        let told: BTreeSet<&str> = consumers_by_rack.keys().copied().collect();
        let consumer_racks = if use_rack_aware_assignment(&told, partitions.values().flatten()) {
            subscriptions.iter().filter_map(|(id, of)| Some((id.as_str(), rack_of(of)?))).collect()
        } else {
            BTreeMap::new()
        };
        RackInfo { consumer_racks, partitions, consumers_by_rack }
    }

    /// Do racks matter at all?
    pub(super) fn is_used(&self) -> bool {
        !self.consumer_racks.is_empty()
    }

    fn racks_of(&self, partition: &TopicPartition) -> Option<&Racks> {
        self.partitions.get(&partition.topic)?.get(usize::try_from(partition.partition).ok()?)
    }

    /// Does the consumer stand in a rack without a replica of the partition?
    pub(super) fn mismatch(&self, consumer: &str, partition: &TopicPartition) -> bool {
        self.consumer_racks
            .get(consumer)
            .is_some_and(|rack| !self.racks_of(partition).is_some_and(|racks| racks.contains(*rack)))
    }

    /// Does the consumer stand in a rack with a replica of the partition? Not if it tells none.
    pub(super) fn matches(&self, consumer: &str, partition: &TopicPartition) -> bool {
        self.consumer_racks.contains_key(consumer) && !self.mismatch(consumer, partition)
    }

    /// Partitions that few consumers are near to come first.
    pub(super) fn sort_by_rack_consumers(&self, partitions: &mut [TopicPartition]) {
        partitions.sort_by_cached_key(|partition| {
            let racks = self.racks_of(partition).into_iter().flatten();
            racks.filter_map(|rack| self.consumers_by_rack.get(rack.as_str())).sum::<i32>()
        });
    }

    /// The place in `consumers` of the next one, from `first` on and around, that is near the partition.
    pub(super) fn next_rack_consumer(
        &self,
        partition: &TopicPartition,
        consumers: &[&str],
        first: usize,
    ) -> Option<usize> {
        let mut places = (0..consumers.len()).map(|i| (first + i) % consumers.len());
        places.find(|place| self.matches(consumers[*place], partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn racks(text: &str) -> Racks {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn racks_matter_where_consumers_share_them_and_partitions_do_not_share_all() {
        let everywhere = vec![racks("a b c"); 10];
        let spread: Vec<Racks> = (0..10).map(|i| racks(["a", "b", "c"][i % 3])).collect();
        let used = |consumers: &str, partitions: &[Racks]| {
            use_rack_aware_assignment(&consumers.split_whitespace().collect(), partitions.iter())
        };
        for (consumers, partitions, expected) in [
            ("", &everywhere, false),
            ("a b c", &Vec::new(), false),
            ("d", &everywhere, false),
            ("a b c", &everywhere, false),
            ("a b", &everywhere, false),
            ("a d", &everywhere, false),
            ("a b c", &spread, true),
            ("a b", &spread, true),
            ("a d", &spread, true),
        ] {
            assert_eq!(
                used(consumers, partitions),
                expected,
                "consumers in {consumers:?}, partitions in {partitions:?}"
            );
        }
    }
}
