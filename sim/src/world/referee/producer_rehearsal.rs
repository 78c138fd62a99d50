//! What would a producer do if brokers lost, forgot and refused what they do not in this run? One like it is played with.
//!
//! ```text
//!   a producer sends its first batch ─▶ has one of its kind been played with in this run?
//!                                         │ no
//!   its configuration ─▶ a producer of its own ─▶ plays ─▶ requests, outcomes: as the rules want them?
//! ```
//!
//! Brokers seldom lose what they acknowledged, and never run out of sequences; that a producer has an answer to that does
//! not show as long as they do not. It is not a copy of the producer as it stands: each play wants another past, and
//! a producer that has just started can be given any.

use std::collections::BTreeSet;

use kafka_protocol::messages::RequestKind;
use trial_kafka::node::{Effect, EventId, Now};

use super::producer_copy::Setup;
use super::{Speaker, producer_plays};
use crate::world::slot::SimNode;

/// What is left of the producer of the run in one that is played with, as far as it may matter to a play.
fn kind(setup: &Setup<'_>) -> u64 {
    setup.config.compression_type.0 as u64
}

/// A node has handled something: plays with one like it if it is a producer that has sent a batch, and of a kind that is new.
pub(super) fn rehearse(
    rehearsed: &mut BTreeSet<u64>,
    effects: &[(Effect, EventId)],
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    let SimNode::Client(client) = &speaker.slot.node else { return };
    let is_batch = |(effect, _): &(Effect, EventId)| match effect {
        Effect::Call { request, .. } => matches!(**request, RequestKind::Produce(_)),
        _ => false,
    };
    let Some(config) = client.producer_config().filter(|_| effects.iter().any(is_batch)) else { return };
    let setup = Setup { config, zoo: client.zoo(), now };
    if rehearsed.insert(kind(&setup)) {
        producer_plays::play_all(&setup, speaker);
    }
}
