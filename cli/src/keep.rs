//! The first run of each distinct finding, kept on disk: its scenario as a file, and its recording.

use std::fs;
use std::path::PathBuf;

use trial_sim::campaign::Identity;
use trial_sim::recording::{End, Header};
use trial_sim::scenario::to_toml;
use trial_sim::trace::TraceEvent;
use trial_sim::trial::run;
use trial_sim::world::{Note, Sink, World};

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::run::Recorder;
use crate::subject::Subject;

/// Keeps the run of this seed under the name of each of these findings. It is run once more, for nobody recorded it.
pub fn keep(
    subject: &Subject,
    seed: u64,
    findings: impl Iterator<Item = Identity>,
    ledger: &Ledger,
) -> Result<(), Failure> {
    let places: Vec<PathBuf> = findings.map(|identity| ledger.place_of(identity)).collect::<Result<_, _>>()?;
    let Some(first) = places.first() else { return Ok(()) };
    let failed = |path: PathBuf| |error| Failure::File { path, error };
    let scenario = subject.scenario(seed)?;
    let recording = first.with_extension("trial");
    let header = Header::of(&World::new(scenario.clone(), seed), &scenario, seed);
    let mut recording_sink = Recording(Recorder::create(recording.clone(), &header)?);
    let report = run(&scenario, seed, &mut recording_sink);
    recording_sink.0.finish(Some(End::of(&report)))?;
    for place in &places {
        let file = place.with_extension("toml");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = format!("# trial run {name} --seed {seed}\n# {}\n{}", subject.reproduce(seed), to_toml(&scenario));
        fs::write(&file, text).map_err(failed(file))?;
        let copy = place.with_extension("trial");
        if copy != recording {
            fs::copy(&recording, &copy).map_err(failed(copy))?;
        }
    }
    Ok(())
}

struct Recording(Recorder);

impl Sink for Recording {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        events.iter().for_each(|event| self.0.write(event));
    }
}
