//! Which request goes where, and the small ones: ApiVersions and Metadata (`KafkaApis`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, MetadataRequest, MetadataResponse, RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use trial_storage::Disk;

use super::Broker;
use crate::ids::NO_BROKER;
use crate::metadata::TopicImage;
use crate::node::{ConnId, Effects, Now, RandomFor, ReqId, RequestHeader};
use crate::protocol::{BROKER_APIS, is_internal_topic, is_valid_topic_name, topic_name};

impl Broker {
    #[allow(clippy::too_many_arguments)] // a request is all of these
    pub(super) fn on_request(
        &mut self,
        now: Now,
        req: ReqId,
        conn: ConnId,
        header: &RequestHeader,
        body: RequestKind,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !self.is_serving() {
            return fx.hang_up(conn);
        }
        match body {
            RequestKind::Produce(request) => {
                self.on_produce(now, (req, conn), header, request, disk, fx);
            }
            RequestKind::Fetch(request) => self.on_fetch(now, req, header.api_version, request, disk, fx),
            RequestKind::ListOffsets(request) => self.on_list_offsets(req, header.api_version, &request, disk, fx),
            RequestKind::OffsetForLeaderEpoch(request) => self.on_offset_for_leader_epoch(req, &request, fx),
            RequestKind::DeleteRecords(request) => self.on_delete_records(now, req, request, disk, fx),
            RequestKind::Metadata(request) => self.on_metadata_request(now, req, header.api_version, request, fx),
            RequestKind::ApiVersions(_) => fx.answer(req, ResponseKind::ApiVersions(api_versions())),
            RequestKind::DescribeConfigs(request) => {
                fx.charge(5_000);
                fx.answer(req, ResponseKind::DescribeConfigs(self.describe_configs(&request)));
            }
            RequestKind::InitProducerId(request) => self.on_init_producer_id(now, req, &request, fx),
            RequestKind::FindCoordinator(request) => {
                self.on_find_coordinator(now, req, header.api_version, &request, fx);
            }
            body @ (RequestKind::CreateTopics(_)
            | RequestKind::DeleteTopics(_)
            | RequestKind::CreatePartitions(_)
            | RequestKind::IncrementalAlterConfigs(_)
            | RequestKind::ElectLeaders(_)
            | RequestKind::AlterPartitionReassignments(_)
            | RequestKind::ListPartitionReassignments(_)
            | RequestKind::DescribeQuorum(_)
            | RequestKind::AddRaftVoter(_)
            | RequestKind::RemoveRaftVoter(_)) => {
                self.forward(now, req, conn, header.api_version, body, fx);
            }
            other => {
                if self.on_group_request((req, conn), header, other, fx).is_some() {
                    // Not among what ApiVersions offered: Kafka closes such a connection.
                    fx.hang_up(conn);
                }
            }
        }
    }

    /// Answered from this broker's own image, which may be behind (`KafkaApis.handleTopicMetadataRequest`).
    fn on_metadata_request(
        &mut self,
        now: Now,
        req: ReqId,
        api_version: i16,
        request: MetadataRequest,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(5_000);
        let asked_for_all = match &request.topics {
            None => true,
            // Before v1 an empty list meant all.
            Some(topics) => api_version == 0 && topics.is_empty(),
        };
        let topics = if asked_for_all {
            self.image.topics.values().map(|topic| self.describe_topic(topic)).collect()
        } else {
            // The flag exists since v4; older clients always create.
            let may_create = request.allow_auto_topic_creation || api_version < 4;
            let asked = request.topics.unwrap_or_default();
            asked.into_iter().map(|t| self.describe_asked(now, t.name, t.topic_id, may_create, fx)).collect()
        };
        let alive: Vec<_> = self.image.brokers.iter().filter(|(_, b)| !b.fenced).collect();
        let brokers = alive
            .iter()
            .map(|(id, b)| {
                MetadataResponseBroker::default()
                    .with_node_id((**id).into())
                    .with_host(StrBytes::from_string(b.endpoint.host.clone()))
                    .with_port(i32::from(b.endpoint.port))
                    .with_rack(b.rack.clone().map(StrBytes::from_string))
            })
            .collect();
        // In KRaft mode brokers name a random living broker as controller; requests for it are forwarded.
        let controller = match alive.len() {
            0 => NO_BROKER,
            n => *alive[fx.random_below(RandomFor::LeastLoadedBroker, n as u64) as usize].0,
        };
        let response = MetadataResponse::default()
            .with_brokers(brokers)
            .with_cluster_id(Some(StrBytes::from_string(self.setup.cluster_id.clone())))
            .with_controller_id(controller.into())
            .with_topics(topics);
        fx.answer(req, ResponseKind::Metadata(response));
    }

    fn describe_asked(
        &mut self,
        now: Now,
        name: Option<TopicName>,
        topic_id: uuid::Uuid,
        may_create: bool,
        fx: &mut Effects<'_>,
    ) -> MetadataResponseTopic {
        let known = match &name {
            Some(name) => self.image.topic(name),
            None => self.image.topics.get(&topic_id),
        };
        if let Some(topic) = known {
            return self.describe_topic(topic);
        }
        let error = match &name {
            Some(name) if !is_valid_topic_name(name) => ResponseError::InvalidTopicException,
            Some(name) => {
                if may_create && self.setup.config.auto_create_topics_enable {
                    self.create_topic_automatically(now, name, fx);
                }
                ResponseError::UnknownTopicOrPartition
            }
            None => ResponseError::UnknownTopicId,
        };
        let is_internal = name.as_deref().is_some_and(|name| is_internal_topic(name));
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(name)
            .with_topic_id(topic_id)
            .with_is_internal(is_internal)
    }

    fn describe_topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().zip(0..).map(|(p, index)| {
            let offline = p.replicas.iter().filter(|b| self.image.brokers.get(b).is_none_or(|r| r.fenced));
            let error = if p.has_leader() { 0 } else { ResponseError::LeaderNotAvailable.code() };
            MetadataResponsePartition::default()
                .with_error_code(error)
                .with_partition_index(index)
                .with_leader_id(p.leader.into())
                .with_leader_epoch(p.leader_epoch)
                .with_replica_nodes(p.replicas.iter().map(|b| (*b).into()).collect())
                .with_isr_nodes(p.isr.iter().map(|b| (*b).into()).collect())
                .with_offline_replicas(offline.map(|b| (*b).into()).collect())
        });
        MetadataResponseTopic::default()
            .with_name(Some(topic_name(&topic.name)))
            .with_topic_id(topic.topic_id)
            .with_is_internal(is_internal_topic(topic.name.as_str()))
            .with_partitions(partitions.collect())
    }
}

/// The versions this broker speaks. The response to a version it does not speak is made by the host, as version 0.
pub fn api_versions() -> ApiVersionsResponse {
    let keys = BROKER_APIS.iter().map(|api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}
