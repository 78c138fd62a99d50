//! What befalls the topics of a coordinator, its log and its reign: a copy of its broker hears of it.
//!
//! ```text
//!   the copy leads its partition of __consumer_offsets alone ─▶ an offset is committed
//!     ─▶ records of metadata, as a controller would send them ─▶ what does it know of that offset, what does it do?
//! ```
//!
//! Sources: KIP-966, `GroupCoordinatorService.onPartitionsDeleted`, `GroupCoordinatorService.startup`,
//! `CoordinatorRuntime.scheduleLoadOperation`, `CoordinatorPartitionWriter.append`.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{OffsetFetchRequest, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::{Broker, BrokerTimer, GroupStep};
use trial_kafka::event::Event;
use trial_kafka::group::partition_for::{OFFSETS_TOPIC, partition_for};
use trial_kafka::ids::{BrokerId, Topic, TopicPartition};
use trial_kafka::metadata::{MetadataRecord, PartitionChange, TOPIC_RESOURCE};
use trial_kafka::node::{Now, ReqId};
use trial_kafka::protocol::errors::NONE;
use uuid::Uuid;

use super::Speaker;
use super::broker_copy::{BrokerCopy, Settled};
use super::classic_questions::COMMIT;
use super::group_rehearsal::name_what_was_asked;
use super::leader_rehearsal::serves;
use super::made_topics::{self, ABSENT, id_of};
use super::offset_plays::{FETCH, NO_OFFSET, Said, Who, judge, of_error, said_to_commit, said_to_fetch};

/// What stands for these plays among the kinds of states of groups: they are played once in a run.
const PLAYED: u64 = u64::MAX - 1;
/// Topics that there are only in these plays: one that stays, and one that goes.
const STAYS: &str = "of-the-play-1";
const GOES: &str = "of-the-play-2";
/// So many names are tried until a group of that name is kept in the partition.
const MOST_NAMES: usize = 10_000;

/// This broker coordinates the group.
pub(super) fn rehearse(
    rehearsed: &mut BTreeSet<u64>,
    broker: &Broker,
    group: &str,
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    if rehearsed.contains(&PLAYED) {
        return;
    }
    let Some(mut scene) = Scene::new(broker, group, now, speaker) else { return };
    rehearsed.insert(PLAYED);
    of_a_topic_that_goes(&mut scene, speaker);
    of_new_partitions(&mut scene, speaker);
    of_a_new_epoch(&mut scene, speaker);
    of_too_few_replicas(&mut scene, speaker);
}

/// A copy of the broker, and a group of which nobody has heard, which it coordinates.
struct Scene {
    copy: BrokerCopy,
    log: TopicPartition,
    topic_id: Uuid,
    group: String,
    /// `offsets.commit.timeout.ms`.
    patience_ms: i64,
}

impl Scene {
    /// `None`: it stops, or leads no more, or does not know yet that it does.
    fn new(broker: &Broker, group: &str, now: Now, speaker: &Speaker<'_>) -> Option<Scene> {
        let partition = broker.coordinates_in(group)?;
        let patience_ms = broker.coordinator_of(group)?.config().offset_commit_timeout_ms;
        let log = TopicPartition::new(&Topic::new(OFFSETS_TOPIC), partition);
        let replica = broker.partition(&log)?;
        let topic = broker.image().topic(OFFSETS_TOPIC)?;
        let registration = topic.partitions.get(usize::try_from(partition).ok()?)?;
        let leads = replica.is_leader() && replica.leader_epoch == registration.leader_epoch;
        // While it is flushed what was appended counts for nobody, and no copy knows when that ends.
        if !serves(broker) || !leads || replica.topic_id != topic.topic_id || replica.flushing_from.is_some() {
            return None;
        }
        let names = (0..MOST_NAMES).map(|number| format!("of the play {number}"));
        let is_kept_there = |name: &String| broker.coordinates_in(name) == Some(partition);
        let group = names.into_iter().find(is_kept_there)?;
        let copy = BrokerCopy::of(broker, &speaker.slot.disk, now);
        let mut scene = Scene { copy, log, topic_id: topic.topic_id, group, patience_ms };
        // The broker may be about to look how far its log is committed, and does not set itself to do so twice.
        scene.copy.takes_group_step(GroupStep::Committed { partition });
        scene.is_kept_by(&[broker.node_id()], 1);
        scene.hears(&made_topics::topic(STAYS, 1));
        scene.hears(&made_topics::topic(GOES, 1));
        Some(scene)
    }

    fn hears(&mut self, records: &[MetadataRecord]) {
        // The answer to AlterPartition may have told it of a change of its log before the metadata does.
        let known = self.copy.partition(&self.log).map_or(0, |replica| replica.partition_epoch);
        let (topic_id, index) = (self.topic_id, usize::try_from(self.log.partition).unwrap_or(0));
        self.copy.hears(|image| {
            let topic = image.topics.get_mut(&topic_id).map(std::sync::Arc::make_mut);
            if let Some(registration) = topic.and_then(|topic| topic.partitions.get_mut(index)) {
                registration.partition_epoch = registration.partition_epoch.max(known);
            }
            records.iter().for_each(|record| image.apply(image.next_offset, record));
        });
    }
    /// This broker alone is in sync, of these replicas; so many must be.
    fn is_kept_by(&mut self, replicas: &[BrokerId], min_isr: usize) {
        let change = PartitionChange {
            isr: Some(vec![self.copy.broker().node_id()]),
            replicas: Some(replicas.to_vec()),
            removing_replicas: Some(Vec::new()),
            adding_replicas: Some(Vec::new()),
            ..self.change()
        };
        let min_isr = MetadataRecord::Config {
            resource_type: TOPIC_RESOURCE,
            resource_name: OFFSETS_TOPIC.to_string(),
            name: "min.insync.replicas".to_string(),
            value: Some(min_isr.to_string()),
        };
        self.hears(&[min_isr, MetadataRecord::PartitionChange(change)]);
    }
    fn change(&self) -> PartitionChange {
        PartitionChange { topic_id: self.topic_id, partition: self.log.partition, ..PartitionChange::default() }
    }

    fn commits(&mut self, topic: &str, offset: i64) -> (ReqId, Said) {
        let (req, settled) = self.copy.ask(COMMIT, Who::of_nobody(&self.group).commits(topic, offset, -1));
        (req, said(settled))
    }
    fn knows(&mut self, topic: &str) -> Said {
        let group = Who::of_nobody(&self.group).asks(topic);
        said(self.copy.ask(FETCH, OffsetFetchRequest::default().with_groups(vec![group])).1)
    }
    fn end(&self) -> i64 {
        self.copy.partition(&self.log).map_or(-1, |replica| replica.log_end_offset())
    }
}

fn said(settled: Settled) -> Said {
    let Settled::Answered(response) = settled else { return Said::Nothing };
    match *response {
        ResponseKind::OffsetCommit(answer) => said_to_commit(&answer),
        ResponseKind::OffsetFetch(answer) => answer.groups.first().map_or(Said::Nothing, said_to_fetch),
        _ => Said::Nothing,
    }
}

/// What groups have committed of a topic goes with it, and nothing else does.
fn of_a_topic_that_goes(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    for (topic, offset) in [(STAYS, 7), (GOES, 8)] {
        judge("to commit where it leads alone", scene.commits(topic, offset).1, Said::Error(NONE), speaker);
        judge("for what is committed", scene.knows(topic), Said::Offset(offset), speaker);
    }
    scene.hears(&[MetadataRecord::RemoveTopic { topic_id: id_of(GOES) }]);
    judge("for an offset of a topic that has gone", scene.knows(GOES), Said::Offset(NO_OFFSET), speaker);
    judge("for an offset of a topic that stays", scene.knows(STAYS), Said::Offset(7), speaker);
}

/// `__consumer_offsets` gets so many more partitions that the group would be kept in another one: it is not.
fn of_new_partitions(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    let count = scene.copy.broker().image().topic(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions.len());
    let count = i32::try_from(count).unwrap_or(0);
    let moves = |more: &i32| partition_for(&scene.group, count + more) != Some(scene.log.partition);
    let Some(more) = (1..=100).find(moves) else { return };
    let records: Vec<_> =
        (count..count + more).map(|partition| made_topics::partition(scene.topic_id, partition)).collect();
    scene.hears(&records);
    judge("for an offset when its log has more partitions", scene.knows(STAYS), Said::Offset(7), speaker);
    let committed = scene.commits(STAYS, 9).1;
    judge("to commit when its log has more partitions", committed, Said::Error(NONE), speaker);
}

/// It leads on, in a new epoch: nobody else has written meanwhile, and nothing is to be loaded.
fn of_a_new_epoch(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    let heard = speaker.notes.len();
    let leader = Some(scene.copy.broker().node_id());
    scene.hears(&[MetadataRecord::PartitionChange(PartitionChange { leader, ..scene.change() })]);
    let loads = scene.copy.told().iter().filter(|event| matches!(event, Event::CoordinatorLoaded { .. })).count();
    let words = |loads: usize| format!("its log {loads} times");
    speaker.says(Word::GroupRebalance, None, words(loads), words(0));
    name_what_was_asked("to lead on in a new epoch, and what it loads", heard, speaker);
    judge("for an offset of the epoch before", scene.knows(STAYS), Said::Offset(9), speaker);
    judge("to commit in a new epoch", scene.commits(STAYS, 10).1, Said::Error(NONE), speaker);
}

/// Fewer are in sync than must be: what is committed stands in the log, and waits.
fn of_too_few_replicas(scene: &mut Scene, speaker: &mut Speaker<'_>) {
    scene.is_kept_by(&[scene.copy.broker().node_id(), ABSENT], 2);
    let end = scene.end();
    let (commit, said_at_once) = scene.commits(STAYS, 11);
    judge("to commit with too few replicas in sync", said_at_once, Said::Nothing, speaker);
    let heard = speaker.notes.len();
    speaker.says(Word::StepOfLogEnd, Some(&scene.log), scene.end(), end + 1);
    name_what_was_asked("to commit with too few replicas in sync, and what it writes", heard, speaker);
    let later = said(scene.copy.pass(scene.patience_ms, BrokerTimer::Groups, commit));
    let due = of_error(ResponseError::CoordinatorNotAvailable);
    judge("to commit with too few replicas in sync for too long", later, due, speaker);
    judge("for an offset that is not committed", scene.knows(STAYS), Said::Offset(10), speaker);
}
