//! What can go wrong, and what to do about it.

use trial_sim::scenario::ScenarioError;

/// Whatever goes wrong here: for a test that ends with `?`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// There is no built-in scenario of that name.
    #[error("no built-in scenario is called {name:?}; there are {}", known.join(", "))]
    NoSuchScenario {
        /// The name asked for.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The scenario cannot be run.
    #[error("{0}")]
    Scenario(ScenarioError),
    /// No node of the cluster has that name.
    #[error("no node is called {name:?}; there are {}", known.join(", "))]
    NoSuchNode {
        /// The name asked for.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// A record was not acknowledged.
    #[error(transparent)]
    Send(#[from] SendError),
    /// An operation of a consumer or an admin client failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Why a record is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not written: every attempt was refused before it could be. Sending it again makes no duplicate.
    #[error("the record was not written, after {attempts} attempts: {error}")]
    Failed {
        /// Kafka's name of the last error.
        error: String,
        /// Requests it was part of.
        attempts: u32,
    },
    /// It may have been written: at least one attempt ended without an answer. Sending it again may make a duplicate.
    #[error("nobody knows whether the record was written, after {attempts} attempts: {error}")]
    Unknown {
        /// Kafka's name of the last error.
        error: String,
        /// Requests it was part of.
        attempts: u32,
    },
    /// The client did not take it, or died with it: it may have been written if it was sent before that.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Refused, with Kafka's error name.
    #[error("refused: {error}")]
    Refused {
        /// For instance `TOPIC_ALREADY_EXISTS`; `CLOSED` if the client's process is dead.
        error: String,
    },
    /// The client's process died before it was answered.
    #[error("the client {client} died before it was answered")]
    Died {
        /// The client's name: `a1`, `a2` ….
        client: String,
    },
}
