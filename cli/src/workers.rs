//! Many seeds at a time, their results in the order of the seeds: what a campaign says does not depend on how many
//! threads ran it. This is the only place of the program that has threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

/// As many threads as the machine runs at a time.
pub fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Runs `work` for every seed on `jobs` threads and hands the results to `each` in order, until there are no more or
/// `each` breaks. `work` is told by its second argument whether to go on; what it gives after that is not used. A
/// result of `None` ends it all, as a break does.
pub fn in_order<T: Send>(
    seeds: impl Iterator<Item = u64> + Send,
    jobs: usize,
    work: impl Fn(u64, &dyn Fn() -> bool) -> Option<T> + Sync,
    mut each: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let stop = AtomicBool::new(false);
    let mut next = 0;
    let seeds = Mutex::new((0_u64..).zip(seeds));
    let (send, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (send, seeds, stop, work) = (send.clone(), &seeds, &stop, &work);
            scope.spawn(move || {
                let go_on = || !stop.load(Ordering::Relaxed);
                while go_on() {
                    // The lock is held for nothing that could fail.
                    let Some((nth, seed)) = seeds.lock().ok().and_then(|mut seeds| seeds.next()) else { break };
                    if send.send((nth, seed, work(seed, &go_on))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        'results: for (nth, seed, result) in results {
            early.insert(nth, (seed, result));
            while let Some((seed, result)) = early.remove(&next) {
                let flow = result.map_or(ControlFlow::Break(()), |result| each(seed, result));
                if flow.is_break() {
                    break 'results;
                }
                next += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_seeds_and_end_at_a_break() {
        let mut seen = Vec::new();
        in_order(
            5..=1_000,
            4,
            |seed, _| Some(seed * 2),
            |seed, twice| {
                seen.push((seed, twice));
                if seed == 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(seen, (5..=100).map(|seed| (seed, seed * 2)).collect::<Vec<_>>());
    }

    #[test]
    fn without_a_result_nothing_later_counts() {
        let mut seen = Vec::new();
        in_order(
            1..=50,
            3,
            |seed, _| (seed != 7).then_some(()),
            |seed, ()| {
                seen.push(seed);
                ControlFlow::Continue(())
            },
        );
        assert_eq!(seen, (1..=6).collect::<Vec<_>>());
    }
}
