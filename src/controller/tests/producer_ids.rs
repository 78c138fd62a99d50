//! Who gets which producer ids.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::*;

impl Room {
    fn allocation(&self, broker: BrokerId) -> AllocateProducerIdsRequest {
        AllocateProducerIdsRequest::default()
            .with_broker_id(WireBrokerId(broker))
            .with_broker_epoch(self.broker_epochs[&broker])
    }
    fn allocate(&mut self, broker: BrokerId) -> AllocateProducerIdsResponse {
        let request = self.allocation(broker);
        self.try_allocate(request)
    }
    fn try_allocate(&mut self, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
        match self.ask(0, request) {
            ResponseKind::AllocateProducerIds(response) => response,
            other => panic!("{other:?}"),
        }
    }
    /// First id of the next block of a broker, which has a thousand.
    fn next_block(&mut self, broker: BrokerId) -> i64 {
        let response = self.allocate(broker);
        assert_eq!((response.error_code, response.producer_id_len), (0, 1000));
        response.producer_id_start.0
    }
}

#[test]
fn no_id_is_given_twice() {
    let mut room = Room::three_brokers();
    room.events();
    assert_eq!([room.next_block(1), room.next_block(2), room.next_block(1)], [0, 1000, 2000]);
    assert_eq!(room.events()[1], "gave broker 2 the producer ids 1000 to 1999");
    room.restart();
    assert_eq!(room.next_block(3), 3000, "the next controller goes on where the last one was");
    let image = MetadataImage::from_records(room.image().next_offset, &room.image().to_records());
    assert_eq!(image.next_producer_id, 4000, "and a snapshot tells it too");
}

#[test]
fn a_block_is_for_a_registered_broker_only() {
    let mut room = Room::three_brokers();
    let stale = room.allocation(1).with_broker_epoch(room.broker_epochs[&1] - 1);
    let stranger = room.allocation(1).with_broker_id(WireBrokerId(9));
    for request in [stale, stranger] {
        assert_eq!(room.try_allocate(request).error_code, ResponseError::StaleBrokerEpoch.code());
    }
    assert_eq!(room.image().next_producer_id, 0);
}

#[test]
fn a_block_is_told_once_it_is_committed() {
    let mut room = Room::three_brokers();
    room.syncs_end_at_once = false;
    let request = room.allocation(1);
    let req = room.send(0, request);
    assert_eq!(room.image().next_producer_id, 1000, "the next request sees it");
    assert!(!room.answers.contains_key(&req));
    while !room.syncs.is_empty() {
        room.end_one_sync(Ok(()));
    }
    assert!(room.answers.contains_key(&req));
}
