//! When may a follower stand whose leader has said that it leads no more? Sources: KIP-595,
//! `KafkaRaftClient.handleEndQuorumEpochRequest`, `endEpochElectionBackoff`.

use kafka_protocol::messages::EndQuorumEpochRequest;
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::node::{Nanos, ms};

use super::Speaker;

/// A follower of this leader is patient for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndDue {
    leader: i32,
    pause: Nanos,
}

/// Of a follower that is told by its leader.
pub(super) fn to_end(controller: &Controller, look: &QuorumLook, request: &EndQuorumEpochRequest) -> Option<EndDue> {
    let is_ours = request.cluster_id.as_ref().is_none_or(|cluster| cluster.as_str() == controller.setup().cluster_id);
    let said = request.topics.first().and_then(|topic| topic.partitions.first()).filter(|_| is_ours)?;
    let leader = said.leader_id.0;
    let is_its_leader = look.role == (QuorumRole::Follower { leader }) && look.leader == Some(leader);
    if !is_its_leader || look.epoch != said.leader_epoch || look.shuts_down || said.preferred_candidates.is_empty() {
        return None;
    }
    let is_it = |id: i32, disk: uuid::Uuid| {
        id == controller.setup().node_id && (disk.is_nil() || Some(disk) == look.directory_id)
    };
    let named = &said.preferred_candidates;
    let place = named.iter().position(|one| is_it(one.candidate_id.0, one.candidate_directory_id));
    let longest = ms(controller.setup().config.controller_quorum_election_backoff_max_ms);
    let pause = match place {
        Some(0) => 0,
        // Half as long as the next one; the last one waits for half of the longest.
        Some(place) => (0..named.len() - place).fold(longest, |pause, _| pause / 2),
        None => longest,
    };
    Some(EndDue { leader, pause })
}

impl EndDue {
    pub(super) fn judge(&self, look: &QuorumLook, now: Nanos, speaker: &mut Speaker<'_>) {
        let follows = look.role == (QuorumRole::Follower { leader: self.leader });
        let told = |pause: Nanos| format!("a follower that stands after {} ms", pause / 1_000_000);
        let said = match look.patient_until.filter(|_| follows) {
            Some(until) => until.saturating_sub(now),
            None => 0,
        };
        // Powers of two may be rounded in another order.
        if said / 1_000_000 != self.pause / 1_000_000 {
            speaker.wrong(Word::QuorumStep, None, told(said), told(self.pause));
        }
    }
}
