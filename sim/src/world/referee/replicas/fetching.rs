//! For what may a follower ask its leader now? (4.5)
//!
//! What a fetcher has asked on its connection, and what each answer made of each partition: asked for again at once or after
//! a pause, not before the leader's ends are known, or not at all in this leader epoch. Sources: `AbstractFetcherThread`
//! (`processFetchRequest`, `handlePartitionsWithErrors`, `onPartitionFenced`, `fetchOffsetAndTruncate`),
//! `AbstractFetcherManager`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest};
use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::broker::partition::Partition;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::Nanos;
use uuid::Uuid;

use crate::trace::NodeIx;
use crate::world::referee::Speaker;
use crate::world::referee::asked::AskedPartition;

/// The timestamps that ask for the ends of a log.
pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

/// What is asked next for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is fetched.
    Fetch,
    /// It is fetched after `replica.fetch.backoff.ms`.
    Pause,
    /// The same, and the pause ends then.
    PauseUntil(Nanos),
    /// One end of its leader's log.
    Offset(i64),
    /// Nothing, in this leader epoch.
    Nothing,
}

/// What was asked on a connection of a fetcher.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    follower: NodeIx,
    /// In all of the session.
    pub(super) partitions: BTreeMap<(Uuid, i32), AskedPartition>,
    /// The last fetch was a full one.
    pub(super) is_full: bool,
    /// The question in flight is one for an end of a log.
    pub(super) offset: Option<OffsetAsked>,
}

/// A question for one end of the leader's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct OffsetAsked {
    pub(super) partition: (Uuid, i32),
    pub(super) timestamp: i64,
    pub(super) leader_epoch: i32,
    pub(super) log_end: i64,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    sent: BTreeMap<u64, Sent>,
    /// Where it is not simply fetched: of which leader epoch that is, and what is next.
    next: BTreeMap<(NodeIx, Uuid, i32), (i32, Next)>,
}

impl Fetching {
    /// A process starts.
    pub(super) fn forget(&mut self, node: NodeIx) {
        self.next.retain(|(follower, ..), _| *follower != node);
        self.sent.retain(|_, sent| sent.follower != node);
    }
    /// Nothing more comes on this connection.
    pub(super) fn close(&mut self, conn: u64) {
        self.sent.remove(&conn);
    }
    fn sent_by(&mut self, follower: NodeIx, conn: u64) -> &mut Sent {
        let nothing = || Sent { follower, partitions: BTreeMap::new(), is_full: false, offset: None };
        self.sent.entry(conn).or_insert_with(nothing)
    }
    pub(super) fn sent(&self, conn: u64) -> Option<&Sent> {
        self.sent.get(&conn)
    }
    pub(super) fn next(&self, node: NodeIx, id: (Uuid, i32), leader_epoch: i32) -> Next {
        let known = self.next.get(&(node, id.0, id.1)).filter(|(of, _)| *of == leader_epoch);
        known.map_or(Next::Fetch, |(_, next)| *next)
    }
    pub(super) fn set_next(&mut self, node: NodeIx, id: (Uuid, i32), leader_epoch: i32, next: Next) {
        match next {
            Next::Fetch => self.next.remove(&(node, id.0, id.1)),
            next => self.next.insert((node, id.0, id.1), (leader_epoch, next)),
        };
    }

    /// A follower asks for records. It may, of all these partitions?
    pub(super) fn judge_fetch(&mut self, conn: u64, request: &FetchRequest, now: Nanos, speaker: &mut Speaker<'_>) {
        let Some(broker) = speaker.slot.broker() else { return };
        let node = speaker.node;
        self.sent_by(node, conn).offset = None;
        let Fetching { sent, next: known } = self;
        let Some(sent) = sent.get_mut(&conn) else { return };
        for (id, asked) in &sent.partitions {
            let Some(replica) = followed(broker, *id, asked.current_leader_epoch) else { continue };
            if replica.flushing_from.is_some() || replica.checkpoints_awaited > 0 {
                let truth =
                    "nothing for any partition of this fetcher while this one's log is being written".to_string();
                speaker.wrong(Word::StepOfFetcher, Some(&replica.id), "a fetch".to_string(), truth);
            }
            let next = known.get(&(node, id.0, id.1)).filter(|(of, _)| *of == replica.leader_epoch);
            if let Some((_, Next::Offset(timestamp))) = next {
                let truth = in_words(*timestamp).to_string();
                speaker.wrong(Word::StepOfFetcher, Some(&replica.id), "a fetch".to_string(), truth);
            }
        }
        sent.is_full = request.session_epoch <= 0;
        if sent.is_full {
            sent.partitions.clear();
        }
        for topic in &request.forgotten_topics_data {
            for index in &topic.partitions {
                sent.partitions.remove(&(topic.topic_id, *index));
            }
        }
        for topic in &request.topics {
            for asked in &topic.partitions {
                sent.partitions.insert((topic.topic_id, asked.partition), AskedPartition::of(asked));
            }
        }
        let fetchers = broker.setup().config.num_replica_fetchers;
        let mut number = None;
        for (id, asked) in &sent.partitions {
            let Some(replica) = broker.replica(id.0, id.1) else { continue };
            if fetchers > 1 {
                let own = fetcher_number(&replica.id, fetchers);
                if *number.get_or_insert(own) != own {
                    let truth = format!("a fetch by fetcher {own}");
                    let said = format!("a fetch by fetcher {}", number.unwrap_or(own));
                    speaker.wrong(Word::StepOfFetcher, Some(&replica.id), said, truth);
                }
            }
            let key = (node, id.0, id.1);
            let Some((of, next)) = known.get(&key).copied() else { continue };
            if of != replica.leader_epoch || asked.current_leader_epoch != of {
                known.remove(&key);
                continue;
            }
            match next {
                Next::PauseUntil(until) if now < until => {
                    let truth = format!("nothing for {} ms", (until - now) / 1_000_000);
                    speaker.wrong(Word::StepOfFetcher, Some(&replica.id), "a fetch".to_string(), truth);
                }
                Next::Nothing => {
                    let truth = format!("nothing in leader epoch {of}");
                    speaker.wrong(Word::StepOfFetcher, Some(&replica.id), "a fetch".to_string(), truth);
                }
                Next::PauseUntil(_) => {
                    known.remove(&key);
                }
                Next::Fetch | Next::Pause | Next::Offset(_) => {}
            }
        }
    }

    /// A follower asks for an end of its leader's log.
    pub(super) fn judge_offset(&mut self, conn: u64, request: &ListOffsetsRequest, speaker: &mut Speaker<'_>) {
        let Some(broker) = speaker.slot.broker() else { return };
        for topic in &request.topics {
            for asked in &topic.partitions {
                let id = TopicPartition::new(&Topic::new(&topic.name), asked.partition_index);
                let Some(replica) = broker.partition(&id) else { continue };
                let partition = (replica.topic_id, id.partition);
                let due = self.next(speaker.node, partition, asked.current_leader_epoch);
                if due != Next::Offset(asked.timestamp) {
                    let truth = match due {
                        Next::Offset(timestamp) => in_words(timestamp),
                        _ => "no question for an end of the log",
                    };
                    let (said, truth) = (in_words(asked.timestamp).to_string(), truth.to_string());
                    speaker.wrong(Word::StepOfFetcher, Some(&id), said, truth);
                }
                self.sent_by(speaker.node, conn).offset = Some(OffsetAsked {
                    partition,
                    timestamp: asked.timestamp,
                    leader_epoch: asked.current_leader_epoch,
                    log_end: replica.log_end_offset(),
                });
            }
        }
    }

    /// The connection is gone, and with it what was asked on it.
    pub(super) fn note_lost(&mut self, node: NodeIx, conn: u64, broker: &Broker, until: Nanos) {
        let Some(sent) = self.sent.get_mut(&conn) else { return };
        let pause = (node, Next::PauseUntil(until));
        let mut lost = |id: (Uuid, i32), leader_epoch: i32| {
            if followed(broker, id, leader_epoch).is_some() {
                self.next.insert((pause.0, id.0, id.1), (leader_epoch, pause.1));
            }
        };
        match sent.offset.take() {
            Some(asked) => lost(asked.partition, asked.leader_epoch),
            None => sent.partitions.iter().for_each(|(id, asked)| lost(*id, asked.current_leader_epoch)),
        }
    }
}

/// What an error makes of a partition. Source: `AbstractFetcherThread.handlePartitionsWithErrors`.
pub(super) fn after_error(error: i16) -> Next {
    if error == ResponseError::OffsetOutOfRange.code() {
        Next::Offset(LATEST)
    } else if error == ResponseError::FencedLeaderEpoch.code() {
        Next::Nothing
    } else {
        Next::Pause
    }
}

/// The replica, if it follows in this leader epoch.
fn followed(broker: &Broker, id: (Uuid, i32), leader_epoch: i32) -> Option<&Partition> {
    broker.replica(id.0, id.1).filter(|replica| !replica.is_leader() && replica.leader_epoch == leader_epoch)
}

fn in_words(timestamp: i64) -> &'static str {
    match timestamp {
        LATEST => "a question for the end of the leader's log",
        EARLIEST => "a question for the start of the leader's log",
        _ => "a question for an offset by its time",
    }
}

/// By Java's hash of the name, times 31, plus the partition. Source: `AbstractFetcherManager.getFetcherId`.
fn fetcher_number(id: &TopicPartition, fetchers: i64) -> i64 {
    let mut hash = 0i32;
    for unit in id.topic.as_str().encode_utf16() {
        hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    }
    let hash = hash.wrapping_mul(31).wrapping_add(id.partition);
    if hash == i32::MIN { 0 } else { i64::from(hash.abs()) % fetchers }
}
