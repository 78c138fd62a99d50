//! What does a scenario promise, in the words of the checker?

use trial_checker::{ConsumerSettings, ProducerSettings, QuorumSettings, Settings, TopicSettings};
use trial_kafka::node::{Nanos, ms};
use trial_kafka::zoo::Switch;

use crate::scenario::{Cluster, Scenario};
use crate::world::controller_of;

/// The promises of a scenario, and the kinds of fault without which a trial of it shows nothing.
pub(super) fn of_scenario(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Settings {
    let broker = &scenario.cluster.config;
    let does_harm = Switch::ALL.into_iter().any(|switch| scenario.zoo.on(switch) && !switch.is_harmless());
    let mut settings = Settings { zoo_on: does_harm, expected_fault_kinds, ..Settings::default() };
    settings.quorum = quorum_of(&scenario.cluster);
    settings.controller_names =
        (1..=scenario.cluster.controllers).map(|n| controller_of(&scenario.cluster, n)).collect();
    for topic in &scenario.topics {
        let of_topic = TopicSettings {
            replication_factor: topic.replication_factor,
            min_insync_replicas: topic.config.min_insync_replicas.unwrap_or(broker.min_insync_replicas) as i32,
            unclean_leader_election_enable: topic
                .config
                .unclean_leader_election_enable
                .unwrap_or(broker.unclean_leader_election_enable),
            eligible_leader_replicas: broker.eligible_leader_replicas_version > 0,
        };
        settings.topics.insert(topic.name.clone(), of_topic);
    }
    let mut number = 0;
    for spec in &scenario.producers {
        for _ in 0..spec.count {
            let producer = ProducerSettings {
                acks: spec.config.acks.0,
                idempotent: spec.config.enable_idempotence,
                max_in_flight: spec.config.max_in_flight.max(0) as u32,
                delivery_timeout: ms(spec.config.delivery_timeout_ms),
            };
            settings.producers.insert(number, producer);
            settings.producer_names.insert(number, format!("p{}", number + 1));
            number += 1;
        }
    }
    let consumers: u32 = scenario.consumers.iter().map(|c| c.count).sum();
    for number in 0..consumers {
        settings.consumers.insert(number, ConsumerSettings::default());
        settings.consumer_names.insert(number, format!("k{}", number + 1));
    }
    settings
}

/// The quorum, and the bounds of what is due in it.
///
/// A leader that no majority reaches resigns after 1.5 fetch time-outs (`LeaderState.timeUntilCheckQuorumExpires`); a
/// second more for what was on its way and for timers that are looked at late.
///
/// After healing: a request that waits on a connection that was cut is given up after half a minute
/// (`controller.socket.timeout.ms`, `replica.socket.timeout.ms`); six elections of the quorum, each with its time-out and
/// backoff, which is generous (they are randomised so that one or two do); a broker session that must run out before its
/// successor is let in, and one more because a new controller gives every broker a fresh one.
fn quorum_of(cluster: &Cluster) -> QuorumSettings {
    const SECOND: Nanos = 1_000_000_000;
    let config = &cluster.config;
    let fetch_timeout = ms(config.controller_quorum_fetch_timeout_ms);
    let election =
        ms(config.controller_quorum_election_timeout_ms) + ms(config.controller_quorum_election_backoff_max_ms);
    QuorumSettings {
        voters: (1..=cluster.controllers).map(|n| controller_of(cluster, n).0).collect(),
        without_majority: fetch_timeout + fetch_timeout / 2 + SECOND,
        recovery: 30 * SECOND + 6 * (fetch_timeout + election) + 2 * ms(config.broker_session_timeout_ms),
    }
}
