//! Which of Kafka's rules are built, where, and which test fails without each.
//!
//! A rule is named once, in the table of its section (the first column of the table below begins with its type's name, for
//! instance [`PartitionRule`]), with a sentence, its source in Kafka and a test. The code asks at the rule's place whether it holds:
//!
//! ```text
//!   if PartitionRule::SenderLeads.holds() && broker != partition.leader { return Err(InvalidRequest) }
//! ```
//!
//! It always does: `holds` is a constant. Only in this crate's own unit tests (`cfg(test)`), and in a build with the feature
//! `mutants`, can one rule at a time be left out (`left_out.rs`). The test `every_rule_left_out_fails_its_test` does that to every rule in turn, each in a process of its own, and
//! demands that the rule's test passes with it and fails without it; `tests/conformance.sh` runs it and prints the count.
//! Rules that live in the log engine, which does not know this crate, are asked for there by `rules.hold(..)` of a value
//! that stands in a log's configuration ([`producer_rules_of_logs`]); they bear the same names.
//! What no rule stands for is told too ([`UNRULED`]). The table below is made from the code, the column "Where" by looking
//! for the places that ask; a test holds the two together. Sections and lines are those of the project's notes on Kafka's semantics.
//!
#![doc = include_str!("table.md")]

mod append_rules;
mod broker_rules;
mod consumer_rules;
mod coordinator_rules;
mod follower_rules;
mod group_client_rules;
mod group_rules;
mod high_watermark_rules;
mod isr_rules;
#[cfg(any(test, feature = "mutants"))]
pub mod left_out;
mod log_start_rules;
mod partition_rules;
mod produce_rules;
mod producer_client_rules;
mod producer_rules;
mod quorum_rules;
mod replica_rules;
#[cfg(test)]
mod tests;
mod throttle_rules;

pub use self::append_rules::{AppendRule, append_rules_of_logs};
pub use self::broker_rules::BrokerRule;
pub use self::consumer_rules::ConsumerRule;
pub use self::coordinator_rules::CoordinatorRule;
pub use self::follower_rules::FollowerRule;
pub use self::group_client_rules::GroupClientRule;
pub use self::group_rules::{ClassicGroupRule, ConsumerGroupRule, OffsetRule};
pub use self::high_watermark_rules::HighWatermarkRule;
pub use self::isr_rules::IsrRule;
pub use self::log_start_rules::LogStartRule;
pub use self::partition_rules::PartitionRule;
pub use self::produce_rules::ProduceRule;
pub use self::producer_client_rules::ProducerClientRule;
pub use self::producer_rules::{ProducerRule, producer_rules_of_logs};
pub use self::quorum_rules::QuorumRule;
pub use self::replica_rules::ReplicaRule;
pub use self::throttle_rules::ThrottleRule;

/// Every section, in order.
pub const SECTIONS: [Section; 19] = [
    ReplicaRule::SECTION,
    IsrRule::SECTION,
    HighWatermarkRule::SECTION,
    ProduceRule::SECTION,
    FollowerRule::SECTION,
    ThrottleRule::SECTION,
    PartitionRule::SECTION,
    BrokerRule::SECTION,
    LogStartRule::SECTION,
    AppendRule::SECTION,
    ProducerRule::SECTION,
    ProducerClientRule::SECTION,
    QuorumRule::SECTION,
    ConsumerRule::SECTION,
    CoordinatorRule::SECTION,
    OffsetRule::SECTION,
    ClassicGroupRule::SECTION,
    ConsumerGroupRule::SECTION,
    GroupClientRule::SECTION,
];

/// A section of the notes on Kafka's semantics.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its number, for instance "4.6".
    pub number: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Its lines, in order.
    pub lines: &'static [Line],
}

/// A line of a section, and the rules it comes to.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What it is about.
    pub about: &'static str,
    /// The rules.
    pub rules: &'static [Entry],
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// As the code has it: `PartitionRule::SenderLeads`.
    pub name: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// Class and method in apache/kafka, or the KIP or issue.
    pub kafka: &'static str,
    /// The unit test of this crate that fails without it.
    pub test: &'static str,
}

/// A line, or part of one, that is no rule above.
#[derive(Clone, Copy, Debug)]
pub struct Unruled {
    /// The section's number.
    pub section: &'static str,
    /// What Kafka does.
    pub line: &'static str,
    /// What is there instead.
    pub instead: &'static str,
}

/// What of the sections no rule stands for: not modelled, or so by construction, so that there is nothing to leave out.
/// `what_is_not_modelled_is_not_served` fails when one of the requests behind it comes to be served.
pub const UNRULED: [Unruled; 47] = [
    Unruled {
        section: "4.1",
        line: "A leader in its first epoch has forgotten its followers.",
        instead: "By construction: a follower keeps no state of other replicas, a leader's is dropped with its role.",
    },
    Unruled {
        section: "4.1",
        line: "The leader's log end is taken before the read.",
        instead: "By construction: one handler reads and counts, and nothing is appended in between.",
    },
    Unruled {
        section: "4.1",
        line: "A fetch that is answered with a diverging epoch changes nothing.",
        instead: "It stands with the fetch, 4.5: `FollowerRule::DivergingFetchDoesNotCount`.",
    },
    Unruled {
        section: "4.2",
        line: "Whether a replica may join is checked twice, before and under the write lock.",
        instead: "By construction: once, for nothing comes between the check and the decision.",
    },
    Unruled {
        section: "4.2",
        line: "A new leader epoch is noted in the epoch cache.",
        instead: "It stands with the epoch cache, 4.5: `FollowerRule::LeaderAssignsItsEpoch`.",
    },
    Unruled {
        section: "4.2",
        line: "A follower fetches anew only in a new leader epoch.",
        instead: "It stands with the fetchers, 4.5: `FollowerRule::NewEpochBeginsAnew`, `SameEpochGoesOn`.",
    },
    Unruled {
        section: "4.2",
        line: "A follower has neither ISR nor leader-epoch start offset.",
        instead: "By construction: both stand in the leader's role.",
    },
    Unruled {
        section: "4.3",
        line: "A follower's high watermark is its leader's, but for a diverging answer; truncation takes it along.",
        instead: "It stands with the follower's side of a fetch, 4.5: `FollowerRule::HighWatermarkComesWithTheData`, \
                  `DivergenceIsCutFirst`, `HighWatermarkFallsWithTheLog`.",
    },
    Unruled {
        section: "4.3",
        line: "Consumers that read only what is committed are bound by the last stable offset.",
        instead: "Not modelled yet: without transactions the last stable offset is the high watermark.",
    },
    Unruled {
        section: "4.4",
        line: "A duplicate batch is told the original offsets, and waits too.",
        instead: "It stands with the idempotent producer, 4.8: `ProducerRule::SameSequencesAreADuplicate`, \
                  `DuplicateWaitsForTheHighWatermark`.",
    },
    Unruled {
        section: "4.4",
        line: "Requests of one connection are handled one at a time, in order.",
        instead: "It stands with the hosts: a connection is muted until its request is settled (`node`, the contract).",
    },
    Unruled {
        section: "4.4",
        line: "A record of a compacted topic has a key.",
        instead: "Not modelled: no topic is compacted (cleanup.policy).",
    },
    Unruled {
        section: "4.4",
        line: "Records of a batch that is not compressed may say any offsets.",
        instead: "Stricter: they follow one another, or the batch is refused with INVALID_RECORD.",
    },
    Unruled {
        section: "4.4",
        line: "A batch may be unpacked to any size, record by record, and any number of records at fault is told.",
        instead: "Bounded: 64 MiB, beyond that MESSAGE_TOO_LARGE; and the first 1,000 records at fault.",
    },
    Unruled {
        section: "4.4",
        line: "Formats 0 and 1 are converted.",
        instead: "Not modelled: since 4.0 no version of Produce brings them.",
    },
    Unruled {
        section: "4.4",
        line: "A segment whose records have no timestamps is as old as its file.",
        instead: "Not modelled: it is not rolled by time.",
    },
    Unruled {
        section: "4.4",
        line: "Levels of lz4 and zstd.",
        instead: "Not modelled: both pack as fast as they can.",
    },
    Unruled {
        section: "4.5",
        line: "A fetch begins at the follower's log end.",
        instead: "By construction: there is no other offset from which a fetcher could go on.",
    },
    Unruled {
        section: "4.5",
        line: "A response for a partition that is paused, or that is asking for offsets, is dropped.",
        instead: "By construction: a fetcher has one request under way, and it is the answer that makes a partition pause \
                  or ask.",
    },
    Unruled {
        section: "4.5",
        line: "endOffsetFor, assign and the truncations of the epoch cache, also where no record is cut.",
        instead: "They stand with the log engine, which this crate's tests cannot leave out; each is tried there \
                  (`trial_storage`, the module of the log's epochs, and its tests of the log).",
    },
    Unruled {
        section: "4.5",
        line: "Stale epochs of the checkpoint are cut when the log is loaded; those that recovery finds are assigned again.",
        instead: "Stricter: after a crash the checkpoint is not believed at all, every epoch is taken from the batches.",
    },
    Unruled {
        section: "4.5",
        line: "A log without epochs begins at its high watermark, and is cut to it.",
        instead: "Not modelled: there are no batches without an epoch (message format v2 alone), so no log without epochs.",
    },
    Unruled {
        section: "4.5",
        line: "A follower whose own cache knows nothing at or below the leader's epoch cuts to the leader's end.",
        instead: "By construction: who told a last fetched epoch has it in the cache when the answer is applied, and the \
                  leader's epoch is not above it. It is built nevertheless.",
    },
    Unruled {
        section: "4.5",
        line: "Producer state is rebuilt after a truncation.",
        instead: "It stands with the producer state, 4.8.",
    },
    Unruled {
        section: "4.5",
        line: "OFFSET_MOVED_TO_TIERED_STORAGE.",
        instead: "Not modelled: there is no tiered storage.",
    },
    Unruled {
        section: "4.5",
        line: "The number of fetchers changes at run time.",
        instead: "Not modelled: num.replica.fetchers is read once, at the start.",
    },
    Unruled {
        section: "4.6",
        line: "A shrink of the ISR raises the leader epoch up to metadata version 3.5.",
        instead: "Not modelled: the metadata version is 4.1 from the first record on.",
    },
    Unruled {
        section: "4.6",
        line: "A leader's log directory is online.",
        instead: "Not modelled: a broker has one log directory, and halts with it (AssignReplicasToDirs is not served).",
    },
    Unruled {
        section: "4.6",
        line: "Partition changes stand before the record that unregisters a broker.",
        instead: "Not modelled: no broker is ever unregistered (UnregisterBroker is not served).",
    },
    Unruled {
        section: "4.6",
        line: "All records of one event are one atomic batch.",
        instead: "It stands with the quorum: `QuorumRule::OneEventIsOneBatch`.",
    },
    Unruled {
        section: "4.8",
        line: "The lowest sequence that was seen while a transaction is verified guards the first append.",
        instead: "Not modelled: there are no transactions (a batch of one is refused with INVALID_TXN_STATE).",
    },
    Unruled {
        section: "4.8",
        line: "A producer with an open transaction does not expire.",
        instead: "Not modelled: there are no transactions.",
    },
    Unruled {
        section: "4.8",
        line: "Per producer: coordinator epoch and first offset of the open transaction.",
        instead: "Not modelled: snapshots hold -1 for both.",
    },
    Unruled {
        section: "4.8",
        line: "A duplicate is answered with the offsets and the timestamp of the batch in the log.",
        instead: "By construction: what an append gives is either a new place in the log or a remembered one.",
    },
    Unruled {
        section: "4.12",
        line: "The roles of a voter.",
        instead: "By construction: a voter has one role at a time, a value of one enum.",
    },
    Unruled {
        section: "4.12",
        line: "The controller is single-threaded.",
        instead: "By construction: a node handles one input after the other, in one lane.",
    },
    Unruled {
        section: "4.12",
        line: "Observers apply committed metadata in order.",
        instead: "By construction: there is no way but to replay the log from one offset to the next, or to begin anew \
                  at a snapshot.",
    },
    Unruled {
        section: "4.12",
        line: "A controller that stands down goes back to its last snapshot.",
        instead: "Otherwise: it keeps the committed metadata beside the speculative, and drops the latter.",
    },
    Unruled {
        section: "4.10 (coordinators)",
        line: "__consumer_offsets is compacted.",
        instead: "Not modelled: it is kept whole, and grows.",
    },
    Unruled {
        section: "4.10 (coordinators)",
        line: "A high watermark that moves goes before what waits for the coordinators' threads.",
        instead: "Otherwise: it stands behind what is there already (`CoordinatorEventProcessor.enqueueFirst`).",
    },
    Unruled {
        section: "4.10 (coordinators)",
        line: "OffsetCommit and OffsetFetch of version 10 name topics by id (KIP-848).",
        instead: "Not offered: the messages of these versions are missing in the crate kafka-protocol.",
    },
    Unruled {
        section: "4.10",
        line: "The state Dead.",
        instead: "By construction: a group whose shard is gone is not there, and its questions are answered when it goes.",
    },
    Unruled {
        section: "4.10",
        line: "Where a Java hash map decides: the successor of a leader, the winner of two protocols with as many votes.",
        instead: "Otherwise: the order of the names.",
    },
    Unruled {
        section: "4.10 (offsets)",
        line: "TxnOffsetCommit, UNSTABLE_OFFSET_COMMIT, and that pending offsets of transactions do not expire.",
        instead: "Not modelled: there are no transactions.",
    },
    Unruled {
        section: "4.10 (offsets)",
        line: "group.coordinator.append.linger.ms: several writes are one batch.",
        instead: "Not modelled: each write is a batch of its own.",
    },
    Unruled {
        section: "4.11",
        line: "Members of the classic protocol in a group of the consumer protocol, and groups that go over with members in them.",
        instead: "Not modelled: as with group.consumer.migration.policy=disabled. An empty group goes over.",
    },
    Unruled {
        section: "4.11",
        line: "Regular expressions are RE2/J's.",
        instead: "By the crate `regex-lite`: names of topics are ASCII, so Unicode classes (\\p) are refused as invalid.",
    },
];

/// Declares the rules of a section: an enum, and its table.
macro_rules! rules {
    (
        $(#[$doc:meta])* $section:ident: $number:literal, $title:literal;
        $($line:literal { $($rule:ident: $sentence:literal, $kafka:literal, $test:literal;)+ })+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $section { $($(#[doc = $sentence] $rule,)+)+ }

        impl $section {
            /// The section's table.
            pub const SECTION: $crate::conformance::Section = $crate::conformance::Section {
                number: $number,
                title: $title,
                lines: &[$($crate::conformance::Line {
                    about: $line,
                    rules: &[$($crate::conformance::Entry {
                        name: concat!(stringify!($section), "::", stringify!($rule)),
                        sentence: $sentence,
                        kafka: $kafka,
                        test: $test,
                    },)+],
                },)+],
            };

            /// Does the rule hold? It does.
            #[cfg(not(any(test, feature = "mutants")))]
            #[inline(always)]
            pub const fn holds(self) -> bool {
                true
            }
            /// Does the rule hold? It does, unless it is the one that this process leaves out.
            #[cfg(any(test, feature = "mutants"))]
            pub fn holds(self) -> bool {
                match self {
                    $($($section::$rule => {
                        $crate::conformance::left_out::holds(concat!(stringify!($section), "::", stringify!($rule)))
                    })+)+
                }
            }
        }
    };
}
use rules;
