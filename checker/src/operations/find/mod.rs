//! The findings of a history of operations, each in the file of its name, which begins with its definition.

mod ack_offset_mismatch;
mod cycles;
mod duplicate;
mod g1a;
mod groups;
mod inconsistent_offsets;
pub(super) mod lost_write;
mod out_of_assignment_read;
mod phantom_read;
mod poll_order;
mod precommitted_read;
mod realtime_append_inversion;
mod resurrected_transaction;
mod send_order;
mod torn_transaction;
mod unseen;

use super::facts::Facts;
use super::report::Found;
use super::steps::Steps;

/// What a finding means, and how bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its code.
    pub code: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Its class, by what the options say.
    pub class: &'static str,
}

/// Every finding, in the order of the contract.
pub const DEFINITIONS: [Definition; 33] = [
    inconsistent_offsets::DEFINITION,
    duplicate::DEFINITION,
    lost_write::DEFINITION,
    lost_write::DROPPED,
    unseen::DEFINITION,
    g1a::DEFINITION,
    precommitted_read::DEFINITION,
    torn_transaction::DEFINITION,
    resurrected_transaction::DEFINITION,
    poll_order::SKIP,
    poll_order::NONMONOTONIC,
    poll_order::INT_SKIP,
    poll_order::INT_NONMONOTONIC,
    send_order::NONMONOTONIC,
    send_order::INT_NONMONOTONIC,
    send_order::INT_SKIP,
    cycles::G0,
    cycles::G0_REALTIME,
    cycles::G1C,
    cycles::G1C_REALTIME,
    cycles::G1C_WR_ONLY,
    cycles::G1C_WR_ONLY_REALTIME,
    phantom_read::DEFINITION,
    phantom_read::WRONG_PARTITION,
    phantom_read::CORRUPT,
    ack_offset_mismatch::DEFINITION,
    realtime_append_inversion::DEFINITION,
    groups::SKIP,
    groups::REWIND,
    out_of_assignment_read::DEFINITION,
    groups::DUAL_OWNERSHIP,
    groups::ZOMBIE_COMMIT,
    groups::COMMIT_REGRESSION,
];

/// Makes them all.
pub(super) fn all(facts: &Facts<'_>, found: &mut Found<'_>) {
    let steps = Steps::of(facts, &found.options);
    inconsistent_offsets::find(facts, found);
    duplicate::find(facts, found);
    lost_write::find(facts, found);
    unseen::find(facts, found);
    g1a::find(facts, found);
    precommitted_read::find(facts, found);
    torn_transaction::find(facts, &steps, found);
    resurrected_transaction::find(facts, found);
    poll_order::find(facts, &steps, found);
    send_order::find(facts, &steps, found);
    cycles::find(facts, found);
    phantom_read::find(facts, found);
    ack_offset_mismatch::find(facts, found);
    realtime_append_inversion::find(facts, found);
    groups::find(facts, found);
    out_of_assignment_read::find(facts, found);
}
