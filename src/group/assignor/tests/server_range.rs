//! `range` of the coordinator, as `RangeAssignorTest` of its module expects it.

use super::{Case, Given, check_servers, run_server, topic_id};
use crate::group::assignor::server::{AssignorError, ServerAssignor};
use crate::ids::Topic;

const CASES: &[Case] = &[
    ("T1 3; A:", "A"),
    ("T1 3; T3 2; A: T1 T3; B: T1 T3", "A T1-0 T1-1 T3-0; B T1-2 T3-1"),
    ("T1 3; T2 3; T3 2; A: T1 T2; B: T3; C: T2 T3", "A T1-0 T1-1 T1-2 T2-0 T2-1; B T3-0; C T2-2 T3-1"),
    ("T1 3; T3 2; A: T1 T3; B: T1 T3; C: T1 T3", "A T1-0 T3-0; B T1-1 T3-1; C T1-2"),
    // Static members come first and keep their place under a new member id.
    ("T1 3; A i=A: T1; B i=B: T1", "A T1-0 T1-1; B T1-2"),
    ("T1 3; A1 i=A: T1; B i=B: T1", "A1 T1-0 T1-1; B T1-2"),
    ("T1 5; A i=A: T1; C i=C: T1; B: T1", "A T1-0 T1-1; B T1-4; C T1-2 T1-3"),
    ("T1 5; A1 i=A: T1; C i=C: T1; B: T1", "A1 T1-0 T1-1; B T1-4; C T1-2 T1-3"),
    // What was assigned before does not count.
    ("T1 2; T2 2; A: T1 T2 | T1-0 T2-0; B: T1 T2 | T1-1 T2-1; C: T1 T2", "A T1-0 T2-0; B T1-1 T2-1; C"),
    (
        "T1 4; T2 4; A: T1 T2 | T1-0 T1-1 T2-0 T2-1; B: T1 T2 | T1-2 T2-2",
        "A T1-0 T1-1 T2-0 T2-1; B T1-2 T1-3 T2-2 T2-3",
    ),
    (
        "T1 3; T2 3; A: T1 T2 | T1-0 T1-1 T2-0 T2-1; B: T1 T2 | T1-2 T2-2; C: T1 T2",
        "A T1-0 T2-0; B T1-1 T2-1; C T1-2 T2-2",
    ),
    (
        "T1 4; T2 3; A: T1 T2 | T1-0 T1-1 T2-0 T2-1; B: T1 T2 | T1-2 T2-2; C: T1",
        "A T1-0 T1-1 T2-0 T2-1; B T1-2 T2-2; C T1-3",
    ),
    ("T1 3; T2 3; B: T1 T2 | T1-2 T2-2", "B T1-0 T1-1 T1-2 T2-0 T2-1 T2-2"),
    (
        "T1 3; T2 3; T3 2; A: T1 | T1-0 T1-1 T1-2 T2-0; B: T1 T2 T3 | T2-1; C: T2 | T2-2 T3-0 T3-1",
        "A T1-0 T1-1; B T1-2 T2-0 T2-1 T3-0 T3-1; C T2-2",
    ),
];

#[test]
fn members_get_consecutive_partitions_of_each_topic() {
    check_servers(ServerAssignor::Range, CASES);
}

#[test]
fn a_topic_of_unknown_size_is_an_error() {
    for text in ["T1 3; A: T2", "T1 3; A: T2; B: T1"] {
        let given = Given::read(text);
        let error = run_server(ServerAssignor::Range, &given, &given.group());
        assert_eq!(error, Err(AssignorError::UnknownTopic { topic_id: topic_id(&Topic::new("T2")) }), "{text}");
    }
}
