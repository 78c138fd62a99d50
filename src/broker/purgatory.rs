//! The purgatory: requests that wait for a high watermark or for data, and what became ready.
//!
//! Waiting requests stand in two tables by a number; partitions keep the numbers of those that wait for them
//! ([`super::partition::Partition::produce_waiters`], `fetch_waiters`). Whoever changes a partition notes it here;
//! [`Broker::settle_ready`] looks at the noted ones when the handler is done. Source: `DelayedOperationPurgatory`,
//! `DelayedProduce`, `DelayedFetch`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_storage::Disk;

use super::Broker;
use super::fetch::DelayedFetch;
use super::produce::DelayedProduce;
use super::replicas::PartitionIx;
use crate::node::{Effects, Nanos, Now};

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Purgatory {
    next: u64,
    produces: BTreeMap<u64, DelayedProduce>,
    fetches: BTreeMap<u64, DelayedFetch>,
    deadlines: BTreeSet<(Nanos, u64)>,
    ready: VecDeque<Ready>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Produce(u64),
    Fetch(u64),
}

impl Purgatory {
    pub(super) fn len(&self) -> (usize, usize) {
        (self.produces.len(), self.fetches.len())
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.first().map(|(at, _)| *at)
    }
    pub(super) fn park_produce(&mut self, produce: DelayedProduce) -> u64 {
        let id = self.fresh();
        self.deadlines.insert((produce.deadline, id));
        self.produces.insert(id, produce);
        id
    }
    pub(super) fn park_fetch(&mut self, fetch: DelayedFetch) -> u64 {
        let id = self.fresh();
        self.deadlines.insert((fetch.deadline, id));
        self.fetches.insert(id, fetch);
        id
    }
    pub(super) fn fetch(&self, id: u64) -> Option<&DelayedFetch> {
        self.fetches.get(&id)
    }
    pub(super) fn take_produce(&mut self, id: u64) -> Option<DelayedProduce> {
        let produce = self.produces.remove(&id)?;
        self.deadlines.remove(&(produce.deadline, id));
        Some(produce)
    }
    /// It still waits.
    pub(super) fn put_back_produce(&mut self, id: u64, produce: DelayedProduce) {
        self.deadlines.insert((produce.deadline, id));
        self.produces.insert(id, produce);
    }
    pub(super) fn take_fetch(&mut self, id: u64) -> Option<DelayedFetch> {
        let fetch = self.fetches.remove(&id)?;
        self.deadlines.remove(&(fetch.deadline, id));
        Some(fetch)
    }
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Broker {
    /// The high watermark moved: wakes the produce requests it satisfies and the consumers that wait for it.
    pub(super) fn note_high_watermark(&mut self, ix: PartitionIx) {
        let partition = self.replicas.get_mut(ix);
        let high_watermark = partition.high_watermark();
        while let Some(first) = partition.produce_waiters.front()
            && first.needs <= high_watermark
        {
            let waiter = partition.produce_waiters.pop_front().expect("just seen");
            self.purgatory.ready.push_back(Ready::Produce(waiter.delayed));
        }
        if partition.is_offsets {
            self.groups.note_high_watermark(partition.id.partition);
        }
        self.note_fetches(ix);
    }
    /// Something was appended: wakes the fetches that wait here.
    pub(super) fn note_fetches(&mut self, ix: PartitionIx) {
        let waiters = &self.replicas.get(ix).fetch_waiters;
        self.purgatory.ready.extend(waiters.iter().map(|id| Ready::Fetch(*id)));
    }
    /// A flush has ended: wakes those that wait for it.
    pub(super) fn note_flush_waiters(&mut self, ix: PartitionIx) {
        let waiters = std::mem::take(&mut self.replicas.get_mut(ix).flush_waiters);
        self.purgatory.ready.extend(waiters.into_iter().map(Ready::Produce));
    }
    /// The role changed: nobody waits here any longer for what was.
    pub(super) fn note_all_waiters(&mut self, ix: PartitionIx) {
        self.note_flush_waiters(ix);
        let produce_waiters = std::mem::take(&mut self.replicas.get_mut(ix).produce_waiters);
        self.purgatory.ready.extend(produce_waiters.iter().map(|w| Ready::Produce(w.delayed)));
        self.note_fetches(ix);
    }

    /// Completes what became ready in this handler, and what becomes ready by that.
    pub(super) fn settle_ready(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        while let Some(ready) = self.purgatory.ready.pop_front() {
            match ready {
                Ready::Produce(id) => self.try_complete_produce(id, fx),
                Ready::Fetch(id) => self.try_complete_fetch(now, id, disk, fx),
            }
        }
    }

    /// Completes the requests whose time is up, as they stand.
    pub(super) fn expire_delayed(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        while let Some(&(at, id)) = self.purgatory.deadlines.first()
            && at <= now.mono
        {
            self.purgatory.deadlines.pop_first();
            if let Some(produce) = self.purgatory.take_produce(id) {
                self.answer_produce(id, produce, fx);
            } else if let Some(fetch) = self.purgatory.take_fetch(id) {
                self.answer_fetch(now, id, fetch, disk, fx);
            }
        }
    }
}
