//! A broken invariant of groups, as a typed fact, and how it is told.

use std::sync::Arc;

use super::{
    COMMIT_LOST, OFFSETS, STATE, answered_when_committed, current_generation, epochs_rise, fenced_for_another,
    gives_up_what_was_refused, live_offsets_stay, one_owner, within_log,
};
use crate::cluster::loss::Judgement;
use crate::findings::{Findings, Headline};
use crate::observation::{EventRef, Partition};
use crate::settings::Settings;
use crate::verdict::{Class, Step};
use crate::words::{seconds, step};

/// One violation.
#[derive(Clone, Debug)]
pub(super) enum Violation {
    TwoOwners {
        group: Arc<str>,
        partition: Partition,
        first: Arc<str>,
        second: Arc<str>,
        generation: i32,
    },
    EpochWentBack {
        group: Arc<str>,
        what: &'static str,
        before: i32,
        now: i32,
    },
    StaleCommit {
        group: Arc<str>,
        partition: Partition,
        offset: i64,
        member: Arc<str>,
        generation: i32,
        present: Option<i32>,
    },
    CommitBeyondLogEnd {
        group: Arc<str>,
        partition: Partition,
        offset: i64,
        log_end: i64,
    },
    RemovedWhileInUse {
        group: Arc<str>,
        partition: Partition,
        offset: i64,
    },
    AnsweredTooEarly {
        group: Arc<str>,
        partition: Partition,
        offset: i64,
        at: Option<i64>,
        high_watermark: i64,
    },
    CommitLost {
        group: Arc<str>,
        partition: Partition,
        offset: i64,
        acknowledged: EventRef,
        loss: Judgement,
    },
    GaveUpForNothing {
        group: Arc<str>,
        consumer: u32,
        generation: i32,
        asked_in: i32,
    },
    FencedForNobody {
        group: Arc<str>,
        consumer: u32,
        member: Arc<str>,
        why: Judgement,
    },
    OffsetsDiffer {
        log: Partition,
        how: String,
    },
    GroupsDiffer {
        log: Partition,
        how: String,
    },
}

impl Violation {
    /// Its code, and its rule where the code has several.
    fn code(&self) -> (&'static str, Option<&'static str>) {
        use Violation::*;
        match self {
            TwoOwners { .. } => one_owner::INVARIANT.named(),
            EpochWentBack { what, .. } => (epochs_rise::GENERATION.code, Some(what)),
            StaleCommit { .. } => current_generation::INVARIANT.named(),
            CommitBeyondLogEnd { .. } => within_log::INVARIANT.named(),
            RemovedWhileInUse { .. } => live_offsets_stay::INVARIANT.named(),
            AnsweredTooEarly { .. } => answered_when_committed::INVARIANT.named(),
            CommitLost { loss, .. } => (COMMIT_LOST.code, loss.rule.or(COMMIT_LOST.rule)),
            GaveUpForNothing { .. } => gives_up_what_was_refused::INVARIANT.named(),
            FencedForNobody { why, .. } => {
                (fenced_for_another::INVARIANT.code, why.rule.or(fenced_for_another::INVARIANT.rule))
            }
            OffsetsDiffer { .. } => OFFSETS.named(),
            GroupsDiffer { .. } => STATE.named(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Violation::CommitLost { loss: why, .. } | Violation::FencedForNobody { why, .. } => why.class,
            _ => Class::Bug,
        }
    }

    fn place(&self) -> (Option<&Partition>, Option<i64>) {
        use Violation::*;
        match self {
            TwoOwners { partition, .. } => (Some(partition), None),
            StaleCommit { partition, offset, .. }
            | CommitBeyondLogEnd { partition, offset, .. }
            | RemovedWhileInUse { partition, offset, .. }
            | AnsweredTooEarly { partition, offset, .. }
            | CommitLost { partition, offset, .. } => (Some(partition), Some(*offset)),
            OffsetsDiffer { log, .. } | GroupsDiffer { log, .. } => (Some(log), None),
            EpochWentBack { .. } | GaveUpForNothing { .. } | FencedForNobody { .. } => (None, None),
        }
    }

    /// Adds the finding; the broker is the one where it shows, if it shows at one.
    pub(super) fn tell(&self, at: EventRef, broker: Option<i32>, settings: &Settings, found: &mut Findings) {
        let (code, rule) = self.code();
        let (partition, offset) = self.place();
        let partition = partition.cloned();
        let headline = Headline { class: self.class(), code, rule, partition, offset, record: None, at };
        found.add(headline, || {
            let node = match (self, broker) {
                (Violation::GaveUpForNothing { consumer, .. } | Violation::FencedForNobody { consumer, .. }, _) => {
                    settings.consumer_name(*consumer)
                }
                (_, Some(broker)) => settings.broker_name(broker),
                (_, None) => "coordinator".to_owned(),
            };
            let summary = self.summary(&node);
            let mut chain: Vec<Step> = Vec::new();
            if let Violation::CommitLost { acknowledged, offset, group, partition, .. } = self {
                let text = format!(
                    "group {group} was told that offset {offset} of {partition} is committed at {}",
                    seconds(acknowledged.time)
                );
                chain.push(step(*acknowledged, "coordinator", text));
            }
            chain.push(step(at, node, format!("at {}: {summary}", seconds(at.time))));
            (summary, chain)
        });
    }

    fn summary(&self, node: &str) -> String {
        use Violation::*;
        match self {
            TwoOwners { group, partition, first, second, generation } => format!(
                "the log of group {group} gives {partition} to members {first} and {second} at once, in generation \
                 {generation}"
            ),
            EpochWentBack { group, what, before, now } => {
                let what = what.replace('-', " ");
                format!("the {what} of group {group} went back from {before} to {now}")
            }
            StaleCommit { group, partition, offset, member, generation, present } => {
                let who = if member.is_empty() { "nobody" } else { member };
                let present = match present {
                    Some(present) => format!("which is in generation {present}"),
                    None if *generation < 0 => "which has members".to_owned(),
                    None => "of which it is no member".to_owned(),
                };
                format!(
                    "{node} wrote offset {offset} of {partition} from {who} in generation {generation} for group {group}, \
                     {present}"
                )
            }
            CommitBeyondLogEnd { group, partition, offset, log_end } => format!(
                "group {group} has committed offset {offset} of {partition}, which never had more than {log_end}"
            ),
            RemovedWhileInUse { group, partition, offset } => format!(
                "the offset {offset} that group {group} had committed of {partition} was removed while a member had that \
                 partition"
            ),
            AnsweredTooEarly { group, partition, offset, at: Some(at), high_watermark } => format!(
                "{node} told group {group} that offset {offset} of {partition} is committed when its record, at {at}, was \
                 not below the high watermark {high_watermark}"
            ),
            AnsweredTooEarly { group, partition, offset, at: None, .. } => format!(
                "{node} told group {group} that offset {offset} of {partition} is committed, and had not written it"
            ),
            CommitLost { group, partition, offset, loss, .. } => format!(
                "offset {offset} of {partition}, which group {group} was told to be committed, is lost: {}",
                loss.because
            ),
            GaveUpForNothing { group, generation, asked_in, .. } => {
                let what = match generation {
                    -1 => "the membership that it had just asked for".to_owned(),
                    generation => format!("generation {generation}"),
                };
                format!("{node} gave up {what} in group {group} because of what it had asked in generation {asked_in}")
            }
            FencedForNobody { group, member, why, .. } => format!(
                "{node} was told that another has come in its place in group {group}, as {member}, and nobody has: {}",
                why.because
            ),
            OffsetsDiffer { log, how } => {
                format!("{node} answers other offsets than its log of {log} has: {how}")
            }
            GroupsDiffer { log, how } => format!("{node} knows other groups than its log of {log} has: {how}"),
        }
    }
}
