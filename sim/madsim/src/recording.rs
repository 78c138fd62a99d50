//! A run that was played by an application, as a plain value that needs neither the application nor madsim.

use std::sync::Arc;

use trial_checker::Finding;
use trial_kafka::node::Nanos;
use trial_sim::observe::Observer;
use trial_sim::scenario::Scenario;
use trial_sim::world::{External, Sink, Unwatched, World};

/// All that decided a run, and its digest.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What was run.
    pub scenario: Arc<Scenario>,
    /// The World's seed.
    pub seed: u64,
    /// What the application did.
    pub externals: Vec<External>,
    /// How far it went, in virtual time.
    pub until: Nanos,
    /// The digest of all events until then.
    pub digest: String,
}

/// A replay that was not the same run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the replay of this recording has digest {replayed}, the run had {recorded}: something decided it that is not recorded"
)]
pub struct Diverged {
    /// Digest of the run.
    pub recorded: String,
    /// Digest of the replay.
    pub replayed: String,
}

impl Recording {
    /// Plays the run again in a fresh World, and gives the World at its end.
    pub fn replay(&self) -> Result<World, Diverged> {
        self.replay_watched(&mut Unwatched)
    }

    /// As [`Self::replay`], watched: for a log of a run that failed, or for a fork of the World halfway.
    pub fn replay_watched(&self, sink: &mut dyn Sink) -> Result<World, Diverged> {
        let mut world = World::without_end(&self.scenario, self.seed);
        world.replay(&self.externals, self.until, sink);
        let replayed = world.digest();
        if replayed == self.digest { Ok(world) } else { Err(Diverged { recorded: self.digest.clone(), replayed }) }
    }

    /// Plays the run again before the eyes of the checker: what it has to say about the cluster's logs, leaders and high
    /// watermarks. What became of the application's own records is for the application to judge: the checker does not know
    /// them, and there is no final read.
    pub fn findings(&self) -> Result<Vec<Finding>, Diverged> {
        let mut observer = Observer::new(&self.scenario.drawn_by(self.seed), Vec::new());
        let world = self.replay_watched(&mut observer)?;
        Ok(observer.finish(world.now()).findings)
    }
}
