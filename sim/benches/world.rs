//! What a run costs, and where. `cargo bench -p trial-sim`: one process, one thread, ratios within the run.
//!
//! Not a test: machines are noisy. Every figure is the best of several runs of the same seed.

use std::sync::Arc;
use std::time::Instant;

use trial_sim::observe::Observer;
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

fn main() {
    let scenario: Arc<Scenario> =
        Arc::new(scenario::parse("steady", STEADY, &[]).expect("the benchmark's scenario is valid"));
    let unwatched = || {
        let mut world = World::new(Arc::clone(&scenario), 1);
        let mut counts = Counts::default();
        world.run(&mut counts);
        (world, counts)
    };
    let (bare, (world, counts)) = best_of(5, unwatched);
    let virtual_s = world.now() as f64 / 1e9;
    println!(
        "steady: {} acked, {} delivered, {} events, {virtual_s:.1} virtual s",
        counts.acked,
        counts.delivered,
        world.event_count()
    );
    println!("run, nobody watching        {:>9.2} ms", bare * 1e3);
    println!("  per acknowledged record   {:>9.2} us  (RF 3)", bare * 1e6 / counts.acked as f64);
    println!("  per delivered message     {:>9.2} us", bare * 1e6 / counts.delivered as f64);
    println!("  per event of the trace    {:>9.2} us", bare * 1e6 / world.event_count() as f64);
    println!("  virtual s per CPU s       {:>9.0}", virtual_s / bare);

    let (checked, _) = best_of(5, || {
        let mut world = World::new(Arc::clone(&scenario), 1);
        let mut observer = Observer::new(&scenario, Vec::new());
        world.run(&mut observer);
        observer.finish(world.now())
    });
    println!("with the checker            {:>9.2} ms  x{:.2}", checked * 1e3, checked / bare);

    let (wire, _) = best_of(3, || {
        let mut world = World::new(Arc::clone(&scenario), 1);
        world.set_carriage(Carriage::Wire);
        world.run(&mut Unwatched);
    });
    println!("messages through their bytes{:>9.2} ms  x{:.2}", wire * 1e3, wire / bare);

    let mut middle = World::new(Arc::clone(&scenario), 1);
    middle.run_until(60_000_000_000, &mut Unwatched);
    let (clone, copies) = best_of(20, || middle.clone());
    println!("clone at 60 s               {:>9.3} ms", clone * 1e3);
    drop(copies);
    if let Some(peak) = peak_memory_mib() {
        println!("peak memory of all this     {peak:>9.1} MiB");
    }
}
