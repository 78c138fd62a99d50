//! Heartbeats: the only way in which a broker's state changes while it is alive.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::sessions::{BrokerControlState, Sessions};
use super::{Cluster, Decision};
use crate::conformance::BrokerRule;
use crate::ids::BrokerId;
use crate::node::Nanos;

/// What a heartbeat leads to.
pub struct HeartbeatOutcome {
    /// Records of the state change, if there is one.
    pub decision: Decision,
    /// The answer.
    pub response: BrokerHeartbeatResponse,
    /// The broker is in controlled shutdown: the offset of the last record written so far is what the others must
    /// reach before it may stop.
    pub in_controlled_shutdown: bool,
}

impl Cluster<'_> {
    /// Source: `ReplicationControlManager.processBrokerHeartbeat`. `registration_offset` is the offset of the broker's
    /// registration record.
    pub fn process_broker_heartbeat(
        &self,
        now: Nanos,
        sessions: &mut Sessions,
        registration_offset: i64,
        request: &BrokerHeartbeatRequest,
    ) -> Result<HeartbeatOutcome, ResponseError> {
        let broker: BrokerId = request.broker_id.0;
        if BrokerRule::HeartbeatOfAnotherEpochIsStale.holds() {
            self.check_broker_epoch(broker, request.broker_epoch)?;
        }
        let current = sessions.current_state(broker).ok_or(ResponseError::StaleBrokerEpoch)?;
        let next = self.next_broker_state(sessions, current, registration_offset, request);
        let records = match next {
            _ if next == current => Vec::new(),
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow => self.handle_broker_fenced(broker),
            BrokerControlState::Unfenced => self.handle_broker_unfenced(broker, request.broker_epoch),
            BrokerControlState::ControlledShutdown => {
                self.handle_broker_in_controlled_shutdown(broker, request.broker_epoch)
            }
        };
        sessions.touch(now, broker, next.is_fenced(), request.current_metadata_offset);
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(request.current_metadata_offset >= registration_offset)
            .with_is_fenced(next.is_fenced())
            .with_should_shut_down(next == BrokerControlState::ShutdownNow);
        Ok(HeartbeatOutcome {
            decision: Decision::of(records),
            response,
            in_controlled_shutdown: next == BrokerControlState::ControlledShutdown,
        })
    }

    /// Source: `BrokerHeartbeatManager.calculateNextBrokerState`.
    pub fn next_broker_state(
        &self,
        sessions: &Sessions,
        current: BrokerControlState,
        registration_offset: i64,
        request: &BrokerHeartbeatRequest,
    ) -> BrokerControlState {
        let broker: BrokerId = request.broker_id.0;
        match current {
            BrokerControlState::Fenced if request.want_shut_down => BrokerControlState::ShutdownNow,
            BrokerControlState::Fenced => {
                // It must have seen its own registration, or it would lead on metadata of a predecessor.
                let wants = !request.want_fence || !BrokerRule::UnfencedOnlyAtItsWish.holds();
                let knows = request.current_metadata_offset >= registration_offset
                    || !BrokerRule::UnfencedOnlyPastItsRegistration.holds();
                if wants && knows { BrokerControlState::Unfenced } else { BrokerControlState::Fenced }
            }
            BrokerControlState::Unfenced => match (request.want_fence, request.want_shut_down) {
                (true, true) => BrokerControlState::ShutdownNow,
                (true, false) => BrokerControlState::Fenced,
                (false, true) if self.has_leaderships(broker) && BrokerRule::LeaderShutsDownInTwoSteps.holds() => {
                    BrokerControlState::ControlledShutdown
                }
                (false, true) => BrokerControlState::ShutdownNow,
                (false, false) => BrokerControlState::Unfenced,
            },
            BrokerControlState::ControlledShutdown => {
                if self.may_shut_down(sessions, broker) {
                    BrokerControlState::ShutdownNow
                } else {
                    BrokerControlState::ControlledShutdown
                }
            }
            BrokerControlState::ShutdownNow => BrokerControlState::ShutdownNow,
        }
    }

    /// A broker in controlled shutdown may stop once it leads nothing and every active broker knows that.
    /// Source: `BrokerHeartbeatManager.calculateNextBrokerState`.
    fn may_shut_down(&self, sessions: &Sessions, broker: BrokerId) -> bool {
        (!self.has_leaderships(broker) || !BrokerRule::ShutDownWaitsUntilItLeadsNothing.holds())
            && sessions.controlled_shutdown_offset(broker).is_some_and(|offset| {
                offset <= sessions.lowest_active_offset() || !BrokerRule::ShutDownWaitsUntilAllKnow.holds()
            })
    }
}
