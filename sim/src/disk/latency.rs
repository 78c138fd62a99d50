//! How long does the disk take, and is it alive?

use trial_kafka::node::Nanos;
use trial_storage::DiskError;

use super::VirtualDisk;

/// What a sync takes on a healthy disk: an ordinary server's solid-state drive.
pub const DEFAULT_SYNC_LATENCY: Nanos = 2_000_000;

/// Every operation takes so much longer before that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowness {
    /// How much longer.
    pub by: Nanos,
    /// The first instant at which it does not.
    pub until: Nanos,
}

/// The device under the page cache.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) now: Nanos,
    /// Time for which the present handler was blocked so far.
    cost: Nanos,
    /// Operations of the present handler so far.
    operations: u64,
    /// How much each operation takes more, and until when, one entry a slowness.
    slow: Vec<Slowness>,
    stalled_until: Nanos,
    sync_latency: Nanos,
    /// Operations that still succeed; `None`: all.
    operations_left: Option<u64>,
    /// An operation was refused since.
    refused: bool,
}

impl Default for Device {
    fn default() -> Self {
        Device {
            now: 0,
            cost: 0,
            operations: 0,
            slow: Vec::new(),
            stalled_until: 0,
            sync_latency: DEFAULT_SYNC_LATENCY,
            operations_left: None,
            refused: false,
        }
    }
}

impl Device {
    /// One operation of a node: takes its time, and fails once the disk is dead.
    pub(super) fn operation(&mut self) -> Result<(), DiskError> {
        if let Err(dead) = self.alive() {
            self.refused = true;
            return Err(dead);
        }
        if let Some(left) = &mut self.operations_left {
            *left -= 1; // alive: at least one was left
        }
        self.operations += 1;
        self.cost += self.stall_left(self.now.saturating_add(self.cost));
        // A handler may take longer than the slowness lasts: what it does later is quick again.
        self.cost = self.cost.saturating_add(self.per_operation(self.now.saturating_add(self.cost)));
        Ok(())
    }

    pub(super) fn alive(&self) -> Result<(), DiskError> {
        match self.operations_left {
            Some(0) => Err(DiskError::Io("the disk has died".to_owned())),
            _ => Ok(()),
        }
    }

    /// What needs no operation, lengths and names, is known until the first operation was refused.
    pub(super) fn answers(&self) -> Result<(), DiskError> {
        if self.refused { self.alive() } else { Ok(()) }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled_until > self.now
    }

    fn per_operation(&self, at: Nanos) -> Nanos {
        self.slow.iter().filter(|slow| at < slow.until).map(|slow| slow.by).sum()
    }

    fn stall_left(&self, at: Nanos) -> Nanos {
        self.stalled_until.saturating_sub(at)
    }
}

impl VirtualDisk {
    /// What makes operations slow from now on; nothing, if there is none.
    pub fn set_slow(&mut self, slow: &[Slowness]) {
        self.device.slow = slow.to_vec();
    }

    /// No operation and no sync ends before this instant.
    pub fn stall_until(&mut self, instant: Nanos) {
        self.device.stalled_until = instant;
    }

    /// How long a sync takes when the disk is neither slow nor stalled.
    pub fn set_sync_latency(&mut self, latency: Nanos) {
        self.device.sync_latency = latency;
    }

    /// Until when it is stalled, if it is.
    pub fn stalled_until(&self) -> Option<Nanos> {
        self.device.is_stalled().then_some(self.device.stalled_until)
    }

    /// How long a sync takes that is asked for at `at`.
    pub fn sync_latency(&self, at: Nanos) -> Nanos {
        let device = &self.device;
        device.stall_left(at).saturating_add(device.per_operation(at)).saturating_add(device.sync_latency)
    }

    /// The time for which operations were blocked since the last call. The host keeps the lane busy for so long.
    pub fn take_cost(&mut self) -> Nanos {
        std::mem::take(&mut self.device.cost)
    }

    /// How many operations there were since the last call: on a healthy disk each takes a little, which the host knows.
    pub fn take_operations(&mut self) -> u64 {
        std::mem::take(&mut self.device.operations)
    }

    /// The disk dies after this many more operations: every later one fails, and so does every sync.
    pub fn fail_after(&mut self, operations: u64) {
        self.device.operations_left = Some(operations);
    }

    /// Has it died?
    pub fn is_dead(&self) -> bool {
        self.device.alive().is_err()
    }

    /// Has it refused an operation since it died?
    pub fn has_refused(&self) -> bool {
        self.device.refused
    }

    /// It lives again, and holds what it held.
    pub fn repair(&mut self) {
        self.device.operations_left = None;
        self.device.refused = false;
    }
}
