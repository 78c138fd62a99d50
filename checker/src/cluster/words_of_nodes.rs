//! false-word, wrong-answer, fetch-mismatch and wrong-step: what a node says of itself is so when it says it, what it answers
//! follows from what it was asked and what it is, and what it does from what it was told and what it holds. Many rules of Kafka stand one behind the other: where one is broken the next one hides it from
//! every log and every record, but not from who listens.

use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::{EventRef, Partition, Word};
use crate::verdict::Class;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const FALSE_WORD: Invariant = Invariant {
    code: "false-word",
    rule: None,
    what: "what a node says of itself in a request is true of it when it says it",
    source: "KIP-320, KIP-497, KIP-595, KIP-631, KIP-903: who asks tells on what grounds",
};

/// See the table of invariants.
pub(super) const WRONG_ANSWER: Invariant = Invariant {
    code: "wrong-answer",
    rule: None,
    what: "what a node answers follows from what it was asked and what it is: the error is the one that Kafka's first check gives",
    source: "KIP-320, KIP-497, KIP-595, KIP-848, KIP-903: `Partition`, `ReplicationControlManager`, `KafkaRaftClient`, `GroupMetadataManager`",
};

/// See the table of invariants.
pub(super) const FETCH_MISMATCH: Invariant = Invariant {
    code: "fetch-mismatch",
    rule: None,
    what: "the records that a fetch is answered with are an exact contiguous slice of the log, from the batch on that has the offset asked for",
    source: "`UnifiedLog.read`, `LogSegment.read`",
};

/// See the table of invariants.
pub(super) const WRONG_STEP: Invariant = Invariant {
    code: "wrong-step",
    rule: None,
    what: "what a node does follows from what it was told and what it holds",
    source: "KIP-101, KIP-497, KIP-595, KIP-631, KIP-853, KIP-903, KIP-966: `Partition`, `Replica`, `AbstractFetcherThread`, `BrokerHeartbeatManager`, `ReplicationControlManager`, `KafkaRaftClient`",
};

/// A node has said something.
pub(crate) fn check(
    at: EventRef,
    node: &str,
    word: Word,
    partition: Option<&Partition>,
    (said, truth): (&str, &str),
    found: &mut Findings,
) {
    if said == truth {
        return;
    }
    let broken = match word {
        Word::FetchedSlice => FETCH_MISMATCH,
        word if word.is_answer() => WRONG_ANSWER,
        word if word.is_step() => WRONG_STEP,
        _ => FALSE_WORD,
    };
    let headline = Headline {
        class: Class::Bug,
        code: broken.code,
        rule: broken.rule,
        partition: partition.cloned(),
        offset: None,
        record: None,
        at,
    };
    found.add(headline, || {
        let (about, source) = word.named();
        let of = partition.map(|partition| format!(" of {partition}")).unwrap_or_default();
        let summary = match (word.is_answer(), word.is_step()) {
            (true, _) => format!("{node} answered {said} {about}{of}, where {truth} follows ({source})"),
            (_, true) => format!("{node} came to {said} for {about}{of}, where {truth} follows ({source})"),
            _ => format!("{node} said {said} for {about}{of}, and it is {truth} ({source})"),
        };
        let sentence = format!("at {}: {summary}", seconds(at.time));
        (summary, vec![step(at, node, sentence)])
    });
}
