//! How small will records be once they are packed? The producer has to know before it packs them: a batch is packed when
//! it is sent, and full before that.
//!
//! Each topic's batches teach it: what turned out larger than believed counts at once, what turned out smaller only in
//! small steps. Source: `CompressionRatioEstimator`; its fractions are millionths here.

use std::collections::BTreeMap;

use crate::ids::Topic;

/// What is believed of records nobody has packed yet: they do not shrink.
const NOT_AT_ALL: u64 = 1_000_000;
/// `COMPRESSION_RATIO_IMPROVING_STEP`.
const BETTER_BY: u64 = 5_000;
/// `COMPRESSION_RATIO_DETERIORATE_STEP`.
const WORSE_BY: u64 = 50_000;
/// `COMPRESSION_RATE_ESTIMATION_FACTOR`: a little more than believed is reckoned with.
const CAUTION_PERCENT: u64 = 105;

/// Bytes of packed records by bytes of unpacked ones, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ratio(u64);

impl Ratio {
    /// Of records that do not shrink.
    pub(crate) const NOT_AT_ALL: Ratio = Ratio(NOT_AT_ALL);
    /// Of these bytes.
    pub(crate) fn of(packed: usize, unpacked: usize) -> Ratio {
        Ratio((packed as u64).saturating_mul(1_000_000) / (unpacked as u64).max(1))
    }
    /// To how many bytes so many will shrink.
    pub(crate) fn estimate(self, unpacked: usize) -> usize {
        let packed = u128::from(self.0) * u128::from(CAUTION_PERCENT) * unpacked as u128 / (1_000_000 * 100);
        usize::try_from(packed).unwrap_or(usize::MAX)
    }
}

/// What is believed of each topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ratios {
    of_topics: BTreeMap<Topic, Ratio>,
}

impl Ratios {
    /// What is believed of a topic's records.
    pub(crate) fn of(&self, topic: &Topic) -> Ratio {
        self.of_topics.get(topic).copied().unwrap_or(Ratio::NOT_AT_ALL)
    }
    /// A batch was packed (`CompressionRatioEstimator.updateEstimation`).
    pub(crate) fn learn(&mut self, topic: &Topic, seen: Ratio) {
        let believed = self.of(topic);
        let now = match seen > believed {
            true => Ratio(believed.0 + WORSE_BY).max(seen),
            false => Ratio(believed.0.saturating_sub(BETTER_BY)).max(seen),
        };
        self.of_topics.insert(topic.clone(), now);
    }
    /// A batch turned out too large: nothing is hoped for until more is known (`RecordAccumulator.splitAndReenqueue`).
    pub(crate) fn begin_anew(&mut self, topic: &Topic, seen: Ratio) {
        self.of_topics.insert(topic.clone(), seen.max(Ratio::NOT_AT_ALL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hope_grows_slowly_and_goes_fast() {
        let (topic, mut ratios) = (Topic::new("orders"), Ratios::default());
        let half = Ratio::of(500, 1_000);
        ratios.learn(&topic, half);
        assert_eq!(ratios.of(&topic), Ratio(995_000));
        (0..200).for_each(|_| ratios.learn(&topic, half));
        assert_eq!((ratios.of(&topic), ratios.of(&topic).estimate(1_000)), (half, 525));
        ratios.learn(&topic, Ratio(510_000));
        assert_eq!(ratios.of(&topic), Ratio(550_000));
        ratios.learn(&topic, Ratio(900_000));
        assert_eq!(ratios.of(&topic), Ratio(900_000));
        ratios.begin_anew(&topic, half);
        assert_eq!(ratios.of(&topic), Ratio::NOT_AT_ALL);
        assert_eq!(Ratio::of(0, 0).estimate(10), 0);
    }
}
