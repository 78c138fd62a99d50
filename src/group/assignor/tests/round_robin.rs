//! `roundrobin`, as `RoundRobinAssignorTest` and the documentation of the class expect it.

use super::{Case, check_clients};
use crate::group::assignor::client::ClientAssignor;

const CASES: &[Case] = &[
    ("t 3; c:", "c"),
    ("u 3; c: t", "c"),
    ("t 3; c: t", "c t-0 t-1 t-2"),
    ("t 3; other 3; c: t", "c t-0 t-1 t-2"),
    ("t1 1; t2 2; c: t1 t2", "c t1-0 t2-0 t2-1"),
    ("t 1; c1: t; c2: t", "c1 t-0; c2"),
    ("t 2; c1: t; c2: t", "c1 t-0; c2 t-1"),
    ("t1 3; t2 2; c1: t1; c2: t1 t2; c3: t1", "c1 t1-0; c2 t1-1 t2-0 t2-1; c3 t1-2"),
    ("t1 3; t2 3; c1: t1 t2; c2: t1 t2", "c1 t1-0 t1-2 t2-1; c2 t1-1 t2-0 t2-2"),
    ("t1 3; t2 3; b i=1: t1 t2; a i=2: t1 t2", "b t1-0 t1-2 t2-1; a t1-1 t2-0 t2-2"),
    ("t1 3; t2 3; b i=1: t1 t2; a: t1 t2", "b t1-0 t1-2 t2-1; a t1-1 t2-0 t2-2"),
    (
        "t1 3; t2 3; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2; c4: t1 t2",
        "c1 t1-0 t2-1; c2 t1-1 t2-2; c3 t1-2; c4 t2-0",
    ),
    (
        "t1 3; t2 3; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2; c5: t1 t2",
        "c1 t1-0 t2-1; c2 t1-1 t2-2; c3 t1-2; c5 t2-0",
    ),
    (
        "t1 5; t2 5; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2",
        "c1 t1-0 t1-3 t2-1 t2-4; c2 t1-1 t1-4 t2-2; c3 t1-2 t2-0 t2-3",
    ),
    (
        "t1 5; t2 5; c1 i=1: t1 t2; c5 i=2: t1 t2; c4 i=3: t1 t2",
        "c1 t1-0 t1-3 t2-1 t2-4; c5 t1-1 t1-4 t2-2; c4 t1-2 t2-0 t2-3",
    ),
    // The documentation's of the sticky assignor: C1 leaves, and much moves that need not.
    (
        "t0 2; t1 2; t2 2; t3 2; C0: t0 t1 t2 t3; C1: t0 t1 t2 t3; C2: t0 t1 t2 t3",
        "C0 t0-0 t1-1 t3-0; C1 t0-1 t2-0 t3-1; C2 t1-0 t2-1",
    ),
    ("t0 2; t1 2; t2 2; t3 2; C0: t0 t1 t2 t3; C2: t0 t1 t2 t3", "C0 t0-0 t1-0 t2-0 t3-0; C2 t0-1 t1-1 t2-1 t3-1"),
    ("t0 1; t1 2; t2 3; C1: t0 t1; C2: t0 t1 t2", "C1 t0-0 t1-1; C2 t1-0 t2-0 t2-1 t2-2"),
    // What it does badly: the last member could relieve the others and the turns do not see it.
    ("t0 1; t1 2; t2 3; c0: t0; c1: t0 t1; c2: t0 t1 t2", "c0 t0-0; c1 t1-0; c2 t1-1 t2-0 t2-1 t2-2"),
    (
        "topic1 2; topic2 1; topic3 2; topic4 1; topic5 2; c1: topic1 topic2 topic3 topic4 topic5; \
         c2: topic1 topic3 topic5; c3: topic1 topic3 topic5; c4: topic1 topic2 topic3 topic4 topic5",
        "c1 topic1-0 topic3-0 topic5-0; c2 topic1-1 topic3-1 topic5-1; c3; c4 topic2-0 topic4-0",
    ),
];

#[test]
fn partitions_are_dealt_in_turn_to_those_who_subscribe() {
    check_clients(ClientAssignor::RoundRobin, CASES);
}
