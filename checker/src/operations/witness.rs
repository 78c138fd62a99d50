//! The shortest cycle of a component that has every kind of edge asked for.
//!
//! From each operation of the component a breadth-first search over (node, kinds so far) looks for the way back, never longer than
//! the best so far. The work is bounded by a multiple of the component's size: in a component too large for all its
//! operations to be tried the shortest of those that were is told.
//!
//! The first way to a node may pass one that the way back needs, so that such a search misses what it looks for, in one order of
//! edges and not in another. Where all of them find nothing, every path is tried, as far as a bound lets it: a component of a few
//! dozen operations is judged the same whatever order they are told in.

use std::collections::VecDeque;

use super::components::Components;
use super::graph::{Graph, Kinds};
use super::history::NONE;

/// A cycle: operations, each with the kind of the edge that leads on from it.
pub(crate) type Cycle = Vec<(u32, Kinds)>;

/// The witness of a component, `None` if no simple cycle of it has all those kinds.
pub(crate) fn find(
    graph: &Graph,
    components: &Components,
    component: u32,
    kinds: Kinds,
    local: &mut [u32],
) -> Option<Cycle> {
    let members = &components.members[component as usize];
    for (number, node) in (0..).zip(members) {
        local[*node as usize] = number;
    }
    let states = members.len() * usize::from(kinds + 1);
    let mut search = Search {
        graph,
        inside: |node: u32| components.component_of[node as usize] == component,
        local,
        kinds,
        // (which search, the state before).
        came: vec![(0, NONE); states],
        budget: u64::MAX,
    };
    let mut best: Option<Cycle> = None;
    for (round, start) in (1..).zip(members.iter().filter(|node| graph.is_operation(**node))) {
        // A cycle of two is the shortest there is.
        let bound = best.as_ref().map_or(usize::MAX, Vec::len);
        if bound <= 2 || search.budget == 0 || (round == 2 && search.is_one_cycle(members)) {
            break;
        }
        if let Some(cycle) = search.from(*start, round, members)
            && cycle.len() < bound
        {
            best = Some(cycle);
        }
        if round == 1 {
            // The first search sees it through; all the others together may take a few times as long.
            search.budget = 1_024 + 32 * members.len() as u64;
        }
    }
    best.or_else(|| search.every_path(members))
}

/// So many edges are tried at most where every path is.
const EVERY_PATH: u32 = 1 << 18;

struct Search<'a, I: Fn(u32) -> bool> {
    graph: &'a Graph,
    inside: I,
    local: &'a [u32],
    kinds: Kinds,
    came: Vec<(u32, u32)>,
    budget: u64,
}

impl<I: Fn(u32) -> bool> Search<'_, I> {
    fn state(&self, node: u32, seen: Kinds) -> u32 {
        self.local[node as usize] * u32::from(self.kinds + 1) + u32::from(seen)
    }

    /// Are there as many edges as nodes? Then there is no other cycle.
    fn is_one_cycle(&self, members: &[u32]) -> bool {
        let mut edges = 0;
        for node in members {
            let own = self.graph.edges(*node).filter(|(to, kind)| kind & self.kinds != 0 && to != node);
            edges += own.filter(|(to, _)| (self.inside)(*to)).count();
            if edges > members.len() {
                return false;
            }
        }
        true
    }

    fn from(&mut self, start: u32, round: u32, members: &[u32]) -> Option<Cycle> {
        let mut queue = VecDeque::from([(start, 0)]);
        let first = self.state(start, 0);
        self.came[first as usize] = (round, NONE);
        while let Some((node, seen)) = queue.pop_front() {
            let here = self.state(node, seen);
            for (to, kind) in (0..).map_while(|number| self.graph.edge(node, number)) {
                self.budget = self.budget.saturating_sub(1);
                if kind & self.kinds == 0 || to == node || !(self.inside)(to) {
                    continue;
                }
                let seen = seen | kind;
                if to == start && seen == self.kinds {
                    return self.cycle(here, members);
                }
                let state = self.state(to, seen);
                if to != start && self.came[state as usize].0 != round {
                    self.came[state as usize] = (round, here);
                    queue.push_back((to, seen));
                }
            }
            if self.budget == 0 {
                return None;
            }
        }
        None
    }

    /// The way back from the last state, if it meets no operation twice.
    fn cycle(&self, last: u32, members: &[u32]) -> Option<Cycle> {
        let mut nodes = Vec::new();
        let mut state = last;
        while state != NONE {
            nodes.push(members[(state / u32::from(self.kinds + 1)) as usize]);
            state = self.came[state as usize].1;
        }
        nodes.reverse();
        let mut sorted = nodes.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        Some(self.of_nodes(&nodes))
    }

    /// The first simple cycle that has all the kinds, whichever way it takes. Each is looked for from the lowest of its nodes,
    /// which is an operation: behind a barrier are operations that were invoked later.
    fn every_path(&self, members: &[u32]) -> Option<Cycle> {
        let local = |node: u32| self.local[node as usize] as usize;
        let mut is_passed = vec![false; members.len()];
        let mut left = EVERY_PATH;
        for start in members.iter().copied().filter(|node| self.graph.is_operation(*node)) {
            // Where it is, the next edge to try, and the kinds that led there.
            let mut path: Vec<(u32, u32, Kinds)> = vec![(start, 0, 0)];
            while let Some((node, number, seen)) = path.last_mut() {
                let (here, edge, seen) = (*node, self.graph.edge(*node, *number), *seen);
                *number += 1;
                left = left.checked_sub(1)?;
                let Some((to, kind)) = edge else {
                    is_passed[local(here)] = false;
                    path.pop();
                    continue;
                };
                let seen = seen | kind;
                if kind & self.kinds == 0 || to == here || !(self.inside)(to) {
                    continue;
                }
                if to == start && seen == self.kinds {
                    return Some(self.of_nodes(&path.iter().map(|(node, ..)| *node).collect::<Vec<_>>()));
                }
                if to > start && !is_passed[local(to)] {
                    is_passed[local(to)] = true;
                    path.push((to, 0, seen));
                }
            }
        }
        None
    }

    fn of_nodes(&self, nodes: &[u32]) -> Cycle {
        let mut cycle: Cycle = Vec::new();
        for (n, node) in nodes.iter().enumerate().filter(|(_, node)| self.graph.is_operation(**node)) {
            let next = nodes.get(n + 1).unwrap_or(&nodes[0]);
            let kinds = (0..).map_while(|number| self.graph.edge(*node, number));
            let kind = kinds.filter(|(to, kind)| to == next && kind & self.kinds != 0).map(|(_, kind)| kind).min();
            cycle.push((*node, kind.unwrap_or_default()));
        }
        cycle
    }
}
