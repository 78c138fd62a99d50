//! What a broker remembers between the fetches of one asker (KIP-227).

use kafka_protocol::messages::fetch_request::ForgottenTopic;

use super::*;

/// Broker 1 leads `orders-0` and `orders-1` alone.
fn leads_both(slots: i64) -> Room {
    let config = BrokerConfig { max_incremental_fetch_session_cache_slots: slots, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    room.second_partition(&[1]);
    room
}

/// A fetch in a session.
struct Ask<'a> {
    session: (i32, i32),
    /// Partitions and offsets that are new or have changed.
    wants: &'a [(i32, i64)],
    forgets: &'a [i32],
    replica: BrokerId,
    max_bytes: i32,
}
impl Ask<'_> {
    fn of(session: (i32, i32)) -> Ask<'static> {
        Ask { session, wants: &[], forgets: &[], replica: -1, max_bytes: 1 << 20 }
    }
}

/// Error, session id, and of each partition that is told: its number, its error, and whether it has records.
type Told = (String, i32, Vec<(i32, String, bool)>);

fn ask(room: &mut Room, ask: Ask<'_>) -> Told {
    ask_at(room, versions::FETCH, ask)
}
fn ask_at(room: &mut Room, version: i16, ask: Ask<'_>) -> Told {
    let partition = |(index, offset): &(i32, i64)| {
        FetchPartition::default().with_partition(*index).with_fetch_offset(*offset).with_partition_max_bytes(1 << 20)
    };
    let wanted: Vec<_> = ask.wants.iter().map(partition).collect();
    let mut request = FetchRequest::default()
        .with_session_id(ask.session.0)
        .with_session_epoch(ask.session.1)
        .with_replica_state(ReplicaState::default().with_replica_id(WireBrokerId(ask.replica)).with_replica_epoch(-1))
        .with_max_bytes(ask.max_bytes);
    if !wanted.is_empty() {
        request.topics = vec![FetchTopic::default().with_topic_id(ORDERS).with_partitions(wanted)];
    }
    if !ask.forgets.is_empty() {
        let topic = ForgottenTopic::default().with_topic_id(ORDERS).with_partitions(ask.forgets.to_vec());
        request.forgotten_topics_data = vec![topic];
    }
    let req = room.send(version, request);
    let Some(ResponseKind::Fetch(response)) = room.answers.get(&req) else { panic!("not answered") };
    let told = response.responses.iter().flat_map(|topic| &topic.partitions).map(|data| {
        (data.partition_index, error_of(data), data.records.as_ref().is_some_and(|records| !records.is_empty()))
    });
    (code_name(response.error_code), response.session_id, told.collect())
}
fn news(told: &[(i32, bool)]) -> Vec<(i32, String, bool)> {
    told.iter().map(|(index, records)| (*index, "NONE".to_string(), *records)).collect()
}
/// Begins a session of a consumer; its id, 0 if it got none.
fn begin(room: &mut Room, wants: &[(i32, i64)]) -> i32 {
    let (error, id, told) = ask(room, Ask { wants, ..Ask::of((0, 0)) });
    assert_eq!((error.as_str(), told.len()), ("NONE", wants.len()), "a full fetch is told everything");
    id
}

#[test]
fn a_session_tells_what_is_news() {
    let mut room = leads_both(10);
    let id = begin(&mut room, &[(0, 0), (1, 0)]);
    assert!(id > 0);
    let none = "NONE".to_string();
    assert_eq!(ask(&mut room, Ask::of((id, 1))), (none.clone(), id, vec![]));
    room.produce_to(1, &[1]);
    assert_eq!(ask(&mut room, Ask::of((id, 2))), (none.clone(), id, news(&[(1, true)])));
    assert_eq!(ask(&mut room, Ask { wants: &[(1, 1)], ..Ask::of((id, 3)) }), (none.clone(), id, vec![]));
    room.produce_to(1, &[0, 1]);
    let told = ask(&mut room, Ask { forgets: &[0], ..Ask::of((id, 4)) });
    assert_eq!(told, (none, id, news(&[(1, true)])), "0 is forgotten");
}

#[test]
fn a_session_that_is_left_without_partitions_ends() {
    let mut room = leads_both(10);
    let id = begin(&mut room, &[(0, 0)]);
    let told = ask(&mut room, Ask { forgets: &[0], ..Ask::of((id, 1)) });
    assert_eq!((told, room.broker.fetch_sessions.ids()), (("NONE".to_string(), 0, vec![]), vec![]));
}

#[test]
fn after_an_error_a_partition_is_told_again() {
    let mut room = leads_both(10);
    let id = begin(&mut room, &[(0, 0)]);
    let told = ask(&mut room, Ask { wants: &[(0, 9)], ..Ask::of((id, 1)) }).2;
    assert_eq!(told, [(0, "OFFSET_OUT_OF_RANGE".to_string(), false)]);
    assert_eq!(ask(&mut room, Ask::of((id, 2))).2, told, "an error is told each time");
    assert_eq!(ask(&mut room, Ask { wants: &[(0, 0)], ..Ask::of((id, 3)) }).2, news(&[(0, false)]));
    assert_eq!(ask(&mut room, Ask::of((id, 4))).2, []);
}

#[test]
fn who_was_served_comes_last() {
    let mut room = leads_both(10);
    let id = begin(&mut room, &[(0, 0), (1, 0)]);
    room.produce_to(1, &[0]);
    assert_eq!(ask(&mut room, Ask::of((id, 1))).2, news(&[(0, true)]));
    room.produce_to(1, &[0, 1]);
    let told = ask(&mut room, Ask { max_bytes: 1, ..Ask::of((id, 2)) }).2;
    assert_eq!(told, news(&[(1, true), (0, false)]), "there is room for one");
}

#[test]
fn what_does_not_fit_the_session_is_refused() {
    let mut room = leads_both(10);
    let id = begin(&mut room, &[(0, 0)]);
    let refused = |error: &str| (error.to_string(), 0, vec![]);
    assert_eq!(ask(&mut room, Ask::of((id + 1, 1))), refused("FETCH_SESSION_ID_NOT_FOUND"));
    assert_eq!(ask(&mut room, Ask::of((id, 2))), refused("INVALID_FETCH_SESSION_EPOCH"));
    assert_eq!(ask_at(&mut room, 12, Ask::of((id, 1))), refused("FETCH_SESSION_TOPIC_ID_ERROR"));
    assert_eq!(ask(&mut room, Ask::of((id, 1))).0, "NONE", "none of this has hurt it");
    assert_eq!(ask(&mut room, Ask::of((id, 1))), refused("INVALID_FETCH_SESSION_EPOCH"), "sent twice");
}

#[test]
fn a_full_fetch_ends_the_session_it_names() {
    let mut room = leads_both(10);
    let first = begin(&mut room, &[(0, 0)]);
    let (_, second, _) = ask(&mut room, Ask { wants: &[(0, 0)], ..Ask::of((first, 0)) });
    assert_eq!(room.broker.fetch_sessions.ids(), [second]);
    let told = ask(&mut room, Ask { wants: &[(0, 0)], ..Ask::of((second, -1)) });
    assert_eq!((told.1, room.broker.fetch_sessions.ids()), (0, vec![]), "and one of epoch -1 begins none");
}

#[test]
fn who_gives_way_when_there_is_no_room() {
    let mut room = leads_both(2);
    let first = begin(&mut room, &[(0, 0)]);
    let second = begin(&mut room, &[(1, 0)]);
    let both = [(0, 0), (1, 0)];
    assert_eq!(begin(&mut room, &both), 0, "larger, but the others are young");
    // A follower is served before any consumer.
    let (_, follower, _) = ask(&mut room, Ask { wants: &[(0, 0)], replica: 2, ..Ask::of((0, 0)) });
    assert!(follower > 0);
    let consumers_left: Vec<i32> = room.broker.fetch_sessions.ids().into_iter().filter(|id| *id != follower).collect();
    let [left] = consumers_left[..] else { panic!("{consumers_left:?}") };
    assert!(left == first || left == second);
    // Both are old, and in use: the small one of a consumer is worth least.
    room.pass(100_000);
    ask(&mut room, Ask::of((left, 1)));
    ask(&mut room, Ask { replica: 2, ..Ask::of((follower, 1)) });
    room.pass(20_001);
    let third = begin(&mut room, &both);
    assert!(third > 0);
    let ids = room.broker.fetch_sessions.ids();
    assert!(ids.contains(&follower) && ids.contains(&third), "{ids:?}");
    // Nobody has used the follower's for two minutes.
    room.pass(119_000);
    ask(&mut room, Ask::of((third, 1)));
    room.pass(2_000);
    let fourth = begin(&mut room, &[(0, 0)]);
    let mut ids = room.broker.fetch_sessions.ids();
    ids.sort_unstable();
    let mut expected = vec![third, fourth];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn without_slots_there_are_no_sessions() {
    let mut room = leads_both(0);
    assert_eq!(begin(&mut room, &[(0, 0)]), 0);
}
