//! The metadata quorum: for each invariant a story that breaks it, and beside it the one that just does not.

use trial_checker::{
    Checker, Class, Entry, EventRef, Observation, Partition, QuorumSettings, Settings, Verdict, Waiting,
};

const SECOND: u64 = 1_000_000_000;

/// Three controllers, c1 to c3, each with a metadata log of batches of one record.
struct Quorum {
    checker: Checker,
    id: u64,
    now: u64,
    logs: [Vec<(i32, u64)>; 4],
    durable: [usize; 4],
}

fn three_voters() -> Quorum {
    let quorum = QuorumSettings { voters: vec![1, 2, 3], without_majority: 4 * SECOND, recovery: 60 * SECOND };
    let mut play = Quorum {
        checker: Checker::new(Settings { quorum, ..Settings::default() }),
        id: 0,
        now: SECOND,
        logs: Default::default(),
        durable: [0; 4],
    };
    for controller in 1..=3 {
        play.see(Observation::ControllerStarted { controller, voter: true, new_disk: false });
    }
    play
}

impl Quorum {
    fn see(&mut self, what: Observation) -> &mut Self {
        self.id += 1;
        self.now += SECOND / 10;
        self.checker.observe(EventRef { id: self.id, time: self.now }, what);
        self
    }
    fn log(&mut self, controller: i32) -> &mut Vec<(i32, u64)> {
        &mut self.logs[controller as usize]
    }
    fn leads(&mut self, controller: i32, epoch: i32) -> &mut Self {
        self.see(Observation::QuorumEpoch { controller, epoch }).see(Observation::QuorumLeader { controller, epoch })
    }
    fn gone(&mut self, controller: i32) -> &mut Self {
        self.see(Observation::QuorumLeaderGone { controller })
    }
    fn append(&mut self, controller: i32, epoch: i32, hash: u64) -> &mut Self {
        let first_offset = self.log(controller).len() as i64;
        self.log(controller).push((epoch, hash));
        let entry = Entry { first_offset, last_offset: first_offset, epoch, hash, records: vec![], producer: None };
        self.see(Observation::MetadataAppended { controller, entries: vec![entry] })
    }
    fn truncate(&mut self, controller: i32, to: usize) -> &mut Self {
        self.log(controller).truncate(to);
        self.durable[controller as usize] = self.durable[controller as usize].min(to);
        self.see(Observation::MetadataTruncated { controller, to: to as i64 })
    }
    /// The power went, and what had not been synced with it.
    fn restart_with(&mut self, controller: i32, records: usize) -> &mut Self {
        self.log(controller).truncate(records);
        self.see(Observation::ControllerStopped { controller })
            .see(Observation::ControllerStarted { controller, voter: true, new_disk: false })
            .see(Observation::MetadataLost { controller, log_end: records as i64 })
    }
    fn sync(&mut self, controllers: &[i32]) -> &mut Self {
        for controller in controllers {
            self.durable[*controller as usize] = self.logs[*controller as usize].len();
        }
        self
    }
    fn commit(&mut self, controller: i32, epoch: i32, to: i64) -> &mut Self {
        let leader = self.logs[controller as usize].clone();
        let end = |c: i32| {
            let own = &self.logs[c as usize][..self.durable[c as usize]];
            own.iter().zip(&leader).take_while(|(a, b)| a == b).count() as i64
        };
        let durable = (1..=3).map(|c| (c, end(c))).collect();
        self.see(Observation::MetadataHighWatermark { controller, to, leads: Some(epoch), durable })
    }
    fn learns(&mut self, controller: i32, to: i64) -> &mut Self {
        self.see(Observation::MetadataHighWatermark { controller, to, leads: None, durable: vec![] })
    }
    /// The leader appends it, all have it on disk, and it is committed.
    fn write(&mut self, leader: i32, epoch: i32, hash: u64) -> &mut Self {
        for controller in 1..=3 {
            self.append(controller, epoch, hash);
        }
        let to = self.logs[leader as usize].len() as i64;
        self.sync(&[1, 2, 3]).commit(leader, epoch, to)
    }
    fn verdict(&self) -> Verdict {
        self.checker.clone().finish(self.now)
    }
    /// Codes and rules of all findings, all of them BUGs.
    fn found(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let verdict = self.verdict();
        assert!(verdict.groups.iter().all(|g| g.class == Class::Bug));
        verdict.groups.iter().map(|g| (g.code, g.rule)).collect()
    }
}

fn split(rule: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
    vec![("quorum-split", Some(rule))]
}

#[test]
fn a_leader_that_takes_up_its_office_late_need_not_have_what_later_epochs_committed() {
    // c3 won epoch 2 long ago, and stood still until now. What was committed before its epoch it must have.
    let late = |kept: usize| {
        let mut play = three_voters();
        play.leads(1, 1).write(1, 1, 10).gone(1).leads(2, 3).append(2, 3, 11).append(1, 3, 11).sync(&[1, 2]);
        play.commit(2, 3, 2).restart_with(3, kept).leads(3, 2);
        play.found()
    };
    assert_eq!(late(1), []);
    assert_eq!(late(0), split("committed-lost"));
}

#[test]
fn a_majority_is_one_of_the_voters_in_force() {
    // c1 leads, and removes itself: c2 and c3 must have that.
    let removed = |voters: &[i32], holders: &[i32]| {
        let mut play = three_voters();
        play.leads(1, 1).write(1, 1, 10);
        play.see(Observation::QuorumVoters { controller: 1, voters: voters.to_vec() });
        for controller in 1..=3 {
            play.append(controller, 1, 11);
        }
        let durable = voters.iter().map(|voter| (*voter, if holders.contains(voter) { 2 } else { 1 })).collect();
        play.see(Observation::MetadataHighWatermark { controller: 1, to: 2, leads: Some(1), durable });
        play.found()
    };
    assert_eq!(removed(&[2, 3], &[2, 3]), []);
    assert_eq!(removed(&[2, 3], &[1, 2]), [("commit-without-majority", None)]);
    assert_eq!(removed(&[1, 2, 3], &[1, 2]), []);
}

#[test]
fn a_quorum_that_changes_its_leader_is_right() {
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).write(1, 1, 11).learns(2, 2);
    // c1 appends what nobody gets, c2 takes over, and c1 follows it.
    play.append(1, 1, 12).gone(1).leads(2, 2).append(2, 2, 20).append(3, 2, 20).sync(&[2, 3]).commit(2, 2, 3);
    play.truncate(1, 2).append(1, 2, 20).learns(1, 3);
    assert_eq!(play.found(), []);
}

#[test]
fn a_deposed_leader_may_learn_late_what_was_committed() {
    let late = |to: i64| {
        let mut play = three_voters();
        play.leads(1, 1).write(1, 1, 10).append(1, 1, 11).append(2, 1, 11).append(1, 1, 12).sync(&[1, 2, 3]);
        play.leads(2, 2).append(2, 2, 20).append(3, 1, 11).append(3, 2, 20).sync(&[1, 2, 3]).commit(2, 2, 3);
        play.commit(1, 1, to).found()
    };
    assert_eq!(late(2), []);
    assert!(late(3).contains(&("quorum-split", Some("committed-differs"))));
}

#[test]
fn an_epoch_has_one_leader() {
    assert_eq!(three_voters().leads(1, 1).gone(1).leads(2, 2).found(), []);
    assert_eq!(three_voters().leads(1, 1).leads(2, 1).found(), split("two-leaders"));
    // KAFKA-10527: it comes back and leads on, with less than it had.
    let mut play = three_voters();
    assert_eq!(play.leads(1, 1).append(1, 1, 10).restart_with(1, 0).leads(1, 1).found(), split("two-leaders"));
}

#[test]
fn a_vote_is_given_once_and_remembered() {
    let voted = |controller, epoch, candidate| Observation::QuorumVoted { controller, epoch, candidate };
    let mut play = three_voters();
    play.see(voted(3, 1, 1)).restart_with(3, 0).see(voted(3, 1, 1)).see(voted(3, 2, 2));
    assert_eq!(play.found(), [], "the same vote again, and another in another epoch");
    assert_eq!(play.see(voted(3, 1, 2)).found(), [("voted-twice", None)]);
    // On another disk it is another voter.
    let mut play = three_voters();
    play.see(voted(3, 1, 1)).see(Observation::ControllerStarted { controller: 3, voter: false, new_disk: true });
    assert_eq!(play.see(voted(3, 1, 2)).found(), []);
}

#[test]
fn an_epoch_never_goes_back() {
    let epoch = |controller, epoch| Observation::QuorumEpoch { controller, epoch };
    let mut play = three_voters();
    play.see(epoch(1, 4)).restart_with(1, 0).see(epoch(1, 4)).see(epoch(2, 1));
    assert_eq!(play.found(), []);
    assert_eq!(play.see(epoch(1, 3)).found(), [("quorum-epoch-regression", None)]);
}

#[test]
fn logs_match() {
    let mut play = three_voters();
    play.leads(1, 1).append(1, 1, 10).append(2, 1, 10).append(1, 1, 11);
    assert_eq!(play.found(), [], "shorter is not different");
    assert_eq!(play.append(2, 1, 99).found(), split("log-matching"));
    // The same record in the same place, and another before it.
    let mut play = three_voters();
    play.append(1, 1, 10).append(1, 3, 30).append(2, 2, 20);
    assert_eq!(play.found(), []);
    assert_eq!(play.append(2, 3, 30).found(), split("log-matching"));
}

#[test]
fn a_leader_has_all_that_was_committed() {
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10);
    play.append(1, 1, 11).append(2, 1, 11).sync(&[1, 2]).commit(1, 1, 2).gone(1);
    let mut other = play.clone_for_another_end();
    assert_eq!(play.leads(2, 2).found(), []);
    assert_eq!(other.leads(3, 2).found(), split("committed-lost"));
    let verdict = other.verdict();
    insta::assert_snapshot!(verdict.findings[0]);
}

impl Quorum {
    fn clone_for_another_end(&self) -> Quorum {
        let Quorum { checker, id, now, logs, durable } = self;
        Quorum { checker: checker.clone(), id: *id, now: *now, logs: logs.clone(), durable: *durable }
    }
}

#[test]
fn what_is_taken_for_committed_was_committed() {
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).append(3, 2, 30).append(1, 1, 11).append(2, 1, 11).sync(&[1, 2]).commit(1, 1, 2);
    assert_eq!(play.learns(3, 1).found(), []);
    assert_eq!(play.learns(3, 2).found(), split("committed-differs"));
}

#[test]
fn nobody_cuts_what_is_committed() {
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).append(3, 1, 11);
    assert_eq!(play.truncate(3, 1).found(), []);
    assert_eq!(play.truncate(3, 0).found(), split("committed-cut"));
}

#[test]
fn what_lying_disks_lose_is_allowed_and_to_cut_what_is_known_to_be_committed_is_not() {
    let classes = |play: &Quorum| -> Vec<_> {
        let verdict = play.verdict();
        verdict.findings.iter().map(|f| (f.class, f.code, f.rule)).collect()
    };
    let lost = (Class::Allowed, "quorum-split", Some("disk-fault"));
    let cut = (Class::Bug, "quorum-split", Some("committed-cut"));
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).learns(3, 1).gone(1);
    for controller in [1, 2] {
        play.see(Observation::MetadataDiskLied { controller }).restart_with(controller, 0);
    }
    play.leads(2, 2).append(2, 2, 11);
    assert_eq!(classes(&play), [lost]);
    let mut knows_no_more = play.clone_for_another_end();
    play.truncate(3, 0);
    assert!(classes(&play).contains(&cut), "{:?}", classes(&play));
    knows_no_more.restart_with(3, 1).truncate(3, 0);
    assert_eq!(classes(&knows_no_more), [lost]);
}

/// A partition is not read to its end, after two controllers have lost what was committed, by their disks or by themselves.
fn stuck_after_a_loss(disks_lie: bool, loses: bool) -> (Class, Option<&'static str>) {
    let partition = Partition::new("orders", 0);
    let mut play = three_voters();
    play.see(Observation::LogAppended { broker: 1, partition: partition.clone(), as_leader: true, entries: vec![] });
    play.leads(1, 1).write(1, 1, 10).learns(3, 1).gone(1);
    for controller in [1, 2] {
        if disks_lie {
            play.see(Observation::MetadataDiskLied { controller });
        }
        play.restart_with(controller, usize::from(!loses));
    }
    play.leads(2, 2).append(2, 2, 11);
    play.see(Observation::FinalReadEnd { partition, log_start: 0, log_end: 1, complete: false });
    let verdict = play.verdict();
    let stuck = verdict.findings.iter().find(|finding| finding.code == "stuck").expect("it was not read");
    (stuck.class, stuck.rule)
}

/// A broker is waited for after that: its registration may be what was lost.
#[test]
fn who_was_registered_by_a_quorum_that_forgot_may_wait_for_ever() {
    let waits = |disks_lie: bool| {
        let mut play = three_voters();
        play.leads(1, 1).write(1, 1, 10).learns(3, 1).gone(1);
        for controller in [1, 2] {
            if disks_lie {
                play.see(Observation::MetadataDiskLied { controller });
            }
            play.restart_with(controller, 0);
        }
        play.leads(2, 2).append(2, 2, 11).now += 600_000_000_000;
        play.see(Observation::StillWaiting { what: Waiting::BrokerUnfenced { broker: 1 }, since: 0 });
        let verdict = play.verdict();
        let stuck = verdict.findings.iter().find(|finding| finding.code == "stuck").expect("it is waited for");
        (stuck.class, stuck.rule)
    };
    assert_eq!(waits(true), (Class::Allowed, Some("disk-fault")));
    assert_eq!(waits(false), (Class::Bug, Some("broker-never-unfenced")));
}

#[test]
fn what_a_quorum_forgot_by_its_disks_nobody_can_read() {
    assert_eq!(stuck_after_a_loss(true, true), (Class::Allowed, Some("disk-fault")));
    assert_eq!(stuck_after_a_loss(true, false), (Class::Bug, None), "nothing was forgotten");
    assert_eq!(stuck_after_a_loss(false, true), (Class::Bug, None), "the disks kept it");
}

#[test]
fn an_active_controller_has_replayed_what_is_committed() {
    let has = |differs: Option<&str>| Observation::ActiveControllerMetadata {
        controller: 1,
        next_offset: 5,
        differs: differs.map(str::to_owned),
    };
    let mut play = three_voters();
    assert_eq!(play.see(has(None)).found(), []);
    let found = play.see(has(Some("it has topic orders otherwise"))).found();
    assert_eq!(found, [("metadata-divergence", Some("active-controller"))]);
}

#[test]
fn a_majority_has_on_disk_what_is_committed() {
    let mut play = three_voters();
    play.leads(1, 1).append(1, 1, 10).append(2, 1, 10).append(3, 1, 10).sync(&[2, 3]);
    assert_eq!(play.commit(1, 1, 1).found(), [], "two of three, the leader need not be one");
    let mut play = three_voters();
    play.leads(1, 1).append(1, 1, 10).append(2, 1, 10).append(3, 1, 10).sync(&[1]);
    assert_eq!(play.commit(1, 1, 1).found(), [("commit-without-majority", None)]);
    insta::assert_snapshot!(play.verdict().findings[0]);
}

#[test]
fn a_high_watermark_rises_within_the_log() {
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).write(1, 1, 11);
    let mut back = play.clone_for_another_end();
    // One that comes back does not know yet, and that is no way back.
    assert_eq!(play.restart_with(2, 2).learns(2, 1).found(), []);
    assert_eq!(play.learns(2, 3).found(), [("quorum-high-watermark", None)]);
    assert_eq!(back.commit(1, 1, 1).found(), [("quorum-high-watermark", None)]);
}

#[test]
fn a_log_starts_where_its_snapshot_ends() {
    let snapshot =
        |controller, end_offset, epoch, loaded| Observation::MetadataSnapshot { controller, end_offset, epoch, loaded };
    let starts = |controller, to| Observation::MetadataLogStart { controller, to };
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10).write(1, 1, 11);
    play.see(snapshot(2, 1, 1, false)).see(starts(2, 1)).see(snapshot(3, 2, 1, true));
    assert_eq!(play.found(), []);
    assert_eq!(play.clone_for_another_end().see(starts(2, 2)).found(), [("snapshot-gap", None)]);
    assert_eq!(play.clone_for_another_end().see(snapshot(2, 3, 1, false)).found(), [("snapshot-gap", None)]);
    assert_eq!(play.clone_for_another_end().see(snapshot(2, 2, 7, false)).found(), [("snapshot-gap", None)]);
    assert_eq!(play.see(snapshot(1, 2, 1, true)).found(), [("leader-loaded-snapshot", None)]);
}

#[test]
fn a_brokers_metadata_is_what_was_committed() {
    let has = |differs: Option<&str>| Observation::BrokerMetadata {
        broker: 1,
        next_offset: 7,
        differs: differs.map(str::to_owned),
    };
    let mut play = three_voters();
    assert_eq!(play.see(has(None)).found(), []);
    assert_eq!(play.see(has(Some("it has topic orders otherwise"))).found(), [("metadata-divergence", None)]);
}

#[test]
fn a_leader_whom_no_majority_reaches_resigns_in_time() {
    let mut play = three_voters();
    play.leads(1, 1);
    let cut_off = |since| Observation::QuorumLeaderCutOff { controller: 1, epoch: 1, since };
    let since = play.now;
    play.now += 3 * SECOND;
    assert_eq!(play.see(cut_off(since)).found(), []);
    play.now += SECOND;
    play.see(cut_off(since)).see(cut_off(since));
    assert_eq!(play.found(), [("stuck", Some("leader-without-majority"))]);
    assert_eq!(play.verdict().count(Class::Bug, "stuck"), 1, "told once for one reign");
}

#[test]
fn nobody_deposes_a_leader_at_work_without_the_consent_of_a_majority() {
    let stands = |consents| Observation::QuorumCandidate { controller: 3, epoch: 5, consents };
    let mut play = three_voters();
    play.leads(1, 1).write(1, 1, 10);
    assert_eq!(play.clone_for_another_end().see(stands(2)).found(), []);
    let mut silent = play.clone_for_another_end();
    silent.now += 5 * SECOND;
    assert_eq!(silent.see(stands(1)).found(), [], "its leader commits nothing any more: nothing is disturbed");
    let mut again = play.clone_for_another_end();
    again.see(stands(2)).see(Observation::ControllerStopped { controller: 3 });
    again.see(Observation::ControllerStarted { controller: 3, voter: true, new_disk: false });
    assert_eq!(again.clone_for_another_end().see(stands(0)).found(), [], "it stands where it stood");
    let raised = Observation::QuorumCandidate { controller: 3, epoch: 6, consents: 0 };
    assert_eq!(again.see(raised).found(), [("stuck", Some("leader-deposed"))]);
    assert_eq!(play.see(stands(1)).found(), [("stuck", Some("leader-deposed"))]);
    insta::assert_snapshot!(play.verdict().findings[0]);
}

#[test]
fn what_nothing_hinders_happens_within_the_bound() {
    let mut play = three_voters();
    let since = play.now;
    let waits = |since| Observation::StillWaiting { what: Waiting::BrokerUnfenced { broker: 2 }, since };
    play.now += 59 * SECOND;
    assert_eq!(play.see(waits(since)).found(), []);
    play.now += 2 * SECOND;
    assert_eq!(play.see(waits(since)).found(), [("stuck", Some("broker-never-unfenced"))]);
}

/// Each by the name of what does not happen.
#[test]
fn everything_that_is_waited_for_has_a_name() {
    let partition = Partition::new("orders", 0);
    let group: std::sync::Arc<str> = "g".into();
    let all = [
        (Waiting::ActiveController, "no-active-controller"),
        (Waiting::BrokerUnfenced { broker: 2 }, "broker-never-unfenced"),
        (Waiting::PartitionLeader { partition: partition.clone() }, "no-leader"),
        (Waiting::InSync { partition: partition.clone(), broker: 2 }, "never-in-sync"),
        (Waiting::PreferredLeader { partition: partition.clone() }, "never-led-by-its-preferred-replica"),
        (Waiting::Committed { partition: partition.clone() }, "high-watermark-stands-still"),
        (Waiting::Leaves { partition: partition.clone(), broker: 2 }, "late-member-stays"),
        (Waiting::Acknowledgement { producer: 1 }, "producer-does-not-get-on"),
        (Waiting::Reading { consumer: 1, partition: partition.clone() }, "consumer-does-not-get-on"),
        (Waiting::GroupStable { group: group.clone() }, "group-not-stable"),
        (Waiting::Membership { consumer: 1 }, "not-in-its-group"),
        (Waiting::GroupReading { group, partition }, "group-does-not-get-on"),
    ];
    for (what, rule) in all {
        let mut play = three_voters();
        let since = play.now;
        play.now += 61 * SECOND;
        assert_eq!(play.see(Observation::StillWaiting { what, since }).found(), [("stuck", Some(rule))]);
    }
}
