//! Which groups does this broker coordinate, and what does the log say of them?
//!
//! Source: `BrokerMetadataPublisher.updateCoordinator`, `CoordinatorRuntime.scheduleLoadOperation`,
//! `scheduleUnloadOperation`, `CoordinatorLoaderImpl.doLoad`.

use trial_storage::{BatchError, Batches, Disk, LogError, records};

use super::{GroupStep, Slot, offsets_partition, step};
use crate::broker::Broker;
use crate::broker::replicas::PartitionIx;
use crate::conformance::CoordinatorRule;
use crate::event::Event;
use crate::group::records::{GroupRecordError, Record};
use crate::group::shard::Shard;
use crate::node::{Effects, Lane, Now};

/// A chunk of the log: the records of each batch, and where it ends.
type Chunk = Vec<(Vec<Record>, i64)>;

/// Why a log cannot be loaded.
enum NotLoaded {
    /// The disk, or a batch that cannot be read.
    Log(LogError),
    /// A record that says it is one of these, and is not.
    Record,
}

impl Broker {
    /// This broker leads the partition in a new epoch, or no longer does. From now on clients are told that the log is
    /// being loaded; what is to be done is done in the coordinators' lane, behind what stands there.
    pub(in crate::broker) fn note_group_leadership(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        let replica = self.replicas.get(ix);
        let (partition, leader_epoch) = (replica.id.partition, replica.leader_epoch);
        if replica.is_leader() {
            self.slot_of(partition);
            fx.defer(Lane::Groups, step(GroupStep::Elected { partition, leader_epoch }));
        } else if self.groups.slots.contains_key(&partition) {
            let leader_epoch = Some(leader_epoch);
            fx.defer(Lane::Groups, step(GroupStep::Resigned { partition, leader_epoch }));
        }
    }
    /// The replica is gone.
    pub(in crate::broker) fn note_group_replica_gone(&mut self, partition: i32, fx: &mut Effects<'_>) {
        if self.groups.slots.contains_key(&partition) {
            fx.defer(Lane::Groups, step(GroupStep::Resigned { partition, leader_epoch: None }));
        }
    }

    /// The coordinator of the partition's groups, one that has loaded nothing if there is none.
    fn slot_of(&mut self, partition: i32) -> &mut Slot {
        let (config, zoo) = (&self.groups.config, self.setup.zoo);
        self.groups.slots.entry(partition).or_insert_with(|| Slot {
            shard: Shard::new(config.clone(), zoo),
            leader_epoch: -1,
            loading: None,
            due: None,
            looks_at_high_watermark: false,
        })
    }

    /// A coordinator that is loading, or has loaded, goes on in a later epoch of its own leadership: nobody else has
    /// written meanwhile.
    pub(super) fn on_elected(&mut self, partition: i32, leader_epoch: i32, fx: &mut Effects<'_>) {
        let log_start = self.replicas.find(&offsets_partition(partition)).and_then(|ix| {
            let replica = self.replicas.get(ix);
            (replica.is_leader() && replica.leader_epoch >= leader_epoch).then(|| replica.log.log_start_offset())
        });
        let slot = self.slot_of(partition);
        if slot.leader_epoch >= leader_epoch {
            return;
        }
        slot.leader_epoch = leader_epoch;
        let is_loaded = (slot.loading.is_some() || slot.shard.is_active()) && CoordinatorRule::ReignGoesOn.holds();
        // If it leads no more, the step that says so is on its way.
        let Some(log_start) = log_start.filter(|_| !is_loaded) else { return };
        self.groups.loadings += 1;
        let loading = self.groups.loadings;
        self.slot_of(partition).loading = Some((loading, log_start));
        fx.defer(Lane::Log, step(GroupStep::Load { partition, loading }));
    }

    /// Whoever waits is sent to the new coordinator.
    pub(super) fn on_resigned(
        &mut self,
        now: Now,
        partition: i32,
        leader_epoch: Option<i32>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let Some(slot) = self.groups.slots.get(&partition) else { return };
        let is_stale = leader_epoch.is_some_and(|epoch| epoch <= slot.leader_epoch);
        if !is_stale && CoordinatorRule::ResigningUnloads.holds() {
            self.unload_groups(now, partition, disk, fx);
        }
    }

    fn unload_groups(&mut self, now: Now, partition: i32, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let was_active = self.groups.slots.get(&partition).is_some_and(|slot| slot.shard.is_active());
        if was_active {
            fx.record(Event::CoordinatorUnloaded { partition: offsets_partition(partition) });
        }
        let outcome = self.with_shard(now, partition, |shard, _| shard.unload());
        self.carry_out(now, partition, None, outcome.unwrap_or_default(), disk, fx);
        self.groups.slots.remove(&partition);
        self.watch(partition);
    }

    /// Loads a chunk. What is committed and what is not is replayed alike; readers see what lies below the high watermark.
    pub(super) fn load_groups(
        &mut self,
        now: Now,
        partition: i32,
        loading: u64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let under_way = self.groups.slots.get(&partition).and_then(|slot| slot.loading);
        let Some((_, from)) = under_way.filter(|(number, _)| *number == loading) else { return };
        let Some(ix) =
            self.replicas.find(&offsets_partition(partition)).filter(|ix| self.replicas.get(*ix).is_leader())
        else {
            // Stopped: another leads. The log may have been cut under the reader.
            return self.unload_groups(now, partition, disk, fx);
        };
        let (chunk, next) = match self.read_chunk(ix, from, disk, fx) {
            Ok(read) => read,
            Err(why) => {
                if let NotLoaded::Log(error) = why {
                    let id = offsets_partition(partition);
                    self.log_failed(&id, &error, fx);
                }
                return self.unload_groups(now, partition, disk, fx);
            }
        };
        self.with_shard(now, partition, |shard, cx| shard.load(cx, &chunk));
        let replica = self.replicas.get(ix);
        let (end, high_watermark) = (replica.log_end_offset(), replica.high_watermark());
        if next > from && next < end && CoordinatorRule::LogIsLoadedInChunks.holds() {
            if let Some(slot) = self.groups.slots.get_mut(&partition) {
                slot.loading = Some((loading, next));
            }
            return fx.defer(Lane::Log, step(GroupStep::Load { partition, loading }));
        }
        let outcome = self.with_shard(now, partition, |shard, cx| shard.loaded(cx, high_watermark));
        let role_event = self.replicas.get(ix).role_event;
        if let Some(slot) = self.groups.slots.get_mut(&partition) {
            slot.loading = None;
            let groups = u32::try_from(slot.shard.groups().count()).unwrap_or(u32::MAX);
            let (partition, leader_epoch) = (offsets_partition(partition), slot.leader_epoch);
            let loaded = Event::CoordinatorLoaded { partition, leader_epoch, log_end_offset: end, groups };
            fx.record_because(loaded, &[role_event]);
        }
        self.carry_out(now, partition, None, outcome.unwrap_or_default(), disk, fx);
        self.watch(partition);
    }

    /// The records of the next `offsets.load.buffer.size` bytes, of one batch at least, and where they end. A record of a
    /// kind that is not known is passed over.
    fn read_chunk(
        &self,
        ix: PartitionIx,
        from: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(Chunk, i64), NotLoaded> {
        let log = &self.replicas.get(ix).log;
        let size = usize::try_from(self.setup.config.offsets_load_buffer_size).unwrap_or(usize::MAX);
        let bytes = log.read(disk, from, log.log_end_offset(), size, true).map_err(NotLoaded::Log)?;
        fx.charge(20_000 + bytes.len() as u64);
        let mut chunk = Vec::new();
        let mut next = from;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(broken)?;
            next = batch.header.next_offset();
            let mut read = Vec::new();
            if !batch.header.is_control() {
                for record in records(&batch.bytes).map_err(broken)? {
                    match Record::decode(record.key.as_deref().unwrap_or_default(), record.value.as_deref()) {
                        Ok(record) => read.push(record),
                        Err(GroupRecordError::UnknownKind(_)) => {}
                        Err(_) => return Err(NotLoaded::Record),
                    }
                }
            }
            chunk.push((read, next));
        }
        Ok((chunk, next))
    }
}

fn broken(error: BatchError) -> NotLoaded {
    NotLoaded::Log(error.into())
}
