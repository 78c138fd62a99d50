//! What does a fetch ask, with all that its session asked before?

use std::collections::BTreeMap;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use uuid::Uuid;

use super::Referee;
use crate::world::network::Network;

/// What is asked of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedPartition {
    pub(super) current_leader_epoch: i32,
    pub(super) fetch_offset: i64,
    pub(super) last_fetched_epoch: i32,
    pub(super) log_start_offset: i64,
}

impl AskedPartition {
    pub(super) fn of(asked: &FetchPartition) -> Self {
        AskedPartition {
            current_leader_epoch: asked.current_leader_epoch,
            fetch_offset: asked.fetch_offset,
            last_fetched_epoch: asked.last_fetched_epoch,
            log_start_offset: asked.log_start_offset,
        }
    }
}

/// What is asked on one connection.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    /// The follower; -1: a consumer.
    pub(super) replica: i32,
    /// The follower's broker epoch; -1: not told.
    pub(super) broker_epoch: i64,
    /// A consumer that can tell its rack may read from followers too (KIP-392).
    pub(super) tells_rack: bool,
    /// Its session began on this connection: all that it asks for is known.
    pub(super) is_known_whole: bool,
    pub(super) partitions: BTreeMap<(Uuid, i32), AskedPartition>,
}

/// A fetch comes: all of its session, or what has changed of it (KIP-227).
pub(super) fn note_fetch(
    referee: &mut Referee,
    network: &Network,
    conn: u64,
    api_version: i16,
    request: &FetchRequest,
) {
    // Before version 13 topics have names, which no node of ours uses.
    if api_version < 15 {
        return;
    }
    let fetches = &mut referee.fetches;
    if !fetches.contains_key(&conn) {
        fetches.retain(|conn, _| network.conns.contains_key(conn));
    }
    let (replica, broker_epoch) = (request.replica_state.replica_id.0, request.replica_state.replica_epoch);
    let fetch = fetches.entry(conn).or_insert_with(|| Fetch {
        replica,
        broker_epoch,
        tells_rack: replica < 0,
        is_known_whole: false,
        partitions: BTreeMap::new(),
    });
    (fetch.replica, fetch.broker_epoch) = (replica, broker_epoch);
    if request.session_epoch <= 0 {
        fetch.partitions.clear();
        fetch.is_known_whole = true;
    }
    for topic in &request.topics {
        for asked in &topic.partitions {
            fetch.partitions.insert((topic.topic_id, asked.partition), AskedPartition::of(asked));
        }
    }
    for topic in &request.forgotten_topics_data {
        for index in &topic.partitions {
            fetch.partitions.remove(&(topic.topic_id, *index));
        }
    }
}
