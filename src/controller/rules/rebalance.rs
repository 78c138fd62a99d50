//! Elections that nobody asked for: leadership goes back to preferred replicas, and where it is allowed partitions
//! without leader get an unclean one.

use super::election::{Election, PartitionChangeBuilder};
use super::{Cluster, Decision};
use crate::metadata::{MetadataRecord, PartitionRegistration, TopicImage};

/// Most elections of one controller event; the rest waits for the next, so that heartbeats come through in between.
/// Source: `ReplicationControlManager.MAX_ELECTIONS_PER_IMBALANCE`.
pub const MAX_ELECTIONS_PER_IMBALANCE: usize = 1_000;

/// What a bounded round of elections decided.
pub struct Round {
    /// The elections.
    pub decision: Decision,
    /// The bound was reached: there may be more to do.
    pub more: bool,
}

impl Cluster<'_> {
    /// Offers every partition that its preferred replica does not lead a preferred election.
    /// Source: `ReplicationControlManager.maybeBalancePartitionLeaders`.
    pub fn maybe_balance_partition_leaders(&self, max_elections: usize) -> Round {
        let is_active = |broker| self.image.is_active(broker);
        let imbalanced = self.partitions().filter(|(_, _, p)| p.replicas.first() != Some(&p.leader));
        let elections = imbalanced.filter_map(|(topic, index, partition)| {
            PartitionChangeBuilder::new(topic.topic_id, index, partition, self.eligible_leaders(topic), &is_active)
                .election(Election::Preferred)
                .build()
        });
        let records: Vec<_> = elections.map(MetadataRecord::PartitionChange).take(max_elections).collect();
        let more = records.len() >= max_elections;
        Round { decision: Decision { records, preferred_election: true, ..Decision::default() }, more }
    }

    /// Elects uncleanly for partitions without leader whose topic allows it: because it is time to look, or because the
    /// configuration has just come to allow it (then the image must show the new configuration).
    /// Source: `ReplicationControlManager.maybeTriggerUncleanLeaderElectionForLeaderlessPartitions`.
    pub fn maybe_elect_unclean_leaders(&self, max_elections: usize) -> Round {
        let mut records = Vec::new();
        let leaderless = self.partitions().filter(|(_, _, partition)| !partition.has_leader());
        for (topic, index, partition) in leaderless.filter(|(topic, ..)| self.unclean_election_is_allowed(topic)) {
            if records.len() >= max_elections {
                break;
            }
            // Nobody to elect is no error here: it is looked at again.
            let _ = self.elect_leader(topic, index, partition, Election::Unclean, &mut records);
        }
        let more = records.len() >= max_elections;
        Round { decision: Decision::of(records), more }
    }

    fn partitions(&self) -> impl Iterator<Item = (&TopicImage, i32, &PartitionRegistration)> {
        let topics = self.image.topics.values();
        topics.flat_map(|topic| (0..).zip(&topic.partitions).map(|(index, p)| (topic.as_ref(), index, p)))
    }
}
