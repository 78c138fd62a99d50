//! InitProducerId: where an idempotent producer has its id from. Source: `TransactionManager.InitProducerIdHandler`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, RequestKind, ResponseKind};

use super::idempotence::Identity;
use super::sequences::ProducerIdAndEpoch;
use super::{Producer, ProducerCall};
use crate::client::backoff::WakeUp;
use crate::conformance::ProducerClientRule;
use crate::event::Event;
use crate::node::{Effects, Nanos, ms};
use crate::protocol::{error_name, versions};

impl Producer {
    /// Asks any broker for a producer id if there is none, whether or not there is something to send.
    pub(super) fn ask_for_producer_id(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let Some(idempotence) = &mut self.idempotence else { return };
        if !matches!(idempotence.identity, Identity::Wanted { not_before } if not_before <= now) {
            return;
        }
        let Some(peer) = self.cluster.connect_any(now, fx) else { return };
        // Kafka sets the time-out to its largest value where there is no transaction that could time out.
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let versioned = (versions::INIT_PRODUCER_ID, RequestKind::InitProducerId(request));
        self.cluster.call(peer, now, fx, versioned, ProducerCall::InitProducerId);
        idempotence.identity = Identity::Asked;
    }

    /// The id, or an error: one that passes is asked about again after a pause, and any other ends the producer's work.
    pub(super) fn on_producer_id(&mut self, now: Nanos, response: &ResponseKind, fx: &mut Effects<'_>) {
        let ResponseKind::InitProducerId(answer) = response else { return self.producer_id_failed(now) };
        match ResponseError::try_from_code(answer.error_code) {
            None => {
                let producer = ProducerIdAndEpoch { id: answer.producer_id.0, epoch: answer.producer_epoch };
                fx.record(Event::ProducerIdGiven { producer_id: producer.id, epoch: producer.epoch });
                if let Some(idempotence) = &mut self.idempotence {
                    idempotence.become_known(producer);
                }
            }
            Some(error) if error.is_retriable() => self.producer_id_failed(now),
            Some(error) => {
                if let Some(idempotence) = &mut self.idempotence {
                    idempotence.identity = Identity::Refused(error);
                }
            }
        }
    }
    /// Nobody gave an id: another try after a pause.
    pub(super) fn producer_id_failed(&mut self, now: Nanos) {
        let not_before = now.saturating_add(ms(self.config.retry_backoff_ms));
        if let Some(idempotence) = &mut self.idempotence
            && ProducerClientRule::InitProducerIdIsRetried.holds()
        {
            idempotence.identity = Identity::Wanted { not_before };
        }
    }

    /// Once there can be no producer id, everything fails, now and later. Source: `Sender.maybeAbortBatches`,
    /// `TransactionManager.maybeFailWithError`.
    pub(super) fn fail_what_was_refused(&mut self, fx: &mut Effects<'_>) {
        let Some(Identity::Refused(error)) = self.idempotence.as_ref().map(|i| &i.identity) else { return };
        let error = error_name(*error);
        for mut batch in std::mem::take(&mut self.in_flight).into_values() {
            batch.ambiguous = true;
            self.give_up(batch, error.clone(), fx);
        }
        for batch in self.accumulator.take_all() {
            self.give_up(batch, error.clone(), fx);
        }
    }

    /// A broken sequence makes the producer raise its epoch; the trace tells it.
    pub(super) fn mend_sequences(&mut self, fx: &mut Effects<'_>) {
        let Some(idempotence) = &mut self.idempotence else { return };
        idempotence.resolve_sequences();
        if let Some((raised, partitions)) = idempotence.bump_epoch_if_needed() {
            fx.record(Event::ProducerEpochRaised { producer_id: raised.id, epoch: raised.epoch, partitions });
        }
    }

    /// Tells when somebody is asked for an id again.
    pub(super) fn wake_up_for_producer_id(&self, wake_up: &mut WakeUp) {
        if let Some(Identity::Wanted { not_before }) = self.idempotence.as_ref().map(|i| &i.identity) {
            wake_up.also_at(*not_before);
        }
    }
}
