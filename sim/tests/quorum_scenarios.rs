//! The scenarios about the metadata quorum, each over some seeds: nothing is found that the right code must not do, and
//! what the scenario is about does happen.
//!
//! `TRIAL_SEEDS=50 cargo test -p trial-sim --test quorum_scenarios -- --nocapture` runs more seeds and prints the sums.

use std::sync::Arc;

use trial_sim::campaign::Campaign;
use trial_sim::scenario::{builtin, parse};
use trial_sim::trial;
use trial_sim::world::Unwatched;

fn seeds() -> u64 {
    std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)
}

/// Runs a built-in scenario and sums it up. Panics if anything was found that must not be, or a trial was vacuous.
fn campaign(name: &str, overrides: &[&str]) -> Campaign {
    let sum = campaign_with_findings(name, overrides);
    assert!(!sum.has_bug(), "{name}: {:?}", sum.findings);
    assert_eq!((sum.failed, sum.vacuous), (0, 0), "{name}: {:?}", sum.unmet);
    sum
}

/// Runs a built-in scenario and sums it up, whatever is found.
fn campaign_with_findings(name: &str, overrides: &[&str]) -> Campaign {
    let text = builtin().iter().find(|(other, _)| *other == name).expect("it is built in").1;
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    let scenario = Arc::new(parse(&format!("{name}.toml"), text, &overrides).unwrap_or_else(|e| panic!("{e}")));
    let mut sum = Campaign::default();
    for seed in 1..=seeds() {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        sum.add(Campaign::of(&report));
        let virtual_s = report.virtual_ns / 1_000_000_000;
        if report.failed() || report.is_vacuous() {
            println!("{name}, seed {seed}, {virtual_s} s: {:?} {:?}", report.unmet, report.verdict.vacuous_because);
            report.verdict.findings.iter().take(3).for_each(|f| println!("  {:?} {}: {}", f.class, f.code, f.summary));
        }
    }
    let happened: Vec<_> = sum.coverage.iter().filter(|(_, n)| **n > 0).collect();
    let Campaign { trials, passed, failed, vacuous, virtual_ms, .. } = &sum;
    println!(
        "{name}: {passed} passed, {failed} failed, {vacuous} vacuous of {trials}, {} s each",
        virtual_ms / trials / 1000
    );
    println!("  elections: median {}, {:?}", sum.median_controller_elections(), sum.controller_elections);
    println!("  {happened:?}");
    sum.findings.iter().for_each(|(what, tally)| println!("  {what:?} {tally:?}"));
    sum
}

#[test]
fn a_dead_controller_is_replaced_every_time() {
    let sum = campaign("controller-failover", &[]);
    assert!(sum.controller_elections.keys().all(|elections| *elections >= 2), "{:?}", sum.controller_elections);
}

#[test]
fn two_of_five_controllers_are_not_missed() {
    let sum = campaign("controller-minority", &[]);
    assert!(sum.coverage["elections"] >= 2 * sum.trials, "leaders moved");
}

#[test]
fn without_a_majority_nothing_is_decided_until_it_is_back() {
    let sum = campaign("controller-majority-lost", &[]);
    assert!(sum.controller_elections.keys().all(|elections| *elections >= 2), "{:?}", sum.controller_elections);
}

#[test]
fn a_voter_that_comes_and_goes_unseats_nobody_who_is_heard() {
    let sum = campaign("flapping-voter", &[]);
    assert!(sum.coverage["prevotes_refused"] > 0);
    assert!(sum.controller_elections.keys().eq([&1]), "{:?}", sum.controller_elections);
    let before_kip_996 = campaign_with_findings("flapping-voter", &["zoo=raft-no-prevote"]);
    assert!(before_kip_996.median_controller_elections() > 1, "{:?}", before_kip_996.controller_elections);
}

#[test]
fn a_leader_that_hears_nobody_gives_up() {
    let sum = campaign("one-way-cut-leader", &[]);
    assert!(sum.coverage["quorum_resignations"] >= sum.trials);
    assert!(sum.controller_elections.keys().all(|elections| *elections >= 2), "{:?}", sum.controller_elections);
}

#[test]
fn a_leader_that_hears_late_of_its_successor_promises_nothing() {
    campaign("metadata-lag", &[]);
}

#[test]
fn nothing_of_a_deleted_topic_is_taken_for_the_one_that_bears_its_name() {
    campaign("topic-recreated", &[]);
}

#[test]
fn the_last_replica_in_sync_loses_what_it_promised_unless_there_are_eligible_ones() {
    let without = campaign("last-in-sync-replica", &[]);
    assert!(without.coverage["lost_allowed"] > 0 && without.coverage["elr_elections"] == 0);
    let with = campaign("last-in-sync-replica-elr", &[]);
    assert!(with.coverage["lost_allowed"] == 0 && with.coverage["elr_elections"] >= with.trials);
}

#[test]
fn when_nobody_is_eligible_the_last_known_leader_is_waited_for() {
    let sum = campaign("unclean-recovery", &[]);
    assert_eq!(sum.coverage["last_known_leader_elections"], sum.trials);
    let unclean = campaign("unclean-recovery", &["topic.unclean.leader.election.enable=true"]);
    assert!(unclean.coverage["unclean_elections"] >= unclean.trials);
}

#[test]
fn chaos_of_a_quorum_reaches_elections_and_losses_and_finds_nothing() {
    let sum = campaign("quorum-chaos", &[]);
    assert!(sum.median_controller_elections() >= 3, "{:?}", sum.controller_elections);
    assert!(sum.coverage["trials_that_wrote_metadata_snapshots"] * 2 > sum.trials, "most");
    assert!(sum.coverage["trials_that_loaded_metadata_snapshots"] * 2 > sum.trials, "most");
    if sum.trials >= 50 {
        assert!(sum.coverage["fault:late-metadata"] * 10 >= sum.trials, "one in ten");
        assert!(sum.coverage["trials_that_lost_metadata"] * 5 >= sum.trials, "one in five");
    }
}

#[test]
fn what_a_voter_fetched_before_its_disk_was_replaced_was_on_a_disk() {
    let (name, text) =
        builtin().iter().find(|(name, _)| *name == "zoo-raft-blank-disk-same-id").expect("it is built in");
    let scenario = parse(&format!("{name}.toml"), text, &["zoo=[]".to_owned()]).unwrap_or_else(|e| panic!("{e}"));
    // In this seed its last fetch is on its way when the disk is taken out, and the leader rightly counts it.
    let report = trial::run(&Arc::new(scenario), 216, &mut Unwatched);
    assert!(!report.failed(), "{:?}", report.verdict.groups);
}

#[test]
fn what_lying_disks_lose_is_allowed_and_nobody_cuts_what_it_knows_to_be_committed() {
    let sum = campaign("zoo-raft-truncate-below-hw", &["zoo=[]"]);
    assert!(sum.coverage["fault:lost-sync"] > 0 && sum.coverage["trials_that_lost_metadata"] > 0);
    let lost = |(code, rule)| sum.findings.keys().any(|found| found.code == code && found.rule == Some(rule));
    assert!(lost(("quorum-split", "disk-fault")), "{:?}", sum.findings);
    let sum = campaign_with_findings("zoo-raft-truncate-below-hw", &[]);
    assert!(sum.findings.keys().any(|found| found.rule == Some("committed-cut")), "{:?}", sum.findings);
}

#[test]
fn a_disk_is_compared_with_the_log_of_whoever_leads_now() {
    let (name, text) = builtin().iter().find(|(name, _)| *name == "quorum-chaos").expect("it is built in");
    let scenario = parse(&format!("{name}.toml"), text, &[]).unwrap_or_else(|e| panic!("{e}"));
    // In this seed the disk of a voter is compared first with the log of a leader that had loaded a snapshot, then with
    // one that begins where the voter's does.
    let report = trial::run(&Arc::new(scenario), 2738, &mut Unwatched);
    assert!(!report.failed(), "{:?}", report.verdict.groups);
}

#[test]
fn a_leader_hears_fetches_that_a_cut_kept_back_though_their_senders_stand_still_by_then() {
    let text = r#"
format = 1
run = "30s"
[cluster]
brokers = 3
controllers = 3
[[topic]]
name = "orders"
[[producer]]
[[fault]]
kind = "cut"
target = "active controller"
peers = ["controllers"]
direction = "in"
at = "10s"
lasts = "2.8s"
[[fault]]
kind = "pause"
target = "standby controller 1"
at = "10.9s"
lasts = "4.7s"
[[fault]]
kind = "pause"
target = "standby controller 2"
at = "10.9s"
lasts = "4.7s"
"#;
    let scenario = Arc::new(parse("kept-back.toml", text, &[]).unwrap_or_else(|e| panic!("{e}")));
    for seed in 1..=5 {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        assert!(!report.failed(), "seed {seed}: {:?}", report.verdict.groups);
    }
}
