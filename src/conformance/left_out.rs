//! The rule that this process leaves out: in unit tests, and in a build with the feature `mutants`.
//!
//! It is a fact of the process, not of a run: a recording made with a rule left out bears the same core hash as one made
//! with all in force. Such a build is there to measure what search finds (`tests/mutants.sh`), and for nothing else.

use std::sync::OnceLock;

/// The environment variable that names it, as the table does: `PartitionRule::SenderLeads`.
pub const LEFT_OUT: &str = "TRIAL_RULE_OUT";

/// Does this rule hold in this process?
pub fn holds(rule: &str) -> bool {
    static RULE: OnceLock<Option<String>> = OnceLock::new();
    RULE.get_or_init(|| std::env::var(LEFT_OUT).ok()).as_deref() != Some(rule)
}
