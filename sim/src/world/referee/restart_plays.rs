//! What does a broker know after a start? A copy of it stops, or is killed, and starts on what it left.
//!
//! ```text
//!   broker, disk ─▶ copy ─▶ it stops ─▶ a file is lost, time passes ─▶ it starts ─▶ ends and producers: as the rules want them?
//! ```
//!
//! Sources: KIP-107, KIP-360, `LogManager.shutdown`, `checkpointLogStartOffsets`, `LogLoader.load`, `Partition.createLog`,
//! `ReplicaManager.shutdown`, `checkpointHighWatermarks`, `UnifiedLog.rebuildProducerState`, `ProducerStateManager.loadFromSnapshot`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use trial_checker::Word;
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::{Broker, BrokerTimer};
use trial_storage::{Disk, DiskError, OpenMode};

use super::leader_rehearsal::{Scene, Stage};
use super::{Speaker, delete_questions};

const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const SNAPSHOT: &str = ".snapshot";
const ROOT: &str = ".";

/// The epoch and the last sequence of each producer.
type Producers = BTreeMap<i64, (i16, i32)>;

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some(blank) = speaker.slot.blank_broker() else { return };
    of_an_orderly_stop(stage, blank, speaker);
    of_a_crash(stage, blank, speaker);
    of_lost_files(stage, blank, speaker);
    of_silence(stage, blank, speaker);
}

/// What is known of the producers with records in the log, of which the last is younger than that. Of those without records a
/// start knows only what a snapshot has.
fn producers_of(replica: &Partition, since: i64) -> Producers {
    let start = replica.log.log_start_offset();
    let entries = replica.log.producers().into_iter().flat_map(|producers| producers.entries());
    let entries = entries.filter(|(_, entry)| entry.last_timestamp() > since);
    let with_records = entries.filter_map(|(id, entry)| Some((id, entry, entry.last_batch()?)));
    let with_records = with_records.filter(|(_, _, last)| last.first_offset() >= start);
    with_records.map(|(id, entry, last)| (*id, (entry.epoch(), last.last_sequence))).collect()
}

/// What is the same after a start.
#[derive(Clone, PartialEq, Eq)]
struct Known {
    start: i64,
    high_watermark: i64,
    end: i64,
    producers: Producers,
}

impl Known {
    /// Who has long been silent may be known still, or not be loaded any more.
    fn of(replica: &Partition, wall: i64) -> Self {
        let longest = replica.log.producers().map_or(0, |producers| producers.expiration_ms());
        Known::since(replica, wall.saturating_sub(longest))
    }
    fn since(replica: &Partition, since: i64) -> Self {
        Known {
            start: replica.log.log_start_offset(),
            high_watermark: replica.high_watermark(),
            end: replica.log_end_offset(),
            producers: producers_of(replica, since),
        }
    }
    fn words(&self) -> String {
        let Known { start, high_watermark, end, producers } = self;
        format!("offsets from {start} over {high_watermark} to {end}, producers {producers:?}")
    }
}

fn judge(scene: &Scene, what: &str, due: &Known, speaker: &mut Speaker<'_>) {
    let said = scene.replica().map(|replica| Known::of(replica, scene.wall()));
    let said = said.map_or("no replica".to_string(), |known| known.words());
    scene.says(Word::DiskStep, said, due.words(), what, speaker);
}

/// The same where the log was read again: who was forgotten before may come back with that.
fn judge_read(scene: &Scene, what: &str, due: &Known, speaker: &mut Speaker<'_>) {
    let mut due = due.clone();
    if let Some(said) = scene.replica().map(|replica| Known::of(replica, scene.wall())) {
        let returned = said.producers.into_iter().filter(|(id, _)| !due.producers.contains_key(id));
        due.producers.extend(returned.collect::<Vec<_>>());
    }
    judge(scene, what, &due, speaker);
}

/// After an orderly stop all is as it was.
fn of_an_orderly_stop(stage: &Stage<'_>, blank: &Broker, speaker: &mut Speaker<'_>) {
    for mut scene in [stage.scene(), begun_later(stage)] {
        let Some(known) = scene.replica().map(|replica| Known::of(replica, scene.wall())) else { return };
        scene.copy.shut_down();
        scene.copy.start_anew(blank, 0, |_| {});
        judge(&scene, "to stop and to start", &known, speaker);
    }
}

/// The same of a log whose records are deleted, where they may be.
fn begun_later(stage: &Stage<'_>) -> Scene {
    let mut scene = stage.scene();
    delete_questions::delete(&mut scene, stage.replica.high_watermark());
    scene
}

/// After a crash the log is read again, and ends are those of the checkpoints.
fn of_a_crash(stage: &Stage<'_>, blank: &Broker, speaker: &mut Speaker<'_>) {
    for mut scene in [stage.scene(), begun_later(stage)] {
        scene.copy.tick(0, BrokerTimer::HighWatermarkCheckpoint);
        scene.copy.tick(0, BrokerTimer::LogStartCheckpoint);
        let Some(known) = scene.replica().map(|replica| Known::of(replica, scene.wall())) else { return };
        scene.copy.start_anew(blank, 0, |_| {});
        judge_read(&scene, "to crash and to start", &known, speaker);
    }
}

/// What can be told without the files that are lost.
fn of_lost_files(stage: &Stage<'_>, blank: &Broker, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    let known = Known::of(stage.replica, scene.wall());
    scene.copy.shut_down();
    scene.copy.start_anew(blank, 0, |disk| {
        let _ = disk.open_dir(ROOT).and_then(|root| disk.remove(root, HIGH_WATERMARKS));
    });
    let due = Known { high_watermark: known.start, ..known.clone() };
    judge(&scene, "to start without its high watermarks", &due, speaker);

    // The log is not looked through after an orderly stop: what no snapshot says was not.
    let dir = stage.replica.log.dir_name();
    let mut scene = stage.scene();
    scene.copy.shut_down();
    scene.copy.start_anew(blank, 0, |disk| drop(for_snapshots(disk, dir, |disk, dir, name| disk.remove(dir, name))));
    let due = Known { producers: Producers::new(), ..known.clone() };
    judge(&scene, "to start without the snapshots of producers", &due, speaker);

    // It is, if there was one that turns out to be corrupt.
    let mut scene = stage.scene();
    scene.copy.shut_down();
    let mut corrupt = BTreeSet::new();
    scene.copy.start_anew(blank, 0, |disk| {
        drop(for_snapshots(disk, dir, |disk, dir, name| {
            let file = disk.open(dir, name, OpenMode::Existing)?;
            let bytes = disk.read(file, 0, usize::try_from(disk.len(file)?).unwrap_or(0))?;
            let flipped: Bytes = bytes.iter().map(|byte| !byte).collect();
            corrupt.insert(flipped.clone());
            disk.write(file, 0, flipped)
        }));
    });
    let what = "to start with corrupt snapshots of producers";
    judge_read(&scene, what, &known, speaker);
    let mut left = 0;
    let _ = for_snapshots(scene.copy.disk(), dir, |disk, dir, name| {
        let file = disk.open(dir, name, OpenMode::Existing)?;
        let bytes = disk.read(file, 0, usize::try_from(disk.len(file)?).unwrap_or(0))?;
        left += usize::from(corrupt.contains(&bytes));
        Ok(())
    });
    let words = |left: usize| format!("{left} corrupt snapshots");
    scene.says(Word::DiskStep, words(left), words(0), what, speaker);
}

fn for_snapshots(
    disk: &mut dyn Disk,
    dir: &str,
    mut act: impl FnMut(&mut dyn Disk, trial_storage::DirId, &str) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let dir = disk.open_dir(dir)?;
    for name in disk.list(dir)?.iter().filter(|name| name.ends_with(SNAPSHOT)) {
        act(disk, dir, name)?;
    }
    Ok(())
}

/// Who was silent for too long when a snapshot is loaded is not known.
fn of_silence(stage: &Stage<'_>, blank: &Broker, speaker: &mut Speaker<'_>) {
    let longest = stage.replica.log.producers().map_or(0, |producers| producers.expiration_ms());
    let entries = stage.replica.log.producers().into_iter().flat_map(|producers| producers.entries().values());
    let last = entries.map(|entry| entry.last_timestamp()).max().unwrap_or(0);
    let mut scene = stage.scene();
    let after = last.saturating_sub(scene.wall()).max(0).saturating_add(longest).saturating_add(1);
    scene.copy.shut_down();
    scene.copy.start_anew(blank, after, |_| {});
    let due = Known { producers: Producers::new(), ..Known::since(stage.replica, i64::MIN) };
    let said = scene.replica().map(|replica| Known::since(replica, i64::MIN));
    let said = said.map_or("no replica".to_string(), |known| known.words());
    let what = "to start when all producers have long been silent";
    scene.says(Word::DiskStep, said, due.words(), what, speaker);
}
