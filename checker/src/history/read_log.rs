//! One partition as its readers saw it: offset → record, sparse, in blocks.

use std::collections::BTreeMap;

use crate::observation::EventRef;

const BLOCK: i64 = 128;
const EMPTY: u64 = u64::MAX;

/// Who was seen at an offset, and when first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) record: u64,
    pub(crate) at: EventRef,
}

/// What a read added.
pub(crate) enum Seen {
    /// The first record at this offset.
    New,
    /// The same record as before.
    Again,
    /// Another record than before.
    Conflict(Sighting),
}

/// Offset → first record seen there.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadLog {
    blocks: BTreeMap<i64, Vec<Sighting>>,
    /// Lowest and highest offset seen.
    pub(crate) range: Option<(i64, i64)>,
}

impl ReadLog {
    /// A record was seen at an offset.
    pub(crate) fn see(&mut self, offset: i64, record: u64, at: EventRef) -> Seen {
        self.range = Some(self.range.map_or((offset, offset), |(low, high)| (low.min(offset), high.max(offset))));
        let block = self
            .blocks
            .entry(offset.div_euclid(BLOCK))
            .or_insert_with(|| vec![Sighting { record: EMPTY, at: EventRef::default() }; BLOCK as usize]);
        let slot = &mut block[offset.rem_euclid(BLOCK) as usize];
        if slot.record == EMPTY {
            *slot = Sighting { record, at };
            Seen::New
        } else if slot.record == record {
            Seen::Again
        } else {
            Seen::Conflict(*slot)
        }
    }

    /// The first record seen at an offset.
    pub(crate) fn at(&self, offset: i64) -> Option<Sighting> {
        let slot = self.blocks.get(&offset.div_euclid(BLOCK))?[offset.rem_euclid(BLOCK) as usize];
        (slot.record != EMPTY).then_some(slot)
    }

    /// All that was seen, by offset.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, Sighting)> {
        let offsets = |block: i64| (0..BLOCK).map(move |n| (block * BLOCK).saturating_add(n));
        let all = self.blocks.iter().flat_map(move |(block, slots)| offsets(*block).zip(slots.iter().copied()));
        all.filter(|(_, slot)| slot.record != EMPTY)
    }

    /// The first offset in `from..to` at which a record was seen: holes are no gaps.
    pub(crate) fn first_in(&self, from: i64, to: i64) -> Option<i64> {
        if from >= to {
            return None;
        }
        self.blocks
            .range(from.div_euclid(BLOCK)..=(to - 1).div_euclid(BLOCK))
            .flat_map(|(block, slots)| slots.iter().zip((0..BLOCK).map(move |n| (block * BLOCK).saturating_add(n))))
            .find(|(slot, offset)| slot.record != EMPTY && (from..to).contains(offset))
            .map(|(_, offset)| offset)
    }
}
