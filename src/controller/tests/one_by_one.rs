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

#[test]
fn a_replica_that_is_not_registered_is_not_let_in() {
    let mut room = Room::orders();
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    let broker_epoch = room.broker_epochs[&3];
    room.write(vec![MetadataRecord::UnregisterBroker { broker: 3, broker_epoch }]);
    let data = alter(&room, &[1, 2, 3]);
    assert_eq!(send_one(&mut room, 1, data).error_code, ResponseError::IneligibleReplica.code());
}

#[test]
fn a_replica_whose_incarnation_is_not_told_is_let_in() {
    let mut room = Room::orders();
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    let mut data = alter(&room, &[1, 2, 3]);
    data.new_isr_with_epochs.iter_mut().for_each(|member| member.broker_epoch = -1);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    assert_eq!(room.orders_0().isr, [1, 2, 3]);
}

#[test]
fn what_a_new_incarnation_changes_comes_before_its_registration() {
    // The session has run out, but the controller has not come round to fencing.
    let mut room = Room::orders();
    room.now.mono += ms(9_001);
    let before = room.controller.log().unwrap().log_end_offset();
    room.register(1, 2);
    let end = room.controller.log().unwrap().log_end_offset();
    assert_eq!((room.orders_0().leader, end - before), (2, 2), "one record for the partition, one for the broker");
    assert_eq!(room.controller.registration_offsets[&1], end - 1);
}
