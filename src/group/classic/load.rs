//! A group as its record tells of it, for a coordinator that has not seen it become so.

use super::{ClassicGroup, ClassicMember, ClassicState};
use crate::conformance::ClassicGroupRule;
use crate::group::coordinator::{Context, Coordinator, Group};
use crate::group::records::ClassicGroupValue;

impl ClassicGroup {
    /// A group with members is stable: its record is written when its assignment is.
    /// Source: `GroupMetadataManager.replay(GroupMetadataKey, GroupMetadataValue)`.
    pub fn from_record(id: &str, value: &ClassicGroupValue) -> ClassicGroup {
        let known = |timestamp| (timestamp != -1).then_some(timestamp);
        let mut group = ClassicGroup::new(id, 0);
        group.state_since = known(value.current_state_timestamp);
        group.generation = value.generation;
        for member in &value.members {
            let rebalance =
                if member.rebalance_timeout == -1 { member.session_timeout } else { member.rebalance_timeout };
            let protocol = value.protocol.clone().unwrap_or_default();
            let loaded = ClassicMember {
                instance: member.group_instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: rebalance,
                session_timeout_ms: member.session_timeout,
                protocols: vec![(protocol, member.subscription.clone())],
                assignment: member.assignment.clone(),
                parked_join: None,
                parked_sync: None,
                is_new: false,
            };
            group.add(&member.member_id, &value.protocol_type, loaded);
        }
        group.protocol_type = Some(value.protocol_type.clone()).filter(|name| !name.is_empty());
        group.protocol_name.clone_from(&value.protocol);
        group.leader.clone_from(&value.leader);
        if !value.members.is_empty() {
            group.state = ClassicState::Stable;
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }
}

impl Coordinator {
    /// Every member has its session timeout from now on. Source: `GroupMetadataManager.onLoaded`.
    pub fn on_classic_group_loaded(&mut self, cx: Context<'_>, id: &str) {
        let Some(Group::Classic(group)) = self.groups.get(id) else { return };
        let members: Vec<String> = group.members.keys().cloned().collect();
        let is_too_large = members.len() > usize::try_from(self.config.max_size).unwrap_or(0);
        for member in members {
            if ClassicGroupRule::LoadedMembersAreWatched.holds() {
                self.reschedule_heartbeat(cx, id, &member);
            }
        }
        if is_too_large && ClassicGroupRule::GroupHasAMaxSize.holds() {
            // Nobody waits for anything yet, so the rebalance cannot be over at once: there is nothing to write.
            let _ = self.prepare_rebalance(cx, id, "it has more members than group.max.size");
        }
    }
}
