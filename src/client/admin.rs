//! The admin client: creates, deletes and changes topics, configs and groups, and looks up offsets. Source: `KafkaAdminClient`.
//!
//! Each operation is tried until it is answered for good or its time is over. As in Kafka, an operation whose answer was
//! lost is tried again: a CreateTopic that was carried out then ends as TOPIC_ALREADY_EXISTS.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::protocol::StrBytes;

use super::admin_groups::GroupAsk;
use super::admin_requests::ControllerAsk;
use super::backoff::{Backoff, WakeUp};
use super::cluster::{Cluster, ClusterConfig, Happening, Peer, Versioned};
use super::delete_records;
use super::list_offsets;
use super::{CLOSED, FailedCall, TIMEOUT, is_invalid_metadata};
use crate::ids::TopicPartition;
use crate::node::{Command, Effects, Endpoint, Input, Nanos, Now, OpId, Outcome, ms};
use crate::protocol::{error_name, topic_name};

const RETRY_BACKOFF: Backoff = Backoff { first_ms: 100, longest_ms: 1_000 };

#[derive(Clone, Debug)]
enum Ask {
    Controller(ControllerAsk),
    ListOffset { partition: TopicPartition, timestamp: i64 },
    DeleteRecords { partition: TopicPartition, before: i64 },
    Group(GroupAsk),
}

#[derive(Clone, Debug)]
struct Operation {
    ask: Ask,
    give_up_at: Nanos,
    retry_at: Nanos,
    failures: u32,
    under_way: bool,
    last_error: Option<ResponseError>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    request_timeout_ms: i64,
    cluster: Cluster<OpId>,
    operations: BTreeMap<OpId, Operation>,
    closed: bool,
    wake_up_at: Option<Nanos>,
}

impl Admin {
    /// An admin client that has not spoken to anybody yet.
    pub(crate) fn new(request_timeout_ms: i64, bootstrap: Vec<Endpoint>) -> Self {
        let config = ClusterConfig {
            timeouts: super::channel_timeouts(request_timeout_ms, 50, 1_000),
            retry_backoff: RETRY_BACKOFF,
            metadata_max_age_ms: 300_000,
            allow_auto_topic_creation: false,
            max_in_flight: 100,
        };
        Admin {
            request_timeout_ms,
            cluster: Cluster::new(bootstrap, config),
            operations: BTreeMap::new(),
            closed: false,
            wake_up_at: None,
        }
    }
    /// When it wants to be woken.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.wake_up_at
    }

    /// Handles one input.
    pub(crate) fn handle(&mut self, now: Now, input: Input, fx: &mut Effects<'_>) {
        let now = now.mono;
        match input {
            Input::Command { op, command } => self.on_command(now, op, command, fx),
            input => match self.cluster.on_input(now, input, fx) {
                Happening::Response(response, op) => self.on_response(now, *response, op, fx),
                Happening::Failed(calls) => self.on_failed_calls(now, calls, fx),
                Happening::MetadataChanged | Happening::Nothing => {}
            },
        }
        if !self.closed {
            self.drive(now, fx);
        }
    }

    fn on_command(&mut self, now: Nanos, op: OpId, command: Command, fx: &mut Effects<'_>) {
        let ask = match command {
            Command::Close => return self.close(op, fx),
            _ if self.closed => return fx.deliver(op, super::refused_when_closed()),
            Command::CreateTopic { topic, partitions, replication_factor, assignments, configs } => {
                let manual = !assignments.is_empty();
                Ask::Controller(ControllerAsk::CreateTopic(
                    CreatableTopic::default()
                        .with_name(topic_name(&topic))
                        // Kafka wants both left open where the assignment says them.
                        .with_num_partitions(if manual { -1 } else { partitions })
                        .with_replication_factor(if manual { -1 } else { replication_factor })
                        .with_assignments(manual_assignments(assignments))
                        .with_configs(configs.into_iter().map(creatable_config).collect()),
                ))
            }
            Command::ListOffset { partition, timestamp } => Ask::ListOffset { partition, timestamp },
            Command::DeleteRecords { partition, before } => Ask::DeleteRecords { partition, before },
            Command::DeleteGroup { group } => Ask::Group(GroupAsk::delete(group)),
            Command::DeleteOffsets { group, partitions } => Ask::Group(GroupAsk::delete_offsets(group, partitions)),
            command => match ControllerAsk::of(command) {
                Some(ask) => Ask::Controller(ask),
                None => return fx.deliver(op, super::refused_by_role()),
            },
        };
        let operation = Operation {
            ask,
            give_up_at: now.saturating_add(ms(self.request_timeout_ms.saturating_mul(2))),
            retry_at: 0,
            failures: 0,
            under_way: false,
            last_error: None,
        };
        self.operations.insert(op, operation);
    }

    fn drive(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let failed = self.cluster.give_up_late(now, fx);
        self.on_failed_calls(now, failed, fx);
        let ops: Vec<OpId> = self.operations.keys().copied().collect();
        for op in ops {
            self.try_operation(op, now, fx);
        }
        self.cluster.ask_for_metadata(now, fx);
        let mut wake_up = WakeUp::after(now);
        self.cluster.wake_up(&mut wake_up);
        for operation in self.operations.values() {
            wake_up.also_at(operation.give_up_at);
            wake_up.also_at(operation.retry_at);
        }
        self.wake_up_at = wake_up.at;
    }

    fn try_operation(&mut self, op: OpId, now: Nanos, fx: &mut Effects<'_>) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        if operation.give_up_at <= now {
            let error = operation.last_error.map_or(TIMEOUT.to_string(), error_name);
            self.operations.remove(&op);
            return fx.deliver(op, Outcome::Refused { error });
        }
        if operation.under_way || operation.retry_at > now {
            return;
        }
        if let Some((peer, request)) = prepare(&mut operation.ask, self.request_timeout_ms, &mut self.cluster, now, fx)
        {
            operation.under_way = true;
            self.cluster.call(peer, now, fx, request, op);
        }
    }

    fn on_response(&mut self, now: Nanos, response: ResponseKind, op: OpId, fx: &mut Effects<'_>) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        if let (Ask::Group(ask), ResponseKind::FindCoordinator(answer)) = (&mut operation.ask, &response) {
            return match ask.on_coordinator(answer) {
                Ok((broker, endpoint)) => {
                    operation.under_way = false;
                    self.cluster.learn_broker(broker, endpoint);
                }
                Err(error) => self.end_attempt(now, op, Err(error), fx),
            };
        }
        let end = match (&operation.ask, &response) {
            (Ask::Group(ask), answer) => ask.result(answer).map(|result| result.map(|()| Outcome::Done)),
            (Ask::Controller(ask), answer) => ask.result(answer).map(|result| result.map(|()| Outcome::Done)),
            (Ask::ListOffset { partition, .. }, ResponseKind::ListOffsets(answer)) => {
                list_offsets::answer_for(answer, partition)
                    .map(|found| found.map(|f| Outcome::Offset { offset: f.offset, leader_epoch: f.leader_epoch }))
            }
            (Ask::DeleteRecords { partition, .. }, ResponseKind::DeleteRecords(answer)) => {
                delete_records::answer_for(answer, partition)
                    .map(|low| low.map(|offset| Outcome::Offset { offset, leader_epoch: -1 }))
            }
            _ => None,
        };
        self.end_attempt(now, op, end.unwrap_or(Err(ResponseError::UnknownServerError)), fx);
    }

    fn on_failed_calls(&mut self, now: Nanos, calls: Vec<FailedCall<OpId>>, fx: &mut Effects<'_>) {
        for FailedCall { about: op, timed_out } in calls {
            let error = if timed_out { ResponseError::RequestTimedOut } else { ResponseError::NetworkException };
            self.end_attempt(now, op, Err(error), fx);
        }
    }

    fn end_attempt(&mut self, now: Nanos, op: OpId, end: Result<Outcome, ResponseError>, fx: &mut Effects<'_>) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        match end {
            Err(error) if may_try_again(&operation.ask, error) => {
                if is_invalid_metadata(error) {
                    self.cluster.request_refresh();
                }
                if let Ask::Group(ask) = &mut operation.ask {
                    ask.on_failure(error);
                }
                operation.under_way = false;
                operation.last_error = Some(error);
                operation.retry_at = now.saturating_add(RETRY_BACKOFF.pause(operation.failures, fx));
                operation.failures = operation.failures.saturating_add(1);
            }
            end => {
                self.operations.remove(&op);
                fx.deliver(op, end.unwrap_or_else(|error| Outcome::Refused { error: error_name(error) }));
            }
        }
    }

    fn close(&mut self, op: OpId, fx: &mut Effects<'_>) {
        for op in std::mem::take(&mut self.operations).into_keys() {
            fx.deliver(op, Outcome::Refused { error: CLOSED.to_string() });
        }
        self.cluster.close(fx);
        self.closed = true;
        self.wake_up_at = None;
        fx.deliver(op, Outcome::Done);
    }
}

fn may_try_again(ask: &Ask, error: ResponseError) -> bool {
    match ask {
        Ask::Controller(ask) => ask.is_tried_again_after(error),
        Ask::ListOffset { .. } | Ask::Group(_) => error.is_retriable(),
        Ask::DeleteRecords { .. } => error.is_retriable() && error != ResponseError::OffsetOutOfRange,
    }
}

/// Whom to ask what; `None` while that is not known or the connection is not open. What the controller does is any
/// broker's affair: it forwards (KIP-590). Offsets are the leader's.
fn prepare(
    ask: &mut Ask,
    request_timeout_ms: i64,
    cluster: &mut Cluster<OpId>,
    now: Nanos,
    fx: &mut Effects<'_>,
) -> Option<(Peer, Versioned)> {
    let timeout_ms = i32::try_from(request_timeout_ms).unwrap_or(i32::MAX);
    match ask {
        Ask::Controller(ask) => Some((cluster.connect_any(now, fx)?, ask.request(timeout_ms))),
        Ask::Group(ask) => match ask.coordinator() {
            None => Some((cluster.connect_any(now, fx)?, ask.find())),
            Some(broker) => {
                // Metadata does not name it: it has gone.
                if cluster.view().endpoint(broker).is_none() {
                    ask.forget_coordinator();
                    return None;
                }
                cluster.connect(broker, now, fx).then(|| (Peer::Broker(broker), ask.request()))
            }
        },
        Ask::ListOffset { partition, timestamp } => {
            cluster.want(&partition.topic);
            let Some(leader) = cluster.view().leader(partition) else {
                cluster.request_refresh();
                return None;
            };
            let request = list_offsets::request(&[(partition.clone(), leader.epoch, *timestamp)], timeout_ms);
            cluster.connect(leader.broker, now, fx).then_some((Peer::Broker(leader.broker), request))
        }
        Ask::DeleteRecords { partition, before } => {
            cluster.want(&partition.topic);
            let Some(leader) = cluster.view().leader(partition) else {
                cluster.request_refresh();
                return None;
            };
            let request = delete_records::request(partition, *before, timeout_ms);
            cluster.connect(leader.broker, now, fx).then_some((Peer::Broker(leader.broker), request))
        }
    }
}

fn manual_assignments(assignments: Vec<Vec<i32>>) -> Vec<CreatableReplicaAssignment> {
    let partition = |(index, brokers): (i32, Vec<i32>)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(brokers.into_iter().map(Into::into).collect())
    };
    (0..).zip(assignments).map(partition).collect()
}

fn creatable_config((name, value): (String, String)) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(StrBytes::from_string(name))
        .with_value(Some(StrBytes::from_string(value)))
}
