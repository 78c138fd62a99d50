//! needless-rejoin: a member gives up the generation that it is in, or is joining, only for the refusal of something that it asked
//! as this member and in this generation. What it asked before says nothing about the present
//! (`AbstractCoordinator.generationUnchanged`, KAFKA-9823): the group has to rebalance once more for nothing.

use std::sync::Arc;

use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::MemberStep;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "needless-rejoin",
    rule: None,
    what: "a member gives its generation up for the refusal of what it asked in that generation, not in an earlier one",
    source: "KAFKA-9823, `AbstractCoordinator.generationUnchanged`",
};

/// A step of a member.
pub(super) fn check(group: &Arc<str>, consumer: u32, what: &MemberStep) -> Option<Violation> {
    let MemberStep::GaveUp { member, generation, asked_as, asked_in } = what else { return None };
    ((member, generation) != (asked_as, asked_in)).then(|| Violation::GaveUpForNothing {
        group: group.clone(),
        consumer,
        generation: *generation,
        asked_in: *asked_in,
    })
}
