//! A producer that is played with, its brokers, and what it must do.
//!
//! It is configured as the one of the run, but for what a play is about: it is idempotent, soon sends again what was
//! refused, and soon gives up.

use std::fmt;

use kafka_protocol::ResponseError::{self, UnknownServerError};
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{InitProducerIdResponse, ProduceResponse, RequestKind};
use trial_checker::Word;
use trial_kafka::client::Role;
use trial_kafka::config::{Acks, ProducerConfig};
use trial_kafka::node::{Belief, Command, Now, OpId, Outcome};
use trial_kafka::protocol::errors::NONE;
use trial_kafka::zoo::Zoo;
use trial_storage::parse_header;

use super::Speaker;
use super::client_copy::{Call, ClientCopy, partition};
use super::client_script::{NOTHING, Script};

/// What a producer is that is played with.
pub(super) struct Setup<'a> {
    pub(super) config: &'a ProducerConfig,
    pub(super) zoo: Zoo,
    pub(super) now: Now,
    /// This answer of a broker to a batch, counted from 0, is the opposite of what the play wants: so a test sees that it
    /// matters.
    pub(super) lie: Option<usize>,
}

/// What a batch says of its producer and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

/// What a producer sends for one partition.
struct Sent {
    index: i32,
    stamp: Stamp,
    records: i32,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sent { index, stamp: Stamp { id, epoch, sequence }, records } = self;
        write!(f, "{records} of sequence {sequence} in epoch {epoch} of {id} for partition {index}")
    }
}

/// The producer id that brokers give first.
pub(super) const ID: i64 = 7;

/// See the module documentation.
pub(super) struct Play<'p, 's> {
    copy: ClientCopy,
    linger_ms: i64,
    pub(super) script: Script<'p, 's>,
}

impl<'p, 's> Play<'p, 's> {
    /// So old is a record that is given up.
    pub(super) const DELIVERY_TIMEOUT_MS: i64 = 1_000;

    pub(super) fn begin(setup: &Setup<'_>, what: &'static str, linger_ms: i64, speaker: &'p mut Speaker<'s>) -> Self {
        let config = ProducerConfig {
            acks: Acks::ALL,
            enable_idempotence: true,
            linger_ms,
            batch_size: 16_384,
            max_in_flight: 5,
            delivery_timeout_ms: Self::DELIVERY_TIMEOUT_MS,
            request_timeout_ms: Self::DELIVERY_TIMEOUT_MS - linger_ms,
            retries: i64::from(i32::MAX),
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 100,
            reconnect_backoff_ms: 20,
            reconnect_backoff_max_ms: 20,
            ..setup.config.clone()
        };
        let copy = ClientCopy::start(Role::Producer(config), &[1, 2], setup.zoo, setup.now);
        let script = Script::new(Word::StepOfProducer, format!("played with: {what}"), setup.lie, speaker);
        Play { copy, linger_ms, script }
    }

    // ── the application ──────────────────────────────────────────────────────────────────────────────────────────

    /// It sends a record, which comes into a batch of its own.
    pub(super) fn send(&mut self, index: i32) -> OpId {
        self.send_together(index, 1)[0]
    }
    /// It sends records that come into one batch.
    pub(super) fn send_together(&mut self, index: i32, count: usize) -> Vec<OpId> {
        let to = partition(index);
        let produce = || Command::Produce {
            topic: to.topic.clone(),
            partition: Some(index),
            key: None,
            value: Some("v".into()),
            headers: Vec::new(),
        };
        let ops = (0..count).map(|_| self.copy.command(produce())).collect();
        self.copy.pass(self.linger_ms);
        ops
    }
    /// It must be told this of its record.
    pub(super) fn is_settled(&mut self, op: OpId, truth: Belief) -> Option<()> {
        let said = match self.copy.outcome(op) {
            Some(Outcome::Produced { belief, .. }) => words(belief),
            Some(other) => format!("{other:?}"),
            None => "no outcome".to_string(),
        };
        self.script.follows(said, words(&truth))
    }

    // ── the clock, the network ───────────────────────────────────────────────────────────────────────────────────

    pub(super) fn pass(&mut self, by_ms: i64) {
        self.copy.pass(by_ms);
    }
    /// All connections on which it waits end.
    pub(super) fn cut_off(&mut self) {
        self.copy.cut_off();
    }

    // ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────

    /// It must ask for a producer id.
    pub(super) fn asks_for_id(&mut self) -> Option<Call> {
        let (call, said) = self.next();
        self.script.follows(said, ASKS_FOR_ID.to_string())?;
        call
    }
    pub(super) fn give_id(&mut self, asked: &Call, id: i64, epoch: i16) {
        let answer = InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(epoch);
        self.copy.answer(asked, answer.into());
    }
    pub(super) fn refuse_id(&mut self, asked: &Call, error: ResponseError) {
        let answer = InitProducerIdResponse::default().with_producer_id((-1).into()).with_error_code(error.code());
        self.copy.answer(asked, answer.into());
    }
    /// It is given its first id.
    pub(super) fn has_its_id(&mut self) -> Option<()> {
        let asked = self.asks_for_id()?;
        self.give_id(&asked, ID, 0);
        Some(())
    }
    /// It must have sent a batch for this partition, so stamped, of so many records.
    pub(super) fn sends(&mut self, index: i32, stamp: Stamp, records: i32) -> Option<Call> {
        let (call, said) = self.next();
        self.script.follows(said, Sent { index, stamp, records }.to_string())?;
        call
    }
    /// It must wait.
    pub(super) fn is_silent(&mut self) -> Option<()> {
        let (_, said) = self.next();
        self.script.follows(said, NOTHING.to_string())
    }
    pub(super) fn acknowledge(&mut self, call: &Call, base_offset: i64) {
        self.answer(call, PartitionProduceResponse::default().with_error_code(NONE).with_base_offset(base_offset));
    }
    pub(super) fn refuse(&mut self, call: &Call, error: ResponseError) {
        self.refuse_from(call, error, -1);
    }
    /// With a log start offset.
    pub(super) fn refuse_from(&mut self, call: &Call, error: ResponseError, log_start: i64) {
        let refused = PartitionProduceResponse::default().with_error_code(error.code()).with_base_offset(-1);
        self.answer(call, refused.with_log_start_offset(log_start));
    }
    fn answer(&mut self, call: &Call, of_each: PartitionProduceResponse) {
        let RequestKind::Produce(request) = &call.request else { return };
        let of_each = match (self.script.lies(), of_each.error_code) {
            (false, _) => of_each,
            (true, NONE) => PartitionProduceResponse::default().with_error_code(UnknownServerError.code()),
            (true, _) => PartitionProduceResponse::default().with_error_code(NONE).with_base_offset(0),
        };
        let topic = |topic: &TopicProduceData| {
            let partitions = topic.partition_data.iter().map(|data| of_each.clone().with_index(data.index)).collect();
            TopicProduceResponse::default().with_name(topic.name.clone()).with_partition_responses(partitions)
        };
        let topics = request.topic_data.iter().map(topic).collect();
        self.copy.answer(call, ProduceResponse::default().with_responses(topics).into());
    }
    /// It sends a record, so stamped, and the broker appends it at the offset of its sequence.
    pub(super) fn send_acknowledged(&mut self, index: i32, stamp: Stamp) -> Option<()> {
        let sent = self.send(index);
        let call = self.sends(index, stamp, 1)?;
        self.acknowledge(&call, stamp.sequence.into());
        self.is_settled(sent, Belief::Acked { offset: stamp.sequence.into() })
    }
    /// As if everything before this sequence had been acknowledged.
    pub(super) fn move_to_sequence(&mut self, index: i32, sequence: i32) {
        self.copy.change(|client| client.with_next_sequence(&partition(index), sequence));
    }

    // ── what is so ───────────────────────────────────────────────────────────────────────────────────────────────

    /// The next request, and what it is.
    fn next(&mut self) -> (Option<Call>, String) {
        let call = self.copy.next_call();
        let said = match call.as_ref().map(|call| &call.request) {
            None => NOTHING.to_string(),
            Some(RequestKind::InitProducerId(_)) => ASKS_FOR_ID.to_string(),
            Some(RequestKind::Produce(request)) => {
                let data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
                let sent = data.map(|data| {
                    let header = data.records.as_deref().and_then(|records| parse_header(records).ok());
                    header.map_or_else(
                        || "no batch".to_string(),
                        |header| {
                            let (id, epoch) = (header.producer_id, header.producer_epoch);
                            let stamp = Stamp { id, epoch, sequence: header.base_sequence };
                            Sent { index: data.index, stamp, records: header.records_count }.to_string()
                        },
                    )
                });
                sent.collect::<Vec<_>>().join(", ")
            }
            Some(other) => format!("{other:?}"),
        };
        (call, said)
    }
}

const ASKS_FOR_ID: &str = "a request for a producer id";

fn words(belief: &Belief) -> String {
    match belief {
        Belief::Acked { offset } => format!("a record acknowledged at {offset}"),
        Belief::Failed => "a record that failed".to_string(),
        Belief::Unknown => "a record of which nobody knows".to_string(),
        Belief::Unpromised => "a record of which nothing was promised".to_string(),
    }
}
