//! What stands in `__consumer_offsets`, and what do its coordinators make of it?
//!
//! The log is read from the disk of the World, record by record, as its leader has it. What a coordinator knows is compared
//! with the fold of its own log: when it has loaded that, and from time to time while both stand still, for it looks at a high
//! watermark a little after that has moved.

use std::collections::BTreeMap;
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
/// So many looks in a row must find the same difference while the log stands still.
const LOOKS: u32 = 3;

/// One batch of the topic.
struct Written {
    first_offset: i64,
    last_offset: i64,
    epoch: i32,
    records: Vec<Record>,
}

/// Log end and high watermark of a coordinator's replica, how the two differ, and how often that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    at: (i64, i64),
    differ: (Option<String>, Option<String>),
    looks: u32,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupTruth {
    names: BTreeMap<String, Arc<str>>,
    next_look: Nanos,
    seen: BTreeMap<(NodeIx, i32), Seen>,
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
            Event::MemberRemoved { group, .. } => CoordinatorStep::MemberRemoved { group: self.group(group) },
            Event::CoordinatorLoaded { partition, .. } => {
                let loaded = CoordinatorStep::Loaded { partition: named(partition) };
                told.push((at, Observation::Coordinator { broker, what: loaded }));
                let is_up = world.power(event.node) == Power::Running;
                let known = world.broker_at(event.node).filter(|_| is_up).and_then(|broker| {
                    broker.coordinated().find(|known| known.partition == partition.partition && known.loaded)
                });
                let Some((offsets_differ, groups_differ)) =
                    known.and_then(|known| differences(world, event.node, &known, image))
                else {
                    return true;
                };
                CoordinatorStep::State { partition: named(partition), offsets_differ, groups_differ }
            }
            Event::CoordinatorUnloaded { .. }
            | Event::GroupGeneration { .. }
            | Event::TargetAssigned { .. }
            | Event::MemberChanged { .. }
            | Event::GroupRemoved { .. }
            | Event::OffsetRemoved { .. } => return true,
            _ => return false,
        };
        told.push((at, Observation::Coordinator { broker, what }));
        true
    }

    /// A leader appended to a partition of the topic, from an offset on.
    pub(super) fn on_appended(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        (broker, id): (i32, &TopicPartition),
        (from, image): (i64, &MetadataImage),
        told: &mut Vec<(EventRef, Observation)>,
    ) {
        let Some(replica) = replica_at(world, node, id) else { return };
        for written in read(world, node, &replica.log, from, replica.log_end_offset()) {
            let Written { first_offset, last_offset, epoch, records } = written;
            let partition = Partition::new(id.topic.as_str(), id.partition);
            let records = records.iter().filter_map(|record| self.plain(record, image)).collect();
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
        for id in world.scenario().cluster.broker_ids() {
            let Some(node) = world.broker_ix(id).filter(|node| world.power(*node) == Power::Running) else { continue };
            let Some(broker) = world.broker_at(node) else { continue };
            for known in broker.coordinated().filter(|known| known.loaded) {
                let of_topic = TopicPartition::new(&Topic::new(OFFSETS_TOPIC), known.partition);
                let Some(replica) = replica_at(world, node, &of_topic).filter(|replica| replica.is_leader()) else {
                    continue;
                };
                let stands_at = (replica.log_end_offset(), replica.high_watermark());
                let key = (node, known.partition);
                let Some(differ) = differences(world, node, &known, image).filter(|d| *d != (None, None)) else {
                    self.seen.remove(&key);
                    continue;
                };
                let fresh = Seen { at: stands_at, differ: differ.clone(), looks: 0 };
                let seen = self.seen.entry(key).or_insert_with(|| fresh.clone());
                if (seen.at, &seen.differ) != (stands_at, &differ) {
                    *seen = fresh;
                }
                seen.looks += 1;
                if seen.looks == LOOKS {
                    let partition = Partition::new(OFFSETS_TOPIC, known.partition);
                    let (offsets_differ, groups_differ) = differ;
                    let what = CoordinatorStep::State { partition, offsets_differ, groups_differ };
                    told.push((at, Observation::Coordinator { broker: id, what }));
                }
            }
        }
    }
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
#[derive(Default)]
struct OfGroup {
    classic: Option<(i32, Vec<String>)>,
    epoch: Option<i32>,
    members: BTreeMap<String, i32>,
    offsets: BTreeMap<TopicPartition, i64>,
}

/// How the offsets and the groups that a coordinator knows differ from those of its log; `None` if there is no such log.
fn differences(
    world: &World,
    node: NodeIx,
    known: &CoordinatedPartition,
    image: &MetadataImage,
) -> Option<(Option<String>, Option<String>)> {
    let id = TopicPartition::new(&Topic::new(OFFSETS_TOPIC), known.partition);
    let replica = replica_at(world, node, &id)?;
    let (high_watermark, end) = (replica.high_watermark(), replica.log_end_offset());
    let mut groups: BTreeMap<String, OfGroup> = BTreeMap::new();
    for written in read(world, node, &replica.log, 0, end) {
        let is_committed = written.last_offset < high_watermark;
        for record in written.records {
            let group = groups.entry(record.group().to_string()).or_default();
            fold(group, record, is_committed);
        }
    }
    let of_deleted = |id: &TopicPartition| image.topic(id.topic.as_str()).is_none();
    let offsets = groups.iter().find_map(|(name, group)| {
        let knows = known.groups.iter().find(|known| known.id == *name);
        let knows: BTreeMap<_, _> = knows.map(|known| known.offsets.iter().cloned().collect()).unwrap_or_default();
        let wrong = group.offsets.iter().find(|(id, offset)| knows.get(id) != Some(*offset) && !of_deleted(id));
        let too_many = knows.iter().find(|(id, _)| !group.offsets.contains_key(id) && !of_deleted(id));
        let told = |offset: Option<&i64>| offset.map_or("none".to_string(), i64::to_string);
        wrong.map(|(id, offset)| (id, Some(offset))).or(too_many.map(|(id, _)| (id, None))).map(|(id, offset)| {
            let (in_log, known) = (told(offset), told(knows.get(id)));
            format!("of {id} group {name} has committed {in_log} by the log, and {known} as the coordinator knows it")
        })
    });
    let differs = groups.iter().find_map(|(name, group)| group_differs(name, group, known));
    Some((offsets, differs))
}

fn fold(group: &mut OfGroup, record: Record, is_committed: bool) {
    match record {
        Record::Offset { topic, partition, value, .. } if is_committed => {
            let id = TopicPartition::new(&topic, partition);
            match value {
                Some(value) => group.offsets.insert(id, value.offset),
                None => group.offsets.remove(&id),
            };
        }
        Record::ClassicGroup { value, .. } => {
            group.classic = value.map(|value| {
                (value.generation, value.members.into_iter().map(|member| member.member_id).collect::<Vec<_>>())
            });
        }
        Record::GroupEpoch { value, .. } => group.epoch = value.map(|value| value.epoch),
        Record::CurrentAssignment { member, value: Some(value), .. } => {
            group.members.insert(member, value.member_epoch);
        }
        Record::CurrentAssignment { member, value: None, .. } => {
            group.members.remove(&member);
        }
        _ => {}
    }
}

/// A classic group is compared while it is at rest: what it does between two generations stands in no log.
fn group_differs(name: &str, group: &OfGroup, known: &CoordinatedPartition) -> Option<String> {
    let knows = known.groups.iter().find(|known| known.id == name);
    match (&group.classic, group.epoch, knows) {
        (Some((generation, members)), _, Some(knows)) if knows.protocol == "classic" => {
            let is_at_rest = matches!(knows.state, "Stable" | "Empty");
            let mut ids: Vec<&String> = knows.members.iter().map(|member| &member.id).collect();
            let mut members: Vec<&String> = members.iter().collect();
            ids.sort();
            members.sort();
            (is_at_rest && (knows.generation, &ids) != (*generation, &members)).then(|| {
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
