//! What clients are told of a log's end. Alone it may be anything: whether it goes back is the checker's question.

use std::collections::BTreeMap;

use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use trial_checker::Word;
use trial_kafka::ids::{Topic, TopicPartition};

use super::{Due, Speaker};
use crate::world::Note;

/// The replica id of a client.
const CLIENT: i32 = -1;
/// The timestamp that asks for the end.
const LATEST: i64 = -1;
/// The timestamp that asks for the record with the largest one (KIP-734).
const OF_LARGEST: i64 = -3;

/// The partitions of which a client asks for an offset, with the timestamps that it asks for.
pub(super) fn to_list_offsets(request: &ListOffsetsRequest) -> Option<Due> {
    if request.replica_id.0 != CLIENT {
        return None;
    }
    let mut asked = BTreeMap::new();
    for topic in &request.topics {
        for it in &topic.partitions {
            asked.insert(TopicPartition::new(&Topic::new(&topic.name), it.partition_index), it.timestamp);
        }
    }
    (!asked.is_empty()).then_some(Due::Ends(asked))
}

/// What a client is told of them.
pub(super) fn note(asked: &BTreeMap<TopicPartition, i64>, response: &ListOffsetsResponse, speaker: &mut Speaker<'_>) {
    for topic in &response.topics {
        for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
            let partition = TopicPartition::new(&Topic::new(&topic.name), told.partition_index);
            let Some(timestamp) = asked.get(&partition) else { continue };
            judge(&partition, *timestamp, told.offset, speaker);
            if *timestamp == LATEST {
                speaker.notes.push(Note::EndOffsetTold { node: speaker.node, partition, offset: told.offset });
            }
        }
    }
}

/// A client may be told an offset by the leader only, and nothing of the end before the high watermark has reached the start
/// of the reign: what a predecessor committed may lie beyond it. Sources: KIP-207, `Partition.fetchOffsetForTimestamp`,
/// `getLocalLog`, `ReplicaManager.fetchOffset`.
fn judge(partition: &TopicPartition, timestamp: i64, told: i64, speaker: &mut Speaker<'_>) {
    let Some(replica) = speaker.slot.broker().and_then(|broker| broker.partition(partition)) else { return };
    let is_of_the_end = timestamp == LATEST || (told < 0 && (timestamp >= 0 || timestamp == OF_LARGEST));
    let due = match replica.leader_state() {
        None => "NOT_LEADER_OR_FOLLOWER",
        Some(state) if is_of_the_end && replica.high_watermark() < state.epoch_start_offset => "OFFSET_NOT_AVAILABLE",
        Some(_) => return,
    };
    speaker.wrong(Word::OffsetAnswer, Some(partition), format!("offset {told}"), due.to_string());
}
