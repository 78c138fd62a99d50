//! What stands in `__consumer_offsets`, and what do its coordinators make of it?
//!
//! The log is read from the disk of the World, record by record, as its leader has it. What a coordinator knows is compared
//! with the fold of its own log: when it has loaded that, and from time to time. It looks at a high watermark a little after
//! that has moved, so that only a difference that stays is one. While one of its threads is stuck, as with a disk that has
//! stalled, it may not look at all, and is not looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use trial_checker::{CoordinatorStep, EventRef, Generation, GroupRecord, MemberAssignment, Observation, Partition};
use trial_kafka::broker::CoordinatedPartition;
use trial_kafka::event::Event;
use trial_kafka::group::assignor::client::consumer_protocol::Assignment;
use trial_kafka::group::partition_for::OFFSETS_TOPIC;
use trial_kafka::group::records::{ClassicGroupValue, ClassicMemberValue, Partitions, Record};
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::Nanos;
use trial_storage::{Batches, Log, records};

use super::replica_at;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Power, World};

const LOOK_EVERY: Nanos = 1_000_000_000;
/// So many looks in a row must find the same difference.
const LOOKS: u32 = 3;

/// One batch of the topic.
struct Written {
    first_offset: i64,
    last_offset: i64,
    epoch: i32,
    records: Vec<Record>,
}

/// How offsets and groups differ, where they do.
type Differences = (Option<String>, Option<String>);

/// The fold of a coordinator's log, since that was loaded.
#[derive(Clone, Debug, Default)]
struct LogFold {
    groups: BTreeMap<String, OfGroup>,
    /// Offsets that are not in `groups` yet, because they were not below the high watermark: with the end of their batch.
    uncommitted: VecDeque<(i64, Record)>,
    /// Static members that came back, each until its record is committed: the end of its batch, when it was written, its group.
    rejoins: VecDeque<(i64, Nanos, String)>,
    /// A difference, and how often in a row it was seen.
    seen: (Differences, u32),
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupTruth {
    names: BTreeMap<String, Arc<str>>,
    next_look: Nanos,
    folds: BTreeMap<(NodeIx, i32), LogFold>,
}

impl GroupTruth {
    fn group(&mut self, id: &str) -> Arc<str> {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        let name: Arc<str> = Arc::from(id);
        self.names.insert(id.to_string(), name.clone());
        name
    }

    /// A broker's event about groups. True if it is one.
    pub(super) fn on_event(
        &mut self,
        world: &World,
        event: &TraceEvent,
        broker: i32,
        image: &MetadataImage,
        told: &mut Vec<(EventRef, Observation)>,
    ) -> bool {
        let at = EventRef { id: event.id.0, time: event.time };
        let named = |id: &TopicPartition| Partition::new(id.topic.as_str(), id.partition);
        let what = match &event.event {
            Event::OffsetWritten { group, partition, offset, member, generation } => CoordinatorStep::OffsetWritten {
                group: self.group(group),
                partition: named(partition),
                offset: *offset,
                member: Arc::from(member.as_str()),
                generation: *generation,
            },
            Event::OffsetCommitAnswered { group, partition, offset, error: None, .. } => {
                CoordinatorStep::CommitAcknowledged {
                    group: self.group(group),
                    partition: named(partition),
                    offset: *offset,
                }
            }
            Event::OffsetCommitAnswered { error: Some(_), .. } => CoordinatorStep::CommitRefused,
            Event::GroupRebalancing { group, .. } | Event::GroupEpochRaised { group, .. } => {
                CoordinatorStep::Rebalancing { group: self.group(group) }
            }
            Event::MemberRemoved { group, member, .. } => {
                CoordinatorStep::MemberRemoved { group: self.group(group), member: Arc::from(member.as_str()) }
            }
            Event::CoordinatorLoaded { partition, .. } => {
                let loaded = CoordinatorStep::Loaded { partition: named(partition) };
                told.push((at, Observation::Coordinator { broker, what: loaded }));
                let key = (event.node, partition.partition);
                self.folds.remove(&key);
                let Some(known) = coordinated(world, key) else { return true };
                let Some(replica) = replica_at(world, event.node, partition) else { return true };
                let mut fold = LogFold::default();
                for written in read(world, event.node, &replica.log, 0, replica.log_end_offset()) {
                    fold.take(written, None);
                }
                fold.commit(replica.high_watermark());
                let (offsets_differ, groups_differ) = fold.differences(&known, image);
                self.folds.insert(key, fold);
                CoordinatorStep::State { partition: named(partition), offsets_differ, groups_differ }
            }
            Event::CoordinatorUnloaded { partition } => {
                self.folds.remove(&(event.node, partition.partition));
                return true;
            }
            Event::GroupGeneration { .. }
            | Event::TargetAssigned { .. }
            | Event::MemberChanged { .. }
            | Event::GroupRemoved { .. }
            | Event::OffsetRemoved { .. } => return true,
            _ => return false,
        };
        told.push((at, Observation::Coordinator { broker, what }));
        true
    }

    /// A leader appended to a partition of the topic, between two offsets.
    #[allow(clippy::too_many_arguments)] // what was appended is all of these
    pub(super) fn on_appended(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        (broker, id): (i32, &TopicPartition),
        (from, to): (i64, i64),
        image: &MetadataImage,
        told: &mut Vec<(EventRef, Observation)>,
    ) {
        let Some(replica) = replica_at(world, node, id) else { return };
        for written in read(world, node, &replica.log, from, to) {
            let Written { first_offset, last_offset, epoch, ref records } = written;
            let partition = Partition::new(id.topic.as_str(), id.partition);
            let records = records.iter().filter_map(|record| self.plain(record, image)).collect();
            if let Some(fold) = self.folds.get_mut(&(node, id.partition)) {
                fold.take(written, Some(world.now()));
            }
            let what = CoordinatorStep::Appended { partition, first_offset, last_offset, epoch, records };
            told.push((at, Observation::Coordinator { broker, what }));
        }
    }

    fn plain(&mut self, record: &Record, image: &MetadataImage) -> Option<GroupRecord> {
        let group = self.group(record.group());
        Some(match record {
            Record::Offset { topic, partition, value, .. } => {
                let offset = value.as_ref().map(|value| value.offset);
                GroupRecord::Offset { group, partition: Partition::new(topic.as_str(), *partition), offset }
            }
            Record::ClassicGroup { value, .. } => {
                let members = |value: &ClassicGroupValue| {
                    let one = |member: &ClassicMemberValue| {
                        (Arc::from(member.member_id.as_str()), assigned(&member.assignment))
                    };
                    Generation { number: value.generation, members: value.members.iter().map(one).collect() }
                };
                GroupRecord::Generation { group, value: value.as_ref().map(members) }
            }
            Record::GroupEpoch { value, .. } => {
                GroupRecord::GroupEpoch { group, epoch: value.as_ref().map(|value| value.epoch) }
            }
            Record::CurrentAssignment { member, value, .. } => {
                let value = value.as_ref().map(|value| MemberAssignment {
                    epoch: value.member_epoch,
                    assigned: named(&value.assigned, image),
                    revoking: named(&value.pending_revocation, image),
                });
                GroupRecord::Member { group, member: Arc::from(member.as_str()), value }
            }
            _ => return None,
        })
    }

    /// Looks, if it is time, whether the coordinators that run know what their logs have.
    pub(super) fn look(&mut self, world: &World, image: &MetadataImage, told: &mut Vec<(EventRef, Observation)>) {
        if world.now() < self.next_look {
            return;
        }
        self.next_look = world.now() + LOOK_EVERY;
        let at = EventRef { id: world.event_count(), time: world.now() };
        self.folds.retain(|key, _| matches!(world.power(key.0), Power::Running | Power::Paused));
        for (key, fold) in &mut self.folds {
            let of_topic = TopicPartition::new(&Topic::new(OFFSETS_TOPIC), key.1);
            let leads = replica_at(world, key.0, &of_topic).filter(|replica| replica.is_leader());
            let (Some(replica), Some(known)) = (leads, coordinated(world, *key)) else { continue };
            let timeout_ms = world.broker_at(key.0).map_or(0, |broker| broker.setup().config.offsets_commit_timeout_ms);
            fold.give_up(world.now(), timeout_ms);
            fold.commit(replica.high_watermark());
            let differences = fold.differences(&known, image);
            if fold.seen.0 != differences {
                fold.seen = (differences.clone(), 0);
            }
            if world.is_held_up(key.0) {
                continue;
            }
            fold.seen.1 += 1;
            if fold.seen.1 == LOOKS && differences != (None, None) {
                let broker = world.broker_at(key.0).map_or(-1, trial_kafka::broker::Broker::node_id);
                let partition = Partition::new(OFFSETS_TOPIC, key.1);
                let (offsets_differ, groups_differ) = differences;
                let what = CoordinatorStep::State { partition, offsets_differ, groups_differ };
                told.push((at, Observation::Coordinator { broker, what }));
            }
        }
    }
}

/// What a coordinator knows, if it runs and has loaded its log.
fn coordinated(world: &World, (node, partition): (NodeIx, i32)) -> Option<CoordinatedPartition> {
    let broker = world.broker_at(node).filter(|_| world.power(node) == Power::Running)?;
    broker.coordinated().find(|known| known.partition == partition && known.loaded)
}

/// The batches of a log between two offsets, with the records that can be read.
fn read(world: &World, node: NodeIx, log: &Log, from: i64, end: i64) -> Vec<Written> {
    let mut view = world.disk(node).view();
    let mut all: Vec<Written> = Vec::new();
    let mut next = from.max(log.log_start_offset());
    while next < end
        && let Ok(bytes) = log.read(&mut view, next, end, usize::MAX, true)
    {
        let reached = next;
        for batch in Batches::new(bytes).filter_map(Result::ok).filter(|batch| batch.header.base_offset >= reached) {
            let decoded = records(&batch.bytes).unwrap_or_default();
            let decode = |record: &trial_storage::Record| {
                Record::decode(record.key.as_deref().unwrap_or_default(), record.value.as_deref()).ok()
            };
            next = batch.header.last_offset() + 1;
            all.push(Written {
                first_offset: batch.header.base_offset,
                last_offset: batch.header.last_offset(),
                epoch: batch.header.partition_leader_epoch,
                records: decoded.iter().filter_map(decode).collect(),
            });
        }
        if next == reached {
            break;
        }
    }
    all
}

/// What a coordinator's log says of one group.
#[derive(Clone, Debug, Default)]
struct OfGroup {
    classic: Option<(i32, Vec<String>)>,
    epoch: Option<i32>,
    members: BTreeMap<String, i32>,
    offsets: BTreeMap<TopicPartition, i64>,
    /// The ids that static members had before they came back in this generation.
    before: BTreeSet<String>,
    /// The time of a record of one that came back ran out: its coordinator went back to its old id, though the record
    /// may be committed yet (`GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin`).
    may_be_as_before: bool,
}

impl LogFold {
    /// One batch more: written just now, or found by a coordinator that loads.
    fn take(&mut self, written: Written, now: Option<Nanos>) {
        for record in written.records {
            if matches!(record, Record::Offset { .. }) {
                self.uncommitted.push_back((written.last_offset, record));
                continue;
            }
            let name = record.group().to_string();
            let group = self.groups.entry(name.clone()).or_default();
            group.take(record);
            if let Some(now) = now.filter(|_| !group.before.is_empty()) {
                self.rejoins.push_back((written.last_offset, now, name));
            }
        }
    }

    /// What was not committed in time may have been taken back.
    fn give_up(&mut self, now: Nanos, timeout_ms: i64) {
        let timeout = u64::try_from(timeout_ms).unwrap_or(0) * 1_000_000;
        for (_, written, name) in &self.rejoins {
            if now.saturating_sub(*written) >= timeout
                && let Some(group) = self.groups.get_mut(name)
            {
                group.may_be_as_before = !group.before.is_empty();
            }
        }
    }

    /// Everything below is committed.
    fn commit(&mut self, high_watermark: i64) {
        while self.uncommitted.front().is_some_and(|(last, _)| *last < high_watermark) {
            if let Some((_, record)) = self.uncommitted.pop_front() {
                self.groups.entry(record.group().to_string()).or_default().take(record);
            }
        }
        self.rejoins.retain(|(last, ..)| *last >= high_watermark);
    }

    /// How the offsets and the groups that a coordinator knows differ from those of its log.
    fn differences(&self, known: &CoordinatedPartition, image: &MetadataImage) -> Differences {
        let of_deleted = |id: &TopicPartition| image.topic(id.topic.as_str()).is_none();
        let offsets = self.groups.iter().find_map(|(name, group)| {
            let knows = known.groups.iter().find(|known| known.id == *name);
            let knows: BTreeMap<_, _> = knows.map(|known| known.offsets.iter().cloned().collect()).unwrap_or_default();
            let wrong = group.offsets.iter().find(|(id, offset)| knows.get(id) != Some(*offset) && !of_deleted(id));
            let too_many = knows.iter().find(|(id, _)| !group.offsets.contains_key(id) && !of_deleted(id));
            let id = wrong.or(too_many).map(|(id, _)| id)?;
            let told = |offset: Option<&i64>| offset.map_or("none".to_string(), i64::to_string);
            let (in_log, known) = (told(group.offsets.get(id)), told(knows.get(id)));
            Some(format!(
                "of {id} group {name} has committed {in_log} by the log, and {known} as the coordinator knows it"
            ))
        });
        let groups = self.groups.iter().find_map(|(name, group)| group_differs(name, group, known));
        (offsets, groups)
    }
}

impl OfGroup {
    fn take(&mut self, record: Record) {
        match record {
            Record::Offset { topic, partition, value, .. } => {
                let id = TopicPartition::new(&topic, partition);
                match value {
                    Some(value) => self.offsets.insert(id, value.offset),
                    None => self.offsets.remove(&id),
                };
            }
            Record::ClassicGroup { value, .. } => {
                let next: Option<(i32, Vec<String>)> = value.map(|value| {
                    (value.generation, value.members.into_iter().map(|member| member.member_id).collect())
                });
                match (self.classic.take(), &next) {
                    // One of them has another id in the same generation: a static member that came back.
                    (Some((before, members)), Some((generation, now))) if before == *generation => {
                        self.before.extend(members.into_iter().filter(|member| !now.contains(member)));
                    }
                    _ => (self.before, self.may_be_as_before) = (BTreeSet::new(), false),
                }
                self.classic = next;
            }
            Record::GroupEpoch { value, .. } => self.epoch = value.map(|value| value.epoch),
            Record::CurrentAssignment { member, value: Some(value), .. } => {
                self.members.insert(member, value.member_epoch);
            }
            Record::CurrentAssignment { member, value: None, .. } => {
                self.members.remove(&member);
            }
            _ => {}
        }
    }
}

/// A classic group is compared while it is at rest: what it does between two generations stands in no log.
fn group_differs(name: &str, group: &OfGroup, known: &CoordinatedPartition) -> Option<String> {
    let knows = known.groups.iter().find(|known| known.id == name);
    match (&group.classic, group.epoch, knows) {
        (Some((generation, members)), _, Some(knows)) if knows.protocol == "classic" => {
            let is_at_rest = matches!(knows.state, "Stable" | "Empty");
            let mut ids: Vec<&String> = knows.members.iter().map(|member| &member.id).collect();
            let mut written: Vec<&String> = members.iter().collect();
            ids.sort();
            written.sort();
            // Of several that came back each was taken back or not.
            let is_known = |id: &&String| written.contains(id) || group.before.contains(*id);
            let as_before = group.may_be_as_before && ids.len() == written.len() && ids.iter().all(is_known);
            let is_as_written = knows.generation == *generation && (ids == written || as_before);
            (is_at_rest && !is_as_written).then(|| {
                format!(
                    "group {name} is in generation {generation} with members {members:?} by the log, and in {} with {ids:?} \
                     as the coordinator knows it",
                    knows.generation
                )
            })
        }
        (None, Some(epoch), Some(knows)) if knows.protocol == "consumer" => {
            let of: BTreeMap<_, _> =
                knows.members.iter().map(|member| (member.id.clone(), member.generation)).collect();
            let members: BTreeMap<_, _> = group.members.clone();
            (knows.generation != epoch || of != members).then(|| {
                format!(
                    "group {name} is in epoch {epoch} with members {members:?} by the log, and in {} with {of:?} as the \
                     coordinator knows it",
                    knows.generation
                )
            })
        }
        (None, None, _) => None,
        (.., None) => Some(format!("group {name} is in the log, and the coordinator does not know it")),
        (.., Some(knows)) => Some(format!(
            "group {name} is of another protocol by the log than {}, as the coordinator knows it",
            knows.protocol
        )),
    }
}

/// By name; topics that are gone have none.
fn named(partitions: &Partitions, image: &MetadataImage) -> Vec<Partition> {
    let mut named = Vec::new();
    for (topic_id, indices) in partitions {
        let Some(topic) = image.topics.get(topic_id) else { continue };
        named.extend(indices.iter().map(|index| Partition::new(topic.name.as_str(), *index)));
    }
    named
}

/// What is assigned in the clients' format.
fn assigned(bytes: &[u8]) -> Vec<Partition> {
    let partitions = Assignment::decode(bytes).map(|assignment| assignment.partitions).unwrap_or_default();
    partitions.iter().map(|id| Partition::new(id.topic.as_str(), id.partition)).collect()
}

#[cfg(test)]
mod tests {
    use trial_kafka::broker::{CoordinatedGroup, CoordinatedMember};

    use super::*;

    fn known(
        protocol: &'static str,
        state: &'static str,
        generation: i32,
        members: &[(&str, i32)],
    ) -> CoordinatedPartition {
        let member = |(id, generation): &(&str, i32)| CoordinatedMember {
            id: id.to_string(),
            client_id: String::new(),
            client_host: String::new(),
            instance: None,
            generation: *generation,
            assigned: Vec::new(),
            revoking: Vec::new(),
        };
        let members = members.iter().map(member).collect();
        let group = CoordinatedGroup { id: "g".to_string(), protocol, state, generation, members, offsets: Vec::new() };
        CoordinatedPartition { partition: 0, leader_epoch: 0, loaded: true, groups: vec![group] }
    }

    #[test]
    fn a_classic_group_is_compared_while_it_is_at_rest() {
        let log = OfGroup { classic: Some((4, vec!["b".to_string(), "a".to_string()])), ..OfGroup::default() };
        let differs = |state, generation, members: &[(&str, i32)]| {
            group_differs("g", &log, &known("classic", state, generation, members)).is_some()
        };
        assert!(!differs("Stable", 4, &[("a", 4), ("b", 4)]));
        assert!(differs("Stable", 4, &[("a", 4), ("c", 4)]), "a member that no record names");
        assert!(differs("Stable", 5, &[("a", 5), ("b", 5)]), "a generation that was never written");
        assert!(!differs("CompletingRebalance", 5, &[("a", 5)]), "written when its leader has assigned");
        let nobody = CoordinatedPartition { groups: Vec::new(), ..known("classic", "Stable", 4, &[]) };
        assert!(group_differs("g", &log, &nobody).is_some());
        assert!(group_differs("g", &OfGroup::default(), &nobody).is_none(), "a group with tombstones only");
    }

    #[test]
    fn a_static_member_whose_return_is_not_committed_in_time_may_be_taken_back() {
        let group = |generation, members: &[&str]| {
            let member = |id: &&str| ClassicMemberValue {
                member_id: id.to_string(),
                group_instance_id: Some("i".to_string()),
                client_id: String::new(),
                client_host: String::new(),
                rebalance_timeout: -1,
                session_timeout: 6_000,
                subscription: Default::default(),
                assignment: Default::default(),
            };
            let value = ClassicGroupValue {
                protocol_type: "consumer".to_string(),
                generation,
                protocol: None,
                leader: None,
                current_state_timestamp: -1,
                members: members.iter().map(member).collect(),
            };
            Record::ClassicGroup { group: "g".to_string(), value: Some(value) }
        };
        let batch =
            |offset, record| Written { first_offset: offset, last_offset: offset, epoch: 0, records: vec![record] };
        let mut fold = LogFold::default();
        fold.take(batch(0, group(4, &["a"])), Some(0));
        fold.take(batch(1, group(4, &["b"])), Some(1_000_000));
        let differs = |fold: &LogFold, ids: &[(&str, i32)]| {
            group_differs("g", &fold.groups["g"], &known("classic", "Stable", 4, ids)).is_some()
        };
        fold.give_up(5_000_000_000, 5_000);
        assert!(differs(&fold, &[("a", 4)]), "its time has not run out");
        fold.give_up(5_001_000_000, 5_000);
        fold.commit(2);
        assert!(!differs(&fold, &[("a", 4)]), "taken back, though its record is committed now");
        assert!(!differs(&fold, &[("b", 4)]), "or not");
        assert!(differs(&fold, &[("c", 4)]));
        fold.take(batch(2, group(5, &["b"])), Some(6_000_000_000));
        assert!(differs(&fold, &[("a", 4)]), "another generation was written");

        let mut in_time = LogFold::default();
        in_time.take(batch(0, group(4, &["a"])), Some(0));
        in_time.take(batch(1, group(4, &["b"])), Some(1_000_000));
        in_time.commit(2);
        in_time.give_up(60_000_000_000, 5_000);
        assert!(differs(&in_time, &[("a", 4)]), "it was committed in time");
    }

    #[test]
    fn a_group_of_the_consumer_protocol_is_what_its_records_say() {
        let members = BTreeMap::from([("a".to_string(), 4), ("b".to_string(), 5)]);
        let log = OfGroup { epoch: Some(5), members, ..OfGroup::default() };
        let differs =
            |epoch, members: &[(&str, i32)]| group_differs("g", &log, &known("consumer", "Stable", epoch, members));
        assert_eq!(differs(5, &[("a", 4), ("b", 5)]), None);
        assert!(differs(6, &[("a", 4), ("b", 5)]).is_some());
        assert!(differs(5, &[("a", 5), ("b", 5)]).is_some());
        assert!(differs(5, &[("b", 5)]).is_some());
    }
}
