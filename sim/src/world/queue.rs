//! The event queue: what happens when, ties broken by the order of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use trial_kafka::node::Nanos;

/// A heap of small keys over a slab of what is scheduled, so that sifting moves no large values.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    keys: BinaryHeap<Reverse<(Nanos, u64, u32)>>,
    slab: Vec<Option<T>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { keys: BinaryHeap::new(), slab: Vec::new(), free: Vec::new(), sequence: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, at: Nanos, what: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = Some(what);
                slot
            }
            None => {
                self.slab.push(Some(what));
                u32::try_from(self.slab.len() - 1).expect("fewer than 2^32 things are scheduled")
            }
        };
        self.sequence += 1;
        self.keys.push(Reverse((at, self.sequence, slot)));
    }
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        self.keys.peek().map(|Reverse((at, _, _))| *at)
    }
    pub(crate) fn pop(&mut self) -> Option<(Nanos, T)> {
        let Reverse((at, _, slot)) = self.keys.pop()?;
        self.free.push(slot);
        let what = self.slab[slot as usize].take().expect("a scheduled slot is full");
        Some((at, what))
    }
}
