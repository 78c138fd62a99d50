//! What an application sees when the active controller dies in the middle of its work: nothing that it has to handle.
#![cfg(madsim)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use madsim::Config;
use madsim::runtime::Runtime;
use madsim::task::spawn;
use madsim::time::{sleep, timeout};
use trial_kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use trial_kafka::event::Event;
use trial_madsim::{NewTopic, Record, Recording, TrialCluster, TrialError};
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Note, Sink, World};

const SECOND: Duration = Duration::from_secs(1);
const ORDERS: usize = 300;

fn cluster_of_three_controllers(combined: bool) -> String {
    format!(
        r#"
        format = 1
        cluster = {{ brokers = 3, controllers = 3, combined = {combined}, "min.insync.replicas" = 2 }}
        topic = [{{ name = "orders", partitions = 3, "replication.factor" = 3 }}]
        "#
    )
}

/// A shop writes an order every 20 ms. After the 100th its controller dies; then it wants a topic of its own, and goes on.
async fn a_shop_outlives_its_controller(combined: bool) -> Result<Recording, TrialError> {
    let cluster = TrialCluster::from_toml("three-controllers", &cluster_of_three_controllers(combined)).await?;
    let former = cluster.active_controller().expect("one is active");
    assert!(former.starts_with(if combined { 'b' } else { 'c' }), "{former}");

    let producer = cluster.producer(ProducerConfig { linger_ms: 0, ..Default::default() });
    let shop = spawn(async move {
        let mut acknowledged = BTreeSet::new();
        for number in 0..ORDERS {
            let order = Bytes::from(format!("order {number}"));
            producer.send(Record::to("orders").value(order.clone())).await.expect("no order fails");
            acknowledged.insert(order);
            sleep(SECOND / 50).await;
        }
        acknowledged
    });
    sleep(2 * SECOND).await;
    cluster.crash(&former)?;
    // The admin client asks until somebody decides.
    let elected = async {
        while cluster.admin().create_topic(NewTopic::named("audit").replication_factor(2)).await.is_err() {
            sleep(SECOND / 4).await;
        }
    };
    timeout(60 * SECOND, elected).await.expect("another controller decides");
    let next = cluster.active_controller().expect("another is active");
    assert_ne!(next, former);
    cluster.restart(&former)?;

    let acknowledged = shop.await.expect("the shop does not panic");
    assert_eq!(acknowledged.len(), ORDERS);
    let mut consumer =
        cluster.consumer(ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..Default::default() });
    consumer.assign(cluster.partitions("orders")).await?;
    let mut delivered = BTreeSet::new();
    while delivered.len() < ORDERS {
        let polled = consumer.poll(20 * SECOND).await?;
        assert!(!polled.records.is_empty(), "{} orders are missing", ORDERS - delivered.len());
        delivered.extend(polled.records.into_iter().filter_map(|record| record.value));
    }
    assert_eq!(delivered, acknowledged);
    Ok(cluster.recording())
}

fn play(combined: bool, seed: u64) -> Recording {
    let run = move || {
        Runtime::with_seed_and_config(seed, Config::default()).block_on(a_shop_outlives_its_controller(combined))
    };
    std::thread::spawn(run).join().expect("no panic").expect("no error")
}

/// How many became leader of the quorum.
#[derive(Default)]
struct Leaders(usize);
impl Sink for Leaders {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0 += events.iter().filter(|e| matches!(e.event, Event::BecameQuorumLeader { .. })).count();
    }
}

fn replays_with_no_finding(combined: bool) {
    let (recording, again) = (play(combined, 1), play(combined, 1));
    assert_eq!(recording.digest, again.digest, "the same seed is the same run");
    let mut leaders = Leaders::default();
    recording.replay_watched(&mut leaders).expect("the same digest without the application");
    assert!(leaders.0 >= 2, "one was elected after the crash: {}", leaders.0);
    assert_eq!(recording.findings().expect("the same digest"), []);
}

#[test]
fn an_application_outlives_the_active_controller() {
    replays_with_no_finding(false);
}

/// The process that dies takes a broker with it.
#[test]
fn an_application_outlives_the_active_controller_and_the_broker_of_its_process() {
    replays_with_no_finding(true);
}
