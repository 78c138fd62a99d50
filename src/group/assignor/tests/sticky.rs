//! `sticky`, as `AbstractStickyAssignorTest`, `StickyAssignorTest` and the documentation of the class expect it.

use super::{Case, check_clients};
use crate::group::assignor::client::ClientAssignor;

/// Everybody subscribes to the same.
pub(super) const EQUAL: &[Case] = &[
    ("t 3; c:", "c"),
    ("u 3; c: t", "c"),
    ("t 3; c: t", "c t-0 t-1 t-2"),
    ("t 2; c: t | t-0 t-1 other-0 other-1", "c t-0 t-1"),
    ("t1 1; t2 2; c: t1 t2", "c t1-0 t2-0 t2-1"),
    ("t 1; c1: t; c2: t", "c1 t-0; c2"),
    ("t 2; c1: t; c2: t", "c1 t-0; c2 t-1"),
    ("t1 3; t2 3; c1: t1 t2; c2: t1 t2", "c1 t1-0 t1-2 t2-1; c2 t1-1 t2-0 t2-2"),
    // Owning the lower quota and getting one more.
    ("t1 2; t2 3; c1: t1 t2 | t1-0 t2-1; c2: t1 t2 | t1-1 t2-2", "c1 t1-0 t2-1 t2-0; c2 t1-1 t2-2"),
    // Everybody below the lower quota.
    ("t1 2; t2 3; c1: t1 t2 | t1-0; c2: t1 t2 | t1-1; c3: t1 t2", "c1 t1-0 t2-1; c2 t1-1 t2-2; c3 t2-0"),
    ("t 4; c1: t | t-0 t-1; c2: t | t-2; c3: t", "c1 t-0 t-1; c2 t-2; c3 t-3"),
    ("t1 3; t2 4; c1: t1 t2; c2: t1 t2", "c1 t1-0 t1-2 t2-1 t2-3; c2 t1-1 t2-0 t2-2"),
    // Two of four leave, and the others share what they had.
    ("t1 3; t2 4; c3: t1 t2 | t1-2 t2-3; c4: t1 t2 | t2-2", "c3 t1-2 t2-3 t1-0 t2-1; c4 t2-2 t1-1 t2-0"),
    ("t 3; c2: t | t-2", "~c2 t-0 t-1 t-2"),
    // Of two claims that of the higher generation counts; one without a generation has the lowest.
    ("t 3; t2 3; c1 g=10: t t2 | t-0 t-2 t2-1; c2 g=9: t t2 | t-0 t-2 t2-1", "~c1 t-0 t-2 t2-1; c2 t-1 t2-0 t2-2"),
    ("t 3; t2 3; c1 g=10: t t2 | t-0 t-2 t2-1; c2 g=-1: t t2 | t-0 t-2 t2-1", "~c1 t-0 t-2 t2-1; c2 t-1 t2-0 t2-2"),
    (
        "t 3; t2 3; t3 3; c1 g=10: t t2 t3 | t-0 t2-0 t3-0; c2 g=9: t t2 t3 | t-1 t2-1 t3-1; \
         c3 g=8: t t2 t3 | t2-1 t3-0 t3-2",
        "~c1 t-0 t2-0 t3-0; c2 t-1 t2-1 t3-1; c3 t-2 t2-2 t3-2",
    ),
    (
        "t 3; t1 3; t2 3; t3 3; c1 g=-1: t t1 t2 t3; c2 g=9: t t1 t2 t3 | t-0 t2-0 t1-0; \
         c3 g=8: t t1 t2 t3 | t3-2 t2-2 t1-1; c4 g=7: t t1 t2 t3 | t3-1 t-1 t-2",
        "~c1 t1-2 t2-1 t3-0; c2 t-0 t1-0 t2-0; c3 t1-1 t2-2 t3-2; c4 t-1 t-2 t3-1",
    ),
    ("t 3; t2 3; c1 g=10: t t2 | t-0 t2-1 t-1; c2 g=8: t t2 | t-0 t2-1 t2-2", "~c1 t-0 t2-1 t-1; c2 t-2 t2-2 t2-0"),
    // The documentation's.
    (
        "t0 2; t1 2; t2 2; t3 2; C0: t0 t1 t2 t3; C1: t0 t1 t2 t3; C2: t0 t1 t2 t3",
        "C0 t0-0 t1-1 t3-0; C1 t0-1 t2-0 t3-1; C2 t1-0 t2-1",
    ),
    // C1 leaves, and the others keep all that they have. (What C1 had, the documentation deals out as older versions did.)
    (
        "t0 2; t1 2; t2 2; t3 2; C0: t0 t1 t2 t3 | t0-0 t1-1 t3-0; C2: t0 t1 t2 t3 | t1-0 t2-1",
        "C0 t0-0 t3-0 t1-1 t0-1; C2 t1-0 t2-1 t2-0 t3-1",
    ),
];

/// As [`EQUAL`], but partitions change hands: the cooperative assignor withholds them.
const TRANSFERRING: &[Case] = &[
    // Kafka's hash map has consumer2 before consumer1: so it is consumer2 that keeps two.
    (
        "topic1 2; topic2 2; consumer1: topic1 topic2 | topic1-0 topic2-0; consumer2: topic1 topic2 | topic1-1 topic2-1; \
         consumer3: topic1 topic2",
        "consumer1 topic1-0; consumer2 topic1-1 topic2-1; consumer3 topic2-0",
    ),
    ("t 3; c1: t | t-0 t-1 t-2; c2: t", "c1 t-0 t-1; c2 t-2"),
    (
        "t1 3; t2 4; c1: t1 t2 | t1-0 t1-2 t2-1 t2-3; c2: t1 t2 | t1-1 t2-0 t2-2; c3: t1 t2; c4: t1 t2",
        "c1 t1-0 t2-1; c2 t2-0 t1-1; c3 t1-2 t2-3; c4 t2-2",
    ),
    // Two of one generation claim t-0: neither keeps it.
    ("t 3; c1: t | t-0 t-1; c2: t | t-0 t-2; c3: t", "c1 t-1; c2 t-2; c3 t-0"),
    ("t 4; c1: t | t-0 t-1; c2: t | t-0 t-2; c3: t", "c1 t-1 t-3; c2 t-2; c3 t-0"),
];

/// Members subscribe to different topics.
const DIFFERENT: &[Case] = &[
    ("t1 3; t2 2; c1: t1; c2: t1 t2; c3: t1", "c1 t1-0 t1-2; c2 t2-0 t2-1; c3 t1-1"),
    // The documentation's: C0 leaves.
    ("t0 1; t1 2; t2 3; C0: t0; C1: t0 t1; C2: t0 t1 t2", "~C0 t0-0; C1 t1-0 t1-1; C2 t2-0 t2-1 t2-2"),
    ("t0 1; t1 2; t2 3; C1: t0 t1 | t1-0 t1-1; C2: t0 t1 t2 | t2-0 t2-1 t2-2", "~C1 t1-0 t1-1 t0-0; C2 t2-0 t2-1 t2-2"),
    // Kafka compares subscriptions with the first that names a topic. So of two members one of which subscribes to nothing,
    // that one gets its share if the hash map has it first, as it has "p" before "a".
    ("t 2; p:; a: t", "a t-0; p t-1"),
    ("t 2; p: t; a:", "a; p t-0 t-1"),
    // What roundrobin handles badly.
    (
        "topic1 2; topic2 1; topic3 2; topic4 1; topic5 2; c1: topic1 topic2 topic3 topic4 topic5; \
         c2: topic1 topic3 topic5; c3: topic1 topic3 topic5; c4: topic1 topic2 topic3 topic4 topic5",
        "~c1 topic2-0 topic3-0; c2 topic1-0 topic3-1; c3 topic1-1 topic5-0; c4 topic4-0 topic5-1",
    ),
];

const RACKS_EQUAL: &[Case] = &[
    ("t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", SPREAD),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0: t1 t2 t3; c1: t1 t2 t3; c2: t1 t2 t3", SPREAD),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", SPREAD),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=d: t1 t2 t3; c1 r=e: t1 t2 t3; c2 r=f: t1 t2 t3", SPREAD),
    ("racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", SPREAD),
    ("racks a b c rf 2; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", SPREAD),
    // Nothing is near to the third: it gets as much all the same.
    ("racks a b rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t2 t3", SPREAD),
    // What is owned far away is not kept.
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-0 t1-1 t1-2 t1-3 t1-4; \
         c1 r=b: t1 t2 t3 | t1-5 t2-0 t2-1 t2-2 t2-3; c2 r=c: t1 t2 t3 | t2-4 t2-5 t2-6 t3-0 t3-1",
        SPREAD,
    ),
];

const SPREAD: &str = "~c0 t1-0 t1-3 t2-0 t2-3 t2-6; c1 t1-1 t1-4 t2-1 t2-4 t3-0; c2 t1-2 t1-5 t2-2 t2-5 t3-1";

/// The third does not subscribe to t2.
pub(super) const RACKS_DIFFERENT: &[Case] = &[
    ("t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3", UNEVEN),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0: t1 t2 t3; c1: t1 t2 t3; c2: t1 t3", UNEVEN),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3", UNEVEN),
    ("racks a b c d rf 4; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3", UNEVEN),
    ("racks a b c rf 3; t1 6; t2 7; t3 2; c0: t1 t2 t3; c1 r=e: t1 t2 t3; c2 r=f: t1 t3", UNEVEN),
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "~c0 t1-3 t2-0 t2-2 t2-3 t2-6; c1 t1-4 t2-1 t2-4 t2-5 t3-0; c2 t1-0 t1-1 t1-2 t1-5 t3-1",
    ),
    (
        "racks a b c rf 2; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3",
        "~c0 t1-3 t2-0 t2-2 t2-5 t2-6; c1 t1-0 t2-1 t2-3 t2-4 t3-0; c2 t1-1 t1-2 t1-4 t1-5 t3-1",
    ),
    ("racks a b rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3; c1 r=b: t1 t2 t3; c2 r=c: t1 t3", UNEVEN),
];

const UNEVEN: &str = "~c0 t1-5 t2-0 t2-2 t2-4 t2-6; c1 t1-3 t2-1 t2-3 t2-5 t3-0; c2 t1-0 t1-1 t1-2 t1-4 t3-1";

#[test]
fn members_keep_what_they_own_up_to_their_share() {
    check_clients(ClientAssignor::Sticky, EQUAL);
    check_clients(ClientAssignor::Sticky, TRANSFERRING);
}

#[test]
fn members_of_different_topics_are_balanced_by_moving_little() {
    check_clients(ClientAssignor::Sticky, DIFFERENT);
}

#[test]
fn near_partitions_go_first_where_balance_allows() {
    check_clients(ClientAssignor::Sticky, RACKS_EQUAL);
    check_clients(ClientAssignor::Sticky, RACKS_DIFFERENT);
}
