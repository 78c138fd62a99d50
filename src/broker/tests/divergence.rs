//! What a leader makes of a follower's history.

use super::*;

/// Leads in epoch 2. Epoch 0: offsets 0 and 1, epoch 2: offset 2; nothing is of epoch 1.
fn leads_in_epoch_2() -> Room {
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    room.produce(1);
    room.elect(2, &[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    room.produce(1);
    room
}

fn fetching(offset: i64, last_fetched_epoch: i32) -> Fetching {
    Fetching { replica: 2, leader_epoch: 2, offset, last_fetched_epoch, ..Fetching::default() }
}

fn diverging(data: &PartitionData) -> (i32, i64) {
    (data.diverging_epoch.epoch, data.diverging_epoch.end_offset)
}

#[test]
fn the_leader_tells_where_histories_part() {
    let mut room = leads_in_epoch_2();
    let data = room.fetch(fetching(2, 1));
    assert_eq!(diverging(&data), (0, 2), "it never had epoch 1, though it ends where the asker's does");
    let data = room.fetch(fetching(3, 0));
    assert_eq!(diverging(&data), (0, 2), "its epoch 0 is shorter");
    let data = room.fetch(fetching(3, 9));
    assert_eq!(error_of(&data), "OFFSET_OUT_OF_RANGE", "nothing is known of an epoch above all");
}

#[test]
fn a_fetch_that_diverges_does_not_count() {
    let mut room = leads_in_epoch_2();
    room.fetch(fetching(2, 0));
    let data = room.fetch(fetching(3, 1));
    assert_eq!((diverging(&data), room.believed(2)), ((0, 2), 2));
    assert_eq!(data.records, Some(bytes::Bytes::new()));
}

#[test]
fn below_the_leaders_start_nothing_diverges() {
    // The log begins at 5: epoch 0 there, epoch 2 from 6 on. Of epoch 1, of which the asker has a record, it knows nothing.
    let mut room = Room::follows();
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(9, 0);
    room.leader_tells_offset(5, 0);
    room.leader_sends(5, &[0], 5);
    room.elect(2, &[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    assert_eq!(diverging(&room.fetch(fetching(5, 1))), (0, 6), "this is how histories part in it");
    let data = room.fetch(fetching(3, 1));
    assert_eq!((error_of(&data), diverging(&data)), ("OFFSET_OUT_OF_RANGE".to_string(), (-1, -1)));
}

#[test]
fn beyond_the_leaders_end_there_is_nothing() {
    let mut room = leads_in_epoch_2();
    let data = room.fetch(fetching(4, -1));
    assert_eq!((error_of(&data), room.believed(2)), ("OFFSET_OUT_OF_RANGE".to_string(), -1));
}

#[test]
fn a_replica_that_is_not_assigned_is_told_to_try_again() {
    let mut room = leads_in_epoch_2();
    let data = room.fetch(Fetching { replica: 9, ..fetching(3, 1) });
    assert_eq!((error_of(&data), diverging(&data)), ("UNKNOWN_LEADER_EPOCH".to_string(), (-1, -1)));
    let data = room.fetch(Fetching { replica: 9, leader_epoch: -1, ..fetching(3, 1) });
    assert_eq!(error_of(&data), "NOT_LEADER_OR_FOLLOWER", "it tells no epoch: nobody knows who is behind");
}

#[test]
fn who_follows_does_not_answer_a_fetch() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0], 1);
    // Consumers are another matter (KIP-392): `consumers::a_follower_serves_consumers_up_to_its_own_high_watermark`.
    let data = room.fetch(Fetching { replica: 3, leader_epoch: 0, ..Fetching::default() });
    assert_eq!(error_of(&data), "NOT_LEADER_OR_FOLLOWER");
}

fn room_with(switch: Switch) -> Room {
    let zoo = [switch].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 1, &[1, 2, 3]);
    room.produce(1);
    room.produce(1);
    room.elect(2, &[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    room.produce(1);
    room
}

#[test]
fn the_zoo_answers_without_the_epoch() {
    let mut room = room_with(Switch::EpochAnswerWithoutEpoch);
    let data = room.fetch(fetching(2, 1));
    assert_eq!((diverging(&data), room.believed(2)), ((-1, -1), 2), "taken for a history of its own");
    assert_eq!(diverging(&room.fetch(fetching(3, 1))), (1, 2), "only the end is told");
}

#[test]
fn the_zoo_answers_followers_of_other_epochs_and_counts_nothing() {
    for leader_epoch in [1, 3] {
        let ahead = Fetching { leader_epoch, ..fetching(3, 0) };
        let mut room = room_with(Switch::TruncateFromOtherEpoch);
        assert_eq!(diverging(&room.fetch(ahead)), (0, 2));
        let data = room.fetch(Fetching { leader_epoch, ..fetching(2, 0) });
        assert_eq!((data.error_code, data.records, room.believed(2)), (0, Some(bytes::Bytes::new()), -1));

        let mut room = room_with(Switch::ServeFetchOtherEpoch);
        assert_eq!(diverging(&room.fetch(ahead)), (-1, -1), "histories are not compared");
        let data = room.fetch(Fetching { leader_epoch, ..fetching(2, 0) });
        assert!(data.records.is_some_and(|records| !records.is_empty()));
        assert_eq!(room.believed(2), -1);
        let consumer = Fetching { replica: -1, leader_epoch, ..Fetching::default() };
        assert_ne!(room.fetch(consumer).error_code, 0, "only followers");
    }
}
