//! What records of the metadata log mean in the words of the trace.

use super::rules::Decision;
use super::rules::producer_ids::PRODUCER_ID_BLOCK_SIZE;
use crate::event::{ElectionKind, Event};
use crate::ids::{NO_BROKER, Topic, TopicPartition};
use crate::metadata::{
    ALL_BROKERS, BROKER_RESOURCE, MetadataImage, MetadataRecord, PartitionChange, PartitionRegistration,
};
use crate::node::{Effects, EventId};

/// Applies the records of one batch, the first of which stands at `base_offset`, and records what they change.
///
/// A change of a broker is told first though its record comes last, for it is the cause of the elections before it.
pub fn apply_and_record(image: &mut MetadataImage, base_offset: i64, decision: &Decision, fx: &mut Effects<'_>) {
    let mut causes: Vec<EventId> = Vec::new();
    for record in &decision.records {
        causes.extend(broker_event(record, decision.clean_registration).map(|event| fx.record(event)));
    }
    for (offset, (i, record)) in (base_offset..).zip(decision.records.iter().enumerate()) {
        let events = match record {
            MetadataRecord::PartitionChange(change) => {
                let before = image.partition(change.topic_id, change.partition).cloned();
                image.apply(offset, record);
                before.map_or_else(Vec::new, |p| change_events(image, change, &p, decision.preferred_election))
            }
            MetadataRecord::ClearElr { topic } => {
                let events = cleared_elr_events(image, topic.as_ref());
                image.apply(offset, record);
                events
            }
            MetadataRecord::RemoveTopic { topic_id } => {
                let topic = image.topics.get(topic_id).map(|topic| topic.name.to_string());
                image.apply(offset, record);
                topic.map(|topic| Event::TopicDeleted { topic, topic_id: *topic_id }).into_iter().collect()
            }
            _ => {
                image.apply(offset, record);
                creation_event(image, record, &decision.records[i..]).into_iter().collect()
            }
        };
        for event in events {
            fx.record_because(event, &causes);
        }
    }
}

fn broker_event(record: &MetadataRecord, clean: bool) -> Option<Event> {
    match record {
        MetadataRecord::RegisterBroker { broker, incarnation, broker_epoch, .. } => Some(Event::BrokerRegistered {
            broker: *broker,
            broker_epoch: *broker_epoch,
            incarnation: *incarnation,
            clean,
        }),
        MetadataRecord::BrokerRegistrationChange(change) => {
            let (broker, broker_epoch) = (change.broker, change.broker_epoch);
            match (change.fenced, change.in_controlled_shutdown) {
                (Some(true), _) => Some(Event::BrokerFenced { broker, broker_epoch }),
                (Some(false), _) => Some(Event::BrokerUnfenced { broker, broker_epoch }),
                (None, Some(true)) => Some(Event::BrokerShuttingDown { broker, broker_epoch }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `following` are the records of the batch from this one on: a topic's partitions come after it.
fn creation_event(image: &MetadataImage, record: &MetadataRecord, following: &[MetadataRecord]) -> Option<Event> {
    match record {
        MetadataRecord::Topic { name, topic_id } => {
            let mut factors = following.iter().filter_map(|record| match record {
                MetadataRecord::Partition { topic_id: id, replicas, .. } if id == topic_id => Some(replicas.len()),
                _ => None,
            });
            let replication_factor = factors.next().unwrap_or(0) as i16;
            Some(Event::TopicCreated {
                topic: name.to_string(),
                topic_id: *topic_id,
                partitions: factors.count() as i32 + i32::from(replication_factor > 0),
                replication_factor,
            })
        }
        MetadataRecord::Partition { topic_id, partition, replicas, leader, leader_epoch, partition_epoch, .. } => {
            Some(Event::PartitionCreated {
                partition: TopicPartition::new(&image.topics.get(topic_id)?.name, *partition),
                replicas: replicas.clone(),
                leader: *leader,
                leader_epoch: *leader_epoch,
                partition_epoch: *partition_epoch,
            })
        }
        MetadataRecord::ProducerIds { broker, next_producer_id, .. } => Some(Event::ProducerIdsAllocated {
            broker: *broker,
            first: next_producer_id - PRODUCER_ID_BLOCK_SIZE,
            last: next_producer_id - 1,
        }),
        _ => config_event(record),
    }
}

fn config_event(record: &MetadataRecord) -> Option<Event> {
    let MetadataRecord::Config { resource_type, resource_name, name, value } = record else { return None };
    let resource = match (*resource_type, resource_name.as_str()) {
        (BROKER_RESOURCE, ALL_BROKERS) => "all brokers".to_string(),
        (BROKER_RESOURCE, broker) => format!("broker {broker}"),
        (_, topic) => format!("topic {topic}"),
    };
    Some(Event::ConfigChanged { resource, name: name.clone(), value: value.clone() })
}

fn reassignment_event(image: &MetadataImage, change: &PartitionChange) -> Option<Event> {
    let after = image.partition(change.topic_id, change.partition).filter(|_| change.assigns())?;
    Some(Event::ReassignmentChanged {
        partition: TopicPartition::new(&image.topics.get(&change.topic_id)?.name, change.partition),
        replicas: after.replicas.clone(),
        adding: after.adding_replicas.clone(),
        removing: after.removing_replicas.clone(),
    })
}

/// A change that raises the leader epoch is one of leadership, even if the leader stays. A change of the eligible leaders
/// is told besides.
fn change_events(
    image: &MetadataImage,
    change: &PartitionChange,
    before: &PartitionRegistration,
    preferred: bool,
) -> Vec<Event> {
    let Some(topic) = image.topics.get(&change.topic_id) else { return Vec::new() };
    let Some(after) = image.partition(change.topic_id, change.partition) else { return Vec::new() };
    let partition = TopicPartition::new(&topic.name, change.partition);
    let eligible_leaders_changed = (&before.elr, &before.last_known_elr) != (&after.elr, &after.last_known_elr);
    let mut events: Vec<Event> = reassignment_event(image, change).into_iter().collect();
    if change.leader.is_some() {
        events.push(Event::LeaderChanged {
            partition: partition.clone(),
            previous: before.leader,
            leader: after.leader,
            leader_epoch: after.leader_epoch,
            partition_epoch: after.partition_epoch,
            isr: after.isr.clone(),
            election: election_kind(before, after, preferred),
        });
    } else if change.isr.is_some() || !(eligible_leaders_changed || change.assigns()) {
        events.push(Event::IsrChanged {
            partition: partition.clone(),
            from: before.isr.clone(),
            isr: after.isr.clone(),
            leader_epoch: after.leader_epoch,
            partition_epoch: after.partition_epoch,
        });
    }
    if eligible_leaders_changed {
        events.push(Event::EligibleLeadersChanged {
            partition,
            elr: after.elr.clone(),
            last_known_elr: after.last_known_elr.clone(),
            partition_epoch: after.partition_epoch,
        });
    }
    events
}

/// What clearing the ELR of a topic, or of all, changes in this image.
fn cleared_elr_events(image: &MetadataImage, topic: Option<&Topic>) -> Vec<Event> {
    let mut events = Vec::new();
    for topic in image.topics.values().filter(|t| topic.is_none_or(|name| *name == t.name)) {
        for (index, partition) in (0..).zip(&topic.partitions) {
            if !partition.elr.is_empty() || !partition.last_known_elr.is_empty() {
                events.push(Event::EligibleLeadersChanged {
                    partition: TopicPartition::new(&topic.name, index),
                    elr: Vec::new(),
                    last_known_elr: Vec::new(),
                    partition_epoch: partition.partition_epoch + 1,
                });
            }
        }
    }
    events
}

/// Where the winner stood before tells by which right it won.
fn election_kind(
    before: &PartitionRegistration,
    after: &PartitionRegistration,
    preferred: bool,
) -> Option<ElectionKind> {
    match after.leader {
        NO_BROKER => None,
        leader if before.elr.contains(&leader) => Some(ElectionKind::Eligible),
        leader if !before.isr.contains(&leader) && before.last_known_elr == [leader] => {
            Some(ElectionKind::LastKnownLeader)
        }
        // Who wins uncleanly is alone in sync. One of several has joined them by its leader's word, in this very change.
        leader if !before.isr.contains(&leader) && after.isr == [leader] => Some(ElectionKind::Unclean),
        leader if preferred && after.replicas.first() == Some(&leader) => Some(ElectionKind::Preferred),
        _ => Some(ElectionKind::Clean),
    }
}
