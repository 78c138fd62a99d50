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
        let same = |a: u32, b: u32| match within {
            None => graph.may_be_passed_twice(b),
            Some(within) => within.component_of[a as usize] == within.component_of[b as usize],
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
            None => (0..nodes).filter(|node| graph.may_be_passed_twice(*node)).for_each(&mut visit),
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

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::graph::{RT, WR, WW};
    use super::super::{Event, Function, History, Kind, Value};
    use super::*;
    use proptest::prelude::*;

    /// One transaction: its process, what it sent and at which offset, what it read.
    type Transaction = (i64, Vec<(i64, i64)>, Vec<(i64, i64)>);

    /// Each asks when it is its turn, and is told when its process asks again, or when all are told.
    fn history(transactions: &[Transaction], all_told: &[bool]) -> History {
        let mut history = History::new();
        let mut open: Vec<&Transaction> = Vec::new();
        let mut line = |(process, sent, read): &Transaction, kind: Kind| {
            // A value lies where its key and offset say, so that what is read is what was sent there.
            let mut at = |records: &[(i64, i64)]| -> Vec<_> {
                let atoms = &mut history.atoms;
                records.iter().map(|&(k, offset)| (atoms.integer(k), atoms.integer(offset), Some(offset))).collect()
            };
            let polls = if kind == Kind::Ok { at(read) } else { Vec::new() };
            let value = Some(Value { sends: at(sent), polls, keys: Vec::new() });
            let (producer, time, index, rebalances, seek_to_beginning) = (None, None, None, Vec::new(), false);
            let (process, function) = (*process, Function::Txn);
            let event = Event { process, producer, kind, function, time, index, value, rebalances, seek_to_beginning };
            history.push(event).expect("completions follow their invocations");
        };
        for (transaction, all) in transactions.iter().zip(all_told) {
            let is_over = |other: &&Transaction| *all || other.0 == transaction.0;
            open.iter().filter(|other| is_over(other)).for_each(|other| line(other, Kind::Ok));
            open.retain(|other| !is_over(other));
            line(transaction, Kind::Invoke);
            open.push(transaction);
        }
        open.iter().for_each(|other| line(other, Kind::Ok));
        history.finish().expect("it is short");
        history
    }

    /// The nodes that each node reaches and is reached by, if there are others.
    fn by_reaching(graph: &Graph, kinds: Kinds) -> Vec<Vec<u32>> {
        let nodes = graph.nodes();
        let reached = |from: u32| {
            let (mut seen, mut next) = (vec![false; nodes as usize], vec![from]);
            while let Some(node) = next.pop() {
                for (to, _) in graph.edges(node).filter(|(to, kind)| kind & kinds != 0 && *to != node) {
                    if !std::mem::replace(&mut seen[to as usize], true) {
                        next.push(to);
                    }
                }
            }
            seen
        };
        let reached: Vec<Vec<bool>> = (0..nodes).map(reached).collect();
        let both = |a: u32, b: u32| reached[a as usize][b as usize] && reached[b as usize][a as usize];
        let mut components: Vec<Vec<u32>> = (0..nodes).map(|a| (0..nodes).filter(|b| both(a, *b)).collect()).collect();
        components.retain(|component: &Vec<u32>| component.len() > 1);
        components.sort();
        components.dedup();
        components
    }

    fn sorted(components: &Components) -> Vec<Vec<u32>> {
        let mut members = components.members.clone();
        members.sort();
        members
    }

    fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
        let records = || prop::collection::vec((0..2i64, 0..12i64), 0..3);
        prop::collection::vec((0..4i64, records(), records()), 0..14)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        /// Looked for only where edges lead back, and within one another, they are those that reaching tells.
        #[test]
        fn components_are_what_reaches_itself(
            transactions in transactions(), all_told in prop::collection::vec(prop::bool::weighted(0.3), 14)
        ) {
            let history = history(&transactions, &all_told);
            let facts = Facts::of(&history);
            let graph = Graph::of_any(&facts);
            let most = Components::of(&graph, WW | WR | RT, None);
            prop_assert_eq!(sorted(&most), by_reaching(&graph, WW | WR | RT));
            prop_assert!(Graph::of(&facts).is_some() || most.members.is_empty());
            for kinds in [WW, WR, WW | WR, WW | RT, WR | RT] {
                let expected = by_reaching(&graph, kinds);
                prop_assert!(graph.may_return(kinds) || expected.is_empty(), "{kinds}");
                prop_assert_eq!(sorted(&Components::of(&graph, kinds, Some(&most))), expected, "{}", kinds);
            }
        }
    }
}
