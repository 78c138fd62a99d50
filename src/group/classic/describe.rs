//! DescribeGroups and ListGroups: what a group is like, for whoever wants to know.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;

use super::{CONSUMER, ClassicGroup, ClassicState};
use crate::group::api::{group_id, optional_text, text};
use crate::group::coordinator::{Coordinator, Group};

impl Coordinator {
    /// A group that is not there is Dead; since version 6 that is an error too (KIP-1043).
    /// Source: `GroupMetadataManager.describeGroups`.
    pub fn describe_groups(&self, ids: &[String], api_version: i16) -> Vec<DescribedGroup> {
        let one = |id: &String| match self.committed_group(id) {
            Some(Group::Classic(group)) => group.described(),
            _ => {
                let code = if api_version >= 6 { ResponseError::GroupIdNotFound.code() } else { 0 };
                DescribedGroup::default()
                    .with_group_id(group_id(id))
                    .with_group_state(text("Dead"))
                    .with_error_code(code)
            }
        };
        ids.iter().map(one).collect()
    }

    /// Source: `GroupMetadataManager.listGroups`.
    pub fn list_groups(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let asked = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|asked| asked.trim().eq_ignore_ascii_case(name))
        };
        let listed =
            self.groups.iter_at(self.committed).filter_map(|(id, _)| self.committed_group(id).map(|g| (id, g)));
        listed
            .map(|(id, group)| {
                let (kind, state, protocol) = match group {
                    Group::Classic(group) => ("Classic", group.state.name(), group.protocol_type().unwrap_or("")),
                    Group::Consumer(group) => ("Consumer", group.state().name(), CONSUMER),
                };
                ListedGroup::default()
                    .with_group_id(group_id(id))
                    .with_group_type(text(kind))
                    .with_group_state(text(state))
                    .with_protocol_type(text(protocol))
            })
            .filter(|group| asked(states, &group.group_state) && asked(types, &group.group_type))
            .collect()
    }
}

impl ClassicGroup {
    /// Subscriptions and assignments are those of a generation, and told when it is complete.
    fn described(&self) -> DescribedGroup {
        let is_stable = self.state == ClassicState::Stable;
        let protocol = self.protocol_name.as_deref().filter(|_| is_stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            let described = DescribedGroupMember::default()
                .with_member_id(text(id))
                .with_group_instance_id(optional_text(member.instance.as_deref()))
                .with_client_id(text(&member.client_id))
                .with_client_host(text(&member.client_host));
            match is_stable {
                true => described
                    .with_member_metadata(member.metadata(protocol))
                    .with_member_assignment(member.assignment.clone()),
                false => described.with_member_assignment(member.assignment.clone()),
            }
        });
        DescribedGroup::default()
            .with_group_id(group_id(&self.id))
            .with_group_state(text(self.state.name()))
            .with_protocol_type(text(self.protocol_type.as_deref().unwrap_or_default()))
            .with_protocol_data(text(protocol))
            .with_members(members.collect())
    }
}
