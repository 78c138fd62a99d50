//! What an application sees when something dies: brokers, its clients, its own processes.
#![cfg(madsim)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use madsim::Config;
use madsim::runtime::{Handle, Runtime};
use madsim::task::spawn;
use madsim::time::{sleep, timeout};
use trial_kafka::config::{Acks, ConsumerConfig, OffsetReset, ProducerConfig};
use trial_kafka::ids::{Topic, TopicPartition};
use trial_madsim::{ClientError, Consumer, NewTopic, Record, SendError, TrialCluster, TrialError};
use trial_sim::fault::FaultKind;

const SECOND: Duration = Duration::from_secs(1);

fn orders(partition: i32) -> TopicPartition {
    TopicPartition::new(&Topic::new("orders"), partition)
}
fn from_the_start() -> ConsumerConfig {
    ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..Default::default() }
}
async fn read_all(consumer: &mut Consumer) -> Result<Vec<Bytes>, TrialError> {
    let mut values = Vec::new();
    loop {
        let polled = consumer.poll(20 * SECOND).await?;
        if polled.records.is_empty() {
            return Ok(values);
        }
        values.extend(polled.records.into_iter().filter_map(|record| record.value));
    }
}

/// Sends orders, one each 2 ms, crashes the leader when the 100th is acknowledged, and counts those that were acknowledged
/// and are not delivered.
async fn orders_lost_by_a_leader_crash(acks: Acks) -> Result<usize, TrialError> {
    const ONE_PARTITION_SLOW_LINKS: &str = r#"
        format = 1
        cluster = { brokers = 3, "min.insync.replicas" = 2 }
        topic = [{ name = "orders", partitions = 1, "replication.factor" = 3 }]
        network = { latency.min = "1ms", latency.typical = "3ms", latency.max = "30ms" }
    "#;
    let cluster = TrialCluster::from_toml("one-partition", ONE_PARTITION_SLOW_LINKS).await?;
    let producer = cluster.producer(ProducerConfig { acks, linger_ms: 0, ..Default::default() });
    let mut sends = Vec::new();
    for number in 0..400 {
        let order = Bytes::from(format!("order {number}"));
        let settled = producer.send(Record::to("orders").value(order.clone()));
        let cluster = (number == 100).then(|| cluster.clone());
        sends.push(spawn(async move {
            let settled = settled.await;
            if let Some(leader) = cluster.as_ref().and_then(|cluster| cluster.leader(&orders(0))) {
                cluster.iter().for_each(|cluster| cluster.crash(&leader).expect("the leader is a node"));
            }
            settled.is_ok().then_some(order)
        }));
        sleep(Duration::from_millis(2)).await;
    }
    sleep(15 * SECOND).await;
    cluster.heal();
    let mut acknowledged = BTreeSet::new();
    for send in sends {
        acknowledged.extend(send.await.expect("a send does not panic"));
    }
    let mut consumer = cluster.consumer(from_the_start());
    consumer.assign(cluster.partitions("orders")).await?;
    let delivered: BTreeSet<_> = read_all(&mut consumer).await?.into_iter().collect();
    assert!(acknowledged.len() > 200, "most orders were acknowledged: {}", acknowledged.len());
    cluster.replay().expect("the run replays");
    Ok(acknowledged.difference(&delivered).count())
}

fn over_seeds(acks: Acks) -> Vec<usize> {
    let run = |seed: u64| {
        let trial = move || {
            Runtime::with_seed_and_config(seed, Config::default()).block_on(orders_lost_by_a_leader_crash(acks))
        };
        std::thread::spawn(trial).join().expect("no panic").expect("no error")
    };
    (1..=3).map(run).collect()
}

#[test]
fn a_leader_crash_takes_no_acknowledged_order_with_acks_all() {
    assert_eq!(over_seeds(Acks::ALL), [0, 0, 0]);
}

#[test]
fn a_leader_crash_takes_acknowledged_orders_with_acks_1() {
    let lost = over_seeds(Acks(1));
    assert!(lost.iter().any(|lost| *lost > 0), "lost by seed: {lost:?}");
}

#[madsim::test]
async fn what_a_dead_client_was_asked_ends_with_an_error() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let producer = cluster.producer(ProducerConfig { linger_ms: 1_000, ..Default::default() });
    let lost = producer.send(Record::to("orders").value("lost"));
    sleep(SECOND / 10).await;
    cluster.crash(producer.name())?;
    let died = ClientError::Died { client: "a1".to_string() };
    assert_eq!(timeout(SECOND, lost).await.expect("at once"), Err(SendError::Client(died)));
    let refused = producer.send(Record::to("orders").value("refused")).await;
    assert_eq!(refused, Err(SendError::Client(ClientError::Refused { error: "CLOSED".to_string() })));

    cluster.restart(producer.name())?;
    producer.send(Record::to("orders").value("kept")).await?;
    let mut consumer = cluster.consumer(from_the_start());
    consumer.assign(cluster.partitions("orders")).await?;
    assert_eq!(read_all(&mut consumer).await?, ["kept"]);
    Ok(())
}

#[madsim::test]
async fn a_client_dies_with_the_process_that_owns_it() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let process = Handle::current().create_node().name("shop").build();
    let producer = cluster.producer(ProducerConfig { linger_ms: 1_000, ..Default::default() });
    process.spawn(async move {
        producer.send(Record::to("orders").value("sent")).await.expect("nothing is wrong yet");
        let _ = producer.send(Record::to("orders").value("in the accumulator when the process is killed")).await;
    });
    sleep(SECOND + SECOND / 2).await;
    Handle::current().kill(process.id());

    let mut consumer = cluster.consumer(from_the_start());
    consumer.assign(cluster.partitions("orders")).await?;
    assert_eq!(read_all(&mut consumer).await?, ["sent"]);
    Ok(())
}

#[madsim::test]
async fn a_poll_that_is_given_up_loses_nothing() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let mut consumer = cluster.consumer(from_the_start());
    consumer.assign(cluster.partitions("orders")).await?;
    assert!(timeout(SECOND, consumer.poll(60 * SECOND)).await.is_err(), "there is nothing to read yet");
    let producer = cluster.producer(ProducerConfig::default());
    let sent = producer.send(Record::to("orders").partition(1).key("k").header("h", "x").value("order")).await?;
    assert_eq!((sent.partition, sent.offset, sent.attempts), (orders(1), Some(0), 1));
    sleep(SECOND).await;
    let polled = consumer.poll(SECOND).await?;
    assert_eq!(polled.records.iter().map(|r| r.value.as_deref()).collect::<Vec<_>>(), [Some(&b"order"[..])]);
    Ok(())
}

#[madsim::test]
async fn a_silent_cluster_leaves_sends_unknown_and_healing_brings_it_back() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let hasty = ProducerConfig { request_timeout_ms: 1_000, delivery_timeout_ms: 2_000, ..Default::default() };
    let producer = cluster.producer(hasty);
    producer.send(Record::to("orders").value("before")).await?;
    for broker in ["b1", "b2", "b3"] {
        cluster.fault(broker, FaultKind::Pause { lasts: None })?;
    }
    let settled = producer.send(Record::to("orders").value("during")).await;
    assert!(matches!(settled, Err(SendError::Unknown { .. })), "{settled:?}");
    cluster.heal();
    sleep(15 * SECOND).await;
    producer.send(Record::to("orders").value("after")).await?;
    Ok(())
}

#[madsim::test]
async fn admin_operations_and_names_that_are_wrong() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;
    let admin = cluster.admin();
    let audit = NewTopic::named("audit").partitions(2).replication_factor(3).config("min.insync.replicas", "2");
    admin.create_topic(audit.clone()).await?;
    let exists = ClientError::Refused { error: "TOPIC_ALREADY_EXISTS".to_string() };
    assert_eq!(admin.create_topic(audit).await, Err(exists));
    assert_eq!(cluster.partitions("audit").len(), 2);
    assert_eq!(cluster.partitions("nothing"), []);

    let producer = cluster.producer(ProducerConfig::default());
    let sends: Vec<_> = (0..10).map(|n| producer.send(Record::to("audit").partition(1).value(n.to_string()))).collect();
    for (offset, send) in (0..).zip(sends) {
        assert_eq!(send.await?.offset, Some(offset), "records stand in the order of the calls");
    }
    let partition = cluster.partitions("audit").remove(1);
    assert_eq!(admin.earliest_offset(partition.clone()).await?, 0);
    assert_eq!(admin.latest_offset(partition).await?, 10);

    assert!(
        matches!(cluster.crash("b9"), Err(TrialError::NoSuchNode { known, .. }) if known.contains(&"b3".to_string()))
    );
    let nothing = TrialCluster::from_scenario("helthy").await;
    assert!(matches!(nothing, Err(TrialError::NoSuchScenario { known, .. }) if known.contains(&"healthy".to_string())));
    Ok(())
}
