//! The host's promises to a node (`trial_kafka::node`), each tried on a node that writes down what it is given.

mod common;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Directory, PATIENCE};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestKind, ResponseKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trial_kafka::controller;
use trial_kafka::node::{
    Command, Effects, Endpoint, Input, Lane, Listener, LocalStep, Nanos, Node, Now, Outcome, Purpose, ReqId, ms,
};
use trial_kafka::protocol::OfferedApi;
use trial_server::{Exit, Listening, Process, ProcessSetup};
use trial_storage::{Disk, OpenMode, SyncTarget};

type Script = fn(&mut Probe, Now, &Input, &mut dyn Disk, &mut Effects<'_>);

/// Writes down every input, then does what its script says.
#[derive(Clone)]
struct Probe {
    script: Script,
    peer: Endpoint,
    deadline: Option<Nanos>,
    in_hand: Option<ReqId>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Node for Probe {
    fn lane(&self, _input: &Input) -> Lane {
        Lane::Request
    }
    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let seen = match &input {
            Input::Start { .. } => "start".to_string(),
            Input::Deadline => "deadline".to_string(),
            Input::Opened { .. } => "opened".to_string(),
            Input::DialFailed { .. } => "dial failed".to_string(),
            Input::Closed { .. } => "closed".to_string(),
            Input::Request { .. } => "request".to_string(),
            Input::Response { call, result, .. } => match result {
                Ok(_) => format!("response to {}", call.0),
                Err(why) => format!("{why:?} {}", call.0),
            },
            Input::Synced { result, .. } => format!("synced {result:?}"),
            Input::Local(_) => "local".to_string(),
            Input::Command { .. } => "command".to_string(),
        };
        self.seen.lock().expect("nobody panics with it").push(seen);
        (self.script)(self, now, &input, disk, fx);
    }
    fn next_deadline(&self) -> Option<Nanos> {
        self.deadline
    }
}

struct Running {
    process: Process<Probe>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// A probe that may dial `peer`.
    fn start(script: Script, peer: Endpoint, setup: ProcessSetup) -> Running {
        let seen = Arc::default();
        let probe = Probe { script, peer, deadline: None, in_hand: None, seen: Arc::clone(&seen) };
        Running { process: Process::start(probe, setup).expect("starts"), seen }
    }
    /// Waits until so many inputs came after the start.
    async fn seen(&self, count: usize) -> Vec<String> {
        let wait = async {
            loop {
                let seen = self.seen.lock().expect("nobody panics with it").clone();
                if seen.len() > count {
                    return seen[1..].to_vec();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the inputs come in time")
    }
}

fn only_dials() -> ProcessSetup {
    ProcessSetup { name: "probe".to_string(), client_id: "probe".to_string(), directory: None, listening: Vec::new() }
}

async fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, Endpoint { host: "127.0.0.1".to_string(), port })
}

fn nowhere() -> Endpoint {
    Endpoint { host: "127.0.0.1".to_string(), port: 1 }
}

fn ask() -> RequestKind {
    RequestKind::ApiVersions(ApiVersionsRequest::default())
}

/// Dials at the start, and makes three calls once that is open.
fn three_calls(probe: &mut Probe, _now: Now, input: &Input, _disk: &mut dyn Disk, fx: &mut Effects<'_>) {
    match input {
        Input::Start { .. } => {
            fx.dial(probe.peer.clone(), Purpose::Client);
        }
        Input::Opened { conn } => {
            for _ in 0..3 {
                fx.call(*conn, 0, ask());
            }
        }
        _ => {}
    }
}

/// Reads the next frame; `None` at the end of the stream.
async fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let size = match stream.read_i32().await {
        Ok(size) => size,
        Err(error) => {
            assert!(matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{error}");
            return None;
        }
    };
    let mut frame = vec![0; usize::try_from(size).expect("a size")];
    stream.read_exact(&mut frame).await.expect("the whole frame");
    Some(frame)
}

/// The response that ApiVersions version 0 gets when there is nothing to tell.
fn answer_to(request: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 10], &request[4..8], &[0; 6]].concat()
}

#[tokio::test]
async fn a_dial_that_fails_is_told() {
    let (listener, endpoint) = listener().await;
    drop(listener);
    let probe = Running::start(three_calls, endpoint, only_dials());
    assert_eq!(probe.seen(1).await, ["dial failed"]);
}

#[tokio::test]
async fn calls_in_flight_end_in_their_order_before_their_connection() {
    let (listener, endpoint) = listener().await;
    let probe = Running::start(three_calls, endpoint, only_dials());
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let first = frame(&mut stream).await.expect("a request");
    stream.write_all(&answer_to(&first)).await.expect("is sent");
    assert_eq!(probe.seen(2).await, ["opened", "response to 2"]);
    drop(stream);
    assert_eq!(probe.seen(5).await[2..], ["Disconnected 3", "Disconnected 4", "closed"]);
}

#[tokio::test]
async fn nonsense_is_undecodable_and_an_answer_out_of_order_ends_the_connection() {
    let (listener, endpoint) = listener().await;
    let probe = Running::start(three_calls, endpoint, only_dials());
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let first = frame(&mut stream).await.expect("a request");
    let second = frame(&mut stream).await.expect("a request");
    // Announces more versions than there are bytes.
    let nonsense = [&[0, 0, 0, 10][..], &first[4..8], &[0, 0, 0x7f, 0xff, 0xff, 0xff]].concat();
    stream.write_all(&nonsense).await.expect("is sent");
    assert_eq!(probe.seen(2).await, ["opened", "Undecodable 2"]);
    let mut out_of_order = answer_to(&second);
    out_of_order[7] += 1;
    stream.write_all(&out_of_order).await.expect("is sent");
    assert_eq!(probe.seen(5).await[2..], ["Disconnected 3", "Disconnected 4", "closed"]);
}

#[tokio::test]
async fn what_was_asked_before_a_close_is_still_sent() {
    let (listener, endpoint) = listener().await;
    let script: Script = |probe, now, input, disk, fx| {
        three_calls(probe, now, input, disk, fx);
        if let Input::Opened { conn } = input {
            fx.call_without_response(*conn, 0, ask());
            fx.close(*conn);
        }
    };
    let probe = Running::start(script, endpoint, only_dials());
    assert_eq!(probe.seen(5).await[1..], ["Disconnected 2", "Disconnected 3", "Disconnected 4", "closed"]);
    let (mut stream, _) = listener.accept().await.expect("a connection");
    for _ in 0..4 {
        assert!(frame(&mut stream).await.is_some());
    }
    assert_eq!(frame(&mut stream).await, None);
}

#[tokio::test]
async fn a_deadline_comes_when_its_time_has_come() {
    let script: Script = |probe, now, input, _disk, fx| match input {
        Input::Start { .. } => probe.deadline = Some(now.mono + ms(50)),
        Input::Deadline => {
            assert!(probe.deadline.is_some_and(|deadline| deadline <= now.mono), "too early");
            probe.deadline = None;
        }
        Input::Command { op, .. } => {
            // As far as time goes, and then at once.
            probe.deadline = if probe.deadline.is_none() { Some(Nanos::MAX) } else { Some(0) };
            fx.deliver(*op, Outcome::Done);
        }
        _ => {}
    };
    let probe = Running::start(script, nowhere(), only_dials());
    assert_eq!(probe.seen(1).await, ["deadline"]);
    for _ in 0..2 {
        assert_eq!(probe.process.command(Command::Close).await, Ok(Outcome::Done));
    }
    assert_eq!(probe.seen(4).await, ["deadline", "command", "command", "deadline"]);
}

#[tokio::test]
async fn a_sync_is_answered_and_a_client_has_no_disk() {
    let script: Script = |_probe, _now, input, disk, fx| {
        if matches!(input, Input::Start { .. }) {
            let targets = disk.open_dir("d").and_then(|dir| {
                let file = disk.open(dir, "f", OpenMode::Create)?;
                disk.write(file, 0, Bytes::from_static(b"x"))?;
                Ok(vec![SyncTarget::File(file), SyncTarget::Dir(dir)])
            });
            fx.sync(targets.unwrap_or_default());
        }
    };
    let directory = Directory::new("sync");
    let with_disk = ProcessSetup { directory: Some(directory.0.clone()), ..only_dials() };
    let probe = Running::start(script, nowhere(), with_disk);
    assert_eq!(probe.seen(1).await, ["synced Ok(())"]);
    assert_eq!(std::fs::read(directory.0.join("d/f")).expect("is there"), b"x");

    let probe = Running::start(script, nowhere(), only_dials());
    assert_eq!(probe.seen(1).await, ["synced Err(StaleHandle)"]);
}

/// A probe that serves ApiVersions, and a connection on which it was asked.
async fn asked(script: Script) -> (Running, TcpStream) {
    let (listener, endpoint) = listener().await;
    let offered = vec![OfferedApi { key: ApiKey::ApiVersions, min: 0, max: 4 }];
    let setup =
        ProcessSetup { listening: vec![Listening { listener, role: Listener::Broker, offered }], ..only_dials() };
    let probe = Running::start(script, nowhere(), setup);
    let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.expect("connects");
    // ApiVersions version 0 twice, correlation ids 7 and 8.
    for id in [7, 8] {
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, id, 0xff, 0xff]).await.expect("is sent");
    }
    (probe, stream)
}

fn nothing_to_tell() -> ResponseKind {
    ResponseKind::ApiVersions(ApiVersionsResponse::default())
}

#[tokio::test]
async fn a_process_that_halts_still_sends_what_it_had_answered_and_nothing_after() {
    let (mut probe, mut stream) = asked(|_probe, _now, input, _disk, fx| {
        if let Input::Request { req, conn, .. } = input {
            fx.answer(*req, nothing_to_tell());
            fx.halt("enough".to_string());
            fx.hang_up(*conn);
        }
    })
    .await;
    assert_eq!(frame(&mut stream).await, Some(vec![0, 0, 0, 7, 0, 0, 0, 0, 0, 0]));
    assert_eq!(frame(&mut stream).await, None);
    assert_eq!(probe.process.wait().await, Exit::Halted("enough".to_string()));
    assert_eq!(probe.process.wait().await, Exit::Halted("enough".to_string()), "and stays so");
    assert_eq!(probe.seen(1).await, ["request"]);
}

#[tokio::test]
async fn a_request_waits_until_the_one_before_it_is_settled() {
    let (probe, mut stream) = asked(|probe, now, input, _disk, fx| match input {
        Input::Request { req, .. } => match probe.deadline {
            // The first gets no answer, some time later; the second one at once.
            None => {
                probe.deadline = Some(now.mono + ms(100));
                probe.in_hand = Some(*req);
                fx.defer(Lane::Request, LocalStep::Controller(controller::Step::Tick));
            }
            Some(_) => fx.answer(*req, nothing_to_tell()),
        },
        Input::Deadline => {
            probe.deadline = Some(Nanos::MAX);
            fx.settle_silently(probe.in_hand.take().expect("the first request"));
        }
        _ => {}
    })
    .await;
    assert_eq!(frame(&mut stream).await, Some(vec![0, 0, 0, 8, 0, 0, 0, 0, 0, 0]));
    assert_eq!(probe.seen(4).await, ["request", "local", "deadline", "request"]);
}

#[tokio::test]
async fn a_failed_assertion_ends_the_process_and_its_connections() {
    let (mut probe, mut stream) = asked(|_probe, _now, input, _disk, _fx| {
        assert!(!matches!(input, Input::Request { .. }), "as it is meant to be");
    })
    .await;
    assert_eq!(frame(&mut stream).await, None);
    assert_eq!(probe.process.wait().await, Exit::Panicked("as it is meant to be".to_string()));
}

#[tokio::test]
async fn hanging_up_settles_the_request() {
    let (probe, mut stream) = asked(|_probe, _now, input, _disk, fx| {
        if let Input::Request { req, conn, .. } = input {
            fx.hang_up(*conn);
            fx.answer(*req, nothing_to_tell());
        }
    })
    .await;
    assert_eq!(frame(&mut stream).await, None);
    assert_eq!(probe.seen(1).await, ["request"], "the one behind it is not handled any more");
    assert_eq!(probe.process.kill().await, Exit::Killed);
}
