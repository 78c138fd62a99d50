//! Why a batch was lost, and whether the configuration allows it (checker.md, "Configuration decides").
//!
//! The decisive reign is the first one without the batch after the last one with it. Its leader lacked the batch for
//! one of a few reasons, each of which is a BUG or ALLOWED by a rule; the first rule that matches is named.

use super::partition::{Ack, Deletion, Election, PartitionTruth, Produced, Reign};
use super::replica::{Batch, Cut, CutKind, LogEntry, Replica};
use super::{Cluster, Outage};
use crate::settings::Settings;
use crate::verdict::{Class, Step};
use crate::words::{brokers, seconds, step};

/// BUG, or ALLOWED by a rule; why, as the end of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) class: Class,
    pub(crate) rule: Option<&'static str>,
    pub(crate) because: String,
}

impl Judgement {
    /// Never allowed.
    pub(crate) fn bug(because: String) -> Self {
        Judgement { class: Class::Bug, rule: None, because }
    }

    /// Allowed by that rule, unless the bug zoo broke one: then what was lost is a BUG all the same.
    pub(crate) fn allowed(rule: &'static str, settings: &Settings, because: String) -> Self {
        if settings.zoo_on {
            let because = format!("{because} (rule {rule} does not excuse a cluster with a zoo switch on)");
            return Judgement::bug(because);
        }
        Judgement { class: Class::Allowed, rule: Some(rule), because }
    }
}

/// Why a batch is gone.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) judgement: Judgement,
    /// The reign that decided it, if one did.
    pub(crate) reign: Option<Reign>,
}

/// Judges the loss of a batch. `exposed`: consumers saw it, so that the promise does not depend on acks.
pub(crate) fn judge(
    cluster: &Cluster,
    truth: &PartitionTruth,
    produced: &Produced,
    acks: i16,
    exposed: bool,
    settings: &Settings,
) -> Loss {
    let reign = decisive_reign(truth, produced);
    let judgement = match &reign {
        None => lost_without_election(cluster, truth, produced, settings),
        Some(reign) => match acks_1(truth, &produced.batch, acks, exposed, reign, settings) {
            Some(allowed) => allowed,
            None => judge_reign(cluster, truth, &produced.batch, reign, settings),
        },
    };
    Loss { judgement, reign }
}

/// Why a partition lost what had been committed, if it ever did: the gravest of its losses, each as it was judged when it came
/// about. What a later leader has again was lost all the same to those who read meanwhile.
pub(crate) fn of_committed(truth: &PartitionTruth) -> Option<Judgement> {
    truth.ghost.losses().min_by_key(|judgement| judgement.class).cloned()
}

/// The first reign without the batch after the last one with it.
fn decisive_reign(truth: &PartitionTruth, produced: &Produced) -> Option<Reign> {
    let mut decisive = None;
    // A leader that hears late of its election begins after those who were elected after it.
    let mut reigns: Vec<&Reign> = truth.reigns.iter().collect();
    reigns.sort_by_key(|reign| (reign.leader_epoch, reign.seq));
    for reign in reigns {
        let later_epoch = reign.leader_epoch > produced.batch.epoch;
        let same_reign_again = reign.leader_epoch == produced.batch.epoch && reign.seq > produced.seq;
        if !later_epoch && !same_reign_again {
            continue;
        }
        // A deposed leader may have appended it when this reign had long begun.
        let when = reign.seq.max(produced.seq);
        let held = truth.replicas.get(&reign.leader).is_some_and(|r| r.held_at(&produced.batch, when));
        // What lies below where its log began, or where somebody had deleted by then, saves nothing.
        let mut deletions = truth.deletions.iter().filter(|d| d.to > produced.batch.last && d.seq < when);
        let is_below_its_start = produced.batch.last < reign.log_start;
        if held && !is_below_its_start && deletions.next().is_none() {
            decisive = None;
        } else if !held && decisive.is_none() {
            // Nor does it decide anything to begin behind what was deleted from a log that had it: nothing takes its place there.
            let had_it =
                |d: &Deletion| truth.replicas.get(&d.broker).is_some_and(|r| r.held_at(&produced.batch, d.seq));
            if !(is_below_its_start && deletions.any(had_it)) {
                decisive = Some(*reign);
            }
        }
    }
    decisive
}

/// Rule `acks-1`: the leader alone promised it, and it was lost before it was replicated (producer config `acks=1`). A
/// record that was committed on several in-sync replicas all the same has the promise of replication. A leader that
/// lost it from its own disk without losing power has broken even that promise.
fn acks_1(
    truth: &PartitionTruth,
    batch: &Batch,
    acks: i16,
    exposed: bool,
    reign: &Reign,
    settings: &Settings,
) -> Option<Judgement> {
    let replicated = truth.ghost.ever(batch).is_some_and(|committed| committed.in_sync > 1);
    if acks != 1 || replicated || exposed {
        return None;
    }
    let spans = truth.replicas.get(&reign.leader).map(|r| r.spans(batch)).unwrap_or_default();
    let cut = spans.iter().filter_map(|span| span.until).rfind(|cut| cut.seq <= reign.seq);
    if cut.is_some_and(|cut| cut.kind == CutKind::Recovery) {
        return None;
    }
    let winner = settings.broker_name(reign.leader);
    let because = format!("acks=1 promises no copy beyond the leader's, and {winner} became leader before it had one");
    Some(Judgement::allowed("acks-1", settings, because))
}

/// Judges a leader's beginning without the batch. Of controllers whose disks had lost what they had committed nobody knows what
/// they take for the truth.
pub(crate) fn judge_reign(
    cluster: &Cluster,
    truth: &PartitionTruth,
    batch: &Batch,
    reign: &Reign,
    settings: &Settings,
) -> Judgement {
    let judgement = judge_reign_by_the_rules(cluster, truth, batch, reign, settings);
    let has_forgotten = cluster.quorum_forgot.is_some_and(|forgot| forgot <= reign.seq);
    match judgement.class {
        Class::Bug if has_forgotten => {
            let because = format!("{}, after the disks of controllers had lost what was committed", judgement.because);
            Judgement::allowed("disk-fault", settings, because)
        }
        _ => judgement,
    }
}

fn judge_reign_by_the_rules(
    cluster: &Cluster,
    truth: &PartitionTruth,
    batch: &Batch,
    reign: &Reign,
    settings: &Settings,
) -> Judgement {
    let winner = settings.broker_name(reign.leader);
    let election = truth.election(reign.leader, reign.leader_epoch);
    if let Some(election) = election {
        let eligible_leader_replicas = truth.promised_at(election.seq).eligible_leader_replicas;
        let last_known_leader = eligible_leader_replicas && election.last_known_leader;
        if !election.clean && !last_known_leader {
            return unclean_election(truth, election, settings);
        }
        let known = !election.isr_before.is_empty() || !election.elr_before.is_empty();
        let may = |replicas: &[i32]| replicas.contains(&reign.leader);
        if known && !last_known_leader && !may(&election.isr_before) && !may(&election.elr_before) {
            let isr = brokers(settings, &election.isr_before);
            let elr = match election.elr_before.as_slice() {
                [] => String::new(),
                elr => format!(", eligible {}", brokers(settings, elr)),
            };
            return Judgement::bug(format!("{winner} was elected though it was not in sync; in sync were {isr}{elr}"));
        }
    }
    let spans = truth.replicas.get(&reign.leader).map(|r| r.spans(batch)).unwrap_or_default();
    let cut = spans.iter().filter_map(|span| span.until).rfind(|cut| cut.seq <= reign.seq);
    // What it had no more by then it needed not to have. What went with its power was seen to be gone when it came back.
    let gone_since = cut.map(|cut| match &cut.kind {
        CutKind::PowerLoss { outage } => {
            let outage = cluster.outages.get(&reign.leader).and_then(|outages| outages.get(*outage));
            outage.map_or(cut.seq, |outage| outage.seq)
        }
        CutKind::Truncated { .. } | CutKind::Recovery => cut.seq,
    });
    let lacked_it = |election: &&Election| gone_since.is_none_or(|seq| seq < election.seq);
    if let Some(election) = unclean_election_before(truth, reign).filter(lacked_it) {
        return unclean_election(truth, election, settings);
    }
    match cut {
        None if was_kept_below_the_leaders_start(truth, batch, reign) => {
            let because = format!(
                "it was deleted before {winner} had cut its log, behind it, to where its leader's began by then, or had asked \
                 from just there, and {winner} led before it had heard of that"
            );
            Judgement::allowed(BELOW_THE_LEADERS_START, settings, because)
        }
        None => match began_at_its_leaders_end(truth, batch, reign) {
            Some((leader, to)) => {
                let leader = settings.broker_name(leader);
                let because = format!(
                    "{winner}, whose log began above the end of {leader}'s, dropped it and began at {to}, where that ended, \
                     and not where it began"
                );
                Judgement::allowed("began-at-its-leaders-end", settings, because)
            }
            None => match began_above_its_leaders_end(truth, batch, reign) {
                Some((leader, at)) => {
                    let leader = settings.broker_name(leader);
                    let because = format!(
                        "{winner}, whose log was empty and began at {at}, above the end of {leader}'s, went on from there once \
                         {leader} had written beyond"
                    );
                    Judgement::allowed("began-above-its-leaders-end", settings, because)
                }
                None => Judgement::bug(format!("{winner} was eligible, lost no data, and yet never had it")),
            },
        },
        Some(cut) => match &cut.kind {
            CutKind::Truncated { why } => truncated(cluster, truth, batch, reign, cut, why, settings),
            CutKind::Recovery => disk_fault(cluster, &winner, cut, settings),
            CutKind::PowerLoss { outage } => {
                let outages = cluster.outages.get(&reign.leader);
                match outages.and_then(|outages| outages.get(*outage)) {
                    Some(outage) => power_loss(cluster, truth, batch, reign, election, outage, settings),
                    None => Judgement::bug(format!("{winner} had lost it without losing power")),
                }
            }
        },
    }
}

/// Rule `unclean-election`: allowed exactly where `unclean.leader.election.enable` was on then (KIP-106).
fn unclean_election(truth: &PartitionTruth, election: &Election, settings: &Settings) -> Judgement {
    let winner = settings.broker_name(election.leader);
    let because = format!("{winner} was elected uncleanly, from outside the in-sync replicas");
    if truth.promised_at(election.seq).unclean_leader_election_enable {
        Judgement::allowed("unclean-election", settings, because)
    } else {
        Judgement::bug(format!("{because}, though unclean.leader.election.enable=false"))
    }
}

/// An unclean election of the same broker that it never lived to: it was taken out again before it had led, and is in sync,
/// eligible or the last known leader by that election alone, nobody else having led since.
fn unclean_election_before<'a>(truth: &'a PartitionTruth, reign: &Reign) -> Option<&'a Election> {
    election_before(truth, reign, |election| !election.clean && !election.last_known_leader)
}

/// The last such election of the same broker since which nobody else has led. One that hears only later that it led before
/// does not count.
fn election_before<'a>(
    truth: &'a PartitionTruth,
    reign: &Reign,
    is_such: impl Fn(&Election) -> bool,
) -> Option<&'a Election> {
    let of_same = |e: &&Election| e.leader == reign.leader && e.seq < reign.seq && is_such(e);
    let election = truth.elections.iter().rfind(of_same)?;
    let since = |r: &Reign| r.leader_epoch > election.leader_epoch && (election.seq..reign.seq).contains(&r.seq);
    let others = truth.reigns.iter().any(|r| since(r) && r.leader != reign.leader);
    (!others).then_some(election)
}

/// See [`was_kept_below_the_leaders_start`].
pub(crate) const BELOW_THE_LEADERS_START: &str = "history-below-the-leaders-start";

/// Rule `history-below-the-leaders-start`: a leader knows nothing of epochs below where its log begins, so that a follower of
/// another history keeps its own there and cuts no lower (`LeaderEpochFileCache.endOffsetFor`). It hears of the log start with
/// an answer that brings it something, and is in sync before that (`Partition.isFollowerInSync`); a crash may take back what it
/// has heard. Where it leads then, its own is read where others had read what was committed, and deleted.
fn was_kept_below_the_leaders_start(truth: &PartitionTruth, batch: &Batch, reign: &Reign) -> bool {
    let Some(winner) = truth.replicas.get(&reign.leader).filter(|_| reign.log_start <= batch.last) else {
        return false;
    };
    let is_above = |to: i64, seq: u64| to > batch.last && seq < reign.seq;
    truth.deletions.iter().filter(|deletion| is_above(deletion.to, deletion.seq)).any(|deletion| {
        let behind = |cut: &&Cut| is_above(cut.to, cut.seq) && cut.seq > deletion.seq;
        let has_cut = winner.cuts.iter().filter(behind).any(|cut| matches!(cut.kind, CutKind::Truncated { .. }));
        has_cut || ended_where_its_leader_began(truth, winner, deletion, reign)
    })
}

/// Nor had it anything to cut where its log, of another history than its leader had deleted, ended just where that leader's began,
/// all of whose epochs are above its last.
fn ended_where_its_leader_began(truth: &PartitionTruth, winner: &Replica, deletion: &Deletion, reign: &Reign) -> bool {
    let ends_there = |entry: &&LogEntry| entry.batch.last.saturating_add(1) == deletion.to;
    let Some(last) = winner.entries_at(reign.seq).find(ends_there) else { return false };
    let before = truth.reigns.iter().filter(|r| r.seq < reign.seq && r.leader_epoch < reign.leader_epoch);
    let Some(before) = before.max_by_key(|r| r.leader_epoch) else { return false };
    if before.leader != deletion.broker || before.leader == reign.leader {
        return false;
    }
    let Some(leader) = truth.replicas.get(&before.leader) else { return false };
    let from_there = leader.entries_at(reign.seq).filter(|entry| entry.batch.last >= deletion.to);
    let first_epoch = from_there.map(|entry| entry.batch.epoch).min().unwrap_or(before.leader_epoch);
    let is_of_the_leader = |entry: &LogEntry| entry.batch.last < deletion.to || entry.batch.epoch >= first_epoch;
    let ended_there = winner.entries_at(reign.seq).all(is_of_the_leader);
    ended_there && first_epoch > last.batch.epoch && !leader.held_at(&last.batch, deletion.seq)
}

/// Rule `began-at-its-leaders-end`: a follower whose log begins above its new leader's end is out of range, cuts to that end,
/// and as nothing of its log lies below, begins there with an empty one. What its leader has below that it never fetches, and
/// is in sync without it (`AbstractFetcherThread.fetchOffsetAndTruncate`, `UnifiedLog.truncateTo`, `Partition.isFollowerInSync`:
/// Kafka as it is). A leader that ends below where another replica begins has itself lost what was committed: this one excuses
/// nothing where that was a BUG. Gives that leader, and where its log ended.
fn began_at_its_leaders_end(truth: &PartitionTruth, batch: &Batch, reign: &Reign) -> Option<(i32, i64)> {
    let winner = truth.replicas.get(&reign.leader)?;
    of_committed(truth).filter(|loss| loss.class == Class::Allowed)?;
    let mut began = winner.cuts.iter().filter(|cut| cut.seq < reign.seq && cut.is_dropped_whole && cut.to > batch.last);
    let cut = began.rfind(|cut| matches!(cut.kind, CutKind::Truncated { .. }))?;
    let of_its_leader = |r: &&Reign| r.leader != reign.leader && r.leader_epoch == cut.leader_epoch && r.seq < cut.seq;
    let leader = truth.reigns.iter().rev().find(of_its_leader)?;
    let had_it = truth.replicas.get(&leader.leader)?.held_at(batch, cut.seq);
    had_it.then_some((leader.leader, cut.to))
}

/// Rule `began-above-its-leaders-end`: a follower whose log is empty knows no epoch in which it could differ from its leader. A
/// leader that ends below where it begins, and has written beyond by the time that it asks, serves it on from there
/// (`Partition.readRecords`, `ReplicaFetcherThread.latestEpoch`: Kafka as it is). As for `began-at-its-leaders-end`, a leader that
/// ends there has lost what was committed, and that must have been allowed. Gives that leader, and where the follower began.
fn began_above_its_leaders_end(truth: &PartitionTruth, batch: &Batch, reign: &Reign) -> Option<(i32, i64)> {
    let winner = truth.replicas.get(&reign.leader)?;
    of_committed(truth).filter(|loss| loss.class == Class::Allowed)?;
    let is_begun_anew = |cut: &&Cut| matches!(cut.kind, CutKind::Truncated { .. }) && cut.to > cut.from;
    let mut cuts = winner.cuts.iter().filter(|cut| cut.seq < reign.seq && cut.to > batch.last);
    let cut = cuts.rfind(is_begun_anew)?;
    let since = cut.seq..reign.seq;
    let wrote_it = |r: &&Reign| {
        let replica = truth.replicas.get(&r.leader);
        since.contains(&r.seq)
            && r.leader != reign.leader
            && r.leader_epoch == batch.epoch
            && r.log_end <= batch.first
            && replica.is_some_and(|replica| replica.ever_held(batch))
    };
    truth.reigns.iter().rev().find(wrote_it).map(|leader| (leader.leader, cut.to))
}

/// The winner had cut it away itself. Right only if a leader that was allowed to lack it made it do so.
fn truncated(
    cluster: &Cluster,
    truth: &PartitionTruth,
    batch: &Batch,
    reign: &Reign,
    cut: &Cut,
    why: &str,
    settings: &Settings,
) -> Judgement {
    let obeyed = truth.reigns.iter().rev().find(|r| {
        r.seq < cut.seq
            && r.leader != reign.leader
            && (cut.leader_epoch < 0 || r.leader_epoch == cut.leader_epoch)
            && !truth.replicas.get(&r.leader).is_some_and(|replica| replica.held_at(batch, cut.seq))
    });
    match obeyed {
        Some(obeyed) => judge_reign(cluster, truth, batch, obeyed, settings),
        None => {
            let winner = settings.broker_name(reign.leader);
            Judgement::bug(format!("{winner} was in sync and had truncated to {} {why}", cut.to))
        }
    }
}

/// Rule `disk-fault`: the disk lost what it had been told to keep.
fn disk_fault(cluster: &Cluster, winner: &str, cut: &Cut, settings: &Settings) -> Judgement {
    let because = format!("{winner} came back with log end {} instead of {} without a loss of power", cut.to, cut.from);
    if cluster.disk_faults > 0 {
        Judgement::allowed("disk-fault", settings, format!("{because}, by a fault of its disk"))
    } else {
        Judgement::bug(because)
    }
}

/// The winner lost the batch with its power. Whether that may cost a promise depends on how many others failed.
fn power_loss(
    cluster: &Cluster,
    truth: &PartitionTruth,
    batch: &Batch,
    reign: &Reign,
    election: Option<&Election>,
    outage: &Outage,
    settings: &Settings,
) -> Judgement {
    let winner = settings.broker_name(reign.leader);
    let lost = format!("{winner} had lost it with its power at {}", seconds(outage.at.time));
    if let Some(because) = readmitted(truth, reign, outage) {
        return Judgement::bug(format!("{lost}, and {because}"));
    }
    let topic = truth.promised_at(election.map_or(reign.seq, |election| election.seq));
    let min = weakest_min_insync_replicas(truth, batch, reign);
    if min == 1 {
        let because = format!("{lost}; with min.insync.replicas=1 one loss of power is enough");
        return Judgement::allowed("min-isr-1", settings, because);
    }
    if topic.eligible_leader_replicas {
        // Elected as the last known leader, after its loss of power was told of, it need not have lived to lead then.
        let is_told_of = |e: &Election| outage.registered.is_some_and(|registered| registered < e.seq);
        if let Some(last_known) = election_before(truth, reign, |e| e.last_known_leader && is_told_of(e)) {
            return with_eligible_leader_replicas(cluster, truth, batch, reign, Some(last_known), lost, settings);
        }
        if election.is_some_and(|election| election.clean && is_told_of(election)) {
            let because = "was trusted with the leadership all the same after its next registration told of it";
            return Judgement::bug(format!("{lost}, and {because}"));
        }
        return with_eligible_leader_replicas(cluster, truth, batch, reign, election, lost, settings);
    }
    let alone_when_lost = truth.isr_at(outage.seq) == [reign.leader];
    if alone_when_lost {
        let because = format!("{lost} when it was the last in-sync replica, which is never removed (before KIP-966)");
        return Judgement::allowed("last-replica-standing", settings, because);
    }
    // Who was outside the in-sync replicas then could not have led, whatever it holds.
    let in_sync = truth.isr_at(outage.seq);
    let mut kept = whole_copies(cluster, truth, batch, reign);
    kept.retain(|broker| in_sync.contains(broker));
    if kept.is_empty() {
        let because = format!("{lost}, and every other in-sync replica that held it had lost power too");
        return Judgement::allowed("all-replicas-unclean", settings, because);
    }
    if election.is_some_and(|e| e.isr == [reign.leader]) {
        let because = format!(
            "{lost}, and had become the last in-sync replica, which is never removed (before KIP-966), while {} kept it",
            brokers(settings, &kept)
        );
        return Judgement::allowed("last-replica-standing", settings, because);
    }
    Judgement::bug(format!("{lost}, and yet was elected while {} had it and could have led", brokers(settings, &kept)))
}

/// The smallest `min.insync.replicas` that a batch lived under, or was acknowledged by, before the reign that lacks it.
fn weakest_min_insync_replicas(truth: &PartitionTruth, batch: &Batch, reign: &Reign) -> i32 {
    let produced = truth.produced.iter().find(|produced| produced.batch == *batch);
    let acknowledged = produced.and_then(|produced| ack_of(truth, produced)).map(|ack| ack.min_insync_replicas);
    let weakest = truth.weakest_min_insync_replicas(produced.map_or(0, |produced| produced.seq), reign.seq);
    acknowledged.map_or(weakest, |acknowledged| weakest.min(acknowledged))
}

/// With KIP-966 the promise holds for up to min.insync.replicas - 1 unclean shutdowns; kill -9 counts as one.
fn with_eligible_leader_replicas(
    cluster: &Cluster,
    truth: &PartitionTruth,
    batch: &Batch,
    reign: &Reign,
    election: Option<&Election>,
    lost: String,
    settings: &Settings,
) -> Judgement {
    let since = truth.produced.iter().find(|p| p.batch == *batch).map_or(0, |p| p.seq);
    let min = weakest_min_insync_replicas(truth, batch, reign);
    let unheard = removed_unheard(cluster, truth, batch, since, min);
    let went_down =
        |b: &i32| cluster.outages.get(b).is_some_and(|o| o.iter().any(|o| o.seq > since && o.seq < reign.seq));
    let unclean: Vec<i32> = truth.replicas.keys().copied().filter(|b| went_down(b) || unheard.contains(b)).collect();
    if (unclean.len() as i64) < i64::from(min) {
        let because = format!(
            "{lost}; only {} went down uncleanly, fewer than min.insync.replicas={min}",
            brokers(settings, &unclean)
        );
        return Judgement::bug(because);
    }
    let because = format!("{lost}; {} went down uncleanly, min.insync.replicas={min}", brokers(settings, &unclean));
    let because = match unheard.as_slice() {
        [] => because,
        unheard => format!(
            "{because}; its leader had not heard yet that {} was out of sync by that",
            brokers(settings, unheard)
        ),
    };
    let rule = if election.is_some_and(|e| e.last_known_leader) { "last-known-leader" } else { "all-replicas-unclean" };
    Judgement::allowed(rule, settings, because)
}

/// Whom the controller had taken out of the in-sync replicas when it came back from an unclean stop, before the batch was
/// committed by a leader that had not heard of it and counted it. A leader commits nothing with fewer than
/// min.insync.replicas, but what it goes by is what it knows, and what it does not count on is who may be elected
/// (`ReplicationControlManager.handleUncleanBrokerShutdown`, `Partition.maybeIncrementLeaderHW`: Kafka as it is).
fn removed_unheard(cluster: &Cluster, truth: &PartitionTruth, batch: &Batch, since: u64, min: i32) -> Vec<i32> {
    let Some(committed) = truth.ghost.ever(batch).map(|committed| committed.seq) else { return Vec::new() };
    let in_sync = truth.isr_at(committed);
    if in_sync.len() as i64 >= i64::from(min) {
        return Vec::new();
    }
    let is_told_of = |o: &Outage| o.seq < since && o.registered.is_some_and(|registered| registered < committed);
    let is_removed = |b: &i32| !in_sync.contains(b) && cluster.outages.get(b).is_some_and(|o| o.iter().any(is_told_of));
    let had_it = truth.replicas.iter().filter(|(_, replica)| replica.held_at(batch, committed));
    had_it.map(|(broker, _)| *broker).filter(is_removed).collect()
}

/// Did the winner join the in-sync replicas again after its loss, and still without the batch? The leader may add it on
/// what it knew before the loss only until the controller has the new incarnation (KIP-903).
fn readmitted(truth: &PartitionTruth, reign: &Reign, outage: &Outage) -> Option<String> {
    let left =
        truth.left.iter().find(|(seq, broker)| *broker == reign.leader && *seq > outage.seq).map(|(seq, _)| *seq);
    let since = outage.registered.or(left)?;
    let joined = |(seq, broker): &&(u64, i32)| *broker == reign.leader && *seq > since && *seq < reign.seq;
    let (joined, _) = truth.joined.iter().find(joined)?;
    // An election that put it in is judged as an election.
    let elected = truth.elections.iter().any(|e| e.seq == *joined);
    (!elected).then(|| "joined the in-sync replicas again without it".to_owned())
}

/// Replicas that held the batch when the reign began and never lost power since they wrote it.
fn whole_copies(cluster: &Cluster, truth: &PartitionTruth, batch: &Batch, reign: &Reign) -> Vec<i32> {
    let whole = |(broker, replica): (&i32, &Replica)| {
        let spans = replica.spans(batch);
        let span = spans.iter().find(|s| s.entry.seq <= reign.seq && s.until.is_none_or(|cut| cut.seq > reign.seq))?;
        let outages = cluster.outages.get(broker).map(Vec::as_slice).unwrap_or_default();
        let power_lost = |o: &Outage| o.power.is_some() && o.seq > span.entry.seq && o.seq < reign.seq;
        (!outages.iter().any(power_lost)).then_some(*broker)
    };
    truth.replicas.iter().filter_map(whole).collect()
}

/// No leader began without it: it vanished under a leader that had it.
fn lost_without_election(
    cluster: &Cluster,
    truth: &PartitionTruth,
    produced: &Produced,
    settings: &Settings,
) -> Judgement {
    let Some(broker) = truth.reigns.last().map(|r| r.leader) else {
        return Judgement::bug("nobody ever led the partition".to_owned());
    };
    let name = settings.broker_name(broker);
    let spans = truth.replicas.get(&broker).map(|r| r.spans(&produced.batch)).unwrap_or_default();
    match spans.last().and_then(|span| span.until) {
        Some(cut) if cut.kind == CutKind::Recovery => disk_fault(cluster, &name, cut, settings),
        Some(cut) => Judgement::bug(format!("{name} led with it and cut its log to {}", cut.to)),
        None => Judgement::bug(format!("{name} leads and every leader before it had it")),
    }
}

/// The election behind a reign, as a step; nothing if it was not observed.
pub(crate) fn election_steps(truth: &PartitionTruth, reign: &Reign, settings: &Settings) -> Vec<Step> {
    let Some(election) = truth.election(reign.leader, reign.leader_epoch) else { return Vec::new() };
    let (winner, isr) = (settings.broker_name(election.leader), brokers(settings, &election.isr_before));
    let how = if election.last_known_leader {
        "as the last known leader, no in-sync and no eligible leader replica being left".to_owned()
    } else if !election.clean {
        format!("uncleanly: it was not in sync; in sync were {isr}")
    } else if election.isr_before.is_empty() && election.elr_before.is_empty() && election.previous < 0 {
        "when it was created".to_owned()
    } else if election.isr_before.contains(&election.leader) {
        format!("from the in-sync replicas {isr}")
    } else if election.elr_before.contains(&election.leader) {
        format!("from the eligible leader replicas {}", brokers(settings, &election.elr_before))
    } else {
        format!("though the in-sync replicas were {isr}")
    };
    let after = match election.previous {
        previous if previous >= 0 && previous != election.leader => {
            format!(" after {}", settings.broker_name(previous))
        }
        _ => String::new(),
    };
    let sentence = format!(
        "the controller elected {winner} to lead {} in epoch {}{after} at {} {how}",
        truth.name,
        election.leader_epoch,
        seconds(election.at.time)
    );
    vec![step(election.at, "controller", sentence)]
}

/// The acknowledgement of a batch: the first after it was appended that covers it.
pub(crate) fn ack_of<'a>(truth: &'a PartitionTruth, produced: &Produced) -> Option<&'a Ack> {
    let from = truth.acks.partition_point(|ack| ack.seq < produced.seq);
    let covers = |ack: &&Ack| ack.first <= produced.batch.first && produced.batch.last <= ack.last;
    let mut covering = truth.acks[from..].iter().filter(covers);
    let first = covering.next()?;
    if first.leader_epoch == produced.batch.epoch {
        return Some(first);
    }
    covering.find(|ack| ack.leader_epoch == produced.batch.epoch).or(Some(first))
}
