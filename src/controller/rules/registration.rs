//! Registration: who a broker id belongs to, and with which broker epoch.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerRegistrationRequest;

use super::sessions::Sessions;
use super::{Cluster, Decision};
use crate::metadata::MetadataRecord;
use crate::node::Nanos;

/// The records of a registration, and the broker epoch it gives.
pub struct Registration {
    /// Changes of partitions, then the registration.
    pub decision: Decision,
    /// The broker epoch.
    pub broker_epoch: i64,
}

impl Cluster<'_> {
    /// Source: `ClusterControlManager.registerBroker`. `next_offset` is where the first record will stand.
    pub fn register_broker(
        &self,
        now: Nanos,
        sessions: &Sessions,
        cluster_id: &str,
        next_offset: i64,
        request: &BrokerRegistrationRequest,
    ) -> Result<Registration, ResponseError> {
        if request.cluster_id.as_str() != cluster_id {
            return Err(ResponseError::InconsistentClusterId);
        }
        let listener = request.listeners.first().ok_or(ResponseError::InvalidRegistration)?;
        if request.broker_id.0 < 0 || request.is_migrating_zk_broker {
            return Err(ResponseError::InvalidRegistration);
        }
        self.check_duplicate_registration(now, sessions, request)?;

        let broker = request.broker_id.0;
        let existing = self.image.brokers.get(&broker);
        let same_incarnation = existing.filter(|e| e.incarnation == request.incarnation_id);
        let mut records = match same_incarnation {
            Some(_) => Vec::new(),
            None => self.handle_broker_shutdown(broker),
        };
        // KIP-631: the broker epoch is the offset of the registration record. An incarnation that registers again
        // (its first answer was lost) keeps its epoch and its state.
        let broker_epoch = match same_incarnation {
            Some(existing) => existing.broker_epoch,
            None => next_offset + records.len() as i64,
        };
        records.push(MetadataRecord::RegisterBroker {
            broker,
            incarnation: request.incarnation_id,
            broker_epoch,
            host: listener.host.to_string(),
            port: listener.port,
            rack: request.rack.as_ref().map(ToString::to_string),
            fenced: same_incarnation.is_none_or(|e| e.fenced),
            in_controlled_shutdown: same_incarnation.is_some_and(|e| e.in_controlled_shutdown),
        });
        let clean_registration = same_incarnation.is_some()
            || existing.is_none_or(|existing| existing.broker_epoch == request.previous_broker_epoch);
        Ok(Registration { decision: Decision { records, clean_registration, ..Decision::default() }, broker_epoch })
    }

    /// Another incarnation holds the id while its session is valid, unless it is shutting down anyway (since 4.0). The
    /// broker tries again until the session has run out. Source: `ClusterControlManager.registerBroker`.
    fn check_duplicate_registration(
        &self,
        now: Nanos,
        sessions: &Sessions,
        request: &BrokerRegistrationRequest,
    ) -> Result<(), ResponseError> {
        match self.image.brokers.get(&request.broker_id.0) {
            Some(existing)
                if existing.incarnation != request.incarnation_id
                    && !existing.in_controlled_shutdown
                    && sessions.has_valid_session(now, request.broker_id.0) =>
            {
                Err(ResponseError::DuplicateBrokerRegistration)
            }
            _ => Ok(()),
        }
    }
}
