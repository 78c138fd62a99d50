//! Which partitions are led by another than their preferred replica, though the controller will soon give them back?
//!
//! Where it looks for them every few seconds (`auto.leader.rebalance.enable`, `leader.imbalance.check.interval.seconds`), a trial
//! waits for that, or nobody would ever see it not happen. With Kafka's default of five minutes no trial is long enough.

use trial_kafka::ids::{NO_BROKER, TopicPartition};
use trial_kafka::metadata::{MetadataImage, PartitionRegistration};

use super::World;

const SOON_SECONDS: std::ops::RangeInclusive<i64> = 1..=10;

impl World {
    /// By this image of the metadata.
    pub(crate) fn not_led_by_their_preferred_replicas(&self, image: &MetadataImage) -> Vec<TopicPartition> {
        let config = &self.scenario().cluster.config;
        if !config.auto_leader_rebalance_enable
            || !SOON_SECONDS.contains(&config.leader_imbalance_check_interval_seconds)
        {
            return Vec::new();
        }
        let runs = |broker: i32| self.broker_ix(broker).is_some_and(|node| self.takes_part(node));
        let could_lead = |p: &PartitionRegistration| {
            p.replicas.first().is_some_and(|r| *r != p.leader && p.isr.contains(r) && runs(*r))
        };
        let topics = image.topics.values();
        let partitions =
            topics.flat_map(|topic| (0..).zip(&topic.partitions).map(|(index, p)| (&topic.name, index, p)));
        let waiting = partitions.filter(|(.., p)| p.leader != NO_BROKER && could_lead(p));
        waiting.map(|(topic, index, _)| TopicPartition::new(topic, index)).collect()
    }

    /// Does every partition that could have it have its preferred leader?
    pub(super) fn leaders_are_balanced(&self) -> bool {
        self.active_controller()
            .is_none_or(|(_, active)| self.not_led_by_their_preferred_replicas(active.image()).is_empty())
    }
}
