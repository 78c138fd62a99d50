//! What a node says of itself in a request.

use kafka_protocol::messages::{AlterPartitionRequest, BrokerHeartbeatRequest, FetchRequest, RequestKind, VoteRequest};
use trial_checker::Word;
use trial_kafka::broker::LifecycleState;
use trial_kafka::node::Purpose;

use super::{Referee, Speaker};
use crate::world::slot::SimNode;

/// Is it so?
pub(super) fn judge(referee: &mut Referee, purpose: Purpose, request: &RequestKind, speaker: &mut Speaker<'_>) {
    match request {
        RequestKind::Fetch(request) if purpose == Purpose::Fetcher => {
            follower_fetch(request, speaker);
            let Some(broker) = speaker.slot.broker() else { return };
            for topic in &request.topics {
                for said in &topic.partitions {
                    let Some(replica) = broker.replica(topic.topic_id, said.partition) else { continue };
                    referee.disks.judge_fetch(&replica.id, speaker);
                }
            }
        }
        RequestKind::Fetch(request) if purpose == Purpose::Raft => raft_fetch(request, speaker),
        RequestKind::AlterPartition(request) => alter_partition(referee, request, speaker),
        RequestKind::BrokerHeartbeat(request) => heartbeat(request, speaker),
        RequestKind::Vote(request) => vote(request, speaker),
        _ => {}
    }
}

/// A follower tells where it is, in which reign, with which history and as which incarnation. Source:
/// `RemoteLeaderEndPoint.buildFetch`.
fn follower_fetch(request: &FetchRequest, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    let broker_epoch = broker.broker_epoch().unwrap_or(-1);
    speaker.says(Word::FetchBrokerEpoch, None, request.replica_state.replica_epoch, broker_epoch);
    for topic in &request.topics {
        for said in &topic.partitions {
            let Some(replica) = broker.replica(topic.topic_id, said.partition) else { continue };
            let (id, log) = (Some(&replica.id), &replica.log);
            let last_epoch = log.epochs().last().map_or(-1, |last| last.epoch);
            speaker.says(Word::FetchLeaderEpoch, id, said.current_leader_epoch, replica.leader_epoch);
            speaker.says(Word::FetchOffset, id, said.fetch_offset, log.log_end_offset());
            speaker.says(Word::FetchLastEpoch, id, said.last_fetched_epoch, last_epoch);
            speaker.says(Word::FetchLogStart, id, said.log_start_offset, log.log_start_offset());
        }
    }
}

/// A leader asks for the ISR that it has decided on, on the grounds on which it did, however often it has to ask. Source:
/// KIP-497, KIP-903, `AlterPartitionItem`.
fn alter_partition(referee: &Referee, request: &AlterPartitionRequest, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    let broker_epoch = broker.broker_epoch().unwrap_or(-1);
    speaker.says(Word::IsrBrokerEpoch, None, request.broker_epoch, broker_epoch);
    for topic in &request.topics {
        for said in &topic.partitions {
            let decided = referee.changes.get(&(speaker.node, topic.topic_id, said.partition_index));
            let id = broker.replica(topic.topic_id, said.partition_index).map(|replica| &replica.id);
            let Some(decided) = decided else { continue };
            speaker.says(Word::IsrLeaderEpoch, id, said.leader_epoch, decided.leader_epoch);
            speaker.says(Word::IsrPartitionEpoch, id, said.partition_epoch, decided.partition_epoch);
            let members = said.new_isr_with_epochs.iter().map(|member| (member.broker_id.0, member.broker_epoch));
            if !members.clone().eq(decided.members.iter().copied()) {
                let members: Vec<_> = members.collect();
                speaker.wrong(Word::IsrMembers, id, in_words(&members), in_words(&decided.members));
            }
        }
    }
}

/// `2 (broker epoch 17), 3 (broker epoch unknown)`
fn in_words(members: &[(i32, i64)]) -> String {
    let each = members.iter().map(|(broker, broker_epoch)| match broker_epoch {
        -1 => format!("{broker} (broker epoch unknown)"),
        epoch => format!("{broker} (broker epoch {epoch})"),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A broker tells who it is, how far it has replayed the metadata, and whether it wants to stop. Source:
/// `BrokerLifecycleManager.sendBrokerHeartbeat`.
fn heartbeat(request: &BrokerHeartbeatRequest, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    let stops = broker.lifecycle_state() == LifecycleState::PendingControlledShutdown;
    let replayed = broker.image().next_offset - 1;
    speaker.says(Word::HeartbeatBrokerEpoch, None, request.broker_epoch, broker.broker_epoch().unwrap_or(-1));
    speaker.says(Word::HeartbeatMetadataOffset, None, request.current_metadata_offset, replayed);
    // Until it knows its own registration it wants to stay out; it may be later that it acts on its metadata.
    let registered = broker.image().brokers.get(&broker.node_id()).map(|registered| registered.broker_epoch);
    if registered.is_none_or(|epoch| Some(epoch) != broker.broker_epoch()) {
        speaker.says(Word::HeartbeatFence, None, request.want_fence, true);
    }
    speaker.says(Word::HeartbeatShutDown, None, request.want_shut_down, stops);
}

/// A controller tells which epoch it is in and how far its log goes. Source: `KafkaRaftClient.buildFetchRequest`. In one
/// process with a broker it is not told apart from that broker's fetches. What it says may wait until its epoch is durable
/// and be of the past then; it is never of an epoch that has not come.
fn raft_fetch(request: &FetchRequest, speaker: &mut Speaker<'_>) {
    let SimNode::Controller(controller) = &speaker.slot.node else { return };
    let Some(log) = controller.log() else { return };
    for said in request.topics.iter().flat_map(|topic| &topic.partitions) {
        if said.current_leader_epoch < controller.epoch() {
            continue;
        }
        speaker.says(Word::RaftFetchEpoch, None, said.current_leader_epoch, controller.epoch());
        speaker.says(Word::RaftFetchOffset, None, said.fetch_offset, log.log_end_offset());
        // Behind a snapshot the log is empty, and the snapshot's epoch counts.
        if let Some(last) = log.epochs().last() {
            speaker.says(Word::RaftFetchLastEpoch, None, said.last_fetched_epoch, last.epoch);
        }
    }
}

/// Who wants to be elected tells in which epoch, and how far its log goes; it may be of the past as a fetch may. Source: `KafkaRaftClient.buildVoteRequest`.
fn vote(request: &VoteRequest, speaker: &mut Speaker<'_>) {
    let Some(controller) = speaker.slot.controller() else { return };
    let Some(log) = controller.log() else { return };
    for said in request.topics.iter().flat_map(|topic| &topic.partitions) {
        if said.replica_epoch < controller.epoch() {
            continue;
        }
        speaker.says(Word::VoteEpoch, None, said.replica_epoch, controller.epoch());
        speaker.says(Word::VoteLastOffset, None, said.last_offset, log.log_end_offset());
        if let Some(last) = log.epochs().last() {
            speaker.says(Word::VoteLastEpoch, None, said.last_offset_epoch, last.epoch);
        }
    }
}
