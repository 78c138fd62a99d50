//! What becomes of a follower that its leader answers what leaders seldom answer? A copy of it is answered.
//!
//! ```text
//!   a follower has sent a fetch ─▶ copy ─▶ answer ─▶ its log, and what it asks next: as the rules want them?
//! ```
//!
//! Sources: KIP-101, KIP-279, KIP-461, `AbstractFetcherThread.processFetchRequest`, `fetchOffsetAndTruncate`,
//! `getOffsetTruncationState`, `Partition.appendRecordsToFollowerOrFutureReplica`.

use std::fmt;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsResponse, RequestKind, ResponseKind};
use trial_checker::Word;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{CallId, ConnId, Effect, Now};
use trial_kafka::protocol::topic_name;
use trial_storage::EpochEntry;

use super::leader_rehearsal::{Rehearsed, Scene, Stage};
use super::made_batches::{CHECKSUM, ProducerSays, at_times, of_producer, overwritten, placed, two_of};
use super::throttle_plays::{Side, WINDOWS_MS};
use super::{Speaker, leader_rehearsal};

/// The timestamp that asks for the end.
const LATEST: i64 = -1;
const STRANGER: i64 = i64::MAX - 1_000;
/// Longer than any pause.
const LONG_MS: i64 = 600_000;

/// A call that a copy waits for an answer to.
type Waiting = (ConnId, CallId);

/// A follower that has just sent this fetch.
pub(super) fn rehearse(
    rehearsed: &mut Rehearsed,
    fetch: &FetchRequest,
    waiting: Waiting,
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    let Some(broker) = speaker.slot.broker() else { return };
    let asked = fetch.topics.iter().flat_map(|topic| topic.partitions.iter().map(|asked| (topic.topic_id, asked)));
    for (topic_id, asked) in asked {
        let Some(replica) = broker.replica(topic_id, asked.partition).filter(|replica| !replica.is_leader()) else {
            continue;
        };
        let (start, end) = (replica.log.log_start_offset(), replica.log_end_offset());
        let epochs = replica.log.epochs();
        let play = Play {
            id: &replica.id,
            fetch,
            waiting,
            start,
            end,
            leader_epoch: replica.leader_epoch,
            unknown_epoch: epoch_between(epochs, replica.leader_epoch),
            pause_ms: broker.setup().config.replica_fetch_backoff_ms,
        };
        let shape = [end > start, start > 0, play.unknown_epoch.is_some()];
        if asked.fetch_offset == end && leader_rehearsal::is_new_to_follower(rehearsed, &shape) {
            let stage = Stage { broker, disk: &speaker.slot.disk, replica, now };
            play.all(&stage, speaker);
        }
    }
}

/// An epoch between the last one that the follower has and that of its leader.
fn epoch_between(epochs: &[EpochEntry], leader_epoch: i32) -> Option<i32> {
    epochs.last().map(|last| last.epoch + 1).filter(|epoch| *epoch < leader_epoch)
}

/// What a follower asks next about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Records { from: i64 },
    Offset { timestamp: i64 },
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Next::Nothing => f.write_str("no more question"),
            Next::Records { from } => write!(f, "a fetch from offset {from} on"),
            Next::Offset { timestamp: LATEST } => f.write_str("a question for the leader's end"),
            Next::Offset { .. } => f.write_str("a question for the leader's start"),
        }
    }
}

struct Play<'a> {
    id: &'a TopicPartition,
    fetch: &'a FetchRequest,
    waiting: Waiting,
    start: i64,
    end: i64,
    leader_epoch: i32,
    /// The follower never had it, and its leader may have.
    unknown_epoch: Option<i32>,
    pause_ms: i64,
}

/// A copy of a follower, and the question that it waits with.
struct Told<'a> {
    play: &'a Play<'a>,
    scene: Scene,
    /// The fetch that it waits with, perhaps for other partitions; `None`: it waits with something else.
    fetch: Option<FetchRequest>,
    waiting: Option<Waiting>,
    next: Next,
}

impl Play<'_> {
    fn all(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        self.of_records(stage, speaker);
        self.of_bad_records(stage, speaker);
        self.of_ends(stage, speaker);
        self.of_divergence(stage, speaker);
        self.of_throttles(stage, speaker);
    }
    fn told<'a>(&'a self, stage: &Stage<'_>) -> Told<'a> {
        let next = Next::Records { from: self.end };
        let (fetch, waiting) = (Some(self.fetch.clone()), Some(self.waiting));
        Told { play: self, scene: stage.scene(), fetch, waiting, next }
    }
    fn two(&self, told: &Told<'_>, offset: i64, epoch: i32) -> Bytes {
        placed(&two_of(told.scene.wall()), offset, epoch)
    }

    /// Records that a leader has taken are not looked at again, but for the epochs that are to come.
    fn of_records(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        let mut told = self.told(stage);
        let (first, later) = (self.two(&told, self.end, self.leader_epoch), self.leader_epoch + 1);
        let second = self.two(&told, self.end + 2, later);
        told.gets([&first[..], &second[..]].concat().into(), |_| {});
        let what = "to follow records of this epoch and of the next";
        told.must(what, self.end + 2, Next::Records { from: self.end + 2 }, speaker);

        let mut told = self.told(stage);
        let wall = told.scene.wall();
        let of = |place: i64, epoch: i16, sequence: i32| {
            let batch = of_producer(wall, 1, ProducerSays { id: STRANGER, epoch, sequence });
            placed(&batch, self.end + place, self.leader_epoch)
        };
        let records = [of(0, 3, 7), of(1, 3, 20), of(2, 2, 21)].concat();
        told.gets(records.into(), |_| {});
        let what = "to follow a producer with gaps and epochs of the past";
        told.must(what, self.end + 3, Next::Records { from: self.end + 3 }, speaker);
    }

    /// What is corrupt is asked for again, and with what does not continue the log its partition is given up.
    fn of_bad_records(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        let mut told = self.told(stage);
        let good = self.two(&told, self.end, self.leader_epoch);
        let corrupt = overwritten(&good, CHECKSUM, &[!good[CHECKSUM]]).freeze();
        told.gets(corrupt.clone(), |_| {});
        told.must("to follow what does not fit its checksum", self.end, Next::Nothing, speaker);
        told.goes_on_after(self.pause_ms);
        told.must("to go on after that", self.end, Next::Records { from: self.end }, speaker);

        if self.end > self.start {
            let mut told = self.told(stage);
            let earlier = self.two(&told, self.end - 1, self.leader_epoch);
            told.gets(earlier, |_| {});
            told.must("to follow records that it has", self.end, Next::Nothing, speaker);
            told.goes_on_after(LONG_MS);
            told.must("to go on after that", self.end, Next::Nothing, speaker);
        }
    }

    /// OFFSET_OUT_OF_RANGE makes it look for the ends of its leader's log.
    fn of_ends(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        let what = "to follow a leader that says OFFSET_OUT_OF_RANGE";
        let end = self.end + 1;
        let asked = |speaker: &mut Speaker<'_>| {
            let mut told = self.told(stage);
            // A batch that ends nowhere but there.
            let records = placed(&at_times(&[told.scene.wall()]), self.end, self.leader_epoch);
            told.gets(records, |_| {});
            told.gets(Bytes::new(), |answer| answer.error_code = ResponseError::OffsetOutOfRange.code());
            told.must(what, end, Next::Offset { timestamp: LATEST }, speaker).then_some(told)
        };
        if let Some(mut told) = asked(speaker) {
            told.hears(self.end);
            let next = Next::Records { from: self.end };
            told.must("to follow a leader whose log is shorter", self.end, next, speaker);
        }
        if let Some(mut told) = asked(speaker) {
            told.hears(end + 10);
            told.hears(self.start);
            told.must("to follow a leader that has caught up meanwhile", end, Next::Records { from: end }, speaker);
        }
        if let Some(mut told) = asked(speaker) {
            told.hears(end + 10);
            told.hears(self.start + 1);
            let what = "to follow a leader that has caught up and deleted something meanwhile";
            told.must(what, end, Next::Records { from: end }, speaker);
        }
        if let Some(mut told) = asked(speaker) {
            told.hears(end + 10);
            let begins = end + 5;
            told.hears(begins);
            let what = "to follow a leader whose log begins later";
            if !told.must(what, begins, Next::Records { from: begins }, speaker) {
                return;
            }
            told.knows_no_producer(what, speaker);
            let spanning = self.two(&told, begins - 1, self.leader_epoch);
            told.gets(spanning, |answer| answer.log_start_offset = begins);
            let next = Next::Records { from: begins + 1 };
            told.must("to begin its log with a batch that spans its start", begins + 1, next, speaker);
        }
    }

    /// It is told that its leader had an epoch that it never had: it goes back to the end of the one below.
    fn of_divergence(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        let Some(unknown) = self.unknown_epoch.filter(|_| self.end > self.start) else { return };
        let mut told = self.told(stage);
        let records = self.two(&told, self.end, self.leader_epoch);
        told.gets(records, |_| {});
        let next = Next::Records { from: self.end + 2 };
        if told.must("to follow", self.end + 2, next, speaker) {
            let tail = EpochEndOffset::default().with_epoch(unknown).with_end_offset(self.end - 1);
            told.gets(Bytes::new(), |answer| answer.diverging_epoch = tail.clone());
            let what = "to follow a leader with an epoch of which it never heard";
            told.must(what, self.end, Next::Records { from: self.end }, speaker);
        }
    }

    /// Above its quota it asks for nothing more, unless it has all that is committed.
    fn of_throttles(&self, stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
        let me = stage.broker.node_id();
        let end = self.end + 2;
        let gets_two = |throttled: i32, lag: i64| {
            let mut told = self.told(stage);
            told.scene.is_throttled(Side::Follower, throttled);
            let records = self.two(&told, self.end, self.leader_epoch);
            told.gets(records, |answer| answer.high_watermark = end + lag);
            told
        };
        let next = Next::Records { from: end };
        let told = gets_two(me + 1, 10);
        told.must("to follow while another follower is throttled", end, next, speaker);
        let told = gets_two(me, 0);
        told.must("to follow, throttled, up to all that is committed", end, next, speaker);
        let mut told = gets_two(me, 10);
        told.must("to follow, throttled, up to less than is committed", end, Next::Nothing, speaker);
        // Not by its timer: what it waits for of other partitions need not come too late by that.
        told.scene.copy.wait(WINDOWS_MS);
        match told.fetch {
            Some(_) => told.gets(Bytes::new(), |_| {}),
            None => told.goes_on_after(self.pause_ms),
        }
        told.must("to go on, throttled, after that", end, next, speaker);
    }
}

impl Told<'_> {
    /// Its leader answers its fetch with these records and so, and has nothing else to tell.
    fn gets(&mut self, records: Bytes, change: impl Fn(&mut PartitionData)) {
        let Some(fetch) = self.fetch.take() else { return };
        let broker = self.scene.copy.broker();
        let mut topics = Vec::new();
        for topic in &fetch.topics {
            let answer = |asked: i32| {
                let replica = broker.replica(topic.topic_id, asked);
                let (high_watermark, start) =
                    replica.map_or((0, 0), |replica| (replica.high_watermark(), replica.log.log_start_offset()));
                let mut answer = PartitionData::default().with_partition_index(asked);
                (answer.high_watermark, answer.log_start_offset) = (high_watermark, start);
                if replica.is_some_and(|replica| replica.id == *self.play.id) {
                    answer.records = Some(records.clone());
                    change(&mut answer);
                }
                answer
            };
            let partitions = topic.partitions.iter().map(|asked| answer(asked.partition)).collect();
            topics.push(FetchableTopicResponse::default().with_topic_id(topic.topic_id).with_partitions(partitions));
        }
        // Without a session: the next fetch names all that it wants.
        self.answer(FetchResponse::default().with_responses(topics).into());
    }
    /// Its leader tells this end of its log.
    fn hears(&mut self, offset: i64) {
        let id = self.play.id;
        let answer = ListOffsetsPartitionResponse::default().with_partition_index(id.partition).with_offset(offset);
        let topic = ListOffsetsTopicResponse::default().with_name(topic_name(&id.topic)).with_partitions(vec![answer]);
        self.answer(ListOffsetsResponse::default().with_topics(vec![topic]).into());
    }
    fn answer(&mut self, response: ResponseKind) {
        let Some((conn, call)) = self.waiting.take() else { return };
        let effects = self.scene.copy.respond(conn, call, response);
        self.note(effects);
    }
    /// Time passes, and what its leader has to tell of other partitions is told: before its timer comes, by which it may be too
    /// late.
    fn goes_on_after(&mut self, by_ms: i64) {
        if self.fetch.is_some() {
            self.scene.copy.wait(by_ms);
            return self.gets(Bytes::new(), |_| {});
        }
        let effects = self.scene.copy.wake_fetchers(by_ms);
        self.note(effects);
    }

    /// What does it ask its leader now?
    fn note(&mut self, effects: Vec<Effect>) {
        self.next = Next::Nothing;
        let leader = self.play.waiting.0;
        let topic_id = self.scene.replica().map(|replica| replica.topic_id);
        for effect in effects {
            let Effect::Call { conn, call, request, .. } = effect else { continue };
            if conn != leader {
                continue;
            }
            let next = match *request {
                RequestKind::Fetch(fetch) => {
                    let mut topics = fetch.topics.iter().filter(|topic| Some(topic.topic_id) == topic_id);
                    let is_it = |of: i32| of == self.play.id.partition;
                    let asked = topics.find_map(|topic| topic.partitions.iter().find(|asked| is_it(asked.partition)));
                    let next = asked.map_or(Next::Nothing, |asked| Next::Records { from: asked.fetch_offset });
                    self.fetch = Some(fetch);
                    Some(next)
                }
                RequestKind::ListOffsets(asks) => {
                    let asked = asks.topics.iter().filter(|topic| topic.name == topic_name(&self.play.id.topic));
                    let asked = asked.flat_map(|topic| &topic.partitions).next();
                    asked.map(|asked| Next::Offset { timestamp: asked.timestamp })
                }
                _ => None,
            };
            if let Some(next) = next {
                (self.next, self.waiting) = (next, Some((conn, call)));
            }
        }
    }

    /// Does its log end there, and does it ask that next?
    fn must(&self, what: &str, end: i64, next: Next, speaker: &mut Speaker<'_>) -> bool {
        let words = |end: i64, next: Next| format!("log end {end} and {next}");
        let (said, truth) = (words(self.scene.end(), self.next), words(end, next));
        let is_so = said == truth;
        self.scene.says(Word::StepOfFetcher, said, truth, what, speaker);
        is_so
    }
    fn knows_no_producer(&self, what: &str, speaker: &mut Speaker<'_>) {
        let producers = self.scene.replica().and_then(|replica| replica.log.producers());
        let known = producers.map_or(0, |producers| producers.entries().len());
        let words = |known: usize| format!("{known} producers");
        self.scene.says(Word::StepOfLogEnd, words(known), words(0), what, speaker);
    }
}
