//! What becomes of a partition, case by case. The facts are those of Kafka's own `PartitionChangeBuilderTest`.

use super::super::rules::election::{Election, EligibleLeaders, PartitionChangeBuilder};
use super::*;
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE};

/// A partition on brokers 1, 2, 3 and what happens to it.
struct Case {
    leader: BrokerId,
    isr: &'static [BrokerId],
    elr: &'static [BrokerId],
    last_known: &'static [BrokerId],
    /// `None`: ELR off.
    min_isr: Option<usize>,
    election: Election,
    alive: &'static [BrokerId],
    target_isr: &'static [BrokerId],
    unclean_shutdown: Option<BrokerId>,
    fenced_last_known_leader: bool,
}

const ONLINE: Case = Case {
    leader: 1,
    isr: &[1, 2, 3],
    elr: &[],
    last_known: &[],
    min_isr: Some(2),
    election: Election::Online,
    alive: &[1, 2, 3],
    target_isr: &[1, 2, 3],
    unclean_shutdown: None,
    fenced_last_known_leader: false,
};

/// Nobody in sync, nobody eligible, broker 1 led last.
const NOBODY_LEFT: Case = Case { leader: -1, isr: &[], last_known: &[1], target_isr: &[], ..ONLINE };

impl Case {
    /// In one line: leader, ISR, ELR, last known leader, `recovering`, `+LE` if the leader epoch rises; or `no change`.
    fn outcome(&self) -> String {
        let before = PartitionRegistration {
            replicas: vec![1, 2, 3],
            isr: self.isr.to_vec(),
            elr: self.elr.to_vec(),
            last_known_elr: self.last_known.to_vec(),
            leader: self.leader,
            ..a_partition()
        };
        let eligible_leaders = self.min_isr.map_or(EligibleLeaders::Off, |min_isr| EligibleLeaders::On {
            min_isr,
            fenced_last_known_leader: self.fenced_last_known_leader,
            removed_replicas_stay: false,
        });
        let acceptable = |broker| self.alive.contains(&broker);
        let change = PartitionChangeBuilder::new(Uuid::nil(), 0, &before, eligible_leaders, &acceptable)
            .election(self.election)
            .target_isr(self.target_isr.to_vec())
            .unclean_shutdown(self.unclean_shutdown)
            .build();
        let Some(change) = change else { return "no change".to_string() };
        let mut after = before.clone();
        after.merge(&change);
        assert_eq!(after.partition_epoch, before.partition_epoch + 1);
        assert_eq!(after.leader_epoch, before.leader_epoch + i32::from(change.leader.is_some()));
        format!(
            "{} isr{:?} elr{:?} last{:?}{}{}",
            after.leader,
            after.isr,
            after.elr,
            after.last_known_elr,
            if after.recovering { " recovering" } else { "" },
            if after.leader_epoch > before.leader_epoch { " +LE" } else { "" }
        )
    }
}

fn expect(cases: &[(&str, Case, &str)]) {
    for (story, case, expected) in cases {
        assert_eq!(case.outcome(), *expected, "{story}");
    }
}

#[test]
fn elections_from_the_isr() {
    expect(&[
        ("a valid leader stays though it is not preferred", Case { leader: 2, ..ONLINE }, "no change"),
        (
            "an ISR change alone leaves the leader epoch alone",
            Case { min_isr: Some(1), target_isr: &[1, 3], ..ONLINE },
            "1 isr[1, 3] elr[] last[]",
        ),
        (
            "the first valid replica in the order of assignment wins",
            Case { isr: &[3, 2, 1], target_isr: &[3, 2], alive: &[2, 3], ..ONLINE },
            "2 isr[3, 2] elr[] last[] +LE",
        ),
        (
            "the preferred replica takes over",
            Case { leader: 2, election: Election::Preferred, ..ONLINE },
            "1 isr[1, 2, 3] elr[] last[] +LE",
        ),
        (
            "but only from inside the ISR",
            Case { leader: 2, isr: &[2, 3], target_isr: &[2, 3], election: Election::Preferred, ..ONLINE },
            "no change",
        ),
        (
            "even if unclean is allowed, the ISR comes first",
            Case {
                isr: &[1, 3],
                target_isr: &[3],
                alive: &[2, 3],
                election: Election::Unclean,
                min_isr: Some(1),
                ..ONLINE
            },
            "3 isr[3] elr[] last[] +LE",
        ),
    ]);
}

#[test]
fn who_leaves_an_isr_that_is_too_small_stays_eligible() {
    expect(&[
        ("the ISR is still large enough", Case { target_isr: &[1, 2], ..ONLINE }, "1 isr[1, 2] elr[] last[]"),
        ("it is not any more", Case { isr: &[1, 2], target_isr: &[1], ..ONLINE }, "1 isr[1] elr[2] last[]"),
        (
            "the leader leaves: another leads, it stays eligible",
            Case { isr: &[1, 2], target_isr: &[2], alive: &[2, 3], ..ONLINE },
            "2 isr[2] elr[1] last[] +LE",
        ),
        (
            "a joiner leaves the ELR",
            Case { isr: &[1], elr: &[2, 3], target_isr: &[1, 3], min_isr: Some(3), ..ONLINE },
            "1 isr[1, 3] elr[2] last[]",
        ),
        (
            "a large ISR needs no ELR",
            Case { isr: &[1], elr: &[2, 3], target_isr: &[1, 3], ..ONLINE },
            "1 isr[1, 3] elr[] last[]",
        ),
        (
            "nor does one that is large enough since min.insync.replicas fell",
            Case { isr: &[1], elr: &[2], target_isr: &[1], min_isr: Some(1), ..ONLINE },
            "1 isr[1] elr[] last[]",
        ),
    ]);
}

#[test]
fn the_isr_may_become_empty_and_the_elr_wins_then() {
    expect(&[
        (
            "an ELR winner is the ISR and leaves the ELR",
            Case { isr: &[1], elr: &[2], target_isr: &[], alive: &[2, 3], ..ONLINE },
            "2 isr[2] elr[1] last[] +LE",
        ),
        (
            "nobody is alive but a stranger: the last leader is remembered",
            Case { isr: &[1], elr: &[2], target_isr: &[], alive: &[3], ..ONLINE },
            "-1 isr[] elr[1, 2] last[1] +LE",
        ),
        (
            "an eligible one returns: the last leader is forgotten",
            Case { elr: &[1, 2], alive: &[2], ..NOBODY_LEFT },
            "2 isr[2] elr[1] last[] +LE",
        ),
        ("a stranger returns", Case { elr: &[1, 2], alive: &[3], ..NOBODY_LEFT }, "no change"),
        (
            "a preferred election finds an eligible replica too",
            Case { elr: &[2], alive: &[2, 3], election: Election::Preferred, ..NOBODY_LEFT },
            "2 isr[2] elr[] last[] +LE",
        ),
        (
            "an eligible replica comes before an unclean one",
            Case { isr: &[1], elr: &[3], target_isr: &[], alive: &[2, 3], election: Election::Unclean, ..ONLINE },
            "3 isr[3] elr[1] last[] +LE",
        ),
        (
            "an unclean election clears the ELR",
            Case { isr: &[1], elr: &[3], target_isr: &[], alive: &[2], election: Election::Unclean, ..ONLINE },
            "2 isr[2] elr[] last[] recovering +LE",
        ),
        (
            "even with min.insync.replicas=1 the last one only stays eligible",
            Case { isr: &[1], target_isr: &[], alive: &[], min_isr: Some(1), ..ONLINE },
            "-1 isr[] elr[1] last[1] +LE",
        ),
    ]);
}

#[test]
fn an_unclean_stop_ends_eligibility() {
    expect(&[
        (
            "in the ISR, leading",
            Case { isr: &[1, 2], target_isr: &[2], alive: &[2, 3], unclean_shutdown: Some(1), ..ONLINE },
            "2 isr[2] elr[] last[] +LE",
        ),
        (
            "alone in the ISR",
            Case { isr: &[1], elr: &[2], target_isr: &[], alive: &[3], unclean_shutdown: Some(1), ..ONLINE },
            "-1 isr[] elr[2] last[1] +LE",
        ),
        (
            "in the ELR",
            Case { isr: &[1], elr: &[2, 3], target_isr: &[1], unclean_shutdown: Some(2), ..ONLINE },
            "1 isr[1] elr[3] last[]",
        ),
        (
            "last in the ELR, the last leader being remembered",
            Case { elr: &[1], alive: &[2, 3], unclean_shutdown: Some(1), ..NOBODY_LEFT },
            "-1 isr[] elr[] last[1]",
        ),
    ]);
}

#[test]
fn the_last_known_leader_leads_when_nobody_is_left() {
    expect(&[
        ("it is back", Case { alive: &[1, 2], ..NOBODY_LEFT }, "1 isr[1] elr[] last[] recovering +LE"),
        (
            "a preferred election takes it too",
            Case { alive: &[1], election: Election::Preferred, ..NOBODY_LEFT },
            "1 isr[1] elr[] last[] recovering +LE",
        ),
        ("KAFKA-19522: it is fenced", Case { alive: &[2], ..NOBODY_LEFT }, "no change"),
        (
            "the switch elect-fenced-last-known-leader",
            Case { alive: &[2], fenced_last_known_leader: true, ..NOBODY_LEFT },
            "1 isr[1] elr[] last[] recovering +LE",
        ),
        (
            "it comes before other unclean leaders",
            Case { alive: &[1, 2, 3], last_known: &[3], election: Election::Unclean, ..NOBODY_LEFT },
            "3 isr[3] elr[] last[] recovering +LE",
        ),
        (
            "without it and with leave: anybody alive",
            Case { alive: &[2], election: Election::Unclean, ..NOBODY_LEFT },
            "2 isr[2] elr[] last[] recovering +LE",
        ),
        ("it has to wait while somebody is eligible", Case { elr: &[2], alive: &[1], ..NOBODY_LEFT }, "no change"),
        ("two names are no last leader", Case { last_known: &[1, 2], ..NOBODY_LEFT }, "no change"),
    ]);
}

#[test]
fn with_elr_off_the_last_member_stays_in_the_isr() {
    let off = Case { min_isr: None, ..ONLINE };
    expect(&[
        (
            "without leading",
            Case { isr: &[1], target_isr: &[], alive: &[2, 3], min_isr: None, ..ONLINE },
            "-1 isr[1] elr[] last[] +LE",
        ),
        ("and leads again", Case { leader: -1, isr: &[1], target_isr: &[1], ..off }, "1 isr[1] elr[] last[] +LE"),
        (
            "an unclean leader is alone and recovers",
            Case { isr: &[1], target_isr: &[], alive: &[3, 2], election: Election::Unclean, min_isr: None, ..ONLINE },
            "2 isr[2] elr[] last[] recovering +LE",
        ),
        (
            "what an earlier feature level left is cleared",
            Case { isr: &[1], elr: &[2], target_isr: &[1], min_isr: None, ..ONLINE },
            "1 isr[1] elr[] last[]",
        ),
    ]);
}

/// An ISR is the whole of `min.insync.replicas` only up to the replication factor, and a topic's own value counts first.
#[test]
fn the_effective_min_isr() {
    let config = BrokerConfig { min_insync_replicas: 2, ..BrokerConfig::default() };
    let mut room = Room::orders_with(config, &[]);
    room.create("own", &[&[1, 2, 3]], &[("min.insync.replicas", "3")]);
    room.create("narrow", &[&[1]], &[]);
    let effective = |room: &Room, topic: &str| {
        let image = room.image();
        room.controller.cluster().effective_min_isr(image.topic(topic).expect("exists"))
    };
    assert_eq!([effective(&room, "orders"), effective(&room, "own"), effective(&room, "narrow")], [2, 3, 1]);
    let of_cluster = MetadataRecord::Config {
        resource_type: BROKER_RESOURCE,
        resource_name: ALL_BROKERS.to_string(),
        name: "min.insync.replicas".to_string(),
        value: Some("3".to_string()),
    };
    room.write(vec![of_cluster]);
    assert_eq!(effective(&room, "orders"), 3, "the cluster's value counts before the controller's file");
}

#[test]
fn the_zoo_raises_the_leader_epoch_with_each_shrink() {
    let epoch_after = |target_isr: &[BrokerId], bumps| {
        let before = PartitionRegistration { replicas: vec![1, 2, 3], isr: vec![1, 2], leader: 1, ..a_partition() };
        let change = PartitionChangeBuilder::new(Uuid::nil(), 0, &before, EligibleLeaders::Off, &|_| true)
            .target_isr(target_isr.to_vec())
            .bumps_on_shrink(bumps)
            .build()
            .expect("the ISR changes");
        let mut after = before.clone();
        after.merge(&change);
        (after.leader, after.leader_epoch - before.leader_epoch)
    };
    assert_eq!(epoch_after(&[1], true), (1, 1));
    assert_eq!(epoch_after(&[1, 2, 3], true), (1, 0), "no expansion does");
    assert_eq!(epoch_after(&[1], false), (1, 0));
}
