//! What a play holds its client to, and the answers of its brokers by which a test sees that each of them matters.

use kafka_protocol::ResponseError;
use trial_checker::Word;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{ConsumedRecord, OpId, Outcome, Rebalanced};

use super::Speaker;
use super::client_copy::ClientCopy;

/// What is said of a client that asks for nothing.
pub(super) const NOTHING: &str = "no request";
/// What is said of a poll without an end.
pub(super) const WAITS: &str = "a poll that waits";

/// See the module documentation.
pub(super) struct Script<'p, 's> {
    /// Whose steps these are.
    word: Word,
    /// Which play this is.
    what: String,
    /// This answer, counted from 0, is not what the play wants.
    lie: Option<usize>,
    /// How many requests were answered.
    answers: usize,
    speaker: &'p mut Speaker<'s>,
}

impl<'p, 's> Script<'p, 's> {
    pub(super) fn new(word: Word, what: String, lie: Option<usize>, speaker: &'p mut Speaker<'s>) -> Self {
        Script { word, what, lie, answers: 0, speaker }
    }
    /// How many requests were answered.
    #[cfg(test)]
    pub(super) fn answers(&self) -> usize {
        self.answers
    }
    /// A request is answered: is that a lie?
    pub(super) fn lies(&mut self) -> bool {
        self.answers += 1;
        self.lie == Some(self.answers - 1)
    }
    /// A request is answered, with this error.
    pub(super) fn error_of_answer(&mut self) -> i16 {
        if self.lies() { ResponseError::UnknownServerError.code() } else { 0 }
    }
    /// The client must have done this: `None` where it did not.
    pub(super) fn follows(&mut self, said: String, truth: String) -> Option<()> {
        if said == truth {
            return Some(());
        }
        let said = format!("{said} (when one like it was {})", self.what);
        self.speaker.wrong(self.word, None, said, truth);
        None
    }
}

/// What a poll has given and told.
pub(super) fn polled(copy: &ClientCopy, poll: OpId) -> String {
    match copy.outcome(poll) {
        None => WAITS.to_string(),
        Some(Outcome::Polled { records, errors, rebalanced }) => {
            let errors = errors.iter().map(|(id, error)| format!("{error} of partition {}", id.partition));
            let record = |record: &ConsumedRecord| {
                format!("a record of partition {} at {}", record.partition.partition, record.offset)
            };
            let indexes = |of: &[TopicPartition]| of.iter().map(|id| id.partition).collect::<Vec<_>>();
            let told = |told: &Rebalanced| match told {
                Rebalanced::Revoked { partitions } => format!("revoked {:?}", indexes(partitions)),
                Rebalanced::Lost { partitions } => format!("lost {:?}", indexes(partitions)),
                Rebalanced::Assigned { partitions, .. } => format!("assigned {:?}", indexes(partitions)),
            };
            let all = errors.chain(records.iter().map(record)).chain(rebalanced.iter().map(told));
            all.collect::<Vec<_>>().join(", ")
        }
        Some(other) => format!("{other:?}"),
    }
}
