//! What coordinators have written, as events.

use crate::broker::Broker;
use crate::event::Event;
use crate::group::api::AskId;
use crate::group::records::{Partitions, Record};
use crate::group::shard::Happened;
use crate::ids::TopicPartition;
use crate::metadata::MetadataImage;
use crate::node::{Effects, EventId};

impl Broker {
    /// Tells of each record that was appended. `happened` says of members that were removed why.
    pub(super) fn tell_records(
        &mut self,
        records: &[Record],
        happened: Vec<Happened>,
        by: Option<AskId>,
        appended: EventId,
        fx: &mut Effects<'_>,
    ) {
        let removed: Vec<String> = happened
            .iter()
            .filter_map(|happened| match &happened.event {
                Event::MemberRemoved { member, .. } => Some(member.clone()),
                _ => None,
            })
            .collect();
        for happened in happened {
            fx.record_because(happened.event, &[appended]);
        }
        let commit = by.and_then(|ask| self.groups.asks.commit_of(ask));
        let (member, generation) = match &commit {
            Some(commit) => (commit.member.clone(), commit.generation),
            None => (String::new(), -1),
        };
        let mut last_offset = EventId::NONE;
        for record in records {
            let event = match record {
                Record::Offset { group, topic, partition, value: Some(value) } => Some(Event::OffsetWritten {
                    group: group.clone(),
                    partition: TopicPartition::new(topic, *partition),
                    offset: value.offset,
                    member: member.clone(),
                    generation,
                }),
                Record::Member { group, member, value: None } if !removed.contains(member) => {
                    let comes_again =
                        records.iter().any(|other| matches!(other, Record::Member { value: Some(_), .. }));
                    let why = match comes_again {
                        true => "another came as the same static member",
                        false => "its group is no more",
                    };
                    let (group, member) = (group.clone(), member.clone());
                    Some(Event::MemberRemoved { group, member, why: why.to_string() })
                }
                other => event_of(other, records, &self.image),
            };
            let is_offset = matches!(event, Some(Event::OffsetWritten { .. }));
            let told = event.map(|event| fx.record_because(event, &[appended]));
            if let Some(told) = told.filter(|_| is_offset) {
                last_offset = told;
            }
        }
        if let Some(commit) = by.and_then(|ask| self.groups.asks.commit_of(ask)) {
            commit.written = last_offset;
        }
    }
}

/// What a record says, as an event; `None` where another record of the same write, or none, says it.
fn event_of(record: &Record, written: &[Record], image: &MetadataImage) -> Option<Event> {
    Some(match record {
        Record::Offset { group, topic, partition, value: None } => {
            Event::OffsetRemoved { group: group.clone(), partition: TopicPartition::new(topic, *partition) }
        }
        Record::ClassicGroup { group, value: Some(value) } => Event::GroupGeneration {
            group: group.clone(),
            generation: value.generation,
            leader: value.leader.clone(),
            members: value.members.iter().map(|member| member.member_id.clone()).collect(),
        },
        Record::ClassicGroup { group, value: None } => {
            // A group that goes over to the other protocol is not gone.
            let goes_over = written.iter().any(|other| matches!(other, Record::GroupEpoch { value: Some(_), .. }));
            return (!goes_over).then(|| Event::GroupRemoved { group: group.clone() });
        }
        Record::GroupEpoch { group, value: Some(value) } => {
            Event::GroupEpochRaised { group: group.clone(), epoch: value.epoch }
        }
        Record::GroupEpoch { group, value: None } => {
            let goes_over = written.iter().any(|other| matches!(other, Record::ClassicGroup { value: Some(_), .. }));
            return (!goes_over).then(|| Event::GroupRemoved { group: group.clone() });
        }
        Record::TargetEpoch { group, value: Some(epoch) } => {
            Event::TargetAssigned { group: group.clone(), epoch: *epoch }
        }
        Record::CurrentAssignment { group, member, value: Some(value) } => Event::MemberChanged {
            group: group.clone(),
            member: member.clone(),
            epoch: value.member_epoch,
            assigned: named(&value.assigned, image),
            revoking: named(&value.pending_revocation, image),
        },
        _ => return None,
    })
}

/// By name; topics that are gone have none.
pub(super) fn named(partitions: &Partitions, image: &MetadataImage) -> Vec<TopicPartition> {
    let of = |(topic_id, indices): (&uuid::Uuid, &std::collections::BTreeSet<i32>)| {
        let name = image.topics.get(topic_id).map(|topic| topic.name.clone());
        let indices = indices.clone();
        name.into_iter().flat_map(move |name| indices.clone().into_iter().map(move |i| TopicPartition::new(&name, i)))
    };
    let mut named: Vec<TopicPartition> = partitions.iter().flat_map(of).collect();
    named.sort();
    named
}
