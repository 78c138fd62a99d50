//! A broker that fell behind the start of the metadata log takes the controller's snapshot.

use kafka_protocol::messages::FetchSnapshotResponse;
use kafka_protocol::messages::fetch_response::SnapshotId as ToldId;
use kafka_protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use kafka_protocol::messages::fetch_snapshot_response::{
    LeaderIdAndEpoch as SnapshotLeader, PartitionSnapshot, SnapshotId as WireSnapshotId, TopicSnapshot,
};

use super::*;
use crate::metadata::MetadataImage;
use crate::metadata::snapshot::{SnapshotId, encode};

const ANEW: Uuid = Uuid::from_u128(8);

impl Room {
    /// The snapshot of what this broker has replayed, as a controller of epoch 1 would write it.
    fn snapshot(&self) -> (SnapshotId, bytes::Bytes) {
        let image = self.broker.image();
        let id = SnapshotId { end_offset: image.next_offset, epoch: 1 };
        (id, encode(id, image, 5))
    }
    /// The leader's log begins behind this broker's fetch offset.
    fn tell_of(&mut self, id: SnapshotId) {
        let call = self.take_call(Purpose::Raft);
        let told = ToldId::default().with_end_offset(id.end_offset).with_epoch(id.epoch);
        let response = self.by_quorum(PartitionData::default().with_snapshot_id(told));
        self.reply(&call, response);
    }
    /// The chunk it asks for.
    fn chunk_asked(&self) -> Option<FetchSnapshotRequest> {
        self.calls.iter().find_map(|call| match &call.request {
            RequestKind::FetchSnapshot(request) => Some(request.clone()),
            _ => None,
        })
    }
    fn answer_chunk(&mut self, data: PartitionSnapshot) {
        let (leader, epoch) = self.quorum_leader;
        let leader = SnapshotLeader::default().with_leader_id(WireBrokerId(leader)).with_leader_epoch(epoch);
        let topic = TopicSnapshot::default().with_partitions(vec![data.with_current_leader(leader)]);
        let call = self.take_call(Purpose::Raft);
        self.reply(&call, FetchSnapshotResponse::default().with_topics(vec![topic]));
    }
    /// Serves the chunk that is asked for, of at most so many bytes.
    fn serve_chunk(&mut self, (id, bytes): &(SnapshotId, bytes::Bytes), max_bytes: usize) {
        let asked = self.chunk_asked().expect("a chunk is asked for").topics[0].partitions[0].clone();
        assert_eq!((asked.snapshot_id.end_offset, asked.snapshot_id.epoch), (id.end_offset, id.epoch));
        assert_eq!(asked.current_leader_epoch, self.quorum_leader.1);
        let from = asked.position as usize;
        let chunk = bytes.slice(from..(from + max_bytes).min(bytes.len()));
        self.answer_chunk(
            PartitionSnapshot::default()
                .with_snapshot_id(WireSnapshotId::default().with_end_offset(id.end_offset).with_epoch(id.epoch))
                .with_size(bytes.len() as i64)
                .with_position(asked.position)
                .with_unaligned_records(chunk),
        );
    }
    /// Serves all of it.
    fn serve_snapshot(&mut self, snapshot: &(SnapshotId, bytes::Bytes), max_bytes: usize) {
        self.tell_of(snapshot.0);
        while self.chunk_asked().is_some() {
            self.serve_chunk(snapshot, max_bytes);
        }
        self.metadata_offset = snapshot.0.end_offset;
    }
    /// Offset and last epoch with which it asks for metadata.
    fn asks_metadata(&self) -> Option<(i64, i32)> {
        self.calls.iter().find_map(|call| match (&call.request, call.purpose) {
            (RequestKind::Fetch(request), Purpose::Raft) => {
                let asked = &request.topics[0].partitions[0];
                Some((asked.fetch_offset, asked.last_fetched_epoch))
            }
            _ => None,
        })
    }
    fn image(&self) -> MetadataImage {
        self.broker.image().clone()
    }
}

/// Brokers 2 and 3 are fenced and `orders-0` gets a leader three times: the last time it is broker 1 again.
fn eventful() -> Room {
    let mut room = Room::leads(&[1, 2, 3]);
    room.elect(2, &[2, 3]);
    room.elect(3, &[3, 1]);
    room.elect(1, &[1, 3]);
    room.fence(2, true);
    room.second_partition(&[1]);
    room
}

#[test]
fn it_ends_where_a_broker_ends_that_replayed_every_record() {
    let replayed = eventful();
    let snapshot = replayed.snapshot();
    for chunk_bytes in [1 << 20, 100, 1] {
        let mut room = Room::leads(&[1, 2, 3]);
        room.produce(1);
        room.serve_snapshot(&snapshot, chunk_bytes);
        assert_eq!(room.image(), replayed.image());
        assert_eq!(room.asks_metadata(), Some((snapshot.0.end_offset, 1)));
        // Both go on alike.
        room.fence(3, true);
        let mut replayed = eventful();
        replayed.fence(3, true);
        assert_eq!(room.image(), replayed.image());
    }
}

#[test]
fn a_leader_epoch_may_rise_by_more_than_one_at_once() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    room.host.events.clear();
    room.serve_snapshot(&eventful().snapshot(), 1 << 20);
    let reigns: Vec<_> = room
        .host
        .events
        .iter()
        .filter_map(|(event, _)| match event {
            Event::BecameLeader { partition, leader_epoch, leader_epoch_start_offset, .. } => {
                Some((partition.to_string(), *leader_epoch, *leader_epoch_start_offset))
            }
            _ => None,
        })
        .collect();
    assert_eq!(reigns, [("orders-0".to_string(), 3, 1), ("orders-1".to_string(), 0, 0)]);
    let loaded = room.host.events.iter().filter(|(event, _)| matches!(event, Event::SnapshotLoaded { .. })).count();
    assert_eq!(loaded, 1);
}

#[test]
fn a_topic_deleted_and_created_again_meanwhile_is_another() {
    let mut other = Room::leads(&[1, 2, 3]);
    let partition = placed(ANEW, 0, &[2, 1], &[2, 1], 2);
    let orders = Topic::new("orders");
    other.metadata(vec![
        MetadataRecord::RemoveTopic { topic_id: ORDERS },
        MetadataRecord::Topic { name: orders, topic_id: ANEW },
        partition,
    ]);
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    assert_eq!(room.broker.replicas.iter().next().unwrap().1.log_end_offset(), 1);
    room.serve_snapshot(&other.snapshot(), 1 << 20);
    assert!(room.broker.replicas.find_by_id(ORDERS, 0).is_none(), "the old one is gone");
    let ix = room.broker.replicas.find_by_id(ANEW, 0).expect("the new one is there");
    let partition = room.broker.replicas.get(ix);
    assert_eq!((partition.log_end_offset(), partition.leader, partition.is_leader()), (0, 2, false));
    // And one that is deleted for good leaves nothing.
    other.metadata(vec![MetadataRecord::RemoveTopic { topic_id: ANEW }]);
    room.serve_snapshot(&other.snapshot(), 1 << 20);
    assert_eq!(room.broker.replicas.iter().count(), 0);
}

#[test]
fn a_broker_that_starts_acts_once_the_snapshot_holds_its_registration() {
    let snapshot = eventful().snapshot();
    let mut room = Room::new(BrokerConfig::default(), Zoo::default());
    room.broker_epoch = snapshot.0.end_offset + 1;
    room.serve_snapshot(&snapshot, 1 << 20);
    let mut early = Room::leads(&[1, 2, 3]);
    early.broker_epoch = 40;
    early.restart();
    early.serve_snapshot(&snapshot, 1 << 20);
    assert!(early.broker.replicas.iter().all(|(_, partition)| !partition.is_leader()), "it says nothing of epoch 40");
    early.metadata_offset = 40;
    early.metadata(vec![registered(1, 40)]);
    assert!(early.broker.replicas.iter().any(|(_, partition)| partition.is_leader()));
}

#[test]
fn a_snapshot_that_is_gone_or_of_an_older_leader_starts_over() {
    let snapshot = eventful().snapshot();
    let start = |room: &Room| room.asks_metadata() == Some((5, 1));

    // The leader has deleted it.
    let mut room = Room::leads(&[1, 2, 3]);
    let at = room.asks_metadata();
    room.tell_of(snapshot.0);
    room.serve_chunk(&snapshot, 10);
    room.answer_chunk(PartitionSnapshot::default().with_error_code(ResponseError::SnapshotNotFound.code()));
    assert_eq!(room.asks_metadata(), at, "it asks for the log again, and will hear of another");
    assert!(start(&room));

    // A new leader was elected: it may have another snapshot.
    let mut room = Room::leads(&[1, 2, 3]);
    room.tell_of(snapshot.0);
    room.serve_chunk(&snapshot, 10);
    room.quorum_leader = (3001, 2);
    room.answer_chunk(PartitionSnapshot::default().with_error_code(ResponseError::FencedLeaderEpoch.code()));
    room.pass(1_000);
    assert!(start(&room));
    assert_eq!(room.image().next_offset, 5);

    // A break does not lose what is here.
    let mut room = Room::leads(&[1, 2, 3]);
    room.tell_of(snapshot.0);
    room.serve_chunk(&snapshot, 10);
    room.hang_up_on(Purpose::Raft);
    room.pass(1_000);
    assert_eq!(room.chunk_asked().unwrap().topics[0].partitions[0].position, 10);
}

#[test]
fn a_snapshot_that_is_not_sound_or_leads_back_ends_the_broker() {
    let (id, bytes) = eventful().snapshot();
    let mut changed = bytes.to_vec();
    changed[70] ^= 1;
    let mut room = Room::leads(&[1, 2, 3]);
    room.serve_snapshot(&(id, changed.into()), 1 << 20);
    assert!(room.halted.unwrap().contains("snapshot"));

    let mut room = eventful();
    room.tell_of(SnapshotId { end_offset: 3, epoch: 1 });
    assert!(room.halted.is_some(), "it has replayed more than that");
}
