//! Which of Kafka's rules are built, where, and which test fails without each.
//!
//! A rule is named once, in the table of its section ([`PartitionRule`], [`BrokerRule`], [`QuorumRule`]), with a sentence, its source
//! in Kafka and a test. The code asks at the rule's place whether it holds:
//!
//! ```text
//!   if PartitionRule::SenderLeads.holds() && broker != partition.leader { return Err(InvalidRequest) }
//! ```
//!
//! It always does: `holds` is a constant. Only in this crate's own unit tests (`cfg(test)`) can one rule at a time be left
//! out. The test `every_rule_left_out_fails_its_test` does that to every rule in turn, each in a process of its own, and
//! demands that the rule's test passes with it and fails without it; `tests/conformance.sh` runs it and prints the count.
//! What no rule stands for is told too ([`UNRULED`]). The table below is made from the code, the column "Where" by looking for the places that ask; a test holds the two
//! together. Sections and lines are those of the project's notes on Kafka's semantics.
//!
#![doc = include_str!("table.md")]

mod broker_rules;
mod log_start_rules;
mod partition_rules;
mod quorum_rules;
#[cfg(test)]
mod tests;

pub use self::broker_rules::BrokerRule;
pub use self::log_start_rules::LogStartRule;
pub use self::partition_rules::PartitionRule;
pub use self::quorum_rules::QuorumRule;

/// Every section, in order.
pub const SECTIONS: [Section; 4] =
    [PartitionRule::SECTION, BrokerRule::SECTION, LogStartRule::SECTION, QuorumRule::SECTION];

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
pub const UNRULED: [Unruled; 10] = [
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
        section: "4.12",
        line: "Membership: one change at a time, only once the high watermark is known in this epoch; a VotersRecord counts \
               from when it is appended.",
        instead: "Not modelled: the voters are those the cluster was formatted with (AddRaftVoter, RemoveRaftVoter and \
                  UpdateRaftVoter are not served). That a voter is a node on its disk is: \
                  `QuorumRule::VoterIsANodeOnItsDisk`.",
    },
    Unruled {
        section: "4.12",
        line: "An observer grants its vote as a voter does, for it may be one in a newer set of voters (KIP-853).",
        instead: "Otherwise: it refuses. There is no newer set, and voters ask only each other.",
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
            #[cfg(not(test))]
            #[inline(always)]
            pub const fn holds(self) -> bool {
                true
            }
            /// Does the rule hold? It does, unless it is the one that this test process leaves out.
            #[cfg(test)]
            pub fn holds(self) -> bool {
                match self {
                    $($($section::$rule => {
                        $crate::conformance::tests::holds(concat!(stringify!($section), "::", stringify!($rule)))
                    })+)+
                }
            }
        }
    };
}
use rules;
