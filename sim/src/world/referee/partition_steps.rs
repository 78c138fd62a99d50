//! What becomes of a partition whose leader asks for other in-sync replicas, and is not refused.
//!
//! Who is elected is the checker's question (wrong-partition-change); here it is what the leader asked for, and whether it got
//! that. Sources: KIP-455, KIP-497, KIP-704, `ReplicationControlManager.alterPartition`, `PartitionReassignmentReplicas`.

use kafka_protocol::messages::AlterPartitionRequest;
use kafka_protocol::messages::alter_partition_request::PartitionData;
use trial_checker::Word;
use trial_kafka::controller::Controller;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::PartitionRegistration;
use uuid::Uuid;

use super::Speaker;

/// KIP-704: still recovering from an unclean election.
const RECOVERING: i8 = 1;

/// A partition as it must be behind an AlterPartition that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionDue {
    topic: Uuid,
    index: i32,
    isr: Vec<i32>,
    replicas: Vec<i32>,
    recovering: bool,
    partition_epoch: i32,
    /// At least.
    leader_epoch: i32,
}

/// The partitions that are not refused, by the metadata before; `refused` tells which are.
pub(super) fn to_alter_partition(
    controller: &Controller,
    request: &AlterPartitionRequest,
    refused: impl Fn((Uuid, i32)) -> bool,
) -> Vec<PartitionDue> {
    let mut due: Vec<PartitionDue> = Vec::new();
    for topic in &request.topics {
        for data in topic.partitions.iter().filter(|data| !refused((topic.topic_id, data.partition_index))) {
            let before = controller.image().partition(topic.topic_id, data.partition_index);
            let is_asked_twice = due.iter().any(|due| (due.topic, due.index) == (topic.topic_id, data.partition_index));
            if let Some(before) = before.filter(|_| !is_asked_twice) {
                due.push(after(before, topic.topic_id, data));
            }
        }
    }
    due
}

fn after(before: &PartitionRegistration, topic: Uuid, data: &PartitionData) -> PartitionDue {
    let asked = data.new_isr_with_epochs.iter().map(|member| member.broker_id.0);
    let stays = |replica: &i32| !before.removing_replicas.contains(replica);
    let staying: Vec<i32> = before.replicas.iter().copied().filter(stays).collect();
    let isr: Vec<i32> = asked.collect();
    // A reassignment ends with the change that has all who stay in sync.
    let ends = before.is_reassigning() && !staying.is_empty() && staying.iter().all(|replica| isr.contains(replica));
    let (isr, replicas) = match ends {
        true => (isr.into_iter().filter(stays).collect(), staying),
        false => (isr, before.replicas.clone()),
    };
    let recovering = data.leader_recovery_state == RECOVERING;
    let changes = ends || isr != before.isr || recovering != before.recovering;
    let partition_epoch = before.partition_epoch + i32::from(changes);
    let index = data.partition_index;
    let leader_epoch = before.leader_epoch + i32::from(replicas.len() < before.replicas.len());
    PartitionDue { topic, index, isr, replicas, recovering, partition_epoch, leader_epoch }
}

impl PartitionDue {
    /// Is it so?
    pub(super) fn judge(&self, controller: &Controller, speaker: &mut Speaker<'_>) {
        let image = controller.image();
        let Some(now) = image.partition(self.topic, self.index) else { return };
        let is = PartitionDue {
            isr: now.isr.clone(),
            replicas: now.replicas.clone(),
            recovering: now.recovering,
            // What else it changes, of eligible leaders for instance, is the checker's question.
            partition_epoch: now.partition_epoch.clamp(self.partition_epoch, self.partition_epoch + 1),
            leader_epoch: now.leader_epoch.min(self.leader_epoch),
            ..self.clone()
        };
        let name = image.topics.get(&self.topic).map(|topic| &topic.name);
        let id = name.map(|name| TopicPartition::new(name, self.index));
        if now.elr.iter().any(|eligible| !now.replicas.contains(eligible)) {
            let said = format!("{:?} eligible", now.elr);
            speaker.wrong(Word::PartitionStep, id.as_ref(), said, format!("nobody but those of {:?}", now.replicas));
        }
        if is != *self {
            speaker.wrong(Word::PartitionStep, id.as_ref(), is.in_words(), self.in_words());
        }
    }

    fn in_words(&self) -> String {
        let recovering = if self.recovering { ", recovering" } else { "" };
        let PartitionDue { isr, replicas, partition_epoch, leader_epoch, .. } = self;
        format!(
            "in-sync {isr:?} of {replicas:?} in partition epoch {partition_epoch}, leader epoch {leader_epoch}{recovering}"
        )
    }
}
