//! What are producers told, and who still waits? (4.4)
//!
//! Sources: `Partition.appendRecordsToLeader`, `checkEnoughReplicasReachOffset`, `DelayedProduce.tryComplete`.

use kafka_protocol::messages::ResponseKind;
use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::event::Event;
use trial_kafka::node::Effect;

use super::min_isr;
use crate::trace::TraceEvent;
use crate::world::network::Network;
use crate::world::referee::Speaker;

/// Something has happened to a partition that producers may wait for, or one is answered.
pub(super) fn judge_event(event: &Event, broker: &Broker, speaker: &mut Speaker<'_>) {
    match event {
        Event::ProduceAnswered { partition, acks, first_offset, last_offset, error } => {
            let Some(replica) = broker.partition(partition) else { return };
            let state = replica.leader_state();
            let least = min_isr(replica);
            let all_have_it = replica.high_watermark() > *last_offset;
            let is_appended = *first_offset >= 0;
            let is_in_this_log = *last_offset < replica.log_end_offset();
            let due = match (error.as_deref(), state) {
                (None | Some("NOT_ENOUGH_REPLICAS_AFTER_APPEND"), None) if *acks == -1 => "NOT_LEADER_OR_FOLLOWER",
                (None | Some("NOT_ENOUGH_REPLICAS_AFTER_APPEND"), Some(_)) if *acks == -1 && !all_have_it => {
                    "no answer before the high watermark is beyond the batch"
                }
                (None, Some(state)) if *acks == -1 && state.isr.maximal_len() < least => {
                    "NOT_ENOUGH_REPLICAS_AFTER_APPEND"
                }
                (Some("NOT_ENOUGH_REPLICAS_AFTER_APPEND"), Some(state)) if state.isr.maximal_len() >= least => "NONE",
                (Some("NOT_ENOUGH_REPLICAS"), Some(state)) if state.isr.committed().len() >= least => "an append",
                (Some("NOT_ENOUGH_REPLICAS"), _) if *acks != -1 => "an append",
                // It may have led another topic of this name, which was deleted and created again.
                (Some("NOT_LEADER_OR_FOLLOWER"), Some(_)) if is_appended && is_in_this_log => {
                    "no such answer by a leader"
                }
                (Some("REQUEST_TIMED_OUT"), Some(_)) if *acks == -1 && all_have_it => "NONE",
                _ => return,
            };
            let said = error.as_deref().unwrap_or("NONE").to_string();
            speaker.wrong(Word::ProduceAnswer, Some(partition), said, due.to_string());
        }
        Event::HighWatermark { partition, .. } => {
            let Some(replica) = broker.partition(partition).filter(|replica| replica.is_leader()) else { return };
            let high_watermark = replica.high_watermark();
            let forgotten = replica.produce_waiters.iter().find(|waiter| waiter.needs <= high_watermark);
            if let Some(forgotten) = forgotten {
                let said = format!("a producer that waits for {}", forgotten.needs);
                let truth = format!("nobody who waits for {high_watermark} or less");
                speaker.wrong(Word::StepOfProduce, Some(partition), said, truth);
            }
        }
        Event::BecameFollower { partition, .. } => {
            let waits = broker.partition(partition).map_or(0, |replica| replica.produce_waiters.len());
            if waits > 0 {
                let (said, truth) = (format!("{waits} producers that wait"), "nobody at a follower".to_string());
                speaker.wrong(Word::StepOfProduce, Some(partition), said, truth);
            }
        }
        _ => {}
    }
}

/// acks=0 is not answered; after an error the connection ends. Source: `KafkaApis.handleProduceRequest`.
pub(super) fn judge_effect(effect: &Effect, events: &[TraceEvent], network: &Network, speaker: &mut Speaker<'_>) {
    let failed = |TraceEvent { event, .. }: &TraceEvent| match event {
        Event::ProduceAnswered { acks: 0, error, .. } => error.is_some(),
        _ => false,
    };
    let (said, due) = match effect {
        Effect::SettleSilently { .. } if events.iter().any(failed) => ("nothing", "the end of the connection"),
        Effect::Answer { req, response } if matches!(**response, ResponseKind::Produce(_)) => {
            let conn = network.requests.get(req).and_then(|conn| network.conns.get(conn));
            let in_hand = conn.and_then(|conn| conn.in_hand).filter(|in_hand| in_hand.req == *req);
            if in_hand.is_none_or(|in_hand| in_hand.answer_at.is_some()) {
                return;
            }
            ("something", "nothing to acks=0")
        }
        _ => return,
    };
    speaker.wrong(Word::ProduceAnswer, None, said.to_string(), due.to_string());
}
