//! How are the voters written into the metadata log? (KIP-853: the control records `KRaftVersionRecord` and `VotersRecord`.)
//!
//! Whatever comes from a disk or a socket is checked before it is believed, so both are read here and not by a decoder that
//! trusts the lengths it finds.

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::wire::{Reader, Writer};
use super::record::RecordError;
use crate::controller::Voter;
use crate::node::Endpoint;

/// `ControlRecordType.KRAFT_VERSION`.
pub const KRAFT_VERSION: i16 = 5;
/// `ControlRecordType.KRAFT_VOTERS`.
pub const KRAFT_VOTERS: i16 = 6;
/// The level of the feature kraft.version that is in force: voters have directory ids, and may change.
pub const KRAFT_VERSION_LEVEL: i16 = 1;
/// The only version of both records there is.
const VERSION: i16 = 0;
/// The listener that voters reach each other by (`controller.listener.names`).
pub const LISTENER: &str = "CONTROLLER";

/// Key of a control record: version, then type.
pub fn control_key(kind: i16) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(0);
    key.put_i16(kind);
    key.freeze()
}

/// The type of a control record, by its key.
pub fn control_type(key: Option<&[u8]>) -> Option<i16> {
    let kind: [u8; 2] = key?.get(2..4)?.try_into().ok()?;
    Some(i16::from_be_bytes(kind))
}

/// The value of a `KRaftVersionRecord`.
pub fn encode_kraft_version() -> Bytes {
    let mut out = Writer::default();
    out.i16(VERSION);
    out.i16(KRAFT_VERSION_LEVEL);
    out.no_tagged_fields();
    out.bytes.into()
}

/// The value of a `VotersRecord`.
pub fn encode_voters<'a>(voters: impl IntoIterator<Item = &'a Voter>) -> Bytes {
    let voters: Vec<&Voter> = voters.into_iter().collect();
    let mut out = Writer::default();
    out.i16(VERSION);
    out.array_of(&voters, |out, voter| {
        out.i32(voter.id);
        out.uuid(voter.directory_id);
        out.array_of(std::slice::from_ref(&voter.endpoint), |out, endpoint| {
            out.string(LISTENER);
            out.string(&endpoint.host);
            out.u16(endpoint.port);
            out.no_tagged_fields();
        });
        // Which levels of kraft.version the voter understands.
        out.i16(0);
        out.i16(KRAFT_VERSION_LEVEL);
        out.no_tagged_fields();
        out.no_tagged_fields();
    });
    out.no_tagged_fields();
    out.bytes.into()
}

/// Reads the value of a `VotersRecord`.
pub fn decode_voters(value: &[u8]) -> Result<Vec<Voter>, RecordError> {
    let mut input = Reader::new(value);
    input.i16()?;
    let voters = input.array_of(25, |input| {
        let (id, directory_id) = (input.i32()?, input.uuid()?);
        let endpoints = input.array_of(5, |input| {
            let endpoint = (input.string()?, input.string()?, input.u16()?);
            input.skip_tagged_fields()?;
            Ok(endpoint)
        })?;
        input.i16()?;
        input.i16()?;
        input.skip_tagged_fields()?;
        input.skip_tagged_fields()?;
        let reached = endpoints.into_iter().find(|(name, ..)| name == LISTENER);
        let (_, host, port) =
            reached.ok_or(RecordError::Malformed("voter: no endpoint of the controllers' listener"))?;
        Ok(Voter { id, directory_id, endpoint: Endpoint { host, port } })
    })?;
    input.skip_tagged_fields()?;
    if voters.is_empty() {
        return Err(RecordError::Malformed("set of voters: it is empty"));
    }
    Ok(voters)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{KRaftVersionRecord, VotersRecord};
    use kafka_protocol::protocol::Decodable;
    use uuid::Uuid;

    use super::*;

    fn voters() -> Vec<Voter> {
        let voter = |id: i32| Voter {
            id,
            directory_id: Uuid::from_u128(70 + id as u128),
            endpoint: Endpoint { host: format!("c{id}"), port: 9093 },
        };
        vec![voter(1), voter(2), voter(3)]
    }

    #[test]
    fn voters_are_read_back_and_read_by_others() {
        let bytes = encode_voters(&voters());
        assert_eq!(decode_voters(&bytes), Ok(voters()));
        let read = VotersRecord::decode(&mut bytes.clone(), 0).unwrap();
        assert_eq!(read.voters.iter().map(|v| v.voter_id.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(read.voters[1].voter_directory_id, Uuid::from_u128(72));
        assert_eq!(read.voters[1].endpoints[0].host.as_str(), "c2");
        assert_eq!(read.voters[1].k_raft_version_feature.max_supported_version, 1);
        let level = KRaftVersionRecord::decode(&mut encode_kraft_version(), 0).unwrap();
        assert_eq!(level.k_raft_version, 1);
    }

    #[test]
    fn bytes_that_are_no_voters_are_refused() {
        let bytes = encode_voters(&voters());
        for cut in 0..bytes.len() {
            assert!(decode_voters(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode_voters(&encode_voters(&[])).is_err(), "without voters");
        assert!(decode_voters(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "four thousand million voters");
    }
}
