//! stuck: what nothing hinders any more happens within a bound of virtual time after all faults have healed.
//!
//! The bound is [`crate::QuorumSettings::recovery`]. The host derives it from the configuration, and tells of nothing
//! that is excused: it waits only for what the machines that run could do. Excused are a partition whose in-sync and
//! eligible replicas are all on machines that are down or whose disks were replaced (and unclean election is off), a
//! quorum of whose voters no majority runs on the disks it was formed with, a replica whose log Kafka cuts to a start within
//! a batch, and which cannot go on from there in this leader epoch (KAFKA-6975), a high watermark that waited for a replica
//! outside the ISR until that was fenced or late, while its leader has no occasion to look again, and whatever waits on these.
//! Nobody is stuck for a BUG's sake where controllers' disks have lost what they had committed: a broker whose registration is gone
//! heartbeats for ever (`BrokerLifecycleManager`). A replica that comes nearer is not stuck. A high watermark
//! that stands though nobody holds it back is told of while faults last, too. Whether producers
//! and consumers get on is asked only once the whole cluster has healed, by one record more of each producer; those with
//! acks=0 are not asked, nor consumers with auto.offset.reset=none, and one of which a leader took a batch out of the
//! middle ([`crate::cluster::forgotten_producers`]) has its `delivery.timeout.ms` more.
//!
//! Groups take longer: a member that died must miss its session time-out, and a rebalance waits for those that still process.
//! Their bound is [`crate::Settings::group_recovery`]. Excused are members that are down, those that have closed, groups without
//! any member that runs, and a group with auto.offset.reset=none. A member that is refused in each tenth of a second has two
//! seconds, at any time. A leader that runs asks for a late member to leave when it looks next, at any time too
//! ([`crate::Settings::late_member`]).

use std::collections::BTreeSet;

use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::{EventRef, Partition, Time, Waiting};
use crate::settings::Settings;
use crate::verdict::Class;
use crate::words::{seconds, step};

/// So long may a member be refused without a break, whatever is broken: no coordinator that answers refuses one that begins
/// anew (KAFKA-19233).
const REFUSED_AT_MOST: Time = 2_000_000_000;

/// In a bounded time after all faults have healed.
const fn in_time(rule: &'static str, what: &'static str, source: &'static str) -> Invariant {
    Invariant { code: "stuck", rule: Some(rule), what, source }
}

const ACTIVE_CONTROLLER: Invariant =
    in_time("no-active-controller", "a quorum of which a majority runs has a leader that decides", "KRaft");
const UNFENCED: Invariant = in_time("broker-never-unfenced", "a broker that runs is unfenced", "KIP-631");
const LEADER: Invariant = in_time(
    "no-leader",
    "a partition of which a replica that may lead runs has a leader",
    "`PartitionChangeBuilder.electLeader`",
);
const IN_SYNC: Invariant =
    in_time("never-in-sync", "a replica whose broker runs comes to be in sync", "`Partition.maybeExpandIsr`");
const PREFERRED_LEADER: Invariant = in_time(
    "never-led-by-its-preferred-replica",
    "where leaders are balanced, a partition comes to be led by its preferred replica, if that is in sync",
    "`ReplicationControlManager.maybeBalancePartitionLeaders`",
);
const COMMITTED: Invariant = in_time(
    "high-watermark-stands-still",
    "the high watermark comes to the log end where in-sync replicas run",
    "`Partition.maybeIncrementLeaderHW`",
);
const LEAVES: Invariant = in_time(
    "late-member-stays",
    "a leader asks for a member that is late to leave the in-sync replicas",
    "`Partition.maybeShrinkIsr`",
);
const ACKNOWLEDGEMENT: Invariant =
    in_time("producer-does-not-get-on", "a record that is sent is acknowledged", "`Sender`");
const READING: Invariant =
    in_time("consumer-does-not-get-on", "a consumer comes to what was acknowledged", "`Fetcher`");
const STABLE: Invariant =
    in_time("group-not-stable", "a group whose members run comes to rest", "`ClassicGroup`, KIP-848");
const MEMBERSHIP: Invariant =
    in_time("not-in-its-group", "a consumer that runs is in its group", "`AbstractCoordinator`");
const LET_IN: Invariant = in_time(
    "refused-by-its-group",
    "who begins anew is let into its group",
    "KAFKA-19233, `GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`",
);
const GROUP_READING: Invariant =
    in_time("group-does-not-get-on", "a group comes to what was acknowledged", "`AbstractCoordinator`");

/// What must happen in time.
pub(crate) const INVARIANTS: [Invariant; 13] = [
    ACTIVE_CONTROLLER,
    UNFENCED,
    LEADER,
    IN_SYNC,
    PREFERRED_LEADER,
    COMMITTED,
    LEAVES,
    ACKNOWLEDGEMENT,
    READING,
    STABLE,
    MEMBERSHIP,
    LET_IN,
    GROUP_READING,
];

/// What was told to be stuck, once each.
#[derive(Clone, Debug, Default)]
pub(crate) struct StillWaiting(BTreeSet<Waiting>);

impl StillWaiting {
    /// It has not happened since then, and may take so much longer than others.
    #[allow(clippy::too_many_arguments)] // a look is all of these
    pub(crate) fn check(
        &mut self,
        at: EventRef,
        what: &Waiting,
        since: Time,
        excuse: Time,
        quorum_has_forgotten: bool,
        settings: &Settings,
        found: &mut Findings,
    ) {
        let lasted = at.time.saturating_sub(since);
        let bound = match what {
            Waiting::GroupStable { .. } | Waiting::Membership { .. } | Waiting::GroupReading { .. } => {
                settings.group_recovery.max(settings.quorum.recovery)
            }
            Waiting::LetIn { .. } => REFUSED_AT_MOST,
            Waiting::Leaves { .. } => settings.late_member,
            Waiting::PreferredLeader { .. } => {
                settings.quorum.recovery.saturating_add(settings.imbalance_check_interval)
            }
            _ => settings.quorum.recovery,
        };
        let bound = bound.saturating_add(excuse);
        if lasted <= bound || !self.0.insert(what.clone()) {
            return;
        }
        let (broken, partition) = kind(what);
        let partition = partition.cloned();
        let bug = Headline {
            class: Class::Bug,
            code: broken.code,
            rule: broken.rule,
            partition,
            offset: None,
            record: None,
            at,
        };
        found.add(bug.of_a_quorum_that(quorum_has_forgotten), || {
            let what = sentence(what, settings);
            let summary = format!("{what}, {} after nothing hinders it any more", seconds(lasted));
            let sentence = format!("from {} to {}, {what}", seconds(since), seconds(at.time));
            (summary, vec![step(at, "trial", sentence)])
        });
    }
}

fn kind(what: &Waiting) -> (Invariant, Option<&Partition>) {
    match what {
        Waiting::ActiveController => (ACTIVE_CONTROLLER, None),
        Waiting::BrokerUnfenced { .. } => (UNFENCED, None),
        Waiting::PartitionLeader { partition } => (LEADER, Some(partition)),
        Waiting::InSync { partition, .. } => (IN_SYNC, Some(partition)),
        Waiting::PreferredLeader { partition } => (PREFERRED_LEADER, Some(partition)),
        Waiting::Committed { partition } => (COMMITTED, Some(partition)),
        Waiting::Leaves { partition, .. } => (LEAVES, Some(partition)),
        Waiting::Acknowledgement { .. } => (ACKNOWLEDGEMENT, None),
        Waiting::Reading { partition, .. } => (READING, Some(partition)),
        Waiting::GroupStable { .. } => (STABLE, None),
        Waiting::Membership { .. } => (MEMBERSHIP, None),
        Waiting::LetIn { .. } => (LET_IN, None),
        Waiting::GroupReading { partition, .. } => (GROUP_READING, Some(partition)),
    }
}

fn sentence(what: &Waiting, settings: &Settings) -> String {
    match what {
        Waiting::ActiveController => "no controller decides, though a majority of the voters runs".to_owned(),
        Waiting::BrokerUnfenced { broker } => {
            format!("{} runs and is not unfenced", settings.broker_name(*broker))
        }
        Waiting::PartitionLeader { partition } => {
            format!("{partition} has no leader, though a replica that may lead it runs")
        }
        Waiting::InSync { partition, broker } => {
            format!("{} runs and is not in sync in {partition}", settings.broker_name(*broker))
        }
        Waiting::PreferredLeader { partition } => {
            format!("{partition} is not led by its preferred replica, though that is in sync and runs")
        }
        Waiting::Committed { partition } => {
            format!("the high watermark of {partition} stands still below the log end, though its in-sync replicas run")
        }
        Waiting::Leaves { partition, broker } => format!(
            "the leader of {partition} does not ask for {} to leave the in-sync replicas, which is late",
            settings.broker_name(*broker)
        ),
        Waiting::Acknowledgement { producer } => {
            format!(
                "producer {} got no acknowledgement of a record it sent after everything it needs had healed",
                producer + 1
            )
        }
        Waiting::Reading { consumer, partition } => {
            format!("consumer {} does not come to an acknowledged record of {partition}", consumer + 1)
        }
        Waiting::GroupStable { group } => format!("group {group} does not come to rest, though its members run"),
        Waiting::Membership { consumer } => {
            format!("{} runs and is not in its group", settings.consumer_name(*consumer))
        }
        Waiting::LetIn { consumer } => {
            format!("{} asks to be let into its group, and is refused each time", settings.consumer_name(*consumer))
        }
        Waiting::GroupReading { group, partition } => {
            format!("group {group} does not come to an acknowledged record of {partition}")
        }
    }
}
