//! What does a broker refuse before its coordinators are asked? A copy of it is asked.
//!
//! Sources: KIP-559, `KafkaApis.handleOffsetCommitRequest`, `SyncGroupRequest.areMandatoryProtocolTypeAndNamePresent`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{GroupId, ResponseKind, SyncGroupRequest};
use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::node::Now;
use trial_kafka::protocol::errors::code_name;

use super::Speaker;
use super::broker_copy::{BrokerCopy, Settled};
use super::classic_questions::{COMMIT, NOBODY, Of, SYNC, text};
use super::group_rehearsal::name_what_was_asked;

/// About a group that this broker coordinates.
pub(super) fn rehearse(broker: &Broker, group: &str, now: Now, speaker: &mut Speaker<'_>) {
    let mut copy = BrokerCopy::of(broker, &speaker.slot.disk, now);
    // Of a topic that there is not: `Of` has none other.
    let committed = error_of(copy.ask(COMMIT, Of(group).commit("", None, -1)).1);
    let sync = SyncGroupRequest::default().with_group_id(GroupId(text(group))).with_member_id(text(NOBODY));
    let synced = error_of(copy.ask(SYNC, sync).1);
    for (what, said, due) in [
        ("to commit an offset of no topic", committed, ResponseError::UnknownTopicOrPartition),
        ("for a share, without naming a protocol", synced, ResponseError::InconsistentGroupProtocol),
    ] {
        let heard = speaker.notes.len();
        let said = said.map_or("nothing".to_string(), code_name);
        speaker.says(Word::GroupAnswer, None, said, code_name(due.code()));
        name_what_was_asked(what, heard, speaker);
    }
}

fn error_of(settled: Settled) -> Option<i16> {
    let Settled::Answered(response) = settled else { return None };
    match *response {
        ResponseKind::OffsetCommit(answer) => {
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).next()
        }
        ResponseKind::SyncGroup(answer) => Some(answer.error_code),
        _ => None,
    }
}
