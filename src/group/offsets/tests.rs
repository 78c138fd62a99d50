//! How far a group has come, and for how long that is remembered.

use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{JoinGroupRequest, OffsetDeleteRequest, TopicName};

use crate::group::api::{AskId, Request, Response, group_id, text};
use crate::group::config::GroupConfig;
use crate::group::records::Record;
use crate::group::story::{GROUP, Story, join_request, protocol};
use crate::protocol::errors::code_name;
use crate::zoo::{Switch, Zoo};

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// A member that is alone in its group, in generation 1 or later, subscribed to "t".
fn join(story: &mut Story, request: JoinGroupRequest) -> (String, i32) {
    let ask: AskId = story.ask(3, Request::JoinGroup(request));
    story.pass(7_000);
    match story.answer(ask) {
        Some(Response::JoinGroup(response)) => (response.member_id.to_string(), response.generation_id),
        other => panic!("{other:?}"),
    }
}
fn consuming(config: GroupConfig, zoo: Zoo) -> (Story, String) {
    let mut story = Story::with(config, zoo);
    let (member, generation) = join(&mut story, join_request("").with_session_timeout_ms(1_800_000));
    assert_eq!(generation, 1);
    sync(&mut story, &member, 1);
    (story, member)
}
fn sync(story: &mut Story, member: &str, generation: i32) {
    let request = kafka_protocol::messages::SyncGroupRequest::default()
        .with_group_id(group_id(GROUP))
        .with_member_id(text(member))
        .with_generation_id(generation);
    story.told(5, Request::SyncGroup(request));
}
fn groups(story: &mut Story) -> Vec<String> {
    match story.told(5, Request::ListGroups { states: Vec::new(), types: Vec::new() }) {
        Response::ListGroups(groups) => groups.iter().map(|g| format!("{} {}", *g.group_id, g.group_state)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_that_only_has_offsets() {
    let mut story = Story::new();
    assert_eq!(story.committed_offset("t"), -1, "nobody has heard of the group, which is no error");
    assert_eq!(story.commit_offset("m", 1, "t", 5), "GROUP_ID_NOT_FOUND");
    let old = story.commit_request("m", 1, &[("t", 0, 5)]);
    assert_eq!(story.commit_error(8, old), "ILLEGAL_GENERATION");
    assert_eq!(story.commit_offset("", -1, "t", 5), "NONE");
    assert_eq!(story.commit_offset("", -1, "u", 6), "NONE");
    assert_eq!((story.committed_offset("t"), story.committed_offset("u"), story.committed_offset("v")), (5, 6, -1));
    assert_eq!(groups(&mut story), ["g Empty"]);

    let all = story.fetch_request("t").with_topics(None);
    let Response::OffsetFetch(all) = story.told(9, Request::OffsetFetch { group: all, require_stable: false }) else {
        panic!("it is OffsetFetch")
    };
    let all: Vec<_> = all.topics.iter().map(|t| (t.name.as_str(), t.partitions[0].committed_offset)).collect();
    assert_eq!(all, [("t", 5), ("u", 6)]);

    story.fail_over();
    assert_eq!((story.committed_offset("t"), groups(&mut story)), (5, vec!["g Empty".to_string()]));
}

#[test]
fn a_member_that_commits_lives() {
    let mut story = Story::new();
    let (member, _) = join(&mut story, join_request(""));
    sync(&mut story, &member, 1);
    for offset in 0..3 {
        story.pass(15_000);
        assert_eq!(story.commit_offset(&member, 1, "t", offset), "NONE", "45 s, of which the session timeout is 20");
    }
    story.pass(20_000);
    assert_eq!(story.commit_offset(&member, 1, "t", 3), "UNKNOWN_MEMBER_ID");
}

#[test]
fn metadata_has_a_limit() {
    let mut story = Story::with(GroupConfig { offset_metadata_max_bytes: 3, ..GroupConfig::default() }, Zoo::default());
    let mut request = story.commit_request("", -1, &[("t", 0, 5), ("u", 0, 6)]);
    request.topics[0].partitions[0].committed_metadata = Some(text("four"));
    request.topics[1].partitions[0].committed_metadata = Some(text("tre"));
    assert_eq!(story.commit_error(9, request), "OFFSET_METADATA_TOO_LARGE");
    assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (-1, 6), "the other is committed");
}

#[test]
fn metadata_comes_back_with_the_offset_also_from_the_next_coordinator() {
    let note = |story: &mut Story| {
        let group = story.fetch_request("t");
        match story.told(9, Request::OffsetFetch { group, require_stable: false }) {
            Response::OffsetFetch(group) => group.topics[0].partitions[0].metadata.as_deref().map(str::to_string),
            other => panic!("{other:?}"),
        }
    };
    let mut story = Story::new();
    assert_eq!(note(&mut story).as_deref(), Some(""), "nothing is committed");
    let mut request = story.commit_request("", -1, &[("t", 0, 5)]);
    request.topics[0].partitions[0].committed_metadata = Some(text("batch 7, half done"));
    assert_eq!(story.commit_error(9, request), "NONE");
    assert_eq!(note(&mut story).as_deref(), Some("batch 7, half done"));
    story.fail_over();
    assert_eq!(note(&mut story).as_deref(), Some("batch 7, half done"));
    let mut request = story.commit_request("", -1, &[("t", 0, 6)]);
    request.topics[0].partitions[0].committed_metadata = None;
    assert_eq!(story.commit_error(9, request), "NONE");
    assert_eq!(note(&mut story).as_deref(), Some(""), "each commit has its own, or none");
}

fn delete(story: &mut Story, topic: &str) -> (String, Vec<String>) {
    let partition = OffsetDeleteRequestPartition::default();
    let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default().with_group_id(group_id(GROUP)).with_topics(vec![topic]);
    match story.told(0, Request::OffsetDelete(request)) {
        Response::OffsetDelete(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            (code_name(response.error_code), partitions.map(|partition| code_name(partition.error_code)).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_deleted_unless_they_are_in_use() {
    let mut story = Story::new();
    assert_eq!(delete(&mut story, "t"), ("GROUP_ID_NOT_FOUND".into(), vec![]));
    let (mut story, member) = consuming(GroupConfig::default(), Zoo::default());
    story.commit_offset(&member, 1, "t", 5);
    story.commit_offset(&member, 1, "u", 6);
    assert_eq!(delete(&mut story, "t"), ("NONE".into(), vec!["GROUP_SUBSCRIBED_TO_TOPIC".into()]));
    assert_eq!(delete(&mut story, "u"), ("NONE".into(), vec!["NONE".into()]));
    assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (5, -1));
    let end = story.end();
    assert_eq!(delete(&mut story, "u"), ("NONE".into(), vec!["NONE".into()]));
    assert!(story.written_since(end).is_empty(), "what is not there is not deleted");

    let mut story = Story::new();
    let connect = join_request("").with_protocol_type(text("connect"));
    join(&mut story, connect);
    assert_eq!(delete(&mut story, "t").0, "NON_EMPTY_GROUP", "nobody knows what others than consumers read");
}

#[test]
fn a_topic_that_is_gone_takes_its_offsets_along() {
    let mut story = Story::new();
    story.commit_offset("", -1, "t", 5);
    story.commit_offset("", -1, "u", 6);
    story.delete_topic("t");
    assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (-1, 6));
}

fn delete_group(story: &mut Story, group: &str) -> String {
    match story.told(2, Request::DeleteGroups(vec![group.into()])) {
        Response::DeleteGroups(groups) => code_name(groups[0].error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_is_deleted_with_its_offsets() {
    let (mut story, member) = consuming(GroupConfig::default(), Zoo::default());
    story.commit_offset(&member, 1, "t", 5);
    assert_eq!(delete_group(&mut story, "nobody"), "GROUP_ID_NOT_FOUND");
    assert_eq!(delete_group(&mut story, GROUP), "NON_EMPTY_GROUP");
    story.pass(1_800_000);
    let end = story.end();
    assert_eq!(delete_group(&mut story, GROUP), "NONE");
    assert!(story.written_since(end).iter().all(Record::is_tombstone));
    assert_eq!((story.committed_offset("t"), groups(&mut story)), (-1, vec![]));
    story.fail_over();
    assert_eq!((story.committed_offset("t"), groups(&mut story)), (-1, vec![]));
}

#[test]
fn what_expires_and_what_does_not() {
    // A group without members: by the commit.
    let mut story = Story::new();
    story.commit_offset("", -1, "t", 5);
    story.pass(6 * DAY);
    story.commit_offset("", -1, "u", 6);
    let mut own = story.commit_request("", -1, &[("v", 0, 7)]);
    own.retention_time_ms = 30 * DAY;
    assert_eq!(story.commit_error(4, own), "NONE");
    story.pass(DAY + 600_000);
    assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (-1, 6));
    story.pass(6 * DAY);
    assert_eq!((story.committed_offset("u"), story.committed_offset("v")), (-1, 7), "it has said how long");
    story.pass(24 * DAY);
    assert_eq!((story.committed_offset("v"), groups(&mut story)), (-1, vec![]), "nothing is left of the group");

    // A group that consumes: what it consumes does not expire, what it has dropped does, from its commit.
    let config = GroupConfig { max_session_timeout_ms: i32::MAX, ..GroupConfig::default() };
    let mut story = Story::with(config, Zoo::default());
    let patient = |topic: &str| {
        let request = join_request("").with_session_timeout_ms(i32::MAX).with_rebalance_timeout_ms(1_700_000_000);
        request.with_protocols(vec![protocol("range", &[topic])])
    };
    let (member, _) = join(&mut story, patient("t"));
    sync(&mut story, &member, 1);
    story.commit_offset(&member, 1, "t", 5);
    story.commit_offset(&member, 1, "u", 6);
    story.pass(8 * DAY);
    assert_eq!((story.committed_offset("t"), story.committed_offset("u")), (5, -1));
    // While it rebalances nobody knows what it consumes.
    story.commit_offset(&member, 1, "u", 7);
    story.ask(3, Request::JoinGroup(patient("u")));
    story.pass(8 * DAY);
    assert_eq!(story.committed_offset("u"), 7);
    // A group that was left: from when it was left, when the rebalance had waited long enough.
    story.pass(12 * DAY);
    assert_eq!(groups(&mut story), ["g Empty"]);
    assert_eq!(story.committed_offset("t"), 5, "older than any retention, but until now in use");
    story.pass(7 * DAY);
    assert_eq!((story.committed_offset("t"), groups(&mut story)), (-1, vec![]));
}

#[test]
fn with_expire_active_offsets_a_living_group_forgets() {
    for (zoo, offset) in [(Zoo::default(), 5), ([Switch::ExpireActiveOffsets].into_iter().collect(), -1)] {
        let config = GroupConfig { offsets_retention_ms: 60_000, ..GroupConfig::default() };
        let (mut story, member) = consuming(GroupConfig { offsets_retention_check_interval_ms: 5_000, ..config }, zoo);
        story.commit_offset(&member, 1, "t", 5);
        story.pass(70_000);
        assert_eq!(story.committed_offset("t"), offset, "{zoo:?}");
    }
}
