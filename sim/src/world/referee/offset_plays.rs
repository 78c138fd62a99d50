//! What does a coordinator know of offsets while they are written, and how long does it keep them? Copies are asked.
//!
//! Sources: KIP-211, KIP-447, KIP-496, `CoordinatorRuntime`, `OffsetMetadataManager.cleanupExpiredOffsets`, `deleteOffsets`,
//! `ClassicGroup.offsetExpirationCondition`, `GroupCoordinatorService.heartbeat`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, TopicName};
use trial_checker::Word;
use trial_kafka::group::api::{AskId, Request, Response};
use trial_kafka::group::classic::{ClassicGroup, ClassicState};
use trial_kafka::group::config::GroupConfig;
use trial_kafka::group::shard::Effects;
use trial_kafka::protocol::errors::{NONE, code_name};

use super::Speaker;
use super::classic_questions::{self, COMMIT, HEARTBEAT, LEAVE, NOBODY, Of, text};
use super::group_rehearsal::{Copy, Stage, name_what_was_asked};

/// The last version of OffsetCommit in which a client says how long it is kept.
const WITH_RETENTION: i16 = 4;
pub(super) const FETCH: i16 = 9;
const DELETE: i16 = 0;
/// A version of JoinGroup in which a member comes without an id, and is one at once (before KIP-394).
const OLD_JOIN: i16 = 3;
/// A topic to which nobody is subscribed.
const UNREAD: &str = "rehearsal";
pub(super) const NO_OFFSET: i64 = -1;
/// How long offsets are kept in a copy.
const RETENTION_MS: i64 = 10_000;

/// What a copy says of offsets. The error of one that has none comes as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Error(i16),
    Offset(i64),
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Said::Nothing => f.write_str("nothing"),
            Said::Error(code) => f.write_str(&code_name(*code)),
            Said::Offset(offset) => write!(f, "offset {offset}"),
        }
    }
}

/// A group, and a member of it that speaks; nobody, for a group that only has offsets.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    group: &'a str,
    member: &'a str,
    generation: i32,
}

impl<'a> Who<'a> {
    /// Somebody who speaks for a group that only has offsets.
    pub(super) fn of_nobody(group: &'a str) -> Who<'a> {
        Who { group, member: "", generation: -1 }
    }
    /// An offset of partition 0 of the topic.
    pub(super) fn commits(self, topic: &str, offset: i64, retention_ms: i64) -> OffsetCommitRequest {
        let partition =
            OffsetCommitRequestPartition::default().with_committed_offset(offset).with_committed_leader_epoch(-1);
        let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text(topic)));
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text(self.group)))
            .with_member_id(text(self.member))
            .with_generation_id_or_member_epoch(self.generation)
            .with_retention_time_ms(retention_ms)
            .with_topics(vec![topic.with_partitions(vec![partition])])
    }
    fn commit(self, topic: &str, offset: i64, retention_ms: i64) -> Request {
        Request::OffsetCommit(self.commits(topic, offset, retention_ms))
    }
    /// How far is the group in partition 0 of the topic?
    pub(super) fn asks(self, topic: &str) -> OffsetFetchRequestGroup {
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text(topic))).with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(self.group)));
        group.with_member_id(None).with_member_epoch(-1).with_topics(Some(vec![topic]))
    }
    fn fetch(self, topic: &str, require_stable: bool) -> Request {
        Request::OffsetFetch { group: self.asks(topic), require_stable }
    }
    fn delete(self, topic: &str) -> Request {
        let partitions = vec![OffsetDeleteRequestPartition::default()];
        let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions);
        let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(self.group)));
        Request::OffsetDelete(request.with_topics(vec![topic]))
    }
}

/// What an answer to a commit says of the partition.
pub(super) fn said_to_commit(answer: &OffsetCommitResponse) -> Said {
    let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    Said::Error(codes.into_iter().next().unwrap_or(NONE))
}
/// What an answer about a group's offsets says of the partition.
pub(super) fn said_to_fetch(answer: &OffsetFetchResponseGroup) -> Said {
    if answer.error_code != NONE {
        return Said::Error(answer.error_code);
    }
    let offsets = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|found| found.committed_offset);
    Said::Offset(offsets.into_iter().next().unwrap_or(NO_OFFSET))
}

/// What is said to this question among all that is said.
fn said<'e>(ask: AskId, effects: impl IntoIterator<Item = &'e Effects>) -> Said {
    let answers = effects.into_iter().flat_map(|effects| &effects.answers);
    match answers.into_iter().find(|(of, _)| *of == ask).map(|(_, answer)| answer) {
        Some(Response::OffsetCommit(answer)) => said_to_commit(answer),
        Some(Response::OffsetFetch(answer)) => said_to_fetch(answer),
        Some(Response::OffsetDelete(answer)) if answer.error_code != NONE => Said::Error(answer.error_code),
        Some(Response::OffsetDelete(answer)) => {
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
            Said::Error(codes.into_iter().next().unwrap_or(NONE))
        }
        Some(Response::Heartbeat(answer)) => Said::Error(answer.error_code),
        _ => Said::Nothing,
    }
}

pub(super) fn judge(what: &str, said: Said, due: Said, speaker: &mut Speaker<'_>) {
    let heard = speaker.notes.len();
    speaker.says(Word::GroupAnswer, None, said.to_string(), due.to_string());
    name_what_was_asked(what, heard, speaker);
}

/// Asks, and has what is to be written committed.
fn settled(copy: &mut Copy<'_>, version: i16, request: Request) -> Said {
    let (ask, handled) = copy.hand_in(version, request);
    let appended = copy.append(&handled);
    let committed = copy.commit();
    said(ask, [&handled, &appended, &committed])
}

pub(super) fn of_error(error: ResponseError) -> Said {
    Said::Error(error.code())
}

/// A group that only has offsets.
pub(super) fn of_nobody(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let who = Who::of_nobody(stage.group);
    while_it_is_written(stage, who, speaker);
    while_it_loads(stage, who, speaker);
    when_it_is_old(stage, who, speaker);
}

/// Who reads sees what is committed, or waits for what is written.
fn while_it_is_written(stage: &Stage<'_>, who: Who<'_>, speaker: &mut Speaker<'_>) {
    let mut copy = stage.copy();
    let (commit, handled) = copy.hand_in(COMMIT, who.commit(UNREAD, 7, -1));
    let appended = copy.append(&handled);
    judge("to commit, before that is committed", said(commit, [&handled, &appended]), Said::Nothing, speaker);
    let (reads, read) = copy.hand_in(FETCH, who.fetch(UNREAD, false));
    judge("for an offset that is being written", said(reads, [&read]), Said::Offset(NO_OFFSET), speaker);
    let (waits, waiting) = copy.hand_in(FETCH, who.fetch(UNREAD, true));
    judge("for a stable offset while it is being written", said(waits, [&waiting]), Said::Nothing, speaker);
    let committed = copy.commit();
    judge("to commit, when that is committed", said(commit, [&committed]), Said::Error(NONE), speaker);
    judge("for a stable offset when it is committed", said(waits, [&committed]), Said::Offset(7), speaker);

    let mut copy = stage.copy();
    let (commit, handled) = copy.hand_in(COMMIT, who.commit(UNREAD, 7, -1));
    let failed = copy.fail_to_append();
    let is_refused = !matches!(said(commit, [&handled, &failed]), Said::Nothing | Said::Error(NONE));
    let heard = speaker.notes.len();
    speaker.says(Word::GroupAnswer, None, format!("an error: {is_refused}"), "an error: true".to_string());
    name_what_was_asked("to commit what cannot be written", heard, speaker);
    // What is left of it would come to light with the next one.
    settled(&mut copy, COMMIT, who.commit("another", 8, -1));
    let found = settled(&mut copy, FETCH, who.fetch(UNREAD, true));
    judge("for an offset that could not be written", found, Said::Offset(NO_OFFSET), speaker);

    let mut copy = stage.copy();
    let (commit, handled) = copy.hand_in(COMMIT, who.commit(UNREAD, 7, -1));
    copy.append(&handled);
    let patience = copy.config().offset_commit_timeout_ms;
    let mut fired = Vec::new();
    while let Some(effects) = copy.pass_uncommitted(if fired.is_empty() { patience } else { 0 }) {
        copy.append(&effects);
        fired.push(effects);
    }
    let due = of_error(ResponseError::CoordinatorNotAvailable);
    judge("to commit what is never committed", said(commit, &fired), due, speaker);
}

/// Nobody is served meanwhile, and heartbeats pass.
fn while_it_loads(stage: &Stage<'_>, who: Who<'_>, speaker: &mut Speaker<'_>) {
    let mut copy = stage.copy();
    copy.load_anew();
    let (ask, handled) = copy.hand_in(COMMIT, who.commit(UNREAD, 7, -1));
    let due = of_error(ResponseError::CoordinatorLoadInProgress);
    judge("to commit while it loads", said(ask, [&handled]), due, speaker);
    let beat = Request::Heartbeat(Of(who.group).heartbeat(NOBODY, None, 1));
    let (ask, handled) = copy.hand_in(HEARTBEAT, beat);
    judge("by a heartbeat while it loads", said(ask, [&handled]), Said::Error(NONE), speaker);
}

fn keeps_shortly(config: &mut GroupConfig) {
    config.offsets_retention_ms = RETENTION_MS;
}

/// An offset ends when the client said, or else after the retention; and a group ends with its offsets.
fn when_it_is_old(stage: &Stage<'_>, who: Who<'_>, speaker: &mut Speaker<'_>) {
    let mut copy = stage.copy_with(keeps_shortly);
    settled(&mut copy, WITH_RETENTION, who.commit(UNREAD, 7, 3 * RETENTION_MS));
    settled(&mut copy, COMMIT, who.commit("another", 8, -1));
    for (after, own, other) in
        [(RETENTION_MS / 2, 7, 8), (RETENTION_MS, 7, NO_OFFSET), (2 * RETENTION_MS, NO_OFFSET, NO_OFFSET)]
    {
        copy.look_for_expired(after);
        let found = settled(&mut copy, FETCH, who.fetch(UNREAD, false));
        judge("for an offset with a retention of its own", found, Said::Offset(own), speaker);
        let found = settled(&mut copy, FETCH, who.fetch("another", false));
        judge("for an offset without one", found, Said::Offset(other), speaker);
    }
    let heard = speaker.notes.len();
    let words = |is_there: bool| format!("a group: {is_there}");
    speaker.says(Word::MemberStep, None, words(copy.group().is_some()), words(false));
    name_what_was_asked("of a group whose offsets are gone", heard, speaker);
}

/// A group of the classic protocol with members.
pub(super) fn of_members(stage: &Stage<'_>, group: &ClassicGroup, speaker: &mut Speaker<'_>) {
    let Some(member) = group.members().keys().next() else { return };
    if group.protocol_type() != Some("consumer") || group.state() != ClassicState::Stable {
        return;
    }
    let who = Who { group: stage.group, member, generation: group.generation() };
    // What is committed before, at the same instant, in each play.
    let begun = |topic: &str| {
        let mut copy = stage.copy_with(keeps_shortly);
        let is_there = settled(&mut copy, COMMIT, who.commit(topic, 7, -1)) == Said::Error(NONE);
        is_there.then_some(copy)
    };
    let mut is_kept = |copy: &mut Copy<'_>, what: &str, topic: &str, is_kept: bool| {
        let found = settled(copy, FETCH, who.fetch(topic, false));
        judge(what, found, Said::Offset(if is_kept { 7 } else { NO_OFFSET }), speaker);
    };
    let Some(mut copy) = begun(UNREAD) else { return };
    copy.look_for_expired(RETENTION_MS);
    is_kept(&mut copy, "for an old offset of a topic that nobody reads", UNREAD, !group.knows_its_topics());

    // What counts is when it was committed, and not since when the group is as it is.
    let mut copy = stage.copy_with(keeps_shortly);
    copy.wait(RETENTION_MS / 2);
    if settled(&mut copy, COMMIT, who.commit(UNREAD, 7, -1)) == Said::Error(NONE) {
        copy.look_for_expired(RETENTION_MS * 3 / 4);
        is_kept(&mut copy, "for an offset that is younger than the group", UNREAD, true);
    }

    // In a rebalance nobody knows who reads what.
    if let Some(mut copy) = begun(UNREAD) {
        copy.someone_comes(stage, group);
        if copy.classic().is_some_and(|group| group.state() == ClassicState::PreparingRebalance) {
            copy.look_for_expired(RETENTION_MS);
            is_kept(&mut copy, "for an old offset of a group that rebalances", UNREAD, true);
        }
    }

    // When all have gone, that is when it begins to be old.
    if let Some(mut copy) = begun(UNREAD) {
        copy.wait(RETENTION_MS / 2);
        copy.all_go(group);
        if copy.classic().is_some_and(|group| group.state() == ClassicState::Empty) {
            copy.look_for_expired(RETENTION_MS * 3 / 4);
            is_kept(&mut copy, "for an old offset of a group that is empty", UNREAD, true);
            copy.look_for_expired(RETENTION_MS / 4);
            is_kept(&mut copy, "for an old offset of a group that has long been empty", UNREAD, false);
        }
    }

    if let Some(topic) = stage.copy().subscribed_topic()
        && let Some(mut copy) = begun(&topic)
    {
        copy.look_for_expired(RETENTION_MS);
        is_kept(&mut copy, "for an old offset of a topic that is read", &topic, true);
        let found = settled(&mut copy, DELETE, who.delete(&topic));
        judge("to delete what its members read", found, of_error(ResponseError::GroupSubscribedToTopic), speaker);
    }
}

impl Copy<'_> {
    /// A new member comes, which nobody waits for.
    fn someone_comes(&mut self, stage: &Stage<'_>, group: &ClassicGroup) {
        let request = classic_questions::join_of_a_stranger(stage, group);
        settled(self, OLD_JOIN, Request::JoinGroup(request));
    }
    fn all_go(&mut self, group: &ClassicGroup) {
        let name = self.name().to_string();
        for member in group.members().keys() {
            settled(self, LEAVE, Request::LeaveGroup(Of(&name).leave(member)));
        }
    }
}
