//! poll-skip and nonmonotonic-poll: between operations of one process; int-poll-skip and int-nonmonotonic-poll: inside one.

use super::super::facts::Facts;
use super::super::options::{BUG, Judgement};
use super::super::report::{About, Found, Words};
use super::super::steps::{Step, Steps};
use super::Definition;

pub(super) const SKIP: Definition = Definition {
    code: "poll-skip",
    what: "the first record of an operation lies more than one index behind the last one that the process read of the partition \
           in an ok operation",
    class: "BUG with partitions by :assign; INFO(rebalance) with a group",
};
pub(super) const NONMONOTONIC: Definition = Definition {
    code: "nonmonotonic-poll",
    what: "the first record of an operation lies at or before the last one that the process read of the partition in an ok \
           operation",
    class: "BUG with partitions by :assign; INFO(rebalance) with a group",
};
pub(super) const INT_SKIP: Definition = Definition {
    code: "int-poll-skip",
    what: "a record lies more than one index behind the one polled before it in the same operation, of a partition that its \
           rebalance log does not name",
    class: "BUG",
};
pub(super) const INT_NONMONOTONIC: Definition = Definition {
    code: "int-nonmonotonic-poll",
    what: "a record lies at or before the one polled before it in the same operation, of a partition that its rebalance log does \
           not name",
    class: "BUG",
};

pub(super) fn find(facts: &Facts<'_>, steps: &Steps, found: &mut Found<'_>) {
    for step in &steps.polls {
        let code = if step.is_skip() { SKIP.code } else { NONMONOTONIC.code };
        let judgement = found.options.of_jump(step.subscribed);
        add(facts, step, code, judgement, found);
    }
    for step in &steps.polls_inside {
        let code = if step.is_skip() { INT_SKIP.code } else { INT_NONMONOTONIC.code };
        add(facts, step, code, BUG, found);
    }
}

fn add(facts: &Facts<'_>, step: &Step, code: &'static str, judgement: Judgement, found: &mut Found<'_>) {
    found.add(code, judgement, |words| {
        let whence = format!(
            "process {} read {} of {} and then {}",
            words.process(facts.mention(step.to).op),
            words.place(step.from),
            words.key(step.key),
            words.place(step.to)
        );
        let summary = if step.is_skip() { format!("{whence}, over {}", skipped(facts, step, words)) } else { whence };
        (about(facts, step), summary)
    });
}

/// What a finding of a step concerns: where it leads, and the operations at both ends.
pub(super) fn about(facts: &Facts<'_>, step: &Step) -> About {
    let mut ops = vec![facts.mention(step.from).op, facts.mention(step.to).op];
    ops.dedup();
    About { record: Some(facts.record(step.to)), ops, ..About::default() }
}

/// The first few records between the ends of a step.
pub(super) fn skipped(facts: &Facts<'_>, step: &Step, words: &Words<'_>) -> String {
    let between = facts.between(step.key, step.from_index, step.to_index);
    let shown: Vec<String> = between.iter().take(4).map(|slot| words.value(slot.record)).collect();
    let more =
        if between.len() > shown.len() { format!(" and {} more", between.len() - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
