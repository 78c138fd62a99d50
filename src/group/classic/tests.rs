//! Members join, agree, consume and go.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
};

use crate::group::api::{AskId, Request, Response, group_id, text};
use crate::group::config::GroupConfig;
use crate::group::records::Record;
use crate::group::story::{GROUP, Story, join_request, protocol};
use crate::protocol::errors::code_name;
use crate::zoo::{Switch, Zoo};

impl Story {
    fn join(&mut self, request: JoinGroupRequest) -> AskId {
        self.ask(9, Request::JoinGroup(request))
    }
    fn joined(&self, ask: AskId) -> Option<JoinGroupResponse> {
        match self.answer(ask)? {
            Response::JoinGroup(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }
    fn join_error(&mut self, request: JoinGroupRequest) -> String {
        let ask = self.join(request);
        self.joined(ask).map_or("waits".into(), |response| code_name(response.error_code))
    }
    /// A new dynamic member: it is given an id, and comes again with it.
    fn new_member(&mut self) -> (String, AskId) {
        let id = self.given_id();
        let ask = self.join(join_request(&id));
        (id, ask)
    }
    fn given_id(&mut self) -> String {
        let first = self.join(join_request(""));
        let response = self.joined(first).expect("an id is given at once");
        assert_eq!(code_name(response.error_code), "MEMBER_ID_REQUIRED");
        response.member_id.to_string()
    }
    fn sync_request(&self, member: &str, generation: i32, assignments: &[(&str, &'static str)]) -> SyncGroupRequest {
        let one = |(member, assignment): &(&str, &'static str)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::from_static(assignment.as_bytes()))
        };
        SyncGroupRequest::default()
            .with_group_id(group_id(GROUP))
            .with_member_id(text(member))
            .with_generation_id(generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.iter().map(one).collect())
    }
    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &'static str)]) -> AskId {
        let request = self.sync_request(member, generation, assignments);
        self.ask(5, Request::SyncGroup(request))
    }
    fn synced(&self, ask: AskId) -> Option<SyncGroupResponse> {
        match self.answer(ask)? {
            Response::SyncGroup(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }
    fn sync_error(&mut self, request: SyncGroupRequest) -> String {
        let ask = self.ask(5, Request::SyncGroup(request));
        self.synced(ask).map_or("waits".into(), |response| code_name(response.error_code))
    }
    fn heartbeat(&mut self, member: &str, generation: i32) -> String {
        self.heartbeat_as(member, None, generation)
    }
    fn heartbeat_as(&mut self, member: &str, instance: Option<&str>, generation: i32) -> String {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(GROUP))
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
            .with_generation_id(generation);
        match self.told(4, Request::Heartbeat(request)) {
            Response::Heartbeat(response) => code_name(response.error_code),
            other => panic!("{other:?}"),
        }
    }
    fn state(&mut self) -> String {
        match self.told(5, Request::DescribeGroups(vec![GROUP.into()])) {
            Response::DescribeGroups(groups) => groups[0].group_state.to_string(),
            other => panic!("{other:?}"),
        }
    }
    /// Two dynamic members that share, the leader first, in generation 1.
    fn two_members(&mut self) -> [String; 2] {
        let (leader, first) = self.new_member();
        let (follower, _) = self.new_member();
        self.pass(7_000);
        assert_eq!(self.joined(first).expect("the group has gone on").generation_id, 1);
        self.sync(&follower, 1, &[]);
        self.sync(&leader, 1, &[(&leader, "A"), (&follower, "B")]);
        assert_eq!(self.state(), "Stable");
        [leader, follower]
    }
    /// The static member "i", alone and leading, and what it was given.
    fn static_member(&mut self) -> String {
        let ask = self.join(join_request("").with_group_instance_id(Some(text("i"))));
        self.pass(7_000);
        let id = self.joined(ask).expect("the group has gone on").member_id.to_string();
        self.sync(&id, 1, &[(&id, "A")]);
        assert_eq!(self.state(), "Stable");
        id
    }
}

#[test]
fn two_members_join_and_share() {
    let mut story = Story::new();
    let leader = story.given_id();
    let first = &story.written_since(0)[..];
    assert!(
        matches!(first, [Record::ClassicGroup { value: Some(value), .. }] if value.generation == 0),
        "a coordinator that comes after knows of the group: {first:?}"
    );
    let led = story.join(join_request(&leader));
    let (follower, followed) = story.new_member();
    story.pass(2_999);
    assert_eq!((story.joined(led), story.joined(followed)), (None, None), "the first waits for others");
    story.pass(4_001);
    let (led, followed) = (story.joined(led).expect("joined"), story.joined(followed).expect("joined"));
    assert_eq!((led.generation_id, followed.generation_id), (1, 1));
    assert_eq!((led.leader.as_str(), followed.leader.as_str()), (&leader[..], &leader[..]));
    assert_eq!((led.members.len(), followed.members.len()), (2, 0), "the leader is told who is there");
    assert_eq!(led.protocol_name.as_deref(), Some("range"));
    assert_eq!(story.state(), "CompletingRebalance");

    story.followers_are_away = true;
    let follower_asks = story.sync(&follower, 1, &[]);
    assert_eq!(story.synced(follower_asks), None, "the leader has not assigned yet");
    let leader_asks = story.sync(&leader, 1, &[(&follower, "B")]);
    assert_eq!(story.synced(leader_asks), None, "the assignment is not committed yet");
    story.commit();
    assert_eq!(&story.synced(follower_asks).expect("synced").assignment[..], b"B");
    assert_eq!(&story.synced(leader_asks).expect("synced").assignment[..], b"", "the leader has left itself out");
    assert_eq!((story.state().as_str(), story.heartbeat(&leader, 1).as_str()), ("Stable", "NONE"));
}

#[test]
fn each_new_member_prolongs_the_first_wait() {
    let mut story = Story::new();
    let (_, first) = story.new_member();
    story.pass(2_900);
    story.new_member();
    story.pass(2_000);
    story.new_member();
    story.pass(2_000);
    assert_eq!(story.joined(first), None, "three seconds, three for the second, and one that is left for the third");
    story.pass(100);
    assert_eq!(story.joined(first).expect("7 s are the rebalance timeout").members.len(), 3);
}

#[test]
fn each_refusal_of_a_join_has_its_error() {
    let mut story = Story::new();
    assert_eq!(story.join_error(join_request("nobody")), "UNKNOWN_MEMBER_ID", "there is no such group");
    let [leader, follower] = story.two_members();
    let cases: [(&str, JoinGroupRequest); 7] = [
        ("INVALID_GROUP_ID", join_request("").with_group_id(group_id(""))),
        ("INVALID_SESSION_TIMEOUT", join_request("").with_session_timeout_ms(5_999)),
        ("INVALID_SESSION_TIMEOUT", join_request("").with_session_timeout_ms(1_800_001)),
        ("INCONSISTENT_GROUP_PROTOCOL", join_request("").with_protocol_type(text("connect"))),
        ("INCONSISTENT_GROUP_PROTOCOL", join_request(&leader).with_protocols(vec![protocol("sticky", &["t"])])),
        ("UNKNOWN_MEMBER_ID", join_request("nobody")),
        ("UNKNOWN_MEMBER_ID", join_request(&follower).with_group_instance_id(Some(text("nobody")))),
    ];
    for (error, request) in cases {
        assert_eq!(story.join_error(request.clone()), error, "{request:?}");
    }
    assert_eq!(story.state(), "Stable", "nobody was disturbed");
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut story = Story::with(GroupConfig { max_size: 2, ..GroupConfig::default() }, Zoo::default());
    let [leader, _] = story.two_members();
    assert_eq!(story.join_error(join_request("")), "GROUP_MAX_SIZE_REACHED");
    assert_eq!(story.join_error(join_request(&leader)), "waits", "who has a place keeps it");
}

#[test]
fn a_leader_joins_again_for_a_rebalance() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let again = story.join(join_request(&follower));
    assert_eq!(story.joined(again).expect("it says the same as before").generation_id, 1);
    let led = story.join(join_request(&leader));
    assert_eq!(story.joined(led), None);
    assert_eq!(story.heartbeat(&follower, 1), "REBALANCE_IN_PROGRESS");
    let followed = story.join(join_request(&follower));
    let generations = [led, followed].map(|ask| story.joined(ask).map(|response| response.generation_id));
    assert_eq!(generations, [Some(2), Some(2)], "all are there: nobody waits");
    // A member that has missed its answer is told again.
    let missed = story.join(join_request(&leader));
    assert_eq!(story.joined(missed).expect("at once").members.len(), 2);
    // What it says now is not what the others were told of.
    let changed = join_request(&follower).with_protocols(vec![protocol("range", &["u"])]);
    assert_eq!(story.join_error(changed), "waits");
    assert_eq!(story.state(), "PreparingRebalance");
}

#[test]
fn a_question_that_is_asked_again_waits_in_place_of_the_first() {
    let mut story = Story::new();
    let (leader, first) = story.new_member();
    let second = story.join(join_request(&leader));
    assert_eq!(story.abandoned, [first]);
    story.pass(7_000);
    assert_eq!((story.joined(first), story.joined(second).map(|r| r.generation_id)), (None, Some(1)));
}

#[test]
fn a_rebalance_waits_for_who_was_given_an_id() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let third = story.given_id();
    let led = story.join(join_request(&leader));
    story.join(join_request(&follower));
    assert_eq!(story.joined(led), None, "somebody is about to come");
    story.join(join_request(&third));
    assert_eq!(story.joined(led).expect("all are there").members.len(), 3);
}

#[test]
fn a_static_leader_that_is_away() {
    let mut story = Story::new();
    let away = story.join(join_request("").with_group_instance_id(Some(text("i"))));
    let (first, _) = story.new_member();
    let (second, _) = story.new_member();
    story.pass(7_000);
    let away = story.joined(away).expect("joined").member_id.to_string();
    for member in [&first, &second] {
        story.sync(member, 1, &[]);
    }
    story.sync(&away, 1, &[]);
    let again = story.join(join_request(&first).with_protocols(vec![protocol("range", &["u"])]));
    story.pass(6_999);
    assert_eq!(story.joined(again), None, "two are waited for");
    story.pass(1);
    let response = story.joined(again).expect("the rebalance timeout is over");
    assert_eq!(response.leader.as_str(), first, "who leads has joined");
    let mut members: Vec<&str> = response.members.iter().map(|member| member.member_id.as_str()).collect();
    members.sort_unstable();
    assert_eq!(members, [&first[..], &away[..]], "the static member has its session timeout to come back");
    assert_eq!(story.heartbeat(&second, 1), "UNKNOWN_MEMBER_ID");
}

#[test]
fn each_refusal_of_a_sync_has_its_error() {
    let mut story = Story::new();
    let unknown_group = story.sync_request("nobody", 1, &[]);
    assert_eq!(story.sync_error(unknown_group), "UNKNOWN_MEMBER_ID");
    let [leader, follower] = story.two_members();
    let request = story.sync_request(&follower, 1, &[]);
    let cases: [(&str, SyncGroupRequest); 7] = [
        ("INVALID_GROUP_ID", request.clone().with_group_id(group_id(""))),
        ("UNKNOWN_MEMBER_ID", request.clone().with_member_id(text("nobody"))),
        ("UNKNOWN_MEMBER_ID", request.clone().with_group_instance_id(Some(text("nobody")))),
        ("ILLEGAL_GENERATION", request.clone().with_generation_id(0)),
        ("INCONSISTENT_GROUP_PROTOCOL", request.clone().with_protocol_type(Some(text("connect")))),
        ("INCONSISTENT_GROUP_PROTOCOL", request.clone().with_protocol_name(Some(text("sticky")))),
        ("NONE", request.clone().with_protocol_name(None)),
    ];
    for (error, request) in cases {
        assert_eq!(story.sync_error(request.clone()), error, "{request:?}");
    }
    story.join(join_request(&leader));
    assert_eq!(story.sync_error(request), "REBALANCE_IN_PROGRESS");
}

#[test]
fn an_assignment_that_comes_too_late() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let changed = || vec![protocol("range", &["u"])];
    story.join(join_request(&leader));
    story.join(join_request(&follower));
    story.followers_are_away = true;
    let late = story.sync(&leader, 2, &[(&follower, "late")]);
    story.join(join_request(&follower).with_protocols(changed()));
    assert_eq!(code_name(story.synced(late).expect("the group goes on").error_code), "REBALANCE_IN_PROGRESS");
    story.join(join_request(&leader));
    let waits = story.sync(&follower, 3, &[]);
    story.commit();
    assert_eq!(story.synced(waits), None, "the assignment is that of generation 2");
    story.sync(&leader, 3, &[(&follower, "new")]);
    story.commit();
    assert_eq!(&story.synced(waits).expect("synced").assignment[..], b"new");
}

#[test]
fn an_assignment_that_cannot_be_written() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    story.join(join_request(&leader));
    story.join(join_request(&follower));
    let waits = story.sync(&follower, 2, &[]);
    story.log_refuses = Some(ResponseError::NotEnoughReplicas);
    let asked = story.sync(&leader, 2, &[(&follower, "B")]);
    let errors = [waits, asked].map(|ask| story.synced(ask).map(|response| code_name(response.error_code)));
    assert_eq!(errors, [Some("COORDINATOR_NOT_AVAILABLE".into()), Some("COORDINATOR_NOT_AVAILABLE".into())]);
    assert_eq!(story.state(), "PreparingRebalance", "the group tries again");
}

#[test]
fn who_does_not_sync_is_removed() {
    let mut story = Story::new();
    let (leader, _) = story.new_member();
    let (follower, _) = story.new_member();
    story.pass(6_000);
    story.sync(&leader, 1, &[(&leader, "A"), (&follower, "B")]);
    assert_eq!(story.state(), "Stable");
    story.pass(6_999);
    assert_eq!(story.heartbeat(&follower, 1), "NONE");
    story.pass(1);
    assert_eq!(story.heartbeat(&follower, 1), "UNKNOWN_MEMBER_ID");
    assert_eq!(story.heartbeat(&leader, 1), "REBALANCE_IN_PROGRESS");
}

#[test]
fn each_refusal_of_a_heartbeat_has_its_error() {
    let mut story = Story::new();
    assert_eq!(story.heartbeat("nobody", 1), "UNKNOWN_MEMBER_ID", "there is no such group");
    let [leader, follower] = story.two_members();
    assert_eq!(story.heartbeat("nobody", 1), "UNKNOWN_MEMBER_ID");
    assert_eq!(story.heartbeat_as(&follower, Some("nobody"), 1), "UNKNOWN_MEMBER_ID");
    assert_eq!(story.heartbeat(&follower, 0), "ILLEGAL_GENERATION");
    assert_eq!(story.heartbeat(&follower, 1), "NONE");
    story.join(join_request(&leader));
    assert_eq!(story.heartbeat(&follower, 1), "REBALANCE_IN_PROGRESS");
}

#[test]
fn who_waits_does_not_expire() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let patient = |member: &str| join_request(member).with_rebalance_timeout_ms(60_000);
    let waits = story.join(patient(&leader));
    for _ in 0..3 {
        story.pass(10_000);
        assert_eq!(story.heartbeat(&follower, 1), "REBALANCE_IN_PROGRESS");
    }
    assert_eq!(story.joined(waits), None, "30 s, of which the session timeout is 20");
    story.join(patient(&follower));
    assert_eq!(story.joined(waits).expect("all are there").members.len(), 2);
}

#[test]
fn a_member_leaves_and_one_is_silent() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let leave = |member: &str, instance: Option<&str>| {
        MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(instance.map(text))
    };
    let members = vec![leave(&follower, None), leave("nobody", None), leave("", Some("i")), leave("", None)];
    let request = LeaveGroupRequest::default().with_group_id(group_id(GROUP)).with_members(members);
    let Response::LeaveGroup(left) = story.told(5, Request::LeaveGroup(request)) else { panic!("it is LeaveGroup") };
    let errors: Vec<String> = left.members.iter().map(|member| code_name(member.error_code)).collect();
    assert_eq!(errors, ["NONE", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID", "UNKNOWN_MEMBER_ID"]);
    assert_eq!(story.heartbeat(&leader, 1), "REBALANCE_IN_PROGRESS");
    let alone = story.join(join_request(&leader));
    assert_eq!(story.joined(alone).expect("nobody else is waited for").generation_id, 2);
    story.sync(&leader, 2, &[]);
    let end = story.end();
    story.pass(20_000);
    assert_eq!(story.state(), "Empty");
    let written = story.written_since(end);
    let [Record::ClassicGroup { value: Some(value), .. }] = &written[..] else { panic!("{written:?}") };
    assert_eq!((value.generation, value.members.len()), (3, 0));
    let old = LeaveGroupRequest::default().with_group_id(group_id(GROUP)).with_member_id(text(&leader));
    let Response::LeaveGroup(left) = story.told(1, Request::LeaveGroup(old)) else { panic!("it is LeaveGroup") };
    assert_eq!(code_name(left.error_code), "UNKNOWN_MEMBER_ID", "before version 3 the answer is about the one member");
}

#[test]
fn who_may_commit() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let cases = [
        ("NONE", follower.as_str(), 1),
        ("ILLEGAL_GENERATION", follower.as_str(), 0),
        ("ILLEGAL_GENERATION", follower.as_str(), -1),
        ("UNKNOWN_MEMBER_ID", "nobody", 1),
        ("UNKNOWN_MEMBER_ID", "", -1),
    ];
    for (error, member, generation) in cases {
        assert_eq!(story.commit_offset(member, generation, "t", 5), error, "{member} in generation {generation}");
    }
    story.join(join_request(&leader));
    assert_eq!(story.commit_offset(&follower, 1, "t", 6), "NONE", "the group prepares: what was done still counts");
    story.join(join_request(&follower));
    assert_eq!(story.commit_offset(&follower, 2, "t", 7), "REBALANCE_IN_PROGRESS", "the leader assigns");
    assert_eq!(story.committed_offset("t"), 6);
}

#[test]
fn with_commit_unfenced_a_zombie_commits() {
    let mut story = Story::with(GroupConfig::default(), [Switch::CommitUnfenced].into_iter().collect());
    story.two_members();
    assert_eq!(story.commit_offset("zombie", 0, "t", 5), "NONE");
    assert_eq!(story.committed_offset("t"), 5);
}

#[test]
fn a_static_member_is_bounced() {
    let mut story = Story::new();
    let old = story.static_member();
    let (second, _) = story.new_member();
    story.join(join_request(&old).with_group_instance_id(Some(text("i"))));
    story.sync(&second, 2, &[]);
    story.sync(&old, 2, &[(&second, "B"), (&old, "A")]);
    assert_eq!(story.state(), "Stable");

    let end = story.end();
    let ask = story.join(join_request("").with_group_instance_id(Some(text("i"))));
    let response = story.joined(ask).expect("nobody is waited for");
    assert_eq!((code_name(response.error_code).as_str(), response.generation_id), ("NONE", 2));
    let new = response.member_id.to_string();
    assert_ne!(new, old);
    let written = story.written_since(end);
    let [Record::ClassicGroup { value: Some(value), .. }] = &written[..] else { panic!("{written:?}") };
    assert!(value.members.iter().any(|member| member.member_id == new), "the new id is written");
    assert_eq!((story.state().as_str(), story.heartbeat(&second, 2).as_str()), ("Stable", "NONE"));
    assert_eq!(story.heartbeat_as(&new, Some("i"), 2), "NONE");
    assert_eq!(story.heartbeat_as(&old, Some("i"), 2), "FENCED_INSTANCE_ID");
    let kept = story.sync(&new, 2, &[]);
    assert_eq!(&story.synced(kept).expect("synced").assignment[..], b"A", "it has what it had");

    story.log_refuses = Some(ResponseError::NotLeaderOrFollower);
    let refused = story.join(join_request("").with_group_instance_id(Some(text("i"))));
    assert_eq!(code_name(story.joined(refused).expect("refused").error_code), "NOT_COORDINATOR");
    story.log_refuses = None;
    assert_eq!(story.heartbeat_as(&new, Some("i"), 2), "NONE", "the write failed: nothing has changed");
}

#[test]
fn a_static_leader_is_bounced() {
    let mut story = Story::new();
    let old = story.static_member();
    let ask = story.join(join_request("").with_group_instance_id(Some(text("i"))));
    let response = story.joined(ask).expect("nobody is waited for");
    assert!(response.skip_assignment, "it leads, and is told not to assign");
    assert_eq!((response.leader.clone(), response.members.len()), (response.member_id.clone(), 1));
    let older = Request::JoinGroup(join_request("").with_group_instance_id(Some(text("i"))));
    let ask = story.ask(8, older);
    let last = story.joined(ask).expect("nobody is waited for");
    assert_eq!(
        (last.skip_assignment, &last.leader),
        (false, &response.member_id),
        "an older client does not think it leads"
    );
    assert_ne!(old, last.member_id.as_str());
}

#[test]
fn with_static_rejoin_not_persisted_the_next_coordinator_fences_the_living() {
    for (zoo, heartbeat) in
        [(Zoo::default(), "NONE"), ([Switch::StaticRejoinNotPersisted].into_iter().collect(), "FENCED_INSTANCE_ID")]
    {
        let mut story = Story::with(GroupConfig::default(), zoo);
        story.static_member();
        let ask = story.join(join_request("").with_group_instance_id(Some(text("i"))));
        let alive = story.joined(ask).expect("nobody is waited for").member_id.to_string();
        assert_eq!(story.heartbeat_as(&alive, Some("i"), 1), "NONE");
        story.fail_over();
        assert_eq!(story.heartbeat_as(&alive, Some("i"), 1), heartbeat, "{zoo:?}");
    }
}

#[test]
fn a_coordinator_that_comes_after_knows_the_group() {
    let mut story = Story::new();
    let [leader, follower] = story.two_members();
    let waits = story.join(join_request(&leader));
    story.fail_over();
    assert_eq!(code_name(story.joined(waits).expect("it is sent on").error_code), "NOT_COORDINATOR");
    assert_eq!(story.state(), "Stable", "a generation that was not complete never was");
    let kept = story.sync(&follower, 1, &[]);
    assert_eq!(&story.synced(kept).expect("synced").assignment[..], b"B");
    story.pass(19_999);
    assert_eq!(story.heartbeat(&leader, 1), "NONE");
    story.pass(1);
    assert_eq!(story.heartbeat(&follower, 1), "UNKNOWN_MEMBER_ID", "its session is over");
    assert_eq!(story.heartbeat(&leader, 1), "REBALANCE_IN_PROGRESS");
}
