//! The groups of a World as their coordinators know them.

use trial_kafka::broker::CoordinatedGroup;
use trial_kafka::group::partition_for::{OFFSETS_TOPIC, partition_for};
use trial_kafka::ids::{Topic, TopicPartition};

use super::{Power, World};

impl World {
    /// The partition of `__consumer_offsets` that holds a group; `None` while there is no such topic.
    fn partition_of_group(&self, group: &str) -> Option<TopicPartition> {
        let partitions = self.controller_image()?.topic(OFFSETS_TOPIC)?.partitions.len() as i32;
        Some(TopicPartition::new(&Topic::new(OFFSETS_TOPIC), partition_for(group, partitions)?))
    }

    /// The broker that is to coordinate a group, by the controller's log.
    pub(crate) fn coordinator_of(&self, group: &str) -> Option<i32> {
        self.leader_of(&self.partition_of_group(group)?)
    }

    /// The partitions of the topic in which groups are kept, once it exists.
    pub(super) fn offsets_partitions(&self) -> Vec<TopicPartition> {
        let topic = self.controller_image().and_then(|image| image.topic(OFFSETS_TOPIC));
        let count = topic.map_or(0, |topic| topic.partitions.len() as i32);
        (0..count).map(|index| TopicPartition::new(&Topic::new(OFFSETS_TOPIC), index)).collect()
    }

    /// All groups that have a coordinator that runs and has loaded them, in order of their ids, each with its coordinator.
    pub fn groups(&self) -> Vec<(i32, CoordinatedGroup)> {
        let mut groups = Vec::new();
        for id in self.scenario.cluster.broker_ids() {
            let is_up = self.broker_ix(id).is_some_and(|ix| matches!(self.power(ix), Power::Running | Power::Paused));
            let is_there = is_up && !self.broker_ix(id).is_some_and(|ix| self.is_left_out(ix));
            let Some(broker) = self.broker(id).filter(|_| is_there) else { continue };
            for partition in broker.coordinated().filter(|partition| partition.loaded) {
                let held = TopicPartition::new(&Topic::new(OFFSETS_TOPIC), partition.partition);
                if self.leader_of(&held) == Some(id) {
                    groups.extend(partition.groups.into_iter().map(|group| (id, group)));
                }
            }
        }
        groups.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        groups
    }

    /// Do all consumers of a group use cooperative assignment of the classic protocol?
    pub(crate) fn is_cooperative(&self, group: &str) -> bool {
        let mut of_group = self.scenario.consumers.iter().filter(|spec| spec.group() == Some(group));
        of_group.all(|spec| spec.is_cooperative())
    }

    /// Does a group go on with a member that is away, and has not been missed yet?
    pub(crate) fn has_member_left_out(&self, group: &CoordinatedGroup) -> bool {
        let is_left_out = |client: &str| self.node_named(client).is_some_and(|node| self.is_left_out(node));
        group.members.iter().any(|member| is_left_out(&member.client_id))
    }

    /// Is every group stable, without those who are left out, and everybody who runs and is to be a member of one a member of it?
    pub(super) fn groups_are_at_rest(&self) -> bool {
        let members = || self.life.readers.iter().filter(|reader| self.is_asked(reader));
        let group_of = |spec: usize| self.scenario.consumers[spec].group();
        if members().all(|reader| group_of(reader.spec).is_none()) {
            return true;
        }
        let groups = self.groups();
        members().filter_map(|reader| Some((reader, group_of(reader.spec)?))).all(|(reader, id)| {
            let client = self.node_name(reader.node);
            groups.iter().any(|(_, group)| {
                let is_member = group.members.iter().any(|member| member.client_id == client);
                group.id == id && group.state == "Stable" && is_member && !self.has_member_left_out(group)
            })
        })
    }
}
