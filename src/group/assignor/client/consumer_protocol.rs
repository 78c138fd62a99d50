//! The consumer protocol inside JoinGroup and SyncGroup: what a member subscribes to, and what it is assigned.
//!
//! The group's coordinator does not read these bytes, only members do: each writes its subscription, the leader reads them
//! all and writes an assignment for each. A version stands before the message. Since fields are only ever added at the end,
//! a version above the highest known is read as the highest known (`ConsumerProtocol`).
//!
//! Writing is the kafka-protocol crate's, whose readers trust the lengths they find; these bytes come from other members,
//! so reading is done here, with every length held against what is there.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as OwnedTopic;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::wire::{Malformed, Reader};
use crate::ids::{Topic, TopicPartition};
use crate::protocol::topic_name;

/// The highest version of both messages. 1 added the owned partitions (KIP-429), 2 the generation (KIP-792), 3 the rack (KIP-881).
pub const HIGHEST_VERSION: i16 = 3;

/// What a member says of itself when it joins (`ConsumerPartitionAssignor.Subscription`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The topics that it wants.
    pub topics: Vec<Topic>,
    /// What its assignor wants its fellow at the leader to know.
    pub user_data: Option<Bytes>,
    /// The partitions that it owns. Since version 1.
    pub owned_partitions: Vec<TopicPartition>,
    /// The generation in which it was assigned them; `None` for none. Since version 2.
    pub generation_id: Option<i32>,
    /// The rack in which it stands. Since version 3.
    pub rack_id: Option<String>,
    /// Its `group.instance.id`. Not among the bytes: the leader takes it from the response to JoinGroup.
    pub group_instance_id: Option<String>,
}

impl Subscription {
    /// A subscription to these topics, of a member that owns nothing.
    pub fn to<'a>(topics: impl IntoIterator<Item = &'a str>) -> Self {
        Subscription { topics: topics.into_iter().map(Topic::new).collect(), ..Subscription::default() }
    }

    /// The bytes, in the highest version. Topics and owned partitions are sorted (`ConsumerProtocol.serializeSubscription`).
    pub fn encode(&self) -> Result<Bytes, NotEncodable> {
        self.encode_as(HIGHEST_VERSION)
    }

    /// The bytes in a version; one that is too high becomes the highest.
    pub fn encode_as(&self, version: i16) -> Result<Bytes, NotEncodable> {
        let mut topics = self.topics.clone();
        topics.sort();
        let mut owned = self.owned_partitions.clone();
        owned.sort();
        let owned = by_topic(owned).into_iter().map(|(topic, partitions)| {
            OwnedTopic::default().with_topic(topic_name(&topic)).with_partitions(partitions)
        });
        let message = ConsumerProtocolSubscription::default()
            .with_topics(topics.iter().map(|topic| StrBytes::from_string(topic.as_str().to_string())).collect())
            .with_user_data(self.user_data.clone())
            .with_owned_partitions(owned.collect())
            .with_generation_id(self.generation_id.unwrap_or(-1))
            .with_rack_id(self.rack_id.clone().map(StrBytes::from_string));
        with_version_before(version, &message)
    }

    /// Reads the bytes of another member.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let version = version_of(&mut reader)?;
        let topics = reader.array("topics", |reader| Ok(Topic::new(reader.string("a topic")?)))?;
        let user_data = reader.nullable_bytes("user data")?.map(Bytes::copy_from_slice);
        let owned_partitions = if version >= 1 { partitions(&mut reader)? } else { Vec::new() };
        let generation_id = if version >= 2 { reader.i32("the generation id")? } else { -1 };
        let rack_id = if version >= 3 { reader.nullable_string("the rack id")? } else { None };
        Ok(Subscription {
            topics,
            user_data,
            owned_partitions,
            generation_id: Some(generation_id).filter(|generation| *generation >= 0),
            rack_id: rack_id.filter(|rack| !rack.is_empty()).map(str::to_string),
            group_instance_id: None,
        })
    }
}

/// What the leader assigns a member (`ConsumerPartitionAssignor.Assignment`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The partitions, in the order in which the assignor gave them.
    pub partitions: Vec<TopicPartition>,
    /// What the assignor wants its fellow at the member to know. None of Kafka's own assignors sends any.
    pub user_data: Option<Bytes>,
}

impl Assignment {
    /// The bytes, in the highest version. Partitions are gathered by topic, topics in the order in which they first appear
    /// (`ConsumerProtocol.serializeAssignment`).
    pub fn encode(&self) -> Result<Bytes, NotEncodable> {
        self.encode_as(HIGHEST_VERSION)
    }

    /// The bytes in a version; one that is too high becomes the highest.
    pub fn encode_as(&self, version: i16) -> Result<Bytes, NotEncodable> {
        let assigned = by_topic(self.partitions.iter().cloned()).into_iter().map(|(topic, partitions)| {
            AssignedTopic::default().with_topic(topic_name(&topic)).with_partitions(partitions)
        });
        let message = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(assigned.collect())
            .with_user_data(self.user_data.clone());
        with_version_before(version, &message)
    }

    /// Reads the bytes of the leader.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        version_of(&mut reader)?;
        let partitions = partitions(&mut reader)?;
        let user_data = reader.nullable_bytes("user data")?.map(Bytes::copy_from_slice);
        Ok(Assignment { partitions, user_data })
    }
}

/// A subscription or an assignment that no bytes can stand for: a version below 0, or a name beyond 32767 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consumer protocol cannot say this in version {version}: {why}")]
pub struct NotEncodable {
    /// The version that was asked for.
    pub version: i16,
    /// What is wrong.
    pub why: String,
}

fn with_version_before(version: i16, message: &impl Encodable) -> Result<Bytes, NotEncodable> {
    let version = version.min(HIGHEST_VERSION);
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    message.encode(&mut bytes, version).map_err(|why| NotEncodable { version, why: why.to_string() })?;
    Ok(bytes.freeze())
}

fn version_of(reader: &mut Reader<'_>) -> Result<i16, Malformed> {
    let version = reader.i16("the version")?;
    if version < 0 {
        return Err(Malformed::Version { version });
    }
    Ok(version.min(HIGHEST_VERSION))
}

/// An array of topics, each with an array of partitions.
pub(super) fn partitions(reader: &mut Reader<'_>) -> Result<Vec<TopicPartition>, Malformed> {
    let topics = reader.array("topics with partitions", |reader| {
        let topic = Topic::new(reader.string("a topic")?);
        let partitions = reader.array("partitions", |reader| reader.i32("a partition"))?;
        Ok(partitions.into_iter().map(move |partition| TopicPartition::new(&topic, partition)).collect::<Vec<_>>())
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// Topics in the order in which they first appear, each with its partitions in their order.
pub(super) fn by_topic(partitions: impl IntoIterator<Item = TopicPartition>) -> Vec<(Topic, Vec<i32>)> {
    let mut topics: Vec<(Topic, Vec<i32>)> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((topic, vec![partition])),
        }
    }
    topics
}
