//! nonmonotonic-send: between operations of one process; int-nonmonotonic-send and int-send-skip: inside one.

use super::super::facts::Facts;
use super::super::options::{BUG, INFO, Judgement};
use super::super::report::Found;
use super::super::steps::{Step, Steps};
use super::Definition;
use super::lost_write;
use super::poll_order::{about, skipped};

pub(super) const NONMONOTONIC: Definition = Definition {
    code: "nonmonotonic-send",
    what: "the first send of an operation lies at or before the last one of the process's previous operation to the partition",
    class: "BUG with idempotence or one request in flight, and what the loss is if the earlier record was lost; \
            ALLOWED(several-in-flight-without-idempotence) otherwise",
};
pub(super) const INT_NONMONOTONIC: Definition = Definition {
    code: "int-nonmonotonic-send",
    what: "a send lies at or before the one before it in the same operation",
    class: "BUG with idempotence or one request in flight; ALLOWED(several-in-flight-without-idempotence) otherwise",
};
pub(super) const INT_SKIP: Definition = Definition {
    code: "int-send-skip",
    what: "a send lies more than one index behind the one before it in the same operation",
    class: "INFO: the writes of transactions interleave",
};

pub(super) fn find(facts: &Facts<'_>, steps: &Steps, found: &mut Found<'_>) {
    let order = found.options.of_order();
    for step in steps.sends.iter().filter(|step| !step.is_skip()) {
        // Behind a record that was lost the log goes on at lower offsets: then the loss is what is to be judged.
        let record = &facts.records[facts.record(step.from) as usize];
        let judgement = match order {
            BUG if facts.is_contested(step.key, step.from_index) => {
                found.options.of_conflict(facts.is_exposed(step.key, step.from_index))
            }
            BUG if lost_write::is_lost(facts, record) => found.options.of_loss(),
            order => order,
        };
        add(facts, step, NONMONOTONIC.code, judgement, found);
    }
    for step in &steps.sends_inside {
        let (code, judgement) = if step.is_skip() { (INT_SKIP.code, INFO) } else { (INT_NONMONOTONIC.code, order) };
        add(facts, step, code, judgement, found);
    }
}

fn add(facts: &Facts<'_>, step: &Step, code: &'static str, judgement: Judgement, found: &mut Found<'_>) {
    found.add(code, judgement, |words| {
        let whence = format!(
            "process {} sent {} to {} and then {}",
            words.process(facts.mention(step.to).op),
            words.value(facts.record(step.from)),
            words.key(step.key),
            words.value(facts.record(step.to)),
        );
        let summary = if step.is_skip() {
            format!("{whence}, with {} in between", skipped(facts, step, words))
        } else {
            format!("{whence}, but their dense indices are {} and {}", step.from_index, step.to_index)
        };
        (about(facts, step), summary)
    });
}
