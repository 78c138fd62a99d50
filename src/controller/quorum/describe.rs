//! DescribeQuorum: who leads, and how far voters and observers are.
//! Source: `KafkaRaftClient.handleDescribeQuorumRequest`, `LeaderState.describeQuorum`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use kafka_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{BrokerId as WireBrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;

use super::Quorum;
use super::leader::{LeaderState, ReplicaProgress};
use super::role::Role;
use super::voters::ReplicaKey;
use crate::metadata::METADATA_TOPIC;
use crate::node::Now;

impl Quorum {
    /// Leader, voters and observers of the one partition there is.
    pub fn describe(&self, now: Now, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
        let known = |topic: &AskedTopic| {
            topic.topic_name.as_str() == METADATA_TOPIC && topic.partitions.iter().all(|p| p.partition_index == 0)
        };
        let [topic] = &request.topics[..] else {
            return DescribeQuorumResponse::default().with_error_code(ResponseError::InvalidRequest.code());
        };
        if !known(topic) {
            return DescribeQuorumResponse::default().with_error_code(ResponseError::UnknownTopicOrPartition.code());
        }
        let partition = match &self.role {
            Role::Leader(leader) => self.describe_leader(now, leader),
            _ => PartitionData::default()
                .with_error_code(ResponseError::NotLeaderOrFollower.code())
                .with_leader_id(WireBrokerId(self.leader_id.unwrap_or(-1)))
                .with_leader_epoch(self.epoch),
        };
        let topic = TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(vec![partition]);
        DescribeQuorumResponse::default().with_topics(vec![topic]).with_nodes(self.nodes())
    }

    fn describe_leader(&self, now: Now, leader: &LeaderState) -> PartitionData {
        let voters = leader.voters.iter().map(|(id, progress)| {
            let key = ReplicaKey { id: *id, directory_id: self.voters.directory_id(*id) };
            if *id == self.me.id {
                // The leader is always caught up with itself.
                let state = replica_state(key, progress).with_log_end_offset(self.log.log_end_offset());
                state.with_last_fetch_timestamp(now.wall).with_last_caught_up_timestamp(now.wall)
            } else {
                replica_state(key, progress)
            }
        });
        let observers = leader.observers.iter().map(|(key, progress)| {
            let state = replica_state(*key, progress);
            match *key == self.me {
                // A leader that was removed: it leads on until that is committed.
                true => {
                    let state = state.with_log_end_offset(self.log.log_end_offset());
                    state.with_last_fetch_timestamp(now.wall).with_last_caught_up_timestamp(now.wall)
                }
                false => state,
            }
        });
        PartitionData::default()
            .with_leader_id(WireBrokerId(self.me.id))
            .with_leader_epoch(self.epoch)
            .with_high_watermark(self.high_watermark_for_others())
            .with_current_voters(voters.collect())
            .with_observers(observers.collect())
    }

    fn nodes(&self) -> Vec<Node> {
        let node = |voter: &crate::controller::Voter| {
            let listener = Listener::default()
                .with_name(StrBytes::from_static_str("CONTROLLER"))
                .with_host(StrBytes::from_string(voter.endpoint.host.clone()))
                .with_port(voter.endpoint.port);
            Node::default().with_node_id(WireBrokerId(voter.id)).with_listeners(vec![listener])
        };
        self.voters.iter().map(node).collect()
    }
}

fn replica_state(key: ReplicaKey, progress: &ReplicaProgress) -> ReplicaState {
    ReplicaState::default()
        .with_replica_id(WireBrokerId(key.id))
        .with_replica_directory_id(key.wire_directory_id())
        .with_log_end_offset(progress.end_offset.unwrap_or(-1))
        .with_last_fetch_timestamp(progress.last_fetch)
        .with_last_caught_up_timestamp(progress.last_caught_up)
}

/// Before version 2 there were neither directory ids nor endpoints.
pub(super) fn without_directory_ids(response: &mut DescribeQuorumResponse) {
    response.nodes.clear();
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for replica in partitions.flat_map(|p| p.current_voters.iter_mut().chain(&mut p.observers)) {
        replica.replica_directory_id = Default::default();
    }
}
