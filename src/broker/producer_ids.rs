//! InitProducerId: which producer id does an idempotent producer get?
//!
//! ```text
//!   InitProducerId ──▶ the current block has an id left ──▶ answered
//!                  └─▶ it has none ──▶ the next block, if it is here
//!                                  └─▶ COORDINATOR_LOAD_IN_PROGRESS, and the controller is asked for a block
//! ```
//!
//! Any broker answers, each from blocks of its own, so that no two producers of a cluster ever get the same id. The next
//! block is asked for when the current one is nearly used up. A broker that stops loses what it has not handed out.
//! Source: KIP-730, `RPCProducerIdManager`, `TransactionCoordinator.handleInitProducerId`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
    RequestKind, ResponseKind,
};

use super::Broker;
use crate::conformance::ProducerRule;
use crate::node::{Effects, Nanos, Now, ReqId, ms};
use crate::protocol::errors::NONE;

/// Pause after a block was refused (`RPCProducerIdManager.RETRY_BACKOFF_MS`).
const RETRY_BACKOFF: Nanos = ms(50);
/// The next block is asked for when so many in a hundred ids are used up (`PID_PREFETCH_THRESHOLD`).
const PREFETCH_AT_PERCENT: i64 = 90;
/// Blocks tried for one producer, for a block may be empty (`ITERATION_LIMIT`).
const BLOCKS_TRIED: u32 = 4;

/// No producer id and no producer epoch (`RecordBatch.NO_PRODUCER_ID`, `NO_PRODUCER_EPOCH`).
const NO_PRODUCER: (i64, i16) = (-1, -1);

/// Ids that the controller gave (`ProducerIdsBlock`).
#[derive(Clone, Copy, Debug)]
struct Block {
    first: i64,
    size: i64,
    next: i64,
}

impl Block {
    const EMPTY: Block = Block { first: 0, size: 0, next: 0 };

    fn claim_next_id(&mut self) -> Option<i64> {
        let id = self.next;
        (id < self.first + self.size).then(|| {
            self.next += 1;
            id
        })
    }
    fn last(&self) -> i64 {
        self.first + self.size - 1
    }
    fn is_prefetched_at(&self, id: i64) -> bool {
        id == self.first + self.size * PREFETCH_AT_PERCENT / 100
    }
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct ProducerIdManager {
    current: Block,
    next: Option<Block>,
    /// The controller is asked, or has answered with a block that nobody has needed yet.
    request_in_flight: bool,
    /// Until then it is left alone.
    back_off_until: Nanos,
}

impl ProducerIdManager {
    pub(super) fn new() -> Self {
        ProducerIdManager { current: Block::EMPTY, next: None, request_in_flight: false, back_off_until: 0 }
    }

    /// An id, if there is one, and whether the next block is to be asked for (`RPCProducerIdManager.generateProducerId`).
    fn generate_producer_id(&mut self) -> (Option<i64>, bool) {
        for _ in 0..BLOCKS_TRIED {
            if let Some(id) = self.current.claim_next_id() {
                return (Some(id), self.current.is_prefetched_at(id) && ProducerRule::NextBlockIsPrefetched.holds());
            }
            match self.next.take() {
                None => return (None, true),
                Some(block) => {
                    self.current = block;
                    self.request_in_flight = false;
                }
            }
        }
        (None, false)
    }

    /// One request at a time, none while a block waits, and a pause after a refusal
    /// (`RPCProducerIdManager.maybeRequestNextBlock`). True if the controller is to be asked now.
    fn may_request_next_block(&mut self, now: Nanos) -> bool {
        let is_asked = self.request_in_flight && ProducerRule::OneBlockIsAskedForAtATime.holds();
        let backs_off = now < self.back_off_until && ProducerRule::RefusedBlockIsAskedForLater.holds();
        if self.next.is_some() || is_asked || backs_off {
            return false;
        }
        self.request_in_flight = true;
        true
    }

    /// Source: `RPCProducerIdManager.handleAllocateProducerIdsResponse`, `sanityCheckResponse`.
    fn on_answered(&mut self, now: Nanos, response: &AllocateProducerIdsResponse) {
        let (first, size) = (response.producer_id_start.0, i64::from(response.producer_id_len));
        let follows = first > self.current.last() || !ProducerRule::BlockFollowsTheCurrent.holds();
        let is_possible = first >= 0 && size >= 0 && first <= i64::MAX - size;
        if response.error_code == NONE && follows && is_possible {
            self.next = Some(Block { first, size, next: first });
            self.back_off_until = 0;
        } else {
            self.back_off_until = now.saturating_add(RETRY_BACKOFF);
            self.request_in_flight = false;
        }
    }

    /// The controller has not answered for a long time (`ControllerRequestCompletionHandler.onTimeout`).
    fn on_timeout(&mut self) {
        self.back_off_until = 0;
        self.request_in_flight = false;
    }
}

impl Broker {
    /// An idempotent producer without transactional id always gets a new id, with epoch 0. Transactions are not modelled:
    /// who names a transactional id is told UNSUPPORTED_VERSION, which no client takes for a passing trouble.
    /// Sources: `KafkaApis.handleInitProducerIdRequest`, `TransactionCoordinator.handleInitProducerId`.
    pub(super) fn on_init_producer_id(
        &mut self,
        now: Now,
        req: ReqId,
        request: &InitProducerIdRequest,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(5_000);
        let result = match check_init_producer_id(request) {
            Ok(()) => self.generate_producer_id(now, fx),
            Err(error) => Err(error),
        };
        let ((producer_id, producer_epoch), error_code) = match result {
            Ok(producer_id) => ((producer_id, 0), NONE),
            Err(error) => (NO_PRODUCER, error.code()),
        };
        let response = InitProducerIdResponse::default()
            .with_error_code(error_code)
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(producer_epoch);
        fx.answer(req, ResponseKind::InitProducerId(response));
    }

    /// Without an id left the producer is told to come again: older clients take no other error for a passing one.
    fn generate_producer_id(&mut self, now: Now, fx: &mut Effects<'_>) -> Result<i64, ResponseError> {
        let (id, wants_next_block) = self.producer_ids.generate_producer_id();
        if wants_next_block && self.producer_ids.may_request_next_block(now.mono) {
            let request = AllocateProducerIdsRequest::default()
                .with_broker_id(self.setup.node_id.into())
                .with_broker_epoch(self.lifecycle.broker_epoch().unwrap_or(-1));
            self.forward_own(now, RequestKind::AllocateProducerIds(request), fx);
        }
        id.ok_or(match ProducerRule::NoIdYetIsRetriable.holds() {
            true => ResponseError::CoordinatorLoadInProgress,
            false => ResponseError::RequestTimedOut,
        })
    }

    pub(super) fn on_producer_ids_allocated(&mut self, now: Now, response: Option<&AllocateProducerIdsResponse>) {
        match response {
            Some(response) => self.producer_ids.on_answered(now.mono, response),
            None => self.producer_ids.on_timeout(),
        }
    }
}

/// Id and epoch are both given, by a producer that has had them, or neither is.
fn check_init_producer_id(request: &InitProducerIdRequest) -> Result<(), ResponseError> {
    let (no_id, no_epoch) = NO_PRODUCER;
    let has_one_only = (request.producer_id.0 == no_id) != (request.producer_epoch == no_epoch);
    if has_one_only && ProducerRule::IdAndEpochComeTogether.holds() {
        return Err(ResponseError::InvalidRequest);
    }
    match &request.transactional_id {
        None => Ok(()),
        Some(id) if id.is_empty() => Err(ResponseError::InvalidRequest),
        Some(_) => Err(ResponseError::UnsupportedVersion),
    }
}
