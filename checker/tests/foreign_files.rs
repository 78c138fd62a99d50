//! Files as others write them, and files that somebody damaged: the same history however it is written down, and otherwise an error
//! that names its line. What is damaged is the same in every run; `TRIAL_FUZZ=100000` damages so many more.

use std::fs;
use std::path::Path;

use trial_checker::Outcome;
use trial_checker::input::{self, Format, InputError};
use trial_checker::operations::{Options, Report, check};

fn report(text: &str) -> Report {
    let history = input::read(text.as_bytes(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    check(&history, Options::default())
}

fn error(text: &str) -> String {
    input::read(text.as_bytes(), None).expect_err("this is no history").to_string()
}

const LINES: [&str; 4] = [
    "{:process 0 :type :invoke :f :txn :value [[:send 1 2] [:poll]]}",
    "{:process 0 :type :ok :f :txn :value [[:send 1 [5 2]] [:poll {1 [[4 9] [5 2]]}]]}",
    "{:process :nemesis :type :info :f :kill :value {:n1 #{:a}}}",
    "{:process 1 :type :invoke :f :send :value [[:send 1 9]]}",
];

#[test]
fn one_history_in_many_notations() {
    let plain = report(&LINES.join("\n"));
    assert_eq!(plain.count("precommitted-read"), 1);
    let each = |line: fn(&str) -> String| LINES.map(line).join("\n");
    let notations = [
        ("CRLF", LINES.join("\r\n")),
        ("a byte order mark", format!("\u{feff}{}", LINES.join("\n"))),
        ("records", each(|line| format!("#jepsen.history.Op {line}"))),
        ("old records", each(|line| format!("#jepsen.history.Op{line}"))),
        ("a namespace", each(|line| line.replacen('{', "#:jepsen{", 1))),
        ("namespaced keys", each(|line| line.replace(":process", ":jepsen.op/process").replace(":value", ":op/value"))),
        (
            "lists",
            each(|line| {
                line.replace("[:poll {1 [[4 9] [5 2]]}]", "(:poll {1 ((4 9) [5 2])})").replace("[:poll]", "(:poll)")
            }),
        ),
        ("big integers", each(|line| line.replace(" 9]", " 9N]").replace("[4 9N]", "[4N 9N]"))),
        ("comments", each(|line| format!("; {{:process\n#_{{:process 7 #_ :x}} {line} ; }}]"))),
        ("commas", each(|line| line.replace(' ', " ,,, "))),
        ("one line", LINES.join(" ")),
        ("one vector", format!("[{}]", LINES.join("\n"))),
        (
            "other keys",
            each(|line| {
                line.replacen(":process", ":error [:a \"}\"] :node \"n1\" :time 5 :index nil :process", 1)
                    .replace(":time 5", "")
            }),
        ),
    ];
    for (what, text) in notations {
        let told = report(&text);
        assert_eq!((told.groups, told.counters), (plain.groups.clone(), plain.counters.clone()), "{what}:\n{text}");
    }
}

#[test]
fn the_same_as_json_lines() {
    let json = "{\"process\": 0, \"type\": \"invoke\", \"f\": \"txn\", \"value\": [[\"send\", 1, 2], [\"poll\"]]}\n\
        {\"process\": 0, \"type\": \"ok\", \"f\": \"txn\", \"value\": [[\"send\", 1, [5, 2]], [\"poll\", {\"1\": [[4, 9], [5, 2]]}]]}\n\
        {\"process\": \"nemesis\", \"type\": \"info\", \"f\": \"kill\", \"value\": null}\n\n\
        {\"process\": 1, \"type\": \"invoke\", \"f\": \"send\", \"value\": [[\"send\", 1, 9]]}";
    let plain = report(&LINES.join("\n"));
    for text in [json.to_owned(), format!("\u{feff}{json}"), json.replace('\n', "\r\n")] {
        let told = report(&text);
        assert_eq!((told.groups, told.counters), (plain.groups.clone(), plain.counters.clone()), "{text}");
    }
}

#[test]
fn integers_and_their_texts_are_two_values() {
    let history = |sent: &str, polled: &str| {
        report(&format!(
            "{{:process 0 :type :invoke :f :send :value [[:send 1 {sent}]]}}\n\
             {{:process 0 :type :ok :f :send :value [[:send 1 [0 {sent}]]]}}\n\
             {{:process 1 :type :invoke :f :poll :value [[:poll]]}}\n\
             {{:process 1 :type :ok :f :poll :value [[:poll {{1 [[0 {polled}]]}}]]}}"
        ))
        .count("phantom-read")
    };
    assert_eq!(history("\"7\"", "7"), 1);
    assert_eq!(history("123456789012345678901234567890N", "123456789012345678901234567890"), 0);
    assert_eq!(history("123456789012345678901234567890", "123456789012345678901234567891"), 1);
    assert_eq!(history("[1 {:a #{1 2}}]", "[1 {:a #{2 1}}]"), 0, "sets have no order");
}

#[test]
fn what_is_said_twice_or_too_large_is_refused_with_its_line() {
    let bad = [
        "{:process 1 :type :ok :type :fail :f :send :value [[:send 1 9]]}",
        "{:process 1 :type :ok :f :poll :value [[:poll {1 [[0 1]], 1 [[1 2]]}]]}",
        "{:process 123456789012345678901 :type :ok :f :send :value [[:send 1 9]]}",
    ];
    for line in bad {
        let told = error(&format!("{}\n{line}\n", LINES.join("\n")));
        assert!(told.starts_with("line 5, column "), "{line}: {told}");
    }
    let json = "{\"process\": 1, \"type\": \"invoke\", \"f\": \"send\", \"value\": [[\"send\", 1, 9]]}";
    for line in [
        "{\"process\": 1, \"type\": \"ok\", \"type\": \"fail\", \"f\": \"send\", \"value\": [[\"send\", 1, 9]]}",
        "{\"process\": 1, \"type\": \"ok\", \"f\": \"send\", \"value\": [[\"send\", 1, 123456789012345678901234]]}",
    ] {
        let told = error(&format!("{json}\n{line}\n"));
        assert!(told.starts_with("line 2, column "), "{line}: {told}");
    }
}

#[test]
fn nothing_is_not_passed() {
    for text in ["", "\n\n", "\u{feff}", "; nothing", "[]", "{:process :nemesis :type :info :f :start}"] {
        assert_eq!(report(text).outcome, Outcome::Vacuous, "{text:?}");
    }
}

#[test]
fn a_line_of_a_megabyte() {
    let records: Vec<String> = (0..60_000).map(|n| format!("[{n} {n}]")).collect();
    let sends: Vec<String> = (0..60_000).map(|n| format!("[:send 1 [{n} {n}]]")).collect();
    let text = format!(
        "{{:process 0 :type :invoke :f :send :value [{sends}]}}\n{{:process 0 :type :ok :f :send :value [{sends}]}}\n\
         {{:process 1 :type :invoke :f :poll :value [[:poll]]}}\n\
         {{:process 1 :type :ok :f :poll :value [[:poll {{1 [{}]}}]]}}",
        records.join(" "),
        sends = sends.join(" "),
    );
    assert!(text.lines().any(|line| line.len() > 1_000_000));
    let told = report(&text);
    assert_eq!((told.groups, told.counters["reads"]), (Vec::new(), 60_000));
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// One to four places are cut, doubled, turned, or hold something else.
fn damaged(text: &[u8], dice: &mut Dice) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        "(",
        "\"",
        "\\",
        "#",
        "#_",
        ";",
        ":",
        "nil",
        "null",
        "-1",
        "99999999999999999999",
        "1e400",
        "\n",
        "\r",
        "\0",
        "\u{feff}",
        ":type :ok",
        ":process 0",
        "0x",
        "#:a",
    ];
    let mut text = text.to_vec();
    for _ in 0..=dice.below(4) {
        let (a, b) = (dice.below(text.len()), dice.below(text.len()));
        let near = a..(a + dice.below(12)).min(text.len());
        match dice.below(7) {
            0 => drop(text.drain(near)),
            1 => drop(text.drain(a.min(b)..a.max(b))),
            2 => {
                let again = text[near].to_vec();
                text.splice(b..b, again);
            }
            3 if !text.is_empty() => text.swap(a, b),
            4 if !text.is_empty() => text[a] = dice.below(256) as u8,
            5 => text.truncate(a),
            _ => drop(text.splice(a..a, WORDS[dice.below(WORDS.len())].bytes())),
        }
    }
    text
}

#[test]
fn damaged_files_are_read_or_refused_with_a_line_of_theirs() {
    let more = std::env::var("TRIAL_FUZZ").ok().and_then(|cases| cases.parse().ok());
    let cases: u64 = more.unwrap_or(4_000);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("there are histories").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let edn = fs::read(path).expect("a history");
        let mut json = Vec::new();
        let history = input::read(edn.as_slice(), Some(Format::Edn)).expect("it is sound");
        history.write_json_lines(&mut json).expect("memory can be written");
        files.extend([edn, json]);
    }
    let (mut read, mut refused) = (0, 0);
    for case in 0..cases {
        let mut dice = Dice((case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = damaged(&files[dice.below(files.len())], &mut dice);
        let format = [None, Some(Format::Edn), Some(Format::JsonLines)][dice.below(3)];
        match input::read(text.as_slice(), format) {
            Ok(history) => {
                read += 1;
                check(&history, Options::default());
            }
            Err(InputError::Wrong { place, what }) => {
                refused += 1;
                let lines = text.split(|b| *b == b'\n').count() as u64;
                let is_there = place.line >= 1 && place.line <= lines && place.column >= 1 && !what.is_empty();
                assert!(is_there, "case {case}: {place}: {what}\n{}", String::from_utf8_lossy(&text));
            }
            Err(InputError::Io(error)) => panic!("case {case}: {error}"),
        }
    }
    assert!(read > cases / 50 && refused > cases / 4, "{read} read, {refused} refused: the damage says nothing");
}
