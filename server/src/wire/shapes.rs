//! The shapes of the messages that our nodes take from sockets: Kafka's message definitions, reduced to widths.
//!
//! That they are right is tested by letting the decoders read random bytes made from them.

use kafka_protocol::messages::ApiKey;

use super::shape::{Field, Kind, Shape, Struct};

const I8: Field = Field::of(Kind::Fixed(1));
const I16: Field = Field::of(Kind::Fixed(2));
const I32: Field = Field::of(Kind::Fixed(4));
const I64: Field = Field::of(Kind::Fixed(8));
const BOOL: Field = I8;
const UUID: Field = Field::of(Kind::Fixed(16));
const TEXT: Field = Field::of(Kind::Text);
const BLOB: Field = Field::of(Kind::Blob);
const I32_ARRAY: Field = Field::of(Kind::Array(&Kind::Fixed(4)));
const TEXT_ARRAY: Field = Field::of(Kind::Array(&Kind::Text));
const UUID_ARRAY: Field = Field::of(Kind::Array(&Kind::Fixed(16)));

/// `shape!(flexible_since, fields…; tag => field, …)`: a message.
macro_rules! shape {
    ($flexible:literal, $($field:expr),* $(; $($tag:literal => $tagged:expr),*)?) => {
        Shape { flexible_since: $flexible, body: structure!($($field),* $(; $($tag => $tagged),*)?) }
    };
}
macro_rules! structure {
    ($($field:expr),* $(; $($tag:literal => $tagged:expr),*)?) => {
        Struct { fields: const { &[$($field),*] }, tagged: const { &[$($(($tag, $tagged)),*)?] } }
    };
}
/// A field that is a struct, or an array of structs.
macro_rules! nested {
    ($($inner:tt)*) => { Field::of(Kind::Struct(const { &structure!($($inner)*) })) };
}
/// A field that is a struct, or null.
macro_rules! nullable {
    ($($inner:tt)*) => { Field::of(Kind::NullableStruct(const { &structure!($($inner)*) })) };
}
macro_rules! array {
    ($($inner:tt)*) => { Field::of(Kind::Array(const { &Kind::Struct(const { &structure!($($inner)*) }) })) };
}

mod groups;

/// The shape of a request, if its API is one that our nodes serve.
pub(crate) fn request(api: ApiKey) -> Option<&'static Shape> {
    Some(match api {
        ApiKey::Produce => &PRODUCE_REQUEST,
        ApiKey::Fetch => &FETCH_REQUEST,
        ApiKey::ListOffsets => &LIST_OFFSETS_REQUEST,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH_REQUEST,
        ApiKey::Metadata => &METADATA_REQUEST,
        ApiKey::ApiVersions => &API_VERSIONS_REQUEST,
        ApiKey::CreateTopics => &CREATE_TOPICS_REQUEST,
        ApiKey::ElectLeaders => &ELECT_LEADERS_REQUEST,
        ApiKey::DeleteTopics => &DELETE_TOPICS_REQUEST,
        ApiKey::DeleteRecords => &DELETE_RECORDS_REQUEST,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS_REQUEST,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS_REQUEST,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS_REQUEST,
        ApiKey::AlterPartitionReassignments => &ALTER_PARTITION_REASSIGNMENTS_REQUEST,
        ApiKey::ListPartitionReassignments => &LIST_PARTITION_REASSIGNMENTS_REQUEST,
        ApiKey::BrokerRegistration => &BROKER_REGISTRATION_REQUEST,
        ApiKey::BrokerHeartbeat => &BROKER_HEARTBEAT_REQUEST,
        ApiKey::AlterPartition => &ALTER_PARTITION_REQUEST,
        ApiKey::DescribeQuorum => &DESCRIBE_QUORUM_REQUEST,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID_REQUEST,
        ApiKey::AllocateProducerIds => &ALLOCATE_PRODUCER_IDS_REQUEST,
        ApiKey::Vote => &VOTE_REQUEST,
        ApiKey::BeginQuorumEpoch => &BEGIN_QUORUM_EPOCH_REQUEST,
        ApiKey::EndQuorumEpoch => &END_QUORUM_EPOCH_REQUEST,
        ApiKey::FetchSnapshot => &FETCH_SNAPSHOT_REQUEST,
        ApiKey::AddRaftVoter => &ADD_RAFT_VOTER_REQUEST,
        ApiKey::RemoveRaftVoter => &REMOVE_RAFT_VOTER_REQUEST,
        ApiKey::UpdateRaftVoter => &UPDATE_RAFT_VOTER_REQUEST,
        ApiKey::FindCoordinator => &groups::FIND_COORDINATOR_REQUEST,
        ApiKey::JoinGroup => &groups::JOIN_GROUP_REQUEST,
        ApiKey::SyncGroup => &groups::SYNC_GROUP_REQUEST,
        ApiKey::Heartbeat => &groups::HEARTBEAT_REQUEST,
        ApiKey::LeaveGroup => &groups::LEAVE_GROUP_REQUEST,
        ApiKey::OffsetCommit => &groups::OFFSET_COMMIT_REQUEST,
        ApiKey::OffsetFetch => &groups::OFFSET_FETCH_REQUEST,
        ApiKey::OffsetDelete => &groups::OFFSET_DELETE_REQUEST,
        ApiKey::DeleteGroups => &groups::DELETE_GROUPS_REQUEST,
        ApiKey::DescribeGroups => &groups::DESCRIBE_GROUPS_REQUEST,
        ApiKey::ListGroups => &groups::LIST_GROUPS_REQUEST,
        ApiKey::ConsumerGroupHeartbeat => &groups::CONSUMER_GROUP_HEARTBEAT_REQUEST,
        ApiKey::ConsumerGroupDescribe => &groups::CONSUMER_GROUP_DESCRIBE_REQUEST,
        _ => return None,
    })
}

/// The shape of a response, if its API is one that our nodes call.
pub(crate) fn response(api: ApiKey) -> Option<&'static Shape> {
    Some(match api {
        ApiKey::Produce => &PRODUCE_RESPONSE,
        ApiKey::Fetch => &FETCH_RESPONSE,
        ApiKey::ListOffsets => &LIST_OFFSETS_RESPONSE,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH_RESPONSE,
        ApiKey::Metadata => &METADATA_RESPONSE,
        ApiKey::ApiVersions => &API_VERSIONS_RESPONSE,
        ApiKey::CreateTopics => &CREATE_TOPICS_RESPONSE,
        ApiKey::ElectLeaders => &ELECT_LEADERS_RESPONSE,
        ApiKey::DeleteTopics => &DELETE_TOPICS_RESPONSE,
        ApiKey::DeleteRecords => &DELETE_RECORDS_RESPONSE,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS_RESPONSE,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS_RESPONSE,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS_RESPONSE,
        ApiKey::AlterPartitionReassignments => &ALTER_PARTITION_REASSIGNMENTS_RESPONSE,
        ApiKey::ListPartitionReassignments => &LIST_PARTITION_REASSIGNMENTS_RESPONSE,
        ApiKey::BrokerRegistration => &BROKER_REGISTRATION_RESPONSE,
        ApiKey::BrokerHeartbeat => &BROKER_HEARTBEAT_RESPONSE,
        ApiKey::AlterPartition => &ALTER_PARTITION_RESPONSE,
        ApiKey::DescribeQuorum => &DESCRIBE_QUORUM_RESPONSE,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID_RESPONSE,
        ApiKey::AllocateProducerIds => &ALLOCATE_PRODUCER_IDS_RESPONSE,
        ApiKey::Vote => &VOTE_RESPONSE,
        ApiKey::BeginQuorumEpoch | ApiKey::EndQuorumEpoch => &QUORUM_EPOCH_RESPONSE,
        ApiKey::FetchSnapshot => &FETCH_SNAPSHOT_RESPONSE,
        ApiKey::AddRaftVoter | ApiKey::RemoveRaftVoter => &CHANGE_RAFT_VOTER_RESPONSE,
        ApiKey::UpdateRaftVoter => &UPDATE_RAFT_VOTER_RESPONSE,
        ApiKey::FindCoordinator => &groups::FIND_COORDINATOR_RESPONSE,
        ApiKey::JoinGroup => &groups::JOIN_GROUP_RESPONSE,
        ApiKey::SyncGroup => &groups::SYNC_GROUP_RESPONSE,
        ApiKey::Heartbeat => &groups::HEARTBEAT_RESPONSE,
        ApiKey::LeaveGroup => &groups::LEAVE_GROUP_RESPONSE,
        ApiKey::OffsetCommit => &groups::OFFSET_COMMIT_RESPONSE,
        ApiKey::OffsetFetch => &groups::OFFSET_FETCH_RESPONSE,
        ApiKey::OffsetDelete => &groups::OFFSET_DELETE_RESPONSE,
        ApiKey::DeleteGroups => &groups::DELETE_GROUPS_RESPONSE,
        ApiKey::DescribeGroups => &groups::DESCRIBE_GROUPS_RESPONSE,
        ApiKey::ListGroups => &groups::LIST_GROUPS_RESPONSE,
        ApiKey::ConsumerGroupHeartbeat => &groups::CONSUMER_GROUP_HEARTBEAT_RESPONSE,
        ApiKey::ConsumerGroupDescribe => &groups::CONSUMER_GROUP_DESCRIBE_RESPONSE,
        _ => return None,
    })
}

static INIT_PRODUCER_ID_REQUEST: Shape = shape!(2, TEXT, I32, I64.since(3), I16.since(3));
static INIT_PRODUCER_ID_RESPONSE: Shape = shape!(2, I32, I16, I64, I16);
static ALLOCATE_PRODUCER_IDS_REQUEST: Shape = shape!(0, I32, I64);
static ALLOCATE_PRODUCER_IDS_RESPONSE: Shape = shape!(0, I32, I16, I64, I32);
static PRODUCE_REQUEST: Shape = shape!(9, TEXT, I16, I32, array!(TEXT.until(12), UUID.since(13), array!(I32, BLOB)));
static FETCH_REQUEST: Shape = shape!(
    12, I32.until(14), I32, I32, I32, I8, I32.since(7), I32.since(7),
    array!(
        TEXT.until(12), UUID.since(13),
        array!(I32, I32.since(9), I64, I32.since(12), I64.since(5), I32; 0 => UUID.since(17), 1 => I64.since(18))
    ),
    array!(TEXT.until(12), UUID.since(13), I32_ARRAY).since(7),
    TEXT.since(11);
    0 => TEXT, 1 => nested!(I32, I64).since(15)
);
static LIST_OFFSETS_REQUEST: Shape =
    shape!(6, I32, I8.since(2), array!(TEXT, array!(I32, I32.since(4), I64)), I32.since(10));
static OFFSET_FOR_LEADER_EPOCH_REQUEST: Shape = shape!(4, I32.since(3), array!(TEXT, array!(I32, I32.since(2), I32)));
static METADATA_REQUEST: Shape =
    shape!(9, array!(UUID.since(10), TEXT), BOOL.since(4), BOOL.since(8).until(10), BOOL.since(8));
static API_VERSIONS_REQUEST: Shape = shape!(3, TEXT.since(3), TEXT.since(3));
static CREATE_TOPICS_REQUEST: Shape =
    shape!(5, array!(TEXT, I32, I16, array!(I32, I32_ARRAY), array!(TEXT, TEXT)), I32, BOOL);
static ELECT_LEADERS_REQUEST: Shape = shape!(2, I8.since(1), array!(TEXT, I32_ARRAY), I32);
static DELETE_TOPICS_REQUEST: Shape = shape!(4, array!(TEXT, UUID).since(6), TEXT_ARRAY.until(5), I32);
static DELETE_RECORDS_REQUEST: Shape = shape!(2, array!(TEXT, array!(I32, I64)), I32);
static DELETE_RECORDS_RESPONSE: Shape = shape!(2, I32, array!(TEXT, array!(I32, I64, I16)));
static DESCRIBE_CONFIGS_REQUEST: Shape = shape!(4, array!(I8, TEXT, TEXT_ARRAY), BOOL, BOOL.since(3));
static CREATE_PARTITIONS_REQUEST: Shape = shape!(2, array!(TEXT, I32, array!(I32_ARRAY)), I32, BOOL);
static INCREMENTAL_ALTER_CONFIGS_REQUEST: Shape = shape!(1, array!(I8, TEXT, array!(TEXT, I8, TEXT)), BOOL);
static ALTER_PARTITION_REASSIGNMENTS_REQUEST: Shape =
    shape!(0, I32, BOOL.since(1), array!(TEXT, array!(I32, I32_ARRAY)));
static LIST_PARTITION_REASSIGNMENTS_REQUEST: Shape = shape!(0, I32, array!(TEXT, I32_ARRAY));
static BROKER_REGISTRATION_REQUEST: Shape = shape!(
    0,
    I32,
    TEXT,
    UUID,
    array!(TEXT, TEXT, I16, I16),
    array!(TEXT, I16, I16),
    TEXT,
    BOOL.since(1),
    UUID_ARRAY.since(2),
    I64.since(3)
);
static BROKER_HEARTBEAT_REQUEST: Shape = shape!(0, I32, I64, I64, BOOL, BOOL; 0 => UUID_ARRAY.since(1));
static ALTER_PARTITION_REQUEST: Shape =
    shape!(0, I32, I64, array!(UUID, array!(I32, I32, I32_ARRAY.until(2), array!(I32, I64).since(3), I8, I32)));
static DESCRIBE_QUORUM_REQUEST: Shape = shape!(0, array!(TEXT, array!(I32)));
static VOTE_REQUEST: Shape = shape!(
    0,
    TEXT,
    I32.since(1),
    array!(TEXT, array!(I32, I32, I32, UUID.since(1), UUID.since(1), I32, I64, BOOL.since(2)))
);
static BEGIN_QUORUM_EPOCH_REQUEST: Shape =
    shape!(1, TEXT, I32.since(1), array!(TEXT, array!(I32, UUID.since(1), I32, I32)), array!(TEXT, TEXT, I16).since(1));
static END_QUORUM_EPOCH_REQUEST: Shape = shape!(
    1,
    TEXT,
    array!(TEXT, array!(I32, I32, I32, I32_ARRAY.until(0), array!(I32, UUID).since(1))),
    array!(TEXT, TEXT, I16).since(1)
);
static FETCH_SNAPSHOT_REQUEST: Shape = shape!(
    0, I32, I32, array!(TEXT, array!(I32, I32, nested!(I64, I32), I64; 0 => UUID.since(1)));
    0 => TEXT
);
static ADD_RAFT_VOTER_REQUEST: Shape = shape!(0, TEXT, I32, I32, UUID, array!(TEXT, TEXT, I16));
static REMOVE_RAFT_VOTER_REQUEST: Shape = shape!(0, TEXT, I32, UUID);
static UPDATE_RAFT_VOTER_REQUEST: Shape = shape!(0, TEXT, I32, I32, UUID, array!(TEXT, TEXT, I16), nested!(I16, I16));

static CHANGE_RAFT_VOTER_RESPONSE: Shape = shape!(0, I32, I16, TEXT);
static UPDATE_RAFT_VOTER_RESPONSE: Shape = shape!(0, I32, I16; 0 => nested!(I32, I32, TEXT, I32));
static PRODUCE_RESPONSE: Shape = shape!(
    9,
    array!(
        TEXT.until(12), UUID.since(13),
        array!(
            I32, I16, I64, I64, I64.since(5), array!(I32, TEXT).since(8), TEXT.since(8);
            0 => nested!(I32, I32).since(10)
        )
    ),
    I32;
    0 => array!(I32, TEXT, I32, TEXT).since(10)
);
static FETCH_RESPONSE: Shape = shape!(
    12, I32, I16.since(7), I32.since(7),
    array!(
        TEXT.until(12), UUID.since(13),
        array!(
            I32, I16, I64, I64, I64.since(5), array!(I64, I64), I32.since(11), BLOB;
            0 => nested!(I32, I64), 1 => nested!(I32, I32), 2 => nested!(I64, I32)
        )
    );
    0 => array!(I32, TEXT, I32, TEXT).since(16)
);
static LIST_OFFSETS_RESPONSE: Shape = shape!(6, I32.since(2), array!(TEXT, array!(I32, I16, I64, I64, I32.since(4))));
static OFFSET_FOR_LEADER_EPOCH_RESPONSE: Shape =
    shape!(4, I32.since(2), array!(TEXT, array!(I16, I32, I32.since(1), I64)));
static METADATA_RESPONSE: Shape = shape!(
    9,
    I32.since(3),
    array!(I32, TEXT, I32, TEXT.since(1)),
    TEXT.since(2),
    I32.since(1),
    array!(
        I16,
        TEXT,
        UUID.since(10),
        BOOL.since(1),
        array!(I16, I32, I32, I32.since(7), I32_ARRAY, I32_ARRAY, I32_ARRAY.since(5)),
        I32.since(8)
    ),
    I32.since(8).until(10),
    I16.since(13)
);
static API_VERSIONS_RESPONSE: Shape = shape!(
    3, I16, array!(I16, I16, I16), I32.since(1);
    0 => array!(TEXT, I16, I16), 1 => I64, 2 => array!(TEXT, I16, I16), 3 => BOOL
);
static CREATE_TOPICS_RESPONSE: Shape = shape!(
    5,
    I32,
    array!(
        TEXT, UUID.since(7), I16, TEXT, I32.since(5), I16.since(5), array!(TEXT, TEXT, BOOL, I8, BOOL).since(5);
        0 => I16
    )
);
static ELECT_LEADERS_RESPONSE: Shape = shape!(2, I32, I16.since(1), array!(TEXT, array!(I32, I16, TEXT)));
static DELETE_TOPICS_RESPONSE: Shape = shape!(4, I32, array!(TEXT, UUID.since(6), I16, TEXT.since(5)));
static DESCRIBE_CONFIGS_RESPONSE: Shape = shape!(
    4,
    I32,
    array!(I16, TEXT, I8, TEXT, array!(TEXT, TEXT, BOOL, I8, BOOL, array!(TEXT, TEXT, I8), I8.since(3), TEXT.since(3)))
);
static CREATE_PARTITIONS_RESPONSE: Shape = shape!(2, I32, array!(TEXT, I16, TEXT));
static INCREMENTAL_ALTER_CONFIGS_RESPONSE: Shape = shape!(1, I32, array!(I16, TEXT, I8, TEXT));
static ALTER_PARTITION_REASSIGNMENTS_RESPONSE: Shape =
    shape!(0, I32, BOOL.since(1), I16, TEXT, array!(TEXT, array!(I32, I16, TEXT)));
static LIST_PARTITION_REASSIGNMENTS_RESPONSE: Shape =
    shape!(0, I32, I16, TEXT, array!(TEXT, array!(I32, I32_ARRAY, I32_ARRAY, I32_ARRAY)));
static BROKER_REGISTRATION_RESPONSE: Shape = shape!(0, I32, I16, I64);
static BROKER_HEARTBEAT_RESPONSE: Shape = shape!(0, I32, I16, BOOL, BOOL, BOOL);
static ALTER_PARTITION_RESPONSE: Shape =
    shape!(0, I32, I16, array!(UUID, array!(I32, I16, I32, I32, I32_ARRAY, I8, I32)));
static DESCRIBE_QUORUM_RESPONSE: Shape = shape!(
    0,
    I16,
    TEXT.since(2),
    array!(
        TEXT,
        array!(
            I32,
            I16,
            TEXT.since(2),
            I32,
            I32,
            I64,
            array!(I32, UUID.since(2), I64, I64.since(1), I64.since(1)),
            array!(I32, UUID.since(2), I64, I64.since(1), I64.since(1))
        )
    ),
    array!(I32, array!(TEXT, TEXT, I16)).since(2)
);
static VOTE_RESPONSE: Shape =
    shape!(0, I16, array!(TEXT, array!(I32, I16, I32, I32, BOOL)); 0 => array!(I32, TEXT, I16).since(1));
/// BeginQuorumEpoch and EndQuorumEpoch are answered alike.
static FETCH_SNAPSHOT_RESPONSE: Shape = shape!(
    0, I32, I16, array!(TEXT, array!(I32, I16, nested!(I64, I32), I64, I64, BLOB; 0 => nested!(I32, I32)));
    0 => array!(I32, TEXT, I16).since(1)
);
static QUORUM_EPOCH_RESPONSE: Shape =
    shape!(1, I16, array!(TEXT, array!(I32, I16, I32, I32)); 0 => array!(I32, TEXT, I16).since(1));

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::{RequestKind, ResponseKind};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use trial_kafka::controller;
    use trial_kafka::protocol::BROKER_APIS;

    use super::super::shape::generate;
    use super::*;

    /// Every API and version that a broker or a controller serves.
    fn served() -> impl Iterator<Item = (ApiKey, i16)> {
        let brokers = BROKER_APIS.iter().map(|api| (api.key, api.min, api.max));
        brokers.chain(controller::SERVED).flat_map(|(key, min, max)| (min..=max).map(move |version| (key, version)))
    }

    /// Decodes and tells how many bytes were left.
    type Decode = fn(ApiKey, Bytes, i16) -> anyhow::Result<usize>;
    type ShapeOf = fn(ApiKey) -> Option<&'static Shape>;

    fn decode_request(api: ApiKey, mut bytes: Bytes, version: i16) -> anyhow::Result<usize> {
        RequestKind::decode(api, &mut bytes, version).map(|_| bytes.len())
    }
    fn decode_response(api: ApiKey, mut bytes: Bytes, version: i16) -> anyhow::Result<usize> {
        ResponseKind::decode(api, &mut bytes, version).map(|_| bytes.len())
    }
    const BOTH: [(ShapeOf, Decode); 2] = [(request, decode_request), (response, decode_response)];

    #[test]
    fn decoders_read_what_the_shapes_say() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (shape_of, decode) in BOTH {
            for (api, version) in served() {
                let shape = shape_of(api).unwrap_or_else(|| panic!("{api:?} has no shape"));
                for _ in 0..50 {
                    let bytes = generate::message(shape, version, &mut random);
                    assert_eq!(shape.check(&bytes, version), Ok(()), "{api:?} v{version}");
                    let left = decode(api, bytes.into(), version);
                    assert!(matches!(left, Ok(0)), "{api:?} v{version}: {left:?}");
                }
            }
        }
    }

    #[test]
    fn what_passes_the_shape_can_be_decoded_without_harm() {
        // Bytes that are cut or changed: either they are refused, or the decoder finds what it was promised and may
        // still refuse their meaning. Were a length passed on unchecked, this test would be aborted.
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (mut refused, mut decoded) = (0, 0);
        for (shape_of, decode) in BOTH {
            for (api, version) in served() {
                let shape = shape_of(api).unwrap_or_else(|| panic!("{api:?} has no shape"));
                for _ in 0..200 {
                    let mut bytes = generate::message(shape, version, &mut random);
                    let length = bytes.len() as u32;
                    match random.next_u32() % 3 {
                        0 => bytes.truncate((random.next_u32() % length.max(1)) as usize),
                        _ if length == 0 => {}
                        _ => (0..3).for_each(|_| {
                            let at = random.next_u32() % length;
                            bytes[at as usize] = [0x00, 0x7f, 0x80, 0xff][(random.next_u32() % 4) as usize];
                        }),
                    }
                    match shape.check(&bytes, version) {
                        Err(_) => refused += 1,
                        Ok(()) => decoded += u32::from(decode(api, bytes.into(), version).is_ok()),
                    }
                }
            }
        }
        assert!(refused > 1_000 && decoded > 1_000, "{refused} refused, {decoded} decoded");
    }
}
