//! What a run costs, and where. `cargo bench -p trial-sim`: one process, one thread, ratios within the run.
//!
//! Not a test: machines are noisy. Every figure is the best of several runs of the same seed.

use std::sync::Arc;
use std::time::Instant;

use trial_sim::observe::Observer;
use trial_sim::recording::{Header, Writer};
use trial_sim::scenario::{self, Scenario};
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Carriage, Note, Sink, Unwatched, World};

/// 500 records a second over three producers, six partitions, three replicas, acks=all; one consumer; no faults.
const STEADY: &str = r#"
format = 1
about = "the benchmark: 500 acknowledged records per virtual second"
run = "60s"

[cluster]
brokers = 3
min.insync.replicas = 2

[[topic]]
name = "orders"
partitions = 6
replication.factor = 3

[[producer]]
count = 2
rate = 250
acks = "all"
value-bytes = 100
keys = 1000

[[consumer]]
auto.offset.reset = "earliest"
"#;

#[derive(Default)]
struct Counts {
    acked: u64,
    delivered: u64,
}

impl Sink for Counts {
    fn after_step(&mut self, _: &World, _: &[TraceEvent], notes: &[Note]) {
        for note in notes {
            match note {
                Note::SendSettled { belief: trial_kafka::node::Belief::Acked { .. }, .. } => self.acked += 1,
                Note::Polled { records, .. } => self.delivered += records.len() as u64,
                _ => {}
            }
        }
    }
}

fn best_of<T>(times: u32, mut run: impl FnMut() -> T) -> (f64, T) {
    let mut best = (f64::INFINITY, None);
    for _ in 0..times {
        let started = Instant::now();
        let value = run();
        let took = started.elapsed().as_secs_f64();
        if took < best.0 {
            best = (took, Some(value));
        }
    }
    (best.0, best.1.expect("at least one run"))
}

fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Bytes of a recording, and nothing else.
#[derive(Default)]
struct Measured(u64);

impl std::io::Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Recorder(Writer<Measured>);

impl Sink for Recorder {
    fn after_step(&mut self, _: &World, events: &[TraceEvent], _: &[Note]) {
        events.iter().for_each(|event| self.0.event(event).expect("nothing is written anywhere"));
    }
}

/// All figures of one scenario, over some seeds: what a seed draws makes runs cheaper or dearer.
fn measure(name: &str, scenario: &Arc<Scenario>, seeds: std::ops::RangeInclusive<u64>, times: u32) {
    let each = |of_seed: &mut dyn FnMut(u64)| seeds.clone().for_each(of_seed);
    let (bare, (virtual_s, acked, delivered, events)) = best_of(times, || {
        let mut sums = (0.0, 0, 0, 0);
        each(&mut |seed| {
            let mut world = World::new(Arc::clone(scenario), seed);
            let mut counts = Counts::default();
            world.run(&mut counts);
            sums.0 += world.now() as f64 / 1e9;
            sums.1 += counts.acked;
            sums.2 += counts.delivered;
            sums.3 += world.event_count();
        });
        sums
    });
    println!("{name}: {acked} acked, {delivered} delivered, {events} events, {virtual_s:.1} virtual s");
    println!("  acked per virtual s         {:>9.0}", acked as f64 / virtual_s);
    println!("run, nobody watching          {:>9.2} ms", bare * 1e3);
    println!("  per acknowledged record     {:>9.2} us  (RF 3)", bare * 1e6 / acked as f64);
    println!("  per delivered message       {:>9.2} us", bare * 1e6 / delivered as f64);
    println!("  per event of the trace      {:>9.2} us", bare * 1e6 / events as f64);
    println!("  virtual s per CPU s         {:>9.0}", virtual_s / bare);
    let (checked, ()) = best_of(times, || {
        each(&mut |seed| {
            let mut world = World::new(Arc::clone(scenario), seed);
            let mut observer = Observer::new(world.scenario(), Vec::new());
            world.run(&mut observer);
            observer.finish(world.now());
        });
    });
    println!("with the checker              {:>9.2} ms  x{:.2}", checked * 1e3, checked / bare);
    println!("  virtual s per CPU s         {:>9.0}", virtual_s / checked);

    let (wire, ()) = best_of(times.min(3), || {
        each(&mut |seed| {
            let mut world = World::new(Arc::clone(scenario), seed);
            world.set_carriage(Carriage::Wire);
            world.run(&mut Unwatched);
        });
    });
    println!("messages through their bytes  {:>9.2} ms  x{:.2}", wire * 1e3, wire / bare);

    let (recorded, bytes) = best_of(times, || {
        let mut bytes = 0;
        each(&mut |seed| {
            let mut world = World::new(Arc::clone(scenario), seed);
            let header = Header::of(&world, scenario, seed);
            let mut recorder =
                Recorder(Writer::new(Measured::default(), &header).expect("nothing is written anywhere"));
            world.run(&mut recorder);
            bytes += recorder.0.interrupted().expect("nothing is written anywhere").0;
        });
        bytes
    });
    println!("recorded                      {:>9.2} ms  x{:.2}", recorded * 1e3, recorded / bare);
    println!(
        "  bytes of trace              {:>9.0} per virtual s, {:.0} per event",
        bytes as f64 / virtual_s,
        bytes as f64 / events as f64
    );
    println!("  MB of trace per CPU s       {:>9.1}", bytes as f64 / 1e6 / recorded);

    let mut middle = World::new(Arc::clone(scenario), *seeds.start());
    middle.run_until(60_000_000_000, &mut Unwatched);
    let (clone, copies) = best_of(20, || middle.clone());
    println!("clone at 60 s                 {:>9.3} ms", clone * 1e3);
    drop(copies);
    if let Some(peak) = peak_memory_mib() {
        println!("peak memory so far            {peak:>9.1} MiB");
    }
    println!();
}

/// The busy scenario that comes with the program, with these overrides.
fn standard(overrides: &[&str]) -> Arc<Scenario> {
    let (_, text) = scenario::builtin().iter().find(|(name, _)| *name == "standard").expect("it is built in");
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    Arc::new(scenario::parse("standard", text, &overrides).expect("the built-in scenario is valid"))
}

fn main() {
    let steady = scenario::parse("steady", STEADY, &[]).expect("the benchmark's scenario is valid");
    measure("steady", &Arc::new(steady), 1..=1, 5);
    measure("standard", &standard(&[]), 1..=10, 3);
    // 500 acknowledged records per virtual second of the whole trial, warm-up and healing included.
    measure("standard at 500 records/s", &standard(&["producer.rate=180"]), 1..=10, 3);
    // Records that travel alone: a producer with keys fills a batch in each of the partitions.
    measure("standard, a record a batch", &standard(&["producer.linger.ms=5", "producer.keys=1000"]), 1..=3, 2);
}
