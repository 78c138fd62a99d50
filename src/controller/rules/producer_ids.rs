//! AllocateProducerIds: a broker asks for producer ids to hand out (KIP-730, `ProducerIdControlManager`).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::{Cluster, Decision};
use crate::conformance::ProducerRule;
use crate::metadata::MetadataRecord;

/// How many producer ids a broker is given at a time (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

impl Cluster<'_> {
    /// The next block, for this broker and nobody else ever: what it does not hand out is lost. The answer waits until
    /// the record is committed, or two brokers could be given the same ids.
    /// Source: `ProducerIdControlManager.generateNextProducerId`.
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Result<(Decision, AllocateProducerIdsResponse), ResponseError> {
        let (broker, broker_epoch) = (request.broker_id.0, request.broker_epoch);
        if ProducerRule::BlocksAreForRegisteredBrokers.holds() {
            self.check_broker_epoch(broker, broker_epoch)?;
        }
        let first = match ProducerRule::BlocksFollowEachOther.holds() {
            true => self.image.next_producer_id,
            false => 0,
        };
        if first > i64::MAX - PRODUCER_ID_BLOCK_SIZE {
            return Err(ResponseError::UnknownServerError);
        }
        let next_producer_id = first + PRODUCER_ID_BLOCK_SIZE;
        let record = MetadataRecord::ProducerIds { broker, broker_epoch, next_producer_id };
        let response = AllocateProducerIdsResponse::default()
            .with_producer_id_start(first.into())
            .with_producer_id_len(PRODUCER_ID_BLOCK_SIZE as i32);
        Ok((Decision::of(vec![record]), response))
    }
}
