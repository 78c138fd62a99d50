//! One record, one knob: acks=1 loses acknowledged records when the leader dies, acks=all does not, acks=0 never
//! promised any.

use trial_checker::{Class, Outcome};
use trial_tests::{built_in, reproduce, run_all};

#[test]
fn acks_1_loses_acknowledged_records_and_the_chain_says_how() {
    let scenario = built_in("leader-crash", &["producer.acks=1"]);
    let reports = run_all(&scenario, 1..=100);
    let mut losing = 0;
    for report in &reports {
        let again = reproduce(report, &["producer.acks=1"]);
        assert_eq!(report.verdict.outcome, Outcome::Pass, "{again}: {:?}", report.verdict.groups);
        for finding in report.verdict.findings.iter().filter(|f| f.code == "lost-write") {
            assert_eq!((finding.class, finding.rule), (Class::Allowed, Some("acks-1")), "{again}: {finding}");
            let chain = finding.chain.iter().map(|step| step.sentence.as_str()).collect::<Vec<_>>().join("\n");
            for link in [
                "appended offset",
                "acked offset",
                "with acks=1",
                "crashed at",
                "elected",
                "in epoch",
                "truncated orders-0 from",
            ] {
                assert!(chain.contains(link), "{again}: the chain does not name {link:?}:\n{chain}");
            }
        }
        losing += u32::from(report.count(Class::Allowed, "lost-write") > 0);
    }
    assert!(losing >= 10, "only {losing} of 100 runs lost a record");
    assert!(losing < 100, "every run lost a record: the window is no window");
    let mut elections: Vec<u64> = reports.iter().map(|r| counter(r, "elections")).collect();
    elections.sort_unstable();
    // The first election is the topic's creation.
    assert!(elections[50] >= 2, "the median run has {} elections", elections[50]);
    let truncating = reports.iter().filter(|r| counter(r, "truncations") > 0).count();
    assert!(truncating >= 34, "only {truncating} of 100 runs truncate a diverging tail");
}

#[test]
fn the_same_seeds_with_acks_all_lose_nothing() {
    let scenario = built_in("leader-crash", &["producer.acks=all"]);
    for report in run_all(&scenario, 1..=100) {
        let again = reproduce(&report, &["producer.acks=all"]);
        assert_eq!(report.verdict.outcome, Outcome::Pass, "{again}: {:?}", report.verdict.groups);
        assert!(report.verdict.groups.iter().all(|g| g.code != "lost-write"), "{again}: {:?}", report.verdict.groups);
        assert!(counter(&report, "acked_sends") > 3_000, "{again}: almost nothing was acknowledged");
    }
}

#[test]
fn with_acks_0_the_gap_was_never_promised() {
    let scenario = built_in("leader-crash", &["producer.acks=0"]);
    let mut dropped = 0;
    for report in run_all(&scenario, 1..=100) {
        let again = reproduce(&report, &["producer.acks=0"]);
        assert_eq!(
            report.verdict.outcome,
            Outcome::Pass,
            "{again}: {:?} {:?}",
            report.verdict.groups,
            report.verdict.vacuous_because
        );
        assert!(report.verdict.groups.iter().all(|g| g.code != "lost-write"), "{again}: {:?}", report.verdict.groups);
        assert!(
            report.verdict.groups.iter().all(|g| g.code != "dropped-unpromised" || g.class == Class::Info),
            "{again}"
        );
        dropped += report.count(Class::Info, "dropped-unpromised");
    }
    assert!(dropped > 0, "no run dropped a record that was never promised");
}

fn counter(report: &trial_sim::trial::Report, name: &str) -> u64 {
    report.verdict.counters.get(name).copied().unwrap_or(0)
}
