//! Whatever a file holds: no panic, and an error that names its line. Whatever a history is: no panic, the same verdict twice,
//! and none that hangs on names or on an order that means nothing.

use proptest::prelude::*;
use trial_checker::input::{self, Format, InputError};
use trial_checker::operations::{
    Event, Function, History, HistoryGroup, Isolation, Kind, Options, Rebalance, Value, check,
};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn read(text: &[u8], format: Option<Format>) -> Result<(), TestCaseError> {
    match input::read(text, format) {
        Ok(history) => {
            check(&history, Options::default());
        }
        Err(InputError::Wrong { place, what }) => {
            let lines = text.split(|b| *b == b'\n').count() as u64;
            prop_assert!(place.line >= 1 && place.line <= lines && place.column >= 1, "{place}: {what}");
            prop_assert!(!what.is_empty());
        }
        Err(InputError::Io(error)) => return Err(TestCaseError::fail(error.to_string())),
    }
    Ok(())
}

/// Words of histories in no order that makes sense.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "#{",
        "#_",
        "#inst",
        "#:a",
        "##NaN",
        "\"",
        "\\",
        "\\a",
        ";",
        "\n",
        ",",
        " ",
        ":process",
        ":type",
        ":ok",
        ":invoke",
        ":info",
        ":f",
        ":send",
        ":poll",
        ":txn",
        ":value",
        ":index",
        "0",
        "1",
        "-1",
        "1N",
        "2/3",
        "1.5M",
        "1e9",
        "99999999999999999999",
        "nil",
        "true",
        "{:process 0 :type :invoke :f :poll :value [[:poll]]}",
        "{:process 0 :type :ok :f :poll :value [[:poll {1 [[0 1]]}]]}",
        "é",
        "\u{1f600}",
        "^",
        "'",
        "#jepsen.history.Op",
        "{\"process\":0,\"type\":\"invoke\",\"f\":\"poll\",\"value\":null}",
        "\"process\"",
        ":",
        "null",
        "\\u0041",
        "\\uzz",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" ").replace(" \" ", "\""))
}

/// A process's part in a history: what it asks for and is told.
#[derive(Clone, Debug)]
struct Act {
    process: i64,
    function: Function,
    kind: Option<Kind>,
    value: Vec<(bool, i64, i64, Option<i64>)>,
    rebalances: Vec<(Rebalance, Vec<i64>)>,
    seek: bool,
}

fn act(rebalances: usize) -> impl Strategy<Value = Act> {
    use Function::*;
    let function = prop_oneof![
        4 => Just(Send), 4 => Just(Poll), 4 => Just(Txn), 1 => Just(Assign), 1 => Just(Subscribe), 1 => Just(Crash)
    ];
    let kind = prop_oneof![6 => Just(Some(Kind::Ok)), 2 => Just(Some(Kind::Info)), 2 => Just(Some(Kind::Fail)), 1 => Just(None)];
    let offset = prop::option::weighted(0.8, prop_oneof![20 => 0..6i64, 1 => 0..i64::MAX]);
    let micro = (any::<bool>(), 0..3i64, 0..8i64, offset);
    let what = prop::sample::select(vec![Rebalance::Assigned, Rebalance::Revoked, Rebalance::Lost, Rebalance::Unsaid]);
    let log = prop::collection::vec((what, prop::collection::vec(0..3i64, 0..3)), 0..=rebalances);
    let of = (0..4i64, function, kind, prop::collection::vec(micro, 0..5), log, prop::bool::weighted(0.1));
    of.prop_map(|(process, function, kind, value, rebalances, seek)| Act {
        process,
        function,
        kind,
        value,
        rebalances,
        seek,
    })
}

/// Lines: (act, is it the completion?). Acts overlap as far as processes let them.
fn lines(acts: &[Act], hold: &[bool]) -> Vec<(usize, bool)> {
    let mut open: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    for (n, act) in acts.iter().enumerate() {
        if hold.get(n).copied().unwrap_or(true) || open.iter().any(|o| acts[*o].process == act.process) {
            lines.extend(open.drain(..).filter(|o| acts[*o].kind.is_some()).map(|o| (o, true)));
        }
        lines.push((n, false));
        open.push(n);
    }
    lines.extend(open.into_iter().filter(|o| acts[*o].kind.is_some()).map(|o| (o, true)));
    lines
}

/// The history of these lines; names are what keys and values are called.
fn history(acts: &[Act], lines: &[(usize, bool)], names: impl Fn(i64) -> i64) -> History {
    let mut history = History::new();
    for &(n, completed) in lines {
        let act = &acts[n];
        let mut value = Value::default();
        for &(send, key, number, offset) in &act.value {
            let key = history.atoms.integer(names(key));
            let number = history.atoms.integer(names(number));
            match act.function {
                Function::Assign | Function::Subscribe => value.keys.push(key),
                Function::Send | Function::Txn if send => {
                    value.sends.push((key, number, offset.filter(|_| completed)));
                }
                Function::Poll | Function::Txn if completed => value.polls.push((key, number, offset)),
                _ => {}
            }
        }
        let rebalances = act.rebalances.iter().filter(|_| completed);
        let rebalances = rebalances
            .map(|(what, keys)| (*what, keys.iter().map(|key| history.atoms.integer(names(*key))).collect()))
            .collect();
        let event = Event {
            process: act.process,
            producer: None,
            kind: if completed { act.kind.unwrap_or(Kind::Info) } else { Kind::Invoke },
            function: act.function,
            time: None,
            index: None,
            value: Some(value),
            rebalances,
            seek_to_beginning: act.seek,
        };
        history.push(event).expect("completions follow their invocations");
    }
    history.finish().expect("it is short");
    history
}

fn groups(history: &History) -> Vec<HistoryGroup> {
    check(history, Options::default()).groups
}

proptest! {
    #![proptest_config(config(3_000))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [None, Some(Format::Edn), Some(Format::JsonLines)] {
            read(&bytes, format)?;
        }
    }

    #[test]
    fn no_words_make_it_panic(text in words()) {
        for format in [None, Some(Format::Edn), Some(Format::JsonLines)] {
            read(text.as_bytes(), format)?;
        }
    }

    #[test]
    fn any_history_is_judged_the_same_twice_and_after_it_was_written(
        acts in prop::collection::vec(act(2), 0..25), hold in prop::collection::vec(any::<bool>(), 25)
    ) {
        let history = history(&acts, &lines(&acts, &hold), |name| name);
        let options = Options { isolation: Isolation::ReadUncommitted, ..Options::default() };
        let report = check(&history, options);
        prop_assert_eq!(&report, &check(&history, options));
        prop_assert_eq!(report.findings.len() as u64, report.groups.iter().map(|g| g.count).sum::<u64>());
        for (format, write) in [(Format::Edn, true), (Format::JsonLines, false)] {
            let mut text = Vec::new();
            let written = if write { history.write_edn(&mut text) } else { history.write_json_lines(&mut text) };
            written.expect("memory can be written");
            let again = input::read(text.as_slice(), Some(format)).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(&check(&again, options), &report, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn names_do_not_matter(
        acts in prop::collection::vec(act(2), 0..25), hold in prop::collection::vec(any::<bool>(), 25)
    ) {
        let lines = lines(&acts, &hold);
        let plain = groups(&history(&acts, &lines, |name| name));
        prop_assert_eq!(groups(&history(&acts, &lines, |name| 1_000 - 7 * name)), plain);
    }

    /// What began without anything ending in between began at once; and so for ends.
    #[test]
    fn the_order_of_what_is_concurrent_does_not_matter(
        acts in prop::collection::vec(act(0), 0..25), hold in prop::collection::vec(any::<bool>(), 25)
    ) {
        // A process that never hears asks again, which is no order to turn.
        let heard = |act: Act| Act { kind: act.kind.or(Some(Kind::Info)), ..act };
        let acts: Vec<Act> = acts.into_iter().map(heard).collect();
        let lines = lines(&acts, &hold);
        let plain = groups(&history(&acts, &lines, |name| name));
        let mut turned: Vec<(usize, bool)> = Vec::new();
        for run in lines.chunk_by(|a, b| a.1 == b.1) {
            turned.extend(run.iter().rev());
        }
        prop_assert_eq!(groups(&history(&acts, &turned, |name| name)), plain);
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for open in ["[", "(", "{", "#{", "#_", "#a ", "^", "{:a "] {
        for text in [open.repeat(1_000_000), format!("{}{}", open.repeat(100_000), "]".repeat(100_000))] {
            let error = input::read(text.as_bytes(), Some(Format::Edn)).expect_err("it is no history");
            assert!(error.to_string().contains("nested deeper"), "{open}: {error}");
        }
    }
    let json = "[".repeat(1_000_000);
    assert!(input::read(json.as_bytes(), Some(Format::JsonLines)).is_err());
}

#[test]
fn errors_name_the_place_and_what_would_be_right() {
    let first = "{:process 0, :type :invoke, :f :send, :value [[:send 1 2]]}\n";
    let errors: Vec<String> = [
        "{:process 0, :type :ok, :f :send, :value [[:send 1 [2]]]}",
        "{:process 0, :type :ok, :f :send, :value [[:send 1 [:x 2]]]}",
        "{:process 0, :type :ok, :f :poll, :value [[:poll]]}",
        "{:process 1, :type :ok, :f :poll, :value [[:poll]]}",
        "{:process 0, :type :maybe, :f :send, :value [[:send 1 2]]}",
        "{:process 0, :type :ok, :f :write, :value [[:send 1 2]]}",
        "{:process 0, :f :send, :value [[:send 1 2]]}",
        "{:type :ok, :f :send, :value [[:send 1 2]]}",
        "{:process 0, :type :ok, :f :send, :value 5}",
        "{:process 0, :type :ok, :f :send, :value [[:append 1 2]]}",
        "{:process 0, :type :ok, :f :send, :value [[:send 1 2]]",
        "{:process 0, :type :ok, :f :send, :value [[:send 1 2)]}",
        "{:process 0, :type}",
        "5",
    ]
    .iter()
    .map(|line| {
        let text = format!("{first}{line}\n");
        input::read(text.as_bytes(), None).expect_err("the line is wrong").to_string()
    })
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
    let json =
        "{\"process\": 0, \"type\": \"invoke\", \"f\": \"send\", \"value\": [[\"send\", 1, 2]]}\n{\"process\": 0,\n";
    let error = input::read(json.as_bytes(), None).expect_err("the second line is cut");
    assert!(error.to_string().starts_with("line 2, column "), "{error}");
}
