//! Does a scenario show what its text tells? The campaign says that it gives no BUG; here is what must happen in it.

use std::collections::BTreeMap;

use trial_checker::{Class, Outcome};
use trial_kafka::event::{Event, TruncationReason};
use trial_kafka::node::Nanos;
use trial_sim::trace::TraceEvent;
use trial_sim::trial::{self, Report};
use trial_sim::world::{Note, Sink, World};
use trial_tests::{built_in, reproduce, run_all};

/// One event of a trial.
struct Happened {
    time: Nanos,
    node: String,
    event: Event,
}

#[derive(Default)]
struct Story(Vec<Happened>);

impl Sink for Story {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0.extend(events.iter().map(|told| Happened {
            time: told.time,
            node: world.node_name(told.node).to_string(),
            event: told.event.clone(),
        }));
    }
}

impl Story {
    /// When this was so first, not before `from`.
    fn first(&self, from: Nanos, what: impl Fn(&str, &Event) -> bool) -> Option<Nanos> {
        self.0.iter().find(|h| h.time >= from && what(&h.node, &h.event)).map(|h| h.time)
    }
    fn count(&self, from: Nanos, to: Nanos, what: impl Fn(&str, &Event) -> bool) -> usize {
        self.0.iter().filter(|h| (from..to).contains(&h.time) && what(&h.node, &h.event)).count()
    }
}

/// Tells some seeds of a scenario.
fn tell(name: &str, seeds: std::ops::RangeInclusive<u64>, mut check: impl FnMut(&Story, &Report, &str)) {
    let scenario = built_in(name, &[]);
    for seed in seeds {
        let mut story = Story::default();
        let report = trial::run(&scenario, seed, &mut story);
        check(&story, &report, &reproduce(&report, &[]));
    }
}

#[test]
fn under_min_isr_refuses_producers_and_stalls_consumers_and_both_recover() {
    tell("under-min-isr", 1..=8, |story, _, again| {
        let adopts =
            |size: usize| move |_: &str, e: &Event| matches!(e, Event::IsrAdopted { isr, .. } if isr.len() == size);
        let alone = story.first(0, adopts(1)).unwrap_or_else(|| panic!("{again}: the leader is never alone"));
        let whole = story.first(alone, adopts(2)).unwrap_or_else(|| panic!("{again}: nobody comes back"));
        let refused = |_: &str, e: &Event| matches!(e, Event::ProduceAnswered { error: Some(error), .. } if error == "NOT_ENOUGH_REPLICAS");
        assert!(story.count(alone, whole, refused) > 0, "{again}: nobody is refused");
        assert_eq!(story.count(alone, whole, |_, e| matches!(e, Event::BatchAcked { .. })), 0, "{again}");
        let leads_on = |node: &str, e: &Event| node == "b1" && matches!(e, Event::HighWatermark { .. });
        assert_eq!(
            story.count(alone, whole, leads_on),
            0,
            "{again}: the high watermark moves below min.insync.replicas"
        );
        // A fetch may be under way when the leader is alone.
        let later = alone + 1_000_000_000;
        assert_eq!(
            story.count(later, whole, |_, e| matches!(e, Event::Consumed { .. })),
            0,
            "{again}: consumers go on"
        );
        for (what, count) in [
            ("acknowledged", story.count(whole, Nanos::MAX, |_, e| matches!(e, Event::BatchAcked { .. }))),
            ("consumed", story.count(whole, Nanos::MAX, |node, e| node == "k1" && matches!(e, Event::Consumed { .. }))),
        ] {
            assert!(count > 10, "{again}: hardly anything is {what} afterwards");
        }
    });
}

#[test]
fn consumers_wait_for_a_new_leaders_high_watermark_and_none_goes_backwards() {
    let mut waited = 0;
    tell("hw-lag", 1..=8, |story, _, again| {
        let elected = story.0.iter().find_map(|h| match h.event {
            Event::BecameLeader { leader_epoch: 1.., leader_epoch_start_offset, high_watermark, .. } => {
                Some((h.time, leader_epoch_start_offset, high_watermark))
            }
            _ => None,
        });
        let (elected_at, start, high_watermark) = elected.unwrap_or_else(|| panic!("{again}: nobody else leads"));
        assert!(high_watermark < start, "{again}: the new leader's high watermark does not lag");
        let knows =
            |node: &str, e: &Event| node == "b2" && matches!(e, Event::HighWatermark { to, .. } if *to >= start);
        let known_at = story.first(elected_at, knows).unwrap_or_else(|| panic!("{again}: it never catches up"));
        assert!(known_at > elected_at + 1_300_000_000, "{again}: nobody has time to ask");
        for h in story.0.iter().filter(|h| h.time > elected_at) {
            if let Event::PositionReset { to, .. } = h.event {
                assert!(h.time >= known_at, "{again}: {} is told {to} before the end is known", h.node);
                assert!(to >= start, "{again}: {} is sent back to {to}", h.node);
                waited += 1;
            }
        }
        let mut read_up_to = BTreeMap::new();
        for h in &story.0 {
            if let Event::Consumed { first_offset, last_offset, .. } = h.event
                && h.node == "k1"
            {
                let before = read_up_to.insert(&h.node, last_offset).unwrap_or(-1);
                assert_eq!(first_offset, before + 1, "{again}: {} jumps", h.node);
            }
        }
    });
    assert!(waited >= 8, "hardly any consumer asked in time: {waited}");
}

#[test]
fn a_zombie_accepts_what_it_cannot_keep_and_acknowledges_only_what_was_not_promised() {
    tell("zombie-leader", 1..=8, |story, report, again| {
        let deposed = story
            .first(0, |_, e| matches!(e, Event::LeaderChanged { previous: 1, .. }))
            .unwrap_or_else(|| panic!("{again}: nobody else is elected"));
        let cut = story
            .first(deposed, |node, e| {
                node == "b1" && matches!(e, Event::Truncated { reason: TruncationReason::DivergingEpoch, .. })
            })
            .unwrap_or_else(|| panic!("{again}: the zombie keeps its own history"));
        let appended = |node: &str, e: &Event| node == "b1" && matches!(e, Event::Appended { as_leader: true, .. });
        assert!(story.count(deposed, cut, appended) > 10, "{again}: the zombie accepts nothing");
        let acknowledged = |wanted: i16| {
            move |node: &str, e: &Event| {
                node == "b1" && matches!(e, Event::ProduceAnswered { acks, error: None, .. } if *acks == wanted)
            }
        };
        assert!(story.count(deposed, cut, acknowledged(1)) > 10, "{again}: the zombie acknowledges nothing");
        assert_eq!(story.count(deposed, cut, acknowledged(-1)), 0, "{again}: it promises what it cannot keep");
        let lost: Vec<_> = report.verdict.findings.iter().filter(|f| f.code == "lost-write").collect();
        assert!(!lost.is_empty(), "{again}");
        for finding in lost {
            assert_eq!((finding.class, finding.rule), (Class::Allowed, Some("acks-1")), "{again}: {finding}");
        }
    });
}

#[test]
fn a_broker_with_an_empty_disk_is_refused_and_not_elected() {
    let mut refused = 0;
    tell("kip-903", 1..=8, |story, _, again| {
        refused += story.count(
            0,
            Nanos::MAX,
            |_, e| matches!(e, Event::AlterPartitionRefused { error, .. } if error == "INELIGIBLE_REPLICA"),
        );
        let leaders: Vec<i32> = story
            .0
            .iter()
            .filter_map(|h| match h.event {
                Event::LeaderChanged { leader, .. } => Some(leader),
                _ => None,
            })
            .collect();
        assert_eq!(leaders.first(), Some(&3), "{again}: {leaders:?}");
    });
    assert!(refused > 0, "no leader asked for what a replica had before");
}

/// A negative control: what a follower serves may be stale, for its high watermark is the leader's of a while ago, and is right.
#[test]
fn a_follower_whose_high_watermark_lags_is_read_and_says_nothing_wrong() {
    let mut stale = 0;
    tell("closest-replica", 1..=4, |story, report, again| {
        assert_eq!(report.verdict.outcome, Outcome::Pass, "{again}: {:?}", report.verdict.groups);
        let (mut marks, mut leaders, mut reads_from) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for Happened { node, event, .. } in &story.0 {
            let Some(partition) = event.partition().cloned() else { continue };
            match event {
                Event::HighWatermark { to, .. } => drop(marks.insert((node.clone(), partition), *to)),
                Event::BecameLeader { .. } => drop(leaders.insert(partition, node.clone())),
                Event::ReadReplicaChosen { broker, .. } => {
                    reads_from.insert((node.clone(), partition), format!("b{broker}"));
                }
                Event::Consumed { .. } => {
                    let leader = leaders.get(&partition);
                    let replica = reads_from.get(&(node.clone(), partition.clone())).filter(|r| Some(*r) != leader);
                    let mark = |of: &String| marks.get(&(of.clone(), partition.clone())).copied().unwrap_or(0);
                    stale += usize::from(replica.zip(leader).is_some_and(|(r, l)| mark(r) < mark(l)));
                }
                _ => {}
            }
        }
    });
    assert!(stale > 100, "hardly anybody reads where the high watermark lags: {stale}");
}

/// A negative control: what makes a whole rack lose acknowledged records is that nobody syncs them.
#[test]
fn a_rack_that_flushes_every_record_loses_none() {
    let overrides = ["topic.flush.messages=1"];
    for report in run_all(&built_in("power-loss-rack", &overrides), 1..=16) {
        let again = reproduce(&report, &overrides);
        assert_eq!(report.verdict.outcome, Outcome::Pass, "{again}: {:?}", report.verdict.groups);
        let lost = report.verdict.groups.iter().find(|group| group.code == "lost-write");
        assert!(lost.is_none(), "{again}: {lost:?}");
    }
}
