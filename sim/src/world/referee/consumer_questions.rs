//! What is asked of the copy of a coordinator about a group of the consumer protocol, and what nobody in a run asks.
//!
//! Sources: KIP-848, `GroupMetadataManager.consumerGroupHeartbeat`, `throwIfConsumerGroupMemberEpochIsInvalid`,
//! `throwIfInstanceIdIs{Unreleased,Fenced}`, `scheduleConsumerGroupRebalanceTimeout`, `ConsumerGroup.validateOffsetCommit`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, GroupId, TopicName};
use trial_checker::Word;
use trial_kafka::group::consumer::{ConsumerGroup, ConsumerMember, LEAVE, LEAVE_STATIC, MemberState};
use uuid::Uuid;

use super::Speaker;
use super::classic_questions::{
    COMMIT, DELETE, HEARTBEAT as CLASSIC_HEARTBEAT, INSTANCE, NOBODY, OLD_COMMIT, Of, REBALANCE_TIMEOUT_MS, text,
};
use super::group_rehearsal::{Copy, Stage, name_what_was_asked};

pub(super) const HEARTBEAT: i16 = 1;

/// What a member says in an ordinary heartbeat.
pub(super) fn ordinary(group: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
}

/// What one says that comes.
pub(super) fn joins(group: &str, member: &str, topics: &[String]) -> ConsumerGroupHeartbeatRequest {
    let topics = topics.iter().map(|topic| TopicName(text(topic))).collect();
    ordinary(group, member, 0)
        .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
        .with_topic_partitions(Some(Vec::new()))
        .with_subscribed_topic_names(Some(topics))
}

/// About a group.
pub(super) fn rehearse(stage: &Stage<'_>, group: &ConsumerGroup, speaker: &mut Speaker<'_>) {
    let here = || group.members().values().filter(|member| member.epoch > 0);
    let member = here().find(|member| member.instance.is_none()).or(here().next());
    let topics: Vec<String> =
        member.map(|member| member.subscribed_topic_names.iter().cloned().collect()).unwrap_or_default();
    by_strangers(stage, group, &topics, speaker);
    what_cannot_be_meant(stage, &topics, speaker);
    if let Some(member) = member {
        by_a_member(stage, member, speaker);
    }
    if let Some(lagging) = here().find(|member| member.previous_epoch > 0 && member.previous_epoch < member.epoch) {
        of_the_epoch_before(stage, lagging, speaker);
    }
    if let Ok(members @ 1..) = i32::try_from(group.members().len()) {
        let mut full = stage.copy_with(|config| config.consumer_max_size = members);
        full.ask("to join a full group", HEARTBEAT, joins(stage.group, NOBODY, &topics), speaker);
    }
    by_instances(stage, &topics, speaker);
    for slow in here().filter(|member| member.state == MemberState::UnrevokedPartitions).take(1) {
        who_does_not_give_back(stage, slow, speaker);
    }
}

fn by_strangers(stage: &Stage<'_>, group: &ConsumerGroup, topics: &[String], speaker: &mut Speaker<'_>) {
    let (id, mut copy, epoch) = (stage.group, stage.copy(), group.epoch().max(1));
    let of = Of(id);
    copy.ask("by a stranger", HEARTBEAT, ordinary(id, NOBODY, epoch), speaker);
    copy.ask("to let a stranger go", HEARTBEAT, ordinary(id, NOBODY, LEAVE), speaker);
    let unknown = ordinary(id, NOBODY, epoch).with_instance_id(Some(text(NOBODY)));
    copy.ask("by an instance that it does not know", HEARTBEAT, unknown, speaker);
    copy.ask("by a member of the classic protocol", CLASSIC_HEARTBEAT, of.heartbeat(NOBODY, None, epoch), speaker);
    copy.ask("to commit by a stranger", COMMIT, of.commit(NOBODY, None, epoch), speaker);
    copy.ask("to commit by somebody without an id", COMMIT, of.commit("", None, -1), speaker);
    if !group.is_empty() {
        let error = ResponseError::NonEmptyGroup;
        stage.copy().ask_in_vain("to delete the group", DELETE, of.deletion(), error, speaker);
    }
    let nonsense = joins(id, NOBODY, topics).with_subscribed_topic_regex(Some(text("(")));
    copy.ask_in_vain(
        "for topics that nobody can understand",
        HEARTBEAT,
        nonsense,
        ResponseError::InvalidRegularExpression,
        speaker,
    );
}

fn what_cannot_be_meant(stage: &Stage<'_>, topics: &[String], speaker: &mut Speaker<'_>) {
    let id = stage.group;
    let comes = || joins(id, NOBODY, topics);
    let owned = vec![TopicPartitions::default().with_topic_id(Uuid::from_u128(1)).with_partitions(vec![0])];
    for (what, request) in [
        ("to join by one without an id", joins(id, "", topics)),
        ("to join by one without patience", comes().with_rebalance_timeout_ms(-1)),
        ("to join by one that does not say what it has", comes().with_topic_partitions(None)),
        ("to join by one that has something", comes().with_topic_partitions(Some(owned))),
        ("to join by one that wants nothing", comes().with_subscribed_topic_names(None)),
        ("to join by an instance without a name", comes().with_instance_id(Some(text(" ")))),
        ("to join by one in a rack without a name", comes().with_rack_id(Some(text("")))),
        ("by one of an epoch that cannot be", ordinary(id, NOBODY, -3)),
        ("by one without an id", ordinary(id, "", 1)),
        ("to let one go that is no instance", ordinary(id, NOBODY, LEAVE_STATIC)),
    ] {
        stage.copy().ask(what, HEARTBEAT, request, speaker);
    }
}

fn by_a_member(stage: &Stage<'_>, member: &ConsumerMember, speaker: &mut Speaker<'_>) {
    let (group, id, epoch) = (stage.group, member.id.as_str(), member.epoch);
    let of = Of(group);
    let says = |epoch: i32| ordinary(group, id, epoch).with_instance_id(member.instance.as_deref().map(text));
    let mut copy = stage.copy();
    copy.ask("by a member of a later epoch", HEARTBEAT, says(epoch + 1), speaker);
    if epoch > 1 {
        copy.ask("by a member of an earlier epoch", HEARTBEAT, says(epoch - 1), speaker);
    }
    copy.ask("by a member of the classic protocol", CLASSIC_HEARTBEAT, of.heartbeat(id, None, epoch), speaker);
    copy.ask("to commit for a later epoch", COMMIT, of.commit(id, None, epoch + 1), speaker);
    copy.ask("to commit for an earlier epoch", COMMIT, of.commit(id, None, epoch - 1), speaker);
    copy.ask("to commit by a member of former times", OLD_COMMIT, of.commit(id, None, epoch), speaker);
    copy.ask("to commit by a member", COMMIT, of.commit(id, None, epoch), speaker);
    stage.copy().ask("by a member", HEARTBEAT, says(epoch), speaker);
    let topics: Vec<String> = member.subscribed_topic_names.iter().cloned().collect();
    if member.instance.is_none() {
        stage.copy().ask("by a member that begins anew", HEARTBEAT, joins(group, id, &topics), speaker);
    }
}

/// Whoever has not heard of its new epoch has no more than what it was given.
fn of_the_epoch_before(stage: &Stage<'_>, member: &ConsumerMember, speaker: &mut Speaker<'_>) {
    let topic = |(id, partitions): (&Uuid, &std::collections::BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(*id).with_partitions(partitions.iter().copied().collect())
    };
    let given: Vec<TopicPartitions> = member.assigned.iter().map(topic).collect();
    let foreign = TopicPartitions::default().with_topic_id(Uuid::from_u128(1)).with_partitions(vec![0]);
    let more: Vec<TopicPartitions> = given.iter().cloned().chain([foreign]).collect();
    let says = || {
        let says = ordinary(stage.group, &member.id, member.previous_epoch);
        says.with_instance_id(member.instance.as_deref().map(text))
    };
    stage.copy().ask("by one that was not heard", HEARTBEAT, says().with_topic_partitions(Some(given)), speaker);
    let mut copy = stage.copy();
    copy.ask("by one that has too much", HEARTBEAT, says().with_topic_partitions(Some(more)), speaker);
    copy.ask("by one that does not say what it has", HEARTBEAT, says(), speaker);
}

/// A static member comes; who has its instance, and until when?
fn by_instances(stage: &Stage<'_>, topics: &[String], speaker: &mut Speaker<'_>) {
    let (group, mut copy) = (stage.group, stage.copy());
    let as_it = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(text(INSTANCE)));
    let (one, other) = ("rehearsal one", "rehearsal other");
    let here = |copy: &Copy<'_>, id: &str| copy.consumer().and_then(|group| group.members().get(id).cloned());
    copy.ask("to join by a static member", HEARTBEAT, as_it(joins(group, one, topics)), speaker);
    let Some(epoch) = here(&copy, one).map(|member| member.epoch).filter(|epoch| *epoch > 0) else { return };
    copy.ask("to join as an instance that is there", HEARTBEAT, as_it(joins(group, other, topics)), speaker);
    let what = "by who is not that instance any more";
    copy.ask(what, HEARTBEAT, as_it(ordinary(group, other, epoch)), speaker);
    copy.ask(what, HEARTBEAT, as_it(ordinary(group, other, LEAVE_STATIC)), speaker);
    copy.ask("to wait for a static member", HEARTBEAT, as_it(ordinary(group, one, LEAVE_STATIC)), speaker);
    copy.ask("to join by a static member that was away", HEARTBEAT, as_it(joins(group, other, topics)), speaker);
    copy.ask("by who it was before", HEARTBEAT, as_it(ordinary(group, one, epoch)), speaker);
}

/// It lives, and does not give back: it has its rebalance timeout for that.
fn who_does_not_give_back(stage: &Stage<'_>, slow: &ConsumerMember, speaker: &mut Speaker<'_>) {
    let mut copy = stage.copy();
    let step_ms = i64::from(copy.config().consumer_session_timeout_ms / 2).max(1);
    let patience_ms = i64::from(slow.rebalance_timeout_ms);
    let keeps = |copy: &Copy<'_>| {
        let member = copy.consumer().and_then(|group| group.members().get(&slow.id));
        member.is_some_and(|member| member.epoch == slow.epoch && member.state == MemberState::UnrevokedPartitions)
    };
    let says = ordinary(stage.group, &slow.id, slow.epoch).with_instance_id(slow.instance.as_deref().map(text));
    let mut passed_ms = 0;
    while passed_ms <= patience_ms && keeps(&copy) {
        copy.ask("by one that keeps what it has", HEARTBEAT, says.clone(), speaker);
        if !copy.pass(step_ms) {
            return;
        }
        passed_ms += step_ms;
    }
    if keeps(&copy) {
        let heard = speaker.notes.len();
        let said = format!("nothing, having waited for {passed_ms} ms,");
        speaker.wrong(Word::LateMember, None, said, format!("its removal after {patience_ms} ms"));
        name_what_was_asked("by one that does not give back", heard, speaker);
    }
}
