//! What a controller answers to leaders, to brokers, and to the other controllers.

use std::cmp::Ordering;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_request::PartitionData;
use kafka_protocol::messages::{
    AlterPartitionRequest, AlterPartitionResponse, FetchRequest, FetchResponse, RequestKind, VoteRequest, VoteResponse,
};
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::{MetadataImage, PartitionRegistration};
use trial_kafka::protocol::errors::code_name;
use uuid::Uuid;

use super::controllers::is_not_controller;
use super::{Due, Speaker};

/// KIP-704: still recovering from an unclean election.
const RECOVERING: i8 = 1;

/// The controller, if it decides.
fn active(controller: &Controller) -> Option<&Controller> {
    Some(controller).filter(|controller| controller.is_active())
}

/// Is the sender registered with another broker epoch than it names, or not at all? Source:
/// `ClusterControlManager.checkBrokerEpoch`.
pub(super) fn to_broker(controller: &Controller, broker: i32, broker_epoch: i64) -> Option<Due> {
    let registered = active(controller)?.image().brokers.get(&broker).map(|registered| registered.broker_epoch);
    (registered != Some(broker_epoch)).then_some(Due::StaleBrokerEpoch)
}

/// What must be answered to a leader, partition by partition, by the metadata before the decision. Source:
/// `ReplicationControlManager.alterPartition`.
pub(super) fn to_alter_partition(controller: &Controller, request: &AlterPartitionRequest) -> Option<Due> {
    let stale = to_broker(controller, request.broker_id.0, request.broker_epoch);
    if stale.is_some() {
        return stale;
    }
    let image = active(controller)?.image();
    let mut changes = Vec::new();
    for topic in &request.topics {
        for data in &topic.partitions {
            let error = match image.topics.get(&topic.topic_id) {
                None => Some(ResponseError::UnknownTopicId),
                Some(_) => match image.partition(topic.topic_id, data.partition_index) {
                    None => Some(ResponseError::UnknownTopicOrPartition),
                    Some(partition) => refusal(image, partition, request.broker_id.0, data),
                },
            };
            changes.push(((topic.topic_id, data.partition_index), error.map_or(0, |error| error.code())));
        }
    }
    Some(Due::IsrChanges { sender: request.broker_id.0, changes })
}

/// Why a change must be refused, the first reason in Kafka's order. Source:
/// `ReplicationControlManager.validateAlterPartitionData`.
fn refusal(
    image: &MetadataImage,
    partition: &PartitionRegistration,
    sender: i32,
    data: &PartitionData,
) -> Option<ResponseError> {
    let isr = &data.new_isr_with_epochs;
    let is_member = |broker: i32| isr.iter().any(|member| member.broker_id.0 == broker);
    let each_once = (1..isr.len()).all(|n| !isr[..n].iter().any(|member| member.broker_id == isr[n].broker_id));
    let of_replicas = isr.iter().all(|member| partition.replicas.contains(&member.broker_id.0));
    let recovers = data.leader_recovery_state == RECOVERING;
    let eligible = |broker: i32, broker_epoch: i64| {
        image.brokers.get(&broker).is_some_and(|registered| {
            let is_meant = broker_epoch == -1 || broker_epoch == registered.broker_epoch;
            !registered.fenced && !registered.in_controlled_shutdown && is_meant
        })
    };
    let checks = [
        (
            data.leader_epoch > partition.leader_epoch || data.partition_epoch > partition.partition_epoch,
            ResponseError::NotController,
        ),
        (data.leader_epoch < partition.leader_epoch, ResponseError::FencedLeaderEpoch),
        (sender != partition.leader, ResponseError::InvalidRequest),
        (data.partition_epoch < partition.partition_epoch, ResponseError::InvalidUpdateVersion),
        (isr.is_empty() || !each_once || !of_replicas || !is_member(partition.leader), ResponseError::InvalidRequest),
        (recovers && (isr.len() > 1 || !partition.recovering), ResponseError::InvalidRequest),
        (!isr.iter().all(|member| eligible(member.broker_id.0, member.broker_epoch)), ResponseError::IneligibleReplica),
    ];
    checks.into_iter().find(|(fails, _)| *fails).map(|(_, error)| error)
}

/// The decision is made. Where it ended a reassignment the sender may lead no more, and must learn of that:
/// NEW_LEADER_ELECTED. Source: `ReplicationControlManager.alterPartition`.
pub(super) fn look_who_leads(controller: &Controller, sender: i32, changes: &mut [((Uuid, i32), i16)]) {
    let Some(controller) = active(controller) else { return };
    for ((topic, index), due) in changes.iter_mut().filter(|(_, due)| *due == 0) {
        if controller.image().partition(*topic, *index).is_some_and(|partition| partition.leader != sender) {
            *due = ResponseError::NewLeaderElected.code();
        }
    }
}

/// Is a leader answered with what must be?
pub(super) fn judge_alter_partition(due: &Due, response: &AlterPartitionResponse, speaker: &mut Speaker<'_>) {
    let Due::IsrChanges { changes, .. } = due else {
        return judge_stale(Word::IsrAnswer, response.error_code, speaker);
    };
    if is_not_controller(response.error_code) {
        return;
    }
    if response.error_code != 0 {
        let said = code_name(response.error_code);
        return speaker.wrong(Word::IsrAnswer, None, said, "an answer for each partition".to_string());
    }
    let image = speaker.slot.controller().map(Controller::image);
    for topic in &response.topics {
        let name = image.and_then(|image| image.topics.get(&topic.topic_id)).map(|topic| &topic.name);
        for answer in &topic.partitions {
            let key = (topic.topic_id, answer.partition_index);
            let Some((_, due)) = changes.iter().find(|(of, _)| *of == key) else { continue };
            if answer.error_code != *due {
                let id = name.map(|name| TopicPartition::new(name, answer.partition_index));
                speaker.wrong(Word::IsrAnswer, id.as_ref(), code_name(answer.error_code), code_name(*due));
            }
        }
    }
}

/// Is a sender that is not registered with the broker epoch it names told so?
pub(super) fn judge_stale(word: Word, code: i16, speaker: &mut Speaker<'_>) {
    if !is_not_controller(code) && code != ResponseError::StaleBrokerEpoch.code() {
        let due = ResponseError::StaleBrokerEpoch.code();
        speaker.wrong(word, None, code_name(code), code_name(due));
    }
}

/// A node of the quorum that waits for its disk handles a request later, as what it is then. What is known already?
pub(super) fn to_who_waits(controller: &Controller, request: &RequestKind) -> Option<Due> {
    match request {
        RequestKind::Fetch(request) => to_fetch(controller, request),
        RequestKind::Vote(request) => to_vote(controller, request),
        _ => None,
    }
}

/// Must a fetch of the metadata log be refused, since it is not of this node's epoch, or this node does not lead? Source:
/// KIP-595, `KafkaRaftClient.validateLeaderOnlyRequest`.
fn to_fetch(controller: &Controller, request: &FetchRequest) -> Option<Due> {
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions).next()?.current_leader_epoch;
    let of_epoch = asked.cmp(&controller.epoch());
    let is_served = of_epoch == Ordering::Equal && controller.role() == QuorumRole::Leader;
    (!is_served).then_some(Due::NoMetadata { asked, fenced: of_epoch == Ordering::Less })
}

/// Was it? The fetch may have waited until what came before it was durable: an older epoch stays one, but else it counts
/// what the node is when it answers, or was in this epoch.
pub(super) fn judge_fetch((asked, fenced): (i32, bool), response: &FetchResponse, speaker: &mut Speaker<'_>) {
    let Some(controller) = speaker.slot.controller() else { return };
    let has_led = matches!(controller.role(), QuorumRole::Leader | QuorumRole::Resigned | QuorumRole::None);
    let due = match asked.cmp(&controller.epoch()) {
        _ if fenced => ResponseError::FencedLeaderEpoch,
        Ordering::Greater => ResponseError::UnknownLeaderEpoch,
        Ordering::Equal if !has_led => ResponseError::NotLeaderOrFollower,
        _ => return,
    };
    let mut answers = response.responses.iter().flat_map(|topic| &topic.partitions);
    if response.error_code == 0 && answers.any(|answer| answer.error_code == 0) {
        speaker.wrong(Word::RaftFetchAnswer, None, code_name(0), code_name(due.code()));
    }
}

/// Must the vote not be given? Source: KIP-595, KIP-996, `KafkaRaftClient.handleVoteRequest`, `EpochState.canGrantVote`.
fn to_vote(controller: &Controller, request: &VoteRequest) -> Option<Due> {
    let log = controller.log()?;
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions).next()?;
    let follows = matches!(controller.role(), QuorumRole::Follower { .. } | QuorumRole::Leader);
    let last_epoch = log.epochs().last().map_or(-1, |last| last.epoch);
    let why = if asked.replica_epoch < controller.epoch() {
        "the epoch is over"
    } else if asked.replica_epoch == controller.epoch() && follows && !asked.pre_vote {
        "this epoch has a leader"
    } else if (asked.last_offset_epoch, asked.last_offset) < (last_epoch, log.log_end_offset()) {
        "the candidate's log is behind"
    } else {
        return None;
    };
    Some(Due::NoVote(why))
}

/// Was it given?
pub(super) fn judge_vote(why: &'static str, response: &VoteResponse, speaker: &mut Speaker<'_>) {
    let mut answers = response.topics.iter().flat_map(|topic| &topic.partitions);
    if answers.any(|answer| answer.vote_granted) {
        speaker.wrong(Word::VoteAnswer, None, "yes".to_string(), format!("no, since {why},"));
    }
}
