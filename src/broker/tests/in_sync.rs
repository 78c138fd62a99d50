//! A leader and its controller: changes of the in-sync replicas.

use super::*;
use crate::broker::partition::isr::IsrState;

impl Room {
    fn isr(&self) -> &IsrState {
        &self.orders().leader_state().expect("it leads").isr
    }
    fn committed(isr: &[BrokerId]) -> IsrState {
        IsrState::Committed { isr: isr.to_vec() }
    }
}

#[test]
fn a_follower_that_has_caught_up_joins() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(2, 0);
    assert_eq!(room.isr_asked(), None);
    room.follower_fetches(3, 0);
    let asked = room.isr_asked().expect("asked at once");
    assert_eq!((asked.leader_epoch, asked.partition_epoch, asked.leader_recovery_state), (0, 0, 0));
    assert_eq!(room.members_asked(), [(1, 0), (2, 1), (3, 2)]);
    room.grant_isr(&[1, 2, 3], 0, 1);
    assert_eq!((room.isr(), room.orders().partition_epoch), (&Room::committed(&[1, 2, 3]), 1));
    // What the metadata log then says is no news.
    room.set_isr(&[1, 2, 3]);
    assert_eq!(room.count(|event| matches!(event, Event::IsrAdopted { .. })), 1);
}

#[test]
fn one_request_is_in_flight() {
    let mut room = Room::leads(&[1]);
    room.follower_fetches(2, 0);
    room.follower_fetches(3, 0);
    room.follower_fetches(2, 0);
    assert_eq!(room.waiting(Purpose::AlterPartition), 1);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1)], "2 was first");
    room.grant_isr(&[1, 2], 0, 1);
    assert_eq!(room.waiting(Purpose::AlterPartition), 0);
    room.follower_fetches(3, 0);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1), (3, 2)]);
}

/// `AlterPartitionManager` too has one request in flight, whatever the number of partitions.
#[test]
fn another_partition_waits_for_the_request_in_flight() {
    let mut room = Room::leads(&[1, 2]);
    room.second_partition(&[1, 2]);
    room.follower_fetches(3, 0);
    let asks_for = |room: &Room| match &room.calls.last().expect("a call").request {
        RequestKind::AlterPartition(request) => {
            request.topics[0].partitions.iter().map(|p| p.partition_index).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(asks_for(&room), [0]);
    let ix = room.broker.replicas.find_by_id(ORDERS, 1).expect("orders-1");
    room.produce_to(1, &[1]);
    let (me, wall) = (room.broker.as_isr_member(), room.now.wall + 30_001);
    assert!(room.broker.replicas.get_mut(ix).maybe_shrink_isr(me, wall, 30_000));
    let now = room.now;
    room.broker.ask_for_isr_change(now, ix, &mut Effects::new(&mut room.host));
    assert!(room.host.effects.is_empty(), "one request is in flight");
    room.grant_isr(&[1, 2, 3], 0, 1);
    assert_eq!(asks_for(&room), [1]);
}

#[test]
fn a_member_that_stays_behind_leaves_after_the_lag() {
    let mut room = Room::leads(&[1, 2, 3]);
    let req = room.produce(-1);
    for _ in 0..4 {
        room.pass(7_500);
        room.follower_fetches(2, 1);
    }
    assert_eq!(room.isr_asked(), None, "3 has 30 s from the beginning of the reign");
    room.pass(15_000);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1)], "looked for every 15 s");
    assert_eq!(room.ends(), (1, 0), "the maximal ISR counts until the controller agrees");
    room.grant_isr(&[1, 2], 0, 1);
    assert_eq!(room.ends(), (1, 1), "KAFKA-13091");
    assert_eq!(room.produce_error(req), "REQUEST_TIMED_OUT", "too late for the producer");
}

/// What each answer means to the pending change: back to what was committed, pending until metadata comes, or asked again.
#[test]
fn every_refusal_has_its_meaning() {
    #[derive(Debug, PartialEq)]
    enum Then {
        Reverts,
        StaysPending,
        AsksAgain,
    }
    let table = [
        (ResponseError::OperationNotAttempted, Then::Reverts),
        (ResponseError::IneligibleReplica, Then::Reverts),
        (ResponseError::UnknownTopicOrPartition, Then::StaysPending),
        (ResponseError::UnknownTopicId, Then::StaysPending),
        (ResponseError::FencedLeaderEpoch, Then::StaysPending),
        (ResponseError::InvalidUpdateVersion, Then::StaysPending),
        (ResponseError::InvalidRequest, Then::StaysPending),
        (ResponseError::NewLeaderElected, Then::StaysPending),
        (ResponseError::NotController, Then::AsksAgain),
        (ResponseError::RequestTimedOut, Then::AsksAgain),
        (ResponseError::UnknownServerError, Then::AsksAgain),
    ];
    for (error, then) in table {
        let mut room = Room::leads(&[1, 2]);
        room.follower_fetches(3, 0);
        room.refuse_isr(error);
        room.pass(50);
        let became = match (room.isr().is_pending(), room.isr_asked().is_some()) {
            (false, false) => Then::Reverts,
            (true, false) => Then::StaysPending,
            (true, true) => Then::AsksAgain,
            (false, true) => panic!("{error:?}: asks for what it does not want"),
        };
        assert_eq!(became, then, "{error:?}");
        // Whatever it was, metadata ends it.
        room.set_isr(&[1, 2]);
        assert_eq!(room.isr(), &Room::committed(&[1, 2]), "{error:?}");
    }
}

#[test]
fn a_request_that_was_refused_lost_or_forgotten_is_sent_again() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    let asked = room.isr_asked();
    // Refused as a whole.
    let call = room.take_call(Purpose::AlterPartition);
    room.reply(&call, AlterPartitionResponse::default().with_error_code(ResponseError::StaleBrokerEpoch.code()));
    assert_eq!(room.isr_asked(), None);
    room.pass(50);
    assert_eq!(room.isr_asked(), asked);
    // The connection ended.
    room.hang_up_on(Purpose::AlterPartition);
    room.pass(100);
    assert_eq!(room.isr_asked(), asked);
    // Answered with silence about this partition.
    let call = room.take_call(Purpose::AlterPartition);
    room.reply(&call, AlterPartitionResponse::default());
    room.pass(50);
    assert_eq!(room.isr_asked(), asked);
    room.grant_isr(&[1, 2, 3], 0, 1);
    assert_eq!(room.isr(), &Room::committed(&[1, 2, 3]));
}

/// KIP-903: 3 asks to join, restarts, and fetches on with less in its log before the controller is reached. The controller
/// must be asked for the incarnation that had everything, so that it can refuse.
#[test]
fn a_request_sent_again_means_the_incarnation_it_meant_at_first() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    room.follower_fetches(2, 1);
    room.follower_fetches(3, 1);
    assert_eq!((room.ends(), room.members_asked()), ((1, 1), vec![(1, 0), (2, 1), (3, 2)]));
    let restarted_as = room.metadata_offset;
    room.metadata(vec![registered(3, restarted_as)]);
    let fetch = Fetching { replica: 3, broker_epoch: Some(restarted_as), leader_epoch: 0, ..Fetching::default() };
    assert_eq!(error_of(&room.fetch(fetch)), "NONE");
    room.hang_up_on(Purpose::AlterPartition);
    room.pass(100);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1), (3, 2)]);
    room.refuse_isr(ResponseError::IneligibleReplica);
    room.fetch(fetch);
    assert_eq!((room.isr(), room.isr_asked()), (&Room::committed(&[1, 2]), None), "3 does not have offset 0 any more");
}

#[test]
fn an_answer_that_metadata_has_overtaken_is_ignored() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    room.set_isr(&[1]);
    assert_eq!((room.isr(), room.orders().partition_epoch), (&Room::committed(&[1]), 1));
    room.grant_isr(&[1, 2, 3], 0, 1);
    assert_eq!(room.isr(), &Room::committed(&[1]), "it answers a question of the past");

    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    room.elect(1, &[1, 2]);
    room.refuse_isr(ResponseError::FencedLeaderEpoch);
    room.fetch(Fetching { replica: 3, leader_epoch: 1, ..Fetching::default() });
    assert_eq!(room.isr_asked().map(|asked| (asked.leader_epoch, asked.partition_epoch)), Some((1, 1)));
    room.grant_isr(&[1, 2, 3], 0, 2);
    assert!(room.isr().is_pending(), "an answer of another reign");
}

/// `AlterPartitionManager.submit`: the old request must be answered first, even if nobody waits for the answer any more.
#[test]
fn nothing_is_attempted_while_an_overtaken_request_is_under_way() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    room.set_isr(&[1]);
    room.follower_fetches(2, 0);
    assert_eq!((room.isr(), room.waiting(Purpose::AlterPartition)), (&Room::committed(&[1]), 1));
    room.refuse_isr(ResponseError::InvalidUpdateVersion);
    assert_eq!((room.isr(), room.waiting(Purpose::AlterPartition)), (&Room::committed(&[1]), 0));
    room.follower_fetches(2, 0);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1)], "the next fetch asks");
}

#[test]
fn an_answer_that_is_older_than_the_partition_is_ignored() {
    let mut room = Room::leads(&[1]);
    room.set_isr(&[1, 2]);
    room.follower_fetches(3, 0);
    room.grant_isr(&[1, 2, 3], 0, 0);
    assert_eq!((room.isr().is_pending(), room.orders().partition_epoch), (true, 1));
}

/// The answer has told of a change before metadata does, and by then the next one is in flight. It may be committed yet: Kafka
/// forgets it all the same.
#[test]
fn metadata_that_tells_nothing_new_leaves_what_is_pending_alone() {
    for switch in [None, Some(Switch::IsrMetadataDropsPending)] {
        let story = Story { zoo: switch.into_iter().collect(), ..Story::default() };
        let mut room = Room::with(story, 1, &[1]);
        room.follower_fetches(2, 0);
        room.grant_isr(&[1, 2], 0, 1);
        room.follower_fetches(3, 0);
        assert_eq!((room.isr().is_pending(), room.orders().partition_epoch), (true, 1));
        room.set_isr(&[1, 2]);
        assert_eq!((room.isr().is_pending(), room.orders().partition_epoch), (switch.is_none(), 1), "{switch:?}");
    }
}

/// KAFKA-15221, brought back by its switch: the request names whoever fetches now, though another incarnation had caught up.
#[test]
fn the_zoo_asks_for_an_incarnation_by_what_the_last_one_had() {
    let zoo = [Switch::IsrCheckTwoSnapshots].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 1, &[1, 2]);
    room.produce(1);
    room.follower_fetches(2, 1);
    room.follower_fetches(3, 1);
    let restarted_as = room.metadata_offset;
    room.metadata(vec![registered(3, restarted_as)]);
    room.fetch(Fetching { replica: 3, broker_epoch: Some(restarted_as), leader_epoch: 0, ..Fetching::default() });
    room.hang_up_on(Purpose::AlterPartition);
    room.pass(100);
    assert_eq!(room.members_asked(), [(1, 0), (2, 1), (3, restarted_as)]);
}

/// A rule removed by the zoo: who is outside the ISR is let in by what it had in an earlier reign, or before it was reassigned.
#[test]
fn the_zoo_lets_a_replica_in_that_has_not_fetched_in_this_reign() {
    for switch in [None, Some(Switch::KeepOosFollowerState)] {
        let story = Story { zoo: switch.into_iter().collect(), ..Story::default() };
        let mut room = Room::with(story, 1, &[1, 2]);
        room.follower_fetches(3, 0);
        room.refuse_isr(ResponseError::IneligibleReplica);
        room.elect(1, &[1, 2]);
        assert_eq!(room.isr_asked().is_some(), switch.is_some(), "{switch:?}");
    }
}

#[test]
fn a_change_of_configuration_leaves_what_is_pending_alone() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    room.metadata(vec![MetadataRecord::Config {
        resource_type: crate::metadata::TOPIC_RESOURCE,
        resource_name: "orders".to_string(),
        name: "min.insync.replicas".to_string(),
        value: Some("3".to_string()),
    }]);
    assert_eq!((room.isr().is_pending(), room.orders().min_insync_replicas), (true, 3));
    room.grant_isr(&[1, 2, 3], 0, 1);
    assert_eq!(room.isr(), &Room::committed(&[1, 2, 3]));
}

/// KAFKA-7128: after an election the high watermark may lag behind what the predecessor has committed.
#[test]
fn nobody_joins_below_the_start_of_the_reign() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0, 0], 1);
    room.elect(1, &[1, 2]);
    assert_eq!(room.ends(), (3, 1));
    let fetch = |offset| Fetching { replica: 3, leader_epoch: 1, offset, last_fetched_epoch: 0, ..Fetching::default() };
    room.fetch(fetch(2));
    assert_eq!(room.isr_asked(), None, "it has the high watermark, but offset 2 may be committed");
    room.fetch(fetch(3));
    assert_eq!(room.members_asked(), [(1, 0), (2, -1), (3, 2)]);
}

/// Only a position that moved, an append, and a change of the in-sync replicas try the high watermark.
#[test]
fn a_fetch_that_brings_no_news_does_not_try_the_high_watermark() {
    let mut room = Room::leads(&[1, 2]);
    room.follower_fetches(3, 0);
    room.refuse_isr(ResponseError::IneligibleReplica);
    room.produce(1);
    room.follower_fetches(2, 1);
    assert_eq!(room.ends(), (1, 0), "3 was caught up just now and may join: it counts");
    room.fence(3, true);
    room.follower_fetches(2, 1);
    assert_eq!(room.ends(), (1, 0), "the same position again");
    room.set_isr(&[1, 2]);
    assert_eq!(room.ends(), (1, 1));
}

/// KIP-841: the leader does not even ask.
#[test]
fn a_fenced_follower_does_not_join() {
    for switch in [None, Some(Switch::FencedJoinsIsr)] {
        let story = Story { zoo: switch.into_iter().collect(), ..Story::default() };
        let mut room = Room::with(story, 1, &[1, 2]);
        room.fence(3, true);
        room.follower_fetches(3, 0);
        assert_eq!(room.isr_asked().is_some(), switch.is_some(), "{switch:?}");
    }
}

/// KIP-704: an unclean leader has nothing to wait for, so it has recovered as soon as it leads, and says so with the next
/// change of the ISR.
#[test]
fn an_unclean_leader_has_recovered_when_it_next_asks() {
    let mut room = Room::follows();
    room.change(PartitionChange {
        leader: Some(1),
        isr: Some(vec![1]),
        leader_recovery_state: Some(1),
        ..PartitionChange::default()
    });
    assert_eq!(room.isr_asked(), None, "not on its own account");
    room.follower_fetches(2, 0);
    let asked = room.isr_asked().expect("2 has caught up");
    assert_eq!((asked.leader_epoch, asked.leader_recovery_state), (1, 0));
}
