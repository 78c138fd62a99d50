//! Groups, as their members saw them: for each finding a story that shows it, and beside it the one that just does not.

use std::sync::Arc;

use trial_checker::{
    Belief, Checker, Class, Commits, CoordinatorStep, Deliveries, EventRef, MemberSettings, MemberStep, Observation,
    Partition, Reset, ResetCause, Settings, StartCause, Verdict, Waiting,
};

const BUG: Class = Class::Bug;
const ALLOWED: Class = Class::Allowed;
const INFO: Class = Class::Info;

/// A group "g" that reads `orders-0`, of k1, k2 and so on.
struct Group {
    checker: Checker,
    id: u64,
    now: u64,
    sent: u64,
}

fn orders() -> Partition {
    Partition::new("orders", 0)
}

fn settings(commits: Commits, reset: Reset) -> Settings {
    let mut settings = Settings::default();
    for consumer in 1..=3 {
        let topics = vec!["orders".to_owned()];
        let member =
            MemberSettings { group: Arc::from("g"), topics, commits, reset, cooperative: false, instance: None };
        settings.members.insert(consumer, member);
        settings.consumer_names.insert(consumer, format!("k{consumer}"));
    }
    settings
}

/// Whose members commit after they have processed.
fn at_least_once() -> Group {
    Group::of(settings(Commits::After, Reset::Earliest))
}

impl Group {
    fn of(settings: Settings) -> Self {
        Group { checker: Checker::new(settings), id: 0, now: 1_000_000_000, sent: 0 }
    }
    fn see(&mut self, what: Observation) -> &mut Self {
        self.id += 1;
        self.now += 10_000_000;
        self.checker.observe(EventRef { id: self.id, time: self.now }, what);
        self
    }
    /// So many more records are written and acknowledged, each at its own number.
    fn write(&mut self, records: u64) -> &mut Self {
        for record in self.sent..self.sent + records {
            self.see(Observation::SendInvoked { record, producer: 1, partition: orders() });
            let belief = Belief::Acked { offset: Some(record as i64) };
            self.see(Observation::SendSettled { record, belief, attempts: 1 });
        }
        self.sent += records;
        self
    }
    fn step(&mut self, consumer: u32, what: MemberStep) -> &mut Self {
        self.see(Observation::Member { consumer, what })
    }
    fn joins(&mut self, consumer: u32, generation: i32) -> &mut Self {
        self.step(consumer, MemberStep::Joined { member: Arc::from(format!("m{consumer}")), generation })
    }
    fn assigned(&mut self, consumer: u32, generation: i32) -> &mut Self {
        self.joins(consumer, generation);
        self.step(consumer, MemberStep::Assigned { generation, partitions: vec![orders()] })
    }
    fn revoked(&mut self, consumer: u32, generation: i32) -> &mut Self {
        self.step(consumer, MemberStep::Revoked { generation, partitions: vec![orders()] })
    }
    fn lost(&mut self, consumer: u32, generation: i32) -> &mut Self {
        self.step(consumer, MemberStep::Lost { generation, partitions: vec![orders()] })
    }
    fn dies(&mut self, consumer: u32) -> &mut Self {
        self.step(consumer, MemberStep::Stopped)
    }
    fn begins(&mut self, consumer: u32, to: i64, cause: ResetCause) -> &mut Self {
        self.see(Observation::PositionReset { consumer, partition: orders(), to, cause })
    }
    fn begins_at_committed(&mut self, consumer: u32, to: i64) -> &mut Self {
        self.begins(consumer, to, ResetCause::Committed)
    }
    fn begins_anew(&mut self, consumer: u32, to: i64) -> &mut Self {
        self.begins(consumer, to, ResetCause::NothingCommitted)
    }
    /// One poll gives these records.
    fn polls(&mut self, consumer: u32, first: i64, last: i64) -> &mut Self {
        self.step(consumer, MemberStep::HandedOut { partition: orders(), first_offset: first, last_offset: last });
        self.id += 1;
        let at = EventRef { id: self.id, time: self.now };
        for offset in first..=last {
            let partition = orders();
            let record = Some(offset as u64);
            self.checker.observe(at, Observation::Read { consumer, partition, offset, leader_epoch: 0, record });
        }
        self
    }
    fn processes(&mut self, consumer: u32, first: i64, last: i64) -> &mut Self {
        self.step(consumer, MemberStep::Processed { partition: orders(), first_offset: first, last_offset: last })
    }
    fn asks(&mut self, consumer: u32, generation: i32, offset: i64) -> &mut Self {
        self.step(consumer, MemberStep::CommitSent { generation, offsets: vec![(orders(), offset)] })
    }
    fn told(&mut self, consumer: u32, generation: i32, offset: i64, error: Option<&str>) -> &mut Self {
        let (offsets, error) = (vec![(orders(), offset)], error.map(str::to_owned));
        self.step(consumer, MemberStep::CommitAnswered { generation, offsets, error })
    }
    fn commits(&mut self, consumer: u32, generation: i32, offset: i64) -> &mut Self {
        self.asks(consumer, generation, offset).told(consumer, generation, offset, None)
    }
    /// Polls, processes and commits.
    fn works(&mut self, consumer: u32, generation: i32, first: i64, last: i64) -> &mut Self {
        self.polls(consumer, first, last).processes(consumer, first, last).commits(consumer, generation, last + 1)
    }
    fn ends(&mut self) -> Verdict {
        for offset in 0..self.sent as i64 {
            let record = Some(offset as u64);
            self.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 0, record });
        }
        let log_end = self.sent as i64;
        self.see(Observation::FinalReadEnd { partition: orders(), log_start: 0, log_end, complete: true });
        self.checker.clone().finish(self.now)
    }
}

/// Class, code and rule of all that was found, once each.
fn kinds(verdict: &Verdict) -> Vec<(Class, &'static str, Option<&'static str>)> {
    verdict.groups.iter().map(|group| (group.class, group.code, group.rule)).collect()
}

#[test]
fn a_group_that_does_its_work_is_beyond_reproach_and_processes_each_record_once() {
    let mut group = at_least_once();
    group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 2).revoked(1, 1);
    group.assigned(2, 2).begins_at_committed(2, 3).works(2, 2, 3, 5);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), []);
    let delivery = &verdict.delivery[0];
    assert_eq!((delivery.once, delivery.observed), (6, "exactly once"));
}

#[test]
fn a_member_gives_up_only_what_it_is_refused_as_what_it_is() {
    // A member that is in generation 3, or joining anew under no id yet, is refused something that it asked once.
    let refused = |(member, generation): (&str, i32), (asked_as, asked_in): (&str, i32)| {
        let (member, asked_as) = (Arc::from(member), Arc::from(asked_as));
        let mut group = at_least_once();
        group.write(1).assigned(1, 3).begins_anew(1, 0).works(1, 3, 0, 0);
        group.step(1, MemberStep::GaveUp { member, generation, asked_as, asked_in });
        kinds(&group.ends())
    };
    let needless = [(BUG, "needless-rejoin", None)];
    assert_eq!(refused(("m1", 3), ("m1", 3)), []);
    assert_eq!(refused(("m1", 3), ("m1", 2)), needless, "asked in an earlier generation");
    assert_eq!(refused(("m1", 3), ("m0", 3)), needless, "asked as another member");
    assert_eq!(refused(("", -1), ("m1", 3)), needless, "it is joining already");
}

#[test]
fn what_was_processed_and_not_committed_is_delivered_again_after_a_crash() {
    let mut group = at_least_once();
    group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 1).polls(1, 2, 3).processes(1, 2, 3).dies(1);
    group.assigned(2, 2).begins_at_committed(2, 2).works(2, 2, 2, 5);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(INFO, "redelivery", Some("at-least-once"))]);
    assert_eq!((verdict.counters["records_redelivered"], verdict.counters["records_processed_again"]), (2, 2));
    insta::assert_snapshot!("at_least_once", Deliveries(&verdict.delivery));
}

#[test]
fn at_most_once_gives_away_what_was_committed_before_a_crash() {
    let mut group = Group::of(settings(Commits::Before, Reset::Earliest));
    group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).commits(1, 1, 2).dies(1);
    group.assigned(2, 2).begins_at_committed(2, 2).polls(2, 2, 3).commits(2, 2, 4).processes(2, 2, 3);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(ALLOWED, "group-skip", Some("commit-before-processing"))]);
    assert_eq!(verdict.count(ALLOWED, "group-skip"), 2);
    insta::assert_snapshot!("at_most_once", Deliveries(&verdict.delivery));
}

#[test]
fn who_promises_at_least_once_may_not_commit_what_was_not_processed() {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).commits(1, 1, 2).dies(1);
    group.assigned(2, 2).begins_at_committed(2, 2).works(2, 2, 2, 3);
    assert_eq!(kinds(&group.ends()), [(BUG, "group-skip", None)]);
}

#[test]
fn records_that_nobody_had_in_hand_and_that_are_committed_are_skipped() {
    let mut group = at_least_once();
    // The client hands out 0 and 1, then 4: as far as this member can see there was nothing between.
    group.write(5).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 1).polls(1, 4, 4).processes(1, 4, 4);
    group.commits(1, 1, 5);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(BUG, "group-skip", None), (BUG, "poll-skip", None)]);
    assert_eq!(verdict.count(BUG, "group-skip"), 2);
}

#[test]
fn a_group_that_begins_at_the_end_passes_over_what_was_before() {
    let mut group = Group::of(settings(Commits::After, Reset::Latest));
    group.write(3).assigned(1, 1).begins_anew(1, 3).write(2).works(1, 1, 3, 4);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(ALLOWED, "group-skip", Some("auto-offset-reset"))]);
    assert_eq!(verdict.delivery[0].never, 3);
}

/// k1 is taken from 0 to 2, where the log begins by then or only later, or nowhere; at the end it begins at 0 again, for a crash
/// took back what was not in the checkpoint.
#[test]
fn what_was_deleted_when_a_group_went_over_it_may_come_back() {
    let story = |before: bool, deletes: bool| {
        let mut group = at_least_once();
        let cause = StartCause::DeleteRecords;
        let deletion = Observation::LogStartMoved { broker: 1, partition: orders(), to: 2, cause };
        group.write(4).assigned(1, 1).begins_anew(1, 0);
        if deletes && before {
            group.see(deletion.clone());
        }
        group.begins(1, 2, ResetCause::Other).works(1, 1, 2, 3);
        if deletes && !before {
            group.see(deletion);
        }
        kinds(&group.ends())
    };
    assert_eq!(story(true, true), [(ALLOWED, "group-skip", Some("delete-records"))]);
    assert_eq!(story(false, true), [(BUG, "group-skip", None)], "nothing was deleted by then");
    assert_eq!(story(false, false), [(BUG, "group-skip", None)]);
}

#[test]
fn beginning_behind_the_committed_offset_skips_and_before_it_rewinds() {
    let begin = |start: i64| {
        let mut group = at_least_once();
        group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 2).revoked(1, 1);
        group.assigned(2, 2).begins_at_committed(2, start).works(2, 2, start, 5);
        kinds(&group.ends())
    };
    assert_eq!(begin(3), []);
    assert_eq!(begin(1), [(BUG, "group-rewind", None)]);
    assert_eq!(begin(5), [(BUG, "group-skip", None)]);
}

#[test]
fn to_be_told_that_nothing_is_committed_is_a_rewind_when_something_was() {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 2).revoked(1, 1);
    group.assigned(2, 2).begins_anew(2, 0).works(2, 2, 0, 3);
    assert_eq!(kinds(&group.ends()), [(BUG, "group-rewind", None)]);
}

#[test]
fn a_commit_that_nobody_answered_may_be_where_the_next_owner_begins() {
    let begin = |start: i64| {
        let mut group = at_least_once();
        group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 2).polls(1, 3, 3).processes(1, 3, 3);
        group.asks(1, 1, 4).dies(1);
        group.assigned(2, 2).begins_at_committed(2, start).works(2, 2, start, 5);
        kinds(&group.ends())
    };
    assert_eq!(begin(4), []);
    assert_eq!(begin(3), [(INFO, "redelivery", Some("at-least-once"))]);
    assert_eq!(begin(1), [(BUG, "group-rewind", None)]);
}

#[test]
fn a_commit_takes_nobody_back() {
    let mut group = at_least_once();
    group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 4).commits(1, 1, 2);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(BUG, "commit-regression", None)]);
    insta::assert_snapshot!("commit_regression", verdict.findings[0]);
}

#[test]
fn a_member_that_was_sent_back_commits_on_from_there() {
    let mut group = at_least_once();
    group.write(6).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 4).begins(1, 1, ResetCause::Other);
    group.works(1, 1, 1, 1).works(1, 1, 2, 5);
    assert_eq!(kinds(&group.ends()), [(INFO, "commit-regression", Some("position-was-set-back"))]);
}

/// A member of the consumer protocol that is fenced while `commitSync` waits tries again in nobody's name.
#[test]
fn a_former_member_takes_a_group_back_in_nobodys_name() {
    let story = |generation: i32, leaves: bool| {
        let mut group = at_least_once();
        group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).processes(1, 0, 1);
        group.assigned(2, 2).begins_anew(2, 0).works(2, 2, 0, 3).revoked(2, 2).step(2, MemberStep::Left);
        if leaves {
            group.step(1, MemberStep::Left);
        }
        let verdict = group.commits(1, generation, 2).joins(1, 3).ends();
        let all = kinds(&verdict).into_iter().filter(|(_, code, _)| *code == "commit-regression");
        all.map(|(class, _, rule)| (class, rule)).collect::<Vec<_>>()
    };
    assert_eq!(story(-1, true), [(ALLOWED, Some("commit-of-a-former-member"))]);
    assert_eq!(story(1, true), [(BUG, None)], "it is none any more");
    assert_eq!(story(-1, false), [(BUG, None)], "it is one, and does not say so");
}

#[test]
fn nobody_commits_what_he_has_not_come_to() {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).processes(1, 0, 1).commits(1, 1, 3);
    group.works(1, 1, 2, 3);
    assert_eq!(kinds(&group.ends()), [(BUG, "commit-beyond-position", None)]);
}

#[test]
fn what_it_had_worked_on_before_it_was_sent_back_it_may_still_commit() {
    let mut group = at_least_once();
    group.write(6).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 4).processes(1, 0, 4);
    group.begins(1, 1, ResetCause::Other).commits(1, 1, 5).works(1, 1, 1, 5);
    let told = kinds(&group.ends());
    assert!(told.iter().all(|(_, code, _)| *code != "commit-beyond-position"), "{told:?}");
}

#[test]
fn a_member_is_handed_nothing_of_what_it_gave_up() {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 1).revoked(1, 1).polls(1, 2, 3);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(BUG, "out-of-assignment-read", None)]);
    insta::assert_snapshot!("out_of_assignment_read", verdict.findings[0]);
}

#[test]
fn a_partition_is_read_in_order_as_long_as_it_is_ones_own() {
    let mut group = at_least_once();
    group
        .write(4)
        .assigned(1, 1)
        .begins_anew(1, 0)
        .works(1, 1, 0, 2)
        .polls(1, 1, 3)
        .processes(1, 1, 3)
        .commits(1, 1, 4);
    assert_eq!(kinds(&group.ends()), [(BUG, "nonmonotonic-poll", None)]);
    // What it is assigned again, it reads again from what is committed.
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 0).polls(1, 1, 2).lost(1, 1);
    group.assigned(1, 2).begins_at_committed(1, 1).works(1, 2, 1, 3);
    assert_eq!(kinds(&group.ends()), [(INFO, "redelivery", Some("at-least-once"))]);
}

#[test]
fn two_members_of_one_generation_never_own_one_partition() {
    let mut group = at_least_once();
    group.write(1).assigned(1, 4).assigned(2, 4);
    assert_eq!(kinds(&group.ends()), [(BUG, "dual-ownership", None)]);
}

#[test]
fn a_zombie_owns_what_others_have_until_it_hears_of_it() {
    let mut group = at_least_once();
    group.write(1).assigned(1, 4).assigned(2, 5).lost(1, 4);
    assert_eq!(kinds(&group.ends()), [(INFO, "dual-ownership", Some("zombie"))]);
    // It hears late even of the generation that was the last for it.
    let mut group = at_least_once();
    group.write(1).assigned(2, 5).assigned(1, 4).lost(1, 4);
    assert_eq!(kinds(&group.ends()), [(INFO, "dual-ownership", Some("zombie"))]);
}

#[test]
fn a_partition_is_assigned_only_after_its_owner_gave_it_up_in_an_earlier_generation() {
    let mut group = at_least_once();
    // k1 has joined generation 5 as well, still with the partition of generation 4; then it gives it up.
    group.write(1).assigned(1, 4).joins(1, 5).assigned(2, 5).revoked(1, 5);
    assert_eq!(kinds(&group.ends()), [(BUG, "dual-ownership", None)]);
    let mut group = at_least_once();
    group.write(1).assigned(1, 4).assigned(2, 5).joins(1, 5).revoked(1, 5);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), [(BUG, "dual-ownership", None), (INFO, "dual-ownership", Some("zombie"))]);
    insta::assert_snapshot!("dual_ownership", verdict.findings[0]);
}

#[test]
fn one_static_member_takes_over_from_its_earlier_process() {
    let mut settings = settings(Commits::After, Reset::Earliest);
    settings.members.values_mut().for_each(|member| member.instance = Some(Arc::from("till")));
    let mut group = Group::of(settings);
    group.write(1).step(1, MemberStep::Left).step(2, MemberStep::Left).assigned(1, 4).assigned(2, 4);
    assert_eq!(kinds(&group.ends()), []);
}

/// k1 asks to commit 4 in this generation, before or after k2 owns the partition in generation 2, and is told late that it is
/// committed. k2, whose position was led back, commits 2.
fn told_late_of_its_commit(generation: i32, before: bool) -> Vec<&'static str> {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 3).processes(1, 0, 3);
    if before {
        group.asks(1, generation, 4);
    }
    group.assigned(2, 2).begins_at_committed(2, 4).begins(2, 0, ResetCause::Other);
    if !before {
        group.asks(1, generation, 4);
    }
    group.told(1, generation, 4, None).works(2, 2, 0, 1);
    let verdict = group.ends();
    let bugs = verdict.groups.iter().filter(|g| g.class == BUG && g.code == "commit-regression");
    bugs.map(|g| g.code).collect()
}

#[test]
fn what_was_committed_in_an_earlier_generation_was_there_before_whoever_was_told_of_it() {
    assert_eq!(told_late_of_its_commit(1, true), [""; 0]);
    assert_eq!(told_late_of_its_commit(1, false), ["commit-regression"], "it was asked for when k2 owned it");
    assert_eq!(told_late_of_its_commit(2, true), ["commit-regression"], "it may have come when k2 owned it");
}

#[test]
fn a_zombie_commits_nothing() {
    let zombie = |generation: i32, error: Option<&str>| {
        let mut group = at_least_once();
        group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).processes(1, 0, 1);
        group.assigned(2, 2).begins_anew(2, 0).works(2, 2, 0, 3);
        group.asks(1, generation, 2).told(1, generation, 2, error);
        let verdict = group.ends();
        let bugs = verdict.groups.iter().filter(|g| g.class == BUG).map(|g| g.code);
        bugs.collect::<Vec<_>>()
    };
    assert_eq!(zombie(1, Some("ILLEGAL_GENERATION")), [""; 0]);
    assert_eq!(zombie(-1, None), ["commit-regression"], "from nobody: the coordinator knows whether it has members");
    assert_eq!(zombie(1, None), ["commit-regression", "zombie-commit"]);
}

#[test]
fn nothing_is_handed_out_while_the_commit_before_a_revocation_is_under_way() {
    let rebalances =
        Observation::Coordinator { broker: 1, what: CoordinatorStep::Rebalancing { group: Arc::from("g") } };
    let revoke = |meanwhile: bool, cooperative: bool, before: bool, after: bool| {
        let mut settings = settings(Commits::Auto, Reset::Earliest);
        settings.members.values_mut().for_each(|member| member.cooperative = cooperative);
        let mut group = Group::of(settings);
        group.write(4).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).processes(1, 0, 1);
        if before {
            group.see(rebalances.clone());
        }
        group.asks(1, 1, 2);
        if meanwhile {
            group.polls(1, 2, 3).processes(1, 2, 3);
        }
        group.told(1, 1, 2, None);
        if after {
            group.see(rebalances.clone());
        }
        group.revoked(1, 1).assigned(2, 2).begins_at_committed(2, 2).works(2, 2, 2, 3);
        kinds(&group.ends())
    };
    assert_eq!(revoke(false, false, true, false), []);
    let again = (INFO, "redelivery", Some("at-least-once"));
    assert_eq!(
        revoke(true, true, true, false),
        [again],
        "a cooperative member learns only later what it is to give up"
    );
    let bug = (BUG, "group-rewind", Some("handed-out-while-revoking"));
    assert_eq!(revoke(true, false, true, false), [bug, again]);
    assert_eq!(revoke(true, false, false, false), [bug, again], "nobody tells what its coordinator did");
    assert_eq!(revoke(true, false, false, true), [again], "it was a commit at intervals, before any rebalance");
}

/// The log has left its position behind, or has another leader: until that is reset, or found there, there is none to commit.
#[test]
fn who_has_no_position_commits_none_before_a_revocation() {
    let elected = Observation::LeaderElected {
        partition: orders(),
        leader: 2,
        leader_epoch: 6,
        partition_epoch: 11,
        isr: vec![2, 3],
        previous: 1,
        clean: true,
    };
    let follows = |leader_epoch| Observation::LeaderFollowed { consumer: 1, partition: orders(), leader_epoch };
    let revoke = |is_reset: bool, is_led_anew: bool, is_led_anew_before: bool, follows_it: Option<bool>| {
        let mut group = Group::of(settings(Commits::Auto, Reset::Earliest));
        group.write(4).assigned(1, 1).begins_anew(1, 0);
        group.see(follows(5));
        group.polls(1, 0, 1).processes(1, 0, 1);
        group.see(Observation::Coordinator { broker: 1, what: CoordinatorStep::Rebalancing { group: Arc::from("g") } });
        if is_led_anew_before {
            group.see(elected.clone());
        }
        if follows_it == Some(true) {
            group.see(follows(6));
        }
        group.asks(1, 1, 2).polls(1, 2, 3).processes(1, 2, 3).told(1, 1, 2, None);
        if follows_it == Some(false) {
            group.see(follows(6));
        }
        if is_reset {
            group.begins(1, 4, ResetCause::Other);
        }
        if is_led_anew {
            group.see(elected.clone());
        }
        group.revoked(1, 1).assigned(2, 2).begins_at_committed(2, 2).works(2, 2, 2, 3);
        let verdict = group.ends();
        verdict.groups.iter().filter(|g| g.class == BUG).map(|g| (g.code, g.rule)).collect::<Vec<_>>()
    };
    let bug = [("group-rewind", Some("handed-out-while-revoking"))];
    assert_eq!(revoke(false, false, false, None), bug);
    assert_eq!(revoke(true, false, false, None), []);
    assert_eq!(revoke(false, true, false, None), []);
    assert_eq!(revoke(false, false, true, None), [], "it hears late of its leader");
    assert_eq!(revoke(false, false, true, Some(false)), [], "and has a position again when it gives up");
    assert_eq!(revoke(false, false, true, Some(true)), bug, "it had one when it asked");
}

#[test]
fn a_poll_that_is_given_up_is_not_processed_twice() {
    let mut group = Group::of(settings(Commits::Before, Reset::Earliest));
    group.write(2).assigned(1, 1).begins_anew(1, 0).polls(1, 0, 1).asks(1, 1, 2);
    group.told(1, 1, 2, Some("REBALANCE_IN_PROGRESS")).begins(1, 0, ResetCause::Other);
    group.polls(1, 0, 1).commits(1, 1, 2).processes(1, 0, 1);
    let verdict = group.ends();
    assert_eq!(kinds(&verdict), []);
    assert_eq!((verdict.delivery[0].once, verdict.counters["records_redelivered"]), (2, 2));
}

#[test]
fn what_a_group_has_not_come_to_is_counted_apart() {
    let mut group = at_least_once();
    group.write(4).assigned(1, 1).begins_anew(1, 0).works(1, 1, 0, 1);
    let verdict = group.ends();
    assert_eq!((verdict.delivery[0].once, verdict.delivery[0].never, verdict.delivery[0].not_reached), (2, 0, 2));
}

#[test]
fn a_trial_of_groups_that_processed_nothing_is_vacuous() {
    let mut group = at_least_once();
    group.write(1);
    let verdict = group.ends();
    assert_eq!(verdict.vacuous_because, ["no record was processed by a group"]);
}

#[test]
fn groups_have_their_own_time_to_get_on() {
    let after = |seconds: u64| {
        let mut settings = settings(Commits::After, Reset::Earliest);
        settings.group_recovery = 60_000_000_000;
        let mut group = Group::of(settings);
        let since = group.now;
        group.now += seconds * 1_000_000_000;
        group.see(Observation::StillWaiting { what: Waiting::GroupStable { group: Arc::from("g") }, since });
        group.see(Observation::StillWaiting { what: Waiting::Membership { consumer: 1 }, since });
        let what = Waiting::GroupReading { group: Arc::from("g"), partition: orders() };
        kinds(&group.see(Observation::StillWaiting { what, since }).ends())
    };
    assert_eq!(after(59), []);
    let stuck = |rule| (BUG, "stuck", Some(rule));
    assert_eq!(after(60), [stuck("group-does-not-get-on"), stuck("group-not-stable"), stuck("not-in-its-group")]);
}

#[test]
fn who_begins_anew_is_not_refused_for_seconds() {
    let after = |millis: u64| {
        let mut group = Group::of(settings(Commits::After, Reset::Earliest));
        let since = group.now;
        group.now += millis * 1_000_000;
        kinds(&group.see(Observation::StillWaiting { what: Waiting::LetIn { consumer: 1 }, since }).ends())
    };
    assert_eq!(after(1_900), []);
    assert_eq!(after(2_100), [(BUG, "stuck", Some("refused-by-its-group"))]);
}
