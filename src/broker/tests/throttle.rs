//! Replicas that are throttled while they catch up (KIP-73).

use super::*;

/// `orders-0` is throttled on every broker, at so many bytes per second on either side.
fn throttled(rate: i64, leader: BrokerId, isr: &[BrokerId]) -> Room {
    let config = BrokerConfig {
        leader_replication_throttled_rate: rate,
        follower_replication_throttled_rate: rate,
        replica_fetch_backoff_ms: 100,
        ..BrokerConfig::default()
    };
    let topic =
        &[("leader.replication.throttled.replicas", "*"), ("follower.replication.throttled.replicas", "0:1,0:2,0:3")];
    Room::with(Story { config, topic, ..Story::default() }, leader, isr)
}

fn bytes_of(data: &PartitionData) -> usize {
    data.records.as_ref().map_or(0, |records| records.len())
}

#[test]
fn a_leader_sends_nothing_above_its_quota_to_who_is_not_in_sync() {
    let mut room = throttled(10, 1, &[1, 2]);
    (0..3).for_each(|_| {
        room.produce(1);
    });
    let fetch = |replica, offset| Fetching { replica, offset, leader_epoch: 0, ..Fetching::default() };
    let sent = bytes_of(&room.fetch(fetch(3, 0)));
    assert!(sent > 200, "the first answer is whole: {sent} bytes");
    room.produce(1);
    assert_eq!(bytes_of(&room.fetch(fetch(3, 3))), 0, "there is silence for what was too much");
    assert!(bytes_of(&room.fetch(fetch(2, 3))) > 0, "but not for a member of the ISR");
    // What waits is not woken for nothing, and told when its time is up.
    let parked = room.send_fetch(Fetching { max_wait_ms: 500, ..fetch(3, 3) });
    room.produce(1);
    assert!(room.fetched(parked).is_none());
    room.pass(500);
    assert_eq!(room.fetched(parked).map(|data| bytes_of(&data)), Some(0));
    room.pass(11_000);
    assert!(bytes_of(&room.fetch(fetch(3, 3))) > 0, "the past is forgotten");
    // A consumer is no replica.
    assert!(bytes_of(&room.fetch(Fetching::default())) > 0 || room.ends().1 == 0);
}

#[test]
fn a_follower_asks_for_nothing_above_its_quota() {
    let mut room = throttled(10, 2, &[2, 3]);
    assert!(room.asks_leader().is_some());
    room.leader_sends(0, &[0, 0, 0], 5);
    assert_eq!(room.ends().0, 3);
    assert_eq!(room.asks_leader(), None, "two more are committed, and it has fetched too much already");
    room.pass(5_000);
    assert_eq!(room.asks_leader(), None);
    room.pass(20_000);
    assert_eq!(room.asks_leader(), Some((0, 3, 0)), "the rate has fallen");
    // Once it has all that is committed nothing holds it back, whatever it fetches: it is in sync.
    room.leader_sends(3, &[0, 0, 0], 6);
    assert_eq!(room.asks_leader(), Some((0, 6, 0)));
    room.leader_sends(6, &[0, 0, 0], 9);
    assert_eq!(room.asks_leader(), Some((0, 9, 0)));
}
