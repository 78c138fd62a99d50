//! The brokers of the stories: records, metadata, and the real coordinator on the one that coordinates.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator as FoundCoordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::consumer::batch;
use crate::group::api::{AskId, Caller, Request, Response};
use crate::group::shard::{Context, Effects as ShardEffects};
use crate::ids::TopicPartition;
use crate::node::*;
use crate::protocol::topic_name;

use super::{Call, Cluster};

impl Cluster {
    pub(super) fn serve(&mut self, call: Call) {
        let Call { app, conn, version, request, .. } = call;
        let Some(broker) = self.apps[app].conns.get(&conn).copied() else { return };
        let response = match &request {
            RequestKind::Metadata(request) => self.describe(request).into(),
            RequestKind::ListOffsets(request) => self.list_offsets(request).into(),
            RequestKind::OffsetForLeaderEpoch(request) => goes_on(request).into(),
            RequestKind::FindCoordinator(request) => {
                let found = FoundCoordinator::default().with_key(request.coordinator_keys[0].clone());
                let found = match self.rumoured.or(self.coordinator) {
                    Some(id) => found.with_node_id(id.into()).with_host(host(id)).with_port(9092),
                    None => {
                        found.with_node_id((-1).into()).with_error_code(ResponseError::CoordinatorNotAvailable.code())
                    }
                };
                FindCoordinatorResponse::default().with_coordinators(vec![found]).into()
            }
            RequestKind::Fetch(_) => return self.answer_fetch(app, conn, false),
            request => return self.ask_shard(app, conn, broker, version, group_request(request)),
        };
        self.answer(app, conn, response);
    }
    fn describe(&self, request: &MetadataRequest) -> MetadataResponse {
        let broker =
            |id: i32| MetadataResponseBroker::default().with_node_id(id.into()).with_host(host(id)).with_port(9092);
        let all = || self.metadata.topics.values().map(|topic| topic.topic_id).collect::<Vec<_>>();
        let topic = |id: Uuid| -> MetadataResponseTopic {
            let Some(topic) = self.metadata.topics.get(&id) else {
                return MetadataResponseTopic::default()
                    .with_topic_id(id)
                    .with_name(None)
                    .with_error_code(ResponseError::UnknownTopicId.code());
            };
            let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(partition.leader.into())
                    .with_leader_epoch(partition.leader_epoch)
                    .with_replica_nodes(partition.replicas.iter().map(|id| (*id).into()).collect())
            });
            MetadataResponseTopic::default()
                .with_name(Some(topic_name(&topic.name)))
                .with_topic_id(id)
                .with_partitions(partitions.collect())
        };
        let asked = |asked: &metadata_request::MetadataRequestTopic| match &asked.name {
            None => topic(asked.topic_id),
            Some(name) => match self.metadata.topic(name.as_str()) {
                Some(known) => topic(known.topic_id),
                None => MetadataResponseTopic::default()
                    .with_name(Some(name.clone()))
                    .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            },
        };
        let topics = match &request.topics {
            None => all().into_iter().map(topic).collect(),
            Some(topics) => topics.iter().map(asked).collect(),
        };
        MetadataResponse::default().with_brokers((1..=3).map(broker).collect()).with_topics(topics)
    }
    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = |t: &list_offsets_request::ListOffsetsTopic| {
            let partition = |p: &list_offsets_request::ListOffsetsPartition| {
                let id = TopicPartition::new(&t.name.as_str().into(), p.partition_index);
                let end = self.records.get(&id).copied().unwrap_or_default() as i64;
                let offset = if p.timestamp == -2 { 0 } else { end };
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(p.partition_index)
                    .with_offset(offset)
                    .with_leader_epoch(5)
            };
            ListOffsetsTopicResponse::default()
                .with_name(t.name.clone())
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }
    /// A fetch is answered when there is something, or its time is over; a record is a batch.
    pub(super) fn answer_fetch(&mut self, app: usize, conn: ConnId, time_is_over: bool) {
        let Some(call) = self.lines.get(&(app, conn)).and_then(|line| line.front()) else { return };
        let RequestKind::Fetch(request) = &call.request else { return };
        let mut found = false;
        let topic = |t: &fetch_request::FetchTopic| {
            let name = self.metadata.topics.get(&t.topic_id).map(|topic| topic.name.clone());
            let partitions = t.partitions.iter().map(|p| {
                let id = name.as_ref().map(|name| TopicPartition::new(name, p.partition));
                let end = id.and_then(|id| self.records.get(&id).copied()).unwrap_or_default() as i64;
                let records: Vec<Bytes> = (p.fetch_offset..end).map(|offset| batch(offset, &["x"])).collect();
                found |= !records.is_empty();
                PartitionData::default()
                    .with_partition_index(p.partition)
                    .with_high_watermark(end)
                    .with_records(Some(records.concat().into()))
            });
            FetchableTopicResponse::default().with_topic_id(t.topic_id).with_partitions(partitions.collect())
        };
        let responses = request.topics.iter().map(topic).collect();
        let response = FetchResponse::default().with_responses(responses);
        match found || time_is_over {
            true => self.answer(app, conn, response.into()),
            false => self.fetches.push((self.now + ms(100), app, conn)),
        }
    }

    // ── the coordinator ──────────────────────────────────────────────────────────────────────────────────────────

    fn ask_shard(&mut self, app: usize, conn: ConnId, broker: i32, api_version: i16, request: Request) {
        if self.coordinator != Some(broker) {
            return self.answer(app, conn, group_response(request.refused(ResponseError::NotCoordinator)));
        }
        self.next += 1;
        let ask = AskId(self.next);
        self.asks.insert(ask, (app, conn));
        let caller = Caller {
            ask,
            api_version,
            client_id: format!("app{app}"),
            client_host: "/h".into(),
            fresh_id: Uuid::from_u128(u128::from(self.next)),
        };
        let effects = self.shard.handle(Context { now: self.now(), metadata: &self.metadata }, &caller, request);
        self.carry_out_shard(effects);
    }
    pub(super) fn carry_out_shard(&mut self, effects: ShardEffects) {
        if !effects.records.is_empty() {
            let end = self.end() + effects.records.len() as i64;
            self.log.push((effects.records, end));
            let appended = self.shard.appended(Context { now: self.now(), metadata: &self.metadata }, end);
            self.tell(effects.answers);
            self.carry_out_shard(appended);
            if !self.followers_are_away {
                let committed = self.shard.committed(Context { now: self.now(), metadata: &self.metadata }, end);
                self.carry_out_shard(committed);
            }
            return;
        }
        self.tell(effects.answers);
    }
    fn tell(&mut self, answers: Vec<(AskId, Response)>) {
        for (ask, response) in answers {
            if let Some((app, conn)) = self.asks.remove(&ask) {
                self.answer(app, conn, group_response(response));
            }
        }
    }
}

fn host(id: i32) -> StrBytes {
    StrBytes::from_string(format!("b{id}"))
}
/// The leader finds every position in its history.
fn goes_on(request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let partition = |p: &offset_for_leader_epoch_request::OffsetForLeaderPartition| {
        offset_for_leader_epoch_response::EpochEndOffset::default()
            .with_partition(p.partition)
            .with_leader_epoch(5)
            .with_end_offset(i64::MAX)
    };
    let topic = |t: &offset_for_leader_epoch_request::OffsetForLeaderTopic| {
        offset_for_leader_epoch_response::OffsetForLeaderTopicResult::default()
            .with_topic(t.topic.clone())
            .with_partitions(t.partitions.iter().map(partition).collect())
    };
    OffsetForLeaderEpochResponse::default().with_topics(request.topics.iter().map(topic).collect())
}

fn group_request(request: &RequestKind) -> Request {
    match request.clone() {
        RequestKind::JoinGroup(request) => Request::JoinGroup(request),
        RequestKind::SyncGroup(request) => Request::SyncGroup(request),
        RequestKind::Heartbeat(request) => Request::Heartbeat(request),
        RequestKind::LeaveGroup(request) => Request::LeaveGroup(request),
        RequestKind::ConsumerGroupHeartbeat(request) => Request::ConsumerGroupHeartbeat(request),
        RequestKind::OffsetCommit(request) => Request::OffsetCommit(request),
        RequestKind::OffsetFetch(mut request) => {
            Request::OffsetFetch { group: request.groups.remove(0), require_stable: request.require_stable }
        }
        other => panic!("a consumer does not ask {other:?}"),
    }
}
fn group_response(response: Response) -> ResponseKind {
    match response {
        Response::JoinGroup(response) => response.into(),
        Response::SyncGroup(response) => response.into(),
        Response::Heartbeat(response) => response.into(),
        Response::LeaveGroup(response) => response.into(),
        Response::ConsumerGroupHeartbeat(response) => response.into(),
        Response::OffsetCommit(response) => response.into(),
        Response::OffsetFetch(group) => OffsetFetchResponse::default().with_groups(vec![group]).into(),
        other => panic!("no consumer asked for {other:?}"),
    }
}
