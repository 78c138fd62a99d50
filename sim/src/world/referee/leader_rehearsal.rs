//! What would a broker answer about a partition if it were asked? A copy of it is asked what in this run perhaps nobody asks.
//!
//! ```text
//!   something happened to a replica ─▶ is it in a state that is new in this run, for one of the dialogues?
//!                                        │ yes
//!   broker, disk ─▶ copy ─▶ requests ─▶ answers, log: as the rules want them?
//! ```
//!
//! Clients of ours make no batch with a wrong checksum and send no epoch of the past; that a broker looks does not show as
//! long as they do not.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ProduceRequest, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::{Broker, LifecycleState};
use trial_kafka::config::BrokerConfig;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::{PartitionRegistration, TopicImage};
use trial_kafka::node::{Effect, Now, ReqId};
use trial_kafka::protocol::errors::{NONE, code_name};
use trial_kafka::protocol::{topic_name, versions};
use trial_storage::{AppendConfig, LogConfig};

use super::broker_copy::{BrokerCopy, Settled};
use super::replicas::min_isr;
use super::{
    Speaker, delete_questions, form_questions, isr_plays, offset_questions, producer_id_plays, producer_questions,
    restart_plays, session_questions, throttle_plays,
};
use crate::disk::VirtualDisk;

/// The first version of Produce that names topics by their ids (KIP-516).
const FIRST_PRODUCE_WITH_TOPIC_IDS: i16 = 13;
/// Until a request that waits is answered with what there is.
pub(super) const PATIENCE_MS: i32 = 1;

/// A dialogue that is worth it once for each state of the replica that matters to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dialogue {
    Form,
    Producers,
    Waiting,
    Offsets,
    Deletions,
    Following,
    Sessions,
    Turns,
    OlderSegments,
    Racks,
    Epochs,
    Restarts,
    ProducerIds,
    IsrAnswers,
    Joiners,
    Throttled,
}

/// The dialogues that were held in this run, with the kinds of states of the replicas that they were about.
pub(super) type Rehearsed = BTreeSet<(u8, u64)>;

/// The kinds of states that are known.
struct Kinds<'a>(&'a mut Rehearsed);

impl Kinds<'_> {
    fn is_new(&mut self, dialogue: Dialogue, shape: &[bool]) -> bool {
        self.is_new_of(dialogue, shape.iter().fold(1, |all, bit| all << 1 | u64::from(*bit)))
    }
    fn is_new_of(&mut self, dialogue: Dialogue, kind: u64) -> bool {
        self.0.insert((dialogue as u8, kind))
    }
}

/// Is this a kind of state in which no follower was yet?
pub(super) fn is_new_to_follower(rehearsed: &mut Rehearsed, shape: &[bool]) -> bool {
    Kinds(rehearsed).is_new(Dialogue::Following, shape)
}

/// Has no leader asked for in-sync replicas in this kind of state yet?
pub(super) fn is_new_to_leader(rehearsed: &mut Rehearsed, shape: &[bool]) -> bool {
    Kinds(rehearsed).is_new(Dialogue::IsrAnswers, shape)
}

/// A replica of which copies are made.
pub(super) struct Stage<'a> {
    pub(super) broker: &'a Broker,
    pub(super) disk: &'a VirtualDisk,
    pub(super) replica: &'a Partition,
    pub(super) now: Now,
}

/// Does it answer, and act on metadata? While it shuts down it does neither.
pub(super) fn serves(broker: &Broker) -> bool {
    matches!(broker.lifecycle_state(), LifecycleState::Running | LifecycleState::PendingControlledShutdown)
}

/// Something happened to this replica: asks copies of its broker, as far as that may be new.
pub(super) fn rehearse(rehearsed: &mut Rehearsed, id: &TopicPartition, now: Now, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    let Some(replica) = broker.partition(id) else { return };
    // While it is flushed what was appended counts for nobody, and no copy knows when that ends.
    if !serves(broker) || replica.flushing_from.is_some() || replica.replicas.is_empty() {
        return;
    }
    let stage = Stage { broker, disk: &speaker.slot.disk, replica, now };
    let mut kinds = Kinds(rehearsed);
    let leads = replica.is_leader();
    let is_fenced = broker.image().brokers.get(&broker.node_id()).is_none_or(|me| me.fenced);
    let (high_watermark, end) = (replica.high_watermark(), replica.log_end_offset());
    if high_watermark > end {
        // Nothing follows from that; that it is so was heard.
        return;
    }
    let is_empty = end == replica.log.log_start_offset();
    if leads && kinds.is_new(Dialogue::Form, &[is_fenced, replica.is_offsets]) {
        match replica.is_offsets {
            true => form_questions::of_internal_topic(&stage, speaker),
            false => form_questions::rehearse(&stage, speaker),
        }
    }
    if leads && !replica.is_offsets {
        let entries = replica.log.producers().map(|producers| producers.entries());
        let has_old_epochs = entries.is_some_and(|entries| entries.values().any(|entry| entry.epoch() > 0));
        let is_alone = replica.replicas.len() == 1;
        if kinds.is_new(
            Dialogue::Producers,
            &[entries.is_some_and(|entries| !entries.is_empty()), has_old_epochs, is_alone],
        ) {
            producer_questions::rehearse(&stage, speaker);
        }
        let members = replica.leader_state().map_or(0, |state| state.isr.committed().len());
        if kinds.is_new(Dialogue::Waiting, &[members < min_isr(replica), members == 1]) {
            form_questions::of_waiting(&stage, speaker);
        }
    }
    let begins_later = replica.log.log_start_offset() > 0;
    let has_gap = offset_questions::epoch_between(replica.log.epochs()).is_some();
    let reign_is_open = replica.leader_state().is_some_and(|state| high_watermark < state.epoch_start_offset);
    if kinds.is_new(Dialogue::Offsets, &[leads, reign_is_open, high_watermark < end, is_empty, begins_later, has_gap]) {
        offset_questions::rehearse(&stage, speaker);
    }
    if kinds.is_new(Dialogue::Epochs, &[leads, replica.log.epochs().len() > 1, has_gap]) {
        session_questions::of_epochs(&stage, speaker);
    }
    if leads {
        if kinds.is_new(Dialogue::Sessions, &[]) {
            session_questions::of_sessions(&stage, speaker);
        }
        let is_alone = replica.replicas.len() == 1;
        if !replica.is_offsets && kinds.is_new(Dialogue::OlderSegments, &[is_alone]) {
            session_questions::of_older_segments(&stage, speaker);
        }
        if let Some(other) = another_with_records(broker, replica).filter(|_| kinds.is_new(Dialogue::Turns, &[])) {
            session_questions::of_turns(&stage, other, speaker);
        }
        let committed = replica.leader_state().map_or(0, |state| state.isr.committed().len());
        let everybody = committed == replica.replicas.len();
        if session_questions::has_racks(&stage) && kinds.is_new(Dialogue::Racks, &[everybody, high_watermark < end]) {
            session_questions::of_racks(&stage, speaker);
        }
    }
    if leads
        && !broker.awaits_isr_change(id)
        && let Some(joiner) = isr_plays::joiner(&stage)
    {
        if kinds.is_new(Dialogue::Joiners, &[high_watermark > replica.log.log_start_offset(), high_watermark < end]) {
            isr_plays::of_joiners(&stage, joiner, speaker);
        }
        if !is_empty && kinds.is_new(Dialogue::Throttled, &[]) {
            throttle_plays::of_leader(&stage, joiner, speaker);
        }
    }
    // Each broker once: at first it has none. Where the controller is asked for something, it has to answer that first.
    if broker.forwarded() == 0 && kinds.is_new_of(Dialogue::ProducerIds, u64::from(broker.node_id().unsigned_abs())) {
        producer_id_plays::rehearse(&stage, speaker);
    }
    let knows_producers = replica.log.producers().is_some_and(|producers| !producers.entries().is_empty());
    let has_committed = high_watermark > replica.log.log_start_offset();
    // Who is about to stop cannot be told to.
    if broker.lifecycle_state() == LifecycleState::Running
        && kinds.is_new(Dialogue::Restarts, &[knows_producers, begins_later, has_committed])
    {
        restart_plays::rehearse(&stage, speaker);
    }
    let others = delete_questions::others(broker, replica);
    let shape = [leads, replica.is_offsets, others.is_some(), others.is_some_and(|start| start < high_watermark)];
    if kinds.is_new(Dialogue::Deletions, &[&shape[..], &[high_watermark < end, is_empty]].concat()) {
        delete_questions::rehearse(&stage, speaker);
    }
}

/// If consumers can read from this replica: another one of this broker of which that is true.
fn another_with_records<'a>(broker: &'a Broker, replica: &Partition) -> Option<&'a Partition> {
    let has_records = |replica: &Partition| replica.high_watermark() > replica.log.log_start_offset();
    let mut led = broker.partitions().filter(|other| other.is_leader() && other.id != replica.id);
    if has_records(replica) { led.find(|other| has_records(other)) } else { None }
}

impl Stage<'_> {
    /// A copy whose log takes nearly all that is whole.
    pub(super) fn scene(&self) -> Scene {
        self.scene_with(|_| {})
    }
    /// The same, configured otherwise.
    pub(super) fn scene_with(&self, configure: impl FnOnce(&mut LogConfig)) -> Scene {
        let is = self.replica.log.config();
        let appends = AppendConfig { rules: is.appends.rules, ..AppendConfig::DEFAULT };
        let mut config = LogConfig { producers: is.producers, appends, ..LogConfig::DEFAULT };
        configure(&mut config);
        let copy = BrokerCopy::of(self.broker, self.disk, self.now).configure(&self.replica.id, config);
        Scene { copy, id: self.replica.id.clone(), topic_id: self.replica.topic_id }
    }
}

/// A copy of a broker that is asked about one of its replicas.
pub(super) struct Scene {
    pub(super) copy: BrokerCopy,
    pub(super) id: TopicPartition,
    topic_id: uuid::Uuid,
}

impl Scene {
    pub(super) fn replica(&self) -> Option<&Partition> {
        self.copy.partition(&self.id)
    }
    /// The same of a broker that is configured otherwise.
    pub(super) fn with_config(self, configure: impl FnOnce(&mut BrokerConfig)) -> Self {
        Scene { copy: self.copy.with_config(configure), ..self }
    }
    /// It hears metadata that differs so in what it says of the partition. Returns what it wants others to do.
    pub(super) fn hears_of_partition(&mut self, change: impl FnOnce(&mut PartitionRegistration)) -> Vec<Effect> {
        let index = self.id.partition as usize;
        self.hears_of_topic(|topic| {
            if let Some(of) = topic.partitions.get_mut(index) {
                change(of);
            }
        })
    }
    /// It hears that these are in sync.
    pub(super) fn hears_of_isr(&mut self, isr: &[i32]) {
        // The answer to AlterPartition may have told it of a change before metadata does.
        let known = self.replica().map_or(0, |replica| replica.partition_epoch);
        self.hears_of_partition(|of| {
            of.partition_epoch = of.partition_epoch.max(known) + 1;
            of.isr = isr.to_vec();
        });
    }
    /// It hears metadata that differs so in what it says of the topic. Returns what it wants others to do.
    pub(super) fn hears_of_topic(&mut self, change: impl FnOnce(&mut TopicImage)) -> Vec<Effect> {
        let topic_id = self.topic_id;
        self.copy.hears(|image| {
            if let Some(topic) = image.topics.get_mut(&topic_id) {
                change(Arc::make_mut(topic));
            }
        })
    }
    /// The end of its log.
    pub(super) fn end(&self) -> i64 {
        self.replica().map_or(-1, Partition::log_end_offset)
    }
    pub(super) fn wall(&self) -> i64 {
        self.copy.now().wall
    }

    /// `None` as answer: it is not answered yet, or not at all.
    pub(super) fn produce(
        &mut self,
        version: i16,
        acks: i16,
        batch: Bytes,
    ) -> (ReqId, Option<PartitionProduceResponse>) {
        let data = PartitionProduceData::default().with_index(self.id.partition).with_records(Some(batch));
        let topic = TopicProduceData::default().with_partition_data(vec![data]);
        let topic = match version >= FIRST_PRODUCE_WITH_TOPIC_IDS {
            true => topic.with_topic_id(self.topic_id),
            false => topic.with_name(topic_name(&self.id.topic)),
        };
        let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(PATIENCE_MS);
        let (req, settled) = self.copy.ask(version, request.with_topic_data(vec![topic]));
        (req, produced(settled))
    }

    /// It must refuse this batch with this error, and append nothing. Returns the answer, if it does.
    pub(super) fn refuses(
        &mut self,
        what: &str,
        batch: Bytes,
        error: ResponseError,
        speaker: &mut Speaker<'_>,
    ) -> Option<PartitionProduceResponse> {
        self.refuses_as((versions::PRODUCE, 1), what, batch, error, speaker)
    }
    /// The same of a request of this version, with these acks.
    pub(super) fn refuses_as(
        &mut self,
        (version, acks): (i16, i16),
        what: &str,
        batch: Bytes,
        error: ResponseError,
        speaker: &mut Speaker<'_>,
    ) -> Option<PartitionProduceResponse> {
        let end = self.end();
        let (_, answer) = self.produce(version, acks, batch);
        let said = answer.as_ref().map_or_else(|| "nothing".to_string(), |answer| code_name(answer.error_code));
        if said != code_name(error.code()) {
            self.is_wrong(Word::ProduceAnswer, said, code_name(error.code()), what, speaker);
            return None;
        }
        if self.end() != end {
            let (said, truth) = (format!("log end {}", self.end()), format!("log end {end}"));
            self.is_wrong(Word::StepOfLogEnd, said, truth, what, speaker);
        }
        answer
    }
    /// It must append this batch at the end of its log. Returns what stands there then.
    pub(super) fn takes(&mut self, what: &str, batch: Bytes, speaker: &mut Speaker<'_>) -> Option<Bytes> {
        let end = self.end();
        let answer = self.succeeds(what, batch, end, speaker)?;
        if self.end() <= end {
            let (said, truth) = (format!("log end {end}"), "what comes behind it".to_string());
            self.is_wrong(Word::StepOfLogEnd, said, truth, what, speaker);
            return None;
        }
        let log = self.replica()?.log.clone();
        let stands = log.read(self.copy.disk(), answer.base_offset, i64::MAX, usize::MAX, true).ok()?;
        (!stands.is_empty()).then_some(stands)
    }
    /// It must answer that this batch stands at this offset.
    pub(super) fn succeeds(
        &mut self,
        what: &str,
        batch: Bytes,
        at: i64,
        speaker: &mut Speaker<'_>,
    ) -> Option<PartitionProduceResponse> {
        let (_, answer) = self.produce(versions::PRODUCE, 1, batch);
        let Some(answer) = answer else {
            self.is_wrong(Word::ProduceAnswer, "nothing".to_string(), format!("offset {at}"), what, speaker);
            return None;
        };
        let said = match answer.error_code {
            NONE => format!("offset {}", answer.base_offset),
            error => code_name(error),
        };
        if said != format!("offset {at}") {
            self.is_wrong(Word::ProduceAnswer, said, format!("offset {at}"), what, speaker);
            return None;
        }
        Some(answer)
    }

    pub(super) fn is_wrong(&self, word: Word, said: String, truth: String, what: &str, speaker: &mut Speaker<'_>) {
        let said = format!("{said} (when a copy of it was asked {what})");
        speaker.wrong(word, Some(&self.id), said, truth);
    }
    /// The same, of something that may be right.
    pub(super) fn says<T: PartialEq + ToString>(
        &self,
        word: Word,
        said: T,
        truth: T,
        what: &str,
        speaker: &mut Speaker<'_>,
    ) {
        if said != truth {
            self.is_wrong(word, said.to_string(), truth.to_string(), what, speaker);
        }
    }
}

/// The answer of the only partition of a produce request.
pub(super) fn produced(settled: Settled) -> Option<PartitionProduceResponse> {
    let Settled::Answered(response) = settled else { return None };
    let ResponseKind::Produce(response) = *response else { return None };
    response.responses.into_iter().next()?.partition_responses.into_iter().next()
}
