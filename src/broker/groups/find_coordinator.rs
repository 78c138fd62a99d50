//! FindCoordinator: who coordinates a group? And the topic that says so is created where it is missing.
//!
//! Source: `KafkaApis.handleFindCoordinatorRequest`, `getCoordinator`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::conformance::CoordinatorRule;
use crate::group::partition_for::OFFSETS_TOPIC;
use crate::ids::{BrokerId, NO_BROKER};
use crate::node::{Effects, Endpoint, Now, ReqId};

/// From this version on many are asked for at once (KIP-699).
const BATCHED_VERSION: i16 = 4;
/// `CoordinatorType`: groups of consumers, and transactions.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

impl Broker {
    pub(in crate::broker) fn on_find_coordinator(
        &mut self,
        now: Now,
        req: ReqId,
        api_version: i16,
        request: &FindCoordinatorRequest,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(4_000);
        let response = FindCoordinatorResponse::default();
        if api_version < BATCHED_VERSION {
            let response = match self.find_coordinator(now, request.key_type, &request.key, fx) {
                Ok((broker, endpoint)) => response
                    .with_node_id(broker.into())
                    .with_host(StrBytes::from_string(endpoint.host))
                    .with_port(i32::from(endpoint.port)),
                Err(error) => response.with_error_code(error.code()).with_node_id(NO_BROKER.into()).with_port(-1),
            };
            return fx.answer(req, ResponseKind::FindCoordinator(response));
        }
        let one = |key: &StrBytes| {
            let found = Coordinator::default().with_key(key.clone());
            match self.find_coordinator(now, request.key_type, key, fx) {
                Ok((broker, endpoint)) => found
                    .with_node_id(broker.into())
                    .with_host(StrBytes::from_string(endpoint.host))
                    .with_port(i32::from(endpoint.port)),
                Err(error) => found.with_error_code(error.code()).with_node_id(NO_BROKER.into()).with_port(-1),
            }
        };
        let coordinators = request.coordinator_keys.iter().map(one).collect();
        fx.answer(req, ResponseKind::FindCoordinator(response.with_coordinators(coordinators)));
    }

    /// The living leader of the partition that holds the group. Transactions are not modelled: who asks for their
    /// coordinator is told UNSUPPORTED_VERSION, which no client takes for a passing trouble. There are no share groups, as
    /// in a cluster that has not enabled them.
    fn find_coordinator(
        &mut self,
        now: Now,
        key_type: i8,
        key: &str,
        fx: &mut Effects<'_>,
    ) -> Result<(BrokerId, Endpoint), ResponseError> {
        match key_type {
            GROUP => {}
            TRANSACTION => return Err(ResponseError::UnsupportedVersion),
            _ => return Err(ResponseError::InvalidRequest),
        }
        let Some(topic) = self.image.topic(OFFSETS_TOPIC) else {
            if CoordinatorRule::OffsetsTopicIsCreated.holds() {
                self.create_topic_automatically(now, &TopicName(StrBytes::from_static_str(OFFSETS_TOPIC)), fx);
            }
            return Err(ResponseError::CoordinatorNotAvailable);
        };
        let partition = usize::try_from(self.groups.partition_for(key)).unwrap_or(usize::MAX);
        let leader = topic.partitions.get(partition).map_or(NO_BROKER, |partition| partition.leader);
        let living = self.image.brokers.get(&leader).filter(|broker| !broker.fenced);
        living.map(|broker| (leader, broker.endpoint.clone())).ok_or(ResponseError::CoordinatorNotAvailable)
    }
}
