//! The accepting side: requests in, responses out.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, RequestKind, ResponseKind};
use trial_kafka::node::{Listener, RequestHeader};
use trial_kafka::protocol::OfferedApi;

use super::frame::{begin_frame, finish_frame};
use super::shape::Walker;
use super::{ShapeError, WireError, shapes};

/// A frame that was understood.
pub(crate) enum Incoming {
    /// A request for the node.
    Request { api: ApiKey, correlation_id: i32, header: RequestHeader, body: Box<RequestKind> },
    /// ApiVersions at a version that is not offered; here is the frame to answer.
    AnswerAtOnce(Bytes),
}

/// Understands a request. What is not offered is an error; the connection is then closed, as Kafka does
/// (`SocketServer.processCompletedReceives`), except for ApiVersions, by which clients find out what is offered.
pub(crate) fn decode_request(
    frame: &Bytes,
    client_host: &str,
    listener: Listener,
    offered: &[OfferedApi],
) -> Result<Incoming, WireError> {
    let in_header = |why| WireError::Malformed { what: "request header", why };
    let mut walker = Walker::new(frame, 0, true);
    let api_key = walker.int16().map_err(in_header)?;
    let version = walker.int16().map_err(in_header)?;
    let correlation_id = walker.int32().map_err(in_header)?;
    let not_offered = WireError::NotOffered { api_key, version };
    let Some(known) = offered.iter().find(|api| api.key as i16 == api_key) else { return Err(not_offered) };
    let api = known.key;
    if !(known.min..=known.max).contains(&version) {
        return match api {
            ApiKey::ApiVersions => answer_with_what_is_offered(correlation_id, offered).map(Incoming::AnswerAtOnce),
            _ => Err(not_offered),
        };
    }
    let client_id = walker.classic_text().map_err(in_header)?.unwrap_or_default();
    let client_id = String::from_utf8_lossy(client_id).into_owned();
    if api.request_header_version(version) >= 2 {
        walker.tagged_fields(&[]).map_err(in_header)?;
    }
    let shape = shapes::request(api).ok_or(not_offered)?;
    let rest = walker.rest();
    shape.check(rest, version).map_err(|why| WireError::Malformed { what: "request", why })?;
    let mut body = frame.slice_ref(rest);
    let body =
        RequestKind::decode(api, &mut body, version).map_err(|why| WireError::Undecodable { api, version, why })?;
    let client_host = client_host.to_string();
    let header = RequestHeader { listener, api_version: version, client_id, client_host };
    Ok(Incoming::Request { api, correlation_id, header, body: Box::new(body) })
}

/// The frame of a response.
pub(crate) fn encode_response(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &ResponseKind,
) -> Result<Bytes, WireError> {
    let mut frame = begin_frame();
    frame.put_i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        put_no_tagged_fields(&mut frame);
    }
    response.encode(&mut frame, version).map_err(|why| WireError::Unencodable { api, version, why })?;
    finish_frame(frame).ok_or(WireError::Malformed { what: "response", why: ShapeError::TooManyElements })
}

/// ApiVersions of an unknown version is answered as version 0 with UNSUPPORTED_VERSION and everything that is offered,
/// so that the client can ask again (KIP-511, `ApiVersionsRequest.getErrorResponse`).
fn answer_with_what_is_offered(correlation_id: i32, offered: &[OfferedApi]) -> Result<Bytes, WireError> {
    let keys = offered.iter().map(|api| {
        ApiVersion::default().with_api_key(api.key as i16).with_min_version(api.min).with_max_version(api.max)
    });
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(keys.collect());
    encode_response(ApiKey::ApiVersions, 0, correlation_id, &ResponseKind::ApiVersions(response))
}

pub(super) fn put_no_tagged_fields(frame: &mut BytesMut) {
    frame.put_u8(0);
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
    use kafka_protocol::protocol::StrBytes;
    use trial_kafka::protocol::BROKER_APIS;

    use super::super::{decode_response, encode_request};
    use super::*;

    fn without_size(frame: Bytes) -> Bytes {
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        frame.slice(4..)
    }

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        for version in 0..=13 {
            let request = RequestKind::Metadata(MetadataRequest::default().with_topics(None));
            let frame = match version {
                // Before version 1 null does not mean all.
                0 => continue,
                _ => encode_request(ApiKey::Metadata, version, 7, "me", &request).unwrap(),
            };
            let Ok(Incoming::Request { api, correlation_id, header, body }) =
                decode_request(&without_size(frame), "/there", Listener::Broker, BROKER_APIS)
            else {
                panic!("version {version}")
            };
            assert_eq!((api, correlation_id), (ApiKey::Metadata, 7));
            assert_eq!(
                header,
                RequestHeader {
                    listener: Listener::Broker,
                    api_version: version,
                    client_id: "me".to_string(),
                    client_host: "/there".to_string(),
                }
            );
            assert!(matches!(*body, RequestKind::Metadata(request) if request.topics.is_none()));
        }
    }

    #[test]
    fn an_unknown_version_of_api_versions_is_told_what_there_is() {
        // The rest of the frame is of a version nobody here knows.
        let frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 5, 1, 2, 3]);
        let Ok(Incoming::AnswerAtOnce(answer)) = decode_request(&frame, "/there", Listener::Broker, BROKER_APIS) else {
            panic!("no answer")
        };
        let response = decode_response(ApiKey::ApiVersions, 0, 5, &without_size(answer)).unwrap();
        let ResponseKind::ApiVersions(response) = response else { panic!("another response") };
        assert_eq!(response.error_code, 35);
        assert_eq!(response.api_keys.len(), BROKER_APIS.len());
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for (key, version) in [(3, 99), (3, -1), (8, 0), (9_999, 0), (-1, 0), (0, 2)] {
            let mut frame = BytesMut::new();
            frame.put_i16(key);
            frame.put_i16(version);
            frame.put_i32(1);
            frame.put_i16(-1);
            let refused = decode_request(&frame.freeze(), "/there", Listener::Broker, BROKER_APIS);
            assert!(matches!(refused, Err(WireError::NotOffered { .. })), "API {key} version {version}");
        }
    }

    #[test]
    fn every_cut_of_a_request_is_refused_and_none_does_harm() {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("name"))
            .with_client_software_version(StrBytes::from_static_str("1"));
        let frame = encode_request(ApiKey::ApiVersions, 3, 1, "me", &RequestKind::ApiVersions(request)).unwrap();
        let frame = without_size(frame);
        for length in 0..frame.len() {
            assert!(
                decode_request(&frame.slice(..length), "/there", Listener::Broker, BROKER_APIS).is_err(),
                "{length} bytes"
            );
        }
        assert!(decode_request(&frame, "/there", Listener::Broker, BROKER_APIS).is_ok());
    }

    #[test]
    fn a_hostile_array_length_is_refused() {
        // Metadata version 1 that announces two thousand million topics.
        let frame = Bytes::from_static(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let refused = decode_request(&frame, "/there", Listener::Broker, BROKER_APIS);
        assert!(matches!(refused, Err(WireError::Malformed { why: ShapeError::TooManyElements, .. })));
    }
}
