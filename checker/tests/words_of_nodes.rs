//! What nodes say of themselves is so, and what they answer follows: each broken once.

mod play;

use play::{kinds, orders, three_brokers};
use trial_checker::{Class, Observation, Word};

const BUG: Class = Class::Bug;

fn says(word: Word, said: &str, truth: &str) -> Observation {
    let (said, truth) = (said.to_string(), truth.to_string());
    Observation::Said { node: "b2".to_string(), word, partition: Some(orders()), said, truth }
}

#[test]
fn what_a_broker_says_of_itself_is_so() {
    let mut play = three_brokers(-1);
    play.see(says(Word::FetchLogStart, "0", "0"));
    assert_eq!(kinds(&play.verdict()), []);
    play.see(says(Word::FetchLogStart, "-1", "0"));
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "false-word", None)]);
    assert_eq!(
        verdict.findings[0].summary,
        "b2 said -1 for the log start of a fetch of orders-0, and it is 0 (KIP-107, `RemoteLeaderEndPoint.buildFetch`)"
    );
}

#[test]
fn what_a_broker_answers_follows_from_what_it_was_asked() {
    let mut play = three_brokers(-1);
    play.see(says(Word::IsrAnswer, "INVALID_UPDATE_VERSION", "INVALID_UPDATE_VERSION"));
    assert_eq!(kinds(&play.verdict()), []);
    // The next check refused it too: nothing came of it, and still the first is missing.
    play.see(says(Word::IsrAnswer, "INVALID_UPDATE_VERSION", "STALE_BROKER_EPOCH"));
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "wrong-answer", None)]);
    assert_eq!(
        verdict.findings[0].summary,
        "b2 answered INVALID_UPDATE_VERSION to AlterPartition of orders-0, where STALE_BROKER_EPOCH follows \
         (KIP-497, KIP-903, `ReplicationControlManager.validateAlterPartitionData`)"
    );
}

#[test]
fn what_a_node_does_follows_from_what_it_was_told() {
    let mut play = three_brokers(-1);
    play.see(says(Word::PartitionStep, "in-sync [1, 2]", "in-sync [1, 2]"));
    assert_eq!(kinds(&play.verdict()), []);
    play.see(says(Word::PartitionStep, "in-sync [1]", "in-sync [1, 2]"));
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "wrong-step", None)]);
    assert_eq!(
        verdict.findings[0].summary,
        "b2 came to in-sync [1] for what a leader asked for of orders-0, where in-sync [1, 2] follows (KIP-497, \
         `ReplicationControlManager.alterPartition`)"
    );
}

#[test]
fn a_fetch_is_answered_with_a_slice_of_the_log() {
    let mut play = three_brokers(-1);
    play.see(says(Word::FetchedSlice, "the batch of offsets 7 to 9", "the batch of offsets 5 to 6"));
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "fetch-mismatch", None)]);
    assert_eq!(
        verdict.findings[0].summary,
        "b2 answered the batch of offsets 7 to 9 to a fetch, in its slice of the log of orders-0, where the batch of offsets 5 \
         to 6 follows (`UnifiedLog.read`, `LogSegment.read`)"
    );
}

#[test]
fn what_a_broker_does_follows_from_what_it_holds() {
    let mut play = three_brokers(-1);
    play.see(says(Word::StepOfHighWatermark, "7", "7"));
    assert_eq!(kinds(&play.verdict()), []);
    // One follower has 5 records: nobody was told yet that 7 are committed.
    play.see(says(Word::StepOfHighWatermark, "7", "5"));
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "wrong-step", None)]);
    assert_eq!(
        verdict.findings[0].summary,
        "b2 came to 7 for the high watermark of orders-0, where 5 follows (`Partition.maybeIncrementLeaderHW`, \
         `UnifiedLog.maybeUpdateHighWatermark`)"
    );
}
