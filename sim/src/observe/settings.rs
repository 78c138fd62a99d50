//! What does a scenario promise, in the words of the checker?

use std::sync::Arc;

use trial_checker::{
    Commits, ConsumerSettings, MemberSettings, ProducerSettings, QuorumSettings, Reset, Settings, TopicSettings,
};
use trial_kafka::config::{GroupProtocol, OffsetReset};
use trial_kafka::node::{Nanos, ms};
use trial_kafka::zoo::Switch;

use crate::scenario::{Cluster, CommitStyle, ConsumerSpec, Core, Scenario};
use crate::world::controller_of;

const SECOND: Nanos = 1_000_000_000;

/// The promises of a scenario, and the kinds of fault without which a trial of it shows nothing.
pub(super) fn of_scenario(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Settings {
    let broker = &scenario.cluster.config;
    let does_harm = Switch::ALL.into_iter().any(|switch| scenario.zoo.on(switch) && !switch.is_harmless());
    let zoo_on = does_harm && !scenario.expect.as_configured;
    let mut settings = Settings { zoo_on, expected_fault_kinds, ..Settings::default() };
    settings.quorum = quorum_of(&scenario.cluster);
    // It looks every half of the time after which a member is late.
    settings.late_member = ms(broker.replica_lag_time_max_ms) / 2 + 2 * SECOND;
    settings.imbalance_check_interval = ms(broker.leader_imbalance_check_interval_seconds.saturating_mul(1_000));
    settings.leader_epoch_rises_on_shrink = scenario.zoo.on(Switch::LeaderEpochBumpOnShrink);
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
    let mut number = 0;
    for spec in &scenario.consumers {
        for nth in 0..spec.count {
            let member = member_of(scenario, spec, nth);
            settings.consumers.insert(number, ConsumerSettings { manual: member.is_none() });
            settings.members.extend(member.map(|member| (number, member)));
            settings.consumer_names.insert(number, format!("k{}", number + 1));
            number += 1;
        }
    }
    settings.group_recovery = group_recovery(scenario, settings.quorum.recovery);
    settings
}

/// What is known of a member of a group; `None` if it is in none.
fn member_of(scenario: &Scenario, spec: &ConsumerSpec, nth: u32) -> Option<MemberSettings> {
    let group = spec.group()?;
    let instance = spec.config_of(nth).group_instance_id;
    let topics = scenario.topics.iter().map(|topic| topic.name.clone()).filter(|topic| spec.reads(topic));
    Some(MemberSettings {
        group: Arc::from(group),
        topics: topics.collect(),
        commits: match spec.commit {
            CommitStyle::Auto => Commits::Auto,
            CommitStyle::Before => Commits::Before,
            CommitStyle::After => Commits::After,
            CommitStyle::Never => Commits::Never,
        },
        reset: match spec.config.auto_offset_reset {
            OffsetReset::Earliest => Reset::Earliest,
            OffsetReset::Latest => Reset::Latest,
            _ => Reset::None,
        },
        cooperative: spec.is_cooperative(),
        instance: (!instance.is_empty()).then(|| Arc::from(instance.as_str())),
    })
}

/// How long a group may take once everything has healed.
///
/// Two sessions: a member that died before must miss its own, and one whose coordinator moved is given another. The first
/// members wait for others, and a rebalance for those that still work on what they have; a member that was fenced may
/// have to join twice. A coordinator that loses its power says nothing any more to whoever waits for its answer to
/// JoinGroup, which is as long as a rebalance may take and five seconds (`AbstractCoordinator.sendJoinGroupRequest`); meanwhile
/// the member sends nothing else.
fn group_recovery(scenario: &Scenario, recovery: Nanos) -> Nanos {
    let broker = &scenario.cluster.config;
    let members = || scenario.consumers.iter().filter(|spec| spec.group().is_some());
    let session = members().map(|spec| match spec.config.group_protocol {
        GroupProtocol::Classic => spec.config.session_timeout_ms,
        GroupProtocol::Consumer => broker.group_consumer_session_timeout_ms,
    });
    let session = ms(session.max().unwrap_or(0));
    let drawn = scenario.chaos.iter().flat_map(|chaos| &chaos.mix).filter(|(_, weight)| *weight > 0);
    let mut kinds = scenario.faults.iter().map(|fault| fault.kind.kind_name()).chain(drawn.map(|(kind, _)| *kind));
    // One that is cut off from the rest when the faults end says as little.
    let power_goes = kinds.any(|kind| kind == "power-loss") || scenario.phases.core == Core::Random;
    let joins = members().filter(|spec| power_goes && spec.config.group_protocol == GroupProtocol::Classic);
    let joins = joins.map(|spec| ms(spec.config.max_poll_interval_ms) + 5 * SECOND).max().unwrap_or(0);
    let works = members().map(|spec| spec.processing.max + spec.poll_interval).max().unwrap_or(0);
    recovery + joins + 2 * session + 2 * (ms(broker.group_initial_rebalance_delay_ms) + works)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    #[test]
    fn a_group_is_waited_for_as_long_as_a_coordinator_without_power_lets_members_wait_for_its_answer() {
        let recovery = |more: &str| {
            let text = "format = 1\ntopic = { name = \"orders\" }\n[[consumer]]\ngroup.id = \"g\"\n";
            let scenario = parse("a.toml", &format!("{text}{more}"), &[]).expect("a scenario");
            of_scenario(&scenario, Vec::new()).group_recovery
        };
        let fault = |kind: &str| format!("[[fault]]\nkind = \"{kind}\"\ntarget = \"b1\"\nat = \"5s\"\n");
        let quick = "max.poll.interval.ms = 10000\n";
        let without = recovery("");
        assert_eq!(recovery(&fault("crash")), without, "whoever waits is told that the process is gone");
        assert_eq!(recovery(&fault("power-loss")), without + 305 * SECOND);
        assert_eq!(recovery(&format!("{quick}[chaos]\nmix.power-loss = 1\n")), without + 15 * SECOND);
        let modern = "group.protocol = \"consumer\"\n";
        assert_eq!(
            recovery(&format!("{modern}{}", fault("power-loss"))),
            recovery(modern),
            "it heartbeats all the time"
        );
    }
}
