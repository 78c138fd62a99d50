//! Collects findings: each group counted in full, shown up to a bound, in an order that depends on nothing but them.

use std::collections::BTreeMap;

use crate::observation::{EventRef, Partition};
use crate::verdict::{Class, Finding, Group, Step, Verdict};

type Key = (Class, &'static str, Option<&'static str>, Option<Partition>);

/// What a finding is, apart from its words.
#[derive(Clone, Debug)]
pub(crate) struct Headline {
    pub(crate) class: Class,
    pub(crate) code: &'static str,
    pub(crate) rule: Option<&'static str>,
    pub(crate) partition: Option<Partition>,
    pub(crate) offset: Option<i64>,
    pub(crate) record: Option<u64>,
    pub(crate) at: EventRef,
}

impl Headline {
    /// A BUG in a partition.
    pub(crate) fn bug(code: &'static str, partition: &Partition, offset: Option<i64>, at: EventRef) -> Self {
        let partition = Some(partition.clone());
        Headline { class: Class::Bug, code, rule: None, partition, offset, record: None, at }
    }

    /// Rule `disk-fault`: of controllers whose disks have lost what they had committed nobody knows what they take for the truth.
    pub(crate) fn of_a_quorum_that(self, has_forgotten: bool) -> Self {
        match has_forgotten {
            true => Headline { class: Class::Allowed, rule: Some("disk-fault"), ..self },
            false => self,
        }
    }
}

/// The findings so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    counts: BTreeMap<Key, u64>,
    shown: Vec<Finding>,
}

impl Findings {
    /// Adds one; its words are only made if it will be shown.
    pub(crate) fn add(&mut self, headline: Headline, words: impl FnOnce() -> (String, Vec<Step>)) {
        let Headline { class, code, rule, partition, offset, record, at } = headline;
        let (topic, index) = (partition.as_ref().map(|p| p.topic.clone()), partition.as_ref().map(|p| p.index));
        let count = self.counts.entry((class, code, rule, partition)).or_default();
        *count += 1;
        if *count <= Verdict::SHOWN_PER_GROUP {
            let (summary, chain) = words();
            let virtual_ms = at.time / 1_000_000;
            self.shown.push(Finding {
                class,
                code,
                rule,
                topic,
                partition: index,
                offset,
                virtual_ms,
                record,
                summary,
                chain,
            });
        }
    }

    /// Is there a BUG?
    pub(crate) fn any_bug(&self) -> bool {
        self.counts.keys().any(|(class, ..)| *class == Class::Bug)
    }

    /// All of them in order.
    pub(crate) fn finish(mut self) -> (Vec<Finding>, Vec<Group>) {
        self.shown.sort_by(|a, b| {
            let key = |f: &Finding| (f.class, f.code, f.rule, f.partition, f.offset, f.virtual_ms, f.record);
            a.topic.cmp(&b.topic).then_with(|| key(a).cmp(&key(b)))
        });
        self.shown.sort_by_key(|f| (f.class, f.code, f.rule)); // stable: partitions stay in order inside
        let groups = self.counts.into_iter().map(|((class, code, rule, partition), count)| Group {
            class,
            code,
            rule,
            topic: partition.as_ref().map(|p| p.topic.clone()),
            partition: partition.map(|p| p.index),
            count,
        });
        (self.shown, groups.collect())
    }
}
