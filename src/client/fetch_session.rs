//! The asker's side of a fetch session, for consumers and followers alike: what did I ask before, and what has changed?
//!
//! ```text
//!   all that is wanted ──build──▶ the part of it that the broker does not know yet, and what it is to forget
//!   its answer ──on_response──▶ is it one to this session?
//! ```
//!
//! Source: KIP-227, `FetchSessionHandler`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use uuid::Uuid;

use crate::conformance::ConsumerRule;

/// A partition by its topic's id: a topic created again is another one.
pub(crate) type PartitionId = (Uuid, i32);

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The leader epoch the asker believes in, -1 if it knows none.
    pub(crate) current_leader_epoch: i32,
    /// From there on.
    pub(crate) fetch_offset: i64,
    /// Epoch of the last record it has, -1 if it does not tell.
    pub(crate) last_fetched_epoch: i32,
    /// First offset of a follower's log, -1 of a consumer.
    pub(crate) log_start_offset: i64,
    /// Most bytes.
    pub(crate) max_bytes: i32,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchSessionHandler {
    /// 0: none.
    session_id: i32,
    /// Of the next request; 0: a full one.
    epoch: i32,
    /// What the broker knows that we want.
    partitions: BTreeMap<PartitionId, Wanted>,
}

impl FetchSessionHandler {
    /// Puts into a request what is wanted, in the order in which it is to be served: all of it, or what is new, is asked
    /// for otherwise, or is wanted no more.
    pub(crate) fn build(&mut self, wanted: &[(PartitionId, Wanted)], request: FetchRequest) -> FetchRequest {
        let request = request.with_session_id(self.session_id).with_session_epoch(self.epoch);
        if self.epoch == 0 {
            self.partitions = wanted.iter().copied().collect();
            return request.with_topics(topics_of(wanted));
        }
        let changed: Vec<_> =
            wanted.iter().filter(|(id, wanted)| self.partitions.get(id) != Some(wanted)).copied().collect();
        let all: BTreeMap<_, _> = wanted.iter().copied().collect();
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        for (topic_id, partition) in self.partitions.keys().filter(|id| !all.contains_key(id)) {
            match forgotten.last_mut() {
                Some(topic) if topic.topic_id == *topic_id => topic.partitions.push(*partition),
                _ => {
                    forgotten.push(ForgottenTopic::default().with_topic_id(*topic_id).with_partitions(vec![*partition]))
                }
            }
        }
        self.partitions = all;
        if !ConsumerRule::UnwantedPartitionIsForgotten.holds() {
            forgotten.clear();
        }
        request.with_topics(topics_of(&changed)).with_forgotten_topics_data(forgotten)
    }

    /// Takes an answer. False if it is none to what was asked, and says nothing of partitions.
    pub(crate) fn on_response(&mut self, response: &FetchResponse) -> bool {
        if let Some(error) = ResponseError::try_from_code(response.error_code) {
            match error {
                ResponseError::FetchSessionIdNotFound => self.start_anew(),
                _ => self.close_and_start_anew(),
            }
            return false;
        }
        let told = response.responses.iter().flat_map(|t| t.partitions.iter().map(|p| (t.topic_id, p.partition_index)));
        let mut told: Vec<PartitionId> = told.collect();
        told.sort_unstable();
        told.dedup();
        let no_stranger = told.iter().all(|id| self.partitions.contains_key(id));
        if self.epoch == 0 {
            // A full answer speaks of every partition, else the two sides mean different things.
            if !no_stranger || told.len() != self.partitions.len() {
                self.start_anew();
                return false;
            }
            (self.session_id, self.epoch) = match response.session_id {
                0 => (0, 0),
                id => (id, 1),
            };
            return true;
        }
        if !no_stranger {
            self.close_and_start_anew();
            return false;
        }
        match response.session_id {
            // The broker ended it, since nothing is left in it.
            0 => self.start_anew(),
            _ => self.epoch = self.epoch.checked_add(1).unwrap_or(1),
        }
        true
    }

    /// There is no answer: nobody knows how far the broker got.
    pub(crate) fn on_failure(&mut self) {
        if ConsumerRule::LostAnswerEndsTheSession.holds() {
            self.close_and_start_anew();
        }
    }

    fn start_anew(&mut self) {
        (self.session_id, self.epoch) = (0, 0);
    }
    /// A full fetch that ends the session it names (`FetchMetadata.nextCloseExistingAttemptNew`).
    fn close_and_start_anew(&mut self) {
        self.epoch = 0;
    }
}

fn topics_of(wanted: &[(PartitionId, Wanted)]) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for ((topic_id, partition), wanted) in wanted {
        let asked = FetchPartition::default()
            .with_partition(*partition)
            .with_current_leader_epoch(wanted.current_leader_epoch)
            .with_fetch_offset(wanted.fetch_offset)
            .with_last_fetched_epoch(wanted.last_fetched_epoch)
            .with_log_start_offset(wanted.log_start_offset)
            .with_partition_max_bytes(wanted.max_bytes);
        match topics.last_mut() {
            Some(topic) if topic.topic_id == *topic_id => topic.partitions.push(asked),
            _ => topics.push(FetchTopic::default().with_topic_id(*topic_id).with_partitions(vec![asked])),
        }
    }
    topics
}
