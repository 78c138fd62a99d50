//! What every async client has in common: a node in the World, and commands to it whose outcomes are awaited.

use std::sync::Arc;

use tokio::sync::oneshot;
use trial_kafka::client::Role;
use trial_kafka::node::{Command, Outcome};
use trial_sim::trace::NodeIx;

use crate::error::ClientError;
use crate::shared::Shared;

/// One client process. Dropping it ends the process: what it had not sent is lost, as if it had been killed. So when madsim
/// kills the node of a task that owns a client, the client dies too.
pub(crate) struct Client {
    shared: Arc<Shared>,
    node: NodeIx,
    name: String,
}

/// An outcome to come.
pub(crate) struct Answer {
    outcome: oneshot::Receiver<Outcome>,
    /// Keeps the client alive as long as somebody waits for it.
    client: Arc<Client>,
}

impl Client {
    pub(crate) fn new(shared: &Arc<Shared>, role: Role) -> Arc<Self> {
        let (node, name) = shared.add_client(role);
        Arc::new(Client { shared: Arc::clone(shared), node, name })
    }
    /// The node's name in the World.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
    /// Asks at once; waiting for the answer is another matter.
    pub(crate) fn ask(self: &Arc<Self>, command: Command) -> Answer {
        Answer { outcome: self.shared.command(self.node, command), client: Arc::clone(self) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whether it was closed before its connections ended does not matter to anybody: nobody waits for the outcome.
        drop(self.shared.command(self.node, Command::Close));
    }
}

impl Answer {
    /// Waits. May be dropped halfway and waited for again.
    pub(crate) async fn outcome(&mut self) -> Result<Outcome, ClientError> {
        match (&mut self.outcome).await {
            Ok(Outcome::Refused { error }) => Err(ClientError::Refused { error }),
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(ClientError::Died { client: self.client.name.clone() }),
        }
    }
    /// Waits for an operation that has no result of its own.
    pub(crate) async fn done(mut self) -> Result<(), ClientError> {
        self.outcome().await.map(|_| ())
    }
}
