//! Coordinators of groups: for each invariant a story that breaks it, and beside it the one that just does not.

mod play;

use std::sync::Arc;

use play::{kinds, settings};
use trial_checker::{
    Checker, Class, Commits, CoordinatorStep, Entry, EventRef, Generation, GroupRecord, MemberAssignment,
    MemberSettings, MemberStep, Observation, Partition, Reset, Settings, TopicSettings, Verdict,
};

const BUG: Class = Class::Bug;

/// `__consumer_offsets-0` on b1, which leads, and b2; `orders-0` has ten records.
struct Play {
    checker: Checker,
    id: u64,
    end: i64,
    leader: i32,
    epoch: i32,
}

fn home() -> Partition {
    Partition::new("__consumer_offsets", 0)
}
fn orders(index: i32) -> Partition {
    Partition::new("orders", index)
}
fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn offset(offset: impl Into<Option<i64>>) -> GroupRecord {
    GroupRecord::Offset { group: name("g"), partition: orders(0), offset: offset.into() }
}
/// A generation of a classic group: members with the partitions that each has.
fn generation(generation: i32, members: &[(&str, &[i32])]) -> GroupRecord {
    let has = |partitions: &[i32]| partitions.iter().map(|index| orders(*index)).collect();
    let members = members.iter().map(|(member, partitions)| (name(member), has(partitions))).collect();
    GroupRecord::Generation { group: name("g"), value: Some(Generation { number: generation, members }) }
}
fn member(member: &str, epoch: i32, assigned: &[i32], revoking: &[i32]) -> GroupRecord {
    let of = |partitions: &[i32]| partitions.iter().map(|index| orders(*index)).collect();
    let value = Some(MemberAssignment { epoch, assigned: of(assigned), revoking: of(revoking) });
    GroupRecord::Member { group: name("g"), member: name(member), value }
}
fn group_epoch(epoch: i32) -> GroupRecord {
    GroupRecord::GroupEpoch { group: name("g"), epoch: Some(epoch) }
}

fn coordinator() -> Play {
    coordinator_with(settings(-1))
}

fn coordinator_with(settings: Settings) -> Play {
    let mut play = Play { checker: Checker::new(settings), id: 0, end: 0, leader: 1, epoch: 5 };
    let entry = Entry { first_offset: 0, last_offset: 9, epoch: 0, hash: 1, records: vec![], producer: None };
    let (partition, entries) = (orders(0), vec![entry]);
    play.elect(1, &[1, 2], true);
    play.see(Observation::LogAppended { broker: 1, partition, as_leader: true, entries });
    play
}

impl Play {
    fn see(&mut self, what: Observation) -> &mut Self {
        self.id += 1;
        self.checker.observe(EventRef { id: self.id, time: self.id * 1_000_000 }, what);
        self
    }
    fn coordinator(&mut self, what: CoordinatorStep) -> &mut Self {
        let broker = self.leader;
        self.see(Observation::Coordinator { broker, what })
    }
    /// The controller elects it, and it begins to lead with its log.
    fn elect(&mut self, leader: i32, isr: &[i32], clean: bool) -> &mut Self {
        self.epoch += 1;
        let (leader_epoch, previous, isr) = (self.epoch, self.leader, isr.to_vec());
        let partition_epoch = leader_epoch;
        self.leader = leader;
        self.see(Observation::LeaderElected {
            partition: home(),
            leader,
            leader_epoch,
            partition_epoch,
            isr,
            previous,
            clean,
        });
        let log_end = self.end;
        self.see(Observation::BecameLeader { broker: leader, partition: home(), leader_epoch, log_end })
    }
    fn append(&mut self, broker: i32, as_leader: bool) -> &mut Self {
        let (first_offset, last_offset, epoch) = (self.end, self.end, self.epoch);
        let hash = (self.epoch as u64) << 32 | self.end as u64;
        let entry = Entry { first_offset, last_offset, epoch, hash, records: vec![], producer: None };
        self.see(Observation::LogAppended { broker, partition: home(), as_leader, entries: vec![entry] })
    }
    /// The leader appends a batch, which it alone has.
    fn writes(&mut self, records: &[GroupRecord]) -> &mut Self {
        let (leader, first_offset, epoch) = (self.leader, self.end, self.epoch);
        self.append(leader, true);
        self.end += 1;
        self.coordinator(CoordinatorStep::Appended {
            partition: home(),
            first_offset,
            last_offset: first_offset,
            epoch,
            records: records.to_vec(),
        })
    }
    /// b2 copies the last batch.
    fn copied(&mut self) -> &mut Self {
        self.end -= 1;
        self.append(2, false);
        self.end += 1;
        self
    }
    fn high_watermark(&mut self) -> &mut Self {
        let (broker, to, leader_epoch) = (self.leader, self.end, self.epoch);
        self.see(Observation::HighWatermarkMoved {
            broker,
            partition: home(),
            to,
            leader_epoch,
            legitimate_leader: true,
        })
    }
    /// The leader appends a batch, and it is committed.
    fn commits(&mut self, records: &[GroupRecord]) -> &mut Self {
        self.writes(records).copied().high_watermark()
    }
    fn written_for(&mut self, member: &str, generation: i32, offset: i64) -> &mut Self {
        let (group, partition, member) = (name("g"), orders(0), name(member));
        self.coordinator(CoordinatorStep::OffsetWritten { group, partition, offset, member, generation })
    }
    fn acknowledges(&mut self, offset: i64) -> &mut Self {
        let (group, partition) = (name("g"), orders(0));
        self.coordinator(CoordinatorStep::CommitAcknowledged { group, partition, offset })
    }
    fn verdict(&self) -> Verdict {
        self.checker.clone().finish(self.id * 1_000_000)
    }
    fn found(&self) -> Vec<(Class, &'static str, Option<&'static str>)> {
        kinds(&self.verdict())
    }
}

#[test]
fn a_group_that_goes_its_way_breaks_nothing() {
    let mut play = coordinator();
    play.commits(&[generation(1, &[("a", &[0, 1])])]).commits(&[offset(3)]).written_for("a", 1, 3).acknowledges(3);
    play.commits(&[generation(2, &[("a", &[0]), ("b", &[1])])]);
    play.commits(&[offset(10)]).written_for("a", 2, 10).acknowledges(10);
    assert_eq!(play.found(), []);
}

#[test]
fn no_partition_is_given_to_two_members() {
    let mut play = coordinator();
    play.commits(&[generation(1, &[("a", &[0, 1]), ("b", &[1])])]);
    assert_eq!(play.found(), [(BUG, "dual-ownership", Some("coordinator"))]);
    insta::assert_snapshot!("two_members", play.verdict().findings[0]);
    // With KIP-848 it is its owner's until that has given it back.
    let mut play = coordinator();
    play.commits(&[group_epoch(1), member("a", 1, &[0, 1], &[])]).commits(&[group_epoch(2), member("b", 2, &[], &[])]);
    play.commits(&[member("a", 1, &[0], &[1])]).commits(&[member("a", 2, &[0], &[]), member("b", 2, &[1], &[])]);
    assert_eq!(play.found(), []);
    let mut play = coordinator();
    play.commits(&[group_epoch(1), member("a", 1, &[0, 1], &[])]).commits(&[group_epoch(2), member("b", 2, &[], &[])]);
    play.commits(&[member("a", 1, &[0], &[1])]).commits(&[member("b", 2, &[1], &[])]);
    assert_eq!(play.found(), [(BUG, "dual-ownership", Some("coordinator"))]);
}

#[test]
fn generations_and_epochs_rise() {
    let mut play = coordinator();
    play.commits(&[generation(4, &[("a", &[0])])]).commits(&[generation(3, &[("a", &[0])])]);
    assert_eq!(play.found(), [(BUG, "group-epoch-regression", Some("generation"))]);
    let mut play = coordinator();
    play.commits(&[group_epoch(4), member("a", 4, &[0], &[])]).commits(&[group_epoch(3)]);
    assert_eq!(play.found(), [(BUG, "group-epoch-regression", Some("group-epoch"))]);
    let mut play = coordinator();
    play.commits(&[group_epoch(4), member("a", 4, &[0], &[])]).commits(&[member("a", 3, &[0], &[])]);
    assert_eq!(play.found(), [(BUG, "group-epoch-regression", Some("member-epoch"))]);
    // A group that is removed begins anew, and a static member that goes away for a while stands at -2.
    let mut play = coordinator();
    play.commits(&[generation(4, &[])]).commits(&[GroupRecord::Generation { group: name("g"), value: None }]);
    play.commits(&[generation(1, &[("a", &[0])])]);
    assert_eq!(play.found(), []);
    let mut play = coordinator();
    play.commits(&[group_epoch(4), member("a", 4, &[0], &[])]).commits(&[member("a", -2, &[0], &[])]);
    assert_eq!(play.found(), []);
}

#[test]
fn offsets_are_written_for_members_of_the_present_generation_only() {
    let classic = |generation_of_commit: i32| {
        let mut play = coordinator();
        play.commits(&[generation(4, &[("a", &[0])])]).writes(&[offset(3)]).written_for("a", generation_of_commit, 3);
        play.found()
    };
    assert_eq!(classic(3), [(BUG, "zombie-commit", Some("coordinator"))]);
    assert_eq!(classic(4), []);
    // Agreed on, not assigned yet: it is not in the log.
    assert_eq!(classic(5), []);
    assert_eq!(classic(-1), [(BUG, "zombie-commit", Some("coordinator"))]);
    let modern = |member_id: &str, epoch: i32| {
        let mut play = coordinator();
        play.commits(&[group_epoch(4), member("a", 4, &[0], &[])])
            .writes(&[offset(3)])
            .written_for(member_id, epoch, 3);
        play.found()
    };
    assert_eq!(modern("a", 4), []);
    assert_eq!(modern("a", 3), [(BUG, "zombie-commit", Some("coordinator"))]);
    assert_eq!(modern("z", 4), [(BUG, "zombie-commit", Some("coordinator"))]);
    // A group without members takes offsets from anybody.
    let mut play = coordinator();
    play.commits(&[generation(4, &[])]).writes(&[offset(3)]).written_for("", -1, 3);
    assert_eq!(play.found(), []);
}

#[test]
fn a_new_leader_of_the_offsets_knows_what_it_has_copied() {
    let mut play = coordinator();
    play.commits(&[generation(4, &[("a", &[0])])]).elect(2, &[2], true);
    play.writes(&[offset(3)]).written_for("a", 3, 3);
    assert_eq!(play.found(), [(BUG, "zombie-commit", Some("coordinator"))]);
}

#[test]
fn no_group_has_come_farther_than_the_log() {
    let mut play = coordinator();
    play.commits(&[offset(10)]);
    assert_eq!(play.found(), []);
    play.commits(&[offset(11)]);
    assert_eq!(play.found(), [(BUG, "commit-beyond-log-end", None)]);
}

#[test]
fn the_offset_of_a_partition_that_is_consumed_stays() {
    let remove = |in_use: &[i32]| {
        let mut play = coordinator();
        play.commits(&[generation(4, &[("a", in_use)]), offset(3)]).commits(&[offset(None)]);
        play.found()
    };
    assert_eq!(remove(&[1]), []);
    assert_eq!(remove(&[0]), [(BUG, "commit-regression", Some("removed-while-in-use"))]);
    let mut play = coordinator();
    play.commits(&[generation(4, &[("a", &[0])]), offset(3)]).see(Observation::TopicDeleted { topic: name("orders") });
    play.commits(&[offset(None)]);
    assert_eq!(play.found(), [], "with its topic it goes");
}

#[test]
fn a_commit_is_acknowledged_below_the_high_watermark() {
    let mut play = coordinator();
    play.commits(&[offset(3)]).acknowledges(3).writes(&[offset(4)]).acknowledges(4);
    assert_eq!(play.found(), [(BUG, "ack-before-committed", Some("offset-commit"))]);
    let mut play = coordinator();
    play.commits(&[offset(3)]).acknowledges(3).acknowledges(3);
    let twice = play.verdict();
    assert_eq!(kinds(&twice), [(BUG, "ack-before-committed", Some("offset-commit"))], "one record is one commit");
    insta::assert_snapshot!("acknowledged_twice", twice.findings[0]);
    // The same offset was written before, by the same broker, and cut away when another led.
    let mut play = coordinator();
    play.commits(&[generation(4, &[])]).writes(&[offset(3)]).writes(&[offset(3)]).elect(2, &[1, 2], true);
    play.end = 1;
    let why = "because the leader's history differs from there".to_owned();
    play.see(Observation::LogTruncated { broker: 1, partition: home(), to: 1, why }).elect(1, &[1, 2], true);
    play.commits(&[offset(3)]).acknowledges(3);
    assert_eq!(play.found(), []);
    // What was written before timed out; the next is answered.
    let mut play = coordinator();
    play.writes(&[offset(3)]).copied().commits(&[offset(4)]).acknowledges(4);
    assert_eq!(play.found(), []);
}

/// A commit is acknowledged; b1 loses power and b2 is elected without it.
fn loses_a_commit(min_insync_replicas: i32, unclean: bool) -> Play {
    let mut settings = settings(-1);
    let of_topic = TopicSettings {
        replication_factor: 2,
        min_insync_replicas,
        unclean_leader_election_enable: unclean,
        ..TopicSettings::default()
    };
    settings.topics.insert("__consumer_offsets".into(), of_topic);
    let mut play = coordinator_with(settings);
    play.commits(&[generation(4, &[("a", &[0])])]).commits(&[offset(2)]).acknowledges(2);
    play.see(Observation::IsrChanged { partition: home(), isr: vec![1], leader_epoch: 6, partition_epoch: 7 });
    play.writes(&[offset(3)]).high_watermark().acknowledges(3);
    play.see(Observation::BrokerLostPower { broker: 1, lost_bytes: 0 });
    play.end -= 1;
    play.epoch += 1;
    play.elect(2, &[2], false).commits(&[]);
    play
}

#[test]
fn an_acknowledged_commit_is_lost_only_as_any_record_may_be() {
    let of_commits = |play: Play| {
        let verdict = play.verdict();
        let of = verdict.groups.iter().filter(|group| group.code == "commit-regression");
        of.map(|group| (group.class, group.rule)).collect::<Vec<_>>()
    };
    assert_eq!(of_commits(loses_a_commit(1, true)), [(Class::Allowed, Some("unclean-election"))]);
    assert_eq!(of_commits(loses_a_commit(1, false)), [(BUG, Some("acknowledged-commit-lost"))]);
}

#[test]
fn a_coordinator_answers_what_its_log_has() {
    let mut play = coordinator();
    let how = Some("of orders-0 group g has committed 5 by the log, and none as the coordinator knows it".to_owned());
    play.coordinator(CoordinatorStep::State { partition: home(), offsets_differ: how.clone(), groups_differ: None });
    assert_eq!(play.found(), [(BUG, "commit-regression", Some("coordinator"))]);
    let mut play = coordinator();
    play.coordinator(CoordinatorStep::State { partition: home(), offsets_differ: None, groups_differ: how });
    assert_eq!(play.found(), [(BUG, "coordinator-divergence", None)]);
    let mut play = coordinator();
    play.coordinator(CoordinatorStep::State { partition: home(), offsets_differ: None, groups_differ: None });
    assert_eq!(play.found(), []);
}

/// k1 joins as "b", where "a" had its name before, and is told that another has it.
struct Fenced {
    written: bool,
    removed: bool,
    unclean: Option<bool>,
    coordinator: i32,
}

/// b has its record, nobody has removed it, nothing is lost, and the coordinator is the leader.
const FENCED: Fenced = Fenced { written: true, removed: false, unclean: None, coordinator: 1 };

impl Fenced {
    fn found(self) -> Vec<(Class, Option<&'static str>)> {
        let mut settings = settings(-1);
        let offsets = TopicSettings {
            unclean_leader_election_enable: self.unclean == Some(true),
            min_insync_replicas: 1,
            ..TopicSettings::default()
        };
        settings.topics.insert("__consumer_offsets".into(), offsets);
        let topics = vec!["orders".to_owned()];
        let (commits, reset, instance) = (Commits::After, Reset::Earliest, Some(name("till")));
        let member = MemberSettings { group: name("g"), topics, commits, reset, cooperative: false, instance };
        settings.members.insert(1, member);
        let mut play = coordinator_with(settings);
        play.commits(&[generation(4, &[("a", &[0])])]);
        if self.unclean.is_some() {
            play.see(Observation::IsrChanged { partition: home(), isr: vec![1], leader_epoch: 6, partition_epoch: 7 });
        }
        let removed = |member: &str| CoordinatorStep::MemberRemoved { group: name("g"), member: name(member) };
        play.coordinator(removed("a"));
        if self.written {
            play.writes(&[generation(4, &[("b", &[0])])]);
            if self.unclean.is_none() {
                play.copied();
            }
            play.high_watermark();
        }
        play.see(Observation::Member { consumer: 1, what: MemberStep::Joined { member: name("b"), generation: 4 } });
        if self.removed {
            play.coordinator(removed("b"));
        }
        if self.unclean.is_some() {
            play.end -= 1;
            play.epoch += 1;
            play.elect(2, &[2], false);
        }
        let fenced = MemberStep::Fenced { member: name("b"), coordinator: self.coordinator };
        play.see(Observation::Member { consumer: 1, what: fenced.clone() });
        play.see(Observation::Member { consumer: 1, what: fenced });
        let verdict = play.verdict();
        let of = verdict.groups.iter().filter(|group| group.code == "stuck");
        of.map(|group| (group.class, group.rule)).collect()
    }
}

#[test]
fn a_member_is_fenced_only_for_another() {
    let bug = [(BUG, Some("fenced-for-nobody"))];
    assert_eq!(FENCED.found(), bug, "its record is in the log");
    assert_eq!(Fenced { written: false, ..FENCED }.found(), bug, "its id was never written");
    assert_eq!(Fenced { removed: true, ..FENCED }.found(), [], "another came in its place, or it was silent");
    let deposed = [(Class::Allowed, Some("deposed-coordinator"))];
    assert_eq!(Fenced { coordinator: 2, ..FENCED }.found(), deposed);
    let lost = |unclean| Fenced { unclean: Some(unclean), coordinator: 2, ..FENCED }.found();
    assert_eq!(lost(true), [(Class::Allowed, Some("unclean-election"))]);
    assert_eq!(lost(false), bug, "it should not have been lost");
}

/// a was given partition 0 in epoch 2, or was not, and said in epoch 3 that it does not have it; b is given it, and then a takes it up.
fn takes_up_what_it_was_given_before(was_given: bool, zoo_on: bool) -> Vec<(Class, Option<&'static str>)> {
    let mut settings = Settings { zoo_on, ..settings(-1) };
    for consumer in [1, 2] {
        let topics = vec!["orders".to_owned()];
        let (commits, reset, instance) = (Commits::After, Reset::Earliest, None);
        let member = MemberSettings { group: name("g"), topics, commits, reset, cooperative: false, instance };
        settings.members.insert(consumer, member);
    }
    let mut play = coordinator_with(settings);
    let before: &[i32] = if was_given { &[0] } else { &[] };
    play.commits(&[group_epoch(2), member("a", 2, before, &[])]);
    play.commits(&[group_epoch(3), member("a", 3, &[], &[])]).commits(&[member("b", 3, &[0], &[])]);
    for (consumer, id) in [(1, "a"), (2, "b")] {
        play.see(Observation::Member { consumer, what: MemberStep::Joined { member: name(id), generation: 3 } });
    }
    for consumer in [2, 1] {
        let what = MemberStep::Assigned { generation: 3, partitions: vec![orders(0)] };
        play.see(Observation::Member { consumer, what });
    }
    let verdict = play.verdict();
    let of = verdict.groups.iter().filter(|group| group.code == "dual-ownership");
    of.map(|group| (group.class, group.rule)).collect()
}

#[test]
fn who_reconciles_goes_on_with_what_was_taken_back_meanwhile() {
    let rule = Some("assignment-taken-back-while-it-is-reconciled");
    assert_eq!(takes_up_what_it_was_given_before(true, false), [(Class::Allowed, rule)]);
    assert_eq!(takes_up_what_it_was_given_before(false, false), [(BUG, None)], "it was never given");
    assert_eq!(takes_up_what_it_was_given_before(true, true), [(BUG, None)], "no rule excuses a zoo switch");
}
