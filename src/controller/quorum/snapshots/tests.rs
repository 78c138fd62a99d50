//! Snapshots on a disk that loses power at every operation; what replicas are told; who is served what.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchSnapshotResponse;
use trial_storage::{
    Batches, BuildOptions, DirId, Disk, DiskError, EpochEndOffset, FileId, Log, LogConfig, NewRecord, OpenMode,
    build_batch,
};
use uuid::Uuid;

use super::serve::ServedSnapshot;
use super::*;
use crate::config::BrokerConfig;
use crate::ids::Topic;
use crate::metadata::snapshot::{FetchProgress, SnapshotFetch, SnapshotId, decode, encode};
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::node::{Effect, Effects, ms};
use crate::testing::TestHost;
use crate::testing::memory_disk::MemoryDisk;

/// Two or three batches to a segment.
const CONFIG: LogConfig =
    LogConfig { segment_bytes: 300, index_interval_bytes: 100, max_batch_bytes: 10_000, ..LogConfig::DEFAULT };

/// A disk that dies after so many changes.
#[derive(Clone, Default)]
struct DyingDisk {
    disk: MemoryDisk,
    changes_left: Option<u32>,
}

impl DyingDisk {
    fn change(&mut self) -> Result<&mut MemoryDisk, DiskError> {
        match &mut self.changes_left {
            Some(0) => return Err(DiskError::Io("dead".to_string())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(&mut self.disk)
    }
}

impl Disk for DyingDisk {
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError> {
        self.disk.open_dir(name)
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list_dirs()
    }
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }
    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?.remove_dir(name)
    }
    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        match mode {
            OpenMode::Existing => self.disk.open(dir, name, mode),
            _ => self.change()?.open(dir, name, mode),
        }
    }
    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }
    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        self.disk.len(file)
    }
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        self.disk.read(file, at, len)
    }
    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        self.change()?.write(file, at, data)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.change()?.truncate(file, len)
    }
    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        self.change()?.rename(dir, from, to)
    }
    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        self.change()?.remove(dir, name)
    }
}

/// Record `n` of the story creates topic `n`.
fn record(n: i64) -> MetadataRecord {
    MetadataRecord::Topic { name: Topic::new(&format!("t{n}")), topic_id: Uuid::from_u128(n as u128 + 1) }
}
/// The metadata after the records below `end`.
fn image(end: i64) -> MetadataImage {
    let mut image = MetadataImage::default();
    (0..end).for_each(|n| image.apply(n, &record(n)));
    image
}
fn id(end_offset: i64, epoch: i32) -> SnapshotId {
    SnapshotId { end_offset, epoch }
}

/// A controller's log and snapshots, on a host whose syncs end at once.
struct Life {
    disk: DyingDisk,
    host: TestHost,
    log: Log,
    snapshots: SnapshotStore,
    /// What was found at the start.
    found: Option<SnapshotId>,
    /// Everything below was synced, and may have been told to others.
    promised: i64,
}

impl Life {
    fn on(mut disk: DyingDisk) -> Result<Life, StoreError> {
        let OpenedLog { log, snapshots, latest } = open(&mut disk, "m-0", CONFIG)?;
        let found = latest.map(|(id, _)| id);
        Ok(Life { disk, host: TestHost::default(), log, snapshots, found, promised: 0 })
    }
    fn new() -> Life {
        Life::on(DyingDisk::default()).unwrap()
    }
    fn append(&mut self, record: &MetadataRecord, epoch: i32) -> Result<(), StoreError> {
        let record = NewRecord { value: Some(record.encode()), ..NewRecord::default() };
        let batch = build_batch(&[record], BuildOptions::default());
        self.log.append_control_as_leader(&mut self.disk, batch, epoch)?;
        Ok(())
    }
    /// Appends record after record up to below `end`.
    fn append_until(&mut self, end: i64, epoch: i32) -> Result<(), StoreError> {
        for n in self.log.log_end_offset()..end {
            self.append(&record(n), epoch)?;
        }
        self.sync();
        Ok(())
    }
    fn sync(&mut self) {
        let (targets, mark) = (self.log.unsynced(), self.log.sync_started());
        let pending = self.disk.disk.snapshot_for_sync(&targets);
        self.disk.disk.complete_sync(pending);
        self.log.synced(mark);
        self.promised = self.log.log_end_offset();
    }
    /// Writes a snapshot of the records below its end.
    fn write(&mut self, id: SnapshotId) -> Result<(), StoreError> {
        let bytes = encode(id, &image(id.end_offset), 0);
        self.snapshots.write(id, bytes, &mut self.disk, &mut Effects::new(&mut self.host))?;
        let mut done = None;
        while let Some(Effect::Sync { ticket, targets }) = self.host.effects.pop() {
            let pending = self.disk.disk.snapshot_for_sync(&targets);
            self.disk.disk.complete_sync(pending);
            let fx = &mut Effects::new(&mut self.host);
            done = self.snapshots.on_synced(ticket, &Ok(()), &mut self.disk, fx)?;
        }
        assert_eq!(done, Some(id));
        Ok(())
    }
    /// Writes a snapshot and cuts the log.
    fn snapshot(&mut self, id: SnapshotId) -> Result<(), StoreError> {
        assert_eq!(self.snapshots.may_create(&self.log, id, self.promised), Ok(true));
        self.write(id)?;
        let cut = self.snapshots.delete_before(id, &mut self.log, &mut self.disk)?;
        assert_eq!(cut, Some(id.end_offset));
        Ok(())
    }
    /// Takes over a snapshot that came from the leader.
    fn take(&mut self, id: SnapshotId) -> Result<(), StoreError> {
        self.write(id)?;
        assert!(load(id, &mut self.log, &mut self.snapshots, &mut self.disk)?);
        self.promised = id.end_offset;
        Ok(())
    }
    /// What a controller that starts here knows: its snapshot and the log behind it.
    fn replay(&mut self) -> MetadataImage {
        let mut image = MetadataImage::default();
        if let Some(id) = self.snapshots.latest() {
            let bytes = self.snapshots.read(id, 0, usize::MAX, &mut self.disk).unwrap().unwrap();
            image = decode(id, &bytes).unwrap().image;
        }
        while image.next_offset < self.log.log_end_offset() {
            let bytes = self.log.read(&mut self.disk, image.next_offset, i64::MAX, 1 << 20, true).unwrap();
            for batch in Batches::new(bytes) {
                for record in trial_storage::records(&batch.unwrap().bytes).unwrap() {
                    image.apply(record.offset, &MetadataRecord::decode(&record.value.unwrap()).unwrap());
                }
            }
        }
        image
    }
    fn files(&self) -> Vec<String> {
        self.disk.list(self.log.dir()).unwrap()
    }
}

/// Plays the story on disks that die at one change after the other, and looks at what is left: with the page cache, as
/// after a crash of the process, and without, as after a loss of power. Gives how many changes the story takes.
fn dies_at_each_change(story: fn(&mut Life) -> Result<(), StoreError>, expect: fn(i64, i32) -> MetadataImage) -> u32 {
    for changes in 0.. {
        let mut life = Life::new();
        life.sync();
        life.disk.changes_left = Some(changes);
        let ended = story(&mut life);
        for power_is_lost in [false, true] {
            let mut disk = DyingDisk { disk: life.disk.disk.clone(), changes_left: None };
            if power_is_lost {
                disk.disk.lose_power();
            }
            let what = format!("dead after {changes} changes, power lost: {power_is_lost}");
            let mut again = Life::on(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            let end = again.log.log_end_offset();
            assert!(end >= life.promised, "{what}: promised {} and has {end}", life.promised);
            let epoch = last_fetched_epoch(&again.log, &again.snapshots);
            assert_eq!(again.replay(), expect(end, epoch), "{what}");
            assert_eq!(again.log.log_start_offset(), again.found.map_or(0, |id| id.end_offset), "{what}");
            assert!(!again.files().iter().any(|name| name.ends_with(".part")), "{what}: {:?}", again.files());
            assert!(again.files().iter().filter(|name| name.ends_with(".checkpoint")).count() <= 1, "{what}");
            // And life goes on.
            again.append_until(end + 3, epoch + 1).unwrap();
            again.snapshot(id(end + 2, epoch + 1)).unwrap();
            assert_eq!(again.log.log_start_offset(), end + 2, "{what}");
        }
        if ended.is_ok() {
            return changes;
        }
    }
    unreachable!("a story ends")
}

#[test]
fn a_controller_that_writes_snapshots_may_lose_power_at_any_time() {
    let story = |life: &mut Life| {
        life.append_until(8, 1)?;
        life.snapshot(id(5, 1))?;
        life.append_until(14, 2)?;
        life.snapshot(id(14, 2))?;
        life.append_until(17, 2)?;
        life.append_until(20, 4)?;
        life.snapshot(id(19, 4))
    };
    let changes = dies_at_each_change(story, |end, _| image(end));
    assert!(changes > 40, "{changes} changes");
}

#[test]
fn a_follower_that_takes_a_snapshot_may_lose_power_at_any_time() {
    // Five records of all, and a tail that its leader never committed.
    let story = |life: &mut Life| {
        life.append_until(5, 1)?;
        for _ in 0..6 {
            life.append(&MetadataRecord::NoOp, 1)?;
        }
        life.sync();
        // Whoever told it to take a snapshot knew that the tail does not count.
        life.promised = 5;
        life.take(id(8, 3))?;
        life.append_until(12, 3)?;
        life.take(id(30, 4))?;
        life.append_until(33, 6)
    };
    // While it is in epoch 1, it has what it had.
    let expect = |end: i64, epoch| match epoch {
        1 => MetadataImage { next_offset: end, ..image(end.min(5)) },
        _ => image(end),
    };
    let changes = dies_at_each_change(story, expect);
    assert!(changes > 30, "{changes} changes");
}

#[test]
fn after_a_snapshot_only_it_and_the_log_behind_it_are_left() {
    let mut life = Life::new();
    life.append_until(12, 1).unwrap();
    life.snapshot(id(7, 1)).unwrap();
    life.snapshot(id(11, 1)).unwrap();
    let snapshots: Vec<_> = life.files().into_iter().filter(|name| name.ends_with(".checkpoint")).collect();
    assert_eq!(snapshots, [id(7, 1).file_name(), id(11, 1).file_name()], "the one before may be under way to somebody");
    assert_eq!(life.snapshots.earliest(), Some(id(11, 1)), "and does not count");
    assert_eq!((life.log.log_start_offset(), life.log.log_end_offset()), (11, 12));
    assert!(life.log.segment_count() == 1, "{} segments", life.log.segment_count());
    assert_eq!(life.replay(), image(12));
}

#[test]
fn a_snapshot_that_is_torn_is_deleted_and_an_older_one_serves() {
    let mut life = Life::new();
    life.append_until(12, 1).unwrap();
    life.write(id(4, 1)).unwrap();
    life.write(id(9, 1)).unwrap();
    let dir = life.log.dir();
    let file = life.disk.open(dir, &id(9, 1).file_name(), OpenMode::Existing).unwrap();
    let length = life.disk.len(file).unwrap();
    life.disk.truncate(file, length - 1).unwrap();
    let mut again = Life::on(life.disk).unwrap();
    assert_eq!(again.found, Some(id(4, 1)));
    assert_eq!(again.replay(), image(12));
    assert!(!again.files().contains(&id(9, 1).file_name()));

    // Without an older one, and with what it stood for deleted, nothing can be done.
    again.sync();
    again.snapshot(id(12, 1)).unwrap();
    again.append_until(14, 1).unwrap();
    let file = again.disk.open(dir, &id(12, 1).file_name(), OpenMode::Existing).unwrap();
    again.disk.truncate(file, 10).unwrap();
    let error = Life::on(again.disk).err().expect("the metadata is lost");
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn a_snapshot_is_only_taken_of_what_is_committed_and_only_once() {
    let mut life = Life::new();
    life.append_until(6, 1).unwrap();
    life.append_until(10, 3).unwrap();
    let may = |life: &Life, id, high_watermark| life.snapshots.may_create(&life.log, id, high_watermark);
    assert_eq!(may(&life, id(8, 3), 8), Ok(true), "at the high watermark");
    let above = StoreError::AboveHighWatermark { id: id(9, 3), high_watermark: 8 };
    assert_eq!(may(&life, id(9, 3), 8), Err(above));
    assert_eq!(may(&life, id(8, 1), 8), Err(StoreError::NotInLog { id: id(8, 1) }), "epoch 1 ended at 6");
    life.snapshot(id(8, 3)).unwrap();
    assert_eq!(may(&life, id(8, 3), 10), Ok(false), "it is there");
    assert_eq!(may(&life, id(6, 1), 10), Ok(false), "the log begins behind it");
}

#[test]
fn a_failed_sync_is_told_and_giving_up_leaves_nothing() {
    let mut life = Life::new();
    life.append_until(3, 1).unwrap();
    let bytes = encode(id(3, 1), &image(3), 0);
    for completed in 0..2 {
        let fx = &mut Effects::new(&mut life.host);
        life.snapshots.write(id(3, 1), bytes.clone(), &mut life.disk, fx).unwrap();
        for n in 0..=completed {
            let Some(Effect::Sync { ticket, .. }) = life.host.effects.pop() else { panic!("no sync") };
            let result = if n < completed { Ok(()) } else { Err(DiskError::Full) };
            let fx = &mut Effects::new(&mut life.host);
            let told = life.snapshots.on_synced(ticket, &result, &mut life.disk, fx);
            assert_eq!(told, result.map(|()| None).map_err(StoreError::Disk));
        }
        assert!(life.snapshots.is_writing() && life.snapshots.latest().is_none());
        life.snapshots.give_up(&mut life.disk).unwrap();
        assert!(!life.files().iter().any(|name| name.contains("checkpoint.") || name.ends_with("1.checkpoint")));
    }
}

#[test]
fn what_a_fetch_is_told() {
    use ValidOffsetAndEpoch::*;
    let diverging = |epoch, end_offset| Diverging(EpochEndOffset { epoch, end_offset });
    let snapshot = || Snapshot(id(10, 2));
    let mut life = Life::new();
    life.take(id(10, 2)).unwrap();
    let ask = |life: &Life, offset, epoch| validate_fetch(&life.log, &life.snapshots, offset, epoch);

    // The log is empty: its last epoch is the snapshot's.
    assert_eq!(last_fetched_epoch(&life.log, &life.snapshots), 2);
    let table =
        [(0, 0, snapshot()), (9, 1, snapshot()), (10, 2, Valid), (10, 3, snapshot()), (11, 2, diverging(2, 10))];
    for (offset, epoch, expected) in table {
        assert_eq!(ask(&life, offset, epoch), expected, "empty log, offset {offset} epoch {epoch}");
    }

    life.append_until(12, 2).unwrap();
    life.append_until(15, 4).unwrap();
    let table = [
        (0, 0, snapshot()),        // has nothing
        (9, 2, snapshot()),        // below the log's start
        (10, 1, snapshot()),       // at its start, with another history
        (11, 1, snapshot()),       // of an epoch that ended before the snapshot
        (10, 2, Valid),            // has what the snapshot has
        (12, 2, Valid),            // up to the end of an epoch
        (13, 2, diverging(2, 12)), // beyond it
        (13, 3, diverging(2, 12)), // an epoch that is not in the log
        (13, 4, Valid),
        (15, 4, Valid),
        (16, 4, diverging(4, 15)), // beyond the end
        (15, 9, diverging(4, 15)), // an epoch above all
    ];
    for (offset, epoch, expected) in table {
        assert_eq!(ask(&life, offset, epoch), expected, "offset {offset} epoch {epoch}");
    }

    // A whole log: a replica with nothing takes the snapshot all the same, and reads the log if there is none.
    let mut life = Life::new();
    life.append_until(12, 1).unwrap();
    assert_eq!(ask(&life, 0, 0), Valid);
    assert_eq!(ask(&life, 13, 1), diverging(1, 12));
    life.write(id(10, 1)).unwrap();
    assert_eq!(ask(&life, 0, 0), Snapshot(id(10, 1)));
    assert_eq!(ask(&life, 3, 1), Valid);
}

/// It led epoch 5 and nobody followed it, while another went on in epoch 2 that led again later.
#[test]
fn a_log_that_ends_before_a_snapshot_is_replaced_whatever_its_last_epoch() {
    let mut life = Life::new();
    life.append_until(5, 1).unwrap();
    life.append_until(8, 5).unwrap();
    life.take(id(10, 2)).unwrap();
    assert_eq!((life.log.log_start_offset(), life.log.log_end_offset()), (10, 10));
    assert_eq!(last_fetched_epoch(&life.log, &life.snapshots), 2);
    assert_eq!(Life::on(life.disk).unwrap().replay(), image(10));
    // What reaches beyond it is cut by a diverging fetch first, for it may hold what the snapshot stands for.
    let mut beyond = Life::new();
    beyond.append_until(5, 1).unwrap();
    beyond.append_until(12, 5).unwrap();
    beyond.write(id(10, 2)).unwrap();
    assert_eq!(load(id(10, 2), &mut beyond.log, &mut beyond.snapshots, &mut beyond.disk), Ok(false));
}

#[test]
fn a_snapshot_that_was_replaced_is_served_until_the_next_is_replaced() {
    let mut life = Life::new();
    let served = |life: &mut Life, end_offset| {
        error(&serve(life, |request| request.topics[0].partitions[0].snapshot_id.end_offset = end_offset).response)
    };
    life.take(id(10, 2)).unwrap();
    life.take(id(20, 2)).unwrap();
    assert_eq!((life.snapshots.earliest(), life.snapshots.latest()), (Some(id(20, 2)), Some(id(20, 2))));
    assert_eq!((served(&mut life, 10), served(&mut life, 20)), (0, 0), "somebody may be in the middle of it");
    life.take(id(30, 2)).unwrap();
    assert_eq!(served(&mut life, 10), ResponseError::SnapshotNotFound.code());
    assert_eq!((served(&mut life, 20), served(&mut life, 30)), (0, 0));
    assert_eq!(life.files().iter().filter(|name| name.ends_with(".checkpoint")).count(), 2);
}

/// A chunk asked of a leader of epoch 7.
fn serve(life: &mut Life, change: impl FnOnce(&mut kafka_protocol::messages::FetchSnapshotRequest)) -> ServedSnapshot {
    let mut request = SnapshotFetch::new(id(10, 2)).request(Some("trial"), 3002, Uuid::from_u128(5), 7);
    change(&mut request);
    let validate = |epoch| match epoch {
        7 => Ok(()),
        epoch if epoch < 7 => Err(ResponseError::FencedLeaderEpoch),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    };
    let leadership = Leadership { leader_id: 3001, epoch: 7 };
    fetch_snapshot("trial", leadership, validate, &life.snapshots, &request, &mut life.disk)
}
fn error(response: &FetchSnapshotResponse) -> i16 {
    let partition = SnapshotFetch::partition(response);
    partition.map_or(response.error_code, |partition| partition.error_code)
}

#[test]
fn chunks_are_served_from_any_position() {
    let mut life = Life::new();
    life.take(id(10, 2)).unwrap();
    let mut fetch = SnapshotFetch::new(id(10, 2));
    let mut chunks = 0;
    let bytes = loop {
        let asked = fetch.request(Some("trial"), 3002, Uuid::from_u128(5), 7);
        let served = serve(&mut life, |request| {
            *request = asked;
            request.max_bytes = 37;
        });
        assert_eq!(served.fed, Some((3002, Uuid::from_u128(5))), "it counts for check-quorum");
        chunks += 1;
        match fetch.on_chunk(SnapshotFetch::partition(&served.response).unwrap()) {
            FetchProgress::More => {}
            FetchProgress::Complete(bytes) => break bytes,
            FetchProgress::StartOver => panic!("the leader has it"),
        }
    };
    assert!(chunks > 10);
    assert_eq!(decode(id(10, 2), &bytes).unwrap().image, image(10));
}

#[test]
fn what_is_wrong_with_a_request_for_a_snapshot_is_told() {
    let mut life = Life::new();
    life.take(id(10, 2)).unwrap();
    let size = life.snapshots.size(id(10, 2)).unwrap() as i64;
    let mut refused = |change: fn(&mut kafka_protocol::messages::FetchSnapshotRequest, i64),
                       expected: ResponseError| {
        let served = serve(&mut life, |request| change(request, size));
        assert_eq!(error(&served.response), expected.code(), "{expected:?}");
        assert_eq!(served.fed, None);
    };
    refused(|r, _| r.cluster_id = Some("other".into()), ResponseError::InconsistentClusterId);
    refused(|r, _| r.topics.clear(), ResponseError::InvalidRequest);
    refused(|r, _| r.topics[0].partitions.clear(), ResponseError::InvalidRequest);
    refused(|r, _| r.topics[0].partitions[0].partition = 1, ResponseError::UnknownTopicOrPartition);
    refused(|r, _| r.topics[0].partitions[0].current_leader_epoch = 6, ResponseError::FencedLeaderEpoch);
    refused(|r, _| r.topics[0].partitions[0].current_leader_epoch = 8, ResponseError::UnknownLeaderEpoch);
    refused(|r, _| r.topics[0].partitions[0].snapshot_id.end_offset = 9, ResponseError::SnapshotNotFound);
    refused(|r, _| r.topics[0].partitions[0].snapshot_id.epoch = 1, ResponseError::SnapshotNotFound);
    refused(|r, _| r.topics[0].partitions[0].position = -1, ResponseError::PositionOutOfRange);
    refused(|r, size| r.topics[0].partitions[0].position = size, ResponseError::PositionOutOfRange);
}

#[test]
fn a_snapshot_is_due_by_bytes_or_by_time() {
    let config = BrokerConfig {
        metadata_log_max_record_bytes_between_snapshots: 100,
        metadata_log_max_snapshot_interval_ms: 1_000,
        ..BrokerConfig::default()
    };
    let mut generator = SnapshotGenerator::new(&config, 0);
    assert!(!generator.on_committed(ms(1), 99));
    assert!(generator.on_committed(ms(2), 1));
    assert!(generator.on_committed(ms(3), 1), "until one is begun");
    generator.reset(ms(3));
    assert!(!generator.on_committed(ms(1_002), 10));
    assert!(generator.on_committed(ms(1_003), 10));
    let never = BrokerConfig { metadata_log_max_snapshot_interval_ms: 0, ..config };
    assert!(!SnapshotGenerator::new(&never, 0).on_committed(ms(1_000_000), 99), "0 is never by time");
}
