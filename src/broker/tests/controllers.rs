//! Which controller a broker talks to: found, followed, left. The quorum is c1, c2, c3 (3001 to 3003).

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_response::NodeEndpoint;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::*;

impl Room {
    /// Three controllers, of whom c1 leads in epoch 1 and broker 1 knows it.
    fn of_three() -> Room {
        let mut room = Room::alone(BrokerConfig::default(), Zoo::default(), 3);
        room.leads_quorum(3001, 1);
        room
    }
    fn create_orders(&mut self) -> ReqId {
        let topic = kafka_protocol::messages::create_topics_request::CreatableTopic::default()
            .with_name(topic_name(&Topic::new("orders")));
        self.send(versions::CREATE_TOPICS, CreateTopicsRequest::default().with_topics(vec![topic]))
    }
    fn answer_create(&mut self, error_code: i16) {
        let call = self.take_call(Purpose::Forwarding);
        let topic =
            CreatableTopicResult::default().with_name(topic_name(&Topic::new("orders"))).with_error_code(error_code);
        self.reply(&call, CreateTopicsResponse::default().with_topics(vec![topic]));
    }
    fn created(&self, req: ReqId) -> Option<String> {
        match self.answers.get(&req)? {
            ResponseKind::CreateTopics(response) => Some(code_name(response.topics[0].error_code)),
            other => panic!("{other:?}"),
        }
    }
    /// Serves clients: it has replayed its own registration.
    fn serves(&mut self) {
        self.metadata(vec![registered(1, 0)]);
    }
    fn answers_with_nothing(&mut self) {
        let call = self.take_call(Purpose::Raft);
        let response = self.by_quorum(PartitionData::default());
        self.reply(&call, response);
    }
    fn goes_on_for(&mut self, millis: i64) {
        for _ in 0..millis / 500 {
            self.pass(500);
            self.answers_with_nothing();
        }
    }
    fn answers_if_asked(&mut self) {
        if self.waiting(Purpose::Raft) > 0 {
            self.answers_with_nothing();
        }
    }
}

#[test]
fn a_broker_asks_one_after_the_other_until_one_names_the_leader() {
    let mut room = Room::alone(BrokerConfig::default(), Zoo::default(), 3);
    assert_eq!(room.asks(Purpose::Raft), Some("c1"));
    room.refuse_metadata(ResponseError::BrokerNotAvailable, -1, 0);
    assert_eq!(room.asks(Purpose::Raft), None, "a short pause");
    room.pass(20);
    assert_eq!(room.asks(Purpose::Raft), Some("c2"));
    assert_eq!(room.broker.broker_epoch(), None, "nobody to register with");
    room.refuse_metadata(ResponseError::FencedLeaderEpoch, 3003, 4);
    assert_eq!(room.asks(Purpose::Raft), Some("c3"), "at once");
    room.pass(0);
    assert_eq!(room.broker.broker_epoch(), Some(0));
}

/// A leader that no configuration names is found by its endpoint in the answer (KIP-853).
#[test]
fn the_leaders_endpoint_is_learnt_with_it() {
    let mut room = Room::alone(BrokerConfig::default(), Zoo::default(), 3);
    let call = room.take_call(Purpose::Raft);
    room.quorum_leader = (3009, 2);
    let refused = PartitionData::default().with_error_code(ResponseError::FencedLeaderEpoch.code());
    let endpoint = NodeEndpoint::default().with_node_id(WireBrokerId(3009)).with_host("c9".into()).with_port(9093);
    let response = room.by_quorum(refused).with_node_endpoints(vec![endpoint]);
    room.reply(&call, response);
    assert_eq!(room.asks(Purpose::Raft), Some("c9"));
}

#[test]
fn dead_controllers_are_passed_over() {
    let mut room = Room::of_three();
    room.dead = vec!["c1", "c2"];
    room.hang_up_on(Purpose::Raft);
    room.pass(100);
    assert_eq!(room.asks(Purpose::Raft), Some("c3"));
}

/// `controller.quorum.fetch.timeout.ms`.
#[test]
fn a_leader_that_does_not_answer_is_left_and_taken_back() {
    let mut room = Room::of_three();
    assert_eq!(room.asks(Purpose::Raft), Some("c1"));
    room.pass(1_999);
    assert_eq!(room.asks(Purpose::Raft), Some("c1"));
    room.pass(50);
    assert_eq!(room.asks(Purpose::Raft), Some("c2"), "c1 was the first bootstrap controller asked");
    // c2 has heard nothing of an election: the leader is not trusted any more, so it is the next one's turn.
    room.leads_quorum(3001, 1);
    room.pass(20);
    assert_eq!(room.asks(Purpose::Raft), Some("c3"));
    room.leads_quorum(3001, 1);
    room.pass(20);
    assert_eq!(room.asks(Purpose::Raft), Some("c1"));
    room.answers_with_nothing();
    assert_eq!(room.asks(Purpose::Raft), Some("c1"), "it serves again");
}

#[test]
fn a_short_break_does_not_lead_away_from_the_leader() {
    let mut room = Room::of_three();
    room.hang_up_on(Purpose::Raft);
    room.pass(20);
    assert_eq!(room.asks(Purpose::Raft), Some("c2"));
    room.leads_quorum(3001, 1);
    room.pass(20);
    assert_eq!(room.asks(Purpose::Raft), Some("c1"));
}

#[test]
fn a_leader_of_an_older_epoch_is_none() {
    let mut room = Room::of_three();
    room.refuse_metadata(ResponseError::NotLeaderOrFollower, 3002, 5);
    assert_eq!(room.asks(Purpose::Raft), Some("c2"));
    room.refuse_metadata(ResponseError::UnknownLeaderEpoch, 3001, 1);
    room.pass(20);
    assert_eq!(room.broker.observer.view.epoch(), 5);
    assert_eq!(room.broker.observer.view.leader().map(|leader| leader.id), Some(3002));
    // And what it sends does not count.
    room.metadata(vec![registered(1, 0)]);
    assert_eq!(room.broker.image().next_offset, 0);
}

#[test]
fn heartbeats_go_to_the_new_leader() {
    let mut room = Room::of_three();
    room.serves();
    room.inactive = vec!["c1"];
    let before = room.heartbeats;
    room.goes_on_for(3_000);
    let refused = room.heartbeats - before;
    assert!((10..=20).contains(&refused), "{refused}: one every 100 ms while no other is known");
    let before = room.heartbeats;
    room.leads_quorum(3003, 2);
    assert_eq!(room.heartbeats - before, 1, "at once");
    let host = room.hosts.iter().rfind(|(conn, _)| room.purposes[conn] == Purpose::Heartbeat).map(|(_, host)| host);
    assert_eq!(host.map(String::as_str), Some("c3"));
}

#[test]
fn an_isr_change_that_the_former_leader_did_not_answer_is_asked_of_the_new_one() {
    let mut room = Room::with(Story::default(), 1, &[1, 2, 3]);
    // 2 and 3 fetch nothing: they leave the ISR.
    while room.waiting(Purpose::AlterPartition) == 0 {
        room.pass(1_000);
        room.answers_if_asked();
    }
    assert_eq!(room.asks(Purpose::AlterPartition), Some("c1"));
    let endpoint = NodeEndpoint::default().with_node_id(WireBrokerId(3002)).with_host("c2".into()).with_port(9093);
    let call = room.take_call(Purpose::Raft);
    room.quorum_leader = (3002, 2);
    let refused = PartitionData::default().with_error_code(ResponseError::FencedLeaderEpoch.code());
    let response = room.by_quorum(refused).with_node_endpoints(vec![endpoint]);
    room.reply(&call, response);
    room.pass(1);
    assert_eq!(room.asks(Purpose::AlterPartition), Some("c2"));
    assert_eq!(room.members_asked(), [(1, 0)]);
}

/// NOT_CONTROLLER is not for the client: the request waits for a controller that is active, as long as Kafka tries.
#[test]
fn a_forwarded_request_is_sent_until_an_active_controller_answers() {
    let mut room = Room::of_three();
    room.serves();
    let req = room.create_orders();
    assert_eq!(room.asks(Purpose::Forwarding), Some("c1"));
    room.answer_create(ResponseError::NotController.code());
    assert_eq!(room.created(req), None);
    room.pass(50);
    assert_eq!(room.waiting(Purpose::Forwarding), 0, "nothing is known of another, so it waits");
    room.leads_quorum(3002, 2);
    room.pass(1);
    assert_eq!(room.asks(Purpose::Forwarding), Some("c2"));
    // That one dies with it, and is elected again.
    room.hang_up_on(Purpose::Forwarding);
    room.pass(100);
    assert_eq!(room.asks(Purpose::Forwarding), Some("c2"));
    room.answer_create(0);
    assert_eq!(room.created(req).as_deref(), Some("NONE"));
}

#[test]
fn a_forwarded_request_that_nobody_serves_times_out() {
    let mut room = Room::of_three();
    room.serves();
    room.dead = vec!["c1", "c2", "c3"];
    let req = room.create_orders();
    room.pass(59_000);
    assert_eq!(room.created(req), None);
    room.pass(2_000);
    assert_eq!(room.created(req).as_deref(), Some("REQUEST_TIMED_OUT"));
}
