//! How operations depend on each other: a graph whose cycles are isolation anomalies (Adya; Jepsen's Elle).
//!
//! - ww: this wrote a record, that the next one in the version order of the partition.
//! - wr: this wrote a record that that one read.
//! - rt, realtime: this completed before that one was invoked. Drawn through barriers, of which there is one wherever an
//!   invocation follows a completion, so that there are as many edges as operations and not their square:
//!
//! ```text
//!   operations that complete ─► barrier ─► barrier ─► operations invoked before the next completion
//! ```
//!
//! Time goes on along rt; where operations are numbered in the order of their invocations, only ww and wr may lead to a lower number.
//! A cycle comes back, so that each of its nodes lies between the ends of such an edge, and every set of kinds that has a cycle
//! has such an edge.
//!
//! Failed operations write nothing. Where an offset holds several values, or a value lies at several offsets, there is no
//! version order: such places are passed over.

use super::facts::Facts;
use super::history::{NONE, Outcome};

/// Kinds of dependency, as a set of bits.
pub(crate) type Kinds = u8;
pub(crate) const WW: Kinds = 1;
pub(crate) const WR: Kinds = 2;
pub(crate) const RT: Kinds = 4;

const WW_MARK: u32 = 1 << 31;

/// The graph. Nodes are operations by number, and behind them barriers.
pub(crate) struct Graph {
    operations: u32,
    barriers: u32,
    /// Where each operation's edges begin in `edges`, and the end.
    begins: Vec<u32>,
    edges: Vec<u32>,
    /// By operation: the barrier it completes before; [`NONE`] if none follows.
    after: Vec<u32>,
    /// By barrier: the first operation that is invoked behind it. Operations are numbered in the order of invocation.
    behind: Vec<u32>,
    /// Before each operation, and behind the last: does an edge lead back over there?
    leads_back: Vec<bool>,
    /// Kinds of edge that lead back somewhere.
    back: Kinds,
}

/// The edges of operations, counted.
struct Counted {
    /// By operation, from 1.
    edges: Vec<u32>,
    /// By operation: so many edges more lead back over the place before it than over the one before that.
    more_back: Vec<i32>,
    /// Kinds of edge that lead back somewhere.
    back: Kinds,
}

impl Counted {
    fn of(facts: &Facts<'_>) -> Self {
        let places = facts.history.ops.len() + 1;
        let mut counted = Counted { edges: vec![0; places], more_back: vec![0; places], back: 0 };
        each_edge(facts, |from, to, kind| {
            counted.edges[from as usize + 1] += 1;
            if to < from {
                counted.back |= kind;
                counted.more_back[to as usize + 1] += 1;
                counted.more_back[from as usize + 1] -= 1;
            }
        });
        counted
    }
}

impl Graph {
    /// Draws it, if it may have a cycle.
    pub(crate) fn of(facts: &Facts<'_>) -> Option<Self> {
        let counted = Counted::of(facts);
        (counted.back != 0).then(|| Graph::drawn(facts, counted))
    }

    fn drawn(facts: &Facts<'_>, counted: Counted) -> Self {
        let history = facts.history;
        let operations = history.ops.len() as u32;
        let barriers = history.ops.last().map_or(0, |op| op.before);
        let after = |op: &super::history::Operation| if op.after <= barriers { op.after } else { NONE };
        let Counted { edges: mut begins, more_back, back } = counted;
        for n in 1..begins.len() {
            begins[n] += begins[n - 1];
        }
        let mut open = 0;
        let leads_back = more_back.iter().map(|more| {
            open += more;
            open > 0
        });
        let mut graph = Graph {
            operations,
            barriers,
            edges: placed(facts, &begins),
            begins,
            after: history.ops.iter().map(after).collect(),
            behind: Vec::with_capacity(barriers as usize + 2),
            leads_back: leads_back.collect(),
            back,
        };
        for (number, op) in (0..).zip(&history.ops) {
            while graph.behind.len() <= op.before as usize {
                graph.behind.push(number);
            }
        }
        while graph.behind.len() <= barriers as usize + 1 {
            graph.behind.push(operations);
        }
        graph
    }

    /// It, though it may have no cycle.
    #[cfg(test)]
    pub(crate) fn of_any(facts: &Facts<'_>) -> Self {
        Graph::drawn(facts, Counted::of(facts))
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> u32 {
        self.operations + self.barriers
    }

    /// May cycles be made of these kinds?
    pub(crate) fn may_return(&self, kinds: Kinds) -> bool {
        self.back & kinds != 0
    }

    /// May a node be on a cycle?
    #[inline]
    pub(crate) fn may_be_passed_twice(&self, node: u32) -> bool {
        match self.is_operation(node) {
            true => self.leads_back[node as usize] || self.leads_back[node as usize + 1],
            false => self.leads_back[self.behind[(node - self.operations + 1) as usize] as usize],
        }
    }

    /// Is it an operation, not a barrier?
    pub(crate) fn is_operation(&self, node: u32) -> bool {
        node < self.operations
    }

    /// The edges of a node, as [`Self::edge`] numbers them.
    pub(crate) fn edges(&self, node: u32) -> impl Iterator<Item = (u32, Kinds)> {
        (0..).map_while(move |number| self.edge(node, number))
    }

    /// The edge of a node of that number: where to, and of which kind. Some numbers have edges of kinds not asked for:
    /// they are told all the same.
    #[inline]
    pub(crate) fn edge(&self, node: u32, number: u32) -> Option<(u32, Kinds)> {
        if self.is_operation(node) {
            let (from, to) = (self.begins[node as usize], self.begins[node as usize + 1]);
            if number < to - from {
                let edge = self.edges[(from + number) as usize];
                return Some((edge & !WW_MARK, if edge & WW_MARK == 0 { WR } else { WW }));
            }
            let after = self.after[node as usize];
            return (number == to - from && after != NONE).then(|| (self.operations + after - 1, RT));
        }
        let barrier = node - self.operations + 1;
        if number == 0 {
            // The last barrier has nothing behind it but operations; an edge to itself is none.
            return Some((if barrier < self.barriers { node + 1 } else { node }, RT));
        }
        let op = self.behind[barrier as usize] + number - 1;
        (op < self.behind[barrier as usize + 1]).then_some((op, RT))
    }
}

/// The edges of all operations, those of each where they begin.
fn placed(facts: &Facts<'_>, begins: &[u32]) -> Vec<u32> {
    let mut next = begins.to_vec();
    let mut edges = vec![0; begins.last().copied().unwrap_or(0) as usize];
    each_edge(facts, |from, to, kind| {
        edges[next[from as usize] as usize] = if kind == WW { to | WW_MARK } else { to };
        next[from as usize] += 1;
    });
    edges
}

fn each_edge(facts: &Facts<'_>, mut edge: impl FnMut(u32, u32, Kinds)) {
    let history = facts.history;
    let wrote = |op: u32| op != NONE && facts.outcome(op) != Outcome::Fail;
    for key in 0..history.keys.len() as u32 {
        let mut last = NONE;
        for slots in facts.log(key).chunk_by(|a, b| a.index == b.index).filter(|slots| slots.len() == 1) {
            let record = &facts.records[slots[0].record as usize];
            if record.first_index != record.last_index || record.sent_again || !wrote(record.writer) {
                continue;
            }
            if last != NONE && last != record.writer {
                edge(last, record.writer, WW);
            }
            last = record.writer;
        }
    }
    for (id, record) in (0..).zip(&facts.records).filter(|(_, record)| wrote(record.writer) && !record.sent_again) {
        for reader in facts.readers(id).filter(|reader| *reader != record.writer) {
            edge(record.writer, reader, WR);
        }
    }
}
