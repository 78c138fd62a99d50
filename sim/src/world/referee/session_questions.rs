//! What does a broker keep of a fetch session, to whom does it send a consumer, and how long does it wait? Copies are asked.
//!
//! Sources: KIP-227, KIP-392, KIP-320, KIP-516, `FetchManager.newContext`, `CachedPartition`, `FetchSessionCacheShard`,
//! `ReplicaManager.findPreferredReadReplica`, `RackAwareReplicaSelector`, `DelayedFetch`, `Partition.lastOffsetForLeaderEpoch`.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, OffsetForLeaderEpochRequest, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::broker::BrokerTimer;
use trial_kafka::broker::partition::Partition;
use trial_kafka::config::ReplicaSelector;
use trial_kafka::ids::TopicPartition;
use trial_kafka::protocol::errors::{NONE, code_name};
use trial_kafka::protocol::{topic_name, versions};

use super::Speaker;
use super::broker_answers;
use super::broker_copy::Settled;
use super::leader_rehearsal::{Scene, Stage};
use super::made_batches::two_of;

/// The last version of Fetch that names topics.
const WITH_NAMES: i16 = 12;
const CONSUMER: i32 = -1;
/// Room for all that are begun.
const SLOTS: i64 = 10;
/// The epoch of a request that begins a session.
const FIRST: i32 = 0;
const SEGMENT_MS: i64 = 1_000;
/// More than anybody has, and longer than anybody waits.
const MUCH: i32 = i32::MAX;

/// One fetch of a client.
#[derive(Clone)]
struct Asks<'a> {
    version: i16,
    session: (i32, i32),
    partitions: &'a [(TopicPartition, i64)],
    replica: (i32, i64),
    rack: &'a str,
    /// How long it waits, and for how much.
    waits: (i32, i32),
}

impl<'a> Asks<'a> {
    fn of(session: (i32, i32), partitions: &'a [(TopicPartition, i64)]) -> Self {
        Asks { version: versions::FETCH, session, partitions, replica: (CONSUMER, -1), rack: "", waits: (0, 0) }
    }
}

/// `None`: it is not answered at once.
fn fetch(scene: &mut Scene, asks: &Asks<'_>) -> Option<FetchResponse> {
    let mut topics = Vec::new();
    for (id, offset) in asks.partitions {
        let topic_id = scene.copy.partition(id)?.topic_id;
        let asked = FetchPartition::default()
            .with_partition(id.partition)
            .with_fetch_offset(*offset)
            .with_current_leader_epoch(-1)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(if asks.replica.0 < 0 { -1 } else { 0 })
            .with_partition_max_bytes(MUCH);
        let topic = match asks.version > WITH_NAMES {
            true => FetchTopic::default().with_topic_id(topic_id),
            false => FetchTopic::default().with_topic(topic_name(&id.topic)),
        };
        topics.push(topic.with_partitions(vec![asked]));
    }
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(asks.replica.0))
        .with_replica_state(
            ReplicaState::default().with_replica_id(BrokerId(asks.replica.0)).with_replica_epoch(asks.replica.1),
        )
        .with_session_id(asks.session.0)
        .with_session_epoch(asks.session.1)
        .with_max_wait_ms(asks.waits.0)
        .with_min_bytes(asks.waits.1)
        .with_max_bytes(MUCH)
        .with_rack_id(StrBytes::from_string(asks.rack.to_string()))
        .with_topics(topics);
    let Settled::Answered(response) = scene.copy.ask(asks.version, request).1 else { return None };
    let ResponseKind::Fetch(response) = *response else { return None };
    Some(response)
}

/// The partitions that an answer speaks of, in its order.
fn told(response: &FetchResponse) -> impl Iterator<Item = (uuid::Uuid, &PartitionData)> {
    response.responses.iter().flat_map(|topic| topic.partitions.iter().map(|data| (topic.topic_id, data)))
}

/// A leader that has nothing new for a consumer at the high watermark.
pub(super) fn of_sessions(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene().with_config(|config| config.max_incremental_fetch_session_cache_slots = SLOTS);
    let at_the_end = [(scene.id.clone(), stage.replica.high_watermark())];
    let begins = Asks::of((0, FIRST), &at_the_end);
    let Some(session) = fetch(&mut scene, &begins).map(|answer| answer.session_id).filter(|id| *id != 0) else {
        let truth = "a session".to_string();
        return scene.is_wrong(Word::FetchAnswer, "none".to_string(), truth, "for a session", speaker);
    };
    let mut judge = |scene: &mut Scene, what: &str, asks: &Asks<'_>, due: Result<usize, ResponseError>| {
        let said = fetch(scene, asks);
        let words = |error: i16, partitions: usize| format!("{} and {partitions} partitions", code_name(error));
        let said = said.map_or_else(|| "nothing".to_string(), |answer| words(answer.error_code, told(&answer).count()));
        let due = due.map_or_else(|error| words(error.code(), 0), |partitions| words(NONE, partitions));
        let is_so = said == due;
        scene.says(Word::FetchAnswer, said, due, what, speaker);
        is_so
    };
    let refusals = [
        (
            "for a session by a request out of turn",
            Asks::of((session, 5), &[]),
            ResponseError::InvalidFetchSessionEpoch,
        ),
        ("for a session of nobody", Asks::of((session ^ 1, 1), &[]), ResponseError::FetchSessionIdNotFound),
        (
            "for a session of topic ids by names",
            Asks { version: WITH_NAMES, ..Asks::of((session, 1), &[]) },
            ResponseError::FetchSessionTopicIdError,
        ),
    ];
    for (what, asks, error) in refusals {
        judge(&mut scene, what, &asks, Err(error));
    }
    let beyond = [(scene.id.clone(), stage.replica.log_end_offset() + 1)];
    let goes_on = [
        ("in a session, where nothing is new", Asks::of((session, 1), &[]), 0),
        ("in a session, beyond the end", Asks::of((session, 2), &beyond), 1),
        ("in a session, after an error", Asks::of((session, 3), &at_the_end), 1),
        ("in a session, where nothing is new again", Asks::of((session, 4), &[]), 0),
    ];
    for (what, asks, partitions) in goes_on {
        if !judge(&mut scene, what, &asks, Ok(partitions)) {
            return;
        }
    }
    let anew = Asks::of((session, FIRST), &at_the_end);
    judge(&mut scene, "for another session", &anew, Ok(1));
    let error = ResponseError::FetchSessionIdNotFound;
    judge(&mut scene, "for a session that gave way to another", &Asks::of((session, 5), &[]), Err(error));
}

/// Two partitions that this broker leads, both with records for consumers: who was served comes last.
pub(super) fn of_turns(stage: &Stage<'_>, other: &Partition, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene().with_config(|config| config.max_incremental_fetch_session_cache_slots = SLOTS);
    let begin = |replica: &Partition| (replica.id.clone(), replica.log.log_start_offset());
    let end = |replica: &Partition| (replica.id.clone(), replica.high_watermark());
    let ends = [end(stage.replica), end(other)];
    let Some(session) = fetch(&mut scene, &Asks::of((0, FIRST), &ends)).map(|answer| answer.session_id) else { return };
    let (one, both) = ([begin(stage.replica)], [begin(other)]);
    let served = fetch(&mut scene, &Asks::of((session, 1), &one));
    let Some(answer) = served.and_then(|_| fetch(&mut scene, &Asks::of((session, 2), &both))) else { return };
    let mut order = told(&answer).map(|(topic, data)| (topic, data.partition_index));
    let last = (stage.replica.topic_id, stage.replica.id.partition);
    let (comes_first, is_there) = (order.next() == Some(last), order.any(|id| id == last));
    let what = "in a session with two partitions, of which one was served";
    let words = |comes_first: bool, comes_later: bool| format!("that one first: {comes_first}, later: {comes_later}");
    scene.says(Word::FetchAnswer, words(comes_first, is_there), words(false, true), what, speaker);

    // Where there is room for one, a young one stays, though another is larger.
    let mut scene = stage.scene().with_config(|config| config.max_incremental_fetch_session_cache_slots = 1);
    let what = "for a second session where there is room for one";
    let mut begin = |ends: &[(TopicPartition, i64)]| {
        fetch(&mut scene, &Asks::of((0, FIRST), ends)).map_or(-1, |answer| answer.session_id)
    };
    let (first, second) = (begin(&ends[..1]), begin(&ends));
    let words = |first: bool, second: bool| format!("sessions: {first} and {second}");
    scene.says(Word::FetchAnswer, words(first > 0, second > 0), words(true, false), what, speaker);
}

/// A read ends where its segment does: whoever wants more is not made wait.
pub(super) fn of_older_segments(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let broker = stage.broker;
    let other = stage.replica.replicas.iter().copied().find(|id| *id != broker.node_id());
    let is_throttled = stage.replica.throttled.as_leader;
    let mut scene = stage.scene_with(|config| config.segment_ms = SEGMENT_MS).with_config(|_| {});
    let time = scene.wall() + (1 << 42);
    let from = scene.end();
    let what = "to append a batch of the future";
    for time in [time, time + SEGMENT_MS + 1] {
        if scene.takes(what, two_of(time), speaker).is_none() {
            return;
        }
    }
    of_flushes(&mut scene, time + SEGMENT_MS + 1, from + 2, speaker);
    let is_readable = scene.replica().is_some_and(|replica| replica.high_watermark() > from + 2);
    let asker = if is_readable { Some(CONSUMER) } else { other };
    let Some(asker) = asker.filter(|_| !is_throttled) else { return };
    let epoch = broker.image().brokers.get(&asker).map_or(-1, |registered| registered.broker_epoch);
    let partitions = [(scene.id.clone(), from)];
    let asks = Asks { replica: (asker, epoch), waits: (MUCH, MUCH), ..Asks::of((0, -1), &partitions) };
    let answer = fetch(&mut scene, &asks);
    let bytes = answer.iter().flat_map(told).filter_map(|(_, data)| data.records.as_ref()).map(|records| records.len());
    let has_records = bytes.sum::<usize>() > 0;
    let words = |has_records: bool| if has_records { "with records" } else { "nothing" }.to_string();
    let what = "from an older segment for more than it holds";
    scene.says(Word::FetchAnswer, words(has_records), words(true), what, speaker);
    of_retention(&mut scene, speaker);
}

/// It has just rolled a segment, which ended there. That one is flushed, and not what is appended behind it.
/// (`UnifiedLog.roll`, `append`.)
fn of_flushes(scene: &mut Scene, time: i64, rolled_at: i64, speaker: &mut Speaker<'_>) {
    let is_flushed_by_messages = scene.replica().is_none_or(|replica| replica.flush_messages < i64::from(i32::MAX));
    if is_flushed_by_messages {
        return;
    }
    let judge = |scene: &Scene, what: &str, speaker: &mut Speaker<'_>| {
        let Some(replica) = scene.replica() else { return };
        let words = |to: i64| format!("a log flushed up to {to}");
        let said = words(replica.log.recovery_point());
        scene.says(Word::StepOfLogEnd, said, words(rolled_at), what, speaker);
    };
    judge(scene, "to roll a segment", speaker);
    if scene.takes("to append behind that", two_of(time), speaker).is_some() {
        judge(scene, "to append behind that", speaker);
    }
}

/// However old a segment is: what is not committed is not deleted.
fn of_retention(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    scene.copy.tick(1 << 44, BrokerTimer::Retention);
    let Some(replica) = scene.replica() else { return };
    let (start, high_watermark) = (replica.log.log_start_offset(), replica.high_watermark());
    let words = |is_so: bool| format!("log start {start} within what is committed, {high_watermark}: {is_so}");
    let what = "to delete what is too old";
    scene.says(Word::StepOfLogStart, words(start <= high_watermark), words(true), what, speaker);
}

/// Is there somebody to whom consumers may be sent?
pub(super) fn has_racks(stage: &Stage<'_>) -> bool {
    let others = stage.replica.leader_state().into_iter().flat_map(|state| &state.remotes);
    others.into_iter().any(|remote| rack_of(stage, remote.broker).is_some())
}

fn rack_of<'a>(stage: &Stage<'a>, broker: i32) -> Option<&'a str> {
    stage.broker.image().brokers.get(&broker).filter(|alive| !alive.fenced)?.rack.as_deref()
}

/// A consumer is sent to a member of the ISR in its rack that has what it asks for.
pub(super) fn of_racks(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some(state) = stage.replica.leader_state() else { return };
    let brokers = stage.broker.image().brokers.keys();
    let racks: BTreeSet<_> = brokers.filter_map(|id| rack_of(stage, *id)).chain(["nowhere"]).collect();
    let mut scene = stage.scene().with_config(|config| config.replica_selector_class = ReplicaSelector::RackAware);
    let ends = state.remotes.iter().flat_map(|remote| [remote.log_end_offset, remote.log_end_offset + 1]);
    let offsets: BTreeSet<_> = ends.chain([stage.replica.log.log_start_offset()]).collect();
    // An error comes first.
    let (start, end) = (stage.replica.log.log_start_offset(), stage.replica.log_end_offset());
    for offset in offsets.into_iter().filter(|offset| (start..=end).contains(offset)) {
        for rack in &racks {
            let is_near = |id: i32| rack_of(stage, id) == Some(rack);
            let has_it = state.remotes.iter().filter(|remote| {
                let is_member = state.isr.committed().contains(&remote.broker);
                is_member && remote.log_end_offset >= offset && remote.log_start_offset <= offset
            });
            let near: BTreeSet<_> = has_it.map(|remote| remote.broker).filter(|id| is_near(*id)).collect();
            let due = if is_near(stage.broker.node_id()) { BTreeSet::new() } else { near };
            let partitions = [(scene.id.clone(), offset)];
            let asks = Asks { rack, ..Asks::of((0, -1), &partitions) };
            let Some(answer) = fetch(&mut scene, &asks) else { continue };
            let Some((_, data)) = told(&answer).next() else { continue };
            let said = data.preferred_read_replica.0;
            let is_so = if due.is_empty() { said < 0 } else { due.contains(&said) };
            if !is_so {
                let what = format!("by a consumer of {rack} from offset {offset} on");
                let truth = if due.is_empty() { "nobody".to_string() } else { format!("one of {due:?}") };
                scene.is_wrong(Word::FetchAnswer, format!("to ask broker {said}"), truth, &what, speaker);
            }
        }
    }
}

/// Where an epoch ends is told by the leader, in the epoch that the asker believes in.
pub(super) fn of_epochs(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    use ResponseError::{FencedLeaderEpoch, NotLeaderOrFollower, UnknownLeaderEpoch};
    let replica = stage.replica;
    let (epoch, end) = (replica.leader_epoch, replica.log_end_offset());
    let mut scene = stage.scene();
    let asked = replica.log.epochs().iter().map(|entry| entry.epoch).chain([epoch + 1]);
    let asked: Vec<_> = asked.flat_map(|asked| [asked - 1, asked]).filter(|asked| *asked >= 0).collect();
    for (believed, error) in
        [(epoch, None), (epoch - 1, Some(FencedLeaderEpoch)), (epoch + 1, Some(UnknownLeaderEpoch))]
    {
        let error = error.or((!replica.is_leader()).then_some(NotLeaderOrFollower)).filter(|_| believed >= 0);
        for asked in asked.iter().copied().filter(|_| believed >= 0) {
            let known = broker_answers::end_of_epoch(replica, asked, end).unwrap_or((-1, -1));
            let due = error.map_or((NONE, known), |error| (error.code(), (-1, -1)));
            let words = |(error, (epoch, end)): (i16, (i32, i64))| {
                format!("{} and that epoch {epoch} ends at {end}", code_name(error))
            };
            let said = end_of_epoch(&mut scene, believed, asked).map(words);
            let what = format!("in epoch {believed} for the end of epoch {asked}");
            scene.says(Word::OffsetAnswer, said.unwrap_or("nothing".to_string()), words(due), &what, speaker);
        }
    }
}

fn end_of_epoch(scene: &mut Scene, believed: i32, asked: i32) -> Option<(i16, (i32, i64))> {
    let asked = OffsetForLeaderPartition::default()
        .with_partition(scene.id.partition)
        .with_current_leader_epoch(believed)
        .with_leader_epoch(asked);
    let topic = OffsetForLeaderTopic::default().with_topic(topic_name(&scene.id.topic)).with_partitions(vec![asked]);
    let request = OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(CONSUMER)).with_topics(vec![topic]);
    let Settled::Answered(response) = scene.copy.ask(versions::OFFSET_FOR_LEADER_EPOCH, request).1 else { return None };
    let ResponseKind::OffsetForLeaderEpoch(response) = *response else { return None };
    let answer = response.topics.into_iter().next()?.partitions.into_iter().next()?;
    Some((answer.error_code, (answer.leader_epoch, answer.end_offset)))
}
