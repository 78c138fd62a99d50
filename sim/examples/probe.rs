//! A quick look at one trial: `cargo run --release -p trial-sim --example probe -- SCENARIO SEED [KEY=VALUE]…`
use std::sync::Arc;
use trial_kafka::event::Weight;
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Note, Sink, World};

struct Print(Weight);
impl Sink for Print {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], _: &[Note]) {
        for e in events.iter().filter(|e| e.event.weight() >= self.0) {
            println!(
                "{:>10.3} #{} {:6} {} {:?}",
                e.time as f64 / 1e6,
                e.id.0,
                world.node_name(e.node),
                e.event,
                e.causes
            );
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = trial_sim::scenario::builtin().iter().find(|(n, _)| *n == args[0]).expect("a built-in scenario").1;
    let scenario = Arc::new(trial_sim::scenario::parse(&args[0], text, &args[2..]).unwrap_or_else(|e| panic!("{e}")));
    let weight = match std::env::var("LOG").as_deref() {
        Ok("full") => Weight::Traffic,
        Ok("none") => {
            struct N;
            impl Sink for N {
                fn after_step(&mut self, _: &World, _: &[TraceEvent], _: &[Note]) {}
            }
            let t = std::time::Instant::now();
            let r = trial_sim::trial::run(&scenario, args[1].parse().expect("a seed"), &mut N);
            println!("{} {} events {} virtual s {:?}", r.digest, r.events, r.virtual_ns / 1_000_000_000, t.elapsed());
            println!("{:?} {:?}", r.verdict.outcome, r.verdict.groups);
            return;
        }
        _ => Weight::State,
    };
    let r = trial_sim::trial::run(&scenario, args[1].parse().expect("a seed"), &mut Print(weight));
    println!("{} {} events {} virtual s", r.digest, r.events, r.virtual_ns / 1_000_000_000);
    println!("{:?} {:?}\n{:#?}", r.verdict.outcome, r.verdict.vacuous_because, r.verdict.counters);
    for f in r.verdict.findings.iter().take(3) {
        println!("{f}");
    }
    println!("{:?}", r.verdict.groups);
    println!("{}", r.verdict.belief_truth);
}
