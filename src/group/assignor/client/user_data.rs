//! What do the sticky assignors let their leader know, and what does the leader believe?
//!
//! The sticky assignor is eager: a member gives everything up before it joins, so it owns nothing then. What it owned it
//! writes into the user data, with the generation (`StickyAssignorUserData`; version 0 had no generation, KIP-341 added it).
//! The cooperative one keeps what it owns, tells it in the subscription itself, and writes only the generation into the
//! user data, for leaders that do not know version 2 of the subscription yet (KAFKA-12984, KIP-792).

use bytes::{BufMut, Bytes, BytesMut};

use super::consumer_protocol::{Subscription, by_topic, partitions};
use super::wire::{Malformed, Reader};
use crate::group::assignor::java_order;
use crate::ids::TopicPartition;

/// The generation of a member that has none (`AbstractStickyAssignor.DEFAULT_GENERATION`).
pub(super) const DEFAULT_GENERATION: i32 = -1;

/// Which of the two sticky assignors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StickyKind {
    /// `sticky`.
    Eager,
    /// `cooperative-sticky`.
    Cooperative,
}

/// What a member was assigned last, and in which generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAssignment {
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// The generation.
    pub generation: i32,
}

/// What a member says it owns (`AbstractStickyAssignor.MemberData`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberData {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) generation: Option<i32>,
}

/// The user data of a member of the eager assignor that was assigned something before
/// (`StickyAssignor.serializeTopicPartitionAssignment`).
pub(super) fn encode_eager(last: &LastAssignment) -> Bytes {
    let topics = by_topic(last.partitions.iter().cloned());
    // Kafka gathers the topics in a hash map and writes them as they come out of it.
    let order = java_order::grown(topics.iter().map(|(topic, _)| topic));
    let mut bytes = BytesMut::new();
    bytes.put_i32(topics.len() as i32);
    for topic in order {
        let partitions = topics.iter().find(|(of, _)| of == topic).map_or(&[][..], |(_, partitions)| partitions);
        // Topics' names are at most 249 bytes long.
        bytes.put_i16(topic.as_str().len() as i16);
        bytes.put_slice(topic.as_str().as_bytes());
        bytes.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| bytes.put_i32(*partition));
    }
    bytes.put_i32(last.generation);
    bytes.freeze()
}

/// The user data of a member of the cooperative assignor (`CooperativeStickyAssignor.subscriptionUserData`).
pub(super) fn encode_cooperative(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

/// What the leader takes a member to own.
pub(super) fn member_data(kind: StickyKind, subscription: &Subscription) -> MemberData {
    match kind {
        StickyKind::Eager => eager_member_data(subscription),
        StickyKind::Cooperative => cooperative_member_data(subscription),
    }
}

/// Only the user data counts: what an eager member owns when it joins is nothing (`StickyAssignor.memberData`).
fn eager_member_data(subscription: &Subscription) -> MemberData {
    let Some(bytes) = subscription.user_data.as_deref().filter(|bytes| !bytes.is_empty()) else {
        return MemberData::default();
    };
    let version_1 = |reader: &mut Reader<'_>| -> Result<MemberData, Malformed> {
        let partitions = partitions(reader)?;
        Ok(MemberData { partitions, generation: Some(reader.i32("the generation")?) })
    };
    let version_0 = |reader: &mut Reader<'_>| -> Result<MemberData, Malformed> {
        Ok(MemberData { partitions: partitions(reader)?, generation: None })
    };
    version_1(&mut Reader::new(bytes))
        .or_else(|_| version_0(&mut Reader::new(bytes)))
        // What cannot be read was never owned.
        .unwrap_or_else(|_| MemberData { partitions: Vec::new(), generation: Some(DEFAULT_GENERATION) })
}

/// The subscription counts, and the user data for the generation where the subscription is too old to tell one
/// (`CooperativeStickyAssignor.memberData`).
fn cooperative_member_data(subscription: &Subscription) -> MemberData {
    let in_user_data = || {
        let bytes = subscription.user_data.as_deref()?;
        Some(Reader::new(bytes).i32("the generation").unwrap_or(DEFAULT_GENERATION))
    };
    let generation = subscription.generation_id.or_else(in_user_data);
    MemberData { partitions: subscription.owned_partitions.clone(), generation }
}
