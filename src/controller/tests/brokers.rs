//! Registration, sessions, fencing, controlled shutdown.

use kafka_protocol::ResponseError;

use super::*;
use crate::event::Event;
use crate::metadata::MetadataRecord;
use crate::node::EventId;

#[test]
fn a_broker_epoch_is_the_offset_of_its_registration_record() {
    let mut room = Room::with(BrokerConfig::default());
    let expected = room.controller.high_watermark();
    assert_eq!(room.register(1, 1), expected);
    let record = room.controller.quorum.as_ref().unwrap().read_records(&mut room.disk, expected, expected + 1).unwrap();
    assert!(matches!(&record[..], [(at, MetadataRecord::RegisterBroker { .. })] if *at == expected));
    assert!(room.image().brokers[&1].fenced, "a registration is fenced");
}

#[test]
fn a_broker_is_unfenced_once_it_has_seen_its_own_registration() {
    let mut room = Room::with(BrokerConfig::default());
    let broker_epoch = room.register(1, 1);
    let heartbeat = room.heartbeat_request(1);
    let behind = room.send_heartbeat(heartbeat.clone().with_current_metadata_offset(broker_epoch - 1));
    assert!(behind.is_fenced && !behind.is_caught_up);
    let unwilling = room.send_heartbeat(heartbeat.clone().with_want_fence(true));
    assert!(unwilling.is_fenced && unwilling.is_caught_up);
    let ready = room.send_heartbeat(heartbeat.with_current_metadata_offset(broker_epoch));
    assert!(!ready.is_fenced);
    assert!(room.image().is_active(1));
}

#[test]
fn a_second_incarnation_waits_until_the_session_of_the_first_has_run_out() {
    let mut room = Room::three_brokers();
    assert_eq!(room.try_register(1, 2).error_code, ResponseError::DuplicateBrokerRegistration.code());
    room.silence(&[1]);
    let first = room.broker_epochs[&1];
    assert!(room.register(1, 2) > first, "a new incarnation has a higher broker epoch");
}

#[test]
fn the_same_incarnation_registers_again_and_stays_what_it_is() {
    let mut room = Room::three_brokers();
    let first = room.broker_epochs[&1];
    assert_eq!(room.register(1, 1), first);
    assert!(room.image().is_active(1));
}

#[test]
fn a_wrong_cluster_is_refused() {
    let mut room = Room::with(BrokerConfig::default());
    let request = room.registration(1, 1).with_cluster_id("elsewhere".into());
    match room.ask(4, request) {
        ResponseKind::BrokerRegistration(response) => {
            assert_eq!(response.error_code, ResponseError::InconsistentClusterId.code());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn heartbeats_of_a_stranger_or_a_predecessor_are_stale() {
    let mut room = Room::three_brokers();
    let stale = ResponseError::StaleBrokerEpoch.code();
    let heartbeat = room.heartbeat_request(1);
    assert_eq!(room.send_heartbeat(heartbeat.clone().with_broker_epoch(0)).error_code, stale);
    assert_eq!(room.send_heartbeat(heartbeat.with_broker_id(WireBrokerId(9))).error_code, stale);
}

#[test]
fn a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads() {
    let mut room = Room::orders();
    room.events();
    let before = room.controller.log().unwrap().log_end_offset();
    room.silence(&[1]);
    let partition = room.orders_0();
    assert_eq!((partition.leader, &partition.isr[..]), (2, &[2, 3][..]));
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (1, 1));
    assert!(room.image().brokers[&1].fenced);

    // The election stands before the fence, in the same batch: nobody ever sees a fenced leader.
    let end = room.controller.high_watermark();
    let quorum = room.controller.quorum.as_ref().unwrap();
    let records = quorum.read_records(&mut room.disk, before, end).unwrap();
    let records: Vec<_> = records.iter().filter(|(_, r)| *r != MetadataRecord::NoOp).collect();
    assert!(
        matches!(
            &records[..],
            [(a, MetadataRecord::PartitionChange(_)), (b, MetadataRecord::BrokerRegistrationChange(_))] if a + 1 == *b
        ),
        "{records:?}"
    );
    let headers = quorum.log().batch_headers(&mut room.disk, records[0].0, records[0].0 + 1).unwrap();
    assert_eq!(headers[0].records_count, 2);

    // The trace tells the cause first, and the election names it.
    let told: Vec<_> = room.host.events.iter().map(|(event, because)| (event.name(), because.clone())).collect();
    assert_eq!(told, [("broker-fenced", vec![]), ("leader-changed", vec![EventId(2)])]);
}

#[test]
fn sessions_run_out_one_broker_per_event() {
    let mut room = Room::orders();
    room.events();
    room.pass(9_001);
    let kinds = room.kinds();
    let fenced = ["broker-fenced", "leader-changed"];
    let last = [&fenced[..], &["eligible-leaders-changed"]].concat();
    assert_eq!(kinds, [&fenced[..], &fenced, &last].concat(), "the fence of each is seen by the election of the next");
    let partition = room.orders_0();
    assert_eq!((partition.leader, &partition.isr[..], &partition.elr[..]), (-1, &[][..], &[3][..]));
}

#[test]
fn a_new_incarnation_is_taken_out_of_the_in_sync_replicas() {
    // Broker 2 is shutting down, so that its successor may register while the session is valid.
    let mut room = Room::orders();
    room.create("payments", &[&[2, 1]], &[]);
    let heartbeat = room.heartbeat_request(2).with_want_shut_down(true);
    assert!(!room.send_heartbeat(heartbeat).should_shut_down);
    assert_eq!(room.orders_0().isr, [1, 3]);
    let epoch = room.broker_epochs[&2];
    let request = room.registration(2, 2).with_previous_broker_epoch(epoch);
    room.events();
    match room.ask(4, request) {
        ResponseKind::BrokerRegistration(response) => assert_eq!(response.error_code, 0),
        other => panic!("{other:?}"),
    }
    assert!(matches!(room.host.events[0].0, Event::BrokerRegistered { broker: 2, clean: true, .. }));
    assert!(room.image().brokers[&2].fenced && !room.image().brokers[&2].in_controlled_shutdown);
}

#[test]
fn a_controlled_shutdown_moves_leaders_and_waits_until_all_know() {
    let mut room = Room::orders();
    room.events();
    let asks = room.heartbeat_request(1).with_want_shut_down(true);
    let granted = room.send_heartbeat(asks.clone());
    assert!(!granted.should_shut_down && !granted.is_fenced);
    let partition = room.orders_0();
    assert_eq!((partition.leader, &partition.isr[..]), (2, &[2, 3][..]));
    assert!(room.image().brokers[&1].in_controlled_shutdown);
    let kinds = room.kinds();
    assert_eq!(kinds, ["broker-shutting-down", "leader-changed"]);

    assert!(!room.send_heartbeat(asks.clone()).should_shut_down, "2 and 3 have not seen the change");
    room.heartbeat(2);
    assert!(!room.send_heartbeat(asks.clone()).should_shut_down, "3 has not seen the change");
    room.heartbeat(3);
    let leave = room.send_heartbeat(asks);
    assert!(leave.should_shut_down && leave.is_fenced);
    assert!(room.image().brokers[&1].fenced);
}

#[test]
fn a_broker_that_leads_nothing_may_stop_at_once() {
    let mut room = Room::orders();
    let heartbeat = room.heartbeat_request(3).with_want_shut_down(true);
    assert!(room.send_heartbeat(heartbeat).should_shut_down);
    assert_eq!(room.orders_0().isr, [1, 2]);
}

#[test]
fn a_restarted_controller_gives_every_broker_a_fresh_session() {
    let mut room = Room::orders();
    room.pass(8_000);
    room.restart();
    room.pass(8_000);
    assert!(room.image().is_active(1));
    room.pass(1_001);
    assert!(!room.image().is_active(1));
}

#[test]
fn a_new_incarnation_does_not_inherit_leadership() {
    // The session has run out, but the controller has not come round to fencing.
    let mut room = Room::orders();
    room.now.mono += ms(9_001);
    room.events();
    room.register(1, 2);
    let partition = room.orders_0();
    assert_eq!((partition.leader, &partition.isr[..], partition.leader_epoch), (2, &[2, 3][..], 1));
    assert!(matches!(room.host.events[0].0, Event::BrokerRegistered { broker: 1, clean: false, .. }));
    let told: Vec<_> = room.host.events.iter().map(|(event, because)| (event.name(), because.clone())).collect();
    assert_eq!(told, [("broker-registered", vec![]), ("leader-changed", vec![EventId(2)])]);
}

/// KAFKA-16952: the answer to the first request may come late, so both must tell the same epoch.
#[test]
fn a_switch_gives_the_same_incarnation_a_new_epoch_each_time() {
    let mut room = Room::orders_in_the_zoo(BrokerConfig::default(), [Switch::BrokerEpochBumpOnAmend]);
    let first = room.broker_epochs[&1];
    let second = room.try_register(1, 1).broker_epoch;
    assert!(second > first);
    assert!(room.image().is_active(1), "its state is kept all the same");
    let stale = room.heartbeat(1).error_code;
    assert_eq!(stale, ResponseError::StaleBrokerEpoch.code(), "it works on under the first");
}

#[test]
fn the_order_of_the_checks_of_a_registration() {
    let mut room = Room::three_brokers();
    let wrong_cluster = room.registration(1, 2).with_cluster_id("elsewhere".into()).with_listeners(vec![]);
    let taken = room.registration(1, 2).with_listeners(vec![]);
    let zookeeper = room.registration(4, 1).with_listeners(vec![]).with_is_migrating_zk_broker(true);
    let nowhere = room.registration(4, 1).with_listeners(vec![]);
    let cases = [
        (wrong_cluster, ResponseError::InconsistentClusterId),
        (taken, ResponseError::DuplicateBrokerRegistration),
        (zookeeper, ResponseError::BrokerIdNotRegistered),
        (nowhere, ResponseError::InvalidRegistration),
    ];
    for (request, expected) in cases {
        let ResponseKind::BrokerRegistration(response) = room.ask(4, request) else { panic!("another answer") };
        assert_eq!((response.error_code, response.broker_epoch), (expected.code(), -1), "{expected:?}");
    }
    assert_eq!(room.image().brokers.len(), 3);
}
