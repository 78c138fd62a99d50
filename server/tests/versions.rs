//! Every API at every version that is offered is answered at that version, whatever there is to say; and what is not
//! offered, or is no request at all, costs the connection and nothing else.

mod common;

use bytes::{Buf, Bytes, BytesMut};
use common::{Directory, PATIENCE, Replicas};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_partition_request::{PartitionData as AlteredPartition, TopicData as AlteredTopic};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData as QuorumPartition, TopicData as QuorumTopic};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddRaftVoterRequest, AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, ApiKey,
    ApiVersionsRequest, BeginQuorumEpochRequest, BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest,
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeQuorumRequest, ElectLeadersRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest,
    FindCoordinatorRequest, GroupId, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, ProducerId, RemoveRaftVoterRequest, RequestHeader, RequestKind, ResponseKind, SyncGroupRequest,
    TopicName, TransactionalId, UpdateRaftVoterRequest, VoteRequest, add_raft_voter_request,
    begin_quorum_epoch_request, end_quorum_epoch_request, fetch_snapshot_request, update_raft_voter_request,
    vote_request,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trial_kafka::controller::{Controller, SERVED};
use trial_kafka::metadata::METADATA_TOPIC_ID;
use trial_kafka::node::Endpoint;
use trial_kafka::protocol::BROKER_APIS;
use trial_server::Cluster;
use trial_storage::{BuildOptions, NewRecord, build_batch};
use uuid::Uuid;

const TOPIC: &str = "orders";
const NO_TOPIC: &str = "nobody-created-this";
const METADATA: &str = "__cluster_metadata";
/// The only controller.
const CONTROLLER: i32 = 3_001;

/// A connection on which nothing is hidden.
struct Raw(TcpStream);

impl Raw {
    async fn to(endpoint: &Endpoint) -> Raw {
        Raw(TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.expect("connects"))
    }
    async fn send(&mut self, frame: &[u8]) {
        let size = i32::try_from(frame.len()).expect("small").to_be_bytes();
        self.0.write_all(&[&size, frame].concat()).await.expect("is sent");
    }
    /// The next frame, `None` if the connection ends.
    async fn receive(&mut self) -> Option<Bytes> {
        let receive = async {
            let size = self.0.read_i32().await.ok()?;
            let mut frame = vec![0; usize::try_from(size).expect("a size")];
            self.0.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        tokio::time::timeout(PATIENCE, receive).await.expect("an answer or an end in time")
    }
    /// Calls and checks that the answer is one of that version, to its last byte. `None` if the connection ends.
    async fn call(&mut self, api: ApiKey, version: i16, request: &RequestKind) -> Option<ResponseKind> {
        let correlation_id = i32::from(version) + 1_000;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, api.request_header_version(version)).expect("header");
        request.encode(&mut frame, version).unwrap_or_else(|why| panic!("{api:?} v{version}: {why:#}"));
        self.send(&frame).await;
        let mut answer = self.receive().await?;
        assert_eq!(answer.get_i32(), correlation_id);
        if api.response_header_version(version) == 1 {
            assert_eq!(answer.get_u8(), 0, "no tagged fields");
        }
        let response = ResponseKind::decode(api, &mut answer, version);
        let response = response.unwrap_or_else(|why| panic!("{api:?} v{version}: {why:#}"));
        assert!(answer.is_empty(), "{api:?} v{version}: {} bytes too many", answer.len());
        Some(response)
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}

/// Requests of that API and version: about a topic that is there, about one that is not, and at odd places.
fn requests(api: ApiKey, version: i16, topic_id: Uuid) -> Vec<RequestKind> {
    let topics = [(TOPIC, topic_id), (NO_TOPIC, Uuid::from_u128(7))];
    match api {
        ApiKey::Produce => {
            let record = NewRecord { value: Some(Bytes::from_static(b"value")), ..NewRecord::default() };
            let batch = build_batch(&[record], BuildOptions::default());
            let of = |(topic, id), acks, batch: &Bytes| {
                let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.clone()));
                let topic = if version >= 13 {
                    TopicProduceData::default().with_topic_id(id)
                } else {
                    TopicProduceData::default().with_name(name(topic))
                };
                let topics = vec![topic.with_partition_data(vec![data])];
                let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(5_000).with_topic_data(topics);
                RequestKind::Produce(request)
            };
            let garbage = Bytes::from_static(b"no batch at all");
            vec![
                of(topics[0], -1, &batch),
                of(topics[0], 1, &batch),
                of(topics[1], -1, &batch),
                of(topics[0], 1, &garbage),
            ]
        }
        ApiKey::Fetch => {
            let of = |(topic, id), offset, epoch| {
                let mut partition =
                    FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
                if version >= 12 {
                    partition.last_fetched_epoch = epoch;
                }
                let topic = if version >= 13 {
                    FetchTopic::default().with_topic_id(id)
                } else {
                    FetchTopic::default().with_topic(name(topic))
                };
                let topics = vec![topic.with_partitions(vec![partition])];
                RequestKind::Fetch(FetchRequest::default().with_max_bytes(1 << 20).with_topics(topics))
            };
            vec![of(topics[0], 0, -1), of(topics[0], 1_000_000, -1), of(topics[0], 1, 99), of(topics[1], 0, -1)]
        }
        ApiKey::ListOffsets => {
            let of = |topic, timestamp| {
                let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
                let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
                RequestKind::ListOffsets(
                    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]),
                )
            };
            vec![of(TOPIC, -1), of(TOPIC, -2), of(TOPIC, 0), of(TOPIC, -3), of(NO_TOPIC, -1)]
        }
        ApiKey::OffsetForLeaderEpoch => {
            let of = |topic, leader_epoch| {
                let partition = OffsetForLeaderPartition::default().with_leader_epoch(leader_epoch);
                let topic = OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
                let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
                RequestKind::OffsetForLeaderEpoch(request)
            };
            vec![of(TOPIC, 0), of(TOPIC, 99), of(TOPIC, -1), of(NO_TOPIC, 0)]
        }
        ApiKey::Metadata => {
            let of = |topics| {
                let request = MetadataRequest::default().with_topics(topics);
                RequestKind::Metadata(if version >= 4 {
                    request.with_allow_auto_topic_creation(false)
                } else {
                    request
                })
            };
            let named = |topic| vec![MetadataRequestTopic::default().with_name(Some(name(topic)))];
            let all = if version == 0 { Some(Vec::new()) } else { None };
            vec![of(all), of(Some(named(TOPIC))), of(Some(named(NO_TOPIC))), of(Some(named("not a name")))]
        }
        ApiKey::ApiVersions => vec![RequestKind::ApiVersions(ApiVersionsRequest::default())],
        ApiKey::CreateTopics => {
            let of = |topic| {
                let topic = CreatableTopic::default().with_name(name(topic)).with_num_partitions(1);
                let request = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
                RequestKind::CreateTopics(request.with_timeout_ms(5_000))
            };
            vec![of(&format!("created-at-{version}")), of(TOPIC), of("not a name")]
        }
        ApiKey::ElectLeaders => {
            let partitions = TopicPartitions::default().with_topic(name(TOPIC)).with_partitions(vec![0, 99]);
            let request = ElectLeadersRequest::default().with_timeout_ms(5_000);
            vec![RequestKind::ElectLeaders(request.with_topic_partitions(Some(vec![partitions])))]
        }
        ApiKey::DeleteTopics => {
            let of = |topic: &str| {
                let request = DeleteTopicsRequest::default().with_timeout_ms(5_000);
                let state = DeleteTopicState::default().with_name(Some(name(topic)));
                RequestKind::DeleteTopics(if version >= 6 {
                    request.with_topics(vec![state])
                } else {
                    request.with_topic_names(vec![name(topic)])
                })
            };
            vec![of(NO_TOPIC), of("created-at-2"), of("not a name")]
        }
        ApiKey::DeleteRecords => {
            let of = |topic: &str, offset| {
                let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
                let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
                RequestKind::DeleteRecords(
                    DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000),
                )
            };
            vec![of(TOPIC, 0), of(TOPIC, 1_000_000), of(NO_TOPIC, 0)]
        }
        ApiKey::CreatePartitions => {
            let of = |topic, count| {
                let topic = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count);
                let request = CreatePartitionsRequest::default().with_topics(vec![topic.with_assignments(None)]);
                RequestKind::CreatePartitions(request.with_timeout_ms(5_000).with_validate_only(true))
            };
            vec![of(TOPIC, 2), of(TOPIC, 1), of(NO_TOPIC, 2)]
        }
        ApiKey::DescribeConfigs => {
            let of = |kind, resource: &str, keys| {
                let resource = DescribeConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(StrBytes::from_string(resource.to_string()))
                    .with_configuration_keys(keys);
                let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
                let request = request.with_include_synonyms(true);
                RequestKind::DescribeConfigs(if version >= 3 {
                    request.with_include_documentation(true)
                } else {
                    request
                })
            };
            let one = || Some(vec![StrBytes::from_static_str("min.insync.replicas")]);
            vec![of(2, TOPIC, None), of(4, "1", one()), of(4, "", one()), of(2, NO_TOPIC, one()), of(8, "x", None)]
        }
        ApiKey::IncrementalAlterConfigs => {
            let of = |kind, resource: &str, value: Option<&'static str>| {
                let config = AlterableConfig::default()
                    .with_name(StrBytes::from_static_str("min.insync.replicas"))
                    .with_config_operation(if value.is_some() { 0 } else { 1 })
                    .with_value(value.map(StrBytes::from_static_str));
                let resource = AlterConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(StrBytes::from_string(resource.to_string()))
                    .with_configs(vec![config]);
                let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
                RequestKind::IncrementalAlterConfigs(request)
            };
            vec![of(2, TOPIC, Some("1")), of(4, "", None), of(2, NO_TOPIC, Some("1")), of(2, TOPIC, Some("many"))]
        }
        ApiKey::AlterPartitionReassignments => {
            let of = |replicas: Option<Vec<i32>>| {
                let replicas = replicas.map(|all| all.into_iter().map(Into::into).collect());
                let partitions = vec![ReassignablePartition::default().with_replicas(replicas)];
                let topic = ReassignableTopic::default().with_name(name(TOPIC)).with_partitions(partitions);
                let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
                RequestKind::AlterPartitionReassignments(request.with_timeout_ms(5_000))
            };
            vec![of(None), of(Some(vec![1, 2])), of(Some(vec![9]))]
        }
        ApiKey::ListPartitionReassignments => {
            let asked =
                ListPartitionReassignmentsTopics::default().with_name(name(TOPIC)).with_partition_indexes(vec![0]);
            let of = |topics| {
                let request = ListPartitionReassignmentsRequest::default().with_topics(topics).with_timeout_ms(5_000);
                RequestKind::ListPartitionReassignments(request)
            };
            vec![of(None), of(Some(vec![asked]))]
        }
        ApiKey::DescribeQuorum => {
            let partitions = vec![QuorumPartition::default()];
            let topic = QuorumTopic::default().with_topic_name(name(METADATA)).with_partitions(partitions);
            vec![RequestKind::DescribeQuorum(DescribeQuorumRequest::default().with_topics(vec![topic]))]
        }
        ApiKey::InitProducerId => {
            let of = |id| InitProducerIdRequest::default().with_transactional_id(id).with_transaction_timeout_ms(1_000);
            let nobody = of(None).with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
            let transactional =
                nobody.clone().with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("t"))));
            [nobody, transactional].map(RequestKind::InitProducerId).into()
        }
        ApiKey::AddRaftVoter => vec![RequestKind::AddRaftVoter(add_voter())],
        ApiKey::RemoveRaftVoter => vec![RequestKind::RemoveRaftVoter(RemoveRaftVoterRequest::default())],
        other => group_requests(other, version),
    }
}

/// About a group that is there when its members are, and of partitions of which one is not there.
fn group_requests(api: ApiKey, version: i16) -> Vec<RequestKind> {
    let text = StrBytes::from_static_str;
    let group = || GroupId(text("g"));
    match api {
        ApiKey::FindCoordinator => {
            let of = |kind| match version {
                0 => FindCoordinatorRequest::default().with_key(text("g")),
                1..=3 => FindCoordinatorRequest::default().with_key(text("g")).with_key_type(kind),
                _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]).with_key_type(kind),
            };
            vec![RequestKind::FindCoordinator(of(0)), RequestKind::FindCoordinator(of(1))]
        }
        ApiKey::JoinGroup => {
            // A group of its own for each version: a member that is taken in is not heard of again.
            let of = |member: &'static str, timeout| {
                let group = GroupId(StrBytes::from_string(format!("joined-at-{version}")));
                let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
                JoinGroupRequest::default()
                    .with_group_id(group)
                    .with_member_id(text(member))
                    .with_session_timeout_ms(timeout)
                    .with_rebalance_timeout_ms(timeout)
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol.with_metadata(Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"))])
            };
            [of("", 6_000), of("nobody", 6_000), of("", 1)].map(RequestKind::JoinGroup).into()
        }
        ApiKey::SyncGroup => {
            let request = SyncGroupRequest::default().with_group_id(group()).with_member_id(text("nobody"));
            vec![RequestKind::SyncGroup(request)]
        }
        ApiKey::Heartbeat => {
            let request = HeartbeatRequest::default().with_group_id(group()).with_member_id(text("nobody"));
            vec![RequestKind::Heartbeat(request)]
        }
        ApiKey::LeaveGroup => {
            let request = LeaveGroupRequest::default().with_group_id(group());
            vec![RequestKind::LeaveGroup(match version {
                0..=2 => request.with_member_id(text("nobody")),
                _ => request.with_members(vec![MemberIdentity::default().with_member_id(text("nobody"))]),
            })]
        }
        ApiKey::OffsetCommit => {
            let of = |id: &'static str, topic, generation| {
                let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
                let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
                let request = OffsetCommitRequest::default().with_group_id(GroupId(text(id)));
                RequestKind::OffsetCommit(
                    request.with_generation_id_or_member_epoch(generation).with_topics(vec![topic]),
                )
            };
            vec![of("h", TOPIC, -1), of("h", NO_TOPIC, -1), of("i", TOPIC, 5)]
        }
        ApiKey::OffsetFetch => {
            let request = OffsetFetchRequest::default();
            let of = |topic| match version {
                0..=7 => {
                    request.clone().with_group_id(GroupId(StrBytes::from_static_str("h"))).with_topics(Some(vec![
                        OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]),
                    ]))
                }
                _ => request.clone().with_groups(vec![
                    OffsetFetchRequestGroup::default()
                        .with_group_id(GroupId(StrBytes::from_static_str("h")))
                        .with_topics(Some(vec![
                            OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(vec![0]),
                        ])),
                    OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None),
                ]),
            };
            vec![RequestKind::OffsetFetch(of(TOPIC)), RequestKind::OffsetFetch(of(NO_TOPIC))]
        }
        ApiKey::OffsetDelete => {
            let partition = OffsetDeleteRequestPartition::default();
            let topic = OffsetDeleteRequestTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
            let request = OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![topic]);
            vec![RequestKind::OffsetDelete(request)]
        }
        ApiKey::DeleteGroups => {
            let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("nobody")), group()]);
            vec![RequestKind::DeleteGroups(request)]
        }
        ApiKey::DescribeGroups => {
            let request =
                DescribeGroupsRequest::default().with_groups(vec![GroupId(StrBytes::from_static_str("h")), group()]);
            vec![RequestKind::DescribeGroups(request)]
        }
        ApiKey::ListGroups => vec![RequestKind::ListGroups(ListGroupsRequest::default())],
        ApiKey::ConsumerGroupHeartbeat => {
            let of = |member, epoch| {
                let request = ConsumerGroupHeartbeatRequest::default()
                    .with_group_id(GroupId(text("c")))
                    .with_member_id(text(member))
                    .with_member_epoch(epoch)
                    .with_rebalance_timeout_ms(5_000)
                    .with_topic_partitions(Some(Vec::new()))
                    .with_subscribed_topic_names(Some(vec![name(TOPIC)]));
                RequestKind::ConsumerGroupHeartbeat(request)
            };
            vec![of("m", 0), of("nobody", 3)]
        }
        ApiKey::ConsumerGroupDescribe => {
            let groups = ["c", "g", ""].map(|id| GroupId(text(id)));
            vec![RequestKind::ConsumerGroupDescribe(
                ConsumerGroupDescribeRequest::default().with_group_ids(groups.into()),
            )]
        }
        other => panic!("{other:?} is offered and not tried here"),
    }
}

/// For a voter that does not say on which disk it is, so that it is refused.
fn add_voter() -> AddRaftVoterRequest {
    let listener = add_raft_voter_request::Listener::default().with_name("CONTROLLER".into()).with_port(9);
    AddRaftVoterRequest::default().with_voter_id(9).with_listeners(vec![listener])
}

/// As [`requests`], for the listener of a controller. What is asked of the quorum is of an epoch long past, or of nobody.
fn controller_requests(api: ApiKey, version: i16, topic_id: Uuid) -> Vec<RequestKind> {
    match api {
        ApiKey::Fetch => {
            let of = |id, offset, epoch| {
                let partition = FetchPartition::default()
                    .with_current_leader_epoch(epoch)
                    .with_fetch_offset(offset)
                    .with_last_fetched_epoch(0)
                    .with_partition_max_bytes(1 << 20);
                let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
                RequestKind::Fetch(FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]))
            };
            let epochs = (0..3).flat_map(|epoch| [0, 1_000_000].map(|at| of(METADATA_TOPIC_ID, at, epoch)));
            epochs.chain([of(topic_id, 0, 1)]).collect()
        }
        ApiKey::FetchSnapshot => {
            let of = |topic, epoch| {
                let id = fetch_snapshot_request::SnapshotId::default().with_end_offset(7).with_epoch(1);
                let partition = fetch_snapshot_request::PartitionSnapshot::default()
                    .with_current_leader_epoch(epoch)
                    .with_snapshot_id(id);
                let topic = fetch_snapshot_request::TopicSnapshot::default()
                    .with_name(name(topic))
                    .with_partitions(vec![partition]);
                RequestKind::FetchSnapshot(FetchSnapshotRequest::default().with_topics(vec![topic]))
            };
            vec![of(METADATA, 1), of(METADATA, 0), of(TOPIC, 1)]
        }
        ApiKey::AllocateProducerIds => {
            let request = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(1)).with_broker_epoch(-1);
            vec![RequestKind::AllocateProducerIds(request)]
        }
        ApiKey::Vote => {
            let of = |topic, candidate: i32| {
                let partition = vote_request::PartitionData::default().with_replica_id(candidate.into());
                let topic =
                    vote_request::TopicData::default().with_topic_name(name(topic)).with_partitions(vec![partition]);
                RequestKind::Vote(VoteRequest::default().with_topics(vec![topic]))
            };
            vec![of(METADATA, CONTROLLER), of(METADATA, 3_009), of(TOPIC, CONTROLLER)]
        }
        ApiKey::BeginQuorumEpoch => {
            let of = |topic| {
                let partition = begin_quorum_epoch_request::PartitionData::default().with_leader_id(3_009.into());
                let topic = begin_quorum_epoch_request::TopicData::default()
                    .with_topic_name(name(topic))
                    .with_partitions(vec![partition]);
                RequestKind::BeginQuorumEpoch(BeginQuorumEpochRequest::default().with_topics(vec![topic]))
            };
            vec![of(METADATA), of(TOPIC)]
        }
        ApiKey::EndQuorumEpoch => {
            let of = |topic| {
                let partition = end_quorum_epoch_request::PartitionData::default().with_leader_id(3_009.into());
                let topic = end_quorum_epoch_request::TopicData::default()
                    .with_topic_name(name(topic))
                    .with_partitions(vec![partition]);
                RequestKind::EndQuorumEpoch(EndQuorumEpochRequest::default().with_topics(vec![topic]))
            };
            vec![of(METADATA), of(TOPIC)]
        }
        ApiKey::UpdateRaftVoter => {
            let listener = update_raft_voter_request::Listener::default().with_name("CONTROLLER".into()).with_port(9);
            let of = |epoch| UpdateRaftVoterRequest::default().with_current_leader_epoch(epoch);
            let known = of(1).with_listeners(vec![listener]);
            vec![RequestKind::UpdateRaftVoter(of(0)), RequestKind::UpdateRaftVoter(known)]
        }
        ApiKey::BrokerRegistration => {
            let of = |cluster, id: i32| {
                let request = BrokerRegistrationRequest::default().with_broker_id(id.into());
                // Another incarnation of a broker that is alive, so that it is refused.
                let request = request.with_incarnation_id(Uuid::from_u128(5));
                RequestKind::BrokerRegistration(request.with_cluster_id(StrBytes::from_static_str(cluster)))
            };
            vec![of("trial-cluster", 1), of("another-cluster", 9)]
        }
        ApiKey::BrokerHeartbeat => {
            let of = |id: i32| BrokerHeartbeatRequest::default().with_broker_id(id.into()).with_broker_epoch(-1);
            vec![RequestKind::BrokerHeartbeat(of(1)), RequestKind::BrokerHeartbeat(of(9))]
        }
        ApiKey::AlterPartition => {
            let topic = AlteredTopic::default()
                .with_topic_id(topic_id)
                .with_partitions(vec![AlteredPartition::default().with_partition_index(0)]);
            let request = AlterPartitionRequest::default().with_broker_id(1.into()).with_broker_epoch(-1);
            vec![RequestKind::AlterPartition(request.with_topics(vec![topic]))]
        }
        other => requests(other, version, topic_id),
    }
}

async fn start_two_brokers(directory: &Directory) -> Cluster {
    let mut setup = common::quick(2, directory);
    setup.config.auto_create_topics_enable = false;
    setup.config.offsets_topic_num_partitions = 2;
    setup.config.offsets_topic_replication_factor = 2;
    setup.config.group_initial_rebalance_delay_ms = 0;
    common::start(setup).await
}

async fn two_brokers(directory: &Directory) -> (Cluster, Uuid) {
    let cluster = start_two_brokers(directory).await;
    let topic_id = common::create_topic(&cluster, TOPIC, Replicas::On(vec![1, 2])).await;
    (cluster, topic_id)
}

/// Waits until the coordinator of group "h" serves it.
async fn groups_are_coordinated(endpoint: &Endpoint) {
    let mut raw = Raw::to(endpoint).await;
    let asked = FindCoordinatorRequest::default().with_coordinator_keys(vec![StrBytes::from_static_str("h")]);
    loop {
        match raw.call(ApiKey::FindCoordinator, 6, &RequestKind::FindCoordinator(asked.clone())).await {
            Some(ResponseKind::FindCoordinator(answer)) if answer.coordinators[0].error_code == 0 => break,
            Some(ResponseKind::FindCoordinator(_)) => {}
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_version_that_is_offered_is_answered_at_that_version() {
    let directory = Directory::new("versions");
    let (cluster, topic_id) = two_brokers(&directory).await;
    groups_are_coordinated(&cluster.bootstrap()[0]).await;
    for endpoint in cluster.bootstrap() {
        for api in BROKER_APIS {
            for version in api.min..=api.max {
                for request in requests(api.key, version, topic_id) {
                    let mut raw = Raw::to(&endpoint).await;
                    let answer = raw.call(api.key, version, &request).await;
                    assert!(answer.is_some(), "port {}: {:?} v{version}: {request:?}", endpoint.port, api.key);
                }
            }
        }
    }
    cluster.kill().await;
}

/// A client that knows nothing of us but Kafka's protocol: its first id may take a moment, and what it sends again is
/// written once.
#[tokio::test]
async fn an_idempotent_producer_gets_an_id_and_writes_once() {
    let directory = Directory::new("idempotent");
    let (cluster, _) = two_brokers(&directory).await;
    let mut raw = Raw::to(&cluster.bootstrap()[0]).await;
    let init = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let load_in_progress = kafka_protocol::ResponseError::CoordinatorLoadInProgress.code();
    let producer_id = loop {
        match raw.call(ApiKey::InitProducerId, 5, &RequestKind::InitProducerId(init.clone())).await {
            Some(ResponseKind::InitProducerId(answer)) if answer.error_code == 0 => break answer.producer_id.0,
            Some(ResponseKind::InitProducerId(answer)) => assert_eq!(answer.error_code, load_in_progress),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let mut send = async |sequence: i32| {
        let record = NewRecord { value: Some(Bytes::from_static(b"value")), ..NewRecord::default() };
        let options =
            BuildOptions { producer_id, producer_epoch: 0, base_sequence: sequence, ..BuildOptions::default() };
        let data = PartitionProduceData::default().with_records(Some(build_batch(&[record], options)));
        let topic = TopicProduceData::default().with_name(name(TOPIC)).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        match raw.call(ApiKey::Produce, 12, &RequestKind::Produce(request)).await {
            Some(ResponseKind::Produce(answer)) => {
                let part = &answer.responses[0].partition_responses[0];
                (part.error_code, part.base_offset)
            }
            other => panic!("{other:?}"),
        }
    };
    let out_of_order = kafka_protocol::ResponseError::OutOfOrderSequenceNumber.code();
    let answers = [send(0).await, send(1).await, send(0).await, send(3).await, send(2).await];
    assert_eq!(answers, [(0, 0), (0, 1), (0, 0), (out_of_order, -1), (0, 2)]);
    cluster.kill().await;
}

/// Commits an offset with a note for a group that only has offsets, with whichever broker coordinates it.
async fn commit_with_note(cluster: &Cluster, version: i16, note: &str) {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(i64::from(version))
        .with_committed_metadata(Some(StrBytes::from_string(note.to_string())));
    let topic = OffsetCommitRequestTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
    let request =
        OffsetCommitRequest::default().with_group_id(GroupId(StrBytes::from_static_str("h"))).with_topics(vec![topic]);
    let request = RequestKind::OffsetCommit(request.with_generation_id_or_member_epoch(-1));
    loop {
        for endpoint in cluster.bootstrap() {
            match Raw::to(&endpoint).await.call(ApiKey::OffsetCommit, version, &request).await {
                Some(ResponseKind::OffsetCommit(answer)) => match answer.topics[0].partitions[0].error_code {
                    0 => return,
                    error => assert!(is_not_here_or_not_yet(error), "v{version}: {error}"),
                },
                other => panic!("{other:?}"),
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Another broker coordinates the group, or this one will when it has read its log.
fn is_not_here_or_not_yet(error: i16) -> bool {
    use kafka_protocol::ResponseError::{CoordinatorLoadInProgress, NotCoordinator};
    [NotCoordinator.code(), CoordinatorLoadInProgress.code()].contains(&error)
}

/// What the group has committed, and the note.
async fn committed_note(cluster: &Cluster) -> (i64, String) {
    let topics = vec![OffsetFetchRequestTopics::default().with_name(name(TOPIC)).with_partition_indexes(vec![0])];
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(StrBytes::from_static_str("h")))
        .with_topics(Some(topics));
    let request = RequestKind::OffsetFetch(OffsetFetchRequest::default().with_groups(vec![group]));
    loop {
        for endpoint in cluster.bootstrap() {
            match Raw::to(&endpoint).await.call(ApiKey::OffsetFetch, 9, &request).await {
                Some(ResponseKind::OffsetFetch(answer)) if answer.groups[0].error_code == 0 => {
                    let partition = &answer.groups[0].topics[0].partitions[0];
                    let note = partition.metadata.as_deref().unwrap_or_default();
                    return (partition.committed_offset, note.to_string());
                }
                Some(ResponseKind::OffsetFetch(answer)) => {
                    assert!(is_not_here_or_not_yet(answer.groups[0].error_code), "{answer:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Connect and others keep notes beside their offsets; they stand in the same record.
#[tokio::test]
async fn a_note_beside_an_offset_comes_back_with_it_also_from_the_log() {
    let directory = Directory::new("notes");
    let (cluster, _) = two_brokers(&directory).await;
    groups_are_coordinated(&cluster.bootstrap()[0]).await;
    for version in 2..=9 {
        let note = format!("übergeben in v{version}");
        commit_with_note(&cluster, version, &note).await;
        assert_eq!(committed_note(&cluster).await, (i64::from(version), note));
    }
    cluster.kill().await;
    let again = start_two_brokers(&directory).await;
    groups_are_coordinated(&again.bootstrap()[0]).await;
    assert_eq!(committed_note(&again).await, (9, "übergeben in v9".to_string()));
    again.kill().await;
}

/// And nothing of it makes the controller stand down or stop.
#[tokio::test]
async fn a_controller_answers_every_version_that_it_offers() {
    let directory = Directory::new("controller-versions");
    let (cluster, topic_id) = two_brokers(&directory).await;
    let look = async |look: fn(&Controller) -> (bool, i32, Endpoint)| {
        let process = cluster.process(CONTROLLER).expect("it runs");
        process.look(move |server| server.controller().map(look)).await.expect("it lives").expect("it is a controller")
    };
    let state =
        |controller: &Controller| (controller.is_active(), controller.epoch(), controller.setup().endpoint.clone());
    let (is_active, epoch, endpoint) = look(state).await;
    assert!(is_active);
    for (api, min, max) in SERVED {
        for version in min..=max {
            for request in controller_requests(api, version, topic_id) {
                let mut raw = Raw::to(&endpoint).await;
                let answer = raw.call(api, version, &request).await;
                assert!(answer.is_some(), "{api:?} v{version}: {request:?}");
            }
        }
    }
    assert_eq!(look(state).await, (true, epoch, endpoint));
    cluster.kill().await;
}

#[tokio::test]
async fn hostile_bytes_cost_the_connection_and_nothing_else() {
    let directory = Directory::new("hostile");
    let (cluster, _) = two_brokers(&directory).await;
    let endpoint = &cluster.bootstrap()[0];
    let frames: [&[u8]; 8] = [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        // Metadata version 99, FetchSnapshot, Produce version 2.
        b"\0\x03\0\x63\0\0\0\x01\xff\xff",
        b"\0\x3b\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\x02\0\0\0\x01\xff\xff\xff\xff",
        // Metadata versions 1 and 9 with two thousand million topics, classic and compact.
        b"\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff",
        b"\0\x03\0\x09\0\0\0\x01\xff\xff\0\xff\xff\xff\xff\x0f",
    ];
    for frame in frames {
        let mut raw = Raw::to(endpoint).await;
        raw.send(frame).await;
        assert_eq!(raw.receive().await, None, "{frame:?}");
    }
    // Sizes that are none, and one that is announced and never comes.
    for size in [-1, i32::MAX] {
        let mut raw = Raw::to(endpoint).await;
        raw.0.write_all(&size.to_be_bytes()).await.expect("is sent");
        assert_eq!(raw.receive().await, None, "a frame of {size} bytes");
    }
    let mut patient = Raw::to(endpoint).await;
    patient.0.write_all(&[0x01, 0, 0, 0]).await.expect("is sent");

    let mut raw = Raw::to(endpoint).await;
    let ask = RequestKind::ApiVersions(ApiVersionsRequest::default());
    assert!(raw.call(ApiKey::ApiVersions, 4, &ask).await.is_some(), "the broker serves on");
    cluster.kill().await;
}

#[tokio::test]
async fn requests_of_a_connection_are_answered_in_their_order() {
    let directory = Directory::new("pipelined");
    let (cluster, topic_id) = two_brokers(&directory).await;
    let mut raw = Raw::to(&cluster.bootstrap()[0]).await;
    // A fetch that waits for data, and behind it a question that could be answered at once.
    let mut fetch = FetchTopic::default().with_topic_id(topic_id);
    fetch.partitions = vec![FetchPartition::default().with_partition_max_bytes(1 << 20)];
    let fetch = FetchRequest::default().with_max_wait_ms(300).with_min_bytes(1).with_topics(vec![fetch]);
    let mut pipelined = BytesMut::new();
    let both = [
        (ApiKey::Fetch, 17, RequestKind::Fetch(fetch)),
        (ApiKey::ApiVersions, 3, RequestKind::ApiVersions(ApiVersionsRequest::default())),
    ];
    for (n, (api, version, request)) in both.into_iter().enumerate() {
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(n as i32);
        let mut frame = BytesMut::new();
        header.encode(&mut frame, api.request_header_version(version)).expect("header");
        request.encode(&mut frame, version).expect("body");
        pipelined.extend((frame.len() as i32).to_be_bytes());
        pipelined.extend(frame);
    }
    let before = tokio::time::Instant::now();
    raw.0.write_all(&pipelined).await.expect("is sent");
    for n in 0..2 {
        assert_eq!(raw.receive().await.expect("an answer").get_i32(), n);
        assert!(before.elapsed().as_millis() >= 300, "the fetch waits, and what is behind it too");
    }
    cluster.kill().await;
}
