//! What must be answered to who wants other voters. Sources: KIP-853, `AddVoterHandler`, `RemoveVoterHandler`,
//! `UpdateVoterHandler`.

use std::cmp::Ordering;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole, Voter};
use trial_kafka::metadata::voters_record::{KRAFT_VERSION_LEVEL, LISTENER};
use trial_kafka::protocol::errors::code_name;
use uuid::Uuid;

use super::Speaker;

/// A change of the voters: refused at once, or begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VotersDue {
    /// 0: it is begun.
    error: i16,
    /// Where the set of voters before it stands.
    before: i64,
    /// It is answered when the new set is committed, and not when it is written.
    waits: bool,
    /// The new set is written at once.
    is_written: bool,
}

/// What is asked for.
enum Wish {
    Add,
    Remove,
    Update { epoch: i32, levels: (i16, i16) },
}

pub(super) fn to_voter_change(controller: &Controller, look: &QuorumLook, request: &RequestKind) -> Option<VotersDue> {
    let (cluster, id, directory, listens, wish) = match request {
        RequestKind::AddRaftVoter(add) => {
            let listens = add.listeners.iter().any(|listener| listener.name.as_str() == LISTENER);
            (&add.cluster_id, add.voter_id, add.voter_directory_id, listens, Wish::Add)
        }
        RequestKind::RemoveRaftVoter(remove) => {
            (&remove.cluster_id, remove.voter_id, remove.voter_directory_id, true, Wish::Remove)
        }
        RequestKind::UpdateRaftVoter(update) => {
            let listens = update.listeners.iter().any(|listener| listener.name.as_str() == LISTENER);
            let feature = &update.k_raft_version_feature;
            let levels = (feature.min_supported_version, feature.max_supported_version);
            let wish = Wish::Update { epoch: update.current_leader_epoch, levels };
            (&update.cluster_id, update.voter_id, update.voter_directory_id, listens, wish)
        }
        _ => return None,
    };
    let is_ours = |cluster: &StrBytes| cluster.as_str() == controller.setup().cluster_id;
    let error = if !cluster.as_ref().is_none_or(is_ours) {
        Some(ResponseError::InconsistentClusterId)
    } else {
        refusal(controller, look, (id, directory), listens, &wish)
    };
    let waits = !matches!(wish, Wish::Update { .. });
    let (error, is_written) = (error.map_or(0, |error| error.code()), !matches!(wish, Wish::Add));
    Some(VotersDue { error, before: look.voters_offset, waits, is_written })
}

/// The first reason in Kafka's order.
fn refusal(
    controller: &Controller,
    look: &QuorumLook,
    (id, directory): (i32, Uuid),
    listens: bool,
    wish: &Wish,
) -> Option<ResponseError> {
    if let Wish::Update { epoch, .. } = wish {
        match epoch.cmp(&look.epoch) {
            Ordering::Less => return Some(ResponseError::FencedLeaderEpoch),
            Ordering::Greater => return Some(ResponseError::UnknownLeaderEpoch),
            Ordering::Equal => {}
        }
    }
    if look.role != QuorumRole::Leader {
        return Some(ResponseError::NotLeaderOrFollower);
    }
    if look.shuts_down {
        return Some(ResponseError::BrokerNotAvailable);
    }
    if id < 0 || directory.is_nil() || !listens {
        return Some(ResponseError::InvalidRequest);
    }
    if let Wish::Update { levels: (least, greatest), .. } = wish
        && !(0 <= *least && least <= greatest)
    {
        return Some(ResponseError::InvalidRequest);
    }
    let has_committed = look.epoch_start_offset.is_some_and(|start| look.high_watermark > start);
    if look.changes_voters || !has_committed || look.voters_offset >= look.high_watermark {
        return Some(ResponseError::RequestTimedOut);
    }
    let voters = controller.voters();
    let is_voter = voters.iter().any(|voter| (voter.id, voter.directory_id) == (id, directory));
    match wish {
        Wish::Add => voters.iter().any(|voter| voter.id == id).then_some(ResponseError::DuplicateVoter),
        Wish::Remove => (!is_voter || voters.len() == 1).then_some(ResponseError::VoterNotFound),
        Wish::Update { levels: (least, greatest), .. } if !(*least..=*greatest).contains(&KRAFT_VERSION_LEVEL) => {
            Some(ResponseError::InvalidRequest)
        }
        Wish::Update { .. } => (!is_voter).then_some(ResponseError::VoterNotFound),
    }
}

impl VotersDue {
    /// It is answered at once.
    pub(super) fn is_refused(&self) -> bool {
        self.error != 0
    }

    /// A voter less, or one elsewhere, counts from when it is written.
    pub(super) fn judge_begun(&self, look: &QuorumLook, speaker: &mut Speaker<'_>) {
        let leads = look.role == QuorumRole::Leader;
        if self.error == 0 && self.is_written && leads && look.voters_offset <= self.before {
            let said = format!("those of a set at {}", look.voters_offset);
            speaker.wrong(Word::VotersStep, None, said, "those that were asked for".to_string());
        }
        if self.error != 0 && look.voters_offset > self.before {
            speaker.wrong(Word::VotersStep, None, "another set".to_string(), "the set before".to_string());
        }
    }
}

pub(super) fn judge(due: &VotersDue, response: &ResponseKind, controller: &Controller, speaker: &mut Speaker<'_>) {
    let said = match response {
        ResponseKind::AddRaftVoter(response) => response.error_code,
        ResponseKind::RemoveRaftVoter(response) => response.error_code,
        ResponseKind::UpdateRaftVoter(response) => response.error_code,
        _ => return,
    };
    // What was begun may fail in many ways.
    let is_right = said == due.error || due.error == 0 && said != 0;
    if !is_right {
        return speaker.wrong(Word::VotersAnswer, None, code_name(said), code_name(due.error));
    }
    let look = controller.look();
    if let Some(look) = look.filter(|look| due.waits && said == 0 && look.role == QuorumRole::Leader) {
        let is_committed = look.voters_offset > due.before && look.high_watermark > look.voters_offset;
        if !is_committed {
            let truth = "nothing before the new set of voters is committed".to_string();
            speaker.wrong(Word::VotersAnswer, None, code_name(said), truth);
        }
    }
}

/// The ids of voters, for a reader.
pub(super) fn in_words(voters: &[Voter]) -> String {
    voters.iter().map(|voter| voter.id.to_string()).collect::<Vec<_>>().join(", ")
}
