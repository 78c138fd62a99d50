//! What does a broker tell of a log's ends, and whom does it let read? Copies are asked.
//!
//! Sources: KIP-207, KIP-320, KIP-595, KIP-903, `ReplicaManager.fetchOffset`, `Partition.fetchOffsetForTimestamp`,
//! `Partition.fetchRecords`, `Replica.updateFetchStateOrThrow`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::partition::Partition;
use trial_kafka::protocol::errors::{NONE, code_name};
use trial_kafka::protocol::{topic_name, versions};
use trial_storage::EpochEntry;

use super::Speaker;
use super::asked::{AskedPartition, Fetch};
use super::broker_answers::{self, Outcome};
use super::broker_copy::Settled;
use super::leader_rehearsal::{Scene, Stage};

/// The replica ids of a consumer, of a tool, and of nobody.
const CONSUMER: i32 = -1;
const TOOL: i32 = -2;
const STRANGER: i32 = 9_999;
/// The timestamps that stand for places.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// Later than all records.
const END_OF_TIME: i64 = i64::MAX;
/// The last version of ListOffsets that knows no OFFSET_NOT_AVAILABLE.
const OLD: i16 = 4;
const NO_EPOCH: i32 = -1;

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    of_ends(stage, speaker);
    of_fetches(stage, speaker);
}

/// A question, and the offset or the error that follows.
struct Question {
    what: &'static str,
    version: i16,
    replica: i32,
    timestamp: i64,
    epoch: i32,
    due: Result<i64, ResponseError>,
}

fn of_ends(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    use ResponseError::{
        FencedLeaderEpoch, InvalidRequest, LeaderNotAvailable, NotLeaderOrFollower, OffsetNotAvailable,
        UnknownLeaderEpoch,
    };
    let replica = stage.replica;
    let (start, high_watermark, end) =
        (replica.log.log_start_offset(), replica.high_watermark(), replica.log_end_offset());
    let reign = replica.leader_state().map(|state| state.epoch_start_offset);
    let of_leader = |due: Result<i64, ResponseError>| if reign.is_none() { Err(NotLeaderOrFollower) } else { due };
    let is_open = reign.is_some_and(|reign| high_watermark < reign);
    let once_closed = |offset: i64, error: ResponseError| of_leader(if is_open { Err(error) } else { Ok(offset) });
    let (latest, epoch) = (versions::LIST_OFFSETS, replica.leader_epoch);
    let of = |what, version, replica, timestamp, epoch, due| Question { what, version, replica, timestamp, epoch, due };
    let questions = [
        of("for the end", latest, CONSUMER, LATEST, epoch, once_closed(high_watermark, OffsetNotAvailable)),
        of(
            "for the end, by an old request",
            OLD,
            CONSUMER,
            LATEST,
            epoch,
            once_closed(high_watermark, LeaderNotAvailable),
        ),
        of("for the end of time", latest, CONSUMER, END_OF_TIME, epoch, once_closed(-1, OffsetNotAvailable)),
        of("for the beginning", latest, CONSUMER, EARLIEST, epoch, of_leader(Ok(start))),
        of("for the beginning in the next epoch", latest, CONSUMER, EARLIEST, epoch + 1, Err(UnknownLeaderEpoch)),
        of("for the end, by a tool", latest, TOOL, LATEST, NO_EPOCH, Ok(end)),
    ];
    let mut scene = stage.scene();
    for Question { what, version, replica, timestamp, epoch, due } in questions {
        let said = list(&mut scene, version, replica, &[(timestamp, epoch)]).map(told);
        judge(&scene, what, said, due, speaker);
    }
    if epoch > 0 {
        let said = list(&mut scene, latest, CONSUMER, &[(EARLIEST, epoch - 1)]).map(told);
        judge(&scene, "for the beginning in the epoch before", said, Err(FencedLeaderEpoch), speaker);
    }
    let twice = [(EARLIEST, epoch), (EARLIEST, epoch)];
    let said = list(&mut scene, latest, CONSUMER, &twice).map(told);
    judge(&scene, "twice for the beginning", said, Err(InvalidRequest), speaker);
}

fn told(answer: ListOffsetsPartitionResponse) -> Result<i64, i16> {
    if answer.error_code == NONE { Ok(answer.offset) } else { Err(answer.error_code) }
}

fn judge(
    scene: &Scene,
    what: &str,
    said: Option<Result<i64, i16>>,
    due: Result<i64, ResponseError>,
    speaker: &mut Speaker<'_>,
) {
    let words = |it: Result<i64, i16>| it.map_or_else(code_name, |offset| format!("offset {offset}"));
    let said = said.map_or("nothing".to_string(), words);
    scene.says(Word::OffsetAnswer, said, words(due.map_err(|error| error.code())), what, speaker);
}

fn list(scene: &mut Scene, version: i16, replica: i32, asked: &[(i64, i32)]) -> Option<ListOffsetsPartitionResponse> {
    let index = scene.id.partition;
    let of = |(timestamp, epoch): &(i64, i32)| {
        let asked = ListOffsetsPartition::default().with_partition_index(index).with_timestamp(*timestamp);
        asked.with_current_leader_epoch(*epoch)
    };
    let partitions = asked.iter().map(of).collect();
    let topic = ListOffsetsTopic::default().with_name(topic_name(&scene.id.topic)).with_partitions(partitions);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(replica)).with_topics(vec![topic]);
    let Settled::Answered(response) = scene.copy.ask(version, request).1 else { return None };
    let ResponseKind::ListOffsets(response) = *response else { return None };
    response.topics.into_iter().next()?.partitions.into_iter().next()
}

/// A fetch of one partition by `replica`, with this broker epoch.
pub(super) struct Asked {
    pub(super) what: &'static str,
    pub(super) replica: i32,
    pub(super) broker_epoch: i64,
    pub(super) leader_epoch: i32,
    pub(super) offset: i64,
    pub(super) last_epoch: i32,
}

fn of_fetches(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let replica = stage.replica;
    let (start, end) = (replica.log.log_start_offset(), replica.log_end_offset());
    let leader_epoch = replica.leader_epoch;
    let last_epoch = replica.log.epochs().last().map_or(NO_EPOCH, |entry| entry.epoch);
    let me = stage.scene().copy.broker().node_id();
    let brokers = &stage.scene().copy.broker().image().brokers.clone();
    let follower = replica.replicas.iter().copied().find(|id| *id != me);
    let broker_epoch = |id: i32| brokers.get(&id).filter(|alive| !alive.fenced).map_or(-1, |alive| alive.broker_epoch);
    let mut questions = Vec::new();
    for asker in [follower, Some(CONSUMER), Some(STRANGER)].into_iter().flatten() {
        let broker_epoch = broker_epoch(asker);
        let of = |what, leader_epoch, offset, last_epoch| Asked {
            what,
            replica: asker,
            broker_epoch,
            leader_epoch,
            offset,
            last_epoch,
        };
        questions.extend([
            of("for what comes behind the end", leader_epoch, end, last_epoch),
            of("for the end in the next epoch", leader_epoch + 1, end, last_epoch),
            of("for the end in the epoch before", leader_epoch - 1, end, last_epoch),
            of("for what lies beyond the end", leader_epoch, end + 1, NO_EPOCH),
            of("for what lies beyond the end, of the last epoch", leader_epoch, end + 1, last_epoch),
            of("for the end, of an epoch that is to come", leader_epoch, end, last_epoch + 1),
            of("for what lies below the start", leader_epoch, start - 1, NO_EPOCH),
            of("for what lies below the start, of the last epoch", leader_epoch, start - 1, last_epoch),
        ]);
        questions.extend(
            replica
                .log
                .epochs()
                .iter()
                .rev()
                .nth(1)
                .map(|earlier| of("for the end, of an epoch before the last", leader_epoch, end, earlier.epoch)),
        );
        questions.extend(epoch_between(replica.log.epochs()).into_iter().flat_map(|unknown| {
            [
                of("for the end, of an epoch that nobody has", leader_epoch, end, unknown),
                of("for what lies below the start, of an epoch that nobody has", leader_epoch, start - 1, unknown),
            ]
        }));
    }
    let mut scene = stage.scene();
    for asked in questions {
        let Some(due) = scene.replica().map(|replica| due(replica, &asked)) else { return };
        if let Some(said) = fetch(&mut scene, &asked) {
            let of_whom = if asked.replica < 0 { "a consumer" } else { "a follower" };
            let what = format!("by {of_whom} {}", asked.what);
            scene.says(Word::FetchAnswer, said, due, &what, speaker);
        }
    }
    // Only once the metadata has the next incarnation alive, and only where the fetch would count.
    if let Some(replica) = follower.filter(|id| broker_epoch(*id) > 0)
        && stage.replica.is_leader()
    {
        let broker_epoch = broker_epoch(replica) - 1;
        let what = "by an earlier incarnation of a follower for what comes behind the end";
        let asked = Asked { what, replica, broker_epoch, leader_epoch, offset: end, last_epoch };
        if let Some(said) = fetch(&mut scene, &asked) {
            let due = Outcome::Error(ResponseError::NotLeaderOrFollower.code());
            scene.says(Word::FetchAnswer, said, due, what, speaker);
        }
    }
}

/// An epoch between two that the log has.
pub(super) fn epoch_between(epochs: &[EpochEntry]) -> Option<i32> {
    let gap = epochs.windows(2).find(|pair| pair[0].epoch + 1 < pair[1].epoch)?;
    Some(gap[0].epoch + 1)
}

fn due(replica: &Partition, asked: &Asked) -> Outcome {
    let fetch = Fetch {
        replica: asked.replica,
        broker_epoch: asked.broker_epoch,
        tells_rack: asked.replica < 0,
        is_known_whole: true,
        partitions: Default::default(),
    };
    let asked = AskedPartition {
        current_leader_epoch: asked.leader_epoch,
        fetch_offset: asked.offset,
        last_fetched_epoch: asked.last_epoch,
        log_start_offset: replica.log.log_start_offset(),
    };
    broker_answers::outcome(replica, &fetch, &asked)
}

fn fetch(scene: &mut Scene, asked: &Asked) -> Option<Outcome> {
    let answer = fetched(scene, asked)?;
    // The replica that is nearer is told to a consumer, and nothing was looked at.
    (answer.preferred_read_replica.0 < 0).then(|| Outcome::of(&answer))
}

/// Asks without patience and without a session.
pub(super) fn fetched(scene: &mut Scene, asked: &Asked) -> Option<PartitionData> {
    let (topic_id, log_start) = scene.replica().map(|replica| (replica.topic_id, replica.log.log_start_offset()))?;
    let partition = FetchPartition::default()
        .with_partition(scene.id.partition)
        .with_current_leader_epoch(asked.leader_epoch)
        .with_fetch_offset(asked.offset)
        .with_last_fetched_epoch(asked.last_epoch)
        .with_log_start_offset(if asked.replica < 0 { -1 } else { log_start })
        .with_partition_max_bytes(1_000);
    let asker = ReplicaState::default().with_replica_id(BrokerId(asked.replica)).with_replica_epoch(asked.broker_epoch);
    let request = FetchRequest::default()
        .with_replica_state(asker)
        .with_max_wait_ms(0)
        .with_max_bytes(1_000)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic_id(topic_id).with_partitions(vec![partition])]);
    let Settled::Answered(response) = scene.copy.ask(versions::FETCH, request).1 else { return None };
    let ResponseKind::Fetch(response) = *response else { return None };
    response.responses.into_iter().next()?.partitions.into_iter().next()
}
