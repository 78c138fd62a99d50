//! From a request to a decision and an answer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationResponse, RequestKind, ResponseKind};

use super::quorum::{Io, QuorumError};
use super::rules::{Cluster, Decision};
use super::{Controller, Phase, api};
use crate::node::{ConnId, ReqId};

/// A request as it came in.
pub struct Request {
    pub req: ReqId,
    pub conn: ConnId,
    pub api_version: i16,
    pub body: Box<RequestKind>,
}

/// What a rule gives for a whole request: an answer, or one error for all of it.
type Verdict = Result<ResponseKind, ResponseError>;

impl Controller {
    /// Answers a request now, lets it wait, or ends its connection.
    pub(super) fn on_request(&mut self, request: Request, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Request { req, conn, api_version, body } = request;
        if let RequestKind::ApiVersions(_) = *body {
            io.fx.answer(req, api::api_versions(api_version).into());
            return Ok(());
        }
        let (Some(api), Some(quorum)) = (api::served(&body, api_version), &mut self.quorum) else {
            io.fx.hang_up(conn);
            return Ok(());
        };
        if api::is_for_the_quorum(api) {
            return quorum.on_request(req, api_version, body, io);
        }
        let Some(refusal) = api::error_response(&body, api_version, ResponseError::NotController) else {
            io.fx.hang_up(conn);
            return Ok(());
        };
        if self.phase != Phase::Active {
            io.fx.answer(req, refusal);
            return Ok(());
        }
        match self.decide(&body, io)? {
            Ok(response) => self.answer_when_committed(req, response, refusal, io.fx),
            // An error of the whole request is told at once: it depends on nothing that is still to be committed but the
            // sender's own session. Source: `QuorumController.ControllerWriteEvent.handleException`.
            Err(error) => match api::error_response(&body, api_version, error) {
                Some(response) => io.fx.answer(req, response),
                None => io.fx.hang_up(conn),
            },
        }
        Ok(())
    }

    /// Decides a request and appends what follows from it.
    fn decide(&mut self, body: &RequestKind, io: &mut Io<'_, '_>) -> Result<Verdict, QuorumError> {
        let cluster = Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo };
        let (decision, response): (Decision, ResponseKind) = match body {
            RequestKind::BrokerHeartbeat(request) => return self.decide_heartbeat(request, io),
            RequestKind::BrokerRegistration(request) => {
                let next_offset = self.last_offset() + 1;
                let cluster_id = &self.setup.cluster_id;
                match cluster.register_broker(io.now.mono, &self.sessions, cluster_id, next_offset, request) {
                    Ok(registration) => {
                        let response =
                            BrokerRegistrationResponse::default().with_broker_epoch(registration.broker_epoch);
                        (registration.decision, response.into())
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
            RequestKind::AlterPartition(request) => {
                let (decision, response) = cluster.alter_partition(request);
                (decision, response.into())
            }
            RequestKind::CreateTopics(request) => {
                let (decision, response) = cluster.create_topics(io.fx, request);
                (decision, response.into())
            }
            RequestKind::ElectLeaders(request) => {
                let (decision, response) = cluster.elect_leaders(request);
                (decision, response.into())
            }
            RequestKind::DeleteTopics(request) => {
                let (decision, response) = cluster.delete_topics(request);
                (decision, response.into())
            }
            RequestKind::CreatePartitions(request) => {
                let (decision, response) = cluster.create_partitions(io.fx, request);
                (decision, response.into())
            }
            RequestKind::IncrementalAlterConfigs(request) => {
                let (decision, response) = cluster.incremental_alter_configs(request);
                (decision, response.into())
            }
            RequestKind::AlterPartitionReassignments(request) => {
                let (decision, response) = cluster.alter_partition_reassignments(request);
                (decision, response.into())
            }
            RequestKind::ListPartitionReassignments(request) => {
                (Decision::default(), cluster.list_partition_reassignments(request).into())
            }
            RequestKind::AllocateProducerIds(request) => match cluster.allocate_producer_ids(request) {
                Ok((decision, response)) => (decision, response.into()),
                Err(error) => return Ok(Err(error)),
            },
            _ => return Ok(Err(ResponseError::InvalidRequest)),
        };
        self.write(decision, io)?;
        Ok(Ok(response))
    }

    fn decide_heartbeat(
        &mut self,
        request: &BrokerHeartbeatRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<Verdict, QuorumError> {
        let broker = request.broker_id.0;
        let cluster = Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo };
        let registered_at = self.registration_offsets.get(&broker).copied().unwrap_or(i64::MAX);
        let outcome = cluster.process_broker_heartbeat(io.now.mono, &mut self.sessions, registered_at, request);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Ok(Err(error)),
        };
        self.write(outcome.decision, io)?;
        if outcome.in_controlled_shutdown {
            self.sessions.maybe_update_controlled_shutdown_offset(broker, self.last_offset());
        }
        Ok(Ok(outcome.response.into()))
    }
}
