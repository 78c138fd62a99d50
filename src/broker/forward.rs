//! Requests that only the controller can serve: handed on, and the answer handed back.
//!
//! Kafka wraps them in an Envelope (KIP-590); this model forwards them as they are, which differs only in authorization.
//! Source: `ForwardingManager`, `NodeToControllerChannelManagerImpl`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, RequestKind, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::controller_link::ControllerLink;
use super::leader_view::LeaderView;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::config::BrokerConfig;
use crate::controller::error_response;
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ReqId, ms};
use crate::protocol::{is_internal_topic, versions};

/// How long a request is tried (`BrokerServer`: `retryTimeoutMs` of the forwarding channel).
const FORWARD_TIMEOUT: Nanos = ms(60_000);

#[derive(Clone, Debug)]
struct Forwarded {
    /// Whom to answer; nobody when the broker itself asked (automatic topic creation, producer ids).
    req: Option<(ReqId, ConnId)>,
    version: i16,
    body: RequestKind,
    give_up_at: Nanos,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    link: ControllerLink<Forwarded>,
    waiting: Vec<Forwarded>,
    /// Topics whose automatic creation is under way.
    creating: Vec<TopicName>,
}

impl Forwarder {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        Forwarder {
            link: ControllerLink::new(Purpose::Forwarding, setup.config.request_timeout_ms),
            waiting: Vec::new(),
            creating: Vec::new(),
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }
    pub(super) fn next_deadline(&self, view: &LeaderView) -> Option<Nanos> {
        let to_send = if self.waiting.is_empty() { None } else { Some(0) };
        let give_up_at = self.waiting.iter().map(|forwarded| forwarded.give_up_at).min();
        [self.link.next_deadline(view, to_send), give_up_at].into_iter().flatten().min()
    }
    /// How many requests the controller has not answered yet.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len() + self.link.calls_in_flight()
    }
    /// These go before what came later.
    fn wait_again(&mut self, given_back: impl Iterator<Item = Forwarded>) {
        self.waiting.splice(..0, given_back);
    }
}

impl Broker {
    /// Hands a client's request on to the controller.
    pub(super) fn forward(
        &mut self,
        now: Now,
        req: ReqId,
        conn: ConnId,
        version: i16,
        body: RequestKind,
        fx: &mut Effects<'_>,
    ) {
        let give_up_at = now.mono.saturating_add(FORWARD_TIMEOUT);
        self.forwarder.waiting.push(Forwarded { req: Some((req, conn)), version, body, give_up_at });
        self.run_forwarder(now, fx);
    }

    /// Asks the controller for a topic that a client named and nobody created (`AutoTopicCreationManager`).
    pub(super) fn create_topic_automatically(&mut self, now: Now, name: &TopicName, fx: &mut Effects<'_>) {
        if self.forwarder.creating.contains(name) {
            return;
        }
        self.forwarder.creating.push(name.clone());
        let config = &self.setup.config;
        let topic = CreatableTopic::default().with_name(name.clone());
        let topic = match is_internal_topic(name) {
            true => offsets_topic(topic, config),
            false => topic
                .with_num_partitions(config.num_partitions as i32)
                .with_replication_factor(config.default_replication_factor as i16),
        };
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        self.forward_own(now, RequestKind::CreateTopics(request), fx);
    }

    /// Asks the controller for something that this broker itself wants.
    pub(super) fn forward_own(&mut self, now: Now, body: RequestKind, fx: &mut Effects<'_>) {
        let version = match body {
            RequestKind::AllocateProducerIds(_) => versions::ALLOCATE_PRODUCER_IDS,
            _ => versions::CREATE_TOPICS,
        };
        let give_up_at = now.mono.saturating_add(FORWARD_TIMEOUT);
        self.forwarder.waiting.push(Forwarded { req: None, version, body, give_up_at });
        self.run_forwarder(now, fx);
    }

    /// What the broker itself asked for has come; `None` if nobody served it in time.
    fn on_own_answered(&mut self, now: Now, body: &RequestKind, response: Option<&ResponseKind>) {
        match (body, response) {
            (RequestKind::CreateTopics(request), _) => {
                self.forwarder.creating.retain(|name| !request.topics.iter().any(|t| t.name == *name));
            }
            (_, Some(ResponseKind::AllocateProducerIds(response))) => {
                self.on_producer_ids_allocated(now, Some(response));
            }
            _ => self.on_producer_ids_allocated(now, None),
        }
    }

    pub(super) fn on_forward_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(event) = self.forwarder.link.on_deadline(now.mono, &self.observer.view, fx) {
            self.after_forward_event(now, event, fx);
        }
        self.expire_forwarded(now, fx);
        self.run_forwarder(now, fx);
    }

    pub(super) fn on_forward_input(&mut self, now: Now, input: Input, fx: &mut Effects<'_>) {
        let event = self.forwarder.link.on_input(now.mono, input, fx);
        self.after_forward_event(now, event, fx);
        self.run_forwarder(now, fx);
    }

    /// What a controller did not answer, or only with NOT_CONTROLLER, is sent again, to whoever is active then: what the
    /// first one may have done of it, the second tells. Source: `NodeToControllerRequestThread.handleResponse`.
    fn after_forward_event(&mut self, now: Now, event: ChannelEvent<Forwarded>, fx: &mut Effects<'_>) {
        match event {
            ChannelEvent::Response(response, forwarded) if is_not_controller(&response) => {
                let others = self.forwarder.link.on_not_controller(now.mono, fx);
                self.forwarder.wait_again(std::iter::once(forwarded).chain(others));
            }
            ChannelEvent::Response(response, forwarded) => match forwarded.req {
                Some((req, _)) => fx.answer(req, *response),
                None => self.on_own_answered(now, &forwarded.body, Some(&response)),
            },
            ChannelEvent::Ended(_, calls) => self.forwarder.wait_again(calls.into_iter().map(|call| call.about)),
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
    }

    /// Nobody served it in time. Source: `ForwardingManager`'s `onTimeout`.
    fn expire_forwarded(&mut self, now: Now, fx: &mut Effects<'_>) {
        let late: Vec<Forwarded> = self.forwarder.waiting.extract_if(.., |f| f.give_up_at <= now.mono).collect();
        for Forwarded { req, version, body, .. } in late {
            match req {
                Some((req, conn)) => match error_response(&body, version, ResponseError::RequestTimedOut) {
                    Some(response) => fx.answer(req, response),
                    None => fx.hang_up(conn),
                },
                None => self.on_own_answered(now, &body, None),
            }
        }
    }

    fn run_forwarder(&mut self, now: Now, fx: &mut Effects<'_>) {
        let forwarder = &mut self.forwarder;
        if forwarder.waiting.is_empty() || !forwarder.link.connect(now.mono, &self.observer.view, fx) {
            return;
        }
        for forwarded in std::mem::take(&mut forwarder.waiting) {
            let request = forwarded.body.clone();
            forwarder.link.call(now.mono, fx, forwarded.version, request, forwarded);
        }
    }
}

/// `__consumer_offsets` as its coordinators want it. Kafka has it compacted, so that nothing goes that still counts; here it
/// is kept whole. Source: `AutoTopicCreationManager.creatableTopic`, `GroupCoordinatorService.groupMetadataTopicConfigs`.
fn offsets_topic(topic: CreatableTopic, config: &BrokerConfig) -> CreatableTopic {
    let set = |name: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    topic
        .with_num_partitions(i32::try_from(config.offsets_topic_num_partitions).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(config.offsets_topic_replication_factor).unwrap_or(i16::MAX))
        .with_configs(vec![
            set("compression.type", "producer".to_string()),
            set("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
            set("retention.ms", "-1".to_string()),
            set("retention.bytes", "-1".to_string()),
        ])
}

/// Does any error in the answer say that this controller is not the active one? Then all of it goes to the next
/// (`RequestChannel.buildResponseSend`, which puts NOT_CONTROLLER on the envelope).
fn is_not_controller(response: &ResponseKind) -> bool {
    let not_controller = |code: i16| code == ResponseError::NotController.code();
    match response {
        ResponseKind::CreateTopics(r) => r.topics.iter().any(|topic| not_controller(topic.error_code)),
        ResponseKind::DeleteTopics(r) => r.responses.iter().any(|topic| not_controller(topic.error_code)),
        ResponseKind::CreatePartitions(r) => r.results.iter().any(|topic| not_controller(topic.error_code)),
        ResponseKind::IncrementalAlterConfigs(r) => r.responses.iter().any(|config| not_controller(config.error_code)),
        ResponseKind::AllocateProducerIds(r) => not_controller(r.error_code),
        ResponseKind::AlterPartitionReassignments(r) => not_controller(r.error_code),
        ResponseKind::ListPartitionReassignments(r) => not_controller(r.error_code),
        ResponseKind::AddRaftVoter(r) => not_controller(r.error_code),
        ResponseKind::RemoveRaftVoter(r) => not_controller(r.error_code),
        ResponseKind::ElectLeaders(r) => {
            let partitions = r.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
            not_controller(r.error_code) || partitions.into_iter().any(|p| not_controller(p.error_code))
        }
        _ => false,
    }
}
