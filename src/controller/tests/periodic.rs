//! Elections that come of themselves.

use super::partitions::{alter, send_one};
use super::*;
use crate::metadata::TOPIC_RESOURCE;

fn every_minute() -> BrokerConfig {
    BrokerConfig {
        leader_imbalance_check_interval_seconds: 60,
        unclean_leader_election_interval_ms: 60_000,
        ..BrokerConfig::default()
    }
}

/// Broker 1 went and came back; broker 2 leads since.
fn broker_2_leads(config: BrokerConfig) -> Room {
    let mut room = Room::orders_with(config, &[]);
    room.silence(&[1]);
    room.restart_broker(1, 2, true);
    room.heartbeat(1);
    let data = alter(&room, &[2, 3, 1]);
    assert_eq!(send_one(&mut room, 2, data).error_code, 0);
    room
}

/// Everyone is well for that long (a multiple of 10 s).
fn all_is_well_for(room: &mut Room, seconds: u32) {
    (0..seconds / 10).for_each(|_| room.silence(&[]));
}

#[test]
fn leadership_goes_back_to_the_preferred_replica_at_the_next_check() {
    let mut room = broker_2_leads(every_minute());
    all_is_well_for(&mut room, 40);
    assert_eq!(room.orders_0().leader, 2, "nobody looks before the minute is over");
    room.events();
    all_is_well_for(&mut room, 20);
    assert_eq!(room.orders_0().leader, 1);
    assert_eq!(
        room.events(),
        ["elected broker 1 as preferred replica to lead orders-0 in epoch 2 after 2; in-sync replicas 2,3,1"]
    );
}

#[test]
fn unless_it_is_switched_off() {
    let config = BrokerConfig { auto_leader_rebalance_enable: false, ..every_minute() };
    let mut room = broker_2_leads(config);
    all_is_well_for(&mut room, 120);
    assert_eq!(room.orders_0().leader, 2);
}

#[test]
fn one_event_holds_only_so_many_elections() {
    let mut room = Room::orders_with(every_minute(), &[]);
    room.create("payments", &[&[1, 2], &[1, 3]], &[]);
    room.silence(&[1]);
    room.restart_broker(1, 2, true);
    room.heartbeat(1);
    let back = |name: &str, partition: i32| crate::metadata::PartitionChange {
        topic_id: room.topic_id(name),
        partition,
        isr: Some(vec![2, 3, 1]),
        ..Default::default()
    };
    let records = [back("orders", 0), back("payments", 0), back("payments", 1)].map(MetadataRecord::PartitionChange);
    room.write(records.to_vec());
    let round = room.controller.cluster().maybe_balance_partition_leaders(2);
    assert_eq!((round.decision.records.len(), round.more), (2, true));
    let round = room.controller.cluster().maybe_balance_partition_leaders(4);
    assert_eq!((round.decision.records.len(), round.more), (3, false));
}

#[test]
fn a_topic_that_comes_to_allow_unclean_elections_gets_one() {
    let mut room = Room::orders_with(every_minute(), &[]);
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    room.silence(&[1]);
    room.silence(&[1, 2]);
    assert_eq!(room.orders_0().leader, -1, "3 is out of sync");
    room.write(vec![MetadataRecord::Config {
        resource_type: TOPIC_RESOURCE,
        resource_name: "orders".to_string(),
        name: "unclean.leader.election.enable".to_string(),
        value: Some("true".to_string()),
    }]);
    // Whoever changed the configuration may ask the rule at once; else the next round finds it.
    assert_eq!(room.controller.cluster().maybe_elect_unclean_leaders(10).decision.records.len(), 1);
    for _ in 0..6 {
        room.silence(&[1, 2]);
    }
    let partition = room.orders_0();
    assert_eq!((partition.leader, partition.recovering, &partition.elr[..]), (3, true, &[][..]));
}
