//! Same seed, same run: of the tasks and of the cluster; and the cluster's part replays without madsim.
#![cfg(madsim)]

use std::time::Duration;

use madsim::Config;
use madsim::runtime::{Handle, Runtime};
use madsim::time::sleep;
use trial_checker::Class;
use trial_kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use trial_kafka::event::{Event, Fault};
use trial_madsim::{NewTopic, Record, Recording, TrialCluster};
use trial_sim::trace::TraceEvent;
use trial_sim::world::{ExternalInput, Note, Sink, World};

/// Each on a thread of its own, as `#[madsim::test]` does it.
fn play(seed: u64) -> Recording {
    let runtime = move || Runtime::with_seed_and_config(seed, Config::default()).block_on(two_writers_one_reader());
    std::thread::spawn(runtime).join().expect("the application does not panic")
}

async fn two_writers_one_reader() -> Recording {
    let cluster = TrialCluster::from_scenario("healthy").await.expect("a built-in scenario");
    cluster.admin().create_topic(NewTopic::named("audit").partitions(2)).await.expect("a new topic");
    for name in ["east", "west"] {
        let producer = cluster.producer(ProducerConfig::default());
        // Both wake at the same instants: who comes first is madsim's choice.
        Handle::current().create_node().name(name).build().spawn(async move {
            for number in 0..200 {
                sleep(Duration::from_millis(20)).await;
                let record = Record::to("orders").key(name).value(format!("{name} {number}"));
                let _ = producer.send(record).await;
            }
        });
    }
    let from_the_start = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..Default::default() };
    let mut consumer = cluster.consumer(from_the_start);
    consumer.assign(cluster.partitions("orders")).await.expect("a consumer takes partitions");
    let mut read = 0;
    sleep(Duration::from_secs(1)).await;
    cluster.crash("b2").expect("there is a b2");
    sleep(Duration::from_secs(15)).await;
    cluster.restart("b2").expect("there is a b2");
    while read < 300 {
        read += consumer.poll(Duration::from_millis(500)).await.expect("the consumer lives").records.len();
    }
    cluster.recording()
}

#[derive(Default)]
struct Counts {
    notes: usize,
    crashes: usize,
    restarts: usize,
}
impl Sink for Counts {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], notes: &[Note]) {
        self.notes += notes.iter().filter(|note| matches!(note, Note::External { .. })).count();
        self.crashes += events.iter().filter(|e| matches!(e.event, Event::Fault(Fault::Crash))).count();
        self.restarts += events.iter().filter(|e| matches!(e.event, Event::Fault(Fault::Restart))).count();
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (first, again, other) = (play(1), play(1), play(2));
    assert_eq!(first.digest, again.digest);
    assert_eq!(format!("{:?}", first.externals), format!("{:?}", again.externals));
    assert_eq!(first.until, again.until);
    assert_ne!(first.digest, other.digest);
}

#[test]
fn a_run_replays_without_the_application() {
    let recording = play(3);
    let mut counts = Counts::default();
    let world = recording.replay_watched(&mut counts).expect("the same digest");
    assert_eq!(world.externals().len(), recording.externals.len());
    assert_eq!((counts.crashes, counts.restarts), (1, 1));
    assert!(counts.notes > 400, "the answers to 400 records and the polls come again: {}", counts.notes);
}

#[test]
fn a_replay_that_leaves_something_out_is_noticed() {
    let mut recording = play(4);
    let crash = recording.externals.iter().position(|e| matches!(e.input, ExternalInput::Fault { .. }));
    recording.externals.remove(crash.expect("the application crashed b2"));
    let diverged = recording.replay().expect_err("a run without the crash is another");
    assert_eq!(diverged.recorded, recording.digest);
    assert_ne!(diverged.replayed, recording.digest);
}

/// Writes through the scenario's own faults.
async fn orders_at(scenario: &'static str) -> Recording {
    let cluster = TrialCluster::from_scenario(scenario).await.expect("a built-in scenario");
    let producer = cluster.producer(ProducerConfig { linger_ms: 0, ..Default::default() });
    for number in 0..4_000 {
        drop(producer.send(Record::to("orders").partition(0).value(format!("order {number}"))));
        sleep(Duration::from_micros(2_500)).await;
    }
    sleep(Duration::from_secs(20)).await;
    cluster.recording()
}

fn bugs_at(scenario: &'static str, seed: u64) -> Vec<String> {
    let run = move || Runtime::with_seed_and_config(seed, Config::default()).block_on(orders_at(scenario));
    let recording = std::thread::spawn(run).join().expect("the application does not panic");
    let findings = recording.findings().expect("the same digest");
    findings.into_iter().filter(|f| f.class == Class::Bug).map(|f| f.code.to_string()).collect()
}

#[test]
fn the_checker_judges_the_cluster_of_a_recorded_run() {
    for seed in 1..=3 {
        assert_eq!(bugs_at("leader-crash", seed), [""; 0], "seed {seed}");
    }
    let bugs: Vec<_> = (1..=3).flat_map(|seed| bugs_at("zoo-ack-before-hw", seed)).collect();
    assert!(bugs.iter().any(|code| code == "ack-before-committed"), "{bugs:?}");
}
