//! An accepted connection: one request at a time goes to the node, and its answer comes back.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::ResponseKind;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use trial_kafka::node::{ConnId, Listener};
use trial_kafka::protocol::OfferedApi;

use crate::owner::Arrival;
use crate::wire::{FrameError, Incoming, WireError, decode_request, encode_response, read_frame};

/// How a request was settled. That the sender is gone means: hang up.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// With this response.
    Answer(Box<ResponseKind>),
    /// Without a response (acks=0).
    Silent,
}

/// Why an accepted connection has ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the peer closed it")]
    ByPeer,
    #[error("this side hung up")]
    ByNode,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What is offered on a listener, and which one that is.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) role: Listener,
    pub(crate) apis: Arc<[OfferedApi]>,
}

/// Takes connections until it is dropped.
pub(crate) async fn listen(listener: TcpListener, offer: Offer, inbox: UnboundedSender<Arrival>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if inbox.send(Arrival::Accepted { stream, offer: offer.clone() }).is_err() {
                    return;
                }
            }
            // Out of file descriptors, or the peer was gone already: others may do better.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    conn: ConnId,
    offer: Offer,
    mut settlements: UnboundedReceiver<Settlement>,
    inbox: UnboundedSender<Arrival>,
) {
    let address = stream.peer_addr();
    let peer = address.as_ref().map_or_else(|_| "unknown".to_string(), ToString::to_string);
    // As Java writes an address without a name.
    let host = address.map_or_else(|_| "/unknown".to_string(), |address| format!("/{}", address.ip()));
    match exchange(stream, conn, &host, &offer, &mut settlements, &inbox).await {
        Ended::ByPeer | Ended::ByNode => {}
        why @ (Ended::Frame(FrameError::Io(_)) | Ended::Io(_)) => tracing::debug!(%peer, %why, "connection ended"),
        why @ (Ended::Frame(_) | Ended::Wire(_)) => tracing::warn!(%peer, %why, "hung up"),
    }
    // The process may have ended, and then nobody needs to know.
    let _ = inbox.send(Arrival::AcceptedEnded { conn });
}

/// Request, settlement, request …: nothing is read while a request is in hand, which mutes the peer by TCP itself.
async fn exchange(
    mut stream: TcpStream,
    conn: ConnId,
    client_host: &str,
    offer: &Offer,
    settlements: &mut UnboundedReceiver<Settlement>,
    inbox: &UnboundedSender<Arrival>,
) -> Ended {
    // Answers are written whole: there is nothing to gain from waiting for more. Without it they only come later.
    let _ = stream.set_nodelay(true);
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let frame = tokio::select! {
            frame = read_frame(&mut reader) => frame,
            // Between requests nothing is to be settled: this is the end.
            _ = settlements.recv() => return Ended::ByNode,
        };
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ended::ByPeer,
            Err(error) => return error.into(),
        };
        let answer = match decode_request(&frame, client_host, offer.role, &offer.apis) {
            Ok(Incoming::AnswerAtOnce(answer)) => Ok(Some(answer)),
            Ok(Incoming::Request { api, correlation_id, header, body }) => {
                let version = header.api_version;
                if inbox.send(Arrival::Request { conn, header, body }).is_err() {
                    return Ended::ByNode;
                }
                match settlements.recv().await {
                    Some(Settlement::Answer(response)) => {
                        encode_response(api, version, correlation_id, &response).map(Some)
                    }
                    Some(Settlement::Silent) => Ok(None),
                    None => return Ended::ByNode,
                }
            }
            Err(error) => Err(error),
        };
        let written = match answer {
            Ok(Some(answer)) => write(&mut writer, answer).await,
            Ok(None) => Ok(()),
            Err(error) => return error.into(),
        };
        if let Err(error) = written {
            return error.into();
        }
    }
}

async fn write(writer: &mut (impl AsyncWriteExt + Unpin), frame: Bytes) -> std::io::Result<()> {
    writer.write_all(&frame).await?;
    writer.flush().await
}
