//! What clients are told of a log's end. Alone it may be anything: whether it goes back is the checker's question.

use std::collections::BTreeSet;

use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use trial_kafka::ids::{Topic, TopicPartition};

use super::{Due, Speaker};
use crate::world::Note;

/// The replica id of a client.
const CLIENT: i32 = -1;
/// The timestamp that asks for the end.
const LATEST: i64 = -1;

/// The partitions of whose end a client asks.
pub(super) fn to_list_offsets(request: &ListOffsetsRequest) -> Option<Due> {
    if request.replica_id.0 != CLIENT {
        return None;
    }
    let mut asked = BTreeSet::new();
    for topic in &request.topics {
        let of_the_end = topic.partitions.iter().filter(|asked| asked.timestamp == LATEST);
        let id = |index: i32| TopicPartition::new(&Topic::new(&topic.name), index);
        asked.extend(of_the_end.map(|asked| id(asked.partition_index)));
    }
    (!asked.is_empty()).then_some(Due::Ends(asked))
}

/// What a client is told of them.
pub(super) fn note(asked: &BTreeSet<TopicPartition>, response: &ListOffsetsResponse, speaker: &mut Speaker<'_>) {
    for topic in &response.topics {
        for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
            let partition = TopicPartition::new(&Topic::new(&topic.name), told.partition_index);
            if asked.contains(&partition) {
                speaker.notes.push(Note::EndOffsetTold { node: speaker.node, partition, offset: told.offset });
            }
        }
    }
}
