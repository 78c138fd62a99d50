//! What clients know of each record: a dense table by record id.

use crate::observation::{Belief, EventRef};

/// No offset is known.
pub(crate) const NO_OFFSET: i64 = -1;

/// Ids are dense; one that leaves a gap of more than this is refused instead of filling memory.
const LARGEST_GAP: u64 = 1 << 20;

/// What a producer was told, without the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Told {
    /// The id was never handed to a producer.
    #[default]
    NeverSent,
    /// Nothing yet.
    Pending,
    Acked,
    Failed,
    Unknown,
    Unpromised,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) invoked: EventRef,
    pub(crate) settled: EventRef,
    /// [`NO_OFFSET`] if the acknowledgement did not say.
    pub(crate) acked_offset: i64,
    /// The first offset at which anybody read it.
    pub(crate) read_offset: i64,
    /// The first offset at which the final read found it.
    pub(crate) final_offset: i64,
    pub(crate) producer: u32,
    pub(crate) partition: u32,
    pub(crate) attempts: u32,
    /// How often the final read found it.
    pub(crate) copies: u16,
    pub(crate) told: Told,
    /// It went into a topic that was deleted: its absence says nothing.
    pub(crate) deleted: bool,
}

impl Record {
    const EMPTY: Record = Record {
        invoked: EventRef { id: 0, time: 0 },
        settled: EventRef { id: 0, time: 0 },
        acked_offset: NO_OFFSET,
        read_offset: NO_OFFSET,
        final_offset: NO_OFFSET,
        producer: 0,
        partition: 0,
        attempts: 0,
        copies: 0,
        told: Told::NeverSent,
        deleted: false,
    };
}

/// So many records stand in one allocation: the table grows without moving any, and the next trial is given the same memory.
const BLOCK: usize = 1 << 10;

/// All records by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    /// All but the last are full.
    blocks: Vec<Vec<Record>>,
    /// Observations that named an impossible id.
    pub(crate) malformed: u64,
}

impl Records {
    /// A record was handed to a producer.
    pub(crate) fn invoked(&mut self, at: EventRef, id: u64, producer: u32, partition: u32) {
        if id >= self.len() as u64 + LARGEST_GAP {
            self.malformed += 1;
            return;
        }
        self.grow_to(id as usize + 1);
        let record = &mut self.blocks[id as usize / BLOCK][id as usize % BLOCK];
        if record.told != Told::NeverSent {
            self.malformed += 1;
            return;
        }
        *record = Record { invoked: at, producer, partition, told: Told::Pending, ..Record::EMPTY };
    }

    fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    fn grow_to(&mut self, len: usize) {
        while self.len() < len {
            if self.blocks.last().is_none_or(|last| last.len() == BLOCK) {
                self.blocks.push(Vec::with_capacity(BLOCK));
            }
            let more = len - self.len();
            if let Some(last) = self.blocks.last_mut() {
                last.resize((last.len() + more).min(BLOCK), Record::EMPTY);
            }
        }
    }

    /// The producer was told how it went.
    pub(crate) fn settled(&mut self, at: EventRef, id: u64, belief: Belief, attempts: u32) {
        let Some(record) = self.get_mut(id) else {
            self.malformed += 1;
            return;
        };
        (record.settled, record.attempts) = (at, attempts);
        record.told = match belief {
            Belief::Acked { offset } => {
                record.acked_offset = offset.filter(|o| *o >= 0).unwrap_or(NO_OFFSET);
                Told::Acked
            }
            Belief::Failed => Told::Failed,
            Belief::Unknown => Told::Unknown,
            Belief::Unpromised => Told::Unpromised,
        };
    }

    /// A record that was sent.
    pub(crate) fn get(&self, id: u64) -> Option<&Record> {
        self.blocks
            .get(usize::try_from(id).ok()? / BLOCK)?
            .get(id as usize % BLOCK)
            .filter(|r| r.told != Told::NeverSent)
    }

    /// A record that was sent.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Record> {
        self.blocks
            .get_mut(usize::try_from(id).ok()? / BLOCK)?
            .get_mut(id as usize % BLOCK)
            .filter(|r| r.told != Told::NeverSent)
    }

    /// All that were sent, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.blocks
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, r)| r.told != Told::NeverSent)
            .map(|(id, r)| (id as u64, r))
    }
}
