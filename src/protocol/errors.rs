//! Error codes and their Kafka names.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};

/// The code that stands for success.
pub const NONE: i16 = 0;

/// Kafka's name of an error, as `Errors.java` and every Kafka tool spells it: `NOT_LEADER_OR_FOLLOWER`.
pub fn error_name(error: ResponseError) -> String {
    let camel = match error {
        ResponseError::Unknown(code) => return format!("UNKNOWN_ERROR_{code}"),
        known => format!("{known:?}"),
    };
    let mut name = String::with_capacity(camel.len() + 8);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Kafka's name of an error code; `NONE` for success.
pub fn code_name(code: i16) -> String {
    code.err().map_or_else(|| "NONE".to_string(), error_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        assert_eq!(error_name(ResponseError::NotLeaderOrFollower), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(error_name(ResponseError::NotEnoughReplicasAfterAppend), "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
        assert_eq!(error_name(ResponseError::OffsetOutOfRange), "OFFSET_OUT_OF_RANGE");
        assert_eq!(error_name(ResponseError::InvalidTopicException), "INVALID_TOPIC_EXCEPTION");
        assert_eq!(error_name(ResponseError::Unknown(999)), "UNKNOWN_ERROR_999");
        assert_eq!(code_name(0), "NONE");
        assert_eq!(code_name(6), "NOT_LEADER_OR_FOLLOWER");
    }
}
