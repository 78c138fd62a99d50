//! What a coordinator answers to the members of its groups, and what becomes of the group.
//!
//! A request lies with its broker until the coordinators' lane comes to it: it is judged by the group as it is then.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, ResponseKind, SyncGroupRequest,
};
use trial_checker::Word;
use trial_kafka::broker::GroupQuestion;
use trial_kafka::group::api::Request;
use trial_kafka::group::classic::{ClassicGroup, ClassicMember, ClassicState};
use trial_kafka::group::config::GroupConfig;
use trial_kafka::group::consumer::ConsumerGroup;
use trial_kafka::group::coordinator::Group;
use trial_kafka::node::{Nanos, ReqId};
use trial_kafka::protocol::errors::code_name;

use super::Speaker;
use super::consumer_answers::to_consumer_heartbeat;
use super::consumer_steps::Heartbeat;
use super::group_lives::Sign;

/// From this version on JoinGroup without a member id is answered with one (KIP-394).
const KNOWN_MEMBER_ID_VERSION: i16 = 4;
/// From this version on OffsetCommit is for members of the consumer protocol too.
const CONSUMER_COMMIT_VERSION: i16 = 9;
/// From this version on LeaveGroup names several members (KIP-345).
const BATCHED_LEAVE_VERSION: i16 = 3;

/// From this version on a leader can be told to leave the assignment as it is (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// What a coordinator has to do with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DueOfGroup {
    pub(super) group: String,
    /// The error that must be answered; `Ok`: none that says the member or its epoch is not the group's. `None`: not judged.
    answer: Option<Result<(), ResponseError>>,
    /// What becomes of the group at once.
    then: Option<Then>,
    /// The member that waits for the group until it is answered.
    pub(super) waits: Option<String>,
    /// An answer of this generation tells a leader to leave the assignment as it is.
    skips_assignment: Option<i32>,
    /// A heartbeat of the consumer protocol that has nothing wrong with it.
    pub(super) heartbeat: Option<Box<Heartbeat>>,
    /// Whose life it is a sign of, if all goes well.
    pub(super) sign: Option<Sign>,
}

impl DueOfGroup {
    /// Nothing but this error will do.
    pub(super) fn refused(group: &str, error: ResponseError) -> DueOfGroup {
        DueOfGroup {
            group: group.to_string(),
            answer: Some(Err(error)),
            then: None,
            waits: None,
            skips_assignment: None,
            heartbeat: None,
            sign: None,
        }
    }
    /// The error that must be answered.
    pub(super) fn refusal(&self) -> Option<ResponseError> {
        self.answer?.err()
    }
}

/// What becomes of a classic group in this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Then {
    state: ClassicState,
    generation: i32,
    /// Its members have to join anew.
    rebalances: bool,
}

/// What must be done with this question, which is heard now.
pub(super) fn to_question(question: &GroupQuestion<'_>, now: Nanos) -> Option<(ReqId, DueOfGroup)> {
    let (version, group) = (question.api_version, question.group);
    let mut heartbeat = None;
    let (answer, then) = match question.request {
        Request::JoinGroup(request) => to_join(request, version, group, question.config)?,
        Request::SyncGroup(request) => (to_sync(request, group)?.err().map(Err), None),
        Request::Heartbeat(request) => (Some(to_heartbeat(request, group)), None),
        Request::LeaveGroup(request) => (None, Some(to_leave(request, version, group)?)),
        Request::ConsumerGroupHeartbeat(request) => {
            let answer = to_consumer_heartbeat(request, version, group, question.config)?;
            if answer.is_ok() {
                let known = consumer(group).and_then(|group| group.members().get(request.member_id.as_str()));
                heartbeat = Heartbeat::of(request, group, known).map(Box::new);
            }
            (Some(answer), None)
        }
        Request::OffsetCommit(request) => (Some(to_commit(request, version, group)), None),
        _ => return None,
    };
    let id = question.request.group()?.to_string();
    let sign = sign_of_life(question, answer.as_ref(), now);
    let (waits, skips_assignment) = waits(question);
    Some((question.req, DueOfGroup { group: id, answer, then, waits, skips_assignment, heartbeat, sign }))
}

/// Which member waits from now on for its group, having had an answer to a join before, and whether one that leads is told to
/// leave the assignment as it is (KIP-814).
fn waits(question: &GroupQuestion<'_>) -> (Option<String>, Option<i32>) {
    let (Request::JoinGroup(request), Some(Group::Classic(group))) = (question.request, question.group) else {
        return (None, None);
    };
    let id = request.member_id.as_str();
    let before = request.group_instance_id.as_deref().and_then(|instance| of_instance(group, instance));
    let is_known = check_member(group, id, request.group_instance_id.as_deref()).is_ok() && group.generation() > 0;
    let has_joined = is_known && group.member(id).is_some_and(|member| !member.assignment().is_empty());
    let skips = question.api_version >= SKIP_ASSIGNMENT_VERSION
        && id.is_empty()
        && group.state() == ClassicState::Stable
        && before.is_some_and(|(now, member)| group.leader() == Some(now) && says_the_same(member, request));
    (has_joined.then(|| id.to_string()), skips.then(|| group.generation()))
}

/// Which member must be taken for alive now, and for how long. Source:
/// `GroupMetadataManager.rescheduleClassicGroupMemberHeartbeat`, `scheduleConsumerGroupSessionTimeout`.
fn sign_of_life(question: &GroupQuestion<'_>, answer: Option<&Result<(), ResponseError>>, now: Nanos) -> Option<Sign> {
    let is_accepted = matches!(answer, Some(Ok(()) | Err(ResponseError::RebalanceInProgress)));
    let member = match (question.request, question.group?) {
        (Request::Heartbeat(request), Group::Classic(group)) if is_accepted => {
            group.members().get_key_value(request.member_id.as_str())
        }
        (Request::OffsetCommit(request), Group::Classic(group))
            if answer == Some(&Ok(()))
                && matches!(group.state(), ClassicState::Stable | ClassicState::PreparingRebalance) =>
        {
            group.members().get_key_value(request.member_id.as_str())
        }
        (Request::ConsumerGroupHeartbeat(request), Group::Consumer(_)) if request.member_epoch > 0 && is_accepted => {
            let session_ms = question.config.consumer_session_timeout_ms;
            return Some(Sign { member: request.member_id.to_string(), session_ms, is_static: false, at: now });
        }
        _ => None,
    };
    member.map(|(id, member)| Sign {
        member: id.clone(),
        session_ms: member.session_timeout_ms(),
        is_static: member.instance().is_some(),
        at: now,
    })
}

fn classic(group: Option<&Group>) -> Option<&ClassicGroup> {
    match group {
        Some(Group::Classic(group)) => Some(group),
        _ => None,
    }
}

fn consumer(group: Option<&Group>) -> Option<&ConsumerGroup> {
    match group {
        Some(Group::Consumer(group)) => Some(group),
        _ => None,
    }
}

fn of_instance<'a>(group: &'a ClassicGroup, instance: &str) -> Option<(&'a String, &'a ClassicMember)> {
    group.members().iter().find(|(_, member)| member.instance() == Some(instance))
}

/// Source: `ClassicGroup.validateMember`.
fn check_member(group: &ClassicGroup, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
    if let Some(instance) = instance {
        let (now, _) = of_instance(group, instance).ok_or(ResponseError::UnknownMemberId)?;
        if now != member {
            return Err(ResponseError::FencedInstanceId);
        }
    }
    match group.member(member) {
        Some(_) => Ok(()),
        None => Err(ResponseError::UnknownMemberId),
    }
}

/// Source: `ClassicGroup.validateHeartbeat`.
fn to_heartbeat(request: &HeartbeatRequest, group: Option<&Group>) -> Result<(), ResponseError> {
    let group = classic(group).ok_or(ResponseError::UnknownMemberId)?;
    check_member(group, &request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation() {
        return Err(ResponseError::IllegalGeneration);
    }
    match group.state() {
        ClassicState::Empty => Err(ResponseError::UnknownMemberId),
        ClassicState::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
        ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
    }
}

/// Source: `GroupMetadataManager.validateSyncGroup`, `classicGroupSyncToClassicGroup`.
fn to_sync(request: &SyncGroupRequest, group: Option<&Group>) -> Option<Result<(), ResponseError>> {
    let Some(group) = classic(group).filter(|group| !group.is_empty()) else {
        return Some(Err(ResponseError::UnknownMemberId));
    };
    if let Err(error) = check_member(group, &request.member_id, request.group_instance_id.as_deref()) {
        return Some(Err(error));
    }
    let differs = |asked: Option<&str>, own: Option<&str>| asked.is_some() && own.is_some() && asked != own;
    let other_protocol = differs(request.protocol_type.as_deref(), group.protocol_type())
        || differs(request.protocol_name.as_deref(), group.protocol_name());
    Some(if request.generation_id != group.generation() {
        Err(ResponseError::IllegalGeneration)
    } else if other_protocol {
        Err(ResponseError::InconsistentGroupProtocol)
    } else if group.state() == ClassicState::PreparingRebalance {
        Err(ResponseError::RebalanceInProgress)
    } else {
        Ok(())
    })
}

type DueOfJoin = (Option<Result<(), ResponseError>>, Option<Then>);

/// Source: `GroupMetadataManager.classicGroupJoin`, `classicGroupJoinNewMember`, `classicGroupJoinExistingMember`.
fn to_join(request: &JoinGroupRequest, version: i16, group: Option<&Group>, config: &GroupConfig) -> Option<DueOfJoin> {
    let refused = |error| Some((Some(Err(error)), None));
    let (id, instance) = (request.member_id.as_str(), request.group_instance_id.as_deref());
    let timeouts = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    if !timeouts.contains(&request.session_timeout_ms) {
        return refused(ResponseError::InvalidSessionTimeout);
    }
    let group = match group {
        Some(Group::Consumer(group)) if !group.is_empty() => return refused(ResponseError::InconsistentGroupProtocol),
        group => classic(group),
    };
    let comes_without_id = id.is_empty() && instance.is_none() && version >= KNOWN_MEMBER_ID_VERSION;
    let Some(group) = group else {
        return match id.is_empty() {
            false => refused(ResponseError::UnknownMemberId),
            true if comes_without_id => refused(ResponseError::MemberIdRequired),
            true => None,
        };
    };
    if group.members().len() >= usize::try_from(config.max_size).unwrap_or(0) {
        match group.state() {
            // Whether there is room for who comes to a rebalance under way is not judged.
            ClassicState::PreparingRebalance => return None,
            ClassicState::CompletingRebalance | ClassicState::Stable if group.member(id).is_none() => {
                return refused(ResponseError::GroupMaxSizeReached);
            }
            _ => {}
        }
    }
    if !supports(group, request) {
        return refused(ResponseError::InconsistentGroupProtocol);
    }
    let then = |rebalances| Then { state: group.state(), generation: group.generation(), rebalances };
    if comes_without_id {
        return Some((Some(Err(ResponseError::MemberIdRequired)), Some(then(false))));
    }
    let member = match (id.is_empty(), instance) {
        (true, Some(instance)) => match of_instance(group, instance) {
            None => return Some((None, Some(then(true)))),
            Some((_, before)) => {
                let is_at_rest = group.state() == ClassicState::Stable && says_the_same(before, request);
                return Some((None, is_at_rest.then(|| then(false))));
            }
        },
        (true, None) => return Some((None, Some(then(true)))),
        (false, _) if group.is_awaited(id) => return Some((None, instance.is_none().then(|| then(true)))),
        (false, instance) => match check_member(group, id, instance) {
            Err(error) => return refused(error),
            Ok(()) => group.member(id)?,
        },
    };
    let says_the_same = says_the_same(member, request);
    let rebalances = match group.state() {
        ClassicState::Empty => return refused(ResponseError::UnknownMemberId),
        ClassicState::PreparingRebalance => return Some((None, None)),
        ClassicState::CompletingRebalance => !says_the_same,
        ClassicState::Stable => !says_the_same || group.leader() == Some(id),
    };
    Some((None, Some(then(rebalances))))
}

/// Source: `ClassicGroupMember.matches`.
fn says_the_same(member: &ClassicMember, request: &JoinGroupRequest) -> bool {
    let said = member.protocols().iter().map(|(name, metadata)| (name.as_str(), metadata));
    said.eq(request.protocols.iter().map(|protocol| (protocol.name.as_str(), &protocol.metadata)))
}

/// Source: `ClassicGroup.supportsProtocols`.
fn supports(group: &ClassicGroup, request: &JoinGroupRequest) -> bool {
    if group.is_empty() {
        return !request.protocol_type.is_empty() && !request.protocols.is_empty();
    }
    let can = |member: &ClassicMember, name: &str| member.protocols().iter().any(|(own, _)| own == name);
    let by_all = |name: &str| group.members().values().all(|member| can(member, name));
    group.protocol_type() == Some(request.protocol_type.as_str()) && request.protocols.iter().any(|p| by_all(&p.name))
}

/// Who goes makes the others share anew. Source: `GroupMetadataManager.classicGroupLeaveToClassicGroup`.
fn to_leave(request: &LeaveGroupRequest, version: i16, group: Option<&Group>) -> Option<Then> {
    let group = classic(group)?;
    let goes = |member: &str, instance: Option<&str>| match (member, instance) {
        ("", Some(instance)) => of_instance(group, instance).is_some(),
        (member, instance) => check_member(group, member, instance).is_ok(),
    };
    let has_left = match version >= BATCHED_LEAVE_VERSION {
        true => request.members.iter().any(|member| goes(&member.member_id, member.group_instance_id.as_deref())),
        false => goes(&request.member_id, None),
    };
    let is_settled = matches!(group.state(), ClassicState::CompletingRebalance | ClassicState::Stable);
    (has_left && is_settled).then(|| Then { state: group.state(), generation: group.generation(), rebalances: true })
}

/// Source: `OffsetMetadataManager.validateOffsetCommit`, `ClassicGroup.validateOffsetCommit`,
/// `ConsumerGroup.validateOffsetCommit`.
fn to_commit(request: &OffsetCommitRequest, version: i16, group: Option<&Group>) -> Result<(), ResponseError> {
    let (member, instance) = (request.member_id.as_str(), request.group_instance_id.as_deref());
    let epoch = request.generation_id_or_member_epoch;
    match group {
        None if epoch < 0 => Ok(()),
        None if version >= CONSUMER_COMMIT_VERSION => Err(ResponseError::GroupIdNotFound),
        None => Err(ResponseError::IllegalGeneration),
        Some(group) if epoch < 0 && group.is_empty() => Ok(()),
        Some(Group::Classic(group)) => {
            if epoch < 0 && member.is_empty() && instance.is_none() {
                return Err(ResponseError::UnknownMemberId);
            }
            check_member(group, member, instance)?;
            if epoch != group.generation() {
                return Err(ResponseError::IllegalGeneration);
            }
            match group.state() {
                ClassicState::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
                _ => Ok(()),
            }
        }
        Some(Group::Consumer(group)) => {
            let member = group.members().get(member).ok_or(ResponseError::UnknownMemberId)?;
            if version < CONSUMER_COMMIT_VERSION {
                return Err(ResponseError::UnsupportedVersion);
            }
            if epoch == member.epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
        }
    }
}

/// Has become of the group what must?
pub(super) fn look_what_became(due: &mut DueOfGroup, speaker: &mut Speaker<'_>) {
    let group = speaker.slot.broker().and_then(|broker| broker.coordinated_now(&due.group));
    look_at(due, group, speaker);
}

/// Has become of this group what must?
pub(super) fn look_at(due: &mut DueOfGroup, group: Option<&Group>, speaker: &mut Speaker<'_>) {
    if let Some(heartbeat) = &mut due.heartbeat {
        heartbeat.look(group);
    }
    let Some(then) = due.then else { return };
    let Some(group) = classic(group) else { return };
    if then.rebalances && then.state == ClassicState::PreparingRebalance {
        return;
    }
    let rebalances = group.generation() != then.generation || group.state() != then.state;
    if rebalances != then.rebalances {
        let said = |rebalances| if rebalances { "join anew" } else { "go on as you are" }.to_string();
        speaker.wrong(Word::GroupRebalance, None, said(rebalances), said(then.rebalances));
    }
}

/// Trouble with the log, or with whose the group is: it comes before, or instead of, whatever the group says.
fn is_trouble(code: i16) -> bool {
    let error = ResponseError::try_from_code(code);
    let of_log = [
        ResponseError::CoordinatorLoadInProgress,
        ResponseError::CoordinatorNotAvailable,
        ResponseError::NotCoordinator,
        ResponseError::UnknownServerError,
    ];
    error.is_some_and(|error| of_log.contains(&error))
}

/// Does it say that the member, or its epoch, is not the group's?
fn is_of_membership(code: i16) -> bool {
    let error = ResponseError::try_from_code(code);
    let of_membership = [
        ResponseError::UnknownMemberId,
        ResponseError::IllegalGeneration,
        ResponseError::RebalanceInProgress,
        ResponseError::FencedInstanceId,
        ResponseError::FencedMemberEpoch,
        ResponseError::StaleMemberEpoch,
        ResponseError::UnreleasedInstanceId,
        ResponseError::GroupIdNotFound,
        ResponseError::GroupMaxSizeReached,
    ];
    error.is_some_and(|error| of_membership.contains(&error))
}

/// Has it come to pass, as far as the answer says?
pub(super) fn has_gone_well(response: &ResponseKind) -> bool {
    !codes(response).into_iter().any(is_trouble)
}

/// Is the member answered with what must be?
pub(super) fn judge_group(due: &DueOfGroup, response: &ResponseKind, speaker: &mut Speaker<'_>) {
    // Until the new member id is written another member may join, and the answer be of the next generation.
    if let ResponseKind::JoinGroup(response) = response
        && due.skips_assignment == Some(response.generation_id)
        && response.error_code == 0
    {
        speaker.says(Word::SkipAssignment, None, response.skip_assignment, true);
    }
    if let (ResponseKind::ConsumerGroupHeartbeat(response), Some(heartbeat)) = (response, &due.heartbeat) {
        heartbeat.judge(response, speaker);
    }
    let Some(due) = &due.answer else { return };
    let is_wrong = |code: i16| match due {
        Err(error) => code != error.code() && !is_trouble(code),
        Ok(()) => is_of_membership(code),
    };
    if let Some(code) = codes(response).into_iter().find(|code| is_wrong(*code)) {
        let truth = due.err().map_or(0, |error| error.code());
        speaker.wrong(Word::GroupAnswer, None, code_name(code), code_name(truth));
    }
}

/// What its parts were answered.
pub(super) fn codes(response: &ResponseKind) -> Vec<i16> {
    match response {
        ResponseKind::JoinGroup(response) => vec![response.error_code],
        ResponseKind::SyncGroup(response) => vec![response.error_code],
        ResponseKind::Heartbeat(response) => vec![response.error_code],
        ResponseKind::ConsumerGroupHeartbeat(response) => vec![response.error_code],
        ResponseKind::OffsetCommit(response) => {
            // Of a partition that is not there the coordinator never hears.
            let unknown = ResponseError::UnknownTopicOrPartition.code();
            let codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|answer| answer.error_code);
            codes.filter(|code| *code != unknown).collect()
        }
        ResponseKind::DeleteGroups(response) => response.results.iter().map(|group| group.error_code).collect(),
        _ => Vec::new(),
    }
}
