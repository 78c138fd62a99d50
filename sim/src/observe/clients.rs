//! What clients did and saw: their events and notes become plain observations, for a checker or for a history.

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_checker::{Belief, EventRef, MemberStep, Observation, Partition, ResetCause};
use trial_kafka::event::{Event, Fault};
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{self, ConsumedRecord, EventId};

use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Note, World, decode_value};

/// What a member is told if there is another of its `group.instance.id`.
const FENCED: &str = "FENCED_INSTANCE_ID";

/// So many partitions of one topic are named without a search.
const RECENT_NAMES: usize = 16;

/// Who is told what clients did and saw.
pub trait Listener {
    /// An observation.
    fn hear(&mut self, at: EventRef, what: Observation);
    /// [`Observation::SendInvoked`]. This and the following are most of all that is told: nothing needs to be made of them first.
    fn send_invoked(&mut self, at: EventRef, record: u64, producer: u32, partition: &Partition) {
        self.hear(at, Observation::SendInvoked { record, producer, partition: partition.clone() });
    }
    /// [`Observation::Read`] of a record at this offset and leader epoch.
    fn read(
        &mut self,
        at: EventRef,
        consumer: u32,
        partition: &Partition,
        (offset, leader_epoch): (i64, i32),
        record: Option<u64>,
    ) {
        self.hear(at, Observation::Read { consumer, partition: partition.clone(), offset, leader_epoch, record });
    }
    /// [`Observation::FinalRead`] of a record at this offset and leader epoch.
    fn final_read(
        &mut self,
        at: EventRef,
        partition: &Partition,
        (offset, leader_epoch): (i64, i32),
        record: Option<u64>,
    ) {
        self.hear(at, Observation::FinalRead { partition: partition.clone(), offset, leader_epoch, record });
    }
}

impl<F: FnMut(EventRef, Observation)> Listener for F {
    fn hear(&mut self, at: EventRef, what: Observation) {
        self(at, what);
    }
}

/// What has to be remembered between a client's words.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    names: BTreeMap<TopicPartition, Partition>,
    /// The names that were asked for last, by the partition's index: records come in runs of one partition.
    recent_names: [Option<(TopicPartition, Partition)>; RECENT_NAMES],
    /// Records whose producer has not chosen a partition yet: the producer, and when it was given the record.
    undecided: BTreeMap<u64, (u32, node::Nanos)>,
    /// Consumers of groups: the member id under which each joined last, and the broker that it takes for its coordinator.
    members: BTreeMap<NodeIx, (Arc<str>, i32)>,
    /// By consumer and partition: the epoch of the leader that it read from last.
    followed: BTreeMap<u32, BTreeMap<TopicPartition, i32>>,
}

impl Clients {
    /// A partition as observations name it.
    pub fn name(&mut self, id: &TopicPartition) -> Partition {
        self.known(id).clone()
    }

    fn known(&mut self, id: &TopicPartition) -> &Partition {
        let recent = &mut self.recent_names[id.partition as usize % RECENT_NAMES];
        if recent.as_ref().is_none_or(|(last, _)| last != id) {
            let new = || Partition::new(id.topic.as_str(), id.partition);
            let name = self.names.entry(id.clone()).or_insert_with(new);
            *recent = Some((id.clone(), name.clone()));
        }
        &recent.as_ref().expect("it was set above").1
    }

    /// Those of a step's notes that come before its events: what was given to producers.
    pub fn comes_first(note: &Note) -> bool {
        matches!(note, Note::SendInvoked { .. })
    }

    /// A client's event; others tell nothing.
    pub fn on_event(&mut self, world: &World, event: &TraceEvent, told: &mut impl Listener) {
        let at = EventRef { id: event.id.0, time: event.time };
        if let Event::SendInvoked { op, partition } = &event.event {
            return self.on_partition_chosen(op.0, partition, event.id, told);
        }
        let consumer = || consumer_number(world, event.node);
        if let Event::PositionReset { partition, to, why } = &event.event {
            let Some(consumer) = consumer() else { return };
            let (partition, cause) = (self.name(partition), cause_of(why));
            return told.hear(at, Observation::PositionReset { consumer, partition, to: *to, cause });
        }
        let steps = [self.is_fenced(event), self.step_of_member(&event.event)];
        if steps != [None, None]
            && let Some(consumer) = consumer()
        {
            if steps.contains(&Some(MemberStep::Stopped)) {
                self.followed.remove(&consumer);
            }
            steps.into_iter().flatten().for_each(|what| told.hear(at, Observation::Member { consumer, what }));
        }
    }

    /// Was a consumer told that another has its `group.instance.id`, in answer to a heartbeat or to a commit?
    fn is_fenced(&mut self, event: &TraceEvent) -> Option<MemberStep> {
        match &event.event {
            Event::CoordinatorFound { broker, .. } => {
                self.members.entry(event.node).or_insert((Arc::from(""), *broker)).1 = *broker;
                None
            }
            Event::GroupJoined { member, .. } => {
                let joined = &mut self.members.entry(event.node).or_insert((Arc::from(""), -1)).0;
                if **joined != **member {
                    *joined = Arc::from(member.as_str());
                }
                None
            }
            Event::GroupLeft { member, why, .. } if why.contains(FENCED) => {
                let coordinator = self.members.get(&event.node).map_or(-1, |(_, broker)| *broker);
                Some(MemberStep::Fenced { member: Arc::from(member.as_str()), coordinator })
            }
            // What was asked as another member is not answered so.
            Event::CommitAnswered { error: Some(error), .. } if error == FENCED => {
                let (member, coordinator) = self.members.get(&event.node)?.clone();
                Some(MemberStep::Fenced { member, coordinator })
            }
            _ => None,
        }
    }

    fn step_of_member(&mut self, event: &Event) -> Option<MemberStep> {
        let mut all = |ids: &[TopicPartition]| ids.iter().map(|id| self.name(id)).collect();
        Some(match event {
            Event::GroupJoined { member, generation, .. } => {
                MemberStep::Joined { member: Arc::from(member.as_str()), generation: *generation }
            }
            Event::GroupLeft { .. } => MemberStep::Left,
            Event::GenerationGivenUp { member, generation, asked_as, asked_in, .. } => MemberStep::GaveUp {
                member: Arc::from(member.as_str()),
                generation: *generation,
                asked_as: Arc::from(asked_as.as_str()),
                asked_in: *asked_in,
            },
            Event::PartitionsAssigned { generation, partitions, .. } => {
                MemberStep::Assigned { generation: *generation, partitions: all(partitions) }
            }
            Event::PartitionsRevoked { generation, partitions, .. } => {
                MemberStep::Revoked { generation: *generation, partitions: all(partitions) }
            }
            Event::PartitionsLost { generation, partitions, .. } => {
                MemberStep::Lost { generation: *generation, partitions: all(partitions) }
            }
            Event::Consumed { partition, first_offset, last_offset, .. } => MemberStep::HandedOut {
                partition: self.name(partition),
                first_offset: *first_offset,
                last_offset: *last_offset,
            },
            Event::Processed { partition, first_offset, last_offset, .. } => MemberStep::Processed {
                partition: self.name(partition),
                first_offset: *first_offset,
                last_offset: *last_offset,
            },
            Event::CommitSent { generation, offsets, .. } => {
                MemberStep::CommitSent { generation: *generation, offsets: self.offsets(offsets) }
            }
            Event::CommitAnswered { generation, offsets, error, .. } => MemberStep::CommitAnswered {
                generation: *generation,
                offsets: self.offsets(offsets),
                error: error.clone(),
            },
            Event::Halted { .. } | Event::AssertionFailed { .. } => MemberStep::Stopped,
            Event::Fault(Fault::Crash | Fault::PowerLoss { .. } | Fault::Restart | Fault::DiskFailed) => {
                MemberStep::Stopped
            }
            _ => return None,
        })
    }

    fn offsets(&mut self, offsets: &[(TopicPartition, i64)]) -> Vec<(Partition, i64)> {
        offsets.iter().map(|(id, offset)| (self.name(id), *offset)).collect()
    }

    /// What came of a send or a poll.
    pub fn on_note(&mut self, world: &World, note: &Note, told: &mut impl Listener) {
        let event_ref = |id: EventId| EventRef { id: id.0, time: world.now() };
        match note {
            Note::SendInvoked { record, producer } => {
                self.undecided.insert(*record, (*producer, world.now()));
            }
            Note::SendSettled { record, partition, belief, attempts, event } => {
                if let Some(first) = partition.clone().or_else(|| world.all_partitions().into_iter().next()) {
                    // Given up before any partition was chosen: it belongs nowhere, so anywhere.
                    self.on_partition_chosen(*record, &first, *event, told);
                }
                let belief = match belief {
                    node::Belief::Acked { offset } => Belief::Acked { offset: Some(*offset).filter(|o| *o >= 0) },
                    node::Belief::Failed => Belief::Failed,
                    node::Belief::Unknown => Belief::Unknown,
                    node::Belief::Unpromised => Belief::Unpromised,
                };
                let settled = Observation::SendSettled { record: *record, belief, attempts: *attempts };
                told.hear(event_ref(*event), settled);
            }
            Note::Polled { consumer, records, event } => {
                let at = event_ref(*event);
                let mut last = None;
                for record in records {
                    if last.replace(&record.partition) != Some(&record.partition) {
                        self.follow(world, at, *consumer, &record.partition, told);
                    }
                    let (partition, position, record) = self.read(record);
                    told.read(at, *consumer, partition, position, record);
                }
            }
            Note::FinalRead { records, event } => {
                for record in records {
                    let (partition, position, record) = self.read(record);
                    told.final_read(event_ref(*event), partition, position, record);
                }
            }
            Note::Assigned { .. }
            | Note::FinalReadEnd { .. }
            | Note::External { .. }
            | Note::EndOffsetTold { .. }
            | Note::Said(_) => {}
        }
    }

    /// A consumer reads on from a leader of another epoch than before.
    fn follow(
        &mut self,
        world: &World,
        at: EventRef,
        consumer: u32,
        partition: &TopicPartition,
        told: &mut impl Listener,
    ) {
        let Some(leader_epoch) = world.leader_epoch_followed(consumer, partition) else { return };
        let followed = self.followed.entry(consumer).or_default();
        if followed.get(partition) != Some(&leader_epoch) {
            followed.insert(partition.clone(), leader_epoch);
            let partition = self.name(partition);
            told.hear(at, Observation::LeaderFollowed { consumer, partition, leader_epoch });
        }
    }

    /// The producer has chosen where a record goes: from here on it is known, as invoked when it was.
    fn on_partition_chosen(
        &mut self,
        record: u64,
        partition: &TopicPartition,
        event: EventId,
        told: &mut impl Listener,
    ) {
        let Some((producer, time)) = self.undecided.remove(&record) else { return };
        told.send_invoked(EventRef { id: event.0, time }, record, producer, self.known(partition));
    }

    /// The partition of a record that was read, its offset and leader epoch, and its number.
    fn read(&mut self, record: &ConsumedRecord) -> (&Partition, (i64, i32), Option<u64>) {
        let id = record.value.as_deref().and_then(decode_value);
        (self.known(&record.partition), (record.offset, record.leader_epoch), id)
    }
}

fn consumer_number(world: &World, node: NodeIx) -> Option<u32> {
    world.node_name(node).strip_prefix('k')?.parse::<u32>().ok()?.checked_sub(1)
}

/// Why a position was set, from the words of whoever set it.
fn cause_of(why: &str) -> ResetCause {
    match why {
        why if why.starts_with("the group has come there") => ResetCause::Committed,
        why if why.starts_with("the group has committed nothing") => ResetCause::NothingCommitted,
        _ => ResetCause::Other,
    }
}
