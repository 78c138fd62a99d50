//! Stories on a tiny cluster: b1 leads orders-0, b2 and b3 follow, p1 writes with acks=all, k1 reads.

use bytes::Bytes;
use trial_checker::Class;
use trial_kafka::event::Fault as FaultEvent;
use trial_kafka::node::{CallError, Purpose};
use trial_storage::{Disk, OpenMode, SyncTarget};

use super::*;
use crate::fault::{
    CountRange, Direction, FaultKind, MetadataKind, Peer, Target, Trigger, When, parse_peer, parse_target,
};
use crate::observe::Observer;
use crate::scenario;

const SECOND: Nanos = 1_000_000_000;
const MILLISECOND: Nanos = 1_000_000;

const SCENARIO: &str = r#"
format = 1
run = "20s"
[cluster]
brokers = 3
min.insync.replicas = 2
[[topic]]
name = "orders"
assignments = [[1, 2, 3]]
replication.factor = 3
[[producer]]
rate = 100
acks = "all"
[[consumer]]
auto.offset.reset = "earliest"
"#;

/// A cluster, its faults, and everything that happened.
struct Story {
    world: World,
    seen: Seen,
    observer: Observer,
    scenario: Arc<Scenario>,
}

#[derive(Default)]
struct Seen(Vec<TraceEvent>);

impl Sink for Seen {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0.extend(events.iter().cloned());
    }
}

fn at(time: Nanos, target: &str, kind: FaultKind) -> Fault {
    Fault { id: 1, when: When::At(time), target: parse_target(target).expect("a target"), kind }
}

fn peers(names: &[&str]) -> Vec<Peer> {
    names.iter().map(|name| parse_peer(name).expect("a peer")).collect()
}

fn cut(names: &[&str], direction: Direction, lasts: Option<Nanos>) -> FaultKind {
    FaultKind::Cut { peers: peers(names), direction, lasts }
}

fn story(faults: Vec<Fault>) -> Story {
    story_with(faults, &[])
}

fn story_with(faults: Vec<Fault>, changes: &[&str]) -> Story {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_string()).collect();
    let scenario = Arc::new(scenario::parse("tiny.toml", SCENARIO, &changes).unwrap_or_else(|e| panic!("{e}")));
    let world = World::with_faults(Arc::clone(&scenario), 1, faults);
    let observer = Observer::new(&scenario, Vec::new());
    Story { world, seen: Seen::default(), observer, scenario }
}

impl Story {
    fn until(&mut self, time: Nanos) -> &mut Self {
        let mut both = crate::trial::Both(&mut self.seen, &mut self.observer);
        self.world.run_until(time, &mut both);
        self
    }
    fn end(&mut self) -> crate::trial::Report {
        let mut both = crate::trial::Both(&mut self.seen, &mut self.observer);
        self.world.run(&mut both);
        crate::trial::report(&self.world, &self.scenario, 1, self.observer.clone())
    }
    fn node(&self, name: &str) -> NodeIx {
        self.world.node_named(name).expect("it is there")
    }
    fn slot(&self, name: &str) -> &Slot {
        &self.world.slots[self.node(name).0 as usize]
    }
    /// Times of the events of a node between two instants that satisfy a condition.
    fn events(&self, name: &str, from: Nanos, to: Nanos, is: impl Fn(&Event) -> bool) -> Vec<&TraceEvent> {
        let node = self.node(name);
        let of = |e: &&TraceEvent| e.node == node && e.time >= from && e.time < to && is(&e.event);
        self.seen.0.iter().filter(of).collect()
    }
    fn faults(&self, is: impl Fn(&FaultEvent) -> bool) -> usize {
        self.seen.0.iter().filter(|e| matches!(&e.event, Event::Fault(fault) if is(fault))).count()
    }
    fn took_effect(&self, kind: &str) -> (u32, u32) {
        let counter = self.world.fault_counters().find(|(name, _)| *name == kind).expect("it was scheduled").1;
        (counter.scheduled, counter.took_effect)
    }
    /// Connections from one node to another, alive on the dialer's side.
    fn conns(&self, dialer: &str, acceptor: &str) -> Vec<u64> {
        let (dialer, acceptor) = (self.node(dialer), self.node(acceptor));
        let open = |c: &network::Conn| c.dialer == dialer && c.acceptor == acceptor && c.dialer_open;
        self.world.network.conns.iter().filter(|(_, c)| open(c)).map(|(id, _)| *id).collect()
    }
    fn held(&self, dialer: &str, acceptor: &str, way: Way) -> usize {
        let of = |id: &u64| self.world.network.conns[id].held[way as usize].len();
        self.conns(dialer, acceptor).iter().map(of).sum()
    }
    /// What is under way to the dialers of a node's connections: (connection, name of the packet), in order of arrival.
    fn under_way_to_dialers_of(&self, acceptor: &str) -> Vec<(u64, &'static str)> {
        let (acceptor, mut queue, mut found) = (self.node(acceptor), self.world.queue.clone(), Vec::new());
        while let Some((_, what)) = queue.pop() {
            if let What::Arrive { conn, way: Way::ToDialer, packet, .. } = what
                && self.world.network.conns.get(&conn).is_some_and(|c| c.acceptor == acceptor)
            {
                found.push((conn, packet.name()));
            }
        }
        found
    }
}

#[test]
fn a_quiet_story_has_a_good_end() {
    let mut story = story(Vec::new());
    let report = story.end();
    assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.vacuous_because);
    assert_eq!(report.verdict.counters["acked_sends"], story.world.records_sent());
    assert_eq!(story.world.unsettled_sends(), 0);
    assert!(story.world.syncs_under_way() == 0 || story.world.over);
}

#[test]
fn a_cut_one_way_holds_answers_back_and_lets_them_go_in_order() {
    let mut story = story(vec![at(8 * SECOND, "b1", cut(&["p1"], Direction::Out, Some(SECOND)))]);
    story.until(9 * SECOND - MILLISECOND);
    assert_eq!(story.held("p1", "b1", Way::ToAcceptor), 0, "requests pass");
    let held = story.held("p1", "b1", Way::ToDialer);
    assert!(held > 1, "{held} answers are held");
    let answered = |e: &Event| matches!(e, Event::ProduceAnswered { error: None, .. });
    assert!(!story.events("b1", 8 * SECOND, 9 * SECOND, answered).is_empty());
    let acked = |e: &Event| matches!(e, Event::BatchAcked { .. });
    assert!(story.events("p1", 8 * SECOND + 25 * MILLISECOND, 9 * SECOND, acked).is_empty());
    story.until(10 * SECOND);
    assert_eq!(story.held("p1", "b1", Way::ToDialer), 0);
    let offsets: Vec<i64> = story
        .events("p1", 9 * SECOND, 10 * SECOND, acked)
        .iter()
        .filter_map(|e| if let Event::BatchAcked { first_offset, .. } = e.event { Some(first_offset) } else { None })
        .collect();
    assert!(offsets.len() >= held && offsets.is_sorted(), "{held} were held, answered were {offsets:?}");
    assert_eq!(story.took_effect("cut"), (1, 1), "two ways would be one cut too");
    assert_eq!(story.faults(|f| matches!(f, FaultEvent::Mend { .. })), 1);
}

#[test]
fn overlapping_cuts_end_with_the_last_one() {
    let mut story = story(vec![
        at(8 * SECOND, "b1", cut(&["p1"], Direction::Both, Some(4 * SECOND))),
        at(9 * SECOND, "p1", cut(&["b1"], Direction::Both, Some(SECOND))),
    ]);
    story.until(11 * SECOND);
    let (b1, p1) = (story.node("b1"), story.node("p1"));
    assert!(story.world.network.is_cut(b1, p1) && story.world.network.is_cut(p1, b1));
    story.until(12 * SECOND);
    assert!(!story.world.network.is_cut(b1, p1) && !story.world.network.is_cut(p1, b1));
}

#[test]
fn a_crash_takes_what_was_not_sent_and_what_was_sent_arrives_before_the_end() {
    let crash = FaultKind::Crash { restart_after: Some(3 * SECOND) };
    let mut story = story(vec![at(8 * SECOND, "b1", crash)]);
    story.until(8 * SECOND - 1);
    let sent = story.under_way_to_dialers_of("b1").len();
    story.until(8 * SECOND);
    let under_way = story.under_way_to_dialers_of("b1");
    assert!(under_way.len() > sent, "each connection hears of the end: {under_way:?}");
    for conn in story.conns("b2", "b1").into_iter().chain(story.conns("p1", "b1")) {
        let last = under_way.iter().rfind(|(c, _)| *c == conn).map(|(_, name)| *name);
        assert_eq!(last, Some("close"), "on connection {conn}");
        assert_eq!(under_way.iter().filter(|(c, name)| *c == conn && *name == "close").count(), 1);
    }
    assert!(story.slot("b1").lanes.iter().all(|lane| lane.waiting.is_empty()));
    story.until(11 * SECOND + 100 * MILLISECOND);
    let dead = story.events("b1", 8 * SECOND + 1, 11 * SECOND, |_| true);
    assert!(dead.is_empty(), "the dead do nothing: {dead:?}");
    assert_eq!(
        story.events("b1", 11 * SECOND, 12 * SECOND, |e| matches!(e, Event::Started { clean: false, .. })).len(),
        1
    );
    assert_eq!(story.end().verdict.outcome, trial_checker::Outcome::Pass);
}

#[test]
fn calls_of_a_connection_that_ends_are_answered_in_order_and_before_its_end() {
    let crash = FaultKind::Crash { restart_after: Some(3 * SECOND) };
    let stall = FaultKind::StallDisk { lasts: Some(SECOND) };
    // A leader whose disk hangs answers nobody, so that calls are in flight when it dies.
    let mut story = story(vec![at(8 * SECOND, "b1", stall), at(8_500 * MILLISECOND, "b1", crash)]);
    story.until(8_500 * MILLISECOND);
    let conns = story.conns("p1", "b1");
    let calls: Vec<Vec<_>> =
        conns.iter().map(|c| story.world.network.conns[c].calls.iter().copied().collect()).collect();
    assert!(calls.iter().any(|calls| calls.len() > 1), "several requests of p1 are in flight: {calls:?}");
    for (conn, calls) in conns.into_iter().zip(calls) {
        let mut world = story.world.clone();
        world.end_for_dialer(conn, world.now, EventId::NONE);
        let mut told = Vec::new();
        let p1 = story.node("p1");
        while let Some((time, what)) = world.queue.pop().filter(|(time, _)| *time <= world.now) {
            assert_eq!(time, world.now);
            match what {
                What::Input { to, input: Input::Response { call, conn: of, result }, .. }
                    if to == p1 && of.0 == conn =>
                {
                    assert_eq!(result.err(), Some(CallError::Disconnected));
                    told.push(Some(call));
                }
                What::Input { to, input: Input::Closed { conn: of }, .. } if to == p1 && of.0 == conn => {
                    told.push(None)
                }
                _ => {}
            }
        }
        let expected: Vec<_> = calls.into_iter().map(Some).chain([None]).collect();
        assert_eq!(told, expected);
    }
}

#[test]
fn power_loss_leaves_connections_half_open_until_the_rebooted_machine_resets_them() {
    let lost = FaultKind::PowerLoss { restart_after: Some(3 * SECOND) };
    let mut story = story(vec![at(8 * SECOND, "b1", lost)]);
    story.until(8 * SECOND - 1);
    let before = story.conns("p1", "b1");
    assert!(!before.is_empty());
    story.until(8 * SECOND);
    assert!(story.under_way_to_dialers_of("b1").iter().all(|(_, name)| *name != "close"), "nobody says goodbye");
    story.until(11 * SECOND - MILLISECOND);
    assert_eq!(story.conns("p1", "b1"), before, "p1 has heard nothing");
    assert!(story.held("p1", "b1", Way::ToAcceptor) > 0, "its system sends again and again");
    story.until(12 * SECOND);
    let left: Vec<u64> = story.conns("p1", "b1").into_iter().filter(|conn| before.contains(conn)).collect();
    assert!(left.is_empty(), "reset: {left:?}");
    assert_eq!(story.end().verdict.outcome, trial_checker::Outcome::Pass);
}

#[test]
fn a_paused_process_keeps_its_inputs_sends_nothing_and_goes_on() {
    let pause = FaultKind::Pause { lasts: Some(3 * SECOND) };
    // Its disk is slow, so that handlers are under way when it stands still.
    let slow = FaultKind::SlowDisk { by: 5 * MILLISECOND, lasts: Some(6 * SECOND) };
    let mut story = story(vec![at(7 * SECOND, "b1", slow), at(8 * SECOND, "b1", pause)]);
    story.until(8 * SECOND);
    let sent_by_b1 = |story: &Story| -> Vec<(u64, Nanos)> {
        let b1 = story.node("b1");
        let last = |(id, c): (&u64, &network::Conn)| {
            let way = if c.acceptor == b1 { Way::ToDialer } else { Way::ToAcceptor };
            (c.acceptor == b1 || c.dialer == b1).then_some((*id, c.last_arrival[way as usize]))
        };
        story.world.network.conns.iter().filter_map(last).filter(|(_, sent)| *sent > 0).collect()
    };
    let sent = sent_by_b1(&story);
    story.until(11 * SECOND - MILLISECOND);
    let now = sent_by_b1(&story);
    assert!(
        now.iter().all(|conn| sent.contains(conn) || !sent.iter().any(|(id, _)| *id == conn.0)),
        "it sent something"
    );
    assert!(!story.slot("b1").held_effects.is_empty(), "a handler was under way");
    assert!(story.slot("b1").lanes.iter().any(|lane| !lane.waiting.is_empty()), "inputs wait");
    assert!(story.events("b1", 8 * SECOND + 1, 11 * SECOND, |e| !matches!(e, Event::Fault(_))).is_empty());
    story.until(11_200 * MILLISECOND);
    assert!(story.slot("b1").held_effects.is_empty());
    let went_on = |e: &Event| matches!(e, Event::Appended { as_leader: true, .. });
    assert!(!story.events("b1", 11 * SECOND, 11_200 * MILLISECOND, went_on).is_empty());
    assert_eq!(story.end().verdict.outcome, trial_checker::Outcome::Pass);
}

#[test]
fn a_stalled_disk_stops_requests_while_heartbeats_go_on() {
    let stall = FaultKind::StallDisk { lasts: Some(12 * SECOND) };
    let mut story = story(vec![at(8 * SECOND, "b1", stall)]);
    story.until(20 * SECOND - MILLISECOND);
    let appended = |e: &Event| matches!(e, Event::Appended { .. });
    assert!(!story.events("b1", 7 * SECOND, 8 * SECOND, appended).is_empty());
    // One handler reached the disk and waits there; its effects wait with it.
    let during = story.events("b1", 8 * SECOND + 50 * MILLISECOND, 20 * SECOND, appended);
    assert!(during.is_empty(), "{during:?}");
    assert!(story.slot("b1").lanes[Lane::Request.index()].busy_until >= 20 * SECOND);
    // The session timeout is 9 s.
    let fenced = story.events("c1", 8 * SECOND, 20 * SECOND, |e| matches!(e, Event::BrokerFenced { broker: 1, .. }));
    assert!(fenced.is_empty(), "{fenced:?}");
    story.until(21 * SECOND);
    assert!(!story.events("b1", 20 * SECOND, 21 * SECOND, appended).is_empty());
}

#[test]
fn a_slow_follower_leaves_the_in_sync_replicas_and_comes_back() {
    let slow = FaultKind::SlowFetch { by: 8 * SECOND, lasts: Some(10 * SECOND) };
    let mut story = story_with(vec![at(7 * SECOND, "b2", slow)], &["cluster.replica.lag.time.max.ms=2s"]);
    story.end();
    let changes: Vec<Vec<i32>> = story
        .events("c1", 7 * SECOND, Nanos::MAX, |e| matches!(e, Event::IsrChanged { .. }))
        .iter()
        .filter_map(|e| if let Event::IsrChanged { isr, .. } = &e.event { Some(isr.clone()) } else { None })
        .collect();
    assert!(changes.first().is_some_and(|isr| !isr.contains(&2)), "{changes:?}");
    assert!(changes.last().is_some_and(|isr| isr.len() == 3), "{changes:?}");
}

#[test]
fn a_link_that_is_slow_for_one_purpose_is_quick_for_the_others() {
    let slow = |purpose| FaultKind::SlowLink {
        peers: peers(&["controllers"]),
        purpose: Some(purpose),
        direction: Direction::Out,
        by: 5 * SECOND,
        lasts: None,
    };
    let lag = "cluster.replica.lag.time.max.ms=2s";
    // b2 does not reach b1, which asks the controller to take it out of the in-sync replicas.
    let changed = |purpose| {
        let faults =
            vec![at(6 * SECOND, "b1", slow(purpose)), at(7 * SECOND, "b2", cut(&["b1"], Direction::Out, None))];
        let mut story = story_with(faults, &[lag, "cluster.broker.session.timeout.ms=30s"]);
        story.until(20 * SECOND);
        assert_eq!(story.took_effect("slow-link"), (1, 1));
        let of = |name, is: fn(&Event) -> bool| story.events(name, 7 * SECOND, Nanos::MAX, is).first().map(|e| e.time);
        let asked = of("b1", |e| matches!(e, Event::IsrChangeAsked { .. })).expect("b1 asks");
        of("c1", |e| matches!(e, Event::IsrChanged { .. })).expect("the controller hears it") - asked
    };
    assert!(changed(Purpose::AlterPartition) > 5 * SECOND);
    assert!(changed(Purpose::Heartbeat) < SECOND);
}

#[test]
fn a_fault_by_event_fires_once_at_its_occurrence() {
    let trigger = Trigger { event: "produce-answered", partition: None, node: Some("b1".to_string()) };
    let when = When::After { trigger, occurrence: CountRange::exactly(5), not_before: 8 * SECOND, delay: MILLISECOND };
    let kind = FaultKind::Crash { restart_after: Some(SECOND) };
    let mut story = story(vec![Fault { id: 1, when, target: Target::ThatNode, kind }]);
    story.end();
    let answers =
        story.events("b1", 8 * SECOND, Nanos::MAX, |e| matches!(e, Event::ProduceAnswered { error: None, .. }));
    let crashes = story.events("b1", 0, Nanos::MAX, |e| *e == Event::Fault(FaultEvent::Crash));
    assert_eq!(crashes.len(), 1);
    assert_eq!(crashes[0].causes, [answers[4].id]);
    assert_eq!(crashes[0].time, answers[4].time + MILLISECOND);
    assert_eq!(story.took_effect("crash"), (1, 1));
}

#[test]
fn healing_mends_everything() {
    let mut story = story(vec![
        at(6 * SECOND, "b1", cut(&["everyone"], Direction::Both, None)),
        at(
            6 * SECOND,
            "b2",
            FaultKind::SlowLink {
                peers: peers(&["b3"]),
                purpose: None,
                direction: Direction::Both,
                by: SECOND,
                lasts: None,
            },
        ),
        at(6 * SECOND, "b2", FaultKind::SlowDisk { by: MILLISECOND, lasts: None }),
        at(6 * SECOND, "b3", FaultKind::SlowFetch { by: SECOND, lasts: None }),
        at(6 * SECOND, "b3", FaultKind::ClockJump { by: 60 * SECOND, back: true }),
        at(7 * SECOND, "b3", FaultKind::StallDisk { lasts: None }),
        at(15 * SECOND, "b2", FaultKind::Pause { lasts: None }),
        at(16 * SECOND, "b3", FaultKind::Crash { restart_after: None }),
        at(17 * SECOND, "c1", FaultKind::PowerLoss { restart_after: None }),
    ]);
    story.until(24 * SECOND - 1);
    assert_eq!(story.slot("b3").wall_offset_ms, -60_000);
    assert_eq!((story.slot("c1").power, story.slot("b3").power), (Power::Off, Power::Dead));
    assert_eq!(story.slot("b2").power, Power::Paused);
    story.until(24 * SECOND + MILLISECOND);
    let world = &story.world;
    assert!(world.network.cuts.is_empty() && world.network.slow.values().all(Vec::is_empty));
    for slot in &world.slots {
        assert_eq!((slot.power, slot.wall_offset_ms), (Power::Running, 0), "{}", slot.name);
        assert!(slot.slow_disk.is_empty() && slot.slow_fetch.is_empty() && slot.disk.stalled_until().is_none());
    }
    assert_eq!(story.faults(|f| *f == FaultEvent::ClockJump { by_ms: 60_000 }), 1, "setting it right is told");
    let report = story.end();
    assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.groups);
    assert_eq!(story.world.unsettled_sends(), 0);
}

#[test]
fn a_failed_assertion_is_a_finding_and_the_run_goes_on() {
    let mut story = story(Vec::new());
    story.until(8 * SECOND);
    let b2 = story.node("b2");
    story.world.slots[b2.0 as usize].fails = true;
    let report = story.end();
    assert_eq!(report.count(Class::Bug, "internal-assertion"), 1, "{:?}", report.verdict.groups);
    let finding = report.verdict.findings.iter().find(|f| f.code == "internal-assertion").expect("it is counted");
    assert!(finding.summary.contains("b2") && finding.summary.contains("a test made it fail"), "{}", finding.summary);
    assert_eq!(report.verdict.counters["crashes"], 1, "the checker knows that it is dead");
    assert!(report.verdict.counters["acked_sends"] > 1_500, "the others went on");
    assert_eq!(report.verdict.belief_truth.ok.absent, 0);
}

#[test]
fn a_fault_counts_when_it_takes_effect() {
    let crash = || FaultKind::Crash { restart_after: Some(2 * SECOND) };
    let mut story = story(vec![
        at(8 * SECOND, "b1", crash()),
        at(9 * SECOND, "b1", crash()),
        at(8 * SECOND, "p1", cut(&["k1"], Direction::Both, Some(SECOND))),
        at(12 * SECOND, "p1", cut(&["brokers"], Direction::Both, Some(SECOND))),
        at(15 * SECOND, "b2", FaultKind::Pause { lasts: Some(SECOND) }),
        at(15 * SECOND, "b2", FaultKind::Pause { lasts: Some(SECOND) }),
    ]);
    story.end();
    assert_eq!(story.took_effect("crash"), (2, 1), "the second finds it dead");
    assert_eq!(story.took_effect("cut"), (2, 1), "clients have nothing to say to each other");
    assert_eq!(story.took_effect("pause"), (2, 1));
}

#[test]
fn faults_that_overlap_add_up_and_end_one_by_one() {
    let slow = |by, lasts| FaultKind::SlowDisk { by, lasts: Some(lasts) };
    let mut story = story(vec![
        at(8 * SECOND, "b1", slow(MILLISECOND, 2 * SECOND)),
        at(9 * SECOND, "b1", slow(3 * MILLISECOND, 4 * SECOND)),
        at(8 * SECOND, "b2", FaultKind::StallDisk { lasts: Some(4 * SECOND) }),
        at(9 * SECOND, "b2", FaultKind::StallDisk { lasts: Some(SECOND) }),
    ]);
    story.until(9_500 * MILLISECOND);
    let slow_by = |story: &Story| story.slot("b1").slow_disk.iter().map(|slow| slow.by).collect::<Vec<_>>();
    assert_eq!(slow_by(&story), [MILLISECOND, 3 * MILLISECOND]);
    assert_eq!(story.slot("b2").disk.stalled_until(), Some(12 * SECOND));
    story.until(10 * SECOND);
    assert_eq!(slow_by(&story), [3 * MILLISECOND]);
    story.until(13 * SECOND);
    assert!(story.slot("b1").slow_disk.is_empty());
    assert_eq!(story.world.slots[story.node("b1").0 as usize].disk.sync_latency(13 * SECOND), 3_500_000);
}

/// Asks for a sync of a new file of b1 at 8 s; then something happens. What does the device have at that time?
fn synced_file(then: impl Fn(&mut Story, NodeIx), when: Nanos) -> bool {
    let mut story = story(Vec::new());
    story.until(8 * SECOND);
    let b1 = story.node("b1");
    let disk = &mut story.world.slots[b1.0 as usize].disk;
    let dir = disk.open_dir("story").expect("a healthy disk");
    let file = disk.open(dir, "f", OpenMode::Create).expect("a healthy disk");
    disk.write(file, 0, Bytes::from_static(b"bytes")).expect("a healthy disk");
    let sync = Effect::Sync { ticket: Ticket(1), targets: vec![SyncTarget::File(file), SyncTarget::Dir(dir)] };
    story.world.carry_out(b1, vec![(sync, EventId::NONE)], 8 * SECOND);
    then(&mut story, b1);
    story.until(when);
    let mut left = story.slot("b1").disk.clone();
    left.power_loss(&mut || 0);
    let dir = left.open_dir("story").expect("a healthy disk");
    left.open(dir, "f", OpenMode::Existing).is_ok_and(|file| left.len(file) == Ok(5))
}

#[test]
fn a_sync_ends_without_the_process_but_not_without_power_nor_through_a_stall() {
    let soon = 8 * SECOND + 20 * MILLISECOND;
    assert!(synced_file(|_, _| {}, soon));
    assert!(!synced_file(|_, _| {}, 8 * SECOND), "it takes its time");
    let fault = |kind: FaultKind| move |story: &mut Story, node| story.world.fault_from_outside(node, &kind);
    assert!(synced_file(fault(FaultKind::Crash { restart_after: Some(MILLISECOND) }), soon));
    assert!(!synced_file(fault(FaultKind::PowerLoss { restart_after: Some(MILLISECOND) }), soon));
    let stall = fault(FaultKind::StallDisk { lasts: Some(2 * SECOND) });
    assert!(!synced_file(stall.clone(), 9 * SECOND));
    assert!(synced_file(stall, 10 * SECOND + MILLISECOND));
}

#[test]
fn a_replaced_disk_is_empty_and_the_broker_fetches_everything_anew() {
    let kind = FaultKind::ReplaceDisk { restart_after: Some(3 * SECOND) };
    let mut story = story(vec![at(8 * SECOND, "b2", kind)]);
    story.until(8 * SECOND - 1);
    let held = story.slot("b2").disk.used_bytes();
    story.until(8 * SECOND);
    assert_eq!(story.slot("b2").disk.used_bytes(), 0);
    assert_eq!(story.faults(|f| *f == FaultEvent::ReplaceDisk { lost_bytes: held }), 1);
    let report = story.end();
    let appended = |e: &Event| matches!(e, Event::Appended { first_offset: 0, as_leader: false, .. });
    assert_eq!(story.events("b2", 11 * SECOND, Nanos::MAX, appended).len(), 1, "from the first record on");
    let unclean = |e: &Event| matches!(e, Event::BrokerRegistered { broker: 2, clean: false, .. });
    assert_eq!(story.events("c1", 11 * SECOND, Nanos::MAX, unclean).len(), 1, "its marker is gone too");
    assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.groups);
    assert_eq!(story.took_effect("replace-disk"), (1, 1));
}

#[test]
fn a_disk_that_fails_kills_in_the_middle_and_takes_with_it_what_was_to_be_told() {
    for after_operations in 0..6 {
        let after_operations = CountRange::exactly(after_operations);
        let kind = FaultKind::DiskFails { after_operations, restart_after: Some(3 * SECOND) };
        let mut story = story(vec![at(8 * SECOND, "b1", kind)]);
        story.until(9 * SECOND);
        assert_eq!(story.took_effect("disk-fails"), (1, 1));
        let failed = story.events("b1", 8 * SECOND, 9 * SECOND, |e| *e == Event::Fault(FaultEvent::DiskFailed));
        assert_eq!(failed.len(), 1);
        let died_at = failed[0].time;
        assert!(story.slot("b1").power == Power::Dead && !story.slot("b1").disk.is_dead());
        let last = story.events("b1", died_at, died_at + 1, |_| true).last().map(|e| e.event.clone());
        assert_eq!(last, Some(Event::Fault(FaultEvent::DiskFailed)), "the dead say nothing");
        let report = story.end();
        assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.groups);
    }
}

#[test]
fn a_disk_that_was_to_fail_is_whole_after_healing() {
    let kind = FaultKind::DiskFails { after_operations: CountRange::exactly(u32::MAX), restart_after: None };
    let mut story = story(vec![at(8 * SECOND, "b1", kind)]);
    assert_eq!(story.end().verdict.outcome, trial_checker::Outcome::Pass);
    assert_eq!(story.took_effect("disk-fails"), (1, 0));
    assert!(story.slot("b1").disk_fails.is_none());
}

/// b1, the leader, dies at 7 s; when does b2 hear of its successor, after the controller has chosen it?
fn hears_of_a_new_leader_after(of: &[MetadataKind], broker: &str) -> Nanos {
    let late = FaultKind::LateMetadata { by: 5 * SECOND, of: of.to_vec(), lasts: None };
    let crash = FaultKind::Crash { restart_after: Some(12 * SECOND) };
    let mut story = story(vec![at(6 * SECOND, "b3", late), at(7 * SECOND, "b1", crash)]);
    story.end();
    let chosen = |e: &Event| matches!(e, Event::LeaderChanged { previous: 1, .. });
    let chosen = story.events("c1", 7 * SECOND, Nanos::MAX, chosen)[0].time;
    let leads = |e: &Event| matches!(e, Event::BecameLeader { .. } | Event::BecameFollower { .. });
    story.events(broker, chosen, Nanos::MAX, leads)[0].time - chosen
}

#[test]
fn late_metadata_is_late_from_the_kind_on_that_it_names_and_on_one_broker_only() {
    use MetadataKind::{LeaderChanged, TopicDeleted};
    // A fetch of metadata is given up after 2 s and asked again: that makes it neither earlier nor later.
    let late = hears_of_a_new_leader_after(&[LeaderChanged], "b3");
    assert!((5 * SECOND..6 * SECOND).contains(&late), "{late}");
    assert!(hears_of_a_new_leader_after(&[LeaderChanged], "b2") < SECOND);
    assert!(hears_of_a_new_leader_after(&[TopicDeleted], "b3") < SECOND);
    assert!(hears_of_a_new_leader_after(&[], "b3") >= 5 * SECOND);
}

#[test]
fn power_loss_takes_the_metadata_that_a_controller_had_not_synced_and_says_so() {
    let crash = FaultKind::Crash { restart_after: Some(12 * SECOND) };
    let trigger = Trigger { event: "broker-fenced", partition: None, node: None };
    let occurrence = CountRange::exactly(1);
    let when = When::After { trigger, occurrence, not_before: 8 * SECOND, delay: 0 };
    let kind = FaultKind::PowerLoss { restart_after: Some(SECOND) };
    let lost = Fault { id: 2, when, target: Target::ActiveController, kind };
    let mut story = story(vec![at(8 * SECOND, "b2", crash), lost]);
    story.until(19 * SECOND + SECOND / 2);
    let fenced = |e: &Event| matches!(e, Event::BrokerFenced { broker: 2, .. });
    assert_eq!(story.events("c1", 8 * SECOND, 20 * SECOND, fenced).len(), 1);
    let knows = story.world.controller_image().expect("c1 is back").brokers[&2].fenced;
    assert!(!knows, "what was lost was never decided");
    let report = story.end();
    assert!(report.verdict.counters["metadata_bytes_lost"] > 0, "{:?}", report.verdict.counters);
    assert_eq!(report.verdict.counters["trials_that_lost_metadata"], 1);
    assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.groups);
}

#[test]
fn clients_that_die_are_not_waited_for_and_those_that_return_go_on() {
    let crash = || FaultKind::Crash { restart_after: Some(2 * SECOND) };
    let mut story = story(vec![at(8 * SECOND, "k1", crash()), at(8 * SECOND, "p1", crash())]);
    let report = story.end();
    let consumed = |e: &Event| matches!(e, Event::Consumed { .. });
    assert!(!story.events("k1", 11 * SECOND, 20 * SECOND, consumed).is_empty(), "k1 reads again");
    let sent = |e: &Event| matches!(e, Event::BatchSent { .. });
    assert!(story.events("p1", 8 * SECOND + 1, 10 * SECOND, sent).is_empty());
    assert!(!story.events("p1", 10 * SECOND, 11 * SECOND, sent).is_empty(), "p1 writes again");
    assert_eq!(report.verdict.outcome, trial_checker::Outcome::Pass, "{:?}", report.verdict.groups);
    assert!(report.virtual_ns < 30 * SECOND, "nobody waits for what the dead p1 would have been told");
}

#[test]
fn a_connection_whose_dialer_has_gone_leaves_nothing_behind() {
    let crash = FaultKind::Crash { restart_after: None };
    let lost = FaultKind::PowerLoss { restart_after: None };
    let mut story = story(vec![at(8 * SECOND, "p1", crash), at(8 * SECOND, "b2", lost)]);
    story.until(9 * SECOND);
    let (p1, b1, b2) = (story.node("p1"), story.node("b1"), story.node("b2"));
    assert_eq!(story.world.network.conns.values().filter(|c| c.dialer == p1).count(), 0);
    let fetches = |world: &World| -> Vec<u64> {
        let old = |c: &network::Conn| c.dialer == b2 && c.acceptor == b1 && c.purpose == Purpose::Fetcher;
        let conns = world.network.conns.iter().filter(|(_, c)| old(c) && c.dialer_incarnation == 1);
        conns.map(|(id, _)| *id).collect()
    };
    assert_eq!(fetches(&story.world).len(), 1, "b1 has not heard of the loss of power");
    let held: usize = fetches(&story.world).iter().map(|c| story.world.network.conns[c].held[1].len()).sum();
    assert!(held > 0, "what b1 answered is sent again and again");
    story.until(25 * SECOND);
    assert!(fetches(&story.world).is_empty(), "reset once b2 is back");
    assert!(story.world.network.requests.len() < 20, "nor are requests left: {}", story.world.network.requests.len());
}

#[test]
fn a_report_that_differs_from_the_log_is_found_out_and_the_log_counts() {
    let mut story = story(Vec::new());
    story.until(8 * SECOND);
    let b2 = story.node("b2");
    let partition = story.world.all_partitions()[0].clone();
    let end = story.world.broker(2).and_then(|b| b.partition(&partition)).expect("it follows").log_end_offset();
    let reason = trial_kafka::event::TruncationReason::DivergingEpoch;
    let lie = Event::Truncated { partition, from: end, to: end - 5, reason };
    let id = EventId(story.world.event_count() + 1);
    let event = TraceEvent { id, time: story.world.now, node: b2, causes: Vec::new(), event: lie };
    story.observer.after_step(&story.world, &[event], &[]);
    let report = story.end();
    assert_eq!(report.count(Class::Bug, "internal-assertion"), 1, "{:?}", report.verdict.groups);
    assert_eq!(report.verdict.groups.len(), 1, "nothing that follows from the lie: {:?}", report.verdict.groups);
}
