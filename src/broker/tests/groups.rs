//! Groups of consumers, as the broker that coordinates them and its clients live through it.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteGroupsRequest, DeleteRecordsRequest,
    DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::broker::{CoordinatedGroup, GroupStep};
use crate::group::partition_for::{OFFSETS_TOPIC, partition_for};
use crate::node::LocalStep;

const OFFSETS: Uuid = Uuid::from_u128(99);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}
fn group(id: &str) -> GroupId {
    GroupId(text(id))
}
/// Broker 1, that does not wait for further members of a group that was empty.
fn config() -> BrokerConfig {
    BrokerConfig { group_initial_rebalance_delay_ms: 0, ..BrokerConfig::default() }
}
fn offsets_partition(partition: i32, leader: BrokerId, isr: &[BrokerId]) -> MetadataRecord {
    placed(OFFSETS, partition, &[1, 2, 3], isr, leader)
}
/// `__consumer_offsets`, each partition with its leader.
fn offsets_topic(leaders: &[BrokerId], isr: &[BrokerId]) -> Vec<MetadataRecord> {
    let mut records = vec![MetadataRecord::Topic { name: Topic::new(OFFSETS_TOPIC), topic_id: OFFSETS }];
    records.extend((0..).zip(leaders).map(|(partition, leader)| offsets_partition(partition, *leader, isr)));
    records
}
fn coordinator_asked(api_version: i16, key: &str) -> FindCoordinatorRequest {
    match api_version {
        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![text(key)]),
        _ => FindCoordinatorRequest::default().with_key(text(key)),
    }
}
/// Offsets of partition 0 of topics, by a member of "g".
fn commit_request(member: &str, generation: i32, offsets: &[(&str, i64)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, offset)| {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(*offset);
        OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(topics.collect())
}
/// "orders" in the clients' format.
fn subscription() -> bytes::Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    bytes.put_i16(6);
    bytes.put_slice(b"orders");
    bytes.put_i32(-1);
    bytes.freeze()
}
/// Partition 0 of "orders" in the clients' format.
fn assignment() -> bytes::Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    bytes.put_i16(6);
    bytes.put_slice(b"orders");
    bytes.put_i32(1);
    bytes.put_i32(0);
    bytes.put_i32(-1);
    bytes.freeze()
}

impl Room {
    /// Broker 1 leads `__consumer_offsets-0`, the only partition, and has loaded it.
    fn coordinates(isr: &[BrokerId]) -> Room {
        Room::coordinates_with(config(), isr)
    }
    fn coordinates_with(config: BrokerConfig, isr: &[BrokerId]) -> Room {
        let config = BrokerConfig { offsets_topic_num_partitions: 1, ..config };
        let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1, 2, 3]);
        room.metadata(offsets_topic(&[1], isr));
        room
    }
    fn offsets(&self) -> &Partition {
        self.broker.partition(&TopicPartition::new(&Topic::new(OFFSETS_TOPIC), 0)).expect("the replica exists")
    }
    fn change_offsets(&mut self, change: PartitionChange) {
        self.metadata(vec![MetadataRecord::PartitionChange(PartitionChange { topic_id: OFFSETS, ..change })]);
    }
    /// A follower has everything of `__consumer_offsets-0`.
    fn replicates(&mut self, replica: BrokerId) {
        let partition = FetchPartition::default()
            .with_current_leader_epoch(self.offsets().leader_epoch)
            .with_fetch_offset(self.offsets().log_end_offset())
            .with_last_fetched_epoch(self.offsets().log.latest_epoch().unwrap_or(-1))
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic_id(OFFSETS).with_partitions(vec![partition]);
        let state =
            ReplicaState::default().with_replica_id(WireBrokerId(replica)).with_replica_epoch(i64::from(replica) - 1);
        let request =
            FetchRequest::default().with_replica_state(state).with_max_bytes(1 << 20).with_topics(vec![topic]);
        self.send(versions::FETCH, request);
    }

    /// Kafka's error, and who coordinates the group.
    fn find_coordinator(&mut self, api_version: i16, request: FindCoordinatorRequest) -> (String, i32, String) {
        let req = self.send(api_version, request);
        match self.answers.get(&req) {
            Some(ResponseKind::FindCoordinator(FindCoordinatorResponse { coordinators, .. })) if api_version >= 4 => {
                let found = &coordinators[0];
                (code_name(found.error_code), found.node_id.0, found.host.to_string())
            }
            Some(ResponseKind::FindCoordinator(found)) => {
                (code_name(found.error_code), found.node_id.0, found.host.to_string())
            }
            other => panic!("{other:?}"),
        }
    }
    fn commits(&mut self, member: &str, generation: i32, offset: i64) -> ReqId {
        self.send(9, commit_request(member, generation, &[("orders", offset)]))
    }
    /// The errors of a commit's partitions, if it is answered.
    fn commit_errors(&self, req: ReqId) -> Option<Vec<String>> {
        match self.answers.get(&req)? {
            ResponseKind::OffsetCommit(response) => {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                Some(partitions.map(|partition| code_name(partition.error_code)).collect())
            }
            other => panic!("{other:?}"),
        }
    }
    /// What group "g" has committed of `orders-0`, or the error.
    fn committed_offset(&mut self) -> Result<i64, String> {
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text("orders"))).with_partition_indexes(vec![0]);
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_member_epoch(-1)
            .with_topics(Some(vec![topic]));
        let req = self.send(9, OffsetFetchRequest::default().with_groups(vec![asked]));
        match self.answers.get(&req) {
            Some(ResponseKind::OffsetFetch(response)) if response.groups[0].error_code == 0 => {
                Ok(response.groups[0].topics[0].partitions[0].committed_offset)
            }
            Some(ResponseKind::OffsetFetch(response)) => Err(code_name(response.groups[0].error_code)),
            other => panic!("{other:?}"),
        }
    }

    fn joins(&mut self, member: &str) -> ReqId {
        self.host.random += 1;
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription());
        let request = JoinGroupRequest::default()
            .with_group_id(group("g"))
            .with_member_id(text(member))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        self.send(9, request)
    }
    fn joined(&self, req: ReqId) -> Option<JoinGroupResponse> {
        match self.answers.get(&req)? {
            ResponseKind::JoinGroup(response) => Some(response.clone()),
            other => panic!("{other:?}"),
        }
    }
    /// A member comes, is given an id, and comes with it.
    fn comes(&mut self) -> (String, ReqId) {
        let first = self.joins("");
        let id = self.joined(first).expect("an id").member_id.to_string();
        let req = self.joins(&id);
        // A first member waits for nobody, but by a timer.
        self.pass(0);
        (id, req)
    }
    fn syncs(&mut self, member: &str, generation: i32, assigns: &[&str]) -> ReqId {
        let one = |member: &&str| {
            SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(assignment())
        };
        let request = SyncGroupRequest::default()
            .with_group_id(group("g"))
            .with_member_id(text(member))
            .with_generation_id(generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assigns.iter().map(one).collect());
        self.send(5, request)
    }
    fn synced(&self, req: ReqId) -> Option<(String, bool)> {
        match self.answers.get(&req)? {
            ResponseKind::SyncGroup(response) => {
                Some((code_name(response.error_code), response.assignment == assignment()))
            }
            other => panic!("{other:?}"),
        }
    }
    /// The only member of generation 1.
    fn has_a_member(&mut self) -> String {
        let (member, join) = self.comes();
        assert_eq!(self.joined(join).map(|joined| joined.generation_id), Some(1));
        self.syncs(&member, 1, &[&member]);
        member
    }
    fn heartbeat(&mut self, member: &str, generation: i32) -> String {
        let request = HeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_member_id(text(member))
            .with_generation_id(generation);
        let req = self.send(4, request);
        match self.answers.get(&req) {
            Some(ResponseKind::Heartbeat(response)) => code_name(response.error_code),
            other => panic!("{other:?}"),
        }
    }
    /// The sentences of the events about groups since the last question.
    fn told(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.host.events);
        let is_of_groups = |event: &Event| {
            matches!(
                event,
                Event::CoordinatorLoaded { .. }
                    | Event::CoordinatorUnloaded { .. }
                    | Event::GroupGeneration { .. }
                    | Event::GroupRebalancing { .. }
                    | Event::GroupEpochRaised { .. }
                    | Event::TargetAssigned { .. }
                    | Event::MemberChanged { .. }
                    | Event::MemberRemoved { .. }
                    | Event::GroupRemoved { .. }
                    | Event::OffsetWritten { .. }
                    | Event::OffsetCommitAnswered { .. }
                    | Event::OffsetRemoved { .. }
            )
        };
        events.into_iter().filter(|(event, _)| is_of_groups(event)).map(|(event, _)| event.to_string()).collect()
    }
    fn known_group(&self) -> CoordinatedGroup {
        self.broker
            .coordinated()
            .flat_map(|partition| partition.groups)
            .find(|group| group.id == "g")
            .expect("it is there")
    }
    /// Broker 1 on the disk as it is, leading as before.
    fn comes_back(&mut self) {
        self.comes_back_with(&[1]);
    }
    fn comes_back_with(&mut self, isr: &[BrokerId]) {
        self.restart();
        let mut records: Vec<_> = (1..=3).map(|broker| registered(broker, i64::from(broker) - 1)).collect();
        records.push(MetadataRecord::Topic { name: Topic::new("orders"), topic_id: ORDERS });
        records.push(placed(ORDERS, 0, &[1], &[1], 1));
        records.extend(offsets_topic(&[1], isr));
        self.metadata(records);
    }
    /// The chunks of logs that wait to be loaded.
    fn loads_one(&mut self) -> bool {
        match self.held_loads.pop() {
            Some(step) => {
                self.handle(Input::Local(step));
                true
            }
            None => false,
        }
    }
}

#[test]
fn who_asks_for_a_coordinator_has_the_topic_created() {
    let mut room = Room::with(Story { config: config(), ..Story::default() }, 1, &[1, 2, 3]);
    let not_available = ("COORDINATOR_NOT_AVAILABLE".to_string(), -1, String::new());
    assert_eq!(room.find_coordinator(6, coordinator_asked(6, "g")), not_available);
    assert_eq!(room.find_coordinator(3, coordinator_asked(3, "h")), not_available);
    let call = room.take_call(Purpose::Forwarding);
    assert_eq!(room.waiting(Purpose::Forwarding), 0, "the topic is asked for once");
    let RequestKind::CreateTopics(CreateTopicsRequest { topics, .. }) = &call.request else { panic!("no creation") };
    let asked = &topics[0];
    assert_eq!((asked.name.as_str(), asked.num_partitions, asked.replication_factor), (OFFSETS_TOPIC, 50, 3));
    let configs = asked.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref().unwrap_or("")));
    assert_eq!(
        configs.collect::<Vec<_>>(),
        [
            ("compression.type", "producer"),
            ("segment.bytes", "104857600"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1")
        ]
    );

    // Too few brokers: the next who asks has it tried again.
    let refused = CreatableTopicResult::default().with_error_code(ResponseError::InvalidReplicationFactor.code());
    room.reply(&call, CreateTopicsResponse::default().with_topics(vec![refused]));
    assert_eq!(room.find_coordinator(6, coordinator_asked(6, "g")), not_available);
    assert_eq!(room.waiting(Purpose::Forwarding), 1);

    let leaders: Vec<i32> = (0..50).map(|partition| 1 + partition % 3).collect();
    room.metadata(offsets_topic(&leaders, &[1, 2, 3]));
    let leader = 1 + partition_for("g", 50).expect("a partition") % 3;
    for api_version in [0, 3, 4, 6] {
        let found = room.find_coordinator(api_version, coordinator_asked(api_version, "g"));
        assert_eq!(found, ("NONE".to_string(), leader, format!("b{leader}")));
    }
    let req = room.send(12, MetadataRequest::default().with_topics(None));
    let Some(ResponseKind::Metadata(metadata)) = room.answers.get(&req) else { panic!("no answer") };
    let internal = metadata.topics.iter().filter(|topic| topic.is_internal);
    assert_eq!(internal.map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [50], "it alone is internal");
    room.fence(leader, true);
    assert_eq!(room.find_coordinator(6, coordinator_asked(6, "g")), not_available, "its broker is not there");
    let of_transactions = coordinator_asked(6, "t").with_key_type(1);
    assert_eq!(room.find_coordinator(6, of_transactions).0, "UNSUPPORTED_VERSION");
    let of_shares = coordinator_asked(6, "s").with_key_type(2);
    assert_eq!(room.find_coordinator(6, of_shares).0, "INVALID_REQUEST");
}

#[test]
fn partitions_that_are_added_later_move_no_group() {
    let mut room = Room::coordinates(&[1]);
    let commit = room.commits("", -1, 5);
    assert_eq!(room.commit_errors(commit), Some(vec!["NONE".to_string()]));
    let others = (1..50).map(|partition| offsets_partition(partition, 2, &[2])).collect();
    room.metadata(others);
    assert_eq!(room.find_coordinator(6, coordinator_asked(6, "g")).1, 1);
    assert_eq!(room.committed_offset(), Ok(5));
}

#[test]
fn two_members_of_a_classic_group_share_and_commit() {
    let mut room = Room::coordinates(&[1]);
    assert_eq!(
        room.told(),
        ["coordinates the 0 groups of __consumer_offsets-0 in epoch 0, having replayed its log up to 0"]
    );
    let (first, join) = room.comes();
    let alone = room.joined(join).expect("nobody else is waited for");
    assert_eq!((alone.generation_id, alone.leader.as_str(), alone.members.len()), (1, first.as_str(), 1));
    let sync = room.syncs(&first, 1, &[&first]);
    assert_eq!(room.synced(sync), Some(("NONE".to_string(), true)));
    room.told();

    let (second, join) = room.comes();
    assert_eq!(room.joined(join), None, "the first has to come again");
    assert_eq!(room.heartbeat(&first, 1), "REBALANCE_IN_PROGRESS");
    let again = room.joins(&first);
    let leads = room.joined(again).expect("all are there");
    assert_eq!((leads.generation_id, leads.members.len()), (2, 2));
    assert_eq!(room.joined(join).expect("all are there").members.len(), 0, "only the leader is told");
    let waits = room.syncs(&second, 2, &[]);
    assert_eq!(room.synced(waits), None);
    room.syncs(&first, 2, &[&second]);
    assert_eq!(room.synced(waits), Some(("NONE".to_string(), true)));
    let commit = room.commits(&second, 2, 7);
    assert_eq!(room.commit_errors(commit), Some(vec!["NONE".to_string()]));
    let stale = room.commits(&second, 1, 6);
    assert_eq!(room.commit_errors(stale), Some(vec!["ILLEGAL_GENERATION".to_string()]));
    assert_eq!(room.committed_offset(), Ok(7));
    assert_eq!(
        room.told(),
        [
            format!("asks the members of group g to join again after generation 1: member {second} joins"),
            format!("has group g in generation 2: 2 members, {first} leads"),
            format!("wrote offset 7 of orders-0 for group g, from {second} in generation 2"),
            format!("committed offset 7 of orders-0 for group g, from {second} in generation 2"),
            format!(
                "refused to commit offset 6 of orders-0 for group g, from {second} in generation 1: ILLEGAL_GENERATION"
            ),
        ]
    );
    let known = room.known_group();
    assert_eq!((known.protocol, known.state, known.generation), ("classic", "Stable", 2));
    assert_eq!(known.offsets, [(TopicPartition::new(&Topic::new("orders"), 0), 7)]);
    let member = known.members.iter().find(|member| member.id == second).expect("it is a member");
    assert_eq!((member.client_host.as_str(), member.assigned.len()), ("/test", 1));

    let goes = MemberIdentity::default().with_member_id(text(&second));
    room.send(5, LeaveGroupRequest::default().with_group_id(group("g")).with_members(vec![goes]));
    assert_eq!(
        room.told(),
        [
            format!("removed member {second} from group g: it left"),
            "asks the members of group g to join again after generation 2: a member has left".to_string()
        ]
    );
    room.pass(10_001);
    assert_eq!(
        room.told(),
        [
            format!("removed member {first} from group g: it was silent for its session timeout"),
            "has group g without members in generation 3".to_string()
        ]
    );
}

#[test]
fn a_member_of_the_consumer_protocol_lives_and_goes() {
    let mut room = Room::coordinates(&[1]);
    room.told();
    let heartbeat = |epoch: i32| {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_member_id(text("m"))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(10_000)
            .with_topic_partitions(Some(Vec::new()))
            .with_subscribed_topic_names(Some(vec![TopicName(text("orders"))]))
    };
    let req = room.send(1, heartbeat(0));
    let Some(ResponseKind::ConsumerGroupHeartbeat(response)) = room.answers.get(&req) else { panic!("no answer") };
    assert_eq!((response.error_code, response.member_epoch), (0, 1));
    assert_eq!(response.assignment.as_ref().expect("it is told").topic_partitions[0].topic_id, ORDERS);
    assert_eq!(
        room.told(),
        [
            "raised the epoch of group g to 1",
            "assigned the partitions of group g anew, for epoch 1",
            "has member m of group g in epoch 1 with orders-0"
        ]
    );
    let described = room.send(1, ConsumerGroupDescribeRequest::default().with_group_ids(vec![group("g"), group("h")]));
    let Some(ResponseKind::ConsumerGroupDescribe(response)) = room.answers.get(&described) else { panic!("no answer") };
    let found: Vec<_> = response.groups.iter().map(|g| (g.members.len(), code_name(g.error_code))).collect();
    assert_eq!(found, [(1, "NONE".to_string()), (0, "GROUP_ID_NOT_FOUND".to_string())]);
    let known = room.known_group();
    assert_eq!((known.protocol, known.state, known.generation), ("consumer", "Stable", 1));
    room.send(1, heartbeat(-1));
    assert_eq!(room.told(), ["removed member m from group g: it left", "raised the epoch of group g to 2"]);
}

#[test]
fn a_commit_is_answered_when_it_is_replicated() {
    let mut room = Room::coordinates(&[1, 2]);
    let commit = room.commits("", -1, 5);
    assert_eq!((room.commit_errors(commit), room.committed_offset()), (None, Ok(-1)), "written, and not committed");
    assert_eq!(room.offsets().log_end_offset(), 1);
    room.replicates(2);
    assert_eq!((room.commit_errors(commit), room.committed_offset()), (Some(vec!["NONE".to_string()]), Ok(5)));
}

#[test]
fn below_min_isr_a_commit_is_written_and_times_out() {
    let config = BrokerConfig { offsets_topic_num_partitions: 1, ..config() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1, 2, 3]);
    let min_isr = MetadataRecord::Config {
        resource_type: crate::metadata::TOPIC_RESOURCE,
        resource_name: OFFSETS_TOPIC.to_string(),
        name: "min.insync.replicas".to_string(),
        value: Some("2".to_string()),
    };
    let mut records = offsets_topic(&[1], &[1]);
    records.push(min_isr);
    room.metadata(records);
    let commit = room.commits("", -1, 5);
    assert_eq!((room.commit_errors(commit), room.offsets().log_end_offset()), (None, 1), "it stands in the log");
    room.pass(5_000);
    assert_eq!(room.commit_errors(commit), Some(vec!["COORDINATOR_NOT_AVAILABLE".to_string()]));
    assert_eq!(room.committed_offset(), Ok(-1));
    room.replicates(2);
    room.change_offsets(PartitionChange { isr: Some(vec![1, 2]), ..PartitionChange::default() });
    room.replicates(2);
    assert_eq!(room.committed_offset(), Ok(5), "what was refused is committed after all");
}

#[test]
fn a_coordinator_that_comes_after_knows_groups_and_offsets() {
    let mut room = Room::coordinates(&[1]);
    let member = room.has_a_member();
    room.commits(&member, 1, 5);
    room.comes_back();
    assert_eq!(
        room.told(),
        ["coordinates the 1 groups of __consumer_offsets-0 in epoch 0, having replayed its log up to 3"]
    );
    assert_eq!(room.committed_offset(), Ok(5));
    assert_eq!(room.heartbeat(&member, 1), "NONE");
    let commit = room.commits(&member, 1, 6);
    assert_eq!(room.commit_errors(commit), Some(vec!["NONE".to_string()]));
    room.pass(10_001);
    let told = room.told();
    assert!(told.contains(&format!("removed member {member} from group g: it was silent for its session timeout")));
}

#[test]
fn a_coordinator_that_comes_after_tells_what_is_committed() {
    let mut room = Room::coordinates(&[1, 2]);
    room.commits("", -1, 5);
    room.replicates(2);
    room.pass(5_000);
    room.commits("", -1, 6);
    room.comes_back_with(&[1, 2]);
    assert_eq!((room.offsets().log_end_offset(), room.committed_offset()), (2, Ok(5)));
    room.replicates(2);
    assert_eq!(room.committed_offset(), Ok(6), "what was never acknowledged is committed now");
}

#[test]
fn a_long_log_is_loaded_in_chunks() {
    let mut room = Room::coordinates_with(BrokerConfig { offsets_load_buffer_size: 1, ..config() }, &[1]);
    for offset in 1..=3 {
        room.commits("", -1, offset);
    }
    room.loads_wait = true;
    room.comes_back();
    let loading = Err("COORDINATOR_LOAD_IN_PROGRESS".to_string());
    for chunk in 0..3 {
        assert_eq!(room.committed_offset(), loading, "before chunk {chunk}");
        assert_eq!(room.heartbeat("m", 1), "NONE", "a heartbeat is let pass");
        let list = room.send(5, ListGroupsRequest::default());
        let Some(ResponseKind::ListGroups(list)) = room.answers.get(&list) else { panic!("no answer") };
        assert_eq!(code_name(list.error_code), "COORDINATOR_LOAD_IN_PROGRESS");
        assert!(room.loads_one());
    }
    assert!(!room.loads_one());
    assert_eq!(room.committed_offset(), Ok(3));
}

#[test]
fn with_partial_load_what_comes_after_the_first_chunk_is_forgotten() {
    let config = BrokerConfig { offsets_topic_num_partitions: 1, offsets_load_buffer_size: 1, ..config() };
    let zoo = [Switch::PartialLoad].into_iter().collect();
    let mut room = Room::with(Story { config, zoo, ..Story::default() }, 1, &[1, 2, 3]);
    room.metadata(offsets_topic(&[1], &[1]));
    for offset in 1..=3 {
        room.commits("", -1, offset);
    }
    room.comes_back();
    assert_eq!((room.committed_offset(), room.offsets().log_end_offset()), (Ok(1), 3));
}

#[test]
fn a_coordinator_that_loads_and_leads_no_more_stops() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    room.loads_wait = true;
    room.comes_back();
    room.change_offsets(PartitionChange { leader: Some(2), ..PartitionChange::default() });
    assert_eq!(room.committed_offset(), Err("NOT_COORDINATOR".to_string()));
    room.loads_one();
    assert_eq!(room.told(), Vec::<String>::new(), "it was never loaded");
}

#[test]
fn a_coordinator_that_leads_no_more_sends_whoever_waits_away() {
    let mut room = Room::coordinates(&[1, 2]);
    let commit = room.commits("", -1, 5);
    let (_, join) = {
        let first = room.joins("");
        room.replicates(2);
        let id = room.joined(first).expect("an id").member_id.to_string();
        (id.clone(), room.joins(&id))
    };
    let late = room.commits("", -1, 6);
    assert_eq!(room.commit_errors(commit), Some(vec!["NONE".to_string()]));
    room.told();
    room.change_offsets(PartitionChange { leader: Some(2), isr: Some(vec![1, 2]), ..PartitionChange::default() });
    assert_eq!(room.commit_errors(late), Some(vec!["UNKNOWN_MEMBER_ID".to_string()]), "the group has a member");
    let sync = room.syncs("m", 1, &[]);
    assert_eq!(room.synced(sync).map(|(error, _)| error), Some("NOT_COORDINATOR".to_string()));
    assert_eq!(room.committed_offset(), Err("NOT_COORDINATOR".to_string()));
    assert_eq!(room.told(), ["coordinates the groups of __consumer_offsets-0 no more"]);
    assert!(room.joined(join).is_some());
    assert_eq!(room.broker.coordinated().count(), 0);
}

#[test]
fn what_is_not_replicated_when_leadership_goes_is_not_acknowledged() {
    let mut room = Room::coordinates(&[1, 2]);
    let commit = room.commits("", -1, 5);
    room.change_offsets(PartitionChange { leader: Some(2), ..PartitionChange::default() });
    assert_eq!(room.commit_errors(commit), Some(vec!["NOT_COORDINATOR".to_string()]));
}

#[test]
fn a_coordinator_that_leads_on_is_not_loaded_again() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    let (first, _) = room.comes();
    let (_, waits) = room.comes();
    room.change_offsets(PartitionChange { leader: Some(1), ..PartitionChange::default() });
    let loaded = room.count(|event| matches!(event, Event::CoordinatorLoaded { .. }));
    assert_eq!((loaded, room.offsets().leader_epoch), (1, 1));
    assert_eq!(room.joined(waits), None, "it goes on waiting");
    room.joins(&first);
    assert!(room.joined(waits).is_some());
}

#[test]
fn offsets_of_a_deleted_topic_are_deleted() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    room.told();
    room.metadata(vec![MetadataRecord::RemoveTopic { topic_id: ORDERS }]);
    assert_eq!(room.told(), ["removed the offset of orders-0 of group g"]);
    assert_eq!(room.committed_offset(), Ok(-1));
}

#[test]
fn only_partitions_that_there_are_are_committed() {
    let mut room = Room::coordinates(&[1]);
    let req = room.send(9, commit_request("", -1, &[("orders", 5), ("absent", 6)]));
    let Some(ResponseKind::OffsetCommit(response)) = room.answers.get(&req) else { panic!("no answer") };
    let mut told: Vec<_> =
        response.topics.iter().map(|t| (t.name.to_string(), code_name(t.partitions[0].error_code))).collect();
    told.sort();
    let pairs = [("absent", "UNKNOWN_TOPIC_OR_PARTITION"), ("orders", "NONE")];
    assert_eq!(told, pairs.map(|(topic, error)| (topic.to_string(), error.to_string())));
    let nothing = room.send(9, commit_request("", -1, &[("absent", 6)]));
    assert_eq!(room.commit_errors(nothing), Some(vec!["UNKNOWN_TOPIC_OR_PARTITION".to_string()]));
    assert_eq!((room.offsets().log_end_offset(), room.committed_offset()), (1, Ok(5)));
}

#[test]
fn a_sync_names_its_protocol() {
    let mut room = Room::coordinates(&[1]);
    let (member, _) = room.comes();
    let unnamed = SyncGroupRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text(&member))
        .with_generation_id(1)
        .with_protocol_type(None)
        .with_protocol_name(None);
    let req = room.send(5, unnamed.clone());
    assert_eq!(room.synced(req).map(|(error, _)| error), Some("INCONSISTENT_GROUP_PROTOCOL".to_string()));
    let req = room.send(4, unnamed);
    assert_eq!(room.synced(req).map(|(error, _)| error), Some("NONE".to_string()), "before version 5 there is no name");
}

#[test]
fn clients_do_not_write_to_the_offsets_topic() {
    let mut room = Room::coordinates(&[1]);
    let data = || {
        let records = batch(0, -1, [value()].into_iter());
        PartitionProduceData::default().with_index(0).with_records(Some(records))
    };
    let request = || {
        let topic =
            TopicProduceData::default().with_name(TopicName(text(OFFSETS_TOPIC))).with_partition_data(vec![data()]);
        ProduceRequest::default().with_acks(1).with_timeout_ms(1_000).with_topic_data(vec![topic])
    };
    let req = room.send(versions::PRODUCE, request());
    assert_eq!(room.produce_error(req), "INVALID_TOPIC_EXCEPTION");
    let header = RequestHeader {
        listener: Listener::Broker,
        api_version: versions::PRODUCE,
        client_id: "__admin_client".to_string(),
        client_host: "/test".to_string(),
    };
    let (req, body) = (ReqId(9_999), Box::new(request().into()));
    room.handle(Input::Request { req, conn: CLIENT, header, body });
    assert_eq!(room.produce_error(req), "NONE", "the tools may");
    room.comes_back();
    assert_eq!(room.committed_offset(), Err("NOT_COORDINATOR".to_string()), "and it was no record of a group");
}

#[test]
fn nobody_deletes_records_of_the_offsets_topic() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(-1);
    let topic =
        DeleteRecordsTopic::default().with_name(TopicName(text(OFFSETS_TOPIC))).with_partitions(vec![partition]);
    let req = room.send(2, DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000));
    let Some(ResponseKind::DeleteRecords(response)) = room.answers.get(&req) else { panic!("no answer") };
    assert_eq!(code_name(response.topics[0].partitions[0].error_code), "INVALID_TOPIC_EXCEPTION");
    assert_eq!(room.offsets().log.log_start_offset(), 0);
}

#[test]
fn requests_about_groups_of_many_brokers_are_answered_for_each() {
    let mut room = Room::with(Story { config: config(), ..Story::default() }, 1, &[1, 2, 3]);
    room.restart();
    // Groups a, b and c are in partitions 1, 2 and 0.
    let mut records: Vec<_> = (1..=3).map(|broker| registered(broker, i64::from(broker) - 1)).collect();
    records.extend(offsets_topic(&[1, 1, 2], &[1]));
    records.push(MetadataRecord::Topic { name: Topic::new("orders"), topic_id: ORDERS });
    room.metadata(records);
    let all = ["a", "b", "c"];
    assert_eq!(all.map(|id| partition_for(id, 3)), [Some(1), Some(2), Some(0)]);
    for id in all {
        room.send(9, commit_request("", -1, &[("orders", 1)]).with_group_id(group(id)));
    }
    let ids = || all.map(group).to_vec();
    let req = room.send(6, DescribeGroupsRequest::default().with_groups(ids()));
    let Some(ResponseKind::DescribeGroups(response)) = room.answers.get(&req) else { panic!("no answer") };
    let found: Vec<_> = response.groups.iter().map(|g| (g.group_id.as_str(), code_name(g.error_code))).collect();
    assert_eq!(
        found,
        [
            ("c", "GROUP_ID_NOT_FOUND".to_string()),
            ("a", "GROUP_ID_NOT_FOUND".to_string()),
            ("b", "NOT_COORDINATOR".to_string())
        ]
    );
    let req = room.send(2, DeleteGroupsRequest::default().with_groups_names(ids()));
    let Some(ResponseKind::DeleteGroups(response)) = room.answers.get(&req) else { panic!("no answer") };
    let found: Vec<_> = response.results.iter().map(|g| (g.group_id.as_str(), code_name(g.error_code))).collect();
    assert_eq!(
        found,
        [
            ("c", "GROUP_ID_NOT_FOUND".to_string()),
            ("a", "GROUP_ID_NOT_FOUND".to_string()),
            ("b", "NOT_COORDINATOR".to_string())
        ]
    );
    let nobody = room.send(2, DescribeGroupsRequest::default());
    assert!(room.answers.contains_key(&nobody), "a question about no group is answered");
}

#[test]
fn offsets_are_fetched_in_every_form() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    let topic = OffsetFetchRequestTopic::default().with_name(TopicName(text("orders"))).with_partition_indexes(vec![0]);
    let one = OffsetFetchRequest::default().with_group_id(group("g"));
    for (api_version, request) in
        [(1, one.clone().with_topics(Some(vec![topic.clone()]))), (7, one.clone().with_topics(None))]
    {
        let req = room.send(api_version, request);
        let Some(ResponseKind::OffsetFetch(response)) = room.answers.get(&req) else { panic!("no answer") };
        assert_eq!(response.topics[0].partitions[0].committed_offset, 5, "version {api_version}");
    }
    let many = [group("g"), group("h")]
        .map(|id| OffsetFetchRequestGroup::default().with_group_id(id).with_member_epoch(-1).with_topics(None));
    let req = room.send(8, OffsetFetchRequest::default().with_groups(many.to_vec()));
    let Some(ResponseKind::OffsetFetch(response)) = room.answers.get(&req) else { panic!("no answer") };
    let found: Vec<_> = response.groups.iter().map(|g| (g.group_id.as_str(), g.topics.len(), g.error_code)).collect();
    assert_eq!(found, [("g", 1, 0), ("h", 0, 0)]);
    // Before version 2 an answer has no error of its own: its partitions have it.
    room.change_offsets(PartitionChange { leader: Some(2), ..PartitionChange::default() });
    let req = room.send(1, one.with_topics(Some(vec![topic])));
    let Some(ResponseKind::OffsetFetch(response)) = room.answers.get(&req) else { panic!("no answer") };
    assert_eq!(code_name(response.topics[0].partitions[0].error_code), "NOT_COORDINATOR");
}

#[test]
fn who_asks_again_elsewhere_loses_the_connection_that_waits() {
    let mut room = Room::coordinates(&[1]);
    let (first, _) = room.comes();
    let (second, waits) = room.comes();
    let again = room.joins(&second);
    assert_eq!((room.joined(waits), room.hung_up), (None, true));
    room.joins(&first);
    assert!(room.joined(again).is_some());
}

#[test]
fn a_group_and_its_offsets_are_deleted() {
    let mut room = Room::coordinates(&[1]);
    room.commits("", -1, 5);
    room.told();
    let listed = room.send(5, ListGroupsRequest::default());
    let Some(ResponseKind::ListGroups(response)) = room.answers.get(&listed) else { panic!("no answer") };
    assert_eq!(response.groups.iter().map(|g| g.group_id.as_str()).collect::<Vec<_>>(), ["g"]);
    let orders = kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![
            kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition::default()
                .with_partition_index(0),
        ]);
    room.send(0, OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![orders]));
    assert_eq!(room.told(), ["removed the offset of orders-0 of group g"]);
    room.send(2, DeleteGroupsRequest::default().with_groups_names(vec![group("g")]));
    assert_eq!(room.told(), ["removed group g"]);
    assert_eq!(room.broker.coordinated().map(|partition| partition.groups.len()).sum::<usize>(), 0);
}

/// Which of the steps a broker defers load a log.
pub(super) fn is_load(step: &LocalStep) -> bool {
    matches!(step, LocalStep::Broker(super::super::Step::Groups(GroupStep::Load { .. })))
}
