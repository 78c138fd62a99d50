//! Which partition of `__consumer_offsets` holds a group?

/// The topic that holds committed offsets and groups (`Topic.GROUP_METADATA_TOPIC_NAME`).
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The partition whose leader coordinates the group: `Utils.abs(groupId.hashCode()) % numPartitions`. `None` while the
/// topic has no partitions. Source: `GroupCoordinatorService.partitionFor`.
pub fn partition_for(group: &str, partitions: i32) -> Option<i32> {
    java_abs(java_hash_code(group)).checked_rem(partitions)
}

/// Java's `String.hashCode`: over the UTF-16 code units, in wrapping arithmetic.
fn java_hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Kafka's `Utils.abs`: the smallest number, which has no opposite, becomes 0.
fn java_abs(hash: i32) -> i32 {
    hash.checked_abs().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_hashes_as_in_java() {
        // Known values of String.hashCode; the last but one is the smallest int, the last a surrogate pair.
        let known = [
            ("", 0),
            ("a", 97),
            ("hello", 99_162_322),
            ("Hello World", -862_545_276),
            ("polygenelubricants", i32::MIN),
            ("\u{1F600}", 1_772_899),
        ];
        for (text, hash) in known {
            assert_eq!(java_hash_code(text), hash, "{text:?}");
        }
    }

    #[test]
    fn every_group_has_a_partition_and_a_topic_without_partitions_has_no_group() {
        assert_eq!(partition_for("hello", 50), Some(22));
        assert_eq!(partition_for("Hello World", 50), Some(26), "a negative hash counts without its sign");
        assert_eq!(partition_for("polygenelubricants", 50), Some(0), "the smallest int has no absolute value");
        assert_eq!(partition_for("hello", 0), None);
    }
}
