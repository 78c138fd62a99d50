//! The causal chain of a lost batch in plain words: append, acknowledgement, what the others had, failure, election, cut.

use crate::cluster::Cluster;
use crate::cluster::loss::{self, Loss};
use crate::cluster::partition::{Ack, PartitionTruth, Produced};
use crate::cluster::replica::{Cut, CutKind};
use crate::settings::Settings;
use crate::verdict::Step;
use crate::words::{acks, brokers, offsets, seconds, step};

/// Tells what happened in one partition.
pub(super) struct Story<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) truth: &'a PartitionTruth,
    pub(super) settings: &'a Settings,
}

impl Story<'_> {
    /// Each append of a record by a leader.
    pub(super) fn of_appends(&self, batches: &[&Produced]) -> Vec<Step> {
        let mut batches = batches.to_vec();
        batches.sort_by_key(|p| p.seq);
        let tell = |p: &Produced| {
            let (name, what) = (self.settings.broker_name(p.broker), offsets(p.batch.first, p.batch.last));
            let epoch = p.batch.epoch;
            let when = seconds(p.at.time);
            step(
                p.at,
                name.clone(),
                format!("{name} appended {what} of {} as leader in epoch {epoch} at {when}", self.truth.name),
            )
        };
        batches.into_iter().map(tell).collect()
    }

    /// The appends of a record, the acknowledgement of one of them, and what its other in-sync replicas had then.
    pub(super) fn of_batches(&self, batches: &[&Produced], acked: &Produced, offset: Option<i64>) -> Vec<Step> {
        let mut steps = self.of_appends(batches);
        if let Some(ack) = loss::ack_of(self.truth, acked) {
            steps.push(self.of_ack(ack, offset));
            steps.extend(self.of_positions(ack));
        }
        steps
    }

    fn of_ack(&self, ack: &Ack, offset: Option<i64>) -> Step {
        let name = self.settings.broker_name(ack.broker);
        let what = offset.map_or_else(|| offsets(ack.first, ack.last), |o| offsets(o, o));
        let promise = if ack.acks < 0 {
            let mut isr = vec![ack.broker];
            isr.extend(self.truth.positions(ack).iter().map(|p| p.broker));
            format!("all in-sync replicas, {}, were to have it", brokers(self.settings, &isr))
        } else {
            "nobody but the leader needed to have it".to_owned()
        };
        let (when, acks, epoch) = (seconds(ack.at.time), acks(ack.acks), ack.leader_epoch);
        step(
            ack.at,
            name.clone(),
            format!("{name} acked {what} at {when} with acks={acks} in epoch {epoch}: {promise}"),
        )
    }

    fn of_positions(&self, ack: &Ack) -> Vec<Step> {
        let leader = self.settings.broker_name(ack.broker);
        let tell = |position: &crate::cluster::partition::Position| {
            let name = self.settings.broker_name(position.broker);
            match position.fetched {
                Some((end, at)) => {
                    let sentence = format!(
                        "{name} had fetched below offset {end} by then, as {leader} learnt at {}",
                        seconds(at.time)
                    );
                    step(at, name, sentence)
                }
                None => step(ack.at, name.clone(), format!("{name} had not fetched from {leader} yet")),
            }
        };
        self.truth.positions(ack).iter().map(tell).collect()
    }

    /// From the failure to the last cut, in order.
    pub(super) fn of_loss(&self, lost: &Produced, loss: &Loss, offset: Option<i64>) -> Vec<Step> {
        let mut steps = self.of_failures(lost, loss);
        if let Some(reign) = &loss.reign {
            if let Some(election) = self.truth.election(reign.leader, reign.leader_epoch) {
                steps.extend(
                    loss::election_steps(self.truth, reign, self.settings).into_iter().map(|s| (election.seq, s)),
                );
            }
            let (name, when) = (self.settings.broker_name(reign.leader), seconds(reign.at.time));
            let what = offset.map_or_else(|| offsets(lost.batch.first, lost.batch.last), |o| offsets(o, o));
            let sentence = format!(
                "{name} began to lead {} in epoch {} at {when} with log end {}, without that {what}",
                self.truth.name, reign.leader_epoch, reign.log_end
            );
            steps.push((reign.seq, step(reign.at, name, sentence)));
        }
        for (broker, replica) in &self.truth.replicas {
            for span in replica.spans(&lost.batch) {
                if let Some(cut) = span.until {
                    steps.push((cut.seq, self.of_cut(*broker, cut)));
                }
            }
        }
        steps.extend(self.of_overwrite(lost, offset));
        steps.sort_by_key(|(seq, _)| *seq);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// The last outage of each broker that matters, between the append and the reign that decided.
    fn of_failures(&self, lost: &Produced, loss: &Loss) -> Vec<(u64, Step)> {
        let until = loss.reign.as_ref().map_or(u64::MAX, |r| r.seq);
        let mut steps = Vec::new();
        for broker in self.truth.replicas.keys() {
            let outages = self.cluster.outages.get(broker).map(Vec::as_slice).unwrap_or_default();
            let Some(outage) = outages.iter().rfind(|o| o.seq > lost.seq && o.seq < until) else { continue };
            let (name, when) = (self.settings.broker_name(*broker), seconds(outage.at.time));
            let what = match outage.power {
                Some(bytes) => {
                    format!("{name} lost power at {when}, and with it {bytes} bytes that were not on its disk")
                }
                None => format!("{name} crashed at {when}"),
            };
            steps.push((outage.seq, step(outage.at, name, what)));
        }
        steps
    }

    fn of_cut(&self, broker: i32, cut: &Cut) -> Step {
        let (name, when, partition) = (self.settings.broker_name(broker), seconds(cut.at.time), &self.truth.name);
        let sentence = match &cut.kind {
            CutKind::Truncated { why } => {
                let epoch =
                    if cut.leader_epoch >= 0 { format!(" in epoch {}", cut.leader_epoch) } else { String::new() };
                format!("{name} truncated {partition} from log end {} to {} at {when}{epoch} {why}", cut.from, cut.to)
            }
            CutKind::PowerLoss { .. } => {
                format!(
                    "{name} came back at {when} with {partition} up to log end {} of {} before its loss of power",
                    cut.to, cut.from
                )
            }
            CutKind::Recovery => {
                format!("{name} came back at {when} with {partition} up to log end {} of {} before", cut.to, cut.from)
            }
        };
        step(cut.at, name, sentence.trim_end().to_owned())
    }

    /// What the leader has at its offset now.
    fn of_overwrite(&self, lost: &Produced, offset: Option<i64>) -> Option<(u64, Step)> {
        let offset = offset.unwrap_or(lost.batch.first);
        let leader = self.truth.replicas.get(&self.truth.leader)?;
        let there = leader.log[leader.place_of(offset)?].batch;
        if there == lost.batch {
            return None;
        }
        let written = self.truth.produced.iter().find(|p| p.batch == there)?;
        let (name, when) = (self.settings.broker_name(written.broker), seconds(written.at.time));
        let sentence = format!("{name} wrote another record at offset {offset} in epoch {} at {when}", there.epoch);
        Some((written.seq, step(written.at, name, sentence)))
    }

    /// The end of the summary.
    pub(super) fn copies_left(&self, left: &[i32]) -> String {
        if left.is_empty() {
            "; no log has it any more".to_owned()
        } else {
            format!("; {} still has it, but does not lead", brokers(self.settings, left))
        }
    }
}
