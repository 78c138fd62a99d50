//! X: what clients saw and what the logs hold contradict each other. No cluster can bring that about, so each story has one
//! observation that is made up.

mod play;

use play::{Play, kinds, orders, three_brokers};
use trial_checker::{Belief, Class, Observation, Outcome, Verdict};

/// Rules of the disagreements, and all other BUGs.
fn disagreements(verdict: &Verdict) -> (Vec<&'static str>, Vec<&'static str>) {
    let bugs = || kinds(verdict).into_iter().filter(|(class, ..)| *class == Class::Bug);
    let mine = bugs().filter(|(_, code, _)| *code == "checker-disagreement").filter_map(|(.., rule)| rule).collect();
    (mine, bugs().filter(|(_, code, _)| *code != "checker-disagreement").map(|(_, code, _)| code).collect())
}

fn final_read_of(play: &mut Play, records: &[(i64, u64)]) {
    for &(offset, record) in records {
        play.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 5, record: Some(record) });
    }
    play.final_end(3, true);
}

#[test]
fn both_sides_agree_on_a_run_as_it_is() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2).read(0, 0).read(1, 1).final_read();
    assert_eq!(disagreements(&play.verdict()), (vec![], vec![]));
}

/// H has a copy that G has not: H alone would call it a bug of the cluster.
#[test]
fn a_finding_of_clients_needs_a_cause_in_the_logs() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2);
    final_read_of(&mut play, &[(0, 0), (1, 1), (2, 1)]);
    let verdict = play.verdict();
    let rules = vec!["final-log", "found-without-cause", "read-but-never-written"];
    assert_eq!(disagreements(&verdict), (rules, vec!["duplicate", "lost-write"]));
    let told = verdict.findings.iter().find(|f| f.code == "checker-disagreement").expect("it is told");
    assert!(told.summary.contains("a defect of the checker, not of the cluster"), "{}", told.summary);
    assert_eq!((told.record, verdict.outcome), (Some(1), Outcome::Fail));
}

#[test]
fn what_nobody_wrote_there_cannot_have_been_read_there() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2).read(7, 2).final_read();
    assert_eq!(disagreements(&play.verdict()).0, ["read-but-never-written"]);
}

/// The log has lost what was acknowledged, and the read, made up, has it.
#[test]
fn damage_that_clients_could_see_must_be_seen() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2);
    play.truncate(1, 2);
    final_read_of(&mut play, &[(0, 0), (1, 1), (2, 2)]);
    assert_eq!(disagreements(&play.verdict()), (vec!["final-log"], vec!["committed-truncated"]));
}

/// A copy that stands in the log and that the read does not have.
#[test]
fn a_copy_in_the_log_must_be_read() {
    let mut play = three_brokers(-1);
    play.given(0).append(0).append(0).fetch(2).fetch(3).commit().told(0, Belief::Acked { offset: Some(1) }, 1);
    play.write(1);
    final_read_of(&mut play, &[(1, 0), (2, 1)]);
    assert_eq!(disagreements(&play.verdict()), (vec!["final-log"], vec![]));
}

/// The log's start moves up under the reader, who has read from there already.
#[test]
fn what_was_deleted_while_it_was_read_is_not_compared() {
    use trial_checker::StartCause;
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2);
    for offset in 0..3 {
        let record = Some(offset as u64);
        play.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 5, record });
    }
    play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: 2, cause: StartCause::Retention });
    play.see(Observation::FinalReadEnd { partition: orders(), log_start: 2, log_end: 3, complete: true });
    assert_eq!(disagreements(&play.verdict()), (vec![], vec![]));
}

/// What H says of it is enough: the leader has it and did not deliver it.
#[test]
fn what_is_hidden_is_no_disagreement() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2);
    final_read_of(&mut play, &[(0, 0), (1, 1)]);
    assert_eq!(disagreements(&play.verdict()), (vec![], vec!["lost-write"]));
}

/// Losses that G finds and clients cannot see: two logs differ where nobody reads.
#[test]
fn what_clients_cannot_see_is_internal() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2).truncate(2, 1).final_read();
    assert_eq!(disagreements(&play.verdict()), (vec![], vec!["committed-truncated"]));
}

#[test]
fn an_end_that_was_not_reached_and_a_host_that_tells_no_records_are_not_held_to_it() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).write(2).final_end(1, false);
    assert_eq!(disagreements(&play.verdict()).0, Vec::<&str>::new());
    let mut play = three_brokers(-1);
    play.given(0).told(0, Belief::Acked { offset: Some(0) }, 1).read(0, 0).read(5, 0);
    assert_eq!(disagreements(&play.verdict()).0, Vec::<&str>::new());
}
