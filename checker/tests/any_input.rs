//! Whatever a host says, in whatever order: no panic, and the same verdict twice.

mod play;

use play::{orders, settings};
use proptest::prelude::*;
use trial_checker::{
    Barred, Belief, Checker, Entry, EventRef, Going, Observation, Partition, PartitionChange, PartitionState,
    ProducerBatch, TopicSettings,
};

fn partition() -> impl Strategy<Value = Partition> {
    prop_oneof![4 => Just(orders()), 1 => Just(Partition::new("orders", 1))]
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![20 => -1i64..6, 1 => any::<i64>()]
}

fn record() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0u64..8, 1 => any::<u64>()]
}

fn isr() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(0i32..4, 0..4)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let producer =
        (0i64..2, 0i16..2, any::<i32>(), any::<i32>()).prop_map(|(id, epoch, first_sequence, last_sequence)| {
            ProducerBatch { id, epoch, first_sequence, last_sequence }
        });
    let of = (offset(), offset(), 0i32..4, 0u64..3, prop::collection::vec(record(), 0..3), prop::option::of(producer));
    let entry = of.prop_map(|(first_offset, last_offset, epoch, hash, records, producer)| Entry {
        first_offset,
        last_offset,
        epoch,
        hash,
        records,
        producer,
    });
    prop::collection::vec(entry, 0..3)
}

fn belief() -> impl Strategy<Value = Belief> {
    prop_oneof![
        prop::option::of(offset()).prop_map(|offset| Belief::Acked { offset }),
        Just(Belief::Failed),
        Just(Belief::Unknown),
        Just(Belief::Unpromised),
    ]
}

fn observation() -> impl Strategy<Value = Observation> {
    use Observation::*;
    prop_oneof![
        (record(), 0u32..3, partition()).prop_map(|(record, producer, partition)| SendInvoked {
            record,
            producer,
            partition
        }),
        (record(), belief(), 0u32..3).prop_map(|(record, belief, attempts)| SendSettled { record, belief, attempts }),
        (0u32..3, partition(), offset(), prop::option::of(record())).prop_map(
            |(consumer, partition, offset, record)| Read { consumer, partition, offset, leader_epoch: 0, record }
        ),
        (partition(), offset(), prop::option::of(record())).prop_map(|(partition, offset, record)| FinalRead {
            partition,
            offset,
            leader_epoch: 0,
            record
        }),
        (partition(), offset(), offset(), any::<bool>()).prop_map(|(partition, log_start, log_end, complete)| {
            FinalReadEnd { partition, log_start, log_end, complete }
        }),
        (0i32..4, partition(), any::<bool>(), entries()).prop_map(|(broker, partition, as_leader, entries)| {
            LogAppended { broker, partition, as_leader, entries }
        }),
        (0i32..4, partition(), offset()).prop_map(|(broker, partition, to)| LogTruncated {
            broker,
            partition,
            to,
            why: String::new()
        }),
        (0i32..4, partition(), offset()).prop_map(|(broker, partition, log_end)| LogLost {
            broker,
            partition,
            log_end
        }),
        (0i32..4, partition(), offset(), 0i32..4, any::<bool>()).prop_map(
            |(broker, partition, to, leader_epoch, legitimate_leader)| HighWatermarkMoved {
                broker,
                partition,
                to,
                leader_epoch,
                legitimate_leader
            }
        ),
        (0i32..4, partition(), offset(), offset(), -1i16..2, 0i32..4, isr()).prop_map(
            |(broker, partition, first_offset, last_offset, acks, leader_epoch, maximal_isr)| Acknowledged {
                broker,
                partition,
                first_offset,
                last_offset,
                acks,
                leader_epoch,
                maximal_isr,
                min_insync_replicas: None
            }
        ),
        (partition(), -1i32..4, 0i32..4, 0i32..9, isr(), any::<bool>()).prop_map(
            |(partition, leader, leader_epoch, partition_epoch, isr, clean)| LeaderElected {
                partition,
                leader,
                leader_epoch,
                partition_epoch,
                isr,
                previous: -1,
                clean
            }
        ),
        (partition(), isr(), 0i32..4, 0i32..9).prop_map(|(partition, isr, leader_epoch, partition_epoch)| {
            IsrChanged { partition, isr, leader_epoch, partition_epoch }
        }),
        (0i32..4, partition(), 0i32..4, offset()).prop_map(|(broker, partition, leader_epoch, log_end)| {
            BecameLeader { broker, partition, leader_epoch, log_end }
        }),
        (0i32..4, 0i32..4, partition(), offset()).prop_map(|(leader, replica, partition, log_end)| ReplicaFetched {
            leader,
            replica,
            partition,
            log_end
        }),
        (0i32..4, partition(), isr(), isr(), any::<bool>()).prop_map(|(leader, partition, from, isr, is_barred)| {
            IsrChangeAsked { leader, partition, from, isr, barred: is_barred.then_some((2, Barred::Fenced)) }
        }),
        (0i32..4, 0i64..6, 0u64..3, any::<bool>()).prop_map(|(broker, broker_epoch, incarnation, fenced)| {
            BrokerRegistered { broker, broker_epoch, incarnation, fenced }
        }),
        (0i32..4, any::<bool>()).prop_map(|(broker, fenced)| BrokerFenced { broker, fenced }),
        (partition(), isr(), isr(), isr()).prop_map(|(partition, replicas, elr, last_known_elr)| EligibleLeaders {
            partition,
            replicas,
            elr,
            last_known_elr
        }),
        (partition(), state(), state(), 0i32..4, any::<[bool; 4]>()).prop_map(
            |(partition, before, after, b, coins)| {
                let promised = TopicSettings {
                    unclean_leader_election_enable: coins[0],
                    eligible_leader_replicas: coins[1],
                    ..TopicSettings::default()
                };
                let going = coins[2].then_some(Going { broker: b, uncleanly: Some(coins[3]) });
                PartitionChanged(Box::new(PartitionChange {
                    partition,
                    before,
                    after,
                    promised,
                    going,
                    preferred: None,
                }))
            }
        ),
        any::<bool>().prop_map(|unfenced| BrokersSettled { unfenced }),
        (0i32..4, any::<bool>(), any::<bool>()).prop_map(|(min, unclean, elr)| TopicSettingsChanged {
            topic: "orders".into(),
            settings: TopicSettings {
                replication_factor: 3,
                min_insync_replicas: min,
                unclean_leader_election_enable: unclean,
                eligible_leader_replicas: elr
            }
        }),
        Just(TopicDeleted { topic: "orders".into() }),
        quorum(),
        (0i32..4).prop_map(|broker| BrokerCrashed { broker }),
        (0i32..4, any::<u64>()).prop_map(|(broker, lost_bytes)| BrokerLostPower { broker, lost_bytes }),
        (0i32..4, any::<bool>()).prop_map(|(broker, clean)| BrokerRestarted { broker, clean }),
    ]
}

/// Any state of a partition.
fn state() -> impl Strategy<Value = PartitionState> {
    let sets = prop::array::uniform6(isr());
    (sets, -1i32..4, 0i32..4, 0i32..4, any::<bool>()).prop_map(
        |(sets, leader, leader_epoch, partition_epoch, recovering)| {
            let [replicas, adding, removing, isr, elr, last_known_elr] = sets;
            PartitionState {
                replicas,
                adding,
                removing,
                isr,
                elr,
                last_known_elr,
                leader,
                leader_epoch,
                partition_epoch,
                recovering,
            }
        },
    )
}

/// Anything about controllers 1 to 3.
fn quorum() -> impl Strategy<Value = Observation> {
    use Observation::*;
    let node = || 1i32..4;
    prop_oneof![
        (node(), any::<bool>(), any::<bool>()).prop_map(|(controller, voter, new_disk)| ControllerStarted {
            controller,
            voter,
            new_disk
        }),
        (node(), 0i32..4).prop_map(|(controller, epoch)| QuorumLeader { controller, epoch }),
        (node(), 0i32..4, node()).prop_map(|(controller, epoch, candidate)| QuorumVoted {
            controller,
            epoch,
            candidate
        }),
        (node(), 0i32..4, 0u32..4).prop_map(|(controller, epoch, consents)| QuorumCandidate {
            controller,
            epoch,
            consents
        }),
        (node(), entries()).prop_map(|(controller, entries)| MetadataAppended { controller, entries }),
        (node(), offset()).prop_map(|(controller, to)| MetadataTruncated { controller, to }),
        (node(), offset()).prop_map(|(controller, log_end)| MetadataLost { controller, log_end }),
        node().prop_map(|controller| MetadataDiskLied { controller }),
        (node(), offset(), prop::option::of("[a-z ]{0,9}")).prop_map(|(controller, next_offset, differs)| {
            ActiveControllerMetadata { controller, next_offset, differs }
        }),
        (node(), offset()).prop_map(|(controller, to)| MetadataLogStart { controller, to }),
        (node(), offset(), 0i32..4, any::<bool>()).prop_map(|(controller, end_offset, epoch, loaded)| {
            MetadataSnapshot { controller, end_offset, epoch, loaded }
        }),
        (node(), offset(), prop::option::of(0i32..4)).prop_map(|(controller, to, leads)| MetadataHighWatermark {
            controller,
            to,
            leads,
            durable: vec![(controller, to)]
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]
    #[test]
    fn no_panic_and_the_same_verdict_twice(story in prop::collection::vec(observation(), 0..60), acks in -1i16..2) {
        let mut checker = Checker::new(settings(acks));
        let mut again = Checker::new(settings(acks));
        for (id, what) in (0u64..).zip(&story) {
            checker.observe(EventRef { id, time: id * 1_000 }, what.clone());
            again = again.clone(); // a fork goes on as the original
            again.observe(EventRef { id, time: id * 1_000 }, what.clone());
        }
        let verdict = checker.finish(1_000_000);
        prop_assert_eq!(&verdict, &again.finish(1_000_000));
        let shown = verdict.findings.len() as u64;
        prop_assert_eq!(shown, verdict.groups.iter().map(|g| g.count).sum::<u64>());
    }
}
