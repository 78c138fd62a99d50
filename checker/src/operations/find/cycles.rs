//! g0, g1c, g1c-wr-only and their realtime variants: one finding for each component that has such a cycle, with its shortest
//! witness. What each may consist of, and has at least one of: g0 ww; g1c ww and wr; g1c-wr-only wr; the realtime variants
//! realtime besides. Cycles of wr alone are always told apart from those that ww helps.

use super::super::components::Components;
use super::super::facts::Facts;
use super::super::graph::{Graph, Kinds, RT, WR, WW};
use super::super::history::NONE;
use super::super::options::{BUG, INFO};
use super::super::report::{About, Found, Words};
use super::super::witness::{self, Cycle};
use super::Definition;

pub(super) const G0: Definition =
    Definition { code: "g0", what: "write cycle: a cycle of ww", class: "INFO: writes of transactions interleave" };
pub(super) const G0_REALTIME: Definition =
    Definition { code: "g0-realtime", what: "a cycle of ww and realtime, with at least one of each", class: "INFO" };
pub(super) const G1C: Definition =
    Definition { code: "g1c", what: "a cycle of ww and wr, with at least one of each", class: "INFO" };
pub(super) const G1C_REALTIME: Definition = Definition {
    code: "g1c-realtime",
    what: "a cycle of ww, wr and realtime, with at least one of each",
    class: "INFO",
};
pub(super) const G1C_WR_ONLY: Definition = Definition {
    code: "g1c-wr-only",
    what: "circular information flow: a cycle of wr alone",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};
pub(super) const G1C_WR_ONLY_REALTIME: Definition = Definition {
    code: "g1c-wr-only-realtime",
    what: "a cycle of wr and realtime, with at least one of each: something was read before it was sent",
    class: "BUG",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let Some(graph) = Graph::of(facts) else { return };
    let all = WW | WR | RT;
    let most = Components::of(&graph, all, None);
    if most.members.is_empty() {
        return;
    }
    let components = 0..most.members.len() as u32;
    let inside = components.fold(0, |inside, component| inside | most.kinds_inside(&graph, component, all));
    let mut local = vec![NONE; graph.nodes() as usize];
    let read = found.options.of_isolation();
    for (code, kinds, judgement) in [
        (G0.code, WW, INFO),
        (G0_REALTIME.code, WW | RT, INFO),
        (G1C.code, WW | WR, INFO),
        (G1C_REALTIME.code, all, INFO),
        (G1C_WR_ONLY.code, WR, read),
        (G1C_WR_ONLY_REALTIME.code, WR | RT, BUG),
    ] {
        if inside & kinds != kinds || !graph.may_return(kinds) {
            continue; // no cycle has an edge of each
        }
        // Where cycles have no other kinds, all of them are found already.
        let fewer = (inside & !kinds != 0).then(|| Components::of(&graph, kinds, Some(&most)));
        let components = fewer.as_ref().unwrap_or(&most);
        for component in 0..components.members.len() as u32 {
            if components.kinds_inside(&graph, component, kinds) == kinds
                && let Some(cycle) = witness::find(&graph, components, component, kinds, &mut local)
            {
                let size = components.members[component as usize].iter().filter(|n| graph.is_operation(**n)).count();
                found.add(code, judgement, |words| {
                    let about = About { ops: cycle.iter().map(|(op, _)| *op).collect(), ..About::default() };
                    (about, sentence(facts, &cycle, size, words))
                });
            }
        }
    }
}

fn sentence(facts: &Facts<'_>, cycle: &Cycle, size: usize, words: &Words<'_>) -> String {
    let mut links: Vec<String> = Vec::new();
    for (n, (op, kinds)) in cycle.iter().enumerate().take(8) {
        let next = cycle.get(n + 1).unwrap_or(&cycle[0]).0;
        links.push(link(facts, *op, next, *kinds, words));
    }
    let more = if cycle.len() > links.len() { format!("; … ({} links)", cycle.len()) } else { String::new() };
    let others = if size > cycle.len() { format!("; {size} operations depend on each other") } else { String::new() };
    format!("{}{more}{others}", links.join("; "))
}

fn link(facts: &Facts<'_>, from: u32, to: u32, kind: Kinds, words: &Words<'_>) -> String {
    let (a, b) = (words.index(from), words.index(to));
    match kind {
        WR => {
            let read = facts.polls(to).find(|poll| facts.records[facts.record(*poll) as usize].writer == from);
            let what = read.map_or(String::new(), |poll| {
                format!(" {} of {}", words.value(facts.record(poll)), words.key(facts.mention(poll).key))
            });
            format!("{a} sent{what}, which {b} read")
        }
        WW => {
            let follows = facts.sends(to).find_map(|send| {
                let (key, at) = (facts.mention(send).key, facts.position(send)?);
                let before = facts.log(key)[..facts.log(key).partition_point(|slot| slot.index < at)].last()?;
                (facts.records[before.record as usize].writer == from).then_some((key, before.record, send))
            });
            let what = follows.map_or(String::new(), |(key, before, send)| {
                let (one, other) = (words.value(before), words.value(facts.record(send)));
                format!(" {one} to {} before {b} sent {other}", words.key(key))
            });
            if what.is_empty() { format!("{a} wrote before {b}") } else { format!("{a} sent{what}") }
        }
        _ => format!("{a} completed before {b} was invoked"),
    }
}
