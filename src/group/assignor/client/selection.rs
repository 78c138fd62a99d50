//! Which assignor does a group use, and which rebalance protocol does a member follow?

use std::collections::BTreeMap;

use super::ClientAssignor;
use crate::group::assignor::java_order;

/// How members go through a rebalance (`ConsumerPartitionAssignor.RebalanceProtocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RebalanceProtocol {
    /// A member gives up everything before it joins.
    Eager,
    /// A member goes on reading and gives up only what it is told to (KIP-429).
    Cooperative,
}

/// The names that every member supports, in the order of the first member.
pub fn supported_by_all<'a>(members: &'a [Vec<String>]) -> Vec<&'a str> {
    let Some((first, others)) = members.split_first() else { return Vec::new() };
    let by_all = |name: &&'a String| others.iter().all(|member| member.contains(name));
    first.iter().filter(by_all).map(String::as_str).collect()
}

/// The protocol of a group's next generation: every member votes for the first of its own that all support, and most votes
/// win (`ClassicGroup.selectProtocol`). Of equals the first in the order of Kafka's hash map wins. `None` where nothing is
/// supported by all; a coordinator does not let such a member join.
pub fn select_protocol(members: &[Vec<String>]) -> Option<&str> {
    let candidates = supported_by_all(members);
    let mut votes: BTreeMap<&str, i32> = BTreeMap::new();
    for vote in members.iter().filter_map(|member| member.iter().find(|name| candidates.contains(&name.as_str()))) {
        *votes.entry(vote).or_insert(0) += 1;
    }
    let most = votes.values().max()?;
    java_order::grown(votes.keys().copied()).into_iter().find(|name| votes.get(name) == Some(most))
}

/// The rebalance protocol of a member with these assignors: the highest that all of them support (`ConsumerCoordinator`).
/// `None` for a member without assignors.
pub fn rebalance_protocol(assignors: &[ClientAssignor]) -> Option<RebalanceProtocol> {
    let (first, others) = assignors.split_first()?;
    let by_all =
        |protocol: &&RebalanceProtocol| others.iter().all(|assignor| assignor.supported_protocols().contains(protocol));
    first.supported_protocols().iter().filter(by_all).max().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(lists: &[&str]) -> Vec<Vec<String>> {
        lists.iter().map(|list| list.split_whitespace().map(str::to_string).collect()).collect()
    }

    #[test]
    fn a_group_takes_what_all_support_and_most_prefer() {
        for (lists, expected) in [
            (&["range sticky", "sticky range", "sticky range"][..], Some("sticky")),
            (&["range roundrobin", "roundrobin"], Some("roundrobin")),
            // Most prefer range, but one does not know it.
            (&["range sticky", "range sticky", "sticky"], Some("sticky")),
            (&["range", "sticky"], None),
            (&[], None),
        ] {
            assert_eq!(select_protocol(&members(lists)), expected, "{lists:?}");
        }
    }

    #[test]
    fn a_tie_goes_to_who_comes_first_in_the_hash_map_whatever_the_order_of_the_members() {
        let one_way = members(&["range roundrobin", "roundrobin range"]);
        let other_way = members(&["roundrobin range", "range roundrobin"]);
        let first_in_map = java_order::grown(["range", "roundrobin"])[0];
        assert_eq!(select_protocol(&one_way), Some(first_in_map));
        assert_eq!(select_protocol(&other_way), Some(first_in_map));
    }

    #[test]
    fn one_eager_assignor_makes_a_member_eager() {
        use ClientAssignor::{CooperativeSticky, Range};
        assert_eq!(rebalance_protocol(&[CooperativeSticky]), Some(RebalanceProtocol::Cooperative));
        // The way to upgrade: first both, then only the cooperative one.
        assert_eq!(rebalance_protocol(&[CooperativeSticky, Range]), Some(RebalanceProtocol::Eager));
        assert_eq!(rebalance_protocol(&[Range]), Some(RebalanceProtocol::Eager));
        assert_eq!(rebalance_protocol(&[]), None);
    }
}
