//! A shard with a log and a cluster, for the stories.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{ConsumerProtocolSubscription, JoinGroupRequest, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::Encodable;
use uuid::Uuid;

use super::api::{AskId, Caller, Request, Response, group_id, text};
use super::config::GroupConfig;
use super::records::Record;
use super::shard::{Context, Effects, Shard};
use crate::ids::Topic;
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::node::{Now, ms};
use crate::protocol::errors::code_name;
use crate::testing::placed;
use crate::zoo::Zoo;

/// The group of which the stories tell.
pub const GROUP: &str = "g";

/// See the module documentation.
pub struct Story {
    pub shard: Shard,
    pub config: GroupConfig,
    pub zoo: Zoo,
    pub now: Now,
    pub metadata: MetadataImage,
    /// Each batch with its end.
    pub log: Vec<(Vec<Record>, i64)>,
    pub answers: BTreeMap<AskId, Response>,
    pub abandoned: Vec<AskId>,
    /// The followers are away: nothing is committed.
    pub followers_are_away: bool,
    /// The log takes nothing.
    pub log_refuses: Option<ResponseError>,
    asks: u64,
}

impl Story {
    /// A coordinator that has just loaded an empty log.
    pub fn new() -> Story {
        Story::with(GroupConfig::default(), Zoo::default())
    }
    pub fn with(config: GroupConfig, zoo: Zoo) -> Story {
        let mut story = Story {
            shard: Shard::new(config.clone(), zoo),
            config,
            zoo,
            now: Now { mono: ms(1_000_000), wall: 1_700_000_000_000 },
            metadata: MetadataImage::default(),
            log: Vec::new(),
            answers: BTreeMap::new(),
            abandoned: Vec::new(),
            followers_are_away: false,
            log_refuses: None,
            asks: 0,
        };
        let effects = story.shard.loaded(Context { now: story.now, metadata: &story.metadata }, 0);
        story.carry_out(effects);
        story
    }

    pub fn end(&self) -> i64 {
        self.log.last().map_or(0, |(_, end)| *end)
    }
    /// A topic comes, or grows.
    pub fn topic(&mut self, name: &str, partitions: i32) -> Uuid {
        let known = self.metadata.topic(name).map(|topic| (topic.topic_id, topic.partitions.len()));
        let topic_id = known.map_or(Uuid::from_u128(0x100 + self.metadata.topics.len() as u128), |(id, _)| id);
        let mut records = Vec::new();
        if known.is_none() {
            records.push(MetadataRecord::Topic { name: Topic::new(name), topic_id });
        }
        for partition in known.map_or(0, |(_, count)| count as i32)..partitions {
            records.push(placed(topic_id, partition, &[1], &[1], 1));
        }
        for record in records {
            self.metadata.apply(self.metadata.next_offset, &record);
        }
        self.shard.on_topics_changed(&[name.to_string()].into());
        topic_id
    }

    /// Topics go.
    pub fn delete_topic(&mut self, name: &str) {
        let cx = Context { now: self.now, metadata: &self.metadata };
        let effects = self.shard.on_topics_deleted(cx, &[Topic::new(name)].into());
        self.carry_out(effects);
    }

    /// Asks, and carries out what comes of it.
    pub fn ask(&mut self, api_version: i16, request: Request) -> AskId {
        self.asks += 1;
        let ask = AskId(self.asks);
        let caller = Caller {
            ask,
            api_version,
            client_id: "c".into(),
            client_host: "/h".into(),
            fresh_id: Uuid::from_u128(u128::from(self.asks)),
        };
        let effects = self.shard.handle(Context { now: self.now, metadata: &self.metadata }, &caller, request);
        self.carry_out(effects);
        ask
    }
    /// Asks what is answered at once.
    pub fn told(&mut self, api_version: i16, request: Request) -> Response {
        let ask = self.ask(api_version, request);
        self.answer(ask).unwrap_or_else(|| panic!("{ask:?} is not answered at once"))
    }
    pub fn answer(&self, ask: AskId) -> Option<Response> {
        self.answers.get(&ask).cloned()
    }

    fn carry_out(&mut self, effects: Effects) {
        for (ask, response) in effects.answers {
            assert!(self.answers.insert(ask, response).is_none(), "{ask:?} is answered twice");
        }
        self.abandoned.extend(effects.abandoned);
        if effects.records.is_empty() {
            return;
        }
        let cx = Context { now: self.now, metadata: &self.metadata };
        let effects = match self.log_refuses {
            Some(error) => self.shard.not_appended(cx, error),
            None => {
                let read_back = effects.records.iter().map(|record| {
                    let (key, value) = record.encode();
                    Record::decode(&key, value.as_deref()).expect("what is written can be read")
                });
                let records: Vec<Record> = read_back.collect();
                assert_eq!(records, effects.records);
                let end = self.end() + records.len() as i64;
                self.log.push((records, end));
                self.shard.appended(cx, end)
            }
        };
        self.carry_out(effects);
        if !self.followers_are_away {
            self.commit();
        }
    }
    /// The followers have everything.
    pub fn commit(&mut self) {
        let effects = self.shard.committed(Context { now: self.now, metadata: &self.metadata }, self.end());
        self.carry_out(effects);
    }
    /// Time passes, and what is due happens in its time.
    pub fn pass(&mut self, millis: i64) {
        let until = self.now.mono + ms(millis);
        loop {
            let at = self.shard.next_deadline().filter(|at| *at <= until).unwrap_or(until).max(self.now.mono);
            self.now.wall += ((at - self.now.mono) / ms(1)) as i64;
            self.now.mono = at;
            while let Some(effects) = self.shard.fire(Context { now: self.now, metadata: &self.metadata }) {
                self.carry_out(effects);
            }
            if at == until {
                return;
            }
        }
    }
    /// Another broker leads, and has loaded the log as far as it is committed.
    pub fn fail_over(&mut self) {
        let effects = self.shard.unload();
        self.carry_out(effects);
        self.shard = Shard::new(self.config.clone(), self.zoo);
        let cx = Context { now: self.now, metadata: &self.metadata };
        for batch in &self.log {
            self.shard.load(cx, std::slice::from_ref(batch));
        }
        let end = self.end();
        let effects = self.shard.loaded(Context { now: self.now, metadata: &self.metadata }, end);
        self.carry_out(effects);
    }

    /// What was written since.
    pub fn written_since(&self, end: i64) -> Vec<Record> {
        self.log.iter().filter(|(_, at)| *at > end).flat_map(|(records, _)| records.clone()).collect()
    }

    // Offsets.

    pub fn commit_request(&self, member: &str, epoch: i32, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
        let topics = offsets.iter().map(|(topic, partition, offset)| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text("")));
            OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition])
        });
        OffsetCommitRequest::default()
            .with_group_id(group_id(GROUP))
            .with_member_id(text(member))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(topics.collect())
    }
    pub fn commit_offset(&mut self, member: &str, epoch: i32, topic: &str, offset: i64) -> String {
        let request = self.commit_request(member, epoch, &[(topic, 0, offset)]);
        self.commit_error(9, request)
    }
    /// The error of the first partition.
    pub fn commit_error(&mut self, api_version: i16, request: OffsetCommitRequest) -> String {
        match self.told(api_version, Request::OffsetCommit(request)) {
            Response::OffsetCommit(response) => code_name(response.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    }
    pub fn fetch_request(&self, topic: &str) -> OffsetFetchRequestGroup {
        let topic =
            OffsetFetchRequestTopics::default().with_name(TopicName(text(topic))).with_partition_indexes(vec![0]);
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(GROUP))
            .with_member_epoch(-1)
            .with_topics(Some(vec![topic]))
    }
    /// What a reader sees of partition 0.
    pub fn committed_offset(&mut self, topic: &str) -> i64 {
        let request = Request::OffsetFetch { group: self.fetch_request(topic), require_stable: false };
        match self.told(9, request) {
            Response::OffsetFetch(group) => group.topics[0].partitions[0].committed_offset,
            other => panic!("{other:?}"),
        }
    }
}

/// The topics of a consumer in the clients' format.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    let topics = topics.iter().map(|topic| text(topic)).collect();
    let subscription = ConsumerProtocolSubscription::default().with_topics(topics);
    subscription.encode(&mut bytes, 0).expect("it can be encoded");
    bytes.freeze()
}

/// A consumer of topic "t" that comes with the assignor "range".
pub fn join_request(member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group_id(GROUP))
        .with_member_id(text(member))
        .with_session_timeout_ms(20_000)
        .with_rebalance_timeout_ms(7_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range", &["t"])])
}
pub fn protocol(name: &str, topics: &[&str]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(subscription(topics))
}
