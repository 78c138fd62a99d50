//! What a coordinator answers to a heartbeat of the consumer protocol: may this member say it?

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use trial_kafka::group::config::GroupConfig;
use trial_kafka::group::consumer::{ConsumerGroup, ConsumerMember, LEAVE, LEAVE_STATIC};
use trial_kafka::group::coordinator::Group;

/// From this version on members of the consumer protocol bring their id when they come (KIP-1082).
const OWN_MEMBER_ID_VERSION: i16 = 1;

/// Not judged: who comes without an id, and a group of the classic protocol. Source:
/// `GroupMetadataManager.consumerGroupHeartbeat`, `getOrMaybeSubscribe{Dynamic,Static}ConsumerGroupMember`,
/// `throwIfConsumerGroupMemberEpochIsInvalid`, `consumerGroupLeave`.
pub(super) fn to_consumer_heartbeat(
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
    group: Option<&Group>,
    config: &GroupConfig,
) -> Option<Result<(), ResponseError>> {
    if cannot_be_meant(request, version) {
        return Some(Err(ResponseError::InvalidRequest));
    }
    let (id, epoch) = (request.member_id.as_str(), request.member_epoch);
    if id.is_empty() {
        return None;
    }
    let group = match group {
        None if epoch != 0 => return Some(Err(ResponseError::GroupIdNotFound)),
        Some(Group::Consumer(group)) => group,
        _ => return None,
    };
    let leaves = matches!(epoch, LEAVE | LEAVE_STATIC);
    let has_room = group.members().len() < usize::try_from(config.consumer_max_size).unwrap_or(0);
    if !leaves && !has_room && !group.members().contains_key(id) {
        return Some(Err(ResponseError::GroupMaxSizeReached));
    }
    Some(match said_by(group, request) {
        Err(error) => Err(error),
        Ok(Some(member)) if !leaves && !may_say(member, request) => Err(ResponseError::FencedMemberEpoch),
        Ok(_) => Ok(()),
    })
}

/// Source: `GroupMetadataManager.throwIfConsumerGroupHeartbeatRequestIsInvalid`.
fn cannot_be_meant(request: &ConsumerGroupHeartbeatRequest, version: i16) -> bool {
    let is_blank = |text: &str| text.trim().is_empty();
    let [instance, rack] = [&request.instance_id, &request.rack_id].map(|text| text.as_deref().is_some_and(is_blank));
    let of_any = is_blank(&request.group_id) || instance || rack;
    let has_no_id = is_blank(&request.member_id);
    of_any
        || match request.member_epoch {
            0 => {
                (has_no_id && version >= OWN_MEMBER_ID_VERSION)
                    || request.rebalance_timeout_ms == -1
                    || request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty())
                    || (request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none())
            }
            LEAVE_STATIC => has_no_id || request.instance_id.is_none(),
            LEAVE | 1.. => has_no_id,
            _ => true,
        }
}

/// The member that says it; `None` for one that comes.
fn said_by<'a>(
    group: &'a ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<Option<&'a ConsumerMember>, ResponseError> {
    let (id, joins) = (request.member_id.as_str(), request.member_epoch == 0);
    let Some(instance) = request.instance_id.as_deref() else {
        return match group.members().get(id) {
            None if !joins => Err(ResponseError::UnknownMemberId),
            member => Ok(member),
        };
    };
    match group.members().values().find(|member| member.instance.as_deref() == Some(instance)) {
        None if joins => Ok(None),
        None => Err(ResponseError::UnknownMemberId),
        Some(now) if joins && now.epoch != LEAVE_STATIC => Err(ResponseError::UnreleasedInstanceId),
        Some(_) if joins => Ok(None),
        Some(now) if now.id != id => Err(ResponseError::FencedInstanceId),
        now => Ok(now),
    }
}

/// Its epoch, or the one before if it owns nothing that it was not given (the answer was lost), or 0: it begins anew.
fn may_say(member: &ConsumerMember, request: &ConsumerGroupHeartbeatRequest) -> bool {
    let epoch = request.member_epoch;
    let owns_no_more = request.topic_partitions.as_ref().is_some_and(|owned| {
        owned.iter().all(|topic| {
            let assigned = member.assigned.get(&topic.topic_id);
            topic.partitions.iter().all(|partition| assigned.is_some_and(|assigned| assigned.contains(partition)))
        })
    });
    epoch == member.epoch || epoch == 0 || (epoch < member.epoch && epoch == member.previous_epoch && owns_no_more)
}
