//! From a request to a decision and an answer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationResponse, RequestKind, ResponseKind};
use trial_storage::Disk;

use super::quorum::QuorumError;
use super::rules::{Cluster, Decision};
use super::{Controller, Phase, api};
use crate::node::{ConnId, Effects, Now, ReqId};

/// A request as it came in.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub req: ReqId,
    pub conn: ConnId,
    pub api_version: i16,
    pub body: &'a RequestKind,
}

/// What a rule gives for a whole request: an answer, or one error for all of it.
type Verdict = Result<ResponseKind, ResponseError>;

impl Controller {
    /// Answers a request now, lets it wait, or ends its connection.
    pub(super) fn on_request(
        &mut self,
        now: Now,
        request: Request<'_>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        let Request { req, conn, api_version, body } = request;
        if let RequestKind::ApiVersions(_) = body {
            fx.answer(req, api::api_versions(api_version).into());
            return Ok(());
        }
        let (Some(_), Some(quorum)) = (api::served(body, api_version), &mut self.quorum) else {
            fx.hang_up(conn);
            return Ok(());
        };
        match body {
            RequestKind::Fetch(request) => quorum.fetch(now, req, request, disk, fx),
            RequestKind::DescribeQuorum(request) => fx.answer(req, quorum.describe(request).into()),
            _ if self.phase == Phase::Active => match self.decide(now, body, disk, fx)? {
                Ok(response) => self.answer_when_committed(req, response, fx),
                Err(error) => refuse(&request, error, fx),
            },
            _ => refuse(&request, ResponseError::NotController, fx),
        }
        Ok(())
    }

    /// Decides a request and appends what follows from it.
    fn decide(
        &mut self,
        now: Now,
        body: &RequestKind,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Verdict, QuorumError> {
        let cluster = Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo };
        let (decision, response): (Decision, ResponseKind) = match body {
            RequestKind::BrokerHeartbeat(request) => return self.decide_heartbeat(now, request, disk, fx),
            RequestKind::BrokerRegistration(request) => {
                let next_offset = self.last_offset() + 1;
                match cluster.register_broker(now.mono, &self.sessions, &self.setup.cluster_id, next_offset, request) {
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
                let (decision, response) = cluster.create_topics(fx, request);
                (decision, response.into())
            }
            RequestKind::ElectLeaders(request) => {
                let (decision, response) = cluster.elect_leaders(request);
                (decision, response.into())
            }
            _ => return Ok(Err(ResponseError::InvalidRequest)),
        };
        self.write(now, decision, disk, fx)?;
        Ok(Ok(response))
    }

    fn decide_heartbeat(
        &mut self,
        now: Now,
        request: &BrokerHeartbeatRequest,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Verdict, QuorumError> {
        let broker = request.broker_id.0;
        let cluster = Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo };
        let registered_at = self.registration_offsets.get(&broker).copied().unwrap_or(i64::MAX);
        let outcome = match cluster.process_broker_heartbeat(now.mono, &mut self.sessions, registered_at, request) {
            Ok(outcome) => outcome,
            Err(error) => return Ok(Err(error)),
        };
        self.write(now, outcome.decision, disk, fx)?;
        if outcome.in_controlled_shutdown {
            self.sessions.maybe_update_controlled_shutdown_offset(broker, self.last_offset());
        }
        Ok(Ok(outcome.response.into()))
    }
}

/// An error of the whole request is told at once: it depends on nothing that is still to be committed but the sender's
/// own session. Source: `QuorumController.ControllerWriteEvent.handleException`.
fn refuse(request: &Request<'_>, error: ResponseError, fx: &mut Effects<'_>) {
    match api::error_response(request.body, request.api_version, error) {
        Some(response) => fx.answer(request.req, response),
        None => fx.hang_up(request.conn),
    }
}
