//! Which of Kafka's rules are built, where, and which test fails without each.
//!
//! A rule is named once, in the table of its section ([`PartitionRule`], [`BrokerRule`]), with a sentence, its source
//! in Kafka and a test. The code asks at the rule's place whether it holds:
//!
//! ```text
//!   if PartitionRule::SenderLeads.holds() && broker != partition.leader { return Err(InvalidRequest) }
//! ```
//!
//! It always does: `holds` is a constant. Only in this crate's own unit tests (`cfg(test)`) can one rule at a time be left
//! out. The test `every_rule_left_out_fails_its_test` does that to every rule in turn, each in a process of its own, and
//! demands that the rule's test passes with it and fails without it; `tests/conformance.sh` runs it and prints the count.
//! The table below is made from the code, the column "Where" by looking for the places that ask; a test holds the two
//! together. Sections and lines are those of the project's notes on Kafka's semantics.
//!
#![doc = include_str!("table.md")]

mod broker_rules;
mod partition_rules;
#[cfg(test)]
mod tests;

pub use self::broker_rules::BrokerRule;
pub use self::partition_rules::PartitionRule;

/// Every section, in order.
pub const SECTIONS: [Section; 2] = [PartitionRule::SECTION, BrokerRule::SECTION];

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
