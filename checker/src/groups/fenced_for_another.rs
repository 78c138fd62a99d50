//! stuck (fenced-for-nobody): a static member that has joined is told that another has its `group.instance.id` only after a coordinator
//! has removed it, because another came in its place, or it was silent, or had left. Who is told so is out for good: its consumer
//! throws, and takes no more part.
//!
//! Allowed where the record that made it a member is lost, as it may be. A coordinator that leads no more, and has not heard of that,
//! knows nothing of who has joined since, and refuses all the same: a refusal is written nowhere, and waits for nobody
//! (`CoordinatorRuntime`). One that is fenced before it has joined under its new id is not spoken of: it is told that id before
//! it is written.

use std::sync::Arc;

use super::Log;
use crate::cluster::Cluster;
use crate::cluster::loss::{self, Judgement};
use crate::cluster::partition::PartitionTruth;
use crate::invariants::Invariant;
use crate::observation::GroupRecord;
use crate::settings::Settings;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "stuck",
    rule: Some("fenced-for-nobody"),
    what: "a static member is fenced only after it was removed, or another came in its place",
    source: "KAFKA-10284, KIP-345",
};

/// Nobody has removed this member, and this coordinator says that another has its name. Why? `home` is the partition that the group
/// stands in.
pub(super) fn judge(
    (group, member): (&Arc<str>, &Arc<str>),
    coordinator: i32,
    home: Option<(&Log, &PartitionTruth)>,
    cluster: &Cluster,
    settings: &Settings,
) -> Judgement {
    let unknown = || Judgement::bug("no record of the group ever named it".to_owned());
    let Some((log, truth)) = home else { return unknown() };
    let names = |record: &GroupRecord| match record {
        GroupRecord::Generation { group: of, value: Some(value) } => {
            of == group && value.members.iter().any(|(id, _)| id == member)
        }
        GroupRecord::Member { group: of, member: id, value: Some(_) } => of == group && id == member,
        _ => false,
    };
    let named = log.batches.iter().filter(|(_, batch)| batch.records.iter().any(names)).map(|(place, _)| *place);
    let mut named: Vec<(i64, i32)> = named.collect();
    named.sort_by_key(|(first, epoch)| (*epoch, *first));
    let produced = |place: &(i64, i32)| truth.produced.iter().find(|p| (p.batch.first, p.batch.epoch) == *place);
    let named: Vec<_> = named.iter().filter_map(produced).collect();
    let Some(last) = named.last() else { return unknown() };
    if named.iter().any(|produced| truth.ghost.has(&produced.batch)) {
        let name = settings.broker_name(coordinator);
        return match coordinator == truth.leader {
            true => Judgement::bug(format!("the log of {name} has it")),
            false => Judgement::allowed(
                "deposed-coordinator",
                settings,
                format!("the log has it, but {name} coordinates the group no more"),
            ),
        };
    }
    let mut why = match truth.ghost.why_lost(&last.batch) {
        Some(why) => why.clone(),
        None => loss::judge(cluster, truth, last, -1, true, settings).judgement,
    };
    why.because = format!("the record of it is lost: {}", why.because);
    why
}
