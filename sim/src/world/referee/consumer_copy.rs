//! A consumer that is played with, its brokers, and what it must do.
//!
//! It is in no group, and begins at the beginning where nothing else is told.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    BrokerId, FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse, RequestKind,
};
use trial_checker::Word;
use trial_kafka::client::Role;
use trial_kafka::config::{ConsumerConfig, OffsetReset};
use trial_kafka::node::{Command, Now, OpId, SeekTo};
use trial_kafka::zoo::Zoo;
use trial_storage::{BuildOptions, NewRecord, build_batch};

use super::Speaker;
use super::client_copy::{Call, ClientCopy, FIRST_EPOCH, TOPIC_ID, partition};
use super::client_script::{NOTHING, Script, WAITS, polled};

/// What a consumer is that is played with.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) zoo: Zoo,
    pub(super) now: Now,
    /// This answer of a broker, counted from 0, is an error where the play wants none: so a test sees that it matters.
    pub(super) lie: Option<usize>,
}

/// A request of a consumer.
pub(super) enum Asks<'a> {
    /// For records: session id and epoch, and of partitions with offset and leader epoch what is new; those to forget.
    Fetch { session: (i32, i32), asked: &'a [(i32, i64, i32)], forgotten: &'a [i32] },
    /// Where the epoch of a position ends: partition, leader epoch, that epoch.
    EndOfEpoch(i32, i32, i32),
    /// For an offset: partition, timestamp.
    Offset(i32, i64),
}

impl fmt::Display for Asks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asks::Fetch { session: (id, epoch), asked, forgotten } => {
                write!(f, "a fetch in epoch {epoch} of session {id}")?;
                for (index, offset, leader_epoch) in *asked {
                    write!(f, ", of partition {index} from offset {offset} in leader epoch {leader_epoch}")?;
                }
                forgotten.iter().try_for_each(|index| write!(f, ", no more of partition {index}"))
            }
            Asks::EndOfEpoch(index, leader_epoch, epoch) => {
                write!(f, "a question where epoch {epoch} of partition {index} ends in leader epoch {leader_epoch}")
            }
            Asks::Offset(index, timestamp) => write!(f, "a question for partition {index} at time {timestamp}"),
        }
    }
}

/// What a broker tells of a partition in a fetch.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Nothing,
    /// So many records from this offset on.
    Records(i64, i64),
    Refused(ResponseError),
    /// This broker is nearer.
    Nearer(i32),
}

/// The session that brokers offer.
pub(super) const SESSION: i32 = 7;

/// See the module documentation.
pub(super) struct Play<'p, 's> {
    pub(super) copy: ClientCopy,
    pub(super) script: Script<'p, 's>,
}

impl<'p, 's> Play<'p, 's> {
    /// So old is metadata that is asked for again.
    pub(super) const METADATA_MAX_AGE_MS: i64 = 10_000;

    /// Three partitions: broker 1 leads the first two of them, broker 2 the third.
    pub(super) fn begin(setup: Setup, what: &'static str, speaker: &'p mut Speaker<'s>) -> Self {
        let config = ConsumerConfig {
            client_rack: "west".to_string(),
            max_poll_records: 1,
            auto_offset_reset: OffsetReset::Earliest,
            metadata_max_age_ms: Self::METADATA_MAX_AGE_MS,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 100,
            reconnect_backoff_ms: 20,
            reconnect_backoff_max_ms: 20,
            ..ConsumerConfig::default()
        };
        let copy = ClientCopy::start(Role::Consumer(config), &[1, 1, 2], setup.zoo, setup.now);
        let script = Script::new(Word::StepOfConsumer, format!("played with: {what}"), setup.lie, speaker);
        Play { copy, script }
    }

    // ── the application ──────────────────────────────────────────────────────────────────────────────────────────

    /// It reads these partitions from these offsets on.
    pub(super) fn assign(&mut self, positions: &[(i32, i64)]) {
        let partitions = positions.iter().map(|(index, offset)| (partition(*index), Some(*offset))).collect();
        self.copy.command(Command::Assign { partitions });
    }
    pub(super) fn poll(&mut self) -> OpId {
        self.copy.command(Command::Poll { max_wait_ms: 60_000 })
    }
    pub(super) fn seek_time(&mut self, index: i32, timestamp: i64) {
        self.copy.command(Command::Seek { partition: partition(index), to: SeekTo::Timestamp(timestamp) });
    }
    /// A poll must have given the record at this offset, and nothing else.
    pub(super) fn has_record(&mut self, poll: OpId, index: i32, offset: i64) -> Option<()> {
        let said = polled(&self.copy, poll);
        self.script.follows(said, format!("a record of partition {index} at {offset}"))
    }
    /// A poll must have told this error.
    pub(super) fn has_error(&mut self, poll: OpId, index: i32, error: &str) -> Option<()> {
        let said = polled(&self.copy, poll);
        self.script.follows(said, format!("{error} of partition {index}"))
    }
    /// A poll must wait still.
    pub(super) fn waits(&mut self, poll: OpId) -> Option<()> {
        let said = polled(&self.copy, poll);
        self.script.follows(said, WAITS.to_string())
    }

    // ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────

    /// It must have asked this broker for records in a session that has just begun.
    pub(super) fn fetches(&mut self, broker: i32, asked: &[(i32, i64, i32)]) -> Option<Call> {
        self.asks(broker, Asks::Fetch { session: (0, 0), asked, forgotten: &[] })
    }
    /// The same, in an epoch of the session.
    pub(super) fn fetches_on(&mut self, broker: i32, epoch: i32, asked: &[(i32, i64, i32)]) -> Option<Call> {
        self.asks(broker, Asks::Fetch { session: (SESSION, epoch), asked, forgotten: &[] })
    }
    /// It must have asked this broker.
    pub(super) fn asks(&mut self, broker: i32, asks: Asks<'_>) -> Option<Call> {
        let (call, said) = self.next();
        self.script.follows(said, format!("{asks}, of broker {broker}"))?;
        call
    }
    /// It must ask nobody.
    pub(super) fn is_silent(&mut self) -> Option<()> {
        let (_, said) = self.next();
        self.script.follows(said, NOTHING.to_string())
    }
    /// The broker tells this of partitions, of others nothing; of what it has nothing to tell it is silent in a session.
    pub(super) fn serve(&mut self, call: &Call, told: &[(i32, Told)]) {
        let RequestKind::Fetch(request) = &call.request else { return };
        let lies = self.script.lies();
        let told: BTreeMap<i32, Told> = told.iter().copied().collect();
        let asked = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|asked| asked.partition));
        let mut of: BTreeMap<i32, PartitionData> = asked.map(|index| (index, PartitionData::default())).collect();
        for (index, told) in told {
            of.insert(index, data(told));
        }
        let partitions = of.into_iter().map(|(index, data)| data.with_partition_index(index)).collect();
        let topic = FetchableTopicResponse::default().with_topic_id(TOPIC_ID).with_partitions(partitions);
        let response = FetchResponse::default().with_session_id(SESSION).with_responses(vec![topic]);
        let response = match lies {
            true => FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code()),
            false => response,
        };
        self.copy.answer(call, response.into());
    }
    /// The epoch that was asked about, or the one before it, ends there.
    pub(super) fn tell_end_of_epoch(&mut self, call: &Call, (epoch, end): (i32, i64)) {
        let RequestKind::OffsetForLeaderEpoch(request) = &call.request else { return };
        let error = self.script.error_of_answer();
        let one = |index: i32| {
            let told = EpochEndOffset::default().with_partition(index).with_leader_epoch(epoch).with_end_offset(end);
            told.with_error_code(error)
        };
        let topic = |topic: &OffsetForLeaderTopic| {
            let partitions = topic.partitions.iter().map(|asked| one(asked.partition)).collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions)
        };
        let topics = request.topics.iter().map(topic).collect();
        self.copy.answer(call, OffsetForLeaderEpochResponse::default().with_topics(topics).into());
    }
    /// The offset that was asked for is this.
    pub(super) fn tell_offset(&mut self, call: &Call, offset: i64) {
        let RequestKind::ListOffsets(request) = &call.request else { return };
        let error = self.script.error_of_answer();
        let one = |index: i32| {
            let told = ListOffsetsPartitionResponse::default().with_partition_index(index).with_offset(offset);
            told.with_leader_epoch(FIRST_EPOCH).with_error_code(error)
        };
        let topic = |topic: &ListOffsetsTopic| {
            let partitions = topic.partitions.iter().map(|asked| one(asked.partition_index)).collect();
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
        };
        let topics = request.topics.iter().map(topic).collect();
        self.copy.answer(call, ListOffsetsResponse::default().with_topics(topics).into());
    }

    // ── what is so ───────────────────────────────────────────────────────────────────────────────────────────────

    /// The next request, and what it is.
    fn next(&mut self) -> (Option<Call>, String) {
        let Some(call) = self.copy.next_call() else { return (None, NOTHING.to_string()) };
        let asks = match &call.request {
            RequestKind::Fetch(request) => {
                let of = |topic: &FetchTopic| {
                    let one = |asked: &kafka_protocol::messages::fetch_request::FetchPartition| {
                        (asked.partition, asked.fetch_offset, asked.current_leader_epoch)
                    };
                    topic.partitions.iter().map(one).collect::<Vec<_>>()
                };
                let asked: Vec<_> = request.topics.iter().flat_map(of).collect();
                let forgotten: Vec<_> =
                    request.forgotten_topics_data.iter().flat_map(|topic| topic.partitions.clone()).collect();
                let session = (request.session_id, request.session_epoch);
                Asks::Fetch { session, asked: &asked, forgotten: &forgotten }.to_string()
            }
            RequestKind::OffsetForLeaderEpoch(request) => {
                let of = |topic: &OffsetForLeaderTopic| topic.partitions.clone();
                let one =
                    |asked: kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition| {
                        Asks::EndOfEpoch(asked.partition, asked.current_leader_epoch, asked.leader_epoch).to_string()
                    };
                request.topics.iter().flat_map(of).map(one).collect::<Vec<_>>().join(", ")
            }
            RequestKind::ListOffsets(request) => {
                let of = |topic: &ListOffsetsTopic| topic.partitions.clone();
                let asked = request.topics.iter().flat_map(of);
                let asked = asked.map(|asked| Asks::Offset(asked.partition_index, asked.timestamp).to_string());
                asked.collect::<Vec<_>>().join(", ")
            }
            other => format!("{other:?}"),
        };
        let said = format!("{asks}, of broker {}", call.broker);
        (Some(call), said)
    }
}

/// A partition in the answer to a fetch.
pub(super) fn data(told: Told) -> PartitionData {
    let data = PartitionData::default().with_high_watermark(1_000);
    match told {
        Told::Nothing => data,
        Told::Refused(error) => data.with_error_code(error.code()),
        Told::Nearer(broker) => data.with_preferred_read_replica(BrokerId(broker)),
        Told::Records(from, count) => {
            let record = || NewRecord { value: Some("v".into()), ..NewRecord::default() };
            let records: Vec<NewRecord> = (0..count).map(|_| record()).collect();
            let options =
                BuildOptions { base_offset: from, partition_leader_epoch: FIRST_EPOCH, ..BuildOptions::default() };
            data.with_records(Some(build_batch(&records, options)))
        }
    }
}
