//! Images of brokers' disks, from which a fault may restore one: taken every second while the cluster is at work, if the
//! timeline has such a fault, and kept as long as it may want them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use trial_kafka::event::{Event, Fault as FaultEvent};
use trial_kafka::node::{EventId, Nanos};
use trial_storage::{Disk, DiskError, OpenMode, SyncTarget};

use super::slot::SimNode;
use super::{Phase, What, World};
use crate::disk::VirtualDisk;
use crate::fault::{Fault, FaultKind};
use crate::trace::NodeIx;

const EVERY: Nanos = 1_000_000_000;

/// The root of a broker's log directory, and the checkpoint files in it (`LogManager`, `ReplicaManager`).
const ROOT_DIR: &str = ".";
const CHECKPOINTS: [&str; 3] =
    ["replication-offset-checkpoint", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"];

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// The greatest age that a fault asks for; `None`: no fault asks.
    oldest: Option<Nanos>,
    of: BTreeMap<NodeIx, VecDeque<(Nanos, VirtualDisk)>>,
}

impl Images {
    pub(super) fn for_faults(timeline: &[Fault]) -> Self {
        let ages = timeline.iter().filter_map(|fault| match fault.kind {
            FaultKind::RestoreDisk { age, .. } => Some(age),
            _ => None,
        });
        Images { oldest: ages.max(), of: BTreeMap::new() }
    }

    /// The latest image of that node from at or before then.
    fn at(&self, node: NodeIx, then: Nanos) -> Option<(Nanos, VirtualDisk)> {
        let images = self.of.get(&node)?;
        images.iter().rev().find(|(taken, _)| *taken <= then).cloned()
    }
}

impl World {
    pub(super) fn begin_images(&mut self) {
        if self.faults.images.oldest.is_some() {
            self.queue.push(self.now, What::TakeImages);
        }
    }

    pub(super) fn take_images(&mut self) {
        let Some(oldest) = self.faults.images.oldest.filter(|_| self.phase() < Phase::Core) else { return };
        for (index, slot) in self.slots.iter().enumerate() {
            if !matches!(slot.node, SimNode::Broker(_)) {
                continue;
            }
            let images = self.faults.images.of.entry(NodeIx(index as u32)).or_default();
            images.push_back((self.now, slot.disk.clone()));
            // The second one is old enough for every fault to come.
            while images.get(1).is_some_and(|(taken, _)| *taken + oldest <= self.now) {
                images.pop_front();
            }
        }
        self.queue.push(self.now + EVERY, What::TakeImages);
    }

    /// The disk, or its checkpoint files, are what they were. False if there is no image as old as that.
    pub(super) fn restore_disk(
        &mut self,
        node: NodeIx,
        age: Nanos,
        checkpoints_only: bool,
        restart_after: Option<Nanos>,
        cause: EventId,
    ) -> bool {
        if !matches!(self.slots[node.0 as usize].node, SimNode::Broker(_)) {
            return false;
        }
        let Some((taken, image)) = self.faults.images.at(node, self.now.saturating_sub(age)) else { return false };
        if self.slots[node.0 as usize].is_up() {
            self.end_process(node, false);
        }
        let now = self.now;
        let slot = &mut self.slots[node.0 as usize];
        slot.disk.process_crash();
        slot.disk.repair();
        slot.disk_fails = None;
        let before = slot.disk.used_bytes();
        if checkpoints_only {
            // A disk that was just repaired refuses nothing but for want of space; what it refuses stays as it is.
            let _ = restore_checkpoints(&mut slot.disk, image);
            slot.disk.process_crash();
        } else {
            let stalled = slot.disk.stalled_until();
            slot.disk = restored(image, now);
            slot.disk.set_slow(&slot.slow_disk);
            slot.disk.set_lost_syncs(slot.lost_syncs > 0);
            if let Some(until) = stalled {
                slot.disk.stall_until(until);
            }
            // Whatever was on its way to the disk never gets there.
            slot.boot += 1;
        }
        let lost_bytes = before.saturating_sub(slot.disk.used_bytes());
        let age_ms = (now - taken) / 1_000_000;
        let event = FaultEvent::RestoreDisk { age_ms, lost_bytes, checkpoints_only };
        self.record(node, Event::Fault(event), &[cause]);
        self.restart_later(node, restart_after);
        true
    }
}

/// An image as a disk of its own: nobody has it open, all of it is durable.
fn restored(mut image: VirtualDisk, now: Nanos) -> VirtualDisk {
    image.process_crash();
    image.repair();
    image.set_lost_syncs(false);
    image.set_time(now);
    image.write_back(0);
    image
}

fn restore_checkpoints(disk: &mut VirtualDisk, image: VirtualDisk) -> Result<(), DiskError> {
    let mut image = restored(image, 0);
    let root = disk.open_dir(ROOT_DIR)?;
    let mut targets = vec![SyncTarget::Dir(root)];
    for name in CHECKPOINTS {
        match content(&mut image, name)? {
            Some(bytes) => {
                let file = disk.open(root, name, OpenMode::CreateEmpty)?;
                disk.write(file, 0, bytes)?;
                targets.push(SyncTarget::File(file));
            }
            None if disk.list(root)?.iter().any(|there| there == name) => disk.remove(root, name)?,
            None => {}
        }
    }
    let sync = disk.snapshot_for_sync(&targets);
    disk.complete_sync(sync)
}

fn content(image: &mut VirtualDisk, name: &str) -> Result<Option<Bytes>, DiskError> {
    let root = image.open_dir(ROOT_DIR)?;
    match image.open(root, name, OpenMode::Existing) {
        Ok(file) => {
            let len = image.len(file)?;
            image.read(file, 0, len as usize).map(Some)
        }
        Err(DiskError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
