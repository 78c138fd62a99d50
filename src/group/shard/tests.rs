//! What is written, what is committed, and what neither was.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;

use super::*;
use crate::group::api::{group_id, text};
use crate::group::story::{GROUP, Story};
use crate::node::Now;
use crate::protocol::errors::code_name;

fn error_of(response: &Response) -> String {
    match response {
        Response::OffsetCommit(response) => code_name(response.topics[0].partitions[0].error_code),
        Response::OffsetFetch(group) => code_name(group.error_code),
        Response::Heartbeat(response) => code_name(response.error_code),
        other => panic!("{other:?}"),
    }
}
impl Story {
    fn commits(&mut self, offset: i64) -> AskId {
        let request = self.commit_request("", -1, &[("t", 0, offset)]);
        self.ask(9, Request::OffsetCommit(request))
    }
    fn error(&self, ask: AskId) -> Option<String> {
        self.answer(ask).as_ref().map(error_of)
    }
}

#[test]
fn an_answer_waits_for_the_high_watermark() {
    let mut story = Story::new();
    story.commits(5);
    story.followers_are_away = true;
    let first = story.commits(6);
    let second = story.commits(7);
    let stable = Request::OffsetFetch { group: story.fetch_request("t"), require_stable: true };
    let stable = story.ask(9, stable);
    assert_eq!(story.committed_offset("t"), 5, "readers see what is committed");
    assert_eq!([first, second, stable].map(|ask| story.answer(ask)), [None, None, None]);
    let cx = Context { now: story.now, metadata: &story.metadata };
    let effects = story.shard.committed(cx, 2);
    assert_eq!(effects.answers.iter().map(|(ask, _)| *ask).collect::<Vec<_>>(), [first]);
    assert_eq!(story.committed_offset("t"), 6);
    story.commit();
    assert_eq!(story.error(second).as_deref(), Some("NONE"));
    match story.answer(stable) {
        Some(Response::OffsetFetch(group)) => assert_eq!(group.topics[0].partitions[0].committed_offset, 7),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_that_fails_leaves_no_trace() {
    let cases = [
        (ResponseError::NotLeaderOrFollower, "NOT_COORDINATOR"),
        (ResponseError::KafkaStorageError, "NOT_COORDINATOR"),
        (ResponseError::NotEnoughReplicas, "COORDINATOR_NOT_AVAILABLE"),
        (ResponseError::MessageTooLarge, "UNKNOWN_SERVER_ERROR"),
        (ResponseError::InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH"),
    ];
    for (error, told) in cases {
        let mut story = Story::new();
        story.log_refuses = Some(error);
        let refused = story.commits(5);
        assert_eq!(story.error(refused).as_deref(), Some(told));
        assert_eq!(story.committed_offset("t"), -1);
        let Response::ListGroups(groups) = story.told(5, Request::ListGroups { states: vec![], types: vec![] }) else {
            panic!("it is ListGroups")
        };
        assert!(groups.is_empty(), "nor is there a group");
        story.log_refuses = None;
        story.commit_offset("", -1, "u", 6);
        assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (-1, 6));
    }
}

#[test]
fn what_was_written_before_a_failure_stays() {
    let mut story = Story::new();
    story.followers_are_away = true;
    let first = story.commits(5);
    story.log_refuses = Some(ResponseError::NotEnoughReplicas);
    story.commits(6);
    story.log_refuses = None;
    story.commit();
    assert_eq!((story.error(first).as_deref(), story.committed_offset("t")), (Some("NONE"), 5));
}

#[test]
fn a_write_that_is_not_committed_in_time() {
    let mut story = Story::new();
    story.followers_are_away = true;
    let asked = story.commits(5);
    let stable = Request::OffsetFetch { group: story.fetch_request("t"), require_stable: true };
    let fetched = story.ask(9, stable);
    story.pass(4_999);
    assert_eq!(story.error(asked), None);
    story.pass(1);
    assert_eq!(story.error(asked).as_deref(), Some("COORDINATOR_NOT_AVAILABLE"));
    assert_eq!(story.error(fetched).as_deref(), Some("NOT_COORDINATOR"));
    story.commit();
    assert_eq!(story.committed_offset("t"), 5, "it was in the log");
}

#[test]
fn a_coordinator_that_loads_and_one_that_has_gone() {
    let metadata = crate::metadata::MetadataImage::default();
    let now = Now { mono: 0, wall: 0 };
    let cx = Context { now, metadata: &metadata };
    let mut shard = Shard::new(GroupConfig::default(), Zoo::default());
    let ask = |shard: &mut Shard, number: u64, request: Request| {
        let (client_id, client_host) = (String::new(), String::new());
        let caller = Caller { ask: AskId(number), api_version: 4, client_id, client_host, fresh_id: uuid::Uuid::nil() };
        let effects = shard.handle(cx, &caller, request);
        effects.answers.first().map(|(_, response)| error_of(response))
    };
    let heartbeat =
        Request::Heartbeat(HeartbeatRequest::default().with_group_id(group_id(GROUP)).with_member_id(text("m")));
    let story = Story::new();
    let commit = Request::OffsetCommit(story.commit_request("", -1, &[("t", 0, 1)]));
    assert_eq!(ask(&mut shard, 1, commit.clone()).as_deref(), Some("COORDINATOR_LOAD_IN_PROGRESS"));
    assert_eq!(ask(&mut shard, 2, heartbeat.clone()).as_deref(), Some("NONE"), "its time has not begun");
    shard.loaded(cx, 0);
    assert_eq!(ask(&mut shard, 3, heartbeat).as_deref(), Some("UNKNOWN_MEMBER_ID"));
    shard.unload();
    assert_eq!(ask(&mut shard, 4, commit).as_deref(), Some("NOT_COORDINATOR"));
    assert_eq!(shard.next_deadline(), None);
}

#[test]
fn what_waits_is_sent_on_when_the_coordinator_goes() {
    let mut story = Story::new();
    story.followers_are_away = true;
    let asked = story.commits(5);
    story.fail_over();
    assert_eq!(story.error(asked).as_deref(), Some("NOT_COORDINATOR"), "though the next one has it");
    assert_eq!(story.committed_offset("t"), 5);
}

#[test]
fn with_partial_load_the_end_of_the_log_is_not_read() {
    for (zoo, offset) in [(Zoo::default(), 6), ([Switch::PartialLoad].into_iter().collect(), 5)] {
        let mut story = Story::with(GroupConfig::default(), zoo);
        story.commits(5);
        story.commits(6);
        story.fail_over();
        assert_eq!(story.committed_offset("t"), offset, "{zoo:?}");
    }
}
