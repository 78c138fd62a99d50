//! Records: from whom they are fetched, and what becomes of the answers.
//!
//! Source: `AbstractFetch`, `FetchCollector.handleInitializeErrors`. Each broker is asked by a session of its own
//! (KIP-227), for the partitions that it leads or that its leader said to read there (KIP-392).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestKind};
use kafka_protocol::protocol::StrBytes;

use super::Consumer;
use super::calls::{ConsumerCall, Fetched};
use super::decode::decode;
use super::position::{State, reset_by_policy};
use crate::client::cluster::Peer;
use crate::client::fetch_session::{PartitionId, Wanted};
use crate::client::view::Leader;
use crate::conformance::ConsumerRule;
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos, ms};
use crate::protocol::{error_name, versions};

/// What is wanted of one broker.
#[derive(Default)]
struct FromBroker {
    fetched: Vec<Fetched>,
    wanted: Vec<(PartitionId, Wanted)>,
}

impl Consumer {
    /// Fetches what is not buffered, from each broker that has no fetch to answer. A broker of whose data something is
    /// still buffered is left in peace: a fetch without those partitions would drop them from the session
    /// (KAFKA-17182, `AbstractFetch.prepareFetchRequests`).
    pub(super) fn fetch(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let order = std::mem::take(&mut self.fetch_order);
        let buffered = self.brokers_with_buffered_data(now);
        let max_bytes = int(self.config.max_partition_fetch_bytes);
        let mut by_broker: BTreeMap<BrokerId, FromBroker> = BTreeMap::new();
        for partition in &order {
            let to_fetch = self.assigned.get(partition).and_then(|assigned| assigned.to_fetch(now));
            let Some(position) = to_fetch else { continue };
            let (Some(leader), Some(topic_id)) = (position.leader, self.cluster.view().topic_id(&partition.topic))
            else {
                self.cluster.request_refresh();
                continue;
            };
            let broker = self.read_replica(now, partition, leader, fx);
            if self.fetching_from.contains(&broker) || buffered.contains(&broker) {
                continue;
            }
            let from = by_broker.entry(broker).or_default();
            from.fetched.push(Fetched { partition: partition.clone(), topic_id, offset: position.offset });
            // last_fetched_epoch stays -1: a consumer finds another history by validating, not by fetching (KIP-595 is for
            // replicas).
            let wanted = Wanted {
                current_leader_epoch: leader.epoch,
                fetch_offset: position.offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                max_bytes,
            };
            from.wanted.push(((topic_id, partition.partition), wanted));
        }
        self.fetch_order = order;
        for (broker, FromBroker { fetched, wanted }) in by_broker {
            if self.cluster.connect(broker, now, fx) {
                let request = FetchRequest::default()
                    .with_max_wait_ms(int(self.config.fetch_max_wait_ms))
                    .with_min_bytes(int(self.config.fetch_min_bytes))
                    .with_max_bytes(int(self.config.fetch_max_bytes))
                    .with_rack_id(StrBytes::from_string(self.config.client_rack.clone()));
                let request = self.sessions.entry(broker).or_default().build(&wanted, request);
                self.fetching_from.insert(broker);
                let call = ConsumerCall::Fetch { broker, partitions: fetched };
                self.cluster.call(Peer::Broker(broker), now, fx, (versions::FETCH, RequestKind::Fetch(request)), call);
            } else if self.cluster.view().endpoint(broker).is_none() {
                self.cluster.request_refresh();
            }
        }
    }

    fn brokers_with_buffered_data(&mut self, now: Nanos) -> BTreeSet<BrokerId> {
        if !ConsumerRule::BufferedBrokerIsLeftInPeace.holds() {
            return BTreeSet::new();
        }
        let buffered = self.assigned.values_mut().filter(|assigned| assigned.has_records());
        let broker = |assigned: &mut super::position::Assigned| {
            let State::Fetching(position) = assigned.state else { return None };
            assigned.preferred(now).or(position.leader.map(|leader| leader.broker))
        };
        buffered.filter_map(broker).collect()
    }

    /// The replica that the leader said is nearer, while that holds and it is alive; else the leader
    /// (`AbstractFetch.selectReadReplica`).
    fn read_replica(
        &mut self,
        now: Nanos,
        partition: &TopicPartition,
        leader: Leader,
        fx: &mut Effects<'_>,
    ) -> BrokerId {
        let preferred = self.assigned.get_mut(partition).and_then(|assigned| assigned.preferred(now));
        let Some(preferred) = preferred else { return leader.broker };
        if self.cluster.view().is_online(partition, preferred) || !ConsumerRule::DeadReplicaIsNotRead.holds() {
            return preferred;
        }
        self.cluster.request_refresh();
        self.back_to_leader(partition, &format!("broker {preferred} has no replica that is alive"), fx);
        leader.broker
    }

    /// True if another replica was read from.
    fn back_to_leader(&mut self, partition: &TopicPartition, why: &str, fx: &mut Effects<'_>) -> bool {
        let Some(assigned) = self.assigned.get_mut(partition) else { return false };
        let State::Fetching(position) = assigned.state else { return assigned.prefer_leader() };
        let was_elsewhere = assigned.prefer_leader();
        if let Some(leader) = position.leader.filter(|_| was_elsewhere) {
            let (partition, broker, why) = (partition.clone(), leader.broker, why.to_string());
            fx.record(Event::ReadReplicaChosen { partition, broker, why });
        }
        was_elsewhere
    }

    /// There is no answer: the session's state is unknown, and whoever was near is perhaps no longer there.
    pub(super) fn on_failed_fetch(&mut self, broker: BrokerId, partitions: &[Fetched], fx: &mut Effects<'_>) {
        if let Some(session) = self.sessions.get_mut(&broker) {
            session.on_failure();
        }
        for fetched in partitions {
            self.back_to_leader(&fetched.partition, "a fetch failed", fx);
        }
    }

    pub(super) fn on_fetched(
        &mut self,
        now: Nanos,
        broker: BrokerId,
        asked: Vec<Fetched>,
        answer: FetchResponse,
        fx: &mut Effects<'_>,
    ) {
        if !self.sessions.entry(broker).or_default().on_response(&answer) {
            // Nothing of it counts; the next fetch is a full one.
            if answer.error_code == ResponseError::FetchSessionTopicIdError.code() {
                self.cluster.request_refresh();
            }
            return;
        }
        for topic in answer.responses {
            for data in topic.partitions {
                let of_it =
                    |f: &&Fetched| f.topic_id == topic.topic_id && f.partition.partition == data.partition_index;
                if let Some(fetched) = asked.iter().find(of_it) {
                    self.on_fetched_partition(now, fetched, data, fx);
                }
            }
        }
    }

    fn on_fetched_partition(&mut self, now: Nanos, fetched: &Fetched, data: PartitionData, fx: &mut Effects<'_>) {
        let partition = &fetched.partition;
        // Assigned anew, moved, or led by somebody else meanwhile: the answer is to a question nobody asks any more.
        let Some(assigned) = self.assigned.get_mut(partition).filter(|a| a.fetches_at(fetched.offset)) else { return };
        match ResponseError::try_from_code(data.error_code) {
            None => {
                if data.preferred_read_replica.0 >= 0 {
                    let broker = data.preferred_read_replica.0;
                    if assigned.prefer(broker, now.saturating_add(ms(self.config.metadata_max_age_ms))) {
                        let why = "the leader says that it is nearer".to_string();
                        fx.record(Event::ReadReplicaChosen { partition: partition.clone(), broker, why });
                    }
                }
                let records = data.records.unwrap_or_default();
                let has_records = !records.is_empty();
                let mut decoded = decode(records, partition, fetched.offset);
                assigned.fill(&mut decoded);
                if has_records {
                    self.goes_last(partition);
                }
                if let Some(error) = decoded.error {
                    self.errors.push((partition.clone(), error_name(error)));
                    self.pause(now, partition, error, fx);
                }
            }
            Some(ResponseError::OffsetOutOfRange) => self.on_out_of_range(now, fetched, fx),
            Some(error) => {
                let told = Leader { broker: data.current_leader.leader_id.0, epoch: data.current_leader.leader_epoch };
                self.cluster.view_mut().learn_leader(partition, told);
                if !error.is_retriable() && error != ResponseError::UnknownServerError {
                    self.errors.push((partition.clone(), error_name(error)));
                }
                self.back_to_leader(partition, &error_name(error), fx);
                self.goes_last(partition);
                // The high watermark of a young leader, a replica that is not there yet: metadata may have changed.
                self.cluster.request_refresh();
                self.pause(now, partition, error, fx);
            }
        }
    }

    /// What was just served is asked for last next time, so that none starves (`SubscriptionState.movePartitionToEnd`).
    fn goes_last(&mut self, partition: &TopicPartition) {
        if ConsumerRule::FetchedPartitionGoesLast.holds()
            && let Some(at) = self.fetch_order.iter().position(|p| p == partition)
            && let Some(moved) = self.fetch_order.remove(at)
        {
            self.fetch_order.push_back(moved);
        }
    }

    /// A follower may only be behind: the leader is asked next (KIP-392). A leader's log does not reach the position, any
    /// more or yet: unclean election, lost data, retention. The application hears of it, and the position is reset by
    /// policy. Source: `FetchCollector.handleInitializeErrors`.
    fn on_out_of_range(&mut self, now: Nanos, fetched: &Fetched, fx: &mut Effects<'_>) {
        let error = error_name(ResponseError::OffsetOutOfRange);
        let was_elsewhere = self.back_to_leader(&fetched.partition, &error, fx);
        if was_elsewhere && ConsumerRule::FollowerOutOfRangeMeansTheLeader.holds() {
            return;
        }
        let because = format!("{error} at offset {}", fetched.offset);
        let reset = reset_by_policy(self.config.auto_offset_reset, &because);
        self.errors.push((fetched.partition.clone(), error));
        match self.assigned.get_mut(&fetched.partition) {
            // Without a policy the application is told, and told again, until it chooses a position.
            Some(_) if reset == State::Lost => self.pause(now, &fetched.partition, ResponseError::OffsetOutOfRange, fx),
            Some(assigned) => assigned.go(reset),
            None => {}
        }
    }
}

fn int(n: i64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
