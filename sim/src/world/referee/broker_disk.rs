//! What a broker leaves on its disk when it stops, and takes from it when it starts; what it does not do any more in between.
//!
//! Sources: KIP-966, `LogManager`, `CleanShutdownFileHandler`, `BrokerServer.shutdown`.

use std::collections::BTreeMap;

use trial_checker::Word;
use trial_kafka::broker::{Broker, LifecycleState};
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::METADATA_TOPIC;

use super::Speaker;
use crate::disk::VirtualDisk;
use crate::trace::NodeIx;

/// The directory of the log directory's own files.
const ROOT: &str = ".";
const MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// The checkpoints that are durable by themselves.
const CHECKPOINTS: [&str; 3] = [RECOVERY_POINTS, "replication-offset-checkpoint", "log-start-offset-checkpoint"];
/// More than any of these files has.
const MOST_BYTES: usize = 1 << 20;

/// What the referee keeps in mind of brokers' disks.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    before: Option<Before>,
    /// Logs that were cut, and where, and that are not to be fetched for before that is durable.
    cuts: BTreeMap<(NodeIx, TopicPartition), i64>,
    /// The broker epochs of those who stop, as they were when they began to.
    stops: BTreeMap<NodeIx, i64>,
}

/// A broker before the handler under way.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// It has not loaded its logs; is there a marker of an orderly stop?
    marker: Option<bool>,
    is_stopping: bool,
    /// Which checkpoints the device has.
    synced: [bool; 3],
}

impl Disks {
    /// A process starts.
    pub(super) fn forget(&mut self, node: NodeIx) {
        self.cuts.retain(|(of, _), _| *of != node);
        self.stops.remove(&node);
    }

    /// A broker is about to do something.
    pub(super) fn look(&mut self, node: NodeIx, broker: &Broker, disk: &VirtualDisk) {
        let state = broker.lifecycle_state();
        if state == LifecycleState::ShuttingDown {
            self.stops.entry(node).or_insert(broker.broker_epoch().unwrap_or(-1));
        }
        let is_empty = state == LifecycleState::Starting && broker.partitions().next().is_none();
        self.before = Some(Before {
            marker: is_empty.then(|| disk.cached_names(ROOT).any(|name| name == MARKER)),
            is_stopping: state == LifecycleState::ShuttingDown,
            synced: CHECKPOINTS.map(|name| !disk.is_unsynced(ROOT, name)),
        });
    }

    /// It has done it; `syncs` tells whether it asks the disk for anything.
    pub(super) fn judge<'e>(
        &mut self,
        events: impl Iterator<Item = &'e Event> + Clone,
        syncs: bool,
        speaker: &mut Speaker<'_>,
    ) {
        let Some(before) = self.before.take() else { return };
        let slot = speaker.slot;
        let Some(broker) = slot.broker() else { return };
        let later = CHECKPOINTS.iter().zip(before.synced).filter(|(_, synced)| *synced && !syncs);
        for (name, _) in later {
            if slot.disk.is_unsynced(ROOT, name) {
                let said = format!("a new {name} that it syncs not");
                speaker.wrong(Word::DiskStep, None, said, "one that is durable".to_string());
            }
        }
        for event in events.clone() {
            // A leader asks nobody, and what it writes is its own.
            if let Event::BecameLeader { partition, .. } = event {
                self.cuts.remove(&(speaker.node, partition.clone()));
            }
            match event {
                Event::BecameLeader { partition, .. } | Event::BecameFollower { partition, .. }
                    if before.is_stopping =>
                {
                    let said = "another role, while it flushes its logs to stop,".to_string();
                    speaker.wrong(Word::DiskStep, Some(partition), said, "none any more".to_string());
                }
                Event::Recovered { partition, .. } if before.marker == Some(true) => {
                    let said = "a look through a log".to_string();
                    speaker.wrong(Word::DiskStep, Some(partition), said, "none after an orderly stop".to_string());
                }
                Event::Started { .. } if before.marker == Some(false) => {
                    let looked = events.clone().filter(|event| matches!(event, Event::Recovered { .. })).count();
                    let there = broker.partitions().count();
                    if looked < there {
                        let said = format!("a look through {looked} of its {there} logs");
                        speaker.wrong(Word::DiskStep, None, said, "one through all without a marker".to_string());
                    }
                }
                Event::Truncated { partition, to, .. } => self.judge_cut(partition, *to, speaker),
                Event::ShutDownCleanly => {
                    // What it hears while it flushes is too late for the marker.
                    let epoch = self.stops.get(&speaker.node).copied();
                    judge_stop(epoch.or(broker.broker_epoch()).unwrap_or(-1), broker, speaker);
                }
                _ => {}
            }
        }
    }

    /// A cut has its recovery point in the checkpoint at once.
    fn judge_cut(&mut self, partition: &TopicPartition, to: i64, speaker: &mut Speaker<'_>) {
        let written = speaker.slot.disk.cached_bytes(ROOT, RECOVERY_POINTS, MOST_BYTES);
        if let Some(point) = written.and_then(|bytes| recovery_point(&bytes, partition)).filter(|point| *point > to) {
            let said = format!("a recovery point of {point} in its checkpoint");
            speaker.wrong(Word::DiskStep, Some(partition), said, format!("{to} at most, where it was cut"));
        }
        self.cuts.insert((speaker.node, partition.clone()), to);
    }

    /// A follower fetches on: its cut is durable.
    pub(super) fn judge_fetch(&mut self, partition: &TopicPartition, speaker: &mut Speaker<'_>) {
        if self.cuts.is_empty() {
            return;
        }
        let Some(to) = self.cuts.remove(&(speaker.node, partition.clone())) else { return };
        let kept = speaker.slot.disk.durable_bytes(ROOT, RECOVERY_POINTS, 0, MOST_BYTES);
        if let Some(point) = kept.and_then(|bytes| recovery_point(&bytes, partition)).filter(|point| *point > to) {
            let said = format!("a fetch, with a recovery point of {point} on the disk");
            speaker.wrong(Word::DiskStep, Some(partition), said, format!("none before the cut to {to} is durable"));
        }
    }
}

/// The recovery point of a partition in the text of a checkpoint: a version, how many, and a line for each.
fn recovery_point(checkpoint: &[u8], partition: &TopicPartition) -> Option<i64> {
    let text = std::str::from_utf8(checkpoint).ok()?;
    text.lines().skip(2).find_map(|line| {
        let mut words = line.split(' ');
        let is_it = words.next()? == partition.topic.as_str() && words.next()?.parse() == Ok(partition.partition);
        words.next().filter(|_| is_it)?.parse().ok()
    })
}

/// Behind an orderly stop every log is durable, and the marker holds the broker epoch.
fn judge_stop(epoch: i64, broker: &Broker, speaker: &mut Speaker<'_>) {
    let disk = &speaker.slot.disk;
    let text = disk.durable_bytes(ROOT, MARKER, 0, MOST_BYTES);
    let told = text
        .as_deref()
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("broker_epoch: ")?.parse::<i64>().ok()));
    if told != Some(epoch) {
        let said = told.map_or("no marker".to_string(), |told| format!("a marker with broker epoch {told}"));
        speaker.wrong(Word::DiskStep, None, said, format!("one with {epoch}"));
    }
    for partition in broker.partitions().filter(|partition| partition.id.topic.as_str() != METADATA_TOPIC) {
        let dir = partition.log.dir_name();
        if disk.cached_names(dir).any(|name| name.ends_with(".log") && disk.is_unsynced(dir, name)) {
            let said = "a marker before its log is durable".to_string();
            return speaker.wrong(Word::DiskStep, Some(&partition.id), said, "none".to_string());
        }
    }
}
