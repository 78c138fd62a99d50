//! Our own clients as processes: the producer, consumer and admin of the simulation, over TCP.

use std::io;

use trial_kafka::client::{Client, ClientSetup};
use trial_kafka::node::{Command, Outcome};

use crate::process::{Process, ProcessEnded, ProcessSetup};

/// A client on the real network. Dropping it ends it as a crash would; [`Command::Close`] settles everything first.
#[derive(Debug)]
pub struct ClientProcess {
    process: Process<Client>,
}

impl ClientProcess {
    /// Starts a client. Must be called inside a tokio runtime.
    pub fn start(setup: ClientSetup) -> io::Result<ClientProcess> {
        let client_id = setup.client_id.clone();
        let setup_of_process =
            ProcessSetup { name: client_id.clone(), client_id, directory: None, listening: Vec::new() };
        Ok(ClientProcess { process: Process::start(Client::new(setup), setup_of_process)? })
    }
    /// Gives a command and waits for its outcome. Commands are taken in the order of the calls.
    pub fn command(&self, command: Command) -> impl Future<Output = Result<Outcome, ProcessEnded>> + Send + use<> {
        self.process.command(command)
    }
}
