//! Lies put into the mouth of a coordinator, and deeds that its rules do not allow: each is heard, and the truth is not.

use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetCommitResponse, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::broker::GroupQuestion;
use trial_kafka::event::Event;
use trial_kafka::group::api::Request;
use trial_kafka::group::config::GroupConfig;
use trial_kafka::group::coordinator::Group;
use trial_kafka::node::{Nanos, ReqId};

use super::Speaker;
use super::group_answers::{self, DueOfGroup};
use super::group_lives::{self, Lives, Sign};
use crate::scenario;
use crate::trace::NodeIx;
use crate::world::{Note, Unwatched, World};

/// Two members of the classic protocol, which are in their group and stay there.
const SCENARIO: &str = r#"
format = 1
run = "20s"
[cluster]
brokers = 1
controllers = 1
offsets.topic.num.partitions = 1
offsets.topic.replication.factor = 1
group.initial.rebalance.delay.ms = "0ms"
[[topic]]
name = "orders"
partitions = 2
replication.factor = 1
[[producer]]
rate = 10
acks = "all"
[[consumer]]
count = 2
group.id = "readers"
partition.assignment.strategy = "RangeAssignor"
"#;

const NOW: Nanos = 15_000_000_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

struct Stage {
    world: World,
    coordinator: NodeIx,
    member: String,
    generation: i32,
    config: GroupConfig,
}

impl Stage {
    fn new() -> Stage {
        let scenario = Arc::new(scenario::parse("tiny.toml", SCENARIO, &[]).unwrap_or_else(|e| panic!("{e}")));
        let mut world = World::with_faults(scenario, 1, Vec::new());
        world.run_until(NOW, &mut Unwatched);
        let Some(Group::Classic(group)) = world.broker(1).and_then(|broker| broker.coordinated_now("readers")) else {
            panic!("the group is there")
        };
        assert_eq!((group.state().name(), group.members().len()), ("Stable", 2));
        let (member, generation) = (group.leader().expect("it has one").to_string(), group.generation());
        let coordinator = world.node_named("b1").expect("it is there");
        world.notes.clear();
        Stage { world, coordinator, member, generation, config: GroupConfig::default() }
    }
    fn due(&self, api_version: i16, request: &Request) -> DueOfGroup {
        let group = self.world.broker(1).and_then(|broker| broker.coordinated_now("readers"));
        let question = GroupQuestion { req: ReqId(7), api_version, request, group, config: &self.config };
        match group_answers::to_question(&question, NOW) {
            Some((ReqId(7), due)) => due,
            other => panic!("{other:?}"),
        }
    }
    fn words(&mut self, act: impl FnOnce(&mut Speaker<'_>)) -> Vec<Word> {
        let World { slots, notes, .. } = &mut self.world;
        act(&mut Speaker { node: self.coordinator, slot: &slots[self.coordinator.0 as usize], notes });
        let word = |note| match note {
            Note::Said(said) => said.word,
            other => panic!("{other:?} is no word"),
        };
        notes.drain(..).map(word).collect()
    }
    fn answers(&mut self, api_version: i16, request: Request, response: impl Into<ResponseKind>) -> Vec<Word> {
        let (due, response) = (self.due(api_version, &request), response.into());
        self.words(|speaker| group_answers::judge_group(&due, &response, speaker))
    }
    fn heartbeat(&mut self, member: &str, generation: i32, code: i16) -> Vec<Word> {
        let request = HeartbeatRequest::default().with_group_id(GroupId(text("readers")));
        let request = request.with_member_id(text(member)).with_generation_id(generation);
        self.answers(4, Request::Heartbeat(request), HeartbeatResponse::default().with_error_code(code))
    }
    fn commit(&mut self, member: &str, generation: i32, code: i16) -> Vec<Word> {
        let of = OffsetCommitRequestTopic::default().with_partitions(vec![OffsetCommitRequestPartition::default()]);
        let request = OffsetCommitRequest::default().with_group_id(GroupId(text("readers"))).with_topics(vec![of]);
        let request = request.with_member_id(text(member)).with_generation_id_or_member_epoch(generation);
        let answer = OffsetCommitResponsePartition::default().with_error_code(code);
        let of = OffsetCommitResponseTopic::default().with_partitions(vec![answer]);
        self.answers(8, Request::OffsetCommit(request), OffsetCommitResponse::default().with_topics(vec![of]))
    }
}

#[test]
fn a_member_and_its_generation_are_those_of_the_group() {
    let mut stage = Stage::new();
    let (member, generation) = (stage.member.clone(), stage.generation);
    assert_eq!(stage.heartbeat(&member, generation, 0), []);
    assert_eq!(stage.heartbeat(&member, generation, 22), [Word::GroupAnswer]);
    assert_eq!(stage.heartbeat(&member, generation - 1, 22), []); // ILLEGAL_GENERATION
    assert_eq!(stage.heartbeat(&member, generation - 1, 0), [Word::GroupAnswer]);
    assert_eq!(stage.heartbeat("nobody", generation, 25), []); // UNKNOWN_MEMBER_ID
    assert_eq!(stage.heartbeat("nobody", generation, 0), [Word::GroupAnswer]);
    // Trouble with the log comes in place of anything else.
    assert_eq!(stage.heartbeat(&member, generation - 1, 16), []); // NOT_COORDINATOR
}

#[test]
fn a_group_with_members_hears_of_offsets_only_from_them() {
    let mut stage = Stage::new();
    let (member, generation) = (stage.member.clone(), stage.generation);
    assert_eq!(stage.commit(&member, generation, 0), []);
    assert_eq!(stage.commit(&member, generation, 27), [Word::GroupAnswer]); // REBALANCE_IN_PROGRESS
    assert_eq!(stage.commit("", -1, 25), []);
    assert_eq!(stage.commit("", -1, 0), [Word::GroupAnswer]);
    assert_eq!(stage.commit(&member, generation + 1, 0), [Word::GroupAnswer]);
}

#[test]
fn a_new_member_is_given_an_id_first() {
    let mut stage = Stage::new();
    let Some(Group::Classic(group)) = stage.world.broker(1).and_then(|broker| broker.coordinated_now("readers")) else {
        panic!("the group is there")
    };
    let protocols = group.member(&stage.member).expect("it is a member").protocols();
    let protocols = protocols.iter().map(|(name, metadata)| {
        let protocol = kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol::default();
        protocol.with_name(text(name)).with_metadata(metadata.clone())
    });
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("readers")))
        .with_session_timeout_ms(45_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(protocols.collect());
    let answer = |code| JoinGroupResponse::default().with_error_code(code);
    assert_eq!(stage.answers(9, Request::JoinGroup(request.clone()), answer(79)), []); // MEMBER_ID_REQUIRED
    assert_eq!(stage.answers(9, Request::JoinGroup(request.clone()), answer(0)), [Word::GroupAnswer]);
    // Who leads and joins again wants another assignment: a group that stays as it is has not heard it.
    let again = request.with_member_id(text(&stage.member));
    let mut due = stage.due(9, &Request::JoinGroup(again));
    assert_eq!(stage.words(|speaker| group_answers::look_what_became(&mut due, speaker)), [Word::GroupRebalance]);
}

#[test]
fn who_leaves_makes_the_others_share_anew() {
    let mut stage = Stage::new();
    let leave = |member: &str| {
        let request = LeaveGroupRequest::default().with_group_id(GroupId(text("readers")));
        Request::LeaveGroup(request.with_member_id(text(member)))
    };
    let mut due = stage.due(2, &leave(&stage.member));
    assert_eq!(stage.words(|speaker| group_answers::look_what_became(&mut due, speaker)), [Word::GroupRebalance]);
}

#[test]
fn a_member_that_lives_is_not_removed_for_its_silence() {
    let mut stage = Stage::new();
    let (node, member) = (stage.coordinator, stage.member.clone());
    let request = HeartbeatRequest::default().with_group_id(GroupId(text("readers")));
    let request = Request::Heartbeat(request.with_member_id(text(&member)).with_generation_id(stage.generation));
    let due = stage.due(4, &request);
    let event = |why: &str| {
        let (group, member) = ("readers".to_string(), member.clone());
        Event::MemberRemoved { group, member, why: why.to_string() }
    };
    let silent = event("it was silent for its session timeout");
    let mut heard = |event: &Event, is_static: bool, after_ms: u64| {
        let mut lives = Lives::default();
        let sign = Sign { is_static, session_ms: 10_000, ..due.sign.clone().expect("it lives") };
        group_lives::note_life(&mut lives, node, &due.group, sign);
        let then = NOW + after_ms * 1_000_000;
        stage.words(|speaker| {
            group_lives::judge_removal(&mut lives, &Default::default(), event, then, speaker);
        })
    };
    assert_eq!(heard(&silent, false, 10_000), []);
    assert_eq!(heard(&silent, false, 9_000), [Word::MemberRemoval]);
    let late = event("it did not join in time");
    assert_eq!(heard(&late, false, 9_000), []);
    assert_eq!(heard(&late, true, 9_000), [Word::MemberRemoval]);
}
