//! The task that owns a node: everything that arrives becomes an input, and every effect is carried out here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use trial_kafka::event::{Event, Weight};
use trial_kafka::node::{
    CallError, CallId, Command, ConnId, Effect, Effects, EventId, Host, Input, Nanos, Node, OpId, Outcome, RandomFor,
    ReqId, RequestHeader, Ticket,
};
use trial_storage::{Disk, DiskError};

use crate::accept::{self, Offer, Settlement};
use crate::clock::Clock;
use crate::dial::{self, Outgoing};
use crate::entropy::Entropy;
use crate::file_disk::FileDisk;
use crate::lanes::Lanes;
use crate::no_disk::NoDisk;
use crate::process::{Exit, Listening};

/// What a process that has halted may still take to send what it had answered.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What comes from other tasks.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Somebody connected.
    Accepted { stream: TcpStream, offer: Offer },
    /// An accepted connection brought a request.
    Request { conn: ConnId, header: RequestHeader, body: Box<RequestKind> },
    /// An accepted connection is over.
    AcceptedEnded { conn: ConnId },
    /// A dialed connection is open.
    Opened { conn: ConnId },
    /// A dialed connection could not be opened.
    DialFailed { conn: ConnId },
    /// A response on a dialed connection.
    Response { conn: ConnId, call: CallId, result: Result<Box<ResponseKind>, CallError> },
    /// A dialed connection is over.
    DialedEnded { conn: ConnId },
    /// A sync is over.
    Synced { ticket: Ticket, result: Result<(), DiskError>, cause: EventId },
    /// Somebody wants something of the node; the outcome goes there.
    Command { command: Command, outcome: oneshot::Sender<Outcome> },
}

/// A look at the node from outside.
pub(crate) type Look<N> = Box<dyn FnOnce(&N) + Send>;

/// An accepted connection, which is hung up when this is dropped.
struct Accepted {
    settlements: UnboundedSender<Settlement>,
    in_hand: Option<ReqId>,
}

/// A dialed connection, which is closed when this is dropped.
struct Dialed {
    handle: dial::Handle,
    /// Calls without an answer, oldest first.
    calls: VecDeque<CallId>,
}

/// What the host answers while the node handles an input.
struct InHandler<'a> {
    name: &'a str,
    entropy: &'a mut Entropy,
    last_fresh: &'a mut u64,
    last_event: &'a mut u64,
    cause: EventId,
    effects: Vec<(Effect, EventId)>,
}

impl Host for InHandler<'_> {
    fn fresh(&mut self) -> u64 {
        *self.last_fresh += 1;
        *self.last_fresh
    }
    fn random(&mut self, _purpose: RandomFor) -> u64 {
        self.entropy.bits()
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        *self.last_event += 1;
        let (node, id, cause) = (self.name, *self.last_event, self.cause.0);
        match event.weight() {
            Weight::Traffic => tracing::debug!(node, id, cause, ?also_because, "{event}"),
            Weight::State => tracing::info!(node, id, cause, ?also_because, "{event}"),
            Weight::Fault => tracing::warn!(node, id, cause, ?also_because, "{event}"),
        }
        self.cause = EventId(id);
        self.cause
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push((effect, self.cause));
    }
    fn charge(&mut self, _work: Nanos) {
        // Real work takes real time.
    }
}

/// See the module documentation.
pub(crate) struct Owner<N> {
    pub(crate) name: String,
    pub(crate) client_id: Arc<str>,
    pub(crate) node: N,
    pub(crate) disk: Option<FileDisk>,
    pub(crate) inbox: UnboundedReceiver<Arrival>,
    /// For the tasks that report here.
    pub(crate) inbox_in: UnboundedSender<Arrival>,
    pub(crate) looks: UnboundedReceiver<Look<N>>,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
    pub(crate) state: State,
}

/// What the owner keeps of connections, calls and operations.
#[derive(Default)]
pub(crate) struct State {
    lanes: Lanes,
    /// `Input::Deadline` waits in its lane already.
    deadline_waits: bool,
    last_fresh: u64,
    last_event: u64,
    accepted: BTreeMap<ConnId, Accepted>,
    /// Which connection an open request came on.
    requests: BTreeMap<ReqId, ConnId>,
    dialed: BTreeMap<ConnId, Dialed>,
    operations: BTreeMap<OpId, oneshot::Sender<Outcome>>,
    /// One task a connection.
    connections: JoinSet<()>,
}

impl<N: Node> Owner<N> {
    /// Runs the node until it halts or is killed, which dropping the other end of `kill` does too.
    pub(crate) async fn run(mut self, listeners: Vec<Listening>, mut kill: oneshot::Receiver<()>) -> Exit {
        let mut listening = JoinSet::new();
        for Listening { listener, role, offered } in listeners {
            let offer = Offer { role, apis: Arc::from(offered) };
            listening.spawn(accept::listen(listener, offer, self.inbox_in.clone()));
        }
        let incarnation = self.entropy.uuid();
        self.push(Input::Start { incarnation }, EventId::NONE);
        let exit = loop {
            if !matches!(kill.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
                break Exit::Killed;
            }
            while let Ok(arrival) = self.inbox.try_recv() {
                self.take(arrival);
            }
            while let Ok(look) = self.looks.try_recv() {
                look(&self.node);
            }
            self.push_due_deadline();
            if let Some((input, cause)) = self.state.lanes.pop() {
                if let Some(exit) = self.handle(input, cause) {
                    break exit;
                }
                // A busy node lets its connections run.
                tokio::task::coop::consume_budget().await;
                continue;
            }
            self.wait(&mut kill).await;
        };
        listening.shutdown().await;
        self.end(&exit).await;
        exit
    }

    /// Waits until there is something to look at.
    async fn wait(&mut self, kill: &mut oneshot::Receiver<()>) {
        let deadline = self.node.next_deadline();
        let clock = self.clock;
        tokio::select! {
            // Both ends of the loop look at it again.
            _ = kill => {}
            Some(arrival) = self.inbox.recv() => self.take(arrival),
            Some(look) = self.looks.recv() => look(&self.node),
            Some(_) = self.state.connections.join_next() => {}
            () = clock.sleep_until(deadline.unwrap_or(Nanos::MAX)) => {}
        }
    }

    /// A killed process cuts its connections; one that halted sends what it had answered.
    async fn end(mut self, exit: &Exit) {
        self.state.accepted.clear();
        self.state.dialed.clear();
        if matches!(exit, Exit::Halted(_)) {
            let connections = &mut self.state.connections;
            let all_sent = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_WORDS, all_sent).await;
        }
        self.state.connections.shutdown().await;
    }

    fn fresh(&mut self) -> u64 {
        self.state.last_fresh += 1;
        self.state.last_fresh
    }

    fn push(&mut self, input: Input, cause: EventId) {
        let lane = self.node.lane(&input);
        self.state.lanes.push(lane, input, cause);
    }

    fn push_due_deadline(&mut self) {
        let due = self.node.next_deadline().is_some_and(|deadline| deadline <= self.clock.mono());
        if due && !self.state.deadline_waits {
            self.state.deadline_waits = true;
            self.push(Input::Deadline, EventId::NONE);
        }
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Accepted { stream, offer } => self.accept(stream, offer),
            Arrival::Request { conn, header, body } => {
                let req = ReqId(self.fresh());
                // Hung up while the request was under way: it is not handled any more.
                let Some(accepted) = self.state.accepted.get_mut(&conn) else { return };
                accepted.in_hand = Some(req);
                self.state.requests.insert(req, conn);
                self.push(Input::Request { req, conn, header, body }, EventId::NONE);
            }
            Arrival::AcceptedEnded { conn } => self.forget_accepted(conn),
            Arrival::Opened { conn } => {
                if self.state.dialed.contains_key(&conn) {
                    self.push(Input::Opened { conn }, EventId::NONE);
                }
            }
            Arrival::DialFailed { conn } => {
                if self.state.dialed.remove(&conn).is_some() {
                    self.push(Input::DialFailed { conn }, EventId::NONE);
                }
            }
            Arrival::Response { conn, call, result } => {
                // Calls of a connection that the node closed were answered when it did.
                let Some(dialed) = self.state.dialed.get_mut(&conn) else { return };
                if dialed.calls.front() == Some(&call) {
                    dialed.calls.pop_front();
                    self.push(Input::Response { call, conn, result }, EventId::NONE);
                }
            }
            Arrival::DialedEnded { conn } => self.end_dialed(conn, EventId::NONE),
            Arrival::Synced { ticket, result, cause } => self.push(Input::Synced { ticket, result }, cause),
            Arrival::Command { command, outcome } => {
                let op = OpId(self.fresh());
                self.state.operations.insert(op, outcome);
                self.push(Input::Command { op, command }, EventId::NONE);
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, offer: Offer) {
        let conn = ConnId(self.fresh());
        let (settlements, settled) = mpsc::unbounded_channel();
        self.state.accepted.insert(conn, Accepted { settlements, in_hand: None });
        let serve = accept::serve(stream, conn, offer, settled, self.inbox_in.clone());
        self.state.connections.spawn(serve);
    }

    /// After this, whatever the node says about the connection or its request has no effect.
    fn forget_accepted(&mut self, conn: ConnId) {
        if let Some(req) = self.state.accepted.remove(&conn).and_then(|accepted| accepted.in_hand) {
            self.state.requests.remove(&req);
        }
    }

    /// The calls in flight are answered in their order, then the end is told.
    fn end_dialed(&mut self, conn: ConnId, cause: EventId) {
        let Some(dialed) = self.state.dialed.remove(&conn) else { return };
        for call in dialed.calls {
            self.push(Input::Response { call, conn, result: Err(CallError::Disconnected) }, cause);
        }
        self.push(Input::Closed { conn }, cause);
    }

    /// Lets the node handle an input, and carries out what it asks for.
    fn handle(&mut self, input: Input, cause: EventId) -> Option<Exit> {
        if matches!(input, Input::Deadline) {
            self.state.deadline_waits = false;
        }
        let mut host = InHandler {
            name: &self.name,
            entropy: &mut self.entropy,
            last_fresh: &mut self.state.last_fresh,
            last_event: &mut self.state.last_event,
            cause,
            effects: Vec::new(),
        };
        let mut no_disk = NoDisk;
        let disk: &mut dyn Disk = match &mut self.disk {
            Some(disk) => disk,
            None => &mut no_disk,
        };
        self.node.handle(self.clock.now(), input, disk, &mut Effects::new(&mut host));
        let effects = host.effects;
        effects.into_iter().find_map(|(effect, cause)| self.carry_out(effect, cause))
    }

    fn carry_out(&mut self, effect: Effect, cause: EventId) -> Option<Exit> {
        match effect {
            Effect::Dial { conn, endpoint, purpose: _ } => {
                let client_id = Arc::clone(&self.client_id);
                let (handle, task) = dial::dial(conn, endpoint, client_id, self.inbox_in.clone());
                self.state.dialed.insert(conn, Dialed { handle, calls: VecDeque::new() });
                self.state.connections.spawn(task);
            }
            Effect::Close { conn } => self.end_dialed(conn, cause),
            Effect::Call { call, conn, version, request, wants_response } => {
                match self.state.dialed.get_mut(&conn) {
                    Some(dialed) => {
                        if wants_response {
                            dialed.calls.push_back(call);
                        }
                        dialed.handle.send(Outgoing { call, version, request, wants_response });
                    }
                    // It has ended, and the node has yet to hear of it.
                    None if wants_response => {
                        self.push(Input::Response { call, conn, result: Err(CallError::Disconnected) }, cause);
                    }
                    None => {}
                }
            }
            Effect::Answer { req, response } => self.settle(req, Settlement::Answer(response)),
            Effect::SettleSilently { req } => self.settle(req, Settlement::Silent),
            Effect::HangUp { conn } => self.forget_accepted(conn),
            Effect::Sync { ticket, targets } => {
                let job = match &self.disk {
                    Some(disk) => disk.sync_job(&targets),
                    None => Err(DiskError::StaleHandle),
                };
                match job {
                    Ok(job) => {
                        let inbox = self.inbox_in.clone();
                        tokio::task::spawn_blocking(move || {
                            // If the process has ended meanwhile, nobody is told, as is right.
                            let _ = inbox.send(Arrival::Synced { ticket, result: job.run(), cause });
                        });
                    }
                    Err(error) => self.push(Input::Synced { ticket, result: Err(error) }, cause),
                }
            }
            Effect::Defer { lane, step } => self.state.lanes.push(lane, Input::Local(step), cause),
            Effect::Deliver { op, outcome } => {
                if let Some(waiting) = self.state.operations.remove(&op) {
                    // Whoever gave the command may not care any more.
                    let _ = waiting.send(outcome);
                }
            }
            Effect::Halt { why } => {
                tracing::warn!(node = self.name, cause = cause.0, "halted: {why}");
                return Some(Exit::Halted(why));
            }
        }
        None
    }

    fn settle(&mut self, req: ReqId, settlement: Settlement) {
        let Some(conn) = self.state.requests.remove(&req) else { return };
        if let Some(accepted) = self.state.accepted.get_mut(&conn) {
            accepted.in_hand = None;
            // If the connection has just ended, there is nobody to answer.
            let _ = accepted.settlements.send(settlement);
        }
    }
}
