//! `--shard I/N`: one of several machines' share of a campaign, every N-th seed from the I-th on.
//!
//! A scheduler says it by its environment: Slurm for the tasks of an array job (`SLURM_ARRAY_TASK_ID`, `_MIN`, `_STEP` and
//! `_COUNT`), Kubernetes for the pods of an Indexed Job (`JOB_COMPLETION_INDEX`; the number of completions it does not tell, the
//! manifest has to: `JOB_COMPLETIONS`).

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One of `of` parts, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Which.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Is that all?
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Where its part of a campaign in this directory is kept.
    pub fn directory(self, whole: &Path) -> PathBuf {
        if self.is_whole() { whole.to_path_buf() } else { whole.join(format!("shard-{}-of-{}", self.index, self.of)) }
    }

    /// Its seeds, in their order.
    pub fn seeds(self, all: RangeInclusive<u64>) -> impl Iterator<Item = u64> + Clone + use<> {
        let stride = usize::try_from(self.of).unwrap_or(usize::MAX);
        let skipped = usize::try_from(self.index - 1).unwrap_or(usize::MAX);
        all.skip(skipped).step_by(stride)
    }

    /// How many these are.
    pub fn count(self, all: &RangeInclusive<u64>) -> u64 {
        let seeds = all.end() - all.start() + 1;
        seeds / self.of + u64::from(seeds % self.of >= self.index)
    }

    /// What the scheduler says whose task this is; all of it, if there is none.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let number = |name: &str| -> Result<Option<u64>, Failure> {
            let Some(text) = variable(name) else { return Ok(None) };
            let wrong = || Failure::usage(format!("{name}={text:?} is no whole number"), [HOW.to_owned()]);
            text.parse().map(Some).map_err(|_| wrong())
        };
        let (index, of, by) = if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            let (least, step) = (number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0), number("SLURM_ARRAY_TASK_STEP")?);
            let index = id.saturating_sub(least) / step.unwrap_or(1).max(1) + 1;
            (index, number("SLURM_ARRAY_TASK_COUNT")?, "SLURM_ARRAY_TASK_COUNT")
        } else if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            (index.saturating_add(1), number("JOB_COMPLETIONS")?, "JOB_COMPLETIONS")
        } else {
            return Ok(Shard::WHOLE);
        };
        let of = of.ok_or_else(|| {
            Failure::usage(
                format!("this is task {index} of an array, and {by} does not say of how many"),
                [format!("set {by}, or say --shard I/N; --shard 1/1 for all of it")],
            )
        })?;
        Shard::new(index, of).map_err(|wrong| Failure::usage(format!("{by}={of}: {wrong}"), [HOW.to_owned()]))
    }

    fn new(index: u64, of: u64) -> Result<Self, String> {
        match (1..=of).contains(&index) {
            true => Ok(Shard { index, of }),
            false => Err(format!("there is no shard {index} of {of}: they count from 1")),
        }
    }
}

const HOW: &str = "a shard is said as --shard I/N, such as 2/8, or by the variables of Slurm and Kubernetes";

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Reads `I/N`.
pub fn parse_shard(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    let (index, of) = numbers.ok_or("a shard is I/N, such as 2/8")?;
    Shard::new(index, of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_seeds_and_none_is_forgotten() {
        for (all, of) in [(1..=10, 3), (5..=5, 4), (0..=99, 7)] {
            let shards = (1..=of).map(|index| Shard { index, of });
            let mut seeds: Vec<u64> = shards.clone().flat_map(|shard| shard.seeds(all.clone())).collect();
            assert!(shards.clone().all(|shard| shard.seeds(all.clone()).count() as u64 == shard.count(&all)));
            seeds.sort_unstable();
            assert_eq!(seeds, all.collect::<Vec<_>>());
        }
    }

    #[test]
    fn schedulers_say_which_task_this_is() {
        let shard = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
            Shard::of_environment(value).ok()
        };
        assert_eq!(shard(&[]), Some(Shard::WHOLE));
        let task = [("SLURM_ARRAY_TASK_ID", "14"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_STEP", "2")];
        assert_eq!(shard(&[&task[..], &[("SLURM_ARRAY_TASK_COUNT", "5")]].concat()), Some(Shard { index: 3, of: 5 }));
        assert_eq!(shard(&task), None, "of how many?");
        let pod = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "4")];
        assert_eq!(shard(&pod), Some(Shard { index: 1, of: 4 }));
        assert_eq!(shard(&[("JOB_COMPLETION_INDEX", "4"), ("JOB_COMPLETIONS", "4")]), None);
        assert_eq!(shard(&[("JOB_COMPLETION_INDEX", "x"), ("JOB_COMPLETIONS", "4")]), None);
    }
}
