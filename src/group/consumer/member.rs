//! A member of a group of the consumer protocol.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;

use crate::conformance::ConsumerGroupRule;
use crate::group::records::{CurrentAssignmentValue, MemberValue, Partitions, Record};

/// How far a member is on its way to its target (`MemberState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has all that it is to have.
    #[default]
    Stable,
    /// It is to give partitions back, and has not said that it has.
    UnrevokedPartitions,
    /// Others have not given back what it is to have.
    UnreleasedPartitions,
    /// A newer coordinator has written a state that is not known here.
    Unknown(i8),
}

impl MemberState {
    /// As records have it.
    pub fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown(code) => code,
        }
    }
    /// From a record.
    pub fn from_code(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            other => MemberState::Unknown(other),
        }
    }
}

/// A member (`ConsumerGroupMember`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    /// Its id.
    pub id: String,
    /// The epoch of the target assignment that it has come to; 0 before any.
    pub epoch: i32,
    /// The epoch before, which its client may still believe in.
    pub previous_epoch: i32,
    /// How far it is.
    pub state: MemberState,
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// `client.rack`.
    pub rack: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// How long it may take to give partitions back.
    pub rebalance_timeout_ms: i32,
    /// The topics that it names.
    pub subscribed_topic_names: BTreeSet<String>,
    /// The topics that it describes.
    pub subscribed_topic_regex: Option<String>,
    /// The assignor that it would like.
    pub server_assignor: Option<String>,
    /// What it has.
    pub assigned: Partitions,
    /// What it is to give back.
    pub pending_revocation: Partitions,
}

impl ConsumerMember {
    /// A member of which nothing is known yet.
    pub fn new(id: &str) -> ConsumerMember {
        ConsumerMember { id: id.to_string(), rebalance_timeout_ms: -1, ..ConsumerMember::default() }
    }
    /// Has it all that it is to have?
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }
    /// Source: `ConsumerGroup.validateMemberEpoch`.
    pub fn check_epoch(&self, received: i32) -> Result<(), ResponseError> {
        match received != self.epoch && ConsumerGroupRule::CommitNamesTheEpoch.holds() {
            true => Err(ResponseError::StaleMemberEpoch),
            false => Ok(()),
        }
    }
    /// The same member an epoch on (`ConsumerGroupMember.Builder.updateMemberEpoch`).
    pub fn in_epoch(&self, epoch: i32, state: MemberState, assigned: Partitions, revoked: Partitions) -> Self {
        ConsumerMember {
            epoch,
            previous_epoch: self.epoch,
            state,
            assigned,
            pending_revocation: revoked,
            ..self.clone()
        }
    }

    /// What it says, as a record.
    pub fn subscription_record(&self, group: &str) -> Record {
        let value = MemberValue {
            instance_id: self.instance.clone(),
            rack_id: self.rack.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.subscribed_topic_names.iter().cloned().collect(),
            subscribed_topic_regex: self.subscribed_topic_regex.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.server_assignor.clone(),
            classic: None,
        };
        Record::Member { group: group.to_string(), member: self.id.clone(), value: Some(value) }
    }
    /// What it has, as a record.
    pub fn assignment_record(&self, group: &str) -> Record {
        let value = CurrentAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned: self.assigned.clone(),
            pending_revocation: self.pending_revocation.clone(),
        };
        Record::CurrentAssignment { group: group.to_string(), member: self.id.clone(), value: Some(value) }
    }
    /// Source: `ConsumerGroupMember.Builder.updateWith(ConsumerGroupMemberMetadataValue)`.
    pub fn take_subscription(&mut self, value: &MemberValue) {
        self.instance.clone_from(&value.instance_id);
        self.rack.clone_from(&value.rack_id);
        self.client_id.clone_from(&value.client_id);
        self.client_host.clone_from(&value.client_host);
        self.subscribed_topic_names = value.subscribed_topic_names.iter().cloned().collect();
        self.subscribed_topic_regex.clone_from(&value.subscribed_topic_regex);
        self.rebalance_timeout_ms = value.rebalance_timeout_ms;
        self.server_assignor.clone_from(&value.server_assignor);
    }
    /// Source: `ConsumerGroupMember.Builder.updateWith(ConsumerGroupCurrentMemberAssignmentValue)`.
    pub fn take_assignment(&mut self, value: &CurrentAssignmentValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::from_code(value.state);
        self.assigned.clone_from(&value.assigned);
        self.pending_revocation.clone_from(&value.pending_revocation);
    }
}
