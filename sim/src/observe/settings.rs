//! What does a scenario promise, in the words of the checker?

use trial_checker::{ConsumerSettings, ProducerSettings, Settings, TopicSettings};

use crate::scenario::Scenario;

/// The promises of a scenario, and the kinds of fault without which a trial of it shows nothing.
pub(super) fn of_scenario(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Settings {
    let broker = &scenario.cluster.config;
    let mut settings = Settings { zoo_on: !scenario.zoo.is_empty(), expected_fault_kinds, ..Settings::default() };
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
