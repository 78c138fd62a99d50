//! Members come to what they are to have, each in its own time.

use std::collections::BTreeSet;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicName};
use uuid::Uuid;

use super::partition_epochs::flat;
use super::reconcile::Reconciliation;
use super::*;
use crate::group::api::{Request, Response, group_id, text};
use crate::group::config::GroupConfig;
use crate::group::story::{GROUP, Story, join_request};
use crate::metadata::MetadataRecord;
use crate::protocol::errors::code_name;
use crate::zoo::{Switch, Zoo};

/// Says that it lives, and nothing else.
fn lives(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group_id(GROUP))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}
fn names(topics: &[&str]) -> Option<Vec<TopicName>> {
    Some(topics.iter().map(|topic| TopicName(text(topic))).collect())
}
fn joins(member: &str) -> ConsumerGroupHeartbeatRequest {
    lives(member, 0)
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(names(&["t"]))
        .with_topic_partitions(Some(Vec::new()))
}
fn owns(topic_id: Uuid, partitions: &[i32]) -> Option<Vec<TopicPartitions>> {
    Some(vec![TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions.to_vec())])
}

impl Story {
    fn beat(&mut self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        match self.told(1, Request::ConsumerGroupHeartbeat(request)) {
            Response::ConsumerGroupHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }
    fn beat_error(&mut self, request: ConsumerGroupHeartbeatRequest) -> String {
        code_name(self.beat(request).error_code)
    }
    /// Epoch and partitions of topic "t", `None` if the answer does not tell.
    fn beats(&mut self, request: ConsumerGroupHeartbeatRequest) -> (i32, Option<Vec<i32>>) {
        let response = self.beat(request);
        assert_eq!(code_name(response.error_code), "NONE");
        let told = |assignment: kafka_protocol::messages::consumer_group_heartbeat_response::Assignment| {
            assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
        };
        (response.member_epoch, response.assignment.map(told))
    }
    fn state_and_epochs(&mut self) -> (String, i32, i32) {
        match self.told(1, Request::ConsumerGroupDescribe(vec![GROUP.into()])) {
            Response::ConsumerGroupDescribe(groups) => {
                (groups[0].group_state.to_string(), groups[0].group_epoch, groups[0].assignment_epoch)
            }
            other => panic!("{other:?}"),
        }
    }
    /// A group in which "a" has both partitions of "t".
    fn alone() -> (Story, Uuid) {
        Story::alone_with(GroupConfig::default(), Zoo::default())
    }
    fn alone_with(config: GroupConfig, zoo: Zoo) -> (Story, Uuid) {
        let mut story = Story::with(config, zoo);
        let topic = story.topic("t", 2);
        assert_eq!(story.beats(joins("a")), (1, Some(vec![0, 1])));
        (story, topic)
    }
    /// The same, and "b" has come: "a" is to give one partition back.
    fn joined_by_another(zoo: Zoo) -> (Story, Uuid, i32) {
        let (mut story, topic) = Story::alone_with(GroupConfig::default(), zoo);
        story.beats(joins("b"));
        let (epoch, kept) = story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[0, 1])));
        assert_eq!(epoch, 1, "it stays in its epoch until it has given back");
        let kept = kept.expect("it is told what to keep");
        assert_eq!(kept.len(), 1);
        (story, topic, kept[0])
    }
    /// Who has which partitions, by what is known of them.
    fn owners(&mut self) -> Vec<(String, (Uuid, i32))> {
        let group = self.group();
        let all = group.members.values().flat_map(|member| {
            let has = flat(&member.assigned).chain(flat(&member.pending_revocation));
            has.map(|partition| (member.id.clone(), partition)).collect::<Vec<_>>()
        });
        all.collect()
    }
    fn group(&mut self) -> ConsumerGroup {
        self.shard.consumer_group(GROUP).expect("it is there").clone()
    }
}

#[test]
fn a_member_joins_and_has_everything() {
    let (mut story, topic) = Story::alone();
    assert_eq!(story.state_and_epochs(), ("Stable".into(), 1, 1));
    assert_eq!(story.beats(lives("a", 1)), (1, None), "it knows");
    let full = joins("a").with_member_epoch(1).with_topic_partitions(owns(topic, &[0, 1]));
    assert_eq!(story.beats(full), (1, Some(vec![0, 1])), "who says everything is told everything");
    let end = story.end();
    story.beats(lives("a", 1));
    assert!(story.written_since(end).is_empty(), "nothing has changed");

    // Before KIP-1082 a member is given its id.
    let request = Request::ConsumerGroupHeartbeat(joins(""));
    let Response::ConsumerGroupHeartbeat(given) = story.told(0, request) else { panic!("it is a heartbeat") };
    assert_eq!(given.member_id.expect("an id").len(), 22);
}

#[test]
fn a_request_that_cannot_be_meant() {
    let (mut story, topic) = Story::alone();
    let cases = [
        joins("b").with_group_id(group_id(" ")),
        joins("b").with_instance_id(Some(text(""))),
        joins("b").with_rack_id(Some(text(" "))),
        joins(""),
        joins("b").with_rebalance_timeout_ms(-1),
        joins("b").with_topic_partitions(None),
        joins("b").with_topic_partitions(owns(topic, &[0])),
        joins("b").with_subscribed_topic_names(None),
        lives("", 1),
        lives("", LEAVE),
        lives("a", LEAVE_STATIC),
        lives("a", -3),
    ];
    for request in cases {
        assert_eq!(story.beat_error(request.clone()), "INVALID_REQUEST", "{request:?}");
    }
    assert_eq!(story.beat_error(joins("b").with_server_assignor(Some(text("best")))), "UNSUPPORTED_ASSIGNOR");
    assert_eq!(story.beat_error(lives("b", 1)), "UNKNOWN_MEMBER_ID");
    assert_eq!(story.beat_error(lives("b", LEAVE)), "UNKNOWN_MEMBER_ID");
    assert_eq!(story.beat_error(lives("b", 1).with_instance_id(Some(text("i")))), "UNKNOWN_MEMBER_ID");
    let other = lives("a", 1).with_group_id(group_id("other"));
    assert_eq!(story.beat_error(other.clone()), "GROUP_ID_NOT_FOUND");
    assert_eq!(story.beat_error(other.with_member_epoch(LEAVE)), "GROUP_ID_NOT_FOUND");
}

#[test]
fn a_full_group_takes_nobody_else() {
    let config = GroupConfig { consumer_max_size: 1, ..GroupConfig::default() };
    let (mut story, _) = Story::alone_with(config, Zoo::default());
    assert_eq!(story.beat_error(joins("b")), "GROUP_MAX_SIZE_REACHED");
    assert_eq!(story.beats(lives("a", 1)), (1, None), "who is in it stays");
}

#[test]
fn a_second_member_gets_what_the_first_gives_back() {
    let (mut story, topic, kept) = Story::joined_by_another(Zoo::default());
    let given = 1 - kept;
    assert_eq!(story.beats(lives("b", 2)), (2, None), "nothing is free, and it is in the epoch of its target");
    assert_eq!(story.state_and_epochs(), ("Reconciling".into(), 2, 2));
    assert_eq!(story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[0, 1]))), (1, None), "it still has both");
    assert_eq!(story.beats(lives("a", 1)), (1, None), "who says nothing has what it had");
    assert_eq!(story.beats(lives("b", 2)), (2, None));
    assert_eq!(story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[kept]))), (2, None), "it has given back");
    assert_eq!(story.beats(lives("b", 2)), (2, Some(vec![given])));
    assert_eq!(story.state_and_epochs(), ("Stable".into(), 2, 2));
}

#[test]
fn a_member_in_another_epoch_is_fenced() {
    let (mut story, topic, kept) = Story::joined_by_another(Zoo::default());
    let given_back = || lives("a", 1).with_topic_partitions(owns(topic, &[kept]));
    assert_eq!(story.beats(given_back()).0, 2);
    assert_eq!(story.beats(given_back()), (2, None), "the answer was lost");
    let more = lives("a", 1).with_topic_partitions(owns(topic, &[0, 1]));
    assert_eq!(story.beat_error(more), "FENCED_MEMBER_EPOCH", "it has more than it was given");
    assert_eq!(story.beat_error(lives("a", 1)), "FENCED_MEMBER_EPOCH", "it does not say what it has");
    assert_eq!(story.beat_error(lives("a", 3)), "FENCED_MEMBER_EPOCH");
}

#[test]
fn a_fenced_member_begins_anew() {
    // It still was to give back a partition: having nothing, it has.
    let (mut story, _, kept) = Story::joined_by_another(Zoo::default());
    assert_eq!(story.beat_error(lives("a", 3)), "FENCED_MEMBER_EPOCH");
    assert_eq!(story.beats(joins("a")), (2, Some(vec![kept])));
    // It stands where it is to stand: it is told so.
    assert_eq!(story.beats(joins("a")), (2, Some(vec![kept])));
    // It waits for a partition that another has not given back yet.
    let (mut story, ..) = Story::joined_by_another(Zoo::default());
    story.beats(lives("b", 2));
    assert_eq!(story.beats(joins("b")), (2, Some(vec![])));
}

#[test]
fn with_fenced_member_stays_out_one_that_begins_anew_is_fenced_until_its_session_is_over() {
    let (mut story, ..) = Story::joined_by_another([Switch::FencedMemberStaysOut].into_iter().collect());
    assert_eq!(story.beat_error(joins("a")), "FENCED_MEMBER_EPOCH");
    assert_eq!(story.beat_error(joins("a")), "FENCED_MEMBER_EPOCH");
}

#[test]
fn with_accept_old_member_epoch_a_zombie_keeps_what_it_has() {
    let (mut story, topic, kept) = Story::joined_by_another([Switch::AcceptOldMemberEpoch].into_iter().collect());
    story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[kept])));
    assert_eq!(story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[0, 1]))), (2, None));
}

#[test]
fn with_assign_before_revoke_ack_a_partition_has_two_owners() {
    for (zoo, owners) in [(Zoo::default(), 2), ([Switch::AssignBeforeRevokeAck].into_iter().collect(), 3)] {
        let (mut story, ..) = Story::joined_by_another(zoo);
        story.beats(lives("b", 2));
        assert_eq!(story.owners().len(), owners, "{zoo:?}");
    }
}

#[test]
fn with_kip848_epoch_bookkeeping_a_partition_that_comes_back_is_taken_for_free() {
    let topic = Uuid::from_u128(7);
    for (zoo, is_held) in [(Zoo::default(), true), ([Switch::Kip848EpochBookkeeping].into_iter().collect(), false)] {
        let both = ConsumerMember {
            epoch: 1,
            assigned: [(topic, [0].into())].into(),
            pending_revocation: [(topic, [1].into())].into(),
            ..ConsumerMember::new("a")
        };
        let back = both.in_epoch(2, MemberState::Stable, [(topic, [0, 1].into())].into(), Partitions::new());
        let mut epochs = PartitionEpochs::default();
        epochs.update(None, Some(&both), zoo);
        epochs.update(Some(&both), Some(&back), zoo);
        assert_eq!(epochs.is_held(topic, 1), is_held, "{zoo:?}");
    }
}

#[test]
fn a_state_that_nobody_knows_is_left_with_nothing() {
    let unknown = ConsumerMember { epoch: 3, state: MemberState::Unknown(9), ..ConsumerMember::new("a") };
    let next = |owned: Option<&[TopicPartitions]>| {
        let (target, partition_epochs) = (Partitions::new(), PartitionEpochs::default());
        let (target, partition_epochs) = (&target, &partition_epochs);
        let zoo = Zoo::default();
        Reconciliation { member: &unknown, target_epoch: 5, target, partition_epochs, owned, zoo }.next()
    };
    assert_eq!(next(None), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(next(Some(&[])).map(|member| (member.epoch, member.state)), Ok((5, MemberState::Stable)));
}

#[test]
fn a_changed_subscription_makes_a_new_epoch() {
    let (mut story, topic) = Story::alone();
    story.topic("u", 1);
    let both =
        lives("a", 1).with_subscribed_topic_names(names(&["t", "u"])).with_topic_partitions(owns(topic, &[0, 1]));
    assert_eq!(story.beats(both), (2, Some(vec![0, 1, 0])));
    assert_eq!(story.state_and_epochs(), ("Stable".into(), 2, 2));
    let end = story.end();
    let assignor = lives("a", 2).with_server_assignor(Some(text("range")));
    assert_eq!(story.beats(assignor), (2, None), "another wish is noted");
    assert_eq!(story.written_since(end).len(), 1);
    // A subscription to what does not exist is one too.
    assert_eq!(story.beats(lives("a", 2).with_subscribed_topic_names(names(&["t", "u", "v"]))).0, 3);
}

#[test]
fn a_topic_grows() {
    let (mut story, _) = Story::alone();
    story.topic("t", 3);
    assert_eq!(story.beats(lives("a", 1)), (2, Some(vec![0, 1, 2])));
    story.topic("other", 1);
    assert_eq!(story.beats(lives("a", 2)), (2, None), "nobody consumes it");
}

#[test]
fn a_member_leaves() {
    let (mut story, topic, kept) = Story::joined_by_another(Zoo::default());
    story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[kept])));
    let response = story.beat(lives("a", LEAVE));
    assert_eq!((code_name(response.error_code).as_str(), response.member_epoch), ("NONE", LEAVE));
    assert_eq!(story.state_and_epochs(), ("Assigning".into(), 3, 2));
    assert_eq!(story.beats(lives("b", 2)), (3, Some(vec![0, 1])));
    story.beat(lives("b", LEAVE));
    assert_eq!(story.state_and_epochs(), ("Empty".into(), 4, 3));
    // An empty group gives way to members of the other protocol.
    let ask = story.ask(3, Request::JoinGroup(join_request("")));
    story.pass(7_000);
    assert!(matches!(story.answer(ask), Some(Response::JoinGroup(joined)) if joined.generation_id == 1));
    assert_eq!(story.beat_error(joins("c")), "GROUP_ID_NOT_FOUND", "which has members now");
}

#[test]
fn an_empty_group_of_the_classic_protocol_gives_way() {
    let mut story = Story::new();
    story.topic("t", 2);
    story.commit_offset("", -1, "t", 5);
    assert_eq!(story.beats(joins("a")), (1, Some(vec![0, 1])));
    assert_eq!(story.committed_offset("t"), 5, "its offsets stay");
    let Response::JoinGroup(refused) = story.told(9, Request::JoinGroup(join_request(""))) else {
        panic!("it is JoinGroup")
    };
    assert_eq!(code_name(refused.error_code), "INCONSISTENT_GROUP_PROTOCOL");
    story.fail_over();
    assert_eq!(story.beats(lives("a", 1)), (1, None));
}

#[test]
fn a_silent_member_is_removed() {
    let (mut story, _) = Story::alone();
    story.pass(44_999);
    assert_eq!(story.beats(lives("a", 1)), (1, None));
    story.pass(45_000);
    assert_eq!(story.state_and_epochs(), ("Empty".into(), 2, 1));
    assert_eq!(story.beat_error(lives("a", 1)), "UNKNOWN_MEMBER_ID");
}

#[test]
fn a_member_that_does_not_give_back_is_removed() {
    let (mut story, topic, _) = Story::joined_by_another(Zoo::default());
    for _ in 0..3 {
        story.pass(9_000);
        story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[0, 1])));
        story.beats(lives("b", 2));
    }
    story.pass(3_000);
    assert_eq!(story.beat_error(lives("a", 1)), "UNKNOWN_MEMBER_ID", "it had 30 s");
    assert_eq!(story.beats(lives("b", 2)), (3, Some(vec![0, 1])));
}

#[test]
fn a_coordinator_that_comes_after_knows_the_group() {
    let (mut story, topic, kept) = Story::joined_by_another(Zoo::default());
    story.fail_over();
    assert_eq!(story.state_and_epochs(), ("Reconciling".into(), 2, 2));
    assert_eq!(story.beats(lives("b", 2)), (2, None), "what is to be given back is held");
    assert_eq!(story.beats(lives("a", 1).with_topic_partitions(owns(topic, &[kept]))), (2, None));
    assert_eq!(story.beats(lives("b", 2)), (2, Some(vec![1 - kept])));
    story.fail_over();
    story.pass(45_000);
    assert_eq!(story.state_and_epochs().0, "Empty");
}

#[test]
fn a_static_member_is_bounced() {
    let mut story = Story::new();
    let topic = story.topic("t", 2);
    let instance = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(text("i")));
    assert_eq!(story.beats(instance(joins("a"))), (1, Some(vec![0, 1])));
    assert_eq!(story.beat_error(instance(joins("b"))), "UNRELEASED_INSTANCE_ID");
    assert_eq!(story.beat_error(instance(lives("b", 1))), "FENCED_INSTANCE_ID");
    assert_eq!(story.beat(instance(lives("a", LEAVE_STATIC))).member_epoch, LEAVE_STATIC);
    assert_eq!(story.beats(joins("other")).0, 2, "others come meanwhile");
    assert_eq!(story.owners().len(), 2, "and get nothing of what it has: {:?}", story.owners());
    let (epoch, partitions) = story.beats(instance(joins("b")));
    assert_eq!(epoch, 2, "nothing new is to be assigned for it");
    assert_eq!(partitions.map(|partitions| partitions.len()), Some(1));
    assert_eq!(story.beat_error(instance(lives("a", 1))), "FENCED_INSTANCE_ID");
    assert_eq!(story.beats(lives("other", 2)).1.map(|partitions| partitions.len()), Some(1));
    let _ = topic;
    assert_eq!(story.state_and_epochs(), ("Stable".into(), 2, 2));
}

#[test]
fn a_member_describes_its_topics() {
    let mut story = Story::new();
    story.topic("orders", 2);
    story.topic("other", 1);
    let describes = |member: &str, regex: &str| {
        joins(member).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(text(regex)))
    };
    for broken in ["(", "a)|(b", "*"] {
        assert_eq!(story.beat_error(describes("a", broken)), "INVALID_REGULAR_EXPRESSION", "{broken}");
    }
    assert_eq!(story.beats(describes("a", "or.*")), (1, Some(vec![])), "it is looked up later");
    story.pass(0);
    assert_eq!(story.beats(lives("a", 1)), (2, Some(vec![0, 1])), "orders, whose whole name it matches, and not other");
    // The next with the same expression need not wait.
    let (epoch, _) = story.beats(describes("b", "or.*"));
    assert_eq!(epoch, 3);
    // A topic that comes is found, but not more often than every ten seconds.
    story.topic("orphans", 1);
    story.beats(lives("b", 3));
    let epoch_then = story.state_and_epochs().1;
    story.pass(9_999);
    assert_eq!(story.state_and_epochs().1, epoch_then);
    story.pass(1);
    assert_eq!(story.state_and_epochs().1, epoch_then + 1);
    let resolved: BTreeSet<String> = story.group().expressions["or.*"].topics.clone();
    assert_eq!(resolved, ["orders".to_string(), "orphans".to_string()].into());
    story.beat(lives("a", LEAVE));
    story.beat(lives("b", LEAVE));
    assert!(story.group().expressions.is_empty(), "nobody asks for it any more");
}

#[test]
fn who_may_commit_and_fetch() {
    let (mut story, _) = Story::alone();
    let cases = [
        ("NONE", "a", 1),
        ("STALE_MEMBER_EPOCH", "a", 0),
        ("STALE_MEMBER_EPOCH", "a", 2),
        ("STALE_MEMBER_EPOCH", "a", -1),
        ("UNKNOWN_MEMBER_ID", "b", 1),
        ("UNKNOWN_MEMBER_ID", "", -1),
    ];
    for (error, member, epoch) in cases {
        assert_eq!(story.commit_offset(member, epoch, "t", 5), error, "{member} in epoch {epoch}");
    }
    let old = story.commit_request("a", 1, &[("t", 0, 6)]);
    assert_eq!(story.commit_error(8, old), "UNSUPPORTED_VERSION");
    let fetch = |story: &mut Story, member: Option<&str>, epoch: i32| {
        let group = story.fetch_request("t").with_member_id(member.map(text)).with_member_epoch(epoch);
        match story.told(9, Request::OffsetFetch { group, require_stable: false }) {
            Response::OffsetFetch(group) => code_name(group.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fetch(&mut story, None, -1), "NONE", "an administrator");
    assert_eq!(fetch(&mut story, Some("a"), 1), "NONE");
    assert_eq!(fetch(&mut story, Some("a"), 2), "STALE_MEMBER_EPOCH");
    assert_eq!(fetch(&mut story, Some("b"), 1), "UNKNOWN_MEMBER_ID");
    story.beat(lives("a", LEAVE));
    assert_eq!(story.commit_offset("", -1, "t", 7), "NONE", "nobody is in it");
}

/// The numbers were worked out apart from this code, with another implementation of XXH3.
#[test]
fn the_hash_sees_what_assigning_sees() {
    let mut story = Story::new();
    let hash = |story: &Story, topics: &[&str]| metadata_hash::metadata_hash(topics.iter().copied(), &story.metadata);
    assert_eq!(hash(&story, &["t"]), 0, "there is no such topic");
    story.topic("t", 2);
    let before = hash(&story, &["t"]);
    assert_eq!(before, -5_491_325_841_659_936_167);
    story.topic("u", 1);
    assert_eq!(hash(&story, &["t", "gone"]), before);
    for order in [["t", "u"], ["u", "t"]] {
        assert_eq!(hash(&story, &order), -249_030_967_843_525_323, "the order is that of the names");
    }
    let broker = MetadataRecord::RegisterBroker {
        broker: 1,
        incarnation: Uuid::nil(),
        broker_epoch: 1,
        host: "h".into(),
        port: 1,
        rack: Some("r1".into()),
        fenced: false,
        in_controlled_shutdown: false,
    };
    story.metadata.apply(story.metadata.next_offset, &broker);
    assert_eq!(hash(&story, &["t"]), -2_528_702_844_206_074_707, "its partitions stand in a rack");
    story.topic("t", 3);
    assert_ne!(hash(&story, &["t"]), before);
}
