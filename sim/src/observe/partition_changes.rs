//! A committed change of a partition, whole: as it stood, as it stands, and what the rest of its batch says of why.

use trial_checker::{EventRef, Going, Observation, Partition, PartitionChange as Told, PartitionState, TopicSettings};
use trial_kafka::config::BrokerConfig;
use trial_kafka::event::{ElectionKind, Event};
use trial_kafka::ids::NO_BROKER;
use trial_kafka::metadata::{MetadataImage, MetadataRecord, PartitionChange, PartitionRegistration, TopicImage};

const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// What a topic promises by an image of the metadata; brokers were given this configuration.
pub(super) fn promised(image: &MetadataImage, given: &BrokerConfig, topic: &TopicImage) -> Option<TopicSettings> {
    let partition = topic.partitions.first()?;
    let config = image.effective_config_of_topic(NO_BROKER, given, topic);
    Some(TopicSettings {
        replication_factor: i16::try_from(partition.replicas.len()).unwrap_or(i16::MAX),
        min_insync_replicas: i32::try_from(config.min_insync_replicas).unwrap_or(i32::MAX),
        unclean_leader_election_enable: config.unclean_leader_election_enable,
        eligible_leader_replicas: image.features.get(ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| *level > 0),
    })
}

/// Tells of a change. `then` is what was decided upon, `now` has the change; `batch` is all that was decided.
pub(super) fn tell(
    (then, now): (&MetadataImage, &MetadataImage),
    given: &BrokerConfig,
    change: &PartitionChange,
    batch: &[(i64, MetadataRecord)],
    decided: &[(EventRef, Event)],
    at: EventRef,
) -> Option<(EventRef, Observation)> {
    let topic = then.topics.get(&change.topic_id)?;
    let before = then.partition(change.topic_id, change.partition)?;
    let after = now.partition(change.topic_id, change.partition)?;
    if after.partition_epoch > before.partition_epoch.saturating_add(1) {
        return None; // a batch may change it twice, where a rule was broken that keeps them apart
    }
    let partition = Partition::new(topic.name.as_str(), change.partition);
    let is_it = |event: &Event, epoch: i32| {
        let of_it = event.partition().is_some_and(|p| p.topic == topic.name && p.partition == change.partition);
        of_it && epoch == after.partition_epoch
    };
    let (mut preferred, mut at) = (None, at);
    for (when, event) in decided {
        match event {
            Event::LeaderChanged { partition_epoch, election, .. } if is_it(event, *partition_epoch) => {
                (preferred, at) = (Some(*election == Some(ElectionKind::Preferred)), *when);
            }
            Event::IsrChanged { partition_epoch, .. } if is_it(event, *partition_epoch) => {
                (preferred, at) = (Some(false), *when);
            }
            _ => {}
        }
    }
    let told = Told {
        partition,
        before: state(before),
        after: state(after),
        promised: promised(then, given, topic)?,
        going: going(batch, decided),
        preferred,
    };
    Some((at, Observation::PartitionChanged(Box::new(told))))
}

/// The broker that this batch fences, registers anew, or begins to stop.
fn going(batch: &[(i64, MetadataRecord)], decided: &[(EventRef, Event)]) -> Option<Going> {
    batch.iter().find_map(|(_, record)| match record {
        MetadataRecord::BrokerRegistrationChange(change)
            if change.fenced == Some(true) || change.in_controlled_shutdown == Some(true) =>
        {
            Some(Going { broker: change.broker, uncleanly: Some(false) })
        }
        MetadataRecord::RegisterBroker { broker, .. } => {
            let was_clean = decided.iter().find_map(|(_, event)| match event {
                Event::BrokerRegistered { broker: registered, clean, .. } if registered == broker => Some(*clean),
                _ => None,
            });
            Some(Going { broker: *broker, uncleanly: was_clean.map(|clean| !clean) })
        }
        _ => None,
    })
}

/// Tells, behind a batch that says what became of a broker, that this was all of it.
pub(super) fn brokers_settled(records: &[(i64, MetadataRecord)], at: EventRef) -> Option<(EventRef, Observation)> {
    let changes = |record: &MetadataRecord| match record {
        MetadataRecord::RegisterBroker { .. } => Some(false),
        MetadataRecord::BrokerRegistrationChange(change) => Some(change.fenced == Some(false)),
        _ => None,
    };
    let changed = records.iter().filter_map(|(_, record)| changes(record)).reduce(|one, other| one || other)?;
    Some((at, Observation::BrokersSettled { unfenced: changed }))
}

fn state(partition: &PartitionRegistration) -> PartitionState {
    PartitionState {
        replicas: partition.replicas.clone(),
        adding: partition.adding_replicas.clone(),
        removing: partition.removing_replicas.clone(),
        isr: partition.isr.clone(),
        elr: partition.elr.clone(),
        last_known_elr: partition.last_known_elr.clone(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        recovering: partition.recovering,
    }
}
