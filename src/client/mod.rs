//! Clients as state machines: producer, consumer, admin.

mod channel;

pub use channel::{Channel, ChannelEvent, ChannelTimeouts, Ended, FailedCall};

/// A client's deferred steps.
#[derive(Clone, Debug)]
pub enum Step {}
