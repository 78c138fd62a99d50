//! A cluster on real sockets and files, with our own clients: produce, consume, lose everything but the files, read again.

mod common;

use bytes::Bytes;
use common::{Directory, PATIENCE, Replicas, client, outcome};
use trial_kafka::client::Role;
use trial_kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Belief, Command, Outcome};
use trial_server::{Cluster, Exit};

/// Wherever the controller places so many, every broker leads some.
const PARTITIONS: i32 = 6;
const RECORDS: usize = 54;

async fn three_brokers(directory: &Directory) -> Cluster {
    common::start(common::quick(3, directory)).await
}

async fn create_topic(cluster: &Cluster, topic: &Topic) {
    common::create_topic(cluster, topic.as_str(), Replicas::Placed { partitions: PARTITIONS }).await;
}

fn value(number: usize) -> String {
    format!("value {number}")
}

/// Produces with acks=all and checks that every record is acknowledged.
async fn produce(cluster: &Cluster, topic: &Topic) {
    let producer = client(cluster, "producer", Role::Producer(ProducerConfig::default()));
    let sends: Vec<_> = (0..RECORDS)
        .map(|number| {
            producer.command(Command::Produce {
                topic: topic.clone(),
                partition: Some(number as i32 % PARTITIONS),
                key: Some(Bytes::from(format!("key {number}"))),
                value: Some(Bytes::from(value(number))),
                headers: Vec::new(),
            })
        })
        .collect();
    for (number, send) in sends.into_iter().enumerate() {
        let Outcome::Produced { belief, partition, .. } = outcome(send).await else { panic!("another outcome") };
        assert_eq!(partition, Some(TopicPartition::new(topic, number as i32 % PARTITIONS)));
        assert_eq!(belief, Belief::Acked { offset: number as i64 / i64::from(PARTITIONS) });
    }
    assert_eq!(outcome(producer.command(Command::Close)).await, Outcome::Done);
}

/// Reads all partitions from their starts and checks that every record stands where it was acknowledged.
async fn consume(cluster: &Cluster, topic: &Topic) {
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let consumer = client(cluster, "consumer", Role::Consumer(config));
    let partitions = (0..PARTITIONS).map(|index| (TopicPartition::new(topic, index), None)).collect();
    assert_eq!(outcome(consumer.command(Command::Assign { partitions })).await, Outcome::Done);
    let mut read = Vec::new();
    let reading = async {
        while read.len() < RECORDS {
            match outcome(consumer.command(Command::Poll { max_wait_ms: 500 })).await {
                Outcome::Polled { records, .. } => read.extend(records),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("all records are read in time");
    read.sort_by_key(|record| (record.offset, record.partition.partition));
    let read: Vec<_> = read.iter().map(|r| (r.partition.partition, r.offset, r.value.clone())).collect();
    let written: Vec<_> = (0..RECORDS)
        .map(|n| (n as i32 % PARTITIONS, n as i64 / i64::from(PARTITIONS), Some(Bytes::from(value(n)))))
        .collect();
    assert_eq!(read, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_outlive_the_processes() {
    let directory = Directory::new("outlive");
    let topic = Topic::new("orders");
    let cluster = three_brokers(&directory).await;
    create_topic(&cluster, &topic).await;
    produce(&cluster, &topic).await;
    consume(&cluster, &topic).await;
    cluster.kill().await;

    let cluster = three_brokers(&directory).await;
    consume(&cluster, &topic).await;

    // And once more after an orderly stop, which every broker ends by itself, and the controller after them.
    let exits = cluster.shut_down(PATIENCE).await;
    let of = |id: &i32| if *id < 3_001 { "controlled shutdown" } else { "shut down as the only voter" };
    assert!(exits.iter().all(|(id, exit)| *exit == Exit::Halted(of(id).to_string())), "{exits:?}");
    let cluster = three_brokers(&directory).await;
    consume(&cluster, &topic).await;
    cluster.kill().await;
}

#[tokio::test]
async fn acknowledged_records_outlive_a_broker() {
    let directory = Directory::new("broker-dies");
    let topic = Topic::new("orders");
    let mut cluster = three_brokers(&directory).await;
    create_topic(&cluster, &topic).await;
    produce(&cluster, &topic).await;
    assert_eq!(cluster.kill_one(1).await, Some(Exit::Killed));
    consume(&cluster, &topic).await;
    cluster.kill().await;
}
