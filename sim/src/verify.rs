//! Is a run deterministic? A twin of the World takes the same steps, and every event of it must be the same.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::scenario::Scenario;
use crate::trace::TraceEvent;
use crate::world::{Note, Sink, World};

/// The first event in which two runs of the same scenario and seed differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Name of the node of the first run's event; of the second's, if the first had none.
    pub node: String,
    /// The first run's event; `None` if it was over.
    pub first: Option<TraceEvent>,
    /// The second run's event; `None` if it was over.
    pub second: Option<TraceEvent>,
}

/// A sink that runs the trial a second time beside the first and compares event by event.
#[derive(Debug)]
pub struct Twin {
    world: World,
    ahead: Ahead,
    divergence: Option<Divergence>,
}

/// Events that the twin has recorded and the first run not yet.
#[derive(Debug, Default)]
struct Ahead(VecDeque<TraceEvent>);

impl Sink for Ahead {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0.extend(events.iter().cloned());
    }
}

impl Twin {
    /// A twin of the trial of this scenario and seed, at its start.
    pub fn new(scenario: &Arc<Scenario>, seed: u64) -> Self {
        Twin { world: World::new(Arc::clone(scenario), seed), ahead: Ahead::default(), divergence: None }
    }

    /// The twin's next event, `None` if it is over.
    fn next(&mut self) -> Option<TraceEvent> {
        while self.ahead.0.is_empty() && self.world.step(&mut self.ahead) {}
        self.ahead.0.pop_front()
    }

    /// The first difference, once the first run is over and had this digest; `None` if there is none.
    pub fn finish(mut self, digest: &str) -> Option<Divergence> {
        if self.divergence.is_none()
            && let Some(second) = self.next()
        {
            let node = self.world.node_name(second.node).to_string();
            self.divergence = Some(Divergence { node, first: None, second: Some(second) });
        }
        debug_assert!(self.divergence.is_some() || self.world.digest() == digest, "equal events have equal digests");
        self.divergence
    }
}

impl Sink for Twin {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], _notes: &[Note]) {
        for first in events {
            if self.divergence.is_some() {
                return;
            }
            let second = self.next();
            if second.as_ref() != Some(first) {
                let node = world.node_name(first.node).to_string();
                self.divergence = Some(Divergence { node, first: Some(first.clone()), second });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Arc<Scenario> {
        let text = crate::scenario::builtin().iter().find(|(name, _)| *name == "healthy").expect("it is built in").1;
        Arc::new(crate::scenario::parse("healthy.toml", text, &["run=1s".to_string()]).expect("it is valid"))
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let scenario = scenario();
        let mut twin = Twin::new(&scenario, 3);
        let report = crate::trial::run(&scenario, 3, &mut twin);
        assert_eq!(twin.finish(&report.digest), None);
    }

    #[test]
    fn another_run_is_found_out_at_its_first_other_event() {
        let scenario = scenario();
        let mut twin = Twin::new(&scenario, 4);
        let report = crate::trial::run(&scenario, 3, &mut twin);
        let found = twin.finish(&report.digest).expect("seeds 3 and 4 give other runs");
        assert_ne!(found.first, found.second);
    }
}
