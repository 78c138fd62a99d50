//! Registration: who a broker id belongs to, and with which broker epoch.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerRegistrationRequest;

use super::sessions::Sessions;
use super::{Cluster, Decision};
use crate::conformance::{BrokerRule, PartitionRule};
use crate::metadata::{BrokerRegistration, MetadataRecord};
use crate::node::Nanos;
use crate::zoo::Switch;

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
        self.check_duplicate_registration(now, sessions, request)?;
        if request.is_migrating_zk_broker {
            return Err(ResponseError::BrokerIdNotRegistered);
        }
        let listener = request.listeners.first().ok_or(ResponseError::InvalidRegistration)?;
        if request.broker_id.0 < 0 {
            return Err(ResponseError::InvalidRegistration);
        }

        let broker = request.broker_id.0;
        let existing = self.image.brokers.get(&broker);
        let same_incarnation = existing.filter(|e| e.incarnation == request.incarnation_id);
        let clean = is_clean_shutdown(existing, request);
        let mut records = match same_incarnation {
            Some(_) => Vec::new(),
            None => self.handle_broker_shutdown(broker, clean),
        };
        let new_broker_epoch = match BrokerRule::BrokerEpochIsAnOffset.holds() {
            true => next_offset + records.len() as i64,
            false => existing.map_or(0, |existing| existing.broker_epoch + 1),
        };
        let broker_epoch = self.broker_epoch_of_registration(same_incarnation, new_broker_epoch);
        let at = if PartitionRule::RegistrationComesAfterTheElections.holds() { records.len() } else { 0 };
        let registration = MetadataRecord::RegisterBroker {
            broker,
            incarnation: request.incarnation_id,
            broker_epoch,
            host: listener.host.to_string(),
            port: listener.port,
            rack: request.rack.as_ref().map(ToString::to_string),
            fenced: same_incarnation.map_or(BrokerRule::NewRegistrationIsFenced.holds(), |e| e.fenced),
            in_controlled_shutdown: same_incarnation.is_some_and(|e| e.in_controlled_shutdown),
        };
        records.insert(at, registration);
        let clean_registration = same_incarnation.is_some() || existing.is_none() || clean;
        Ok(Registration { decision: Decision { records, clean_registration, ..Decision::default() }, broker_epoch })
    }

    /// KIP-631: the broker epoch is the offset of the registration record. An incarnation that registers again (its
    /// first answer was late or lost) keeps its epoch and its state, for it may be at work under the first one already:
    /// the answer to either request must tell it the same (KAFKA-16952). The zoo switch `broker-epoch-bump-on-amend`
    /// brings back a new epoch each time: when the late request comes in after the answer to the later one, the broker
    /// never learns which epoch counts. Source: `ClusterControlManager.registerBroker`.
    fn broker_epoch_of_registration(
        &self,
        same_incarnation: Option<&BrokerRegistration>,
        new_broker_epoch: i64,
    ) -> i64 {
        match same_incarnation {
            Some(existing)
                if !self.zoo.on(Switch::BrokerEpochBumpOnAmend) && BrokerRule::SameIncarnationKeepsItsEpoch.holds() =>
            {
                existing.broker_epoch
            }
            _ => new_broker_epoch,
        }
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
                    && (!existing.in_controlled_shutdown || !BrokerRule::StoppingBrokerIsReplaced.holds())
                    && sessions.has_valid_session(now, request.broker_id.0)
                    && BrokerRule::ValidSessionKeepsOthersOut.holds() =>
            {
                Err(ResponseError::DuplicateBrokerRegistration)
            }
            _ => Ok(()),
        }
    }
}

/// A broker stopped cleanly if it names the broker epoch it last ran with, as its clean-shutdown marker kept it. An
/// unknown broker did not: it has nothing, whatever partitions may say of it.
/// Source: KIP-966, `ClusterControlManager.registerBroker`.
fn is_clean_shutdown(existing: Option<&BrokerRegistration>, request: &BrokerRegistrationRequest) -> bool {
    existing.is_some_and(|existing| {
        existing.broker_epoch == request.previous_broker_epoch || !BrokerRule::CleanStopNamesTheLastEpoch.holds()
    })
}
