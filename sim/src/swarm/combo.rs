//! Faults that come together. Uniform noise does not reach the deep windows: three things in their order, each within
//! a round trip of the other. Each combo is one such story, told of the brokers of the first partition; the rest of the
//! scenario is as the seed drew it, and so are its times.

use super::sheet::{Millis, Sheet};
use super::stage::Stage;

/// In so many of a hundred seeds there is a combo.
const SHARE: u64 = 70;

/// A story, and what it cannot be told without.
pub(super) struct Combo {
    pub(super) name: &'static str,
    /// At least so many of the first partition, and of the quorum.
    pub(super) replicas: u64,
    pub(super) controllers: u64,
    /// Controllers have processes and disks of their own.
    pub(super) apart: bool,
    /// There are groups of both protocols.
    pub(super) groups: bool,
    /// Its window is narrow: it comes twice as often as others.
    is_deep: bool,
    tell: fn(&mut Stage<'_>),
}

const fn combo(name: &'static str, replicas: u64, controllers: u64, tell: fn(&mut Stage<'_>)) -> Combo {
    Combo { name, replicas, controllers, apart: false, groups: false, is_deep: false, tell }
}

const fn deep(name: &'static str, replicas: u64, controllers: u64, tell: fn(&mut Stage<'_>)) -> Combo {
    Combo { is_deep: true, ..combo(name, replicas, controllers, tell) }
}

const fn apart(name: &'static str, replicas: u64, controllers: u64, tell: fn(&mut Stage<'_>)) -> Combo {
    Combo { apart: true, ..combo(name, replicas, controllers, tell) }
}

const fn grouped(name: &'static str, tell: fn(&mut Stage<'_>)) -> Combo {
    Combo { groups: true, ..combo(name, 1, 1, tell) }
}

/// All of them: of replicas, of metadata that comes late, of the controller's word, of producers, of the quorum.
pub(super) const COMBOS: &[Combo] = &[
    combo("leader-dies-after-an-ack-and-again-after-a-truncation", 2, 1, ack_and_truncation),
    deep("replica-behind-its-leaders-start-races-elections", 3, 1, races_elections),
    deep("diverging-tail-returns", 3, 1, diverging_tail),
    combo("tail-lost-with-the-power", 2, 1, tail_lost),
    combo("last-replicas-die-one-by-one", 3, 1, one_by_one),
    deep("eligible-replica-loses-power", 3, 1, eligible_loses_power),
    combo("whole-rack-loses-power-after-an-ack", 2, 1, all_lose_power),
    combo("epochs-lost-with-the-power", 3, 1, epochs_lost),
    deep("leadership-moves-twice-and-one-broker-hears-late", 2, 1, moves_twice),
    deep("leadership-moves-twice-and-one-follower-hears-late", 3, 1, follower_hears_late),
    combo("follower-misses-an-epoch", 3, 1, misses_an_epoch),
    deep("fetch-answer-of-the-past", 3, 1, fetch_answer_of_the_past),
    deep("leader-catches-up-with-its-follower", 3, 1, catches_up),
    deep("reader-at-a-follower-that-is-cut", 3, 1, reader_at_a_follower),
    combo("consumer-sleeps-through-a-truncation", 3, 1, consumer_sleeps),
    combo("leader-and-follower-cut-off", 3, 1, leader_and_follower_cut_off),
    deep("isr-expansion-unheard", 3, 1, expansion_unheard),
    deep("alter-partition-delayed-across-a-reboot", 2, 1, across_a_reboot),
    deep("alter-partition-of-a-former-isr", 4, 1, former_isr),
    deep("reassigned-away-and-back", 3, 1, away_and_back),
    combo("leader-reassigned-away", 3, 1, leader_reassigned_away),
    combo("begins-anew-above-a-stale-leader", 3, 1, above_a_stale_leader),
    combo("fenced-while-it-catches-up", 3, 1, fenced_while_it_catches_up),
    combo("power-goes-after-a-goodbye", 2, 1, power_after_goodbye),
    combo("slow-goodbye", 2, 1, slow_goodbye),
    combo("registers-twice", 1, 1, registers_twice),
    deep("words-of-a-former-life", 2, 1, former_life),
    combo("words-of-a-former-leader", 2, 1, former_leader),
    grouped("members-are-heard-late", heard_late),
    grouped("members-come-again", come_again),
    combo("answers-come-late", 1, 1, answers_late),
    combo("no-record-is-permitted-for-a-moment", 1, 1, none_permitted),
    combo("too-few-in-sync-again-and-again", 3, 1, too_few_in_sync),
    combo("controller-dies-deciding", 2, 3, dies_deciding),
    combo("quorum-loses-power", 1, 2, quorum_loses_power),
    combo("quorum-leader-loses-power-appending", 1, 3, leader_loses_power),
    combo("vote-forgotten", 1, 3, vote_forgotten),
    combo("quorum-leader-hears-nobody", 1, 3, hears_nobody),
    combo("standbys-cut-in-turn", 1, 3, standbys_cut),
    apart("voter-on-an-empty-disk", 1, 3, empty_disk),
    apart("voters-disks-lie", 1, 3, disks_lie),
    apart("old-epoch-on-a-majority", 1, 5, old_epoch),
    apart("voter-removed-while-others-are-away", 1, 3, voter_removed),
];

/// Draws one, if the seed wants one. It comes first: the cluster is made so that there is room for it.
pub(super) fn draw(sheet: &Sheet) -> Option<&'static Combo> {
    let weighted: Vec<&Combo> =
        COMBOS.iter().flat_map(|c| std::iter::repeat_n(c, 1 + usize::from(c.is_deep))).collect();
    sheet.chance(SHARE, "combo").then(|| sheet.pick("combo", &weighted))
}

/// Adds it. The run is made long enough for it.
pub(super) fn add(sheet: &mut Sheet, combo: &Combo, run: Millis, replicas: &[u64]) {
    sheet.put_into("", "about", format!("{:?}", combo.name));
    let mut stage = Stage::new(sheet, replicas);
    stage.cluster("broker.session.timeout.ms", "3000");
    stage.cluster("broker.heartbeat.interval.ms", "500");
    (combo.tell)(&mut stage);
    let ends = stage.ends() + 8_000;
    if ends > run {
        sheet.put_into("", "run", format!("\"{}\"", super::sheet::shown(ends)));
    }
}

const P0: &str = "orders-0";

/// Most stories need a producer that does not wait for company.
fn at_once(s: &mut Stage<'_>) {
    s.producer("linger.ms", "0");
    s.producer("rate", "150");
}

fn acks_all_of_two(s: &mut Stage<'_>) {
    s.cluster("min.insync.replicas", "2");
    at_once(s);
}

/// A leader that asks for this one: it has a connection for AlterPartition from then on, and what is slow later is the
/// request alone.
fn opens_its_connection(s: &mut Stage<'_>, follower: &str) {
    s.fault("clean-restart", follower).at(0, 0).range("down-for", 300, 300);
}

/// Whoever is behind stays so for a while. Little is written then, or it would be so for ever.
fn small_fetches(s: &mut Stage<'_>) {
    s.cluster("replica.fetch.max.bytes", "1000");
    s.always("[[producer]]", "value-bytes", "30");
    s.always("[network]", "latency.min", "\"1ms\"");
    s.always("[network]", "latency.typical", "\"2ms\"");
}

// KIP-101: what a follower cuts when it comes back must not be what was acknowledged.
fn ack_and_truncation(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.fault("crash", "leader of orders-0").after("produce-answered of orders-0", 0, 0, 5).restart(5_000, 10_000);
    s.fault("crash", "leader of orders-0").after("truncated of orders-0", 2_000, 0, 5).restart(5_000, 10_000);
}

// KAFKA-7128: the leader epoch's start offset.
fn races_elections(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    small_fetches(s);
    s.cluster("replica.fetch.max.bytes", "400");
    s.producer("rate", "500");
    let c = s.c.clone();
    s.fault("clean-restart", &c).at(0, 500).range("down-for", 4_000, 5_000);
    s.fault("crash", "leader of orders-0").after("produce-answered of orders-0", 1_500, 0, 3).restart(25_000, 30_000);
    s.fault("slow-fetch", &c).after(&format!("started on {c}"), 0, 0, 0).by(10, 20).lasts(18_000, 20_000);
    s.fault("crash", "leader of orders-0").after("isr-changed of orders-0", 3_000, 0, 5).restart(8_000, 12_000);
    s.fault("crash", &c).after("isr-changed of orders-0", 3_000, 0, 5).restart(1_000, 2_000);
}

// KAFKA-13141: a tail that nobody else has is not what its owner is counted for.
fn diverging_tail(s: &mut Stage<'_>) {
    s.cluster("min.insync.replicas", "2");
    s.always("[[producer]]", "acks", "1");
    s.always("[[producer]]", "enable.idempotence", "false");
    s.producer("rate", "300");
    let (a, b) = (s.a.clone(), s.b.clone());
    s.fault("cut", &a).at(0, 1_000).peers(&["brokers", "controllers"]).lasts(4_000, 6_000);
    s.fault("slow-fetch", &a).at(2_000, 2_500).by(200, 1_000).lasts(8_000, 12_000);
    s.fault("crash", &b).after("isr-changed of orders-0", 3_800, 0, 300).restart(7_000, 10_000);
}

// KIP-101, scenario 2: a tail is lost, other records stand in its place, and its owner returns.
fn tail_lost(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("min.insync.replicas", "1");
    let (a, b) = (s.a.clone(), s.b.clone());
    s.fault("clean-restart", &b).at(0, 1_000).range("down-for", 6_000, 12_000);
    s.fault("power-loss", &a).at(2_000, 5_000).restart(500, 2_000);
    s.fault("crash", &a).at(9_000, 14_000).restart(3_000, 8_000);
}

// KIP-966: who may lead when all are gone, and in which order they come back.
fn one_by_one(s: &mut Stage<'_>) {
    s.cluster("min.insync.replicas", "2");
    s.cluster("replica.lag.time.max.ms", "2000");
    for (nth, kind) in [("follower 2 of orders-0", "crash"), ("follower 1 of orders-0", "crash")] {
        let begins = if nth.contains('2') { 0 } else { 4_000 };
        s.fault(kind, nth).at(begins, begins + 2_000).restart(6_000, 16_000);
    }
    s.fault("power-loss", "leader of orders-0").at(7_000, 10_000).restart(2_000, 12_000);
}

// KAFKA-18106: a replica that lost its tail is eligible no more.
fn eligible_loses_power(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("replica.lag.time.max.ms", "2000");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("clean-restart", &c).at(0, 2_000).range("down-for", 15_000, 18_000);
    s.fault("cut", &b).at(4_000, 5_000).peers(&["brokers"]).lasts(9_000, 13_000);
    s.fault("power-loss", &b).after("isr-changed of orders-0", 5_500, 0, 2_000).restart(500, 2_000);
    s.fault("crash", &a).at(10_000, 14_000).restart(8_000, 10_000);
}

fn all_lose_power(s: &mut Stage<'_>) {
    at_once(s);
    s.fault("power-loss", "all brokers").after("produce-answered of orders-0", 1_000, 0, 5).restart(500, 4_000);
    s.fault("crash", "leader of orders-0").after("became-leader of orders-0", 2_000, 0, 500).restart(500, 4_000);
}

// KAFKA-16541: the leader-epoch checkpoint is durable before its name is.
fn epochs_lost(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("log.segment.bytes", "4000");
    s.cluster("log.flush.offset.checkpoint.interval.ms", "1000");
    s.cluster("auto.leader.rebalance.enable", "false");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("cut", &a).at(0, 500).peers(&["brokers", "controllers"]).lasts(2_000, 2_500);
    s.fault("crash", &a).at(600, 1_800).restart(18_000, 20_000);
    s.admin("delete-records").text("topic", "orders").put("before", "100").at(6_000, 7_000);
    s.fault("power-loss", &b).at(9_000, 11_000).restart(1_000, 2_000);
    s.fault("crash", &c).at(16_000, 17_000).restart(8_000, 10_000);
}

// KIP-279, KAFKA-7395: the former leader still leads in its own eyes, and leads again before it has heard otherwise.
fn moves_twice(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("auto.leader.rebalance.enable", "false");
    s.cluster("controller.quorum.fetch.timeout.ms", "10000");
    s.producer("request.timeout.ms", "400");
    s.producer("metadata.max.age.ms", "300");
    s.producer("batch.size", "1");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("slow-fetch", &b).at(0, 500).by(60, 200).lasts(3_000, 8_000);
    s.fault("late-metadata", &a).at(2_000, 2_000).by(2_500, 5_000).put("of", LEADERS).lasts(9_000, 10_000);
    s.fault("cut", &a).at(3_000, 3_000).peers(&["clients"]).lasts(3_000, 4_000);
    s.lead(&b, 2_500);
    if s.c.starts_with('b') {
        s.fault("cut", &c).at(1_000, 2_000).peers(&[&b]).lasts(10_000, 12_000);
        s.fault("late-metadata", &b).at(3_500, 3_500).by(6_000, 7_000).put("of", LEADERS).lasts(5_000, 5_000);
        s.lead(&a, 4_000);
    } else {
        let appended = format!("appended of orders-0 on {b}");
        s.fault("crash", &b).after(&appended, 3_000, 0, 50).restart(8_000, 10_000);
    }
}

const LEADERS: &str = "[\"leader-changed\"]";

// KIP-320: a follower of an earlier epoch is still to hear of another leader, and to cut its log.
fn follower_hears_late(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("controller.quorum.fetch.timeout.ms", "15000");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("late-metadata", &b).at(3_000, 3_000).by(50, 300).lasts(2_000, 3_000);
    s.fault("late-metadata", &c).at(3_000, 3_000).by(8_000, 12_500).lasts(14_000, 17_000);
    s.lead(&b, 1_000);
    s.lead(&a, 3_500);
    let leads = format!("became-leader on {a}");
    s.fault("cut", &a).after(&leads, 3_000, 0, 0).peers(&[&b, "controllers", "clients"]).lasts(14_000, 18_000);
    s.fault("crash", &b).after("truncated of orders-0", 5_000, 0, 100).restart(9_000, 12_000);
}

// KAFKA-7164: the leader is the same, the epoch is not.
fn misses_an_epoch(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("auto.leader.rebalance.enable", "false");
    s.producer("batch.size", "1");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("slow-fetch", &b).at(0, 0).by(60, 200).lasts(5_000, 6_000);
    s.fault("cut", &c).at(2_000, 3_000).peers(&["controllers"]).lasts(13_000, 15_000);
    s.fault("crash", &a).at(3_500, 4_500).restart(4_000, 6_000);
    s.admin("elect-leaders").text("topic", "orders").at(13_000, 15_000);
}

// A response belongs to the epoch, and the place in the log, that it was asked for.
fn fetch_answer_of_the_past(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("auto.leader.rebalance.enable", "false");
    s.always("[network]", "latency.min", "\"4ms\"");
    s.always("[network]", "latency.typical", "\"8ms\"");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    let leads = format!("became-leader of {P0} on {b}");
    s.fault("slow-fetch", &b).at(0, 0).by(100, 200).lasts(5_000, 6_000);
    s.fault("slow-link", &b).after(&leads, 1_000, 5, 45).peers(&[&c]).text("direction", "out");
    s.text("purpose", "fetcher").by(5_000, 8_000).lasts(4_000, 4_000);
    s.lead(&b, 3_000);
    s.lead(&a, 5_000);
}

// KAFKA-2143: offset out of range, and by the time it asks where the log ends the leader has more.
fn catches_up(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("auto.leader.rebalance.enable", "false");
    small_fetches(s);
    s.producer("rate", "400");
    s.producer("batch.size", "1");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("slow-fetch", &b).at(0, 0).by(40, 100).lasts(6_000, 7_000);
    s.fault("slow-link", &c)
        .at(1_000, 1_000)
        .peers(&[&b])
        .text("purpose", "fetcher")
        .by(100, 500)
        .lasts(14_000, 16_000);
    s.fault("crash", &a).at(2_000, 4_000).restart(12_000, 16_000);
    s.fault("crash", &b).after(&format!("truncated of orders-0 on {c}"), 4_000, 0, 30).restart(10_000, 14_000);
}

// KAFKA-14704: what a follower is about to cut is not handed out.
fn reader_at_a_follower(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("racks", r#"["r1", "r2", "r3"]"#);
    s.cluster("replica.selector.class", "\"RackAwareReplicaSelector\"");
    s.cluster("auto.leader.rebalance.enable", "false");
    s.producer("request.timeout.ms", "400");
    let (a, b) = (s.a.clone(), s.b.clone());
    let rack = b.trim_start_matches('b').parse().map_or(1, |id: u64| (id - 1) % 3 + 1);
    s.want("[[consumer]]", "client.rack", &format!("\"r{rack}\""));
    s.want("[[consumer]]", "fetch.max.wait.ms", "2");
    s.want("[[consumer]]", "poll-interval", "\"1ms\"");
    s.lead(&b, 1_700);
    s.fault("cut", &a).at(1_950, 1_950).peers(&["controllers"]).lasts(3_000, 3_500);
    s.fault("cut", &a).at(2_050, 2_050).peers(&["clients"]).lasts(1_500, 1_500);
    s.lead(&a, 4_000);
    s.fault("slow-fetch", &b).at(4_100, 4_100).by(3_500, 4_500).lasts(3_000, 3_000);
    s.fault("slow-disk", &b).at(5_000, 5_000).by(2, 5).lasts(10_000, 10_000);
}

// KIP-320: a consumer that was away learns that its position is of another history.
fn consumer_sleeps(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("min.insync.replicas", "1");
    s.cluster("unclean.leader.election.enable", "true");
    s.cluster("unclean.leader.election.interval.ms", "500");
    s.cluster("eligible.leader.replicas.version", "0");
    s.cluster("replica.lag.time.max.ms", "2000");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("cut", &a).at(0, 1_000).peers(&[&b, &c]).lasts(8_000, 12_000);
    s.fault("pause", "k1").at(5_000, 6_000).lasts(6_000, 10_000);
    s.fault("crash", &a).at(6_000, 7_000).restart(10_000, 14_000);
}

// An ISR shrinks when the controller has agreed, and not before.
fn leader_and_follower_cut_off(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("replica.lag.time.max.ms", "1000");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("cut", &a).at(1_000, 1_000).peers(&[&b, "controllers"]).lasts(5_000, 8_000);
    s.fault("cut", &c).at(1_000, 1_000).peers(&[&b, "controllers"]).lasts(5_000, 8_000);
}

// KIP-497: until a leader has heard of its new ISR it commits by the larger one.
fn expansion_unheard(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    let (a, c) = (s.a.clone(), s.c.clone());
    opens_its_connection(s, &c);
    s.fault("clean-restart", &c).at(2_400, 2_800).range("down-for", 1_500, 3_000);
    s.fault("slow-link", &a).at(3_000, 3_500).peers(&["controllers"]).text("direction", "in");
    s.text("purpose", "alter-partition").by(2_000, 4_000).lasts(8_000, 8_000);
    s.fault("late-metadata", &a)
        .after("isr-change-asked of orders-0", 3_500, 0, 0)
        .by(2_000, 4_000)
        .lasts(6_000, 6_000);
    s.fault("slow-fetch", &c).after("isr-change-asked of orders-0", 3_500, 0, 0).by(200, 1_000).lasts(6_000, 6_000);
    s.fault("crash", &a).after("isr-changed of orders-0", 3_500, 200, 1_500).restart(8_000, 10_000);
}

// KIP-903, KAFKA-15221: what a leader asks for an incarnation does not hold for the next.
fn across_a_reboot(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    small_fetches(s);
    let (a, b) = (s.a.clone(), s.b.clone());
    let started = format!("started on {b}");
    // It is back before the second start is waited for.
    s.fault("clean-restart", &b).at(0, 500).range("down-for", 2_500, 3_000);
    s.fault("slow-link", &a).after(&started, 1_500, 0, 0).peers(&["controllers"]).text("direction", "out");
    s.text("purpose", "alter-partition").by(5_000, 12_000).lasts(4_000, 6_000);
    if s.chance(50, "fetches") {
        s.fault("slow-link", &b).after("isr-change-asked of orders-0", 2_500, 0, 500).peers(&[&a]);
        s.text("direction", "out").text("purpose", "fetcher").by(5_000, 8_000).lasts(500, 500);
    }
    s.fault("power-loss", &b).after("isr-change-asked of orders-0", 2_500, 0, 2_000).restart(300, 3_000);
    match s.chance(50, "which") {
        true => s.fault("cut", &b).after(&started, 4_000, 0, 0).peers(&["brokers"]).lasts(8_000, 12_000),
        false => s.fault("slow-fetch", &b).after(&started, 4_000, 0, 0).by(300, 400).lasts(12_000, 14_000),
    };
    if s.chance(50, "controller") {
        s.fault("crash", "active controller").after(&started, 4_000, 3_000, 7_000).restart(8_000, 12_000);
    }
    s.fault("crash", &a).after("isr-changed of orders-0", 6_000, 0, 1_000).restart(8_000, 12_000);
}

// KIP-497: an AlterPartition is of the partition epoch that its leader knew.
fn former_isr(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    opens_its_connection(s, &c);
    s.fault("clean-restart", &c).at(2_400, 2_800).range("down-for", 1_000, 2_000);
    s.fault("slow-link", &a)
        .after(&format!("started on {c}"), 3_000, 0, 0)
        .peers(&["controllers"])
        .text("direction", "out");
    s.text("purpose", "alter-partition").by(5_500, 8_000).lasts(4_000, 4_000);
    if s.chance(30, "who joins is gone") {
        // Fenced before the controller hears that it may join, and nothing else has changed: INELIGIBLE_REPLICA.
        s.fault("cut", &c)
            .after("isr-change-asked of orders-0", 3_000, 0, 0)
            .peers(&["controllers"])
            .lasts(9_000, 11_000);
        return s.mostly_undisturbed();
    }
    s.fault("cut", &b).after("isr-change-asked of orders-0", 3_000, 0, 0).peers(&["controllers"]).lasts(3_500, 4_500);
    s.fault("cut", &b).after("isr-change-asked of orders-0", 3_000, 0, 0).peers(&["brokers"]).lasts(10_000, 12_000);
    s.fault("crash", &a).after("isr-changed of orders-0", 3_300, 0, 500).put("occurrence", "2").restart(8_000, 10_000);
}

// A replica that was none for a while begins anew in its leader's eyes. What it had before is all there is, or it would be
// seen to lack something.
fn away_and_back(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.all_is_written();
    s.cluster("broker.session.timeout.ms", "9000");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    let ids = |brokers: [&String; 3], n: usize| {
        format!("[{}]", brokers[..n].iter().map(|b| b.trim_start_matches('b')).collect::<Vec<_>>().join(", "))
    };
    s.fault("cut", &a).at(2_000, 2_000).peers(&["controllers"]).lasts(4_500, 5_500);
    s.fault("slow-fetch", &c).at(2_000, 2_000).by(1_000, 3_000).lasts(10_000, 12_000);
    s.admin("reassign").text("topic", "orders").put("replicas", &ids([&a, &b, &c], 2)).at(3_000, 3_000);
    s.admin("reassign").text("topic", "orders").put("replicas", &ids([&a, &c, &b], 3)).at(4_500, 4_500);
    s.fault("crash", &a).after("isr-changed of orders-0", 6_500, 0, 1_000).restart(8_000, 10_000);
}

// A leader's own AlterPartition may be what ends a reassignment, and its leadership (NEW_LEADER_ELECTED).
fn leader_reassigned_away(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.always("[cluster]", "min.insync.replicas", "2");
    s.cluster("auto.leader.rebalance.enable", "false");
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    let ids = |one: &str, other: &str| format!("[{}, {}]", one.trim_start_matches('b'), other.trim_start_matches('b'));
    s.fault("slow-fetch", &c).at(3_000, 3_000).by(50, 1_500).lasts(6_000, 10_000);
    s.admin("reassign").text("topic", "orders").put("replicas", &ids(&a, &b)).at(2_000, 2_000);
    s.admin("reassign").text("topic", "orders").put("replicas", &ids(&b, &c)).at(4_000, 5_000);
}

// A follower that begins anew at its leader's log start has no epoch to tell the next leader of, and may lie above its end.
fn above_a_stale_leader(s: &mut Stage<'_>) {
    at_once(s);
    for (key, value) in [
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
        ("unclean.leader.election.interval.ms", "500"),
        ("replica.lag.time.max.ms", "2000"),
    ] {
        s.always("[cluster]", key, value);
    }
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    s.fault("cut", &b).at(0, 500).peers(&[&a]).lasts(16_000, 18_000);
    s.fault("clean-restart", &c).at(0, 500).range("down-for", 5_500, 7_000);
    s.admin("delete-records").text("topic", "orders").at(5_000, 5_400);
    s.fault("slow-fetch", &c).after(&format!("started on {c}"), 500, 0, 0).by(400, 800).lasts(8_000, 10_000);
    s.fault("crash", &a).after(&format!("truncated of orders-0 on {c}"), 3_000, 0, 250).restart(12_000, 16_000);
    s.mostly_undisturbed();
}

// KIP-841: who is fenced is not taken into the ISR again, whatever a leader asks that has not heard of it.
fn fenced_while_it_catches_up(s: &mut Stage<'_>) {
    acks_all_of_two(s);
    s.cluster("auto.leader.rebalance.enable", "false");
    s.always("[cluster]", "replica.lag.time.max.ms", "1500");
    s.always("[cluster]", "controller.quorum.fetch.timeout.ms", "15000");
    let (a, c) = (s.a.clone(), s.c.clone());
    // It is out of the ISR when it is fenced, or its leader would be refused for an older partition epoch.
    s.fault("slow-fetch", &c).at(0, 500).by(2_500, 3_500).lasts(6_000, 6_500);
    s.fault("cut", &c).at(2_500, 3_500).peers(&["controllers"]).lasts(9_000, 12_000);
    s.fault("late-metadata", &a).at(4_500, 5_000).by(4_000, 8_000).put("of", "[\"broker-fenced\"]").lasts(9_000, 9_000);
    s.fault("crash", "leader of orders-0").after("isr-changed of orders-0", 6_000, 0, 500).restart(5_000, 9_000);
}

// KIP-841: who is about to stop is not taken into the ISR again.
fn slow_goodbye(s: &mut Stage<'_>) {
    let b = s.b.clone();
    s.fault("slow-link", &b).at(0, 1_000).peers(&["controllers"]).text("direction", "in");
    s.text("purpose", "heartbeat").by(50, 500).lasts(8_000, 8_000);
    s.fault("late-metadata", &b).at(0, 1_000).by(100, 600).lasts(8_000, 8_000);
    s.fault("clean-restart", &b).at(1_000, 3_000).range("down-for", 2_000, 10_000);
    s.fault("crash", "leader of orders-0").at(1_000, 7_000).restart(4_000, 6_000);
}

// KIP-966: who says that it stopped in order must have flushed before it says so.
fn power_after_goodbye(s: &mut Stage<'_>) {
    at_once(s);
    let (a, b, c) = (s.a.clone(), s.b.clone(), s.c.clone());
    // As many as there are replicas: whoever goes stays eligible.
    let others = if c.starts_with('b') { vec![b, c] } else { vec![b] };
    s.always("[cluster]", "min.insync.replicas", &(others.len() + 1).to_string());
    s.fault("slow-disk", &a).at(1_000, 1_000).by(5, 20).lasts(5_000, 5_000);
    s.fault("clean-restart", &a).at(2_000, 2_000).range("down-for", 4_000, 4_000);
    s.fault("power-loss", &a).after("broker-fenced", 2_000, 600, 1_500).restart(1_000, 2_000);
    for other in &others {
        s.fault("crash", other).after("broker-fenced", 2_000, 1_600, 2_000).restart(9_000, 10_000);
    }
}

// KAFKA-16952: one incarnation has one broker epoch.
fn registers_twice(s: &mut Stage<'_>) {
    let a = s.a.clone();
    s.fault("clean-restart", &a).at(0, 2_000).range("down-for", 1_000, 3_000);
    s.fault("slow-link", "that node").after("started", 0, 0, 0).peers(&["controllers"]).text("direction", "out");
    s.text("purpose", "heartbeat").by(1_000, 4_000).lasts(1_000, 3_000);
}

// KIP-903, KIP-631: what was sent before a crash comes after the restart, and is of nobody who lives.
fn former_life(s: &mut Stage<'_>) {
    at_once(s);
    s.cluster("broker.session.timeout.ms", "1500");
    s.cluster("broker.heartbeat.interval.ms", "200");
    s.cluster("replica.fetch.wait.max.ms", "50");
    let b = s.b.clone();
    s.fault("slow-link", &b).at(2_000, 2_000).peers(&["brokers", "controllers"]).text("direction", "out");
    s.by(5_000, 9_000).lasts(400, 400);
    s.fault("crash", &b).at(2_350, 2_450).restart(50, 300);
}

// KIP-903: a leader that asks for another ISR, and is somebody else when it is heard.
fn former_leader(s: &mut Stage<'_>) {
    s.cluster("broker.session.timeout.ms", "1500");
    s.cluster("broker.heartbeat.interval.ms", "200");
    s.cluster("replica.lag.time.max.ms", "1000");
    let (a, b) = (s.a.clone(), s.b.clone());
    s.fault("cut", &b).at(1_000, 2_000).peers(&["brokers"]).lasts(4_000, 6_000);
    s.fault("slow-link", &a).at(2_000, 2_000).peers(&["controllers"]).text("direction", "out");
    s.by(6_000, 9_000).lasts(3_000, 3_000);
    s.fault("crash", &a).at(4_500, 5_000).restart(50, 300);
}

// KIP-345, KIP-848: what a member said before its group went on.
fn heard_late(s: &mut Stage<'_>) {
    s.consumers("request.timeout.ms", "\"1s\"");
    for group in ["eager", "modern"] {
        if s.chance(50, "static members") {
            s.members(group, "group.instance.id", &format!("\"{group}-till\""));
        }
        s.fault("slow-link", &format!("coordinator of {group}")).at(2_000, 2_500).peers(&["clients"]);
        s.text("direction", "in").by(2_500, 6_000).lasts(400, 1_000);
    }
    for _ in 0..2 {
        s.fault("crash", "random consumer").at(2_300, 3_500).restart(50, 500);
    }
}

// KIP-345: static members that go and come find what they had.
fn come_again(s: &mut Stage<'_>) {
    for group in ["eager", "modern"] {
        s.members(group, "group.instance.id", &format!("\"{group}-till\""));
    }
    for begins in [0, 3_000, 6_000] {
        s.fault("clean-restart", "random consumer").at(begins, begins + 3_000).range("down-for", 100, 2_000);
        s.fault("crash", "random consumer").at(begins, begins + 3_000).restart(50, 500);
    }
}

// An idempotent producer sends again what it was not told of.
fn answers_late(s: &mut Stage<'_>) {
    at_once(s);
    s.producer("request.timeout.ms", "1000");
    s.fault("slow-link", "leader of orders-0").at(0, 2_000).peers(&["clients"]).text("direction", "out");
    s.by(1_500, 2_500).lasts(2_000, 4_000);
    s.fault("cut", "leader of orders-0")
        .at(7_000, 9_000)
        .peers(&["clients"])
        .text("direction", "in")
        .lasts(1_500, 3_000);
    s.fault("crash", "leader of orders-0").after("produce-answered of orders-0", 3_000, 0, 2_000).restart(500, 3_000);
}

// KAFKA-8483: a batch fails for good in the middle of those that are under way.
fn none_permitted(s: &mut Stage<'_>) {
    s.producer("rate", "400");
    s.producer("linger.ms", "0");
    s.want("[network]", "latency.tail-per-mille", "50");
    s.fault("slow-fetch", "random broker").at(0, 1_000).by(10, 30).lasts(8_000, 12_000);
    for nth in 0..6 {
        let at = 1_000 * nth;
        s.admin("alter-config").text("resource", "topic orders").put("set", "[\"max.message.bytes=150\"]").at(at, at);
        s.admin("alter-config").text("resource", "topic orders").put("remove", "[\"max.message.bytes\"]");
        s.at(at + 1, at + 40);
    }
}

// KAFKA-14359: a producer's next epoch begins at its beginning.
fn too_few_in_sync(s: &mut Stage<'_>) {
    s.cluster("min.insync.replicas", "2");
    s.cluster("replica.lag.time.max.ms", "1000");
    for (key, value) in [
        ("count", "12"),
        ("rate", "10"),
        ("linger.ms", "0"),
        ("batch.size", "1"),
        ("request.timeout.ms", "700"),
        ("delivery.timeout.ms", "1500"),
        ("retry.backoff.ms", "20"),
        ("retry.backoff.max.ms", "40"),
    ] {
        s.always("[[producer]]", key, value);
    }
    s.want("[network]", "latency.tail-per-mille", "250");
    let (b, c) = (s.b.clone(), s.c.clone());
    for nth in 0..3 {
        for follower in [&b, &c] {
            s.fault("cut", follower).at(8_000 * nth, 8_000 * nth).peers(&["brokers"]).lasts(3_500, 5_500);
        }
    }
}

// KAFKA-15345: a controller decides on what its predecessors have decided, all of it.
fn dies_deciding(s: &mut Stage<'_>) {
    let a = s.a.clone();
    s.fault("crash", &a).at(0, 1_000).restart(5_000, 14_000);
    s.fault("crash", "active controller").after("leader-changed", 1_000, 0, 20).restart(5_000, 12_000);
}

// KAFKA-10533: committed is what is on the disks of a majority.
fn quorum_loses_power(s: &mut Stage<'_>) {
    s.want("[disk]", "writeback", "\"3s\"");
    s.fault("power-loss", "all controllers").after("metadata-high-watermark", 2_000, 0, 5).restart(500, 1_500);
}

// KAFKA-10527: a leader that comes back is none in that epoch.
fn leader_loses_power(s: &mut Stage<'_>) {
    s.fault("slow-disk", "active controller").at(0, 1_000).by(20, 60).lasts(8_000, 8_000);
    s.fault("power-loss", "active controller").after("metadata-appended", 2_000, 2, 20).restart(50, 500);
}

// A vote that was given was given.
fn vote_forgotten(s: &mut Stage<'_>) {
    s.fault("power-loss", "active controller").at(0, 1_000).restart(2_500, 4_000);
    s.fault("power-loss", "that node").after("vote-granted", 0, 0, 5).restart(20, 200);
    s.fault("cut", "that node").after("became-quorum-leader", 0, 0, 0).peers(&["controllers"]).lasts(8_000, 10_000);
}

// KAFKA-15489: check quorum.
fn hears_nobody(s: &mut Stage<'_>) {
    s.fault("cut", "active controller")
        .at(0, 2_000)
        .peers(&["controllers"])
        .text("direction", "in")
        .lasts(6_000, 10_000);
}

// KIP-996: who was away asks before it raises the epoch.
fn standbys_cut(s: &mut Stage<'_>) {
    s.fault("cut", "standby controller 1").at(0, 1_000).peers(&["controllers"]).lasts(2_000, 5_000);
    s.fault("cut", "standby controller 2").at(6_000, 7_000).peers(&["controllers"]).lasts(2_000, 5_000);
}

// KIP-853: a voter is its disk.
fn empty_disk(s: &mut Stage<'_>) {
    s.fault("cut", "standby controller 1").at(0, 1_000).peers(&["controllers"]).lasts(3_000, 4_000);
    s.fault("replace-disk", "standby controller 2").at(2_800, 3_500).restart(100, 500);
    s.fault("crash", "active controller").at(3_500, 3_600).restart(4_000, 10_000);
}

// KAFKA-12460: nobody cuts what it knows to be committed, whatever a leader that forgot it says.
fn disks_lie(s: &mut Stage<'_>) {
    s.always("[chaos]", "faults", "0");
    s.fault("lost-sync", "all controllers").at(0, 1_000).lasts(8_000, 8_000);
    s.fault("cut", "standby controller 2").at(3_800, 3_900).peers(&["everyone"]).lasts(6_000, 8_000);
    s.fault("power-loss", "standby controller 1").at(4_000, 4_200).restart(500, 1_000);
    s.fault("power-loss", "active controller").at(4_000, 4_200).restart(500, 1_000);
}

// Raft's figure 8: a record of a former epoch is committed by one of the leader's own.
fn old_epoch(s: &mut Stage<'_>) {
    for (key, value) in [("fetch.timeout.ms", "2000"), ("election.timeout.ms", "1000"), ("request.timeout.ms", "2000")]
    {
        s.cluster(&format!("controller.quorum.{key}"), value);
    }
    s.cluster("controller.quorum.election.backoff.max.ms", "1000");
    for (who, peers) in [("c2", &["c3", "c4", "c5"][..]), ("c3", &["c4", "c5"]), ("c4", &["c5"])] {
        s.fault("cut", who).at(0, 0).peers(peers).lasts(if who == "c2" { 7_000 } else { 20_000 }, 22_000);
    }
    s.fault("cut", "c1").at(8_000, 8_500).peers(&["c2", "c4", "c5"]).lasts(5_000, 5_000);
    s.fault("cut", "c3").at(8_000, 8_000).peers(&["c2"]).lasts(12_000, 14_000);
    s.fault("cut", "c5").at(8_000, 8_500).peers(&["c1"]).lasts(12_000, 14_000);
    s.fault("cut", "c2").after("became-quorum-leader on c2", 8_000, 0, 0).peers(&["controllers"]).lasts(12_000, 12_000);
    s.fault("slow-disk", "c3").after("became-quorum-leader on c1", 12_000, 0, 0).by(5, 20).lasts(6_000, 6_000);
    for (who, kind, away) in [("c1", "crash", 15_000), ("c4", "crash", 15_000), ("c3", "power-loss", 750)] {
        s.fault(kind, who).after("metadata-high-watermark on c1", 12_000, 0, 5).restart(away, away + 250);
    }
}

// KIP-853: voters change one at a time, and by those who are in force.
fn voter_removed(s: &mut Stage<'_>) {
    s.fault("cut", "standby controller 2").at(2_000, 4_000).peers(&["controllers"]).lasts(4_000, 6_000);
    s.admin("remove-voter").put("controller", "1").at(4_100, 4_100);
    s.fault("crash", "active controller").at(5_000, 8_000).restart(1_000, 5_000);
}
