//! Rules that the other stories only tell together with another rule, each by itself.

use kafka_protocol::ResponseError;

use super::partitions::{alter, send_one};
use super::*;
use crate::event::Event;

#[test]
fn a_leader_that_recovers_is_alone() {
    let config = BrokerConfig { unclean_leader_election_enable: true, ..BrokerConfig::default() };
    let mut room = Room::orders_with(config, &[]);
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    room.silence(&[1, 2]);
    let partition = room.orders_0();
    assert_eq!((partition.leader, partition.recovering), (3, true));
    room.register(1, 2);
    room.heartbeat(1);
    let data = alter(&room, &[3, 1]).with_leader_recovery_state(1);
    assert_eq!(send_one(&mut room, 3, data).error_code, ResponseError::InvalidRequest.code());
}

#[test]
fn a_recovered_leader_does_not_go_back() {
    let mut room = Room::orders();
    let data = alter(&room, &[1]).with_leader_recovery_state(1);
    assert_eq!(send_one(&mut room, 1, data).error_code, ResponseError::InvalidRequest.code());
    assert_eq!(room.orders_0().isr, [1, 2, 3]);
}

#[test]
fn a_broker_that_is_heard_of_stays() {
    let mut room = Room::three_brokers();
    room.events();
    for _ in 0..6 {
        room.pass(2_000);
        room.heartbeat(1);
    }
    let fenced = |broker| {
        let mut events = room.host.events.iter();
        events.any(|(event, _)| matches!(event, Event::BrokerFenced { broker: fenced, .. } if *fenced == broker))
    };
    assert!(!fenced(1) && fenced(2));
}
