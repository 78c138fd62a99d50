//! What clients did and saw in a trial: the history that `trial check` and `trial export` take from a recording.

use trial_checker::operations::{History, Options, Recorder};
use trial_checker::{EventRef, Observation};
use trial_sim::observe::Clients;
use trial_sim::scenario::Scenario;
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Note, Sink, World};

use crate::failure::Failure;

/// Collects what clients tell.
#[derive(Default)]
pub struct ClientHistory {
    told: Vec<(EventRef, Observation)>,
    clients: Clients,
}

impl ClientHistory {
    /// The history.
    pub fn finish(mut self) -> Result<History, Failure> {
        // A send was invoked when its producer got it, though its partition was chosen later; and it was invoked before
        // anything ended at that instant.
        self.told.sort_by_key(|(at, what)| (at.time, !matches!(what, Observation::SendInvoked { .. })));
        let mut recorder = Recorder::default();
        let mut end = EventRef::default();
        let misfit = |misfit: trial_checker::operations::Misfit| Failure::usage(misfit.to_string(), []);
        for (at, what) in &self.told {
            end = *at;
            recorder.observe(*at, what).map_err(misfit)?;
        }
        recorder.finish(end).map_err(misfit)
    }
}

impl Sink for ClientHistory {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        let ClientHistory { told, clients } = self;
        let mut tell = |at, what| told.push((at, what));
        notes.iter().filter(|note| Clients::comes_first(note)).for_each(|note| clients.on_note(world, note, &mut tell));
        events.iter().for_each(|event| clients.on_event(world, event, &mut tell));
        notes
            .iter()
            .filter(|note| !Clients::comes_first(note))
            .for_each(|note| clients.on_note(world, note, &mut tell));
    }
}

/// What a scenario says of the configuration. Where its producers or topics differ, the weakest promise counts.
pub fn options_of(scenario: &Scenario) -> Options {
    let broker = &scenario.cluster.config;
    let producers = || scenario.producers.iter().map(|spec| &spec.config);
    // From the weakest: 0, 1, all.
    let acks = producers().map(|config| config.acks.0).min_by_key(|acks| if *acks < 0 { i16::MAX } else { *acks });
    let unclean = |own: Option<bool>| own.unwrap_or(broker.unclean_leader_election_enable);
    let min_isr = scenario.topics.iter().map(|t| t.config.min_insync_replicas.unwrap_or(broker.min_insync_replicas));
    Options {
        acks: acks.unwrap_or(-1),
        idempotence: producers().all(|config| config.enable_idempotence),
        max_in_flight: producers().map(|config| config.max_in_flight.max(0) as u32).max().unwrap_or(5),
        unclean_election: Some(
            scenario.topics.iter().any(|topic| unclean(topic.config.unclean_leader_election_enable)),
        ),
        min_insync_replicas: min_isr.map(|n| n as u32).min(),
        // What brokers went through is not in a history of clients.
        power_loss: true,
        ..Options::default()
    }
}
