//! Kafka's keys of which a scenario gives a range, `replica.lag.time.max.ms = "1s..10s"`: the seed draws the value.
//!
//! All keys that are numbers or durations, of the cluster, of producers and of consumers. Equal producers (`count`) share
//! one draw. Each key has random numbers of its own: to fix one leaves the others as they were.

use trial_kafka::config::ConfigValue;

use super::Scenario;
use super::kafka::ConfigSet;
use crate::fault::Stream;

/// A key with a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnKey {
    /// Where it stands.
    pub section: DrawnSection,
    /// Kafka's name.
    pub key: &'static str,
    /// Least value, as the key counts (milliseconds for durations).
    pub min: i64,
    /// Greatest value.
    pub max: i64,
}

/// The sections whose keys may be drawn; producers and consumers by their position in the file, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnSection {
    /// `[cluster]`
    Cluster,
    /// `[[producer]]`
    Producer(usize),
    /// `[[consumer]]`
    Consumer(usize),
}

impl DrawnKey {
    fn draw(&self, seed: u64) -> i64 {
        let name = match self.section {
            DrawnSection::Cluster => format!("cluster {}", self.key),
            DrawnSection::Producer(nth) => format!("producer {nth} {}", self.key),
            DrawnSection::Consumer(nth) => format!("consumer {nth} {}", self.key),
        };
        let id = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) as u32;
        let span = self.max.abs_diff(self.min).saturating_add(1);
        let above = Stream::new(seed, "config", id).below(span);
        self.min.saturating_add_unsigned(above)
    }
}

/// These keys at their least values, or at their greatest: between them lies whatever a seed may draw.
pub(super) fn at_end<S: ConfigSet + Clone>(set: &S, drawn: &[DrawnKey], end: impl Fn(&DrawnKey) -> i64) -> S {
    let mut set = set.clone();
    drawn.iter().for_each(|drawn| put(&mut set, drawn, end(drawn)));
    set
}

/// A number where a number was read before: the set cannot refuse it.
fn put<S: ConfigSet>(set: &mut S, drawn: &DrawnKey, value: i64) {
    let taken = set.set(drawn.key, &ConfigValue::Int(value));
    debug_assert!(taken.is_ok(), "{} was read with both ends of its range", drawn.key);
}

impl Scenario {
    /// The scenario as this seed has it: a value for each key with a range, and nothing left to draw but its faults.
    pub fn drawn_by(&self, seed: u64) -> Scenario {
        let mut scenario = self.clone();
        for drawn in std::mem::take(&mut scenario.drawn) {
            let value = drawn.draw(seed);
            match drawn.section {
                DrawnSection::Cluster => put(&mut scenario.cluster.config, &drawn, value),
                DrawnSection::Producer(nth) => {
                    scenario.producers.get_mut(nth).into_iter().for_each(|p| put(&mut p.config, &drawn, value));
                }
                DrawnSection::Consumer(nth) => {
                    scenario.consumers.get_mut(nth).into_iter().for_each(|c| put(&mut c.config, &drawn, value));
                }
            }
        }
        scenario
    }

    /// The keys of a section that are drawn.
    pub(super) fn drawn_in(&self, section: DrawnSection) -> Vec<&DrawnKey> {
        self.drawn.iter().filter(|drawn| drawn.section == section).collect()
    }
}
