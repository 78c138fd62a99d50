//! What is asked of the copy of a coordinator about a group of the classic protocol, and what nobody in a run asks.
//!
//! Sources: `GroupMetadataManager.classicGroupJoin`, `validateSyncGroup`, `ClassicGroup.validateMember`,
//! `validateOffsetCommit`, KIP-345, KIP-389, KIP-394.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use trial_kafka::group::api::Request;
use trial_kafka::group::classic::{ClassicGroup, ClassicState};

use super::Speaker;
use super::group_rehearsal::{Copy, Stage};

pub(super) const JOIN: i16 = 9;
pub(super) const SYNC: i16 = 5;
pub(super) const HEARTBEAT: i16 = 4;
pub(super) const LEAVE: i16 = 5;
pub(super) const DELETE: i16 = 2;
/// Of clients that know nothing of the consumer protocol, and of those that do.
pub(super) const OLD_COMMIT: i16 = 8;
pub(super) const COMMIT: i16 = 9;

/// Neither the id of a member nor of an instance.
pub(super) const NOBODY: &str = "nobody";
/// A static member that comes to a copy.
pub(super) const INSTANCE: &str = "of the rehearsal";
pub(super) const REBALANCE_TIMEOUT_MS: i32 = 60_000;

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// Requests about one group.
#[derive(Clone, Copy)]
pub(super) struct Of<'a>(pub(super) &'a str);

impl Of<'_> {
    fn id(self) -> GroupId {
        GroupId(text(self.0))
    }
    pub(super) fn heartbeat(self, member: &str, instance: Option<&str>, generation: i32) -> HeartbeatRequest {
        let request = HeartbeatRequest::default().with_group_id(self.id()).with_generation_id(generation);
        request.with_member_id(text(member)).with_group_instance_id(instance.map(text))
    }
    fn sync(self, member: &str, instance: Option<&str>, generation: i32) -> SyncGroupRequest {
        let request = SyncGroupRequest::default().with_group_id(self.id()).with_generation_id(generation);
        request.with_member_id(text(member)).with_group_instance_id(instance.map(text))
    }
    pub(super) fn commit(self, member: &str, instance: Option<&str>, generation: i32) -> OffsetCommitRequest {
        let partition =
            OffsetCommitRequestPartition::default().with_committed_offset(1).with_committed_leader_epoch(-1);
        let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text("rehearsal")));
        let request = OffsetCommitRequest::default().with_group_id(self.id()).with_member_id(text(member));
        let request = request.with_group_instance_id(instance.map(text)).with_retention_time_ms(-1);
        let topics = vec![topic.with_partitions(vec![partition])];
        request.with_generation_id_or_member_epoch(generation).with_topics(topics)
    }
    pub(super) fn leave(self, member: &str) -> LeaveGroupRequest {
        let member = MemberIdentity::default().with_member_id(text(member));
        LeaveGroupRequest::default().with_group_id(self.id()).with_members(vec![member])
    }
    pub(super) fn join(
        self,
        member: &str,
        instance: Option<&str>,
        protocol_type: &str,
        session_ms: i32,
    ) -> JoinGroupRequest {
        JoinGroupRequest::default()
            .with_group_id(self.id())
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
            .with_protocol_type(text(protocol_type))
            .with_session_timeout_ms(session_ms)
            .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
    }
    pub(super) fn deletion(self) -> Request {
        Request::DeleteGroups(vec![self.0.to_string()])
    }
}

/// Who speaks: a member of the group, or somebody who could be one.
struct Voice<'a> {
    of: Of<'a>,
    protocol_type: String,
    protocols: Vec<JoinGroupRequestProtocol>,
    session_ms: i32,
}

impl<'a> Voice<'a> {
    fn new(stage: &Stage<'a>, group: Option<&ClassicGroup>, member: Option<&str>) -> Voice<'a> {
        let one = |name: &str, metadata: &Bytes| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata.clone())
        };
        let member = member.and_then(|member| group?.member(member));
        let protocols = member.map(|member| member.protocols().iter().map(|(name, data)| one(name, data)).collect());
        let config = stage.shard.config();
        Voice {
            of: Of(stage.group),
            protocol_type: group.and_then(ClassicGroup::protocol_type).unwrap_or("consumer").to_string(),
            protocols: protocols.unwrap_or_else(|| vec![one("range", &Bytes::new())]),
            session_ms: member.map_or(config.min_session_timeout_ms, |member| member.session_timeout_ms()),
        }
    }
    fn join(&self, member: &str, instance: Option<&str>) -> JoinGroupRequest {
        let request = self.of.join(member, instance, &self.protocol_type, self.session_ms);
        request.with_protocols(self.protocols.clone())
    }
}

/// Somebody who could be a member of this group wants to be one.
pub(super) fn join_of_a_stranger(stage: &Stage<'_>, group: &ClassicGroup) -> JoinGroupRequest {
    Voice::new(stage, Some(group), group.leader()).join("", None)
}

/// About a group of which nobody has heard.
pub(super) fn of_nobody(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let (voice, mut copy) = (Voice::new(stage, None, None), stage.copy());
    let of = voice.of;
    copy.ask("by a member of no group", HEARTBEAT, of.heartbeat(NOBODY, None, 1), speaker);
    copy.ask("for a share by a member of no group", SYNC, of.sync(NOBODY, None, 1), speaker);
    copy.ask("to join by a member of no group", JOIN, voice.join(NOBODY, None), speaker);
    copy.ask("to commit for a generation of no group", COMMIT, of.commit(NOBODY, None, 3), speaker);
    copy.ask("to commit for a generation of no group", OLD_COMMIT, of.commit(NOBODY, None, 3), speaker);
    copy.ask("for an id", JOIN, voice.join("", None), speaker);
}

/// About a group.
pub(super) fn rehearse(stage: &Stage<'_>, group: &ClassicGroup, speaker: &mut Speaker<'_>) {
    let leader = group.leader().filter(|leader| group.member(leader).is_some());
    let member = leader.or(group.members().keys().next().map(String::as_str));
    let voice = Voice::new(stage, Some(group), member);
    by_strangers(stage, &voice, group, speaker);
    if let Some(member) = member {
        by_members(stage, &voice, group, member, speaker);
    }
    for member in group.members().keys().filter(|_| group.state() == ClassicState::Stable).take(3) {
        let what = if leader == Some(member) { "by its leader, which joins again" } else { "by one that joins again" };
        let voice = Voice::new(stage, Some(group), Some(member));
        stage.copy().ask(what, JOIN, voice.join(member, None), speaker);
        stage.copy().ask("to let a member go", LEAVE, voice.of.leave(member), speaker);
    }
    if let Ok(members @ 1..) = i32::try_from(group.members().len()) {
        let mut full = stage.copy_with(|config| config.max_size = members);
        full.ask("for an id in a full group", JOIN, voice.join("", None), speaker);
    }
    by_an_earlier_instance(stage, &voice, speaker);
}

fn by_strangers(stage: &Stage<'_>, voice: &Voice<'_>, group: &ClassicGroup, speaker: &mut Speaker<'_>) {
    let (of, generation) = (voice.of, group.generation());
    let mut copy = stage.copy();
    copy.ask("by a stranger", HEARTBEAT, of.heartbeat(NOBODY, None, generation), speaker);
    copy.ask("for a share by a stranger", SYNC, of.sync(NOBODY, None, generation), speaker);
    copy.ask("to join by a stranger", JOIN, voice.join(NOBODY, None), speaker);
    copy.ask(
        "by an instance that it does not know",
        HEARTBEAT,
        of.heartbeat(NOBODY, Some(NOBODY), generation),
        speaker,
    );
    copy.ask("to commit by a stranger", COMMIT, of.commit(NOBODY, None, generation), speaker);
    copy.ask("to commit by somebody without an id", COMMIT, of.commit("", None, -1), speaker);
    let (least, most) = (copy.config().min_session_timeout_ms, copy.config().max_session_timeout_ms);
    let impatient = voice.join("", None).with_session_timeout_ms(least - 1);
    copy.ask("to join by one that may hardly be silent", JOIN, impatient, speaker);
    if let Some(too_long) = most.checked_add(1) {
        let patient = voice.join("", None).with_session_timeout_ms(too_long);
        copy.ask("to join by one that may be silent for long", JOIN, patient, speaker);
    }
    if !group.is_empty() {
        let other = of.join("", None, "something else", voice.session_ms).with_protocols(voice.protocols.clone());
        copy.ask("to join by one of another protocol", JOIN, other, speaker);
        let error = ResponseError::NonEmptyGroup;
        stage.copy().ask_in_vain("to delete the group", DELETE, of.deletion(), error, speaker);
    }
    copy.ask("for an id", JOIN, voice.join("", None), speaker);
}

fn by_members(stage: &Stage<'_>, voice: &Voice<'_>, group: &ClassicGroup, member: &str, speaker: &mut Speaker<'_>) {
    let (of, generation) = (voice.of, group.generation());
    let mut copy = stage.copy();
    // First: what the coordinator was about to write is committed with the answer, and the group may go on with that.
    copy.ask("to commit by a member", COMMIT, of.commit(member, None, generation), speaker);
    for other in [generation - 1, generation + 1] {
        copy.ask("by a member of another generation", HEARTBEAT, of.heartbeat(member, None, other), speaker);
        copy.ask("for a share of another generation", SYNC, of.sync(member, None, other), speaker);
        // A generation below 0 is none, and with it a stranger's.
        if other >= 0 {
            copy.ask("to commit for another generation", COMMIT, of.commit(member, None, other), speaker);
        }
    }
    let other = of.sync(member, None, generation).with_protocol_name(Some(text("something else")));
    copy.ask("for a share by another protocol", SYNC, other, speaker);
    copy.ask("by a member", HEARTBEAT, of.heartbeat(member, None, generation), speaker);
    if group.state() == ClassicState::Stable {
        let mut long = of.commit(member, None, generation);
        let most = usize::try_from(copy.config().offset_metadata_max_bytes).unwrap_or(0);
        for partition in long.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.committed_metadata = Some(text(&"x".repeat(most + 1)));
        }
        copy.ask_in_vain("to commit a novel", COMMIT, long, ResponseError::OffsetMetadataTooLarge, speaker);
    }
}

/// A static member comes, and then who had its instance before, or never had it.
fn by_an_earlier_instance(stage: &Stage<'_>, voice: &Voice<'_>, speaker: &mut Speaker<'_>) {
    let (of, mut copy) = (voice.of, stage.copy());
    copy.ask("to join by a static member", JOIN, voice.join("", Some(INSTANCE)), speaker);
    let joined = |copy: &Copy<'_>| {
        let group = copy.classic()?;
        let is_it = |instance: Option<&str>| instance == Some(INSTANCE);
        let found = group.members().iter().find(|(_, member)| is_it(member.instance()));
        found.map(|(id, _)| (id.clone(), group.generation()))
    };
    let Some((member, generation)) = joined(&copy) else { return };
    let what = "by who is not that instance any more";
    copy.ask(what, HEARTBEAT, of.heartbeat(NOBODY, Some(INSTANCE), generation), speaker);
    copy.ask(what, SYNC, of.sync(NOBODY, Some(INSTANCE), generation), speaker);
    copy.ask(what, JOIN, voice.join(NOBODY, Some(INSTANCE)), speaker);
    copy.ask(what, COMMIT, of.commit(NOBODY, Some(INSTANCE), generation), speaker);
    copy.ask("by that instance", HEARTBEAT, of.heartbeat(&member, Some(INSTANCE), generation), speaker);
}
