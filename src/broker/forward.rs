//! Requests that only the controller can serve: handed on, and the answer handed back.
//!
//! Kafka wraps them in an Envelope (KIP-590); this model forwards them as they are, which differs only in authorization.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, RequestKind, TopicName};

use super::controller_link::ControllerLink;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ReqId};
use crate::protocol::versions;

#[derive(Clone, Debug)]
struct Forwarded {
    /// Whom to answer; nobody when the broker itself asked (automatic topic creation).
    req: Option<(ReqId, ConnId)>,
    version: i16,
    body: RequestKind,
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
            link: ControllerLink::new(&setup.controllers, Purpose::Forwarding, setup.config.request_timeout_ms),
            waiting: Vec::new(),
            creating: Vec::new(),
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        if self.waiting.is_empty() && self.link.calls_in_flight() == 0 { None } else { self.link.next_deadline() }
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
        self.forwarder.waiting.push(Forwarded { req: Some((req, conn)), version, body });
        self.run_forwarder(now, fx);
    }

    /// Asks the controller for a topic that a client named and nobody created (`AutoTopicCreationManager`).
    pub(super) fn create_topic_automatically(&mut self, now: Now, name: &TopicName, fx: &mut Effects<'_>) {
        if self.forwarder.creating.contains(name) {
            return;
        }
        self.forwarder.creating.push(name.clone());
        let config = &self.setup.config;
        let topic = CreatableTopic::default()
            .with_name(name.clone())
            .with_num_partitions(config.num_partitions as i32)
            .with_replication_factor(config.default_replication_factor as i16);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let body = RequestKind::CreateTopics(request);
        self.forwarder.waiting.push(Forwarded { req: None, version: versions::CREATE_TOPICS, body });
        self.run_forwarder(now, fx);
    }

    pub(super) fn on_forward_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(event) = self.forwarder.link.on_deadline(now.mono, fx) {
            self.after_forward_event(event, fx);
        }
        self.run_forwarder(now, fx);
    }

    pub(super) fn on_forward_input(&mut self, now: Now, input: Input, fx: &mut Effects<'_>) {
        let event = self.forwarder.link.on_input(now.mono, input, fx);
        self.after_forward_event(event, fx);
        self.run_forwarder(now, fx);
    }

    fn after_forward_event(&mut self, event: ChannelEvent<Forwarded>, fx: &mut Effects<'_>) {
        match event {
            ChannelEvent::Response(response, forwarded) => match forwarded.req {
                Some((req, _)) => fx.answer(req, *response),
                None => self.forget_creating(&forwarded.body),
            },
            // The controller may have done it: the client shall ask again on a fresh connection.
            ChannelEvent::Ended(_, calls) => {
                for call in calls {
                    match call.about.req {
                        Some((_, conn)) => fx.hang_up(conn),
                        None => self.forget_creating(&call.about.body),
                    }
                }
            }
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
    }

    fn forget_creating(&mut self, body: &RequestKind) {
        if let RequestKind::CreateTopics(request) = body {
            self.forwarder.creating.retain(|name| !request.topics.iter().any(|t| t.name == *name));
        }
    }

    fn run_forwarder(&mut self, now: Now, fx: &mut Effects<'_>) {
        let forwarder = &mut self.forwarder;
        if forwarder.waiting.is_empty() || !forwarder.link.connect(now.mono, fx) {
            return;
        }
        for forwarded in std::mem::take(&mut forwarder.waiting) {
            let request = forwarded.body.clone();
            forwarder.link.call(now.mono, fx, forwarded.version, request, forwarded);
        }
    }
}
