//! Gives each partition a small number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::observation::Partition;

/// So many partitions of one topic are numbered without a search.
const RECENT: usize = 16;

/// Partitions by number, numbered as they are first seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partitions {
    names: Vec<Partition>,
    numbers: BTreeMap<Partition, u32>,
    /// The numbers given last, by the partition's index. One that stands for another partition, or for none, is no harm.
    recent: [u32; RECENT],
}

impl Partitions {
    /// The partition's number. Traffic comes in runs of one partition, so what was asked for last is tried first.
    pub(crate) fn number(&mut self, partition: &Partition) -> u32 {
        let place = partition.index as usize % RECENT;
        let recent = self.recent[place];
        if let Some(last) = self.names.get(recent as usize)
            && last.index == partition.index
            && (Arc::ptr_eq(&last.topic, &partition.topic) || last.topic == partition.topic)
        {
            return recent;
        }
        let next = self.names.len() as u32;
        let number = *self.numbers.entry(partition.clone()).or_insert(next);
        if number == next {
            self.names.push(partition.clone());
        }
        self.recent[place] = number;
        number
    }

    /// The partition's topic was deleted: its number stays with what was, and its name gets another number when it is
    /// seen again. Returns the number it had.
    pub(crate) fn forget(&mut self, topic: &str) -> Vec<u32> {
        let of_topic: Vec<Partition> = self.numbers.keys().filter(|p| &*p.topic == topic).cloned().collect();
        self.recent = [u32::MAX; RECENT];
        of_topic.iter().filter_map(|partition| self.numbers.remove(partition)).collect()
    }

    /// The number of a partition that was seen before.
    pub(crate) fn find(&self, partition: &Partition) -> Option<u32> {
        self.numbers.get(partition).copied()
    }

    /// The partition of a number that [`Self::number`] gave.
    pub(crate) fn name(&self, number: u32) -> &Partition {
        &self.names[number as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
