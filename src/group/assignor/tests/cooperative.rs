//! `cooperative-sticky`, as `CooperativeStickyAssignorTest` expects it: what changes hands is withheld.

use super::sticky::{EQUAL, RACKS_DIFFERENT};
use super::{Case, Given, check_clients, expected_of, shown, sorted};
use crate::group::assignor::client::{Claims, ClientAssignor};

const WITHHELD: &[Case] = &[
    (
        "topic1 2; topic2 2; consumer1: topic1 topic2 | topic1-0 topic2-0; consumer2: topic1 topic2 | topic1-1 topic2-1; \
         consumer3: topic1 topic2",
        "consumer1 topic1-0; consumer2 topic1-1 topic2-1; consumer3",
    ),
    ("t 3; c1: t | t-0 t-1 t-2; c2: t", "c1 t-0 t-1; c2"),
    (
        "t1 3; t2 4; c1: t1 t2 | t1-0 t1-2 t2-1 t2-3; c2: t1 t2 | t1-1 t2-0 t2-2; c3: t1 t2; c4: t1 t2",
        "c1 t1-0 t2-1; c2 t2-0 t1-1; c3; c4",
    ),
    // Several claim t-0: all of them have to stop before anybody may begin.
    ("t 3; c1: t | t-0 t-1; c2: t | t-0 t-2; c3: t", "c1 t-1; c2 t-2; c3"),
    ("t 4; c1: t | t-0 t-1; c2: t | t-0 t-2; c3: t", "c1 t-1 t-3; c2 t-2; c3"),
    // Two members have what is near to the other.
    ("racks a b rf 1; t 4@0; c0 r=a: t | t-0 t-1; c1 r=b: t | t-2 t-3", "c0 t-0; c1 t-3"),
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-0 t1-1 t1-2 t1-3 t1-4; \
         c1 r=b: t1 t2 t3 | t1-5 t2-0 t2-1 t2-2 t2-3; c2 r=c: t1 t2 t3 | t2-4 t2-5 t2-6 t3-0 t3-1",
        "~c0 t1-0 t1-3; c1 t2-1; c2 t2-5 t3-1",
    ),
    // Members of different topics, of which one lost t2: first what is given up, then what is had instead.
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-0 t1-1 t1-2 t1-3 t1-4; \
         c1 r=b: t1 t2 t3 | t1-5 t2-0 t2-1 t2-2 t2-3; c2 r=c: t1 t3 | t2-4 t2-5 t2-6 t3-0 t3-1",
        "~c0 t1-3; c1 t2-1; c2 t3-1",
    ),
    (
        "racks a b c rf 1; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-3; c1 r=b: t1 t2 t3 | t2-1; c2 r=c: t1 t3 | t3-1",
        "~c0 t1-3 t2-0 t2-2 t2-3 t2-6; c1 t1-4 t2-1 t2-4 t2-5 t3-0; c2 t1-0 t1-1 t1-2 t1-5 t3-1",
    ),
    (
        "racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-0 t1-1 t1-2 t1-3 t1-4; \
         c1 r=b: t1 t2 t3 | t1-5 t2-0 t2-1 t2-2 t2-3; c2 r=c: t1 t3 | t2-4 t2-5 t2-6 t3-0 t3-1",
        "~c0 t1-2 t1-3 t1-4; c1 t2-0 t2-1 t2-2 t2-3; c2 t3-0 t3-1",
    ),
    (
        "racks a b c rf 3; t1 6; t2 7; t3 2; c0 r=a: t1 t2 t3 | t1-2 t1-3 t1-4; \
         c1 r=b: t1 t2 t3 | t2-0 t2-1 t2-2 t2-3; c2 r=c: t1 t3 | t3-0 t3-1",
        "~c0 t1-2 t1-3 t1-4 t2-4 t2-5; c1 t2-0 t2-1 t2-2 t2-3 t2-6; c2 t1-0 t1-1 t1-5 t3-0 t3-1",
    ),
];

#[test]
fn where_nothing_changes_hands_it_assigns_as_sticky_does() {
    check_clients(ClientAssignor::CooperativeSticky, EQUAL);
    check_clients(ClientAssignor::CooperativeSticky, RACKS_DIFFERENT);
}

#[test]
fn what_changes_hands_is_withheld() {
    check_clients(ClientAssignor::CooperativeSticky, WITHHELD);
}

#[test]
fn who_owns_what_it_was_assigned_keeps_it() {
    let again = RACKS_DIFFERENT.iter().chain(EQUAL);
    for (text, expected) in again.filter(|(text, _)| !text.contains('|')) {
        let mut given = Given::read(text);
        let expected = sorted(expected_of(expected.trim_start_matches('~')));
        for member in &mut given.members {
            member.owned = expected[&member.id].clone();
        }
        let assignor = ClientAssignor::CooperativeSticky;
        let assigned = assignor.assign(&given.partitions, &given.subscriptions(assignor), Claims::ByGeneration);
        assert_eq!(shown(&sorted(assigned)), shown(&expected), "again: {text}");
    }
}

fn assigned(text: &str, claims: Claims) -> String {
    let given = Given::read(text);
    let assignor = ClientAssignor::CooperativeSticky;
    shown(&sorted(assignor.assign(&given.partitions, &given.subscriptions(assignor), claims)))
}

#[test]
fn a_member_that_went_away_is_not_believed() {
    // c1 went away in generation 1, c2 was given all in generation 2, c1 returns and claims what it had.
    let returns = "t 4; c1 g=1: t | t-0 t-1; c2 g=2: t | t-0 t-1 t-2 t-3";
    assert_eq!(assigned(returns, Claims::ByGeneration), "c1; c2 t-0 t-1", "c2 gives up two, and c1 waits for them");
}

#[test]
fn what_a_member_that_missed_a_generation_still_has_is_withheld_from_others() {
    // c1 joined generation 2 and did not learn what it was assigned; nobody else claims what it has. c3 comes.
    let missed = "t 6; c1 g=1: t | t-0 t-1 t-2; c2 g=2: t | t-3 t-4 t-5; c3: t";
    assert_eq!(assigned(missed, Claims::ByGeneration), "c1 t-0 t-1; c2 t-3 t-4; c3");
    // From Kafka 3.0 to 3.4 c1's claims were nothing: t-2 has c1 until it knows, and c3 too.
    assert_eq!(assigned(missed, Claims::OfHighestGeneration), "c1 t-0 t-2; c2 t-3 t-4; c3 t-1");
}
