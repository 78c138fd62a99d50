//! Many seeds of one scenario on all cores, summed up: `… --example seeds -- SCENARIO FIRST LAST [KEY=VALUE]…`
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use trial_sim::world::Unwatched;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = trial_sim::scenario::builtin().iter().find(|(n, _)| *n == args[0]).expect("a built-in scenario").1;
    let scenario = Arc::new(trial_sim::scenario::parse(&args[0], text, &args[3..]).unwrap_or_else(|e| panic!("{e}")));
    let (first, last): (u64, u64) = (args[1].parse().expect("a seed"), args[2].parse().expect("a seed"));
    let next = AtomicU64::new(first);
    let sums: Mutex<BTreeMap<String, (u64, u64, u64)>> = Mutex::default();
    let started = std::time::Instant::now();
    let events = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    let r = trial_sim::trial::run(&scenario, seed, &mut Unwatched);
                    events.fetch_add(r.events, Ordering::Relaxed);
                    let mut sums = sums.lock().expect("no panic");
                    let mut add = |k: String, n: u64| {
                        let e = sums.entry(k).or_insert((0, seed, 0));
                        e.0 += 1;
                        e.1 = e.1.min(seed);
                        e.2 += n;
                    };
                    add(format!("{:?}", r.verdict.outcome), 1);
                    for why in &r.verdict.vacuous_because {
                        add(format!("vacuous: {why}"), 1);
                    }
                    for g in &r.verdict.groups {
                        add(format!("{:?} {} {:?}", g.class, g.code, g.rule), g.count);
                    }
                    for (k, v) in &r.verdict.counters {
                        if *v > 0 {
                            add(format!("~{k}"), *v);
                        }
                    }
                }
            });
        }
    });
    let n = (last - first + 1) as f64;
    println!(
        "== {} {:?}: {:.1} trials/s, {:.0} events/s",
        args[0],
        &args[3..],
        n / started.elapsed().as_secs_f64(),
        events.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
    );
    for (k, (runs, seed, total)) in sums.into_inner().expect("no panic") {
        println!("{runs:>6} runs, {total:>8} in all, first seed {seed:>5}: {k}");
    }
}
