//! The dialing side: requests out, responses in.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use super::frame::{begin_frame, finish_frame};
use super::request::put_no_tagged_fields;
use super::shape::Walker;
use super::{ShapeError, WireError, shapes};

/// The frame of a request.
pub(crate) fn encode_request(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    request: &RequestKind,
) -> Result<Bytes, WireError> {
    let mut frame = begin_frame();
    frame.put_i16(api as i16);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    let client_id = &client_id.as_bytes()[..client_id.len().min(i16::MAX as usize)];
    frame.put_i16(client_id.len() as i16);
    frame.put_slice(client_id);
    if api.request_header_version(version) >= 2 {
        put_no_tagged_fields(&mut frame);
    }
    request.encode(&mut frame, version).map_err(|why| WireError::Unencodable { api, version, why })?;
    finish_frame(frame).ok_or(WireError::Malformed { what: "request", why: ShapeError::TooManyElements })
}

/// Understands the response that is due now. Responses come in the order of their requests; one that does not leaves
/// nothing to trust on that connection ([`WireError::OutOfOrder`]).
pub(crate) fn decode_response(api: ApiKey, version: i16, due: i32, frame: &Bytes) -> Result<ResponseKind, WireError> {
    let in_header = |why| WireError::Malformed { what: "response header", why };
    let mut walker = Walker::new(frame, 0, true);
    let correlation_id = walker.int32().map_err(in_header)?;
    if correlation_id != due {
        return Err(WireError::OutOfOrder { expected: due, got: correlation_id });
    }
    if api.response_header_version(version) >= 1 {
        walker.tagged_fields(&[]).map_err(in_header)?;
    }
    let shape = shapes::response(api).ok_or(WireError::UnknownKind)?;
    let rest = walker.rest();
    shape.check(rest, version).map_err(|why| WireError::Malformed { what: "response", why })?;
    let mut body = frame.slice_ref(rest);
    ResponseKind::decode(api, &mut body, version).map_err(|why| WireError::Undecodable { api, version, why })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::MetadataResponse;

    use super::super::encode_response;
    use super::*;

    #[test]
    fn a_response_arrives_as_it_was_sent_and_only_in_its_place() {
        let response = ResponseKind::Metadata(MetadataResponse::default().with_controller_id(3.into()));
        for version in 1..=13 {
            let frame = encode_response(ApiKey::Metadata, version, 4, &response).unwrap().slice(4..);
            assert_eq!(decode_response(ApiKey::Metadata, version, 4, &frame).unwrap(), response);
            let other = decode_response(ApiKey::Metadata, version, 5, &frame);
            assert!(matches!(other, Err(WireError::OutOfOrder { expected: 5, got: 4 })));
        }
    }
}
