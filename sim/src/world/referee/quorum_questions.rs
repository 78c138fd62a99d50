//! What a stranger could ask of a node of the metadata quorum: in epochs that are over or have not come, for other disks, with
//! histories that nobody has, for voters that are none.

use kafka_protocol::messages::end_quorum_epoch_request::{
    PartitionData as EndPartition, ReplicaInfo, TopicData as EndTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::update_raft_voter_request::{KRaftVersionFeature, Listener as Moved};
use kafka_protocol::messages::vote_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    AddRaftVoterRequest, BrokerId, EndQuorumEpochRequest, FetchRequest, RemoveRaftVoterRequest, RequestKind, TopicName,
    UpdateRaftVoterRequest, VoteRequest, add_raft_voter_request::Listener as Added,
};
use kafka_protocol::protocol::StrBytes;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::metadata::voters_record::{KRAFT_VERSION_LEVEL, LISTENER};
use trial_kafka::metadata::{METADATA_TOPIC, METADATA_TOPIC_ID};
use trial_kafka::protocol::versions;
use uuid::Uuid;

use super::quorum_answers::last_epoch;
use super::rehearsal::Question;

/// A disk that nobody has, and another.
const NO_DISK: Uuid = Uuid::from_u128(0xd15c_0001);
const NO_OTHER_DISK: Uuid = Uuid::from_u128(0xd15c_0002);
/// A node that is none.
const STRANGER: i32 = 9_999;

/// The kind of state that a node is in, as far as its answers depend on it.
pub(super) fn shape(controller: &Controller, look: &QuorumLook) -> Option<u64> {
    let log = controller.log().filter(|_| !look.waits_for_disk)?;
    let role = match look.role {
        QuorumRole::None => return None,
        QuorumRole::Unattached => 0,
        QuorumRole::Prospective => 1,
        QuorumRole::Candidate => 2,
        QuorumRole::Leader => 3,
        QuorumRole::Follower { .. } => 4,
        QuorumRole::Resigned => 5,
        QuorumRole::Observer => 6,
    };
    let end = log.log_end_offset();
    let has_committed = look.epoch_start_offset.is_some_and(|start| look.high_watermark > start);
    let bits = [
        look.is_voter,
        look.voted.is_some(),
        look.leader.is_some(),
        look.has_fetched,
        look.snapshots.is_some(),
        log.log_start_offset() > 0,
        look.role == QuorumRole::Leader && look.high_watermark == end,
        look.changes_voters,
        has_committed,
        look.role == QuorumRole::Leader && look.voters_offset >= look.high_watermark,
        log.epochs().len() > 1,
        look.shuts_down,
    ];
    Some(bits.iter().fold(role, |shape, bit| shape << 1 | u64::from(*bit)))
}

/// Each dialogue is had with a copy of its own.
pub(super) fn dialogues(controller: &Controller, look: &QuorumLook) -> Vec<Vec<Question>> {
    let mut dialogues = Vec::new();
    let asker = Asker::of(controller, look);
    asker.votes(look, &mut dialogues);
    asker.fetches(controller, look, &mut dialogues);
    if look.role == QuorumRole::Leader {
        asker.voters(controller, look, &mut dialogues);
    }
    if let QuorumRole::Follower { leader } = look.role {
        asker.ends(leader, look, &mut dialogues);
    }
    dialogues
}

/// Somebody stands in a later epoch.
pub(super) fn vote_in_a_later_epoch(controller: &Controller, look: &QuorumLook) -> Question {
    Asker::of(controller, look).vote("to vote in a later epoch", |_| {})
}

/// How the other voters tell a leader that they have all that it has written.
pub(super) fn all_is_replicated(controller: &Controller, look: &QuorumLook) -> Vec<Question> {
    let asker = Asker::of(controller, look);
    let others = controller.voters().into_iter().filter(|voter| voter.id != asker.me);
    let fetch = |id: i32, disk: Uuid| asker.fetch("for more", asker.epoch, (asker.last_epoch, asker.end), (id, disk));
    others.map(|voter| fetch(voter.id, voter.directory_id)).collect()
}

/// A node that is none asks to become a voter.
pub(super) fn addition(controller: &Controller, look: &QuorumLook) -> Question {
    Asker::of(controller, look).add("to add a voter", STRANGER)
}

/// The same node has all that was written, as an observer.
pub(super) fn fetch_of_who_is_added(controller: &Controller, look: &QuorumLook) -> Question {
    let asker = Asker::of(controller, look);
    asker.fetch("for more", asker.epoch, (asker.last_epoch, asker.end), (STRANGER, NO_OTHER_DISK))
}

/// Where the node is that is asked, and in whose name it is.
struct Asker {
    cluster: StrBytes,
    me: i32,
    epoch: i32,
    last_epoch: i32,
    end: i64,
    /// Another voter if there is one.
    other: (i32, Uuid),
}

impl Asker {
    fn of(controller: &Controller, look: &QuorumLook) -> Self {
        let me = controller.setup().node_id;
        let voters = controller.voters();
        let other = voters.iter().find(|voter| voter.id != me).map(|voter| (voter.id, voter.directory_id));
        let (end, last) = controller.log().map_or((0, 0), |log| (log.log_end_offset(), last_epoch(log, look)));
        let cluster = StrBytes::from_string(controller.setup().cluster_id.clone());
        let other = other.unwrap_or((STRANGER, NO_DISK));
        Asker { cluster, me, epoch: look.epoch, last_epoch: last, end, other }
    }

    /// A vote for the other, who has what the node has; `change` makes it odd.
    fn vote(&self, what: &'static str, change: impl FnOnce(&mut PartitionData)) -> Question {
        let mut partition = PartitionData::default()
            .with_replica_epoch(self.epoch + 1)
            .with_replica_id(BrokerId(self.other.0))
            .with_replica_directory_id(self.other.1)
            .with_last_offset_epoch(self.last_epoch)
            .with_last_offset(self.end);
        change(&mut partition);
        let topic = TopicData::default()
            .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
            .with_partitions(vec![partition]);
        let request = VoteRequest::default()
            .with_cluster_id(Some(self.cluster.clone()))
            .with_voter_id(BrokerId(self.me))
            .with_topics(vec![topic]);
        Question { what, version: versions::VOTE, request: request.into() }
    }

    fn votes(&self, look: &QuorumLook, dialogues: &mut Vec<Vec<Question>>) {
        let (epoch, end, last) = (self.epoch, self.end, self.last_epoch);
        dialogues.push(vec![
            // What is refused changes nothing: all of it can be asked of one copy.
            self.vote("to vote in an epoch that is over", |p| {
                (p.replica_epoch, p.last_offset_epoch) = (epoch - 1, last.min(epoch - 2).max(0));
            }),
            self.vote("to vote for one whose log is of its own epoch", |p| p.last_offset_epoch = epoch + 1),
            self.vote("to vote in its epoch", |p| {
                (p.replica_epoch, p.last_offset_epoch) = (epoch, last.min(epoch - 1).max(0));
            }),
            self.vote("for a pre-vote", |p| (p.replica_epoch, p.pre_vote) = (epoch, true)),
            self.vote("for a pre-vote by one that is behind", |p| {
                (p.replica_epoch, p.pre_vote, p.last_offset) = (epoch, true, (end - 1).max(0));
            }),
            self.vote("to vote on another disk", |p| p.voter_directory_id = NO_DISK),
            self.vote("to vote for one that is behind", |p| {
                (p.replica_epoch, p.last_offset) = (epoch + 2, (end - 1).max(0));
            }),
            self.vote("to vote for one of an older history", |p| {
                p.replica_epoch = epoch + 3;
                (p.last_offset_epoch, p.last_offset) = ((last - 1).max(0), end + 100);
            }),
            self.vote("to vote in a new epoch", |p| p.replica_epoch = epoch + 4),
            self.vote("to vote for the same once more", |p| p.replica_epoch = epoch + 4),
            self.vote("to vote for another", |p| (p.replica_epoch, p.replica_id) = (epoch + 4, BrokerId(STRANGER))),
            self.vote("to vote for the same on another disk", |p| {
                (p.replica_epoch, p.replica_directory_id) = (epoch + 4, NO_OTHER_DISK);
            }),
        ]);
        if look.voted.is_some() || matches!(look.role, QuorumRole::Unattached | QuorumRole::Prospective) {
            let (node, disk) = look.voted.unwrap_or((self.other.0, Some(self.other.1)));
            let again = |what, disk: Uuid| {
                self.vote(what, |p| {
                    (p.replica_epoch, p.last_offset_epoch) = (epoch, last.min(epoch - 1).max(0));
                    (p.replica_id, p.replica_directory_id) = (BrokerId(node), disk);
                })
            };
            let it = disk.unwrap_or_default();
            dialogues.push(vec![again("to vote again", it), again("to vote for it on another disk", NO_OTHER_DISK)]);
        }
    }

    fn fetch(&self, what: &'static str, epoch: i32, (last, offset): (i32, i64), by: (i32, Uuid)) -> Question {
        let partition = FetchPartition::default()
            .with_current_leader_epoch(epoch)
            .with_fetch_offset(offset)
            .with_last_fetched_epoch(last)
            .with_partition_max_bytes(1 << 20)
            .with_replica_directory_id(by.1);
        let request = FetchRequest::default()
            .with_cluster_id(Some(self.cluster.clone()))
            .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(by.0)))
            .with_max_bytes(1 << 20)
            .with_topics(vec![FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition])]);
        Question { what, version: versions::FETCH, request: request.into() }
    }

    fn fetches(&self, controller: &Controller, look: &QuorumLook, dialogues: &mut Vec<Vec<Question>>) {
        let Some(log) = controller.log() else { return };
        let (epoch, end, last, start) = (self.epoch, self.end, self.last_epoch, log.log_start_offset());
        let observer = (STRANGER, NO_DISK);
        let mut questions = vec![
            self.fetch("for metadata in a later epoch", epoch + 1, (last, end), observer),
            self.fetch("for metadata", epoch, (last, end), observer),
        ];
        if epoch > 0 {
            questions.push(self.fetch("for metadata in an epoch that is over", epoch - 1, (0, 0), observer));
        }
        if look.role == QuorumRole::Leader {
            let of_snapshot = look.snapshots.map_or(0, |(earliest, _)| earliest.epoch);
            questions.push(self.fetch("for metadata from its beginning", epoch, (0, 0), observer));
            questions.push(self.fetch("for metadata from below the log", epoch, (of_snapshot, start - 1), observer));
            questions.push(self.fetch("for metadata from where it begins", epoch, (of_snapshot, start), observer));
            let parted = if of_snapshot < epoch { of_snapshot + 1 } else { of_snapshot - 1 };
            questions.push(self.fetch(
                "for metadata by one that parted at its begin",
                epoch,
                (parted, start),
                observer,
            ));
            questions.push(self.fetch(
                "for metadata by one of an old history",
                epoch,
                (of_snapshot - 1, end),
                observer,
            ));
            questions.push(self.fetch("for metadata by one that has more", epoch, (last, end + 5), observer));
            // An epoch in which nobody wrote.
            let missing = (0..last).rev().find(|epoch| !log.epochs().iter().any(|entry| entry.epoch == *epoch));
            if let Some(missing) = missing {
                questions.push(self.fetch("for metadata after an epoch it has not", epoch, (missing, end), observer));
            }
            if look.high_watermark >= start {
                let at = look.high_watermark;
                let floor = log.epochs().iter().rfind(|entry| entry.start_offset < at).map(|entry| entry.epoch);
                let floor = floor.unwrap_or(of_snapshot);
                questions.push(self.fetch("for metadata that is not committed", epoch, (floor, at), observer));
            }
            // An impossible fetch is refused before anything is looked at.
            questions.retain(|question| match &question.request {
                RequestKind::Fetch(fetch) => fetch.topics[0].partitions[0].fetch_offset >= 0,
                _ => true,
            });
        }
        dialogues.push(questions);
    }

    /// The leader says that it leads no more, and who should follow it.
    fn ends(&self, leader: i32, look: &QuorumLook, dialogues: &mut Vec<Vec<Question>>) {
        let me = (self.me, look.directory_id.unwrap_or_default());
        let (first, second) = ((STRANGER, NO_DISK), (STRANGER + 1, NO_OTHER_DISK));
        let lists: [&[(i32, Uuid)]; 4] = [&[me, first], &[first, me], &[first, me, second], &[first, second]];
        for successors in lists {
            let candidate = |(id, disk): &(i32, Uuid)| {
                ReplicaInfo::default().with_candidate_id(BrokerId(*id)).with_candidate_directory_id(*disk)
            };
            let partition = EndPartition::default()
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(self.epoch)
                .with_preferred_candidates(successors.iter().map(candidate).collect());
            let topic = EndTopic::default()
                .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
                .with_partitions(vec![partition]);
            let request =
                EndQuorumEpochRequest::default().with_cluster_id(Some(self.cluster.clone())).with_topics(vec![topic]);
            let what = "to take the epoch for over";
            dialogues.push(vec![Question { what, version: versions::END_QUORUM_EPOCH, request: request.into() }]);
        }
    }

    fn remove(&self, what: &'static str, (id, disk): (i32, Uuid)) -> Question {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(Some(self.cluster.clone()))
            .with_voter_id(id)
            .with_voter_directory_id(disk);
        Question { what, version: versions::REMOVE_RAFT_VOTER, request: request.into() }
    }

    fn update(&self, what: &'static str, (id, disk): (i32, Uuid)) -> Question {
        let listener = Moved::default()
            .with_name(StrBytes::from_static_str(LISTENER))
            .with_host("elsewhere".into())
            .with_port(9093);
        let request = UpdateRaftVoterRequest::default()
            .with_cluster_id(Some(self.cluster.clone()))
            .with_current_leader_epoch(self.epoch)
            .with_voter_id(id)
            .with_voter_directory_id(disk)
            .with_listeners(vec![listener])
            .with_k_raft_version_feature(
                KRaftVersionFeature::default().with_max_supported_version(KRAFT_VERSION_LEVEL),
            );
        Question { what, version: versions::UPDATE_RAFT_VOTER, request: request.into() }
    }

    fn add(&self, what: &'static str, id: i32) -> Question {
        let listener = Added::default()
            .with_name(StrBytes::from_static_str(LISTENER))
            .with_host("elsewhere".into())
            .with_port(9093);
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(Some(self.cluster.clone()))
            .with_voter_id(id)
            .with_voter_directory_id(NO_OTHER_DISK)
            .with_listeners(vec![listener]);
        Question { what, version: versions::ADD_RAFT_VOTER, request: request.into() }
    }

    fn voters(&self, controller: &Controller, look: &QuorumLook, dialogues: &mut Vec<Vec<Question>>) {
        let (own, others) = ((self.me, look.directory_id.unwrap_or_default()), (self.other.0, NO_DISK));
        let mut refused = vec![
            self.remove("to remove a voter on another disk", others),
            self.remove("to remove who is no voter", (STRANGER, NO_DISK)),
            self.update("to move a voter on another disk", others),
        ];
        if self.other.0 != STRANGER {
            refused.push(self.add("to add a voter on another disk", self.other.0));
        }
        if controller.voters().len() == 1 {
            refused.push(self.remove("to remove the last voter", own));
            dialogues.push(refused);
            return;
        }
        dialogues.push(refused);
        dialogues.push(vec![
            self.add("to add a voter", STRANGER),
            self.remove("to remove a voter while another is added", self.other),
        ]);
        dialogues.push(vec![
            self.remove("to remove a voter", self.other),
            self.remove("to remove itself while another change is under way", own),
        ]);
        dialogues.push(vec![
            self.update("to move a voter", self.other),
            self.remove("to remove a voter before that is committed", self.other),
        ]);
        let mut goes = vec![self.remove("to remove itself", own)];
        for voter in controller.voters().iter().filter(|voter| voter.id != self.me) {
            let by = (voter.id, voter.directory_id);
            goes.push(self.fetch("for metadata behind its removal", self.epoch, (self.epoch, self.end + 1), by));
        }
        dialogues.push(goes);
    }
}
