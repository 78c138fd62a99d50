//! Strongly connected components in linear time (Tarjan), without recursion.

use super::graph::{Graph, Kinds};
use super::history::NONE;
use super::sort;

/// Components of more than one node, by edges of some kinds.
#[derive(Debug)]
pub(crate) struct Components {
    /// By node; [`NONE`] for a node that is on no cycle.
    pub(crate) component_of: Vec<u32>,
    /// The nodes of each, in order.
    pub(crate) members: Vec<Vec<u32>>,
}

impl Components {
    /// Finds them; within the components of more kinds if those are known.
    pub(crate) fn of(graph: &Graph, kinds: Kinds, within: Option<&Components>) -> Self {
        let nodes = graph.nodes();
        let same = |a: u32, b: u32| {
            within.is_none_or(|within| within.component_of[a as usize] == within.component_of[b as usize])
        };
        let mut components = Components { component_of: vec![NONE; nodes as usize], members: Vec::new() };
        let mut search =
            Search { number: vec![0; nodes as usize], low: vec![0; nodes as usize], next: 1, room: Vec::new() };
        let (mut path, mut open): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut visit = |root: u32| {
            if search.number[root as usize] != 0 {
                return;
            }
            search.enter(root);
            path.push((root, 0));
            open.push(root);
            while let Some((node, number)) = path.last_mut() {
                let (from, edge) = (*node, graph.edge(*node, *number));
                *number += 1;
                match edge {
                    Some((to, kind)) if kind & kinds != 0 && to != from && same(from, to) => {
                        match search.number[to as usize] {
                            0 => {
                                search.enter(to);
                                path.push((to, 0));
                                open.push(to);
                            }
                            CLOSED => {}
                            number => search.lower(from, number),
                        }
                    }
                    Some(_) => {}
                    None => {
                        path.pop();
                        let low = search.low[from as usize];
                        if let Some((parent, _)) = path.last() {
                            search.lower(*parent, low);
                        }
                        if low == search.number[from as usize] {
                            components.close(from, &mut open, &mut search);
                        }
                    }
                }
            }
        };
        match within {
            None => (0..nodes).for_each(&mut visit),
            Some(within) => within.members.iter().flatten().for_each(|node| visit(*node)),
        }
        components
    }

    /// Which of the kinds of edge there are inside one.
    pub(crate) fn kinds_inside(&self, graph: &Graph, component: u32, kinds: Kinds) -> Kinds {
        let mut inside = 0;
        for node in &self.members[component as usize] {
            let own = |to: u32| to != *node && self.component_of[to as usize] == component;
            inside |= graph.edges(*node).filter(|(to, _)| own(*to)).fold(0, |all, (_, kind)| all | kind & kinds);
            if inside == kinds {
                break;
            }
        }
        inside
    }

    fn close(&mut self, root: u32, open: &mut Vec<u32>, search: &mut Search) {
        let from = open.iter().rposition(|node| *node == root).unwrap_or_default();
        for node in &open[from..] {
            search.number[*node as usize] = CLOSED;
        }
        let mut members = open.split_off(from);
        if members.len() > 1 {
            sort::by_number(&mut members, &mut search.room, |node| u64::from(*node));
            for node in &members {
                self.component_of[*node as usize] = self.members.len() as u32;
            }
            self.members.push(members);
        }
    }
}

/// Its component is known.
const CLOSED: u32 = NONE;

struct Search {
    /// In the order of the first visit, from 1; 0 before it.
    number: Vec<u32>,
    low: Vec<u32>,
    next: u32,
    /// To sort members in.
    room: Vec<u32>,
}

impl Search {
    fn enter(&mut self, node: u32) {
        self.number[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
    }

    fn lower(&mut self, node: u32, to: u32) {
        let low = &mut self.low[node as usize];
        *low = to.min(*low);
    }
}
