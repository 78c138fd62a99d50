//! Which request is which operation.

use kafka_protocol::error::ResponseError;

use crate::conformance::OffsetRule;
use crate::group::api::{Caller, Request, Response};
use crate::group::coordinator::{Context, Coordinator, Outcome, Written};

impl Coordinator {
    /// The answer of a request that only reads; `None` for one that may write.
    pub fn read(&self, cx: Context<'_>, caller: &Caller, request: &Request) -> Option<Result<Response, ResponseError>> {
        Some(match request {
            Request::DescribeGroups(groups) => {
                Ok(Response::DescribeGroups(self.describe_groups(groups, caller.api_version)))
            }
            Request::ConsumerGroupDescribe(groups) => {
                Ok(Response::ConsumerGroupDescribe(self.describe_consumer_groups(cx, groups)))
            }
            Request::ListGroups { states, types } => Ok(Response::ListGroups(self.list_groups(states, types))),
            Request::OffsetFetch { group, require_stable } if !waits(*require_stable) => {
                self.fetch_offsets(group, false).map(Response::OffsetFetch)
            }
            _ => return None,
        })
    }

    /// A request that may write.
    pub fn operate(&mut self, cx: Context<'_>, caller: &Caller, request: &Request) -> Outcome {
        match request {
            Request::JoinGroup(request) => self.join_group(cx, caller, request),
            Request::SyncGroup(request) => self.sync_group(caller, request),
            Request::Heartbeat(request) => self.heartbeat(cx, request),
            Request::LeaveGroup(request) => self.leave_group(cx, caller, request),
            Request::ConsumerGroupHeartbeat(request) => self.consumer_heartbeat(cx, caller, request),
            Request::OffsetCommit(request) => self.commit_offsets(cx, caller, request),
            Request::OffsetDelete(request) => self.delete_offsets(request),
            Request::DeleteGroups(groups) => self.delete_groups(groups),
            // What is stable is what is written: the answer waits until that is committed.
            Request::OffsetFetch { group, .. } => {
                self.fetch_offsets(group, true).map(|response| Written::answer(Response::OffsetFetch(response)))
            }
            Request::DescribeGroups(_) | Request::ConsumerGroupDescribe(_) | Request::ListGroups { .. } => {
                Ok(Written::nothing())
            }
        }
    }
}

fn waits(require_stable: bool) -> bool {
    require_stable && OffsetRule::StableReadsWait.holds()
}
