//! A node as a process: started on a directory, commanded, looked at, killed.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use trial_kafka::node::{Command, Listener, Node, Outcome};
use trial_kafka::protocol::OfferedApi;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::file_disk::FileDisk;
use crate::owner::{Arrival, Look, Owner};

/// Where a process listens, and what it serves there.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub listener: TcpListener,
    /// Which of its listeners that is.
    pub role: Listener,
    /// The APIs it offers. Whoever asks for another is hung up on.
    pub offered: Vec<OfferedApi>,
}

/// What a process needs beyond its node.
#[derive(Debug)]
pub struct ProcessSetup {
    /// Its name in the log.
    pub name: String,
    /// What it calls itself in the headers of its requests.
    pub client_id: String,
    /// The directory of its disk; `None` for a process without one.
    pub directory: Option<PathBuf>,
    /// Where it listens; empty for a process that only dials.
    pub listening: Vec<Listening>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By its own decision, and why.
    Halted(String),
    /// By [`Process::kill`], or because its [`Process`] was dropped.
    Killed,
    /// By a failed assertion, which is a bug.
    Panicked(String),
}

/// The process ended before it settled the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process has ended")]
pub struct ProcessEnded;

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct Process<N> {
    inbox: UnboundedSender<Arrival>,
    looks: UnboundedSender<Look<N>>,
    kill: oneshot::Sender<()>,
    owner: JoinHandle<Exit>,
    /// How it ended, once that is known.
    exit: Option<Exit>,
}

impl<N: Node + Send + 'static> Process<N> {
    /// Starts the node. Must be called inside a tokio runtime.
    pub fn start(node: N, setup: ProcessSetup) -> io::Result<Process<N>> {
        let ProcessSetup { name, client_id, directory, listening } = setup;
        let (inbox_in, inbox) = mpsc::unbounded_channel();
        let (looks_in, looks) = mpsc::unbounded_channel();
        let (kill, killed) = oneshot::channel();
        let owner = Owner {
            name,
            client_id: client_id.into(),
            node,
            disk: directory.map(FileDisk::open).transpose()?,
            inbox,
            inbox_in: inbox_in.clone(),
            looks,
            entropy: Entropy::from_system()?,
            clock: Clock::start(),
            state: Default::default(),
        };
        let owner = tokio::spawn(owner.run(listening, killed));
        Ok(Process { inbox: inbox_in, looks: looks_in, kill, owner, exit: None })
    }

    /// Gives the node a command and waits for its outcome. Commands are taken in the order of the calls, even if
    /// nobody waits for their outcomes.
    pub fn command(&self, command: Command) -> impl Future<Output = Result<Outcome, ProcessEnded>> + Send + use<N> {
        let (outcome, delivered) = oneshot::channel();
        // If it has ended, so does the wait.
        let _ = self.inbox.send(Arrival::Command { command, outcome });
        async move { delivered.await.map_err(|_| ProcessEnded) }
    }

    /// Looks at the node between two inputs.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&N) -> T + Send + 'static,
    ) -> Result<T, ProcessEnded> {
        let (seen_in, seen) = oneshot::channel();
        let look: Look<N> = Box::new(move |node| {
            let _ = seen_in.send(look(node));
        });
        let _ = self.looks.send(look);
        seen.await.map_err(|_| ProcessEnded)
    }

    /// Ends the process as it stands. Its files keep what was written to them. Returns when nothing of it is left.
    pub async fn kill(mut self) -> Exit {
        let (kill, _) = oneshot::channel();
        // Had it ended already, nobody would listen, and that is fine.
        let _ = std::mem::replace(&mut self.kill, kill).send(());
        self.wait().await
    }

    /// Waits until the process has ended. May be called again and again.
    pub async fn wait(&mut self) -> Exit {
        std::future::poll_fn(|context| self.poll_exit(context)).await
    }

    pub(crate) fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        let exit = match &self.exit {
            Some(exit) => exit.clone(),
            None => exit_of(std::task::ready!(Pin::new(&mut self.owner).poll(context))),
        };
        self.exit = Some(exit.clone());
        Poll::Ready(exit)
    }
}

fn exit_of(owner: Result<Exit, JoinError>) -> Exit {
    match owner.map_err(JoinError::try_into_panic) {
        Ok(exit) => exit,
        Err(Ok(panic)) => {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
            Exit::Panicked(message.unwrap_or_else(|| "an assertion failed".to_string()))
        }
        // The runtime was shut down around it.
        Err(Err(_)) => Exit::Killed,
    }
}
