//! What it looks like to test an application: this is the example of the README.
#![cfg(madsim)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use madsim::{task::spawn, time::sleep};
use trial_kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use trial_madsim::{Record, TrialCluster, TrialError};

#[madsim::test]
async fn every_acknowledged_order_is_delivered() -> Result<(), TrialError> {
    let cluster = TrialCluster::from_scenario("healthy").await?;

    let producer = cluster.producer(ProducerConfig::default());
    let shop = spawn(async move {
        let mut acknowledged = BTreeSet::new();
        for number in 1..=500 {
            let order = Bytes::from(format!("order {number}"));
            if producer.send(Record::to("orders").value(order.clone())).await.is_ok() {
                acknowledged.insert(order);
            }
        }
        acknowledged
    });

    let from_the_start = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..Default::default() };
    let mut consumer = cluster.consumer(from_the_start);
    consumer.assign(cluster.partitions("orders")).await?;
    let warehouse = spawn(async move {
        let mut delivered = BTreeSet::new();
        loop {
            let polled = consumer.poll(Duration::from_secs(30)).await?;
            if polled.records.is_empty() {
                return Ok::<_, TrialError>(delivered);
            }
            delivered.extend(polled.records.into_iter().filter_map(|record| record.value));
        }
    });

    sleep(Duration::from_secs(1)).await;
    cluster.crash("b1")?;

    let acknowledged = shop.await.expect("the shop does not panic");
    let delivered = warehouse.await.expect("the warehouse does not panic")?;
    assert!(acknowledged.len() > 400 && acknowledged.is_subset(&delivered));
    Ok(())
}
