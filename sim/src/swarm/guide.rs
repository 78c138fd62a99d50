//! Coverage steers: what reached a rare state is varied, the rarest first.
//!
//! ```text
//!   a generation of seeds ─▶ half of them draw afresh, half vary a draw that reached a rare state ─▶ trials
//!            ▲                                                                                        │
//!            └──────────────── what each reached, in the order of the seeds ◀─────────────────────────┘
//! ```
//!
//! A generation is a function of the results of those before it, and of its seeds: how many trials ran at a time, and
//! in which order they ended, is no part of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::Draw;
use crate::fault::Stream;

/// Trials of a generation.
pub const GENERATION: u64 = 128;
/// So many of the rarest states are varied in turn.
const RAREST: usize = 8;
/// Of each state so many draws are remembered, the last ones.
const REMEMBERED: usize = 16;
/// A draw is varied no further than that: it is another by then.
const DEEPEST: usize = 6;

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// How many trials reached each state, and by which draws.
    states: BTreeMap<String, (u64, VecDeque<Draw>)>,
}

impl Guide {
    /// What the trials of these seeds draw from.
    pub fn generation(&self, seeds: Range<u64>) -> Vec<Draw> {
        let mut rarest: Vec<(u64, &VecDeque<Draw>)> =
            self.states.values().filter(|(_, draws)| !draws.is_empty()).map(|(count, draws)| (*count, draws)).collect();
        // Names decide between equals.
        rarest.sort_by_key(|(count, _)| *count);
        rarest.truncate(RAREST);
        let draw = |(nth, seed): (usize, u64)| match rarest.get(nth / 2 % RAREST.min(rarest.len()).max(1)) {
            Some((_, draws)) if nth % 2 == 1 => {
                let parent = Stream::new(seed, "guide", 0).below(draws.len() as u64);
                draws[parent as usize].varied(seed)
            }
            _ => Draw::of(seed),
        };
        seeds.enumerate().map(draw).collect()
    }

    /// Takes in which states the trial of a draw reached. Draws come in the order of their generation.
    pub fn take<'a>(&mut self, draw: &Draw, reached: impl Iterator<Item = &'a str>) {
        for state in reached {
            let (count, draws) = self.states.entry(state.to_owned()).or_default();
            *count += 1;
            if draw.variations.len() < DEEPEST {
                draws.push_back(draw.clone());
            }
            if draws.len() > REMEMBERED {
                draws.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_is_varied_and_the_other_half_is_drawn_afresh() {
        let mut guide = Guide::default();
        assert!(guide.generation(0..GENERATION).iter().all(|draw| draw.variations.is_empty()), "nothing is known");
        for seed in 0..GENERATION {
            let states = [Some("common"), (seed == 17).then_some("rare")];
            guide.take(&Draw::of(seed), states.into_iter().flatten());
        }
        let next = guide.generation(GENERATION..2 * GENERATION);
        let (fresh, varied): (Vec<&Draw>, Vec<&Draw>) = next.iter().partition(|draw| draw.variations.is_empty());
        assert_eq!((fresh.len(), varied.len()), (64, 64));
        assert_eq!(varied.iter().filter(|draw| draw.seed == 17).count(), 32, "every other one of two states");
        assert!(next.iter().zip(GENERATION..).all(|(draw, seed)| draw.run_seed() == seed), "a seed is one trial");
        assert_eq!(next, guide.clone().generation(GENERATION..2 * GENERATION));
    }

    #[test]
    fn what_is_varied_is_legal_and_much_of_it_is_as_it_was() {
        let keys = |draw: &Draw| -> Vec<String> { super::super::text_of(draw).lines().map(str::to_owned).collect() };
        for seed in 0..300 {
            let parent = Draw::of(seed);
            let child = parent.varied(seed + 1_000).varied(seed + 2_000);
            let scenario = child.scenario(&[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, format!("swarm-{seed}-{}-{}", seed + 1_000, seed + 2_000));
            assert_ne!(keys(&parent), keys(&child), "{seed}");
        }
        let kept: usize = (0..300)
            .map(|seed| {
                let (parent, child) = (keys(&Draw::of(seed)), keys(&Draw::of(seed).varied(seed + 1_000)));
                100 * parent.iter().filter(|key| child.contains(key)).count() / parent.len()
            })
            .sum();
        assert!(kept / 300 > 50, "{} of a hundred keys are kept", kept / 300);
    }
}
