//! Kafka's wire protocol on a byte stream: frames, headers, and the check before decoding.
//!
//! ```text
//!   size: i32 │ request header: api key, version, correlation id, client id │ request
//!   size: i32 │ response header: correlation id                             │ response
//! ```
//!
//! What comes from a socket passes three gates before a node sees it: the frame is no larger than
//! [`MAX_FRAME_BYTES`] and is buffered only as far as it has arrived; its API and version are among those offered; and its
//! bytes have the shape of that message, so that no announced length makes the decoder allocate what is not there.
//! Whoever fails one of them loses the connection, as in Kafka. Record batches inside are opaque here; the broker checks
//! them as part of produce and fetch.

mod call;
mod frame;
mod request;
mod shape;
mod shapes;

pub(crate) use call::{decode_response, encode_request};
pub(crate) use frame::read_frame;
pub(crate) use request::{Incoming, decode_request, encode_response};

pub use frame::{FrameError, MAX_FRAME_BYTES};
pub use shape::{MAX_ELEMENTS, ShapeError};

use kafka_protocol::messages::ApiKey;

/// Why a message was not understood.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes have not the shape of such a message.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// For instance "request header".
        what: &'static str,
        /// Why.
        why: ShapeError,
    },
    /// The shape is right but not the meaning: text that is not UTF-8, null where there must be none.
    #[error("{api:?} version {version} cannot be decoded: {why:#}")]
    Undecodable {
        /// Which API.
        api: ApiKey,
        /// Which version.
        version: i16,
        /// The decoder's words.
        why: anyhow::Error,
    },
    /// A message of ours cannot be expressed at that version.
    #[error("{api:?} version {version} cannot be encoded: {why:#}")]
    Unencodable {
        /// Which API.
        api: ApiKey,
        /// Which version.
        version: i16,
        /// The encoder's words.
        why: anyhow::Error,
    },
    /// No such API, or not at that version.
    #[error("API {api_key} version {version} is not offered")]
    NotOffered {
        /// The number in the header.
        api_key: i16,
        /// The version asked for.
        version: i16,
    },
    /// A response that nobody waits for, or in the wrong order.
    #[error("response {got} came where {expected} was due")]
    OutOfOrder {
        /// The correlation id that was due.
        expected: i32,
        /// The one that came.
        got: i32,
    },
    /// No node of ours sends such a message.
    #[error("no node sends or takes this kind of message")]
    UnknownKind,
}
