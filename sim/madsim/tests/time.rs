//! The two clocks: the World's time is madsim's, and an application learns of outcomes within madsim's least sleep.
#![cfg(madsim)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::time::{Instant, sleep};
use trial_kafka::config::ProducerConfig;
use trial_kafka::node::Nanos;
use trial_madsim::{Record, TrialCluster, TrialError};
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Note, Sink, World};

/// When the World's clients told outcomes.
#[derive(Clone, Default)]
struct ToldAt(Arc<Mutex<Vec<Nanos>>>);
impl Sink for ToldAt {
    fn after_step(&mut self, world: &World, _events: &[TraceEvent], notes: &[Note]) {
        let told = notes.iter().filter(|note| matches!(note, Note::External { .. }));
        self.0.lock().expect("one thread").extend(told.map(|_| world.now()));
    }
}

#[madsim::test]
async fn an_application_learns_of_an_outcome_at_most_a_millisecond_late() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let told_at = ToldAt::default();
    cluster.watch(told_at.clone());
    let producer = cluster.producer(ProducerConfig::default());
    let mut learned_at = Vec::new();
    for number in 0..100 {
        producer.send(Record::to("orders").value(format!("order {number}"))).await?;
        learned_at.push(cluster.now());
    }
    let told_at = told_at.0.lock().expect("one thread").clone();
    let late: Vec<_> = told_at.iter().zip(&learned_at).map(|(told, learned)| learned - told).collect();
    assert_eq!((told_at.len(), late.len()), (100, 100));
    // A few hundred nanoseconds more: madsim charges 50 to 100 for each turn of a task.
    assert!(late.iter().all(|late| *late <= 1_001_000), "{late:?}");
    assert!(late.iter().any(|late| *late > 0), "outcomes come between two looks: {late:?}");
    Ok(())
}

#[madsim::test]
async fn both_clocks_go_together_also_when_madsims_is_advanced_by_hand() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let (instant, now) = (Instant::now(), cluster.now());
    sleep(Duration::from_millis(1_234)).await;
    assert_eq!(u128::from(cluster.now() - now), instant.elapsed().as_nanos());
    madsim::time::advance(Duration::from_secs(60));
    assert_eq!(u128::from(cluster.now() - now), instant.elapsed().as_nanos());
    assert!(cluster.now() - now > 61_000_000_000);
    Ok(())
}
