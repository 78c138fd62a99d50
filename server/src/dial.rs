//! A connection that a node dialed: requests go out as they are made, responses come back in their order.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{ApiKey, RequestKind};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use trial_kafka::node::{CallError, CallId, ConnId, Endpoint};
use trial_kafka::protocol::api_key_of;

use crate::owner::Arrival;
use crate::wire::{FrameError, WireError, decode_response, encode_request, read_frame};

/// What a connection that was closed by its node may still take to send what was asked of it before.
const LINGER: Duration = Duration::from_secs(5);

/// A request on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) call: CallId,
    pub(crate) version: i16,
    pub(crate) request: Box<RequestKind>,
    pub(crate) wants_response: bool,
}

/// A response that is due.
struct Due {
    call: CallId,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the peer closed it")]
    ByPeer,
    #[error("this side closed it")]
    ByNode,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a response came that nobody asked for")]
    Unasked,
}

/// The owner's end of a dialed connection. Dropping it closes the connection.
pub(crate) struct Handle {
    calls: UnboundedSender<Outgoing>,
    _open: oneshot::Sender<()>,
}

impl Handle {
    /// Sends a request. If the connection has just ended, that is told by [`Arrival::DialedEnded`].
    pub(crate) fn send(&self, outgoing: Outgoing) {
        let _ = self.calls.send(outgoing);
    }
}

/// Dials, and talks until one side ends it: a task to spawn, and the handle of its connection.
pub(crate) fn dial(
    conn: ConnId,
    endpoint: Endpoint,
    client_id: Arc<str>,
    inbox: UnboundedSender<Arrival>,
) -> (Handle, impl Future<Output = ()> + Send + 'static) {
    let (calls_in, calls) = mpsc::unbounded_channel();
    let (open, mut closed) = oneshot::channel();
    let task = async move {
        let stream = tokio::select! {
            stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)) => stream,
            _ = &mut closed => return,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(host = endpoint.host, port = endpoint.port, %error, "dialing failed");
                let _ = inbox.send(Arrival::DialFailed { conn });
                return;
            }
        };
        let _ = inbox.send(Arrival::Opened { conn });
        let why = tokio::select! {
            why = talk(stream, conn, calls, &client_id, &inbox) => why,
            () = linger(closed) => Ended::ByNode,
        };
        if !matches!(why, Ended::ByPeer | Ended::ByNode) {
            tracing::debug!(host = endpoint.host, port = endpoint.port, %why, "connection ended");
        }
        let _ = inbox.send(Arrival::DialedEnded { conn });
    };
    (Handle { calls: calls_in, _open: open }, task)
}

/// Comes to its end some time after the node closed the connection.
async fn linger(closed: oneshot::Receiver<()>) {
    let _ = closed.await;
    tokio::time::sleep(LINGER).await;
}

async fn talk(
    mut stream: TcpStream,
    conn: ConnId,
    calls: UnboundedReceiver<Outgoing>,
    client_id: &str,
    inbox: &UnboundedSender<Arrival>,
) -> Ended {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.split();
    let (due_in, due) = mpsc::unbounded_channel();
    tokio::select! {
        why = send_all(writer, calls, client_id, due_in) => why,
        why = receive_all(reader, conn, due, inbox) => why,
    }
}

/// Ends when everything is sent that was asked for before the node closed the connection, or with an error.
async fn send_all(
    mut writer: impl AsyncWrite + Unpin,
    mut calls: UnboundedReceiver<Outgoing>,
    client_id: &str,
    due: UnboundedSender<Due>,
) -> Ended {
    let mut correlation_id = 0_i32;
    while let Some(Outgoing { call, version, request, wants_response }) = calls.recv().await {
        correlation_id = correlation_id.wrapping_add(1);
        let Some(api) = api_key_of(&request) else { return WireError::UnknownKind.into() };
        let frame = match encode_request(api, version, correlation_id, client_id, &request) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a request of this process");
                return error.into();
            }
        };
        if wants_response {
            // Before writing, so that the response finds it.
            let _ = due.send(Due { call, api, version, correlation_id });
        }
        if let Err(error) = writer.write_all(&frame).await {
            return FrameError::from(error).into();
        }
    }
    Ended::ByNode
}

async fn receive_all(
    reader: impl AsyncRead + Unpin,
    conn: ConnId,
    mut due: UnboundedReceiver<Due>,
    inbox: &UnboundedSender<Arrival>,
) -> Ended {
    let mut reader = BufReader::new(reader);
    loop {
        let frame = match read_frame(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ended::ByPeer,
            Err(error) => return error.into(),
        };
        let Ok(Due { call, api, version, correlation_id }) = due.try_recv() else { return Ended::Unasked };
        let result = match decode_response(api, version, correlation_id, &frame) {
            Ok(response) => Ok(Box::new(response)),
            Err(error @ WireError::OutOfOrder { .. }) => return error.into(),
            Err(error) => {
                tracing::warn!(%error, "a response to this process");
                Err(CallError::Undecodable)
            }
        };
        if inbox.send(Arrival::Response { conn, call, result }).is_err() {
            return Ended::ByNode;
        }
    }
}
