//! `range`, as `RangeAssignorTest` of Kafka's clients and the documentation of the class expect it.

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
    ("t1 3; t2 3; c1: t1 t2; c2: t1 t2", "c1 t1-0 t1-1 t2-0 t2-1; c2 t1-2 t2-2"),
    // Static members go by their group.instance.id and before all others.
    ("t1 3; t2 3; b i=1: t1 t2; a i=2: t1 t2", "b t1-0 t1-1 t2-0 t2-1; a t1-2 t2-2"),
    ("t1 3; t2 3; b i=1: t1 t2; a: t1 t2", "b t1-0 t1-1 t2-0 t2-1; a t1-2 t2-2"),
    // A dynamic member is replaced by another: nobody else notices.
    (
        "t1 5; t2 4; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2; c4: t1 t2",
        "c1 t1-0 t1-1 t2-0; c2 t1-2 t2-1; c3 t1-3 t2-2; c4 t1-4 t2-3",
    ),
    (
        "t1 5; t2 4; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2; c5: t1 t2",
        "c1 t1-0 t1-1 t2-0; c2 t1-2 t2-1; c3 t1-3 t2-2; c5 t1-4 t2-3",
    ),
    // Static members return under other member ids: each instance has what it had.
    (
        "t1 5; t2 5; c1 i=1: t1 t2; c2 i=2: t1 t2; c3 i=3: t1 t2",
        "c1 t1-0 t1-1 t2-0 t2-1; c2 t1-2 t1-3 t2-2 t2-3; c3 t1-4 t2-4",
    ),
    (
        "t1 5; t2 5; c1 i=1: t1 t2; c5 i=2: t1 t2; c4 i=3: t1 t2",
        "c1 t1-0 t1-1 t2-0 t2-1; c5 t1-2 t1-3 t2-2 t2-3; c4 t1-4 t2-4",
    ),
    // The same with racks.
    (
        "racks a b c rf 2; t1 5@0; t2 5@0; c1 i=1 r=a: t1 t2; c2 i=2 r=b: t1 t2; c3 i=3 r=c: t1 t2",
        "c1 t1-0 t1-2 t2-0 t2-2; c2 t1-1 t1-3 t2-1 t2-3; c3 t1-4 t2-4",
    ),
    (
        "racks a b c rf 2; t1 5@0; t2 5@0; c1 i=1 r=a: t1 t2; c5 i=2 r=b: t1 t2; c4 i=3 r=c: t1 t2",
        "c1 t1-0 t1-2 t2-0 t2-2; c5 t1-1 t1-3 t2-1 t2-3; c4 t1-4 t2-4",
    ),
];

/// Topics of 6, 7 and 2 partitions. Racks do not matter where brokers have none, consumers have none, all partitions are in
/// all racks, or consumers are elsewhere; then they do.
const RACKS: &[Case] = &[
    ("t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", UNIFORM),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0: t1 t2 t3; c1: t1 t2 t3; c2: t1 t2 t3", UNIFORM),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", UNIFORM),
    ("racks a b c d rf 4; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", UNIFORM),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=d: t1 t2 t3; c1 r=e: t1 t2 t3; c2 r=f: t1 t2 t3", UNIFORM),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0: t1 t2 t3; c1 r=e: t1 t2 t3; c2 r=f: t1 t2 t3", UNIFORM),
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3",
        "c0 t1-0 t1-3 t2-0 t2-3 t2-6; c1 t1-1 t1-4 t2-1 t2-4 t3-0; c2 t1-2 t1-5 t2-2 t2-5 t3-1",
    ),
    (
        "racks a b c rf 2; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3",
        "c0 t1-0 t1-2 t2-0 t2-2 t2-3 t3-1; c1 t1-1 t1-3 t2-1 t2-4 t3-0; c2 t1-4 t1-5 t2-5 t2-6",
    ),
    // Nothing is near to the third.
    ("racks a b rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", UNIFORM),
    // The third does not subscribe to t2.
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-0 t1-3 t2-0 t2-2 t2-3 t2-6; c1 t1-1 t1-4 t2-1 t2-4 t2-5 t3-0; c2 t1-2 t1-5 t3-1",
    ),
    (
        "racks a b c rf 2; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-0 t1-2 t2-0 t2-2 t2-3 t2-5 t3-1; c1 t1-1 t1-3 t2-1 t2-4 t2-6 t3-0; c2 t1-4 t1-5",
    ),
    (
        "racks a b rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-0 t1-1 t2-0 t2-1 t2-2 t2-3 t3-0; c1 t1-2 t1-3 t2-4 t2-5 t2-6 t3-1; c2 t1-4 t1-5",
    ),
];

const UNIFORM: &str = "c0 t1-0 t1-1 t2-0 t2-1 t2-2 t3-0; c1 t1-2 t1-3 t2-3 t2-4 t3-1; c2 t1-4 t1-5 t2-5 t2-6";

/// Topics of as many partitions with the same members: the same partitions of each go together, near or not.
const CO_PARTITIONED: &[Case] = &[
    ("racks a b c rf 1; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", TOGETHER),
    ("racks a b c rf 2; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", TOGETHER),
    ("racks a b rf 3; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", TOGETHER),
    (
        "racks a b c rf 1; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-0 t1-1 t2-0 t2-1 t2-4 t3-0 t3-1; c1 t1-2 t1-3 t2-2 t2-3 t3-2 t3-3; c2 t1-4 t3-4",
    ),
    (
        "racks a b c rf 2; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-2 t2-0 t2-1 t2-3 t3-2; c1 t1-0 t1-3 t2-2 t2-4 t3-0 t3-3; c2 t1-1 t1-4 t3-1 t3-4",
    ),
    (
        "racks a b rf 3; t1 5; t2 5; t3 5; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "c0 t1-0 t1-1 t2-0 t2-1 t2-2 t3-0 t3-1; c1 t1-2 t1-3 t2-3 t2-4 t3-2 t3-3; c2 t1-4 t3-4",
    ),
    (
        "racks a b rf 2; t1 6; t2 6; t3 2; t4 2; c0 r=a: t1 t2; c1 r=b: t1 t2; c2 r=b: t3 t4; c3 r=a: t3 t4",
        "c0 t1-0 t1-1 t1-2 t2-0 t2-1 t2-2; c1 t1-3 t1-4 t1-5 t2-3 t2-4 t2-5; c2 t3-0 t4-0; c3 t3-1 t4-1",
    ),
    (
        "racks a b rf 1; t1 6; t2 6; t3 2; t4 2; c0 r=a: t1 t2; c1 r=b: t1 t2; c2 r=b: t3 t4; c3 r=a: t3 t4",
        "c0 t1-0 t1-2 t1-4 t2-0 t2-2 t2-4; c1 t1-1 t1-3 t1-5 t2-1 t2-3 t2-5; c2 t3-1 t4-1; c3 t3-0 t4-0",
    ),
    (
        "racks a b rf 1; t1 6; t2 6; t3 2; t4 2; c0 r=a: t1 t2 t3 t4; c1 r=b: t1 t2 t3 t4; c2 r=b: t1 t2 t3 t4; c3 r=a: t1 t2 t3 t4",
        "c0 t1-0 t1-2 t2-0 t2-2 t3-0 t4-0; c1 t1-1 t1-3 t2-1 t2-3 t3-1 t4-1; c2 t1-5 t2-5; c3 t1-4 t2-4",
    ),
    (
        "racks a b c rf 1; t1 6; t2 6; t3 2; t4 2; c0 r=a: t1 t2 t3 t4; c1 r=b: t1 t2 t3 t4; c2 r=b: t1 t2 t3 t4; c3 r=a: t1 t2 t3 t4",
        "c0 t1-0 t1-3 t2-0 t2-3 t3-0 t4-0; c1 t1-1 t1-4 t2-1 t2-4 t3-1 t4-1; c2 t1-2 t2-2; c3 t1-5 t2-5",
    ),
    (
        "racks a b c rf 2; t1 6; t2 6; t3 2; t4 2; t5 4; t6 4; \
         c0 r=a: t1 t2 t3 t4 t5 t6; c1 r=b: t1 t2 t3 t4 t5 t6; c2 r=c: t1 t2 t3 t4 t5 t6",
        "c0 t1-0 t1-2 t2-0 t2-2 t3-0 t4-0 t5-1 t6-1; c1 t1-1 t1-3 t2-1 t2-3 t3-1 t4-1 t5-2 t6-2; \
         c2 t1-4 t1-5 t2-4 t2-5 t5-0 t5-3 t6-0 t6-3",
    ),
];

const TOGETHER: &str = "c0 t1-0 t1-1 t2-0 t2-1 t3-0 t3-1; c1 t1-2 t1-3 t2-2 t2-3 t3-2 t3-3; c2 t1-4 t2-4 t3-4";

#[test]
fn members_get_consecutive_partitions_of_each_topic() {
    check_clients(ClientAssignor::Range, CASES);
}

#[test]
fn near_partitions_go_first_under_the_same_quotas() {
    check_clients(ClientAssignor::Range, RACKS);
}

#[test]
fn partitions_that_belong_together_stay_together_before_they_are_near() {
    check_clients(ClientAssignor::Range, CO_PARTITIONED);
}
