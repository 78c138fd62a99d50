//! Which partition a record goes to, when the application does not say.

use crate::client::view::View;
use crate::ids::{Topic, TopicPartition};
use crate::node::{Effects, RandomFor};

/// Kafka's 32-bit murmur2, with its fixed seed. Source: `Utils.murmur2`.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut h = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * at);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

/// A key's partition: murmur2 without its sign, modulo all partitions of the topic, led or not.
/// Source: `BuiltInPartitioner.partitionForKey`. `partitions` is at least 1.
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// The uniform sticky partitioner of one topic: stay until `batch.size` bytes went to a partition, but do not leave a
/// batch half full behind unless twice as much did. Source: KIP-794, `BuiltInPartitioner`, without its load statistics.
#[derive(Clone, Debug)]
pub(crate) struct StickyPartition {
    /// Where keyless records go now.
    pub(crate) partition: i32,
    produced_bytes: usize,
}

impl StickyPartition {
    /// Any partition with a leader, else any. `None` for a topic that is not known or has no partition.
    pub(crate) fn choose(topic: &Topic, view: &View, fx: &mut Effects<'_>) -> Option<Self> {
        let count = view.partition_count(topic).filter(|count| *count > 0)?;
        let led = |p: &i32| view.leader(&TopicPartition::new(topic, *p)).is_some();
        let available: Vec<i32> = (0..count).filter(led).collect();
        let partition = match available.len() as u64 {
            0 => fx.random_below(RandomFor::StickyPartition, count as u64) as i32,
            n => available[fx.random_below(RandomFor::StickyPartition, n) as usize],
        };
        Some(StickyPartition { partition, produced_bytes: 0 })
    }
    /// So many bytes were added to the partition's batches.
    pub(crate) fn produced(&mut self, bytes: usize) {
        self.produced_bytes += bytes;
    }
    /// Is it time for another partition? `no_open_batch`: nothing half full would be left behind.
    pub(crate) fn is_used_up(&self, batch_size: usize, no_open_batch: bool) -> bool {
        self.produced_bytes >= batch_size && no_open_batch || self.produced_bytes >= batch_size.saturating_mul(2)
    }
}
