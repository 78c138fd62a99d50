//! Is the high watermark on the disk, and is it taken from there? (4.3)
//!
//! Sources: `ReplicaManager.checkpointHighWatermarks`, `Partition.createLog`.

use std::collections::BTreeMap;

use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::ids::TopicPartition;

use crate::world::referee::Speaker;

const ROOT_DIR: &str = ".";
const FILE: &str = "replication-offset-checkpoint";
/// No checkpoint is larger.
const MOST_BYTES: usize = 1 << 20;

/// What the file says: of each partition, by topic and index. `None`: nothing, or nothing that can be understood.
fn told(speaker: &Speaker<'_>) -> Option<BTreeMap<(String, i32), i64>> {
    let bytes = speaker.slot.disk.cached_bytes(ROOT_DIR, FILE, MOST_BYTES)?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let mut lines = text.lines();
    let (_version, count) = (lines.next()?, lines.next()?.parse::<usize>().ok()?);
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let key = (words.next()?.to_string(), words.next()?.parse().ok()?);
        Some((key, words.next()?.parse().ok()?))
    };
    let entries: Option<BTreeMap<_, _>> = lines.map(entry).collect();
    entries.filter(|entries| entries.len() == count)
}

/// It has just been written down, or since these high watermarks: those that rose meanwhile may stand there as they were.
pub(super) fn judge(broker: &Broker, since: &[(TopicPartition, i64)], speaker: &mut Speaker<'_>) {
    let told = told(speaker).unwrap_or_default();
    for replica in broker.partitions() {
        let key = (replica.id.topic.as_str().to_string(), replica.id.partition);
        let said = told.get(&key).copied().unwrap_or(-1);
        let due = replica.high_watermark();
        let least = since.iter().find(|(id, _)| *id == replica.id).map_or(due, |(_, before)| due.min(*before));
        if !(least..=due).contains(&said) {
            speaker.says(Word::StepOfCheckpoint, Some(&replica.id), said, due);
        }
    }
}

/// The process has started with what is there: within the log as it is now, and 0 where nothing is there.
pub(super) fn judge_start(broker: &Broker, speaker: &mut Speaker<'_>) {
    let told = told(speaker).unwrap_or_default();
    for replica in broker.partitions() {
        let key = (replica.id.topic.as_str().to_string(), replica.id.partition);
        let written = told.get(&key).copied().unwrap_or(0);
        let due = written.clamp(replica.log.log_start_offset(), replica.log.log_end_offset());
        speaker.says(Word::StepOfHighWatermark, Some(&replica.id), replica.high_watermark(), due);
    }
}
