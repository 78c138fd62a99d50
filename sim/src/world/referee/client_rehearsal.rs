//! What would a client do if brokers lost, forgot and refused what they do not in this run? One like it is played with.
//!
//! ```text
//!   a client sends its first batch or fetch, or joins ─▶ has one of its kind been played with in this run?
//!                                                           │ no
//!   a client of its own, of the same make ─▶ plays ─▶ requests, outcomes: as the rules want them?
//! ```
//!
//! Brokers seldom lose what they acknowledged, and never run out of sequences; that a client has an answer to that does
//! not show as long as they do not. It is not a copy of the client as it stands: each play wants another past, and a client
//! that has just started can be given any.

use std::collections::BTreeSet;

use kafka_protocol::messages::RequestKind;
use trial_kafka::config::GroupProtocol;
use trial_kafka::node::{Effect, EventId, Now};

use super::{
    Speaker, consumer_copy, consumer_plays, group_client_copy, group_client_plays, producer_copy, producer_plays,
};
use crate::world::slot::SimNode;

/// What is left of a client of the run in one that is played with, as far as it may matter to a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// One that packs its batches so.
    Producer(u8),
    Consumer,
    /// A consumer in a group of that protocol.
    Member(GroupProtocol),
}

/// A node has handled something: plays with one like it if it is a client that has sent a batch or a fetch, or joins a group,
/// and of a kind that is new.
pub(super) fn rehearse(
    rehearsed: &mut BTreeSet<Kind>,
    effects: &[(Effect, EventId)],
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    let SimNode::Client(client) = &speaker.slot.node else { return };
    let asks = |what: fn(&RequestKind) -> bool| {
        effects.iter().any(|(effect, _)| matches!(effect, Effect::Call { request, .. } if what(request)))
    };
    let zoo = client.zoo();
    if let Some(config) = client.producer_config()
        && asks(|request| matches!(request, RequestKind::Produce(_)))
        && rehearsed.insert(Kind::Producer(config.compression_type.0 as u8))
    {
        producer_plays::play_all(&producer_copy::Setup { config, zoo, now, lie: None }, speaker);
    }
    if asks(|request| matches!(request, RequestKind::Fetch(_))) && rehearsed.insert(Kind::Consumer) {
        consumer_plays::play_all(&consumer_copy::Setup { zoo, now, lie: None }, speaker);
    }
    let joins = [
        (GroupProtocol::Classic, asks(|request| matches!(request, RequestKind::JoinGroup(_)))),
        (GroupProtocol::Consumer, asks(|request| matches!(request, RequestKind::ConsumerGroupHeartbeat(_)))),
    ];
    for (protocol, _) in joins.into_iter().filter(|(_, joins)| *joins) {
        if rehearsed.insert(Kind::Member(protocol)) {
            group_client_plays::play_all(&group_client_copy::Setup { protocol, zoo, now, lie: None }, speaker);
        }
    }
}
