//! What a broker does: nobody leaves the ISR before its time, and each life knows how the one before it ended.

use std::collections::BTreeMap;

use kafka_protocol::messages::BrokerRegistrationRequest;
use trial_checker::Word;
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::Millis;

use super::Speaker;
use crate::trace::NodeIx;

/// What the referee keeps in mind of what brokers do.
#[derive(Clone, Debug, Default)]
pub(super) struct Deeds {
    reigns: BTreeMap<(NodeIx, TopicPartition), Reign>,
    lives: BTreeMap<NodeIx, BrokerLife>,
}

/// How a reign began: when, by the clock on the wall, and with whom.
#[derive(Clone, Debug)]
struct Reign {
    since: Millis,
    isr: Vec<i32>,
}

/// The broker epoch of a life, and of the last one before it that had any.
#[derive(Clone, Copy, Debug)]
struct BrokerLife {
    broker_epoch: i64,
    before: i64,
    /// The power went since: what was on the disk may be again as it was.
    lost_power: bool,
}

impl Deeds {
    /// A process starts.
    pub(super) fn forget(&mut self, node: NodeIx, had_no_power: bool) {
        self.reigns.retain(|(leader, _), _| *leader != node);
        if let Some(life) = self.lives.get_mut(&node) {
            life.before = life.broker_epoch.max(life.before);
            life.lost_power |= had_no_power;
            life.broker_epoch = -1;
        }
    }

    /// A broker knows the broker epoch of this life.
    fn note_broker_epoch(&mut self, node: NodeIx, broker_epoch: i64) {
        let life = self.lives.entry(node).or_insert(BrokerLife { broker_epoch: -1, before: -1, lost_power: false });
        if life.broker_epoch != broker_epoch {
            *life = BrokerLife { broker_epoch, lost_power: false, ..*life };
        }
    }

    /// A broker has done something.
    pub(super) fn judge_event(&mut self, event: &Event, wall: Millis, speaker: &mut Speaker<'_>) {
        let node = speaker.node;
        match event {
            Event::RegisteredWith { broker_epoch } => self.note_broker_epoch(node, *broker_epoch),
            Event::BecameLeader { partition, isr, .. } => {
                let reign = Reign { since: wall, isr: isr.clone() };
                self.reigns.insert((node, partition.clone()), reign);
            }
            Event::IsrChangeAsked { partition, from, isr, .. } => {
                let Some(broker) = speaker.slot.broker() else { return };
                let Some(reign) = self.reigns.get(&(node, partition.clone())) else { return };
                let late = from.iter().find(|member| !isr.contains(member) && reign.isr.contains(member));
                let (age, lag) = (wall - reign.since, broker.lag_time_max_ms());
                if let Some(late) = late.filter(|_| age < lag) {
                    let said = format!("that b{late} has not been caught up for {lag} ms");
                    let truth = format!("at most {age} ms, for which the reign lasts,");
                    speaker.wrong(Word::IsrLateness, Some(partition), said, truth);
                }
            }
            _ => {}
        }
    }

    /// A broker tells in which epoch its last life came to an orderly end, and none if it did not. Source: KIP-966,
    /// `BrokerLifecycleManager.sendBrokerRegistration`, `CleanShutdownFileHandler`.
    pub(super) fn judge_registration(&self, request: &BrokerRegistrationRequest, speaker: &mut Speaker<'_>) {
        let Some(life) = self.lives.get(&speaker.node) else { return };
        let said = request.previous_broker_epoch;
        if said != -1 && life.broker_epoch == -1 && !life.lost_power {
            speaker.says(Word::PreviousBrokerEpoch, None, said, life.before);
        }
    }
}
