//! AlterPartition: the leader's requests to change in-sync replicas, one in flight at a time.
//!
//! Source: `AlterPartitionManager`, `Partition.submitAlterPartition`, KIP-497. A change stands here from the moment it is
//! decided until the controller has answered it, whatever metadata says meanwhile: what is overtaken is asked nevertheless,
//! and its answer ignored. Until then no other change of that partition is attempted.

use std::collections::BTreeMap;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::alter_partition_response::PartitionData as PartitionAnswer;
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, RequestKind, ResponseKind};
use uuid::Uuid;

use super::controller_link::ControllerLink;
use super::leader_view::LeaderView;
use super::partition::Role;
use super::partition::isr::{IsrMember, IsrState};
use super::replicas::PartitionIx;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::conformance::{HighWatermarkRule, IsrRule};
use crate::event::Event;
use crate::ids::TopicPartition;
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ms};
use crate::protocol::versions;
use crate::zoo::Switch;

/// Pause before a refused request is sent again (`AlterPartitionManager`: `send-alter-partition` after 50 ms).
const RETRY_PAUSE: Nanos = ms(50);

/// `LeaderRecoveryState` in every request: a leader that was elected uncleanly (RECOVERING in the metadata) has nothing to
/// wait for and has recovered as soon as it leads. The controller hears of it with the next change of the ISR (KIP-704,
/// `Partition.makeLeader`).
const RECOVERED: i8 = 0;

/// A change of one partition, as it was decided (`AlterPartitionItem`).
#[derive(Clone, Debug)]
struct AlterPartitionItem {
    topic_id: Uuid,
    leader_epoch: i32,
    partition_epoch: i32,
    isr: IsrState,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct AlterPartitionManager {
    /// What is in flight: the partitions of a request.
    link: ControllerLink<Vec<TopicPartition>>,
    /// Decided and not answered, sent or not (`unsentIsrUpdates`). By name: a topic that is created anew waits for the
    /// answer to its predecessor.
    items: BTreeMap<TopicPartition, AlterPartitionItem>,
    not_before: Nanos,
}

impl AlterPartitionManager {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        AlterPartitionManager {
            link: ControllerLink::new(Purpose::AlterPartition, setup.config.request_timeout_ms),
            items: BTreeMap::new(),
            not_before: 0,
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }
    pub(super) fn next_deadline(&self, view: &LeaderView) -> Option<Nanos> {
        let idle = self.items.is_empty() || self.link.calls_in_flight() > 0;
        self.link.next_deadline(view, if idle { None } else { Some(self.not_before) })
    }
}

impl Broker {
    /// The partition's ISR state has become pending: tells the controller. If an earlier change is not answered yet, which
    /// metadata has overtaken, nothing is attempted, and the change is given up until the next fetch or look
    /// (`AlterPartitionManager.submit`: OPERATION_NOT_ATTEMPTED).
    pub(super) fn ask_for_isr_change(&mut self, now: Now, ix: PartitionIx, fx: &mut Effects<'_>) {
        let partition = self.replicas.get_mut(ix);
        let Role::Leader(state) = &mut partition.role else { return };
        let is_unanswered = self.alter_partition.items.contains_key(&partition.id);
        if is_unanswered && IsrRule::UnansweredChangeIsAloneInItsPartition.holds() {
            return state.isr.revert();
        }
        fx.record(Event::IsrChangeAsked {
            partition: partition.id.clone(),
            from: state.isr.committed().to_vec(),
            isr: state.isr.asked().iter().map(|member| member.broker).collect(),
            partition_epoch: partition.partition_epoch,
        });
        let item = AlterPartitionItem {
            topic_id: partition.topic_id,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: state.isr.clone(),
        };
        self.alter_partition.items.insert(partition.id.clone(), item);
        self.run_alter_partition(now, fx);
    }

    /// This broker as a member of an ISR it asks for (`Partition.localBrokerEpochSupplier`).
    pub(super) fn as_isr_member(&self) -> IsrMember {
        IsrMember { broker: self.setup.node_id, broker_epoch: self.broker_epoch().unwrap_or(-1) }
    }

    /// Has it asked for a change of this partition's ISR that nobody has answered? It asks for no other meanwhile.
    pub fn awaits_isr_change(&self, partition: &TopicPartition) -> bool {
        self.alter_partition.items.contains_key(partition)
    }

    /// `isr-expiration`: looks for members that lag.
    pub(super) fn shrink_isrs(&mut self, now: Now, fx: &mut Effects<'_>) {
        let (me, lag) = (self.as_isr_member(), self.lag_time_max_ms());
        for ix in self.replicas.indices() {
            if self.replicas.get_mut(ix).maybe_shrink_isr(me, now.wall, lag) {
                self.ask_for_isr_change(now, ix, fx);
                if self.setup.zoo.on(Switch::EagerShrink) {
                    self.try_high_watermark(now, ix, fx);
                }
            }
        }
    }

    pub(super) fn on_alter_partition_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(ChannelEvent::Ended(_, calls)) =
            self.alter_partition.link.on_deadline(now.mono, &self.observer.view, fx)
        {
            calls.into_iter().for_each(|call| self.on_alter_partition_lost(call.about));
        }
        self.run_alter_partition(now, fx);
    }

    pub(super) fn on_alter_partition_input(&mut self, now: Now, input: Input, fx: &mut Effects<'_>) {
        match self.alter_partition.link.on_input(now.mono, input, fx) {
            ChannelEvent::Response(response, sent) => {
                if let ResponseKind::AlterPartition(response) = *response {
                    match response.error_code.err() {
                        None => self.on_alter_partition_response(now, &response, sent, fx),
                        Some(error) => self.on_alter_partition_refused(now, error, sent, fx),
                    }
                }
            }
            ChannelEvent::Ended(_, calls) => {
                calls.into_iter().for_each(|call| self.on_alter_partition_lost(call.about))
            }
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
        self.run_alter_partition(now, fx);
    }

    /// Partition by partition. What the answer is silent about is asked for again
    /// (`AlterPartitionManager.handleAlterPartitionResponse`).
    fn on_alter_partition_response(
        &mut self,
        now: Now,
        response: &AlterPartitionResponse,
        sent: Vec<TopicPartition>,
        fx: &mut Effects<'_>,
    ) {
        for id in sent {
            let Some(item) = self.alter_partition.items.get(&id) else { continue };
            let topic = response.topics.iter().find(|topic| topic.topic_id == item.topic_id);
            let answers = topic.into_iter().flat_map(|topic| &topic.partitions);
            let answer = answers.into_iter().find(|answer| answer.partition_index == id.partition);
            if answer.is_none() && IsrRule::UnansweredIsAskedAgain.holds() {
                continue;
            }
            if let (Some(item), Some(answer)) = (self.alter_partition.items.remove(&id), answer) {
                self.on_alter_partition_answered(now, id, item, answer, fx);
            }
        }
    }

    /// The connection ended before the answer came: whether the controller heard the request nobody knows.
    fn on_alter_partition_lost(&mut self, sent: Vec<TopicPartition>) {
        if !IsrRule::LostRequestIsSentAgain.holds() {
            self.alter_partition.items.retain(|id, _| !sent.contains(id));
        }
    }

    /// The whole request was refused (NOT_CONTROLLER, STALE_BROKER_EPOCH …): the same again, after a pause.
    fn on_alter_partition_refused(
        &mut self,
        now: Now,
        error: ResponseError,
        sent: Vec<TopicPartition>,
        fx: &mut Effects<'_>,
    ) {
        if error == ResponseError::NotController {
            // The link itself waits until there is a controller to ask. One request is in flight, and this was it.
            self.alter_partition.link.on_not_controller(now.mono, fx);
        } else {
            self.alter_partition.not_before = now.mono + RETRY_PAUSE;
        }
        if !IsrRule::RefusedRequestIsSentAgain.holds() {
            self.alter_partition.items.retain(|id, _| !sent.contains(id));
        }
    }

    /// Where the change is still what the partition waits for: no metadata has overtaken it.
    fn still_pending(&self, id: &TopicPartition, item: &AlterPartitionItem) -> Option<PartitionIx> {
        let ix = self.replicas.find_by_id(item.topic_id, id.partition)?;
        let partition = self.replicas.get(ix);
        let is_pending = partition.leader_epoch == item.leader_epoch
            && partition.partition_epoch == item.partition_epoch
            && partition.leader_state().is_some_and(|state| state.isr == item.isr);
        (is_pending || !IsrRule::AnswerOfThePastIsIgnored.holds()).then_some(ix)
    }

    /// Sends all that is not answered, if nothing is in flight (`AlterPartitionManager.maybePropagateIsrChanges`).
    fn run_alter_partition(&mut self, now: Now, fx: &mut Effects<'_>) {
        let me = self.as_isr_member();
        let manager = &mut self.alter_partition;
        let is_under_way = manager.link.calls_in_flight() > 0 && IsrRule::OneRequestAtATime.holds();
        if manager.items.is_empty() || is_under_way || manager.not_before > now.mono {
            return;
        }
        let Some(my_epoch) = self.lifecycle.broker_epoch() else {
            // Leads by what the metadata says of its predecessor; it may ask nothing before it is registered itself.
            manager.not_before = now.mono + RETRY_PAUSE;
            return;
        };
        if !manager.link.connect(now.mono, &self.observer.view, fx) {
            return;
        }
        let mut topics: Vec<TopicData> = Vec::new();
        for (id, item) in &self.alter_partition.items {
            let data = self.partition_data_of(me, id, item);
            match topics.last_mut() {
                Some(topic) if topic.topic_id == item.topic_id => topic.partitions.push(data),
                _ => topics.push(TopicData::default().with_topic_id(item.topic_id).with_partitions(vec![data])),
            }
        }
        let manager = &mut self.alter_partition;
        let sent = manager.items.keys().cloned().collect();
        let request = AlterPartitionRequest::default()
            .with_broker_id(me.broker.into())
            .with_broker_epoch(my_epoch)
            .with_topics(topics);
        manager.link.call(now.mono, fx, versions::ALTER_PARTITION, RequestKind::AlterPartition(request), sent);
    }

    /// A change as it is asked for: all as it was decided. With the zoo switch `isr-check-two-snapshots` (KAFKA-15221) the
    /// broker epochs are those of whoever fetches now, though it was another incarnation that had caught up.
    fn partition_data_of(&self, me: IsrMember, id: &TopicPartition, item: &AlterPartitionItem) -> PartitionData {
        let mut members = item.isr.asked().to_vec();
        let looks_again = self.setup.zoo.on(Switch::IsrCheckTwoSnapshots);
        if (looks_again || !IsrRule::BrokerEpochsAreThoseOfTheDecision.holds())
            && let Some(ix) = self.replicas.find_by_id(item.topic_id, id.partition)
            && let Some(state) = self.replicas.get(ix).leader_state()
        {
            members = state.isr_with_broker_epochs(me, members.iter().map(|member| member.broker));
        }
        let broker_state = |member: &IsrMember| {
            BrokerState::default().with_broker_id(member.broker.into()).with_broker_epoch(member.broker_epoch)
        };
        let mut data = PartitionData::default()
            .with_partition_index(id.partition)
            .with_leader_recovery_state(RECOVERED)
            .with_new_isr_with_epochs(members.iter().map(broker_state).collect());
        if IsrRule::RequestNamesTheLeaderEpoch.holds() {
            data.leader_epoch = item.leader_epoch;
        }
        if IsrRule::RequestNamesThePartitionEpoch.holds() {
            data.partition_epoch = item.partition_epoch;
        }
        data
    }

    /// One partition's answer (`Partition.handleAlterPartitionUpdate`, `handleAlterPartitionError`). Ignored when the
    /// pending state is no longer the one that was sent: metadata has overtaken it.
    fn on_alter_partition_answered(
        &mut self,
        now: Now,
        id: TopicPartition,
        item: AlterPartitionItem,
        answer: &PartitionAnswer,
        fx: &mut Effects<'_>,
    ) {
        let Some(ix) = self.still_pending(&id, &item) else { return };
        let partition = self.replicas.get_mut(ix);
        let older = answer.partition_epoch < partition.partition_epoch && IsrRule::OlderAnswerIsIgnored.holds();
        let other_reign =
            answer.leader_epoch != partition.leader_epoch && IsrRule::AnswerOfAnotherReignIsIgnored.holds();
        let Role::Leader(state) = &mut partition.role else { return };
        match answer.error_code.err() {
            None if other_reign || older => {}
            None => {
                let isr: Vec<_> = answer.isr.iter().map(|b| b.0).collect();
                state.isr = IsrState::Committed { isr: isr.clone() };
                partition.partition_epoch = answer.partition_epoch;
                fx.record(Event::IsrAdopted {
                    partition: partition.id.clone(),
                    isr,
                    partition_epoch: answer.partition_epoch,
                });
                // The high watermark may move now (KAFKA-13091, brought back by the zoo switch `no-hw-after-isr-change`).
                if HighWatermarkRule::ConfirmedIsrTries.holds() && !self.setup.zoo.on(Switch::NoHwAfterIsrChange) {
                    self.try_high_watermark(now, ix, fx);
                }
            }
            // The controller says that its partition epoch is ours and that nothing was applied.
            Some(ResponseError::OperationNotAttempted | ResponseError::IneligibleReplica)
                if IsrRule::RefusedChangeIsGivenUp.holds() =>
            {
                state.isr.revert();
            }
            // Stays pending until new metadata comes.
            Some(
                ResponseError::UnknownTopicOrPartition
                | ResponseError::UnknownTopicId
                | ResponseError::FencedLeaderEpoch
                | ResponseError::InvalidUpdateVersion
                | ResponseError::InvalidRequest
                | ResponseError::NewLeaderElected,
            ) if IsrRule::StaleChangeWaitsForMetadata.holds() => {}
            Some(_) if !IsrRule::OtherErrorsAreAskedAgain.holds() => {}
            Some(_) => {
                self.alter_partition.not_before = now.mono + RETRY_PAUSE;
                self.alter_partition.items.insert(id, item);
            }
        }
    }
}
