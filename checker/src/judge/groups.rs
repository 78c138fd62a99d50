//! What groups did: which of it is a BUG, and which is what groups do.
//!
//! A group that lost what it had committed because `__consumer_offsets` lost it, in a way that the configuration allows, or because
//! its offsets were removed as they may be, begins anew with the same right: it is ALLOWED by that rule. Redelivery between
//! what is committed and where a member was is what at-least-once means, and so is that of zombies.
//!
//! A member of the consumer protocol that is fenced, or leaves because nobody polls, while `commitSync` waits goes on trying, and
//! names no epoch from then on (`CommitRequestManager.MemberInfo`). A group that has no members by then takes that from anybody
//! (`ConsumerGroup.validateOffsetCommit`), whatever others have committed meanwhile: `commit-of-a-former-member`. That a
//! coordinator takes it from a group that has members is a BUG on the coordinator's side ([`crate::groups`]).

use std::sync::Arc;

use crate::cluster::loss;
use crate::cluster::partition::{Deletion, Election, PartitionTruth};
use crate::findings::{Findings, Headline};
use crate::history::groups::commits::Commit;
use crate::history::groups::{Because, End, GroupViolation, Place};
use crate::observation::EventRef;
use crate::settings::Commits;
use crate::verdict::{Class, Step};
use crate::words::{seconds, step};

use super::Judge;

/// A member that does not poll leaves, and comes again when it does, whatever it is still to be answered. The answer to a
/// heartbeat of before tells it of partitions that were its own then, and it takes them for those of the member that it is to
/// become, until it is told what that has (KIP-848: `AbstractHeartbeatRequestManager.poll` forgets what is in flight,
/// `ConsumerMembershipManager.onHeartbeatSuccess` asks of no answer what it answers).
const OLD_ANSWER: &str = "answer-from-before-it-left";

/// A member that reconciles what it was assigned first commits, for as long as it may, and goes on with that assignment even if it is
/// told of another meanwhile. Who tells its coordinator in between that it does not have a partition yet gives it up by that, and
/// another member is given it at once (KIP-848: `AbstractMembershipManager.maybeReconcile`, `maybeAbortReconciliation`,
/// `CurrentAssignmentBuilder.computeNextAssignment`).
const TAKEN_BACK: &str = "assignment-taken-back-while-it-is-reconciled";

/// Judges what was found in a group.
pub(super) fn judge(judge: &Judge<'_>, violation: GroupViolation, found: &mut Findings) {
    use GroupViolation::*;
    let name = |consumer: u32| judge.settings.consumer_name(consumer);
    match violation {
        Skip { place, consumer, committed, start, nothing, at } => {
            let mut headline = Headline::bug("group-skip", &place.partition, Some(start), at);
            excuse(judge, &place, committed.as_ref(), &mut headline);
            found.add(headline, || {
                let had = match &committed {
                    Some(commit) => format!("has committed {}", commit.offset),
                    None => "has committed nothing".to_owned(),
                };
                let summary = format!(
                    "{} began to read {} for group {} at offset {start}, and the group {had}",
                    name(consumer),
                    place.partition,
                    place.group
                );
                (summary, start_chain(judge, &place, consumer, committed.as_ref(), start, nothing, at))
            });
        }
        Rewind { place, consumer, committed, start, nothing, at } => {
            let mut headline = Headline::bug("group-rewind", &place.partition, Some(start), at);
            excuse(judge, &place, Some(&committed), &mut headline);
            found.add(headline, || {
                let summary = format!(
                    "{} began to read {} for group {} at offset {start}, though the group had committed {}",
                    name(consumer),
                    place.partition,
                    place.group,
                    committed.offset
                );
                (summary, start_chain(judge, &place, consumer, Some(&committed), start, nothing, at))
            });
        }
        Redelivery { place, consumer, start, handed, at } => {
            let mut headline = Headline::bug("redelivery", &place.partition, Some(start), at);
            (headline.class, headline.rule) = (Class::Info, Some("at-least-once"));
            found.add(headline, || {
                let (who, Place { group, partition }) = (name(consumer), &place);
                let summary = format!(
                    "{who} reads {partition} for group {group} from offset {start} on, of which members had been handed \
                     everything below {handed}"
                );
                let sentence = format!("{who} began at offset {start} of {partition} at {}", seconds(at.time));
                (summary, vec![step(at, who, sentence)])
            });
        }
        // A commit that was asked for before any rebalance began is none before a revocation.
        HandedOutWhileRevoking { place, assigned, asked, .. }
            if judge.groups.began_a_rebalance(&place.group, assigned, asked) == Some(false) => {}
        // Nor is it where the partition had another leader before it was given up: who has heard of that has no position to commit.
        HandedOutWhileRevoking { place, asked, followed, at, .. }
            if was_led_by_another(judge, &place, asked, followed, at) => {}
        HandedOutWhileRevoking { place, consumer, committed, acknowledged, handed, at, .. } => {
            let mut headline = Headline::bug("group-rewind", &place.partition, Some(committed), at);
            headline.rule = Some("handed-out-while-revoking");
            found.add(headline, || {
                let (who, Place { group, partition }) = (name(consumer), &place);
                let summary = format!(
                    "{who} gave {partition} up in group {group} after it had committed {committed}, and had handed out \
                     everything below {handed} by then: the next owner is given that again"
                );
                let told = format!("{who} was told that {committed} is committed at {}", seconds(acknowledged.time));
                let gave = format!("{who} gave {partition} up at {}", seconds(at.time));
                (summary, vec![step(acknowledged, who.clone(), told), step(at, who, gave)])
            });
        }
        NeverProcessed { place, record, offset, committed, because } => {
            never_processed(judge, &place, record, offset, &committed, because, found);
        }
        OutOfAssignmentRead { place, consumer, offset, ended, at } => {
            found.add(Headline::bug("out-of-assignment-read", &place.partition, Some(offset), at), || {
                let (who, Place { group, partition }) = (name(consumer), &place);
                let summary = match ended {
                    Some(_) => format!(
                        "{who} was handed offset {offset} of {partition}, which was its own no more in group {group}"
                    ),
                    None => {
                        format!("{who} was handed offset {offset} of {partition}, which group {group} never gave it")
                    }
                };
                let mut chain = Vec::new();
                if let Some((end, how)) = ended {
                    let how = match how {
                        End::Revoked => "gave up",
                        End::Lost => "learnt that it had lost",
                        End::Stopped => "ended, and with it its ownership of",
                    };
                    chain.push(step(end, who.clone(), format!("{who} {how} {partition} at {}", seconds(end.time))));
                }
                let sentence = format!("{who} was handed offset {offset} at {}", seconds(at.time));
                chain.push(step(at, who, sentence));
                (summary, chain)
            });
        }
        DualOwnership { place, first, second, zombie, comes_again, later, at } => {
            let mut headline = Headline::bug("dual-ownership", &place.partition, None, at);
            match zombie {
                true => (headline.class, headline.rule) = (Class::Info, Some("zombie")),
                false => excuse(judge, &place, None, &mut headline),
            }
            let low = first.1.min(second.1);
            let is_old = |id: &Arc<str>| judge.groups.gave_before_it_left(&place.group, id, low, at);
            let was_taken_back =
                |id: &Arc<str>| judge.groups.took_back(&place.group, id, &place.partition, second.1, at);
            // As with losses, no rule excuses a cluster with a zoo switch on.
            if headline.class == Class::Bug && !judge.settings.zoo_on {
                let rule = match () {
                    () if comes_again.as_ref().is_some_and(is_old) => Some(OLD_ANSWER),
                    () if later.as_ref().is_some_and(was_taken_back) => Some(TAKEN_BACK),
                    () => None,
                };
                if rule.is_some() {
                    (headline.class, headline.rule) = (Class::Allowed, rule);
                }
            }
            found.add(headline, || {
                let Place { group, partition } = &place;
                let mut summary = format!(
                    "{} and {} own {partition} in group {group} at once, since generations {} and {}",
                    name(first.0),
                    name(second.0),
                    first.1,
                    second.1
                );
                if zombie {
                    summary.push_str(": one of them was removed and has not heard of it yet");
                }
                let chain = [first, second].map(|owner| owner_step(judge, &place, owner));
                (summary, chain.to_vec())
            });
        }
        ZombieCommit { place, commit, owner } => {
            let mut headline = Headline::bug("zombie-commit", &place.partition, Some(commit.offset), commit.answered);
            excuse(judge, &place, None, &mut headline);
            found.add(headline, || {
                let summary = format!(
                    "{} committed offset {} of {} for group {} in generation {}, though the partition was {}'s in \
                     generation {} by then",
                    name(commit.consumer),
                    commit.offset,
                    place.partition,
                    place.group,
                    commit.generation,
                    name(owner.0),
                    owner.1
                );
                let mut chain = vec![owner_step(judge, &place, owner)];
                chain.extend(commit_steps(judge, &place, &commit));
                (summary, chain)
            });
        }
        CommitBeyondPosition { place, consumer, position, offset, at } => {
            found.add(Headline::bug("commit-beyond-position", &place.partition, Some(offset), at), || {
                let (who, Place { group, partition }) = (name(consumer), &place);
                let summary = format!(
                    "{who} asked to commit offset {offset} of {partition} for group {group}, and had come to {position} only"
                );
                let sentence = format!("{who} asked for that at {}", seconds(at.time));
                (summary, vec![step(at, who, sentence)])
            });
        }
        CommitRegression { place, commit, before, moved } => {
            let mut headline =
                Headline::bug("commit-regression", &place.partition, Some(commit.offset), commit.answered);
            match moved {
                true => (headline.class, headline.rule) = (Class::Info, Some("position-was-set-back")),
                false if commit.generation < 0 && commit.left => {
                    (headline.class, headline.rule) = (Class::Allowed, Some("commit-of-a-former-member"));
                }
                false => excuse(judge, &place, Some(&before), &mut headline),
            }
            found.add(headline, || {
                let summary = format!(
                    "{} took group {} back in {} from the committed offset {} to {}",
                    name(commit.consumer),
                    place.group,
                    place.partition,
                    before.offset,
                    commit.offset
                );
                let chain = [&before, &commit].into_iter().flat_map(|commit| commit_steps(judge, &place, commit));
                (summary, chain.collect())
            });
        }
    }
}

/// The group forgot in a way that is allowed: it lost what it had committed, or that was removed, or it was that very commit
/// which a deposed leader had acknowledged and nobody after it has.
fn excuse(judge: &Judge<'_>, place: &Place, commit: Option<&Commit>, headline: &mut Headline) {
    let Place { group, partition } = place;
    let (groups, cluster) = (judge.groups, judge.cluster);
    let was_removed = |commit: &Commit| groups.was_removed(group, partition, commit.answered);
    let lost_aside =
        |commit: &Commit| groups.was_lost_aside(group, partition, commit.offset, (commit.sent, commit.answered));
    if let Some(loss) = groups.forgot(group, cluster) {
        (headline.class, headline.rule) = (loss.class, loss.rule);
    } else if commit.is_some_and(was_removed) {
        (headline.class, headline.rule) = (Class::Allowed, Some("offsets-removed"));
    } else if let Some(loss) = commit.and_then(lost_aside) {
        (headline.class, headline.rule) = (loss.class, loss.rule);
    }
}

/// Was another leader elected for the partition than the one that was followed, or in between if nobody knows which that was?
fn was_led_by_another(judge: &Judge<'_>, place: &Place, from: EventRef, followed: Option<i32>, to: EventRef) -> bool {
    let truth = judge.cluster.partition(&place.partition);
    let is_later = |election: &Election| match followed {
        Some(followed) => election.leader_epoch > followed,
        None => from.time <= election.at.time,
    };
    truth.is_some_and(|truth| truth.elections.iter().any(|e| e.at.time <= to.time && is_later(e)))
}

/// group-skip: what at-most-once gives away, what auto.offset.reset passes over, and what must not be missing.
fn never_processed(
    judge: &Judge<'_>,
    place: &Place,
    record: u64,
    offset: i64,
    committed: &Commit,
    because: Because,
    found: &mut Findings,
) {
    let headline = Headline::bug("group-skip", &place.partition, Some(offset), committed.answered);
    let mut headline = Headline { record: Some(record), ..headline };
    let mut allow = |class, rule| (headline.class, headline.rule) = (class, Some(rule));
    let settings = judge.settings;
    match because {
        Because::CommittedUnprocessed { consumer, .. } => {
            let commits = settings.members.get(&consumer).map(|member| member.commits);
            if commits != Some(Commits::After) {
                allow(Class::Allowed, "commit-before-processing");
            }
        }
        Because::Reset { .. } => allow(Class::Allowed, "auto-offset-reset"),
        Because::LogBeganLater { .. } | Because::Unknown => {
            let truth = judge.cluster.partition(&place.partition);
            // What took the place of lost records may lie below what was committed of them.
            let loss = || truth.and_then(loss::of_committed).and_then(|loss| Some((loss.class, loss.rule?)));
            if let Some((class, rule)) = deleted_when_passed(truth, offset, because).or_else(loss) {
                allow(class, rule);
            }
        }
    }
    found.add(headline, || {
        let Place { group, partition } = place;
        let why = match because {
            Because::CommittedUnprocessed { consumer, .. } => {
                format!(": {} committed it before it had processed it", settings.consumer_name(consumer))
            }
            Because::Reset { consumer, .. } => {
                format!(": {} was taken over it by auto.offset.reset", settings.consumer_name(consumer))
            }
            Because::LogBeganLater { consumer, .. } => {
                format!(": {} was taken over it because the log began later", settings.consumer_name(consumer))
            }
            Because::Unknown => String::new(),
        };
        let summary = format!(
            "record r{record} at offset {offset} of {partition} was processed by no member of group {group}, which has \
             committed {}{why}",
            committed.offset
        );
        let mut chain = judge.told_to_send(record);
        match because {
            Because::CommittedUnprocessed { consumer, at } => {
                let who = settings.consumer_name(consumer);
                let sentence =
                    format!("{who} had it in hand and asked to commit what lies behind it at {}", seconds(at.time));
                chain.push(step(at, who, sentence));
            }
            Because::Reset { consumer, at } => {
                let who = settings.consumer_name(consumer);
                let sentence = format!("auto.offset.reset took {who} over it at {}", seconds(at.time));
                chain.push(step(at, who, sentence));
            }
            Because::LogBeganLater { consumer, at } => {
                let who = settings.consumer_name(consumer);
                let sentence = format!("{who} was taken over it at {}, where the log began by then", seconds(at.time));
                chain.push(step(at, who, sentence));
            }
            Because::Unknown => {}
        }
        chain.extend(commit_steps(judge, place, committed));
        (summary, chain)
    });
}

/// The rule by which an offset was deleted when a consumer went over it. That it is there again is due to a crash, which takes
/// a log's start back to what stands in the checkpoint (`LogManager.checkpointLogStartOffsets`, once a minute).
fn deleted_when_passed(truth: Option<&PartitionTruth>, offset: i64, because: Because) -> Option<(Class, &'static str)> {
    let Because::LogBeganLater { at, .. } = because else { return None };
    let by_then = |deletion: &&Deletion| deletion.to > offset && deletion.at.id < at.id;
    truth?.deletions.iter().find(by_then).map(|deletion| (Class::Allowed, deletion.rule))
}

fn start_chain(
    judge: &Judge<'_>,
    place: &Place,
    consumer: u32,
    committed: Option<&Commit>,
    start: i64,
    nothing: bool,
    at: EventRef,
) -> Vec<Step> {
    let mut chain: Vec<Step> = committed.into_iter().flat_map(|commit| commit_steps(judge, place, commit)).collect();
    let who = judge.settings.consumer_name(consumer);
    let because = if nothing { ", having been told that nothing is committed" } else { "" };
    let sentence = format!("{who} began at offset {start} of {} at {}{because}", place.partition, seconds(at.time));
    chain.push(step(at, who, sentence));
    chain
}

fn commit_steps(judge: &Judge<'_>, place: &Place, commit: &Commit) -> [Step; 2] {
    let who = judge.settings.consumer_name(commit.consumer);
    let Commit { offset, generation, sent, answered, .. } = commit;
    let asked = format!(
        "{who} asked to commit offset {offset} of {} for group {} in generation {generation} at {}",
        place.partition,
        place.group,
        seconds(sent.time)
    );
    let told = format!("{who} was told that offset {offset} is committed at {}", seconds(answered.time));
    [step(*sent, who.clone(), asked), step(*answered, who, told)]
}

fn owner_step(judge: &Judge<'_>, place: &Place, (consumer, generation, since): (u32, i32, EventRef)) -> Step {
    let who = judge.settings.consumer_name(consumer);
    let sentence = format!(
        "{who} was assigned {} in generation {generation} of group {} at {}",
        place.partition,
        place.group,
        seconds(since.time)
    );
    step(since, who, sentence)
}
