//! Histories in Jepsen's form, made by hand: what each shows stands at its head.
//!
//! A head is comment lines: `; option NAME VALUE` as the command line has them, and one `; expect CLASS code`, or
//! `; expect CLASS(rule) code`, for each kind of finding, with ` xN` where there are several. Exactly these are found.

use std::fs;
use std::path::{Path, PathBuf};

use trial_checker::input::{self, Format};
use trial_checker::operations::{Consumer, DEFINITIONS, History, Isolation, Options, Report, check};

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let entries = fs::read_dir(dir).expect("there are histories").map(|e| e.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "edn")).collect();
    files.sort();
    assert!(files.len() > 40, "only {} histories", files.len());
    files
}

fn options(text: &str) -> Options {
    let mut options = Options::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("; option ")) {
        match line.split_once(' ').expect("an option has a value") {
            ("isolation", "read_uncommitted") => options.isolation = Isolation::ReadUncommitted,
            ("acks", acks) => options.acks = acks.parse().expect("acks is a number"),
            ("idempotence", on) => options.idempotence = on == "true",
            ("max-in-flight", n) => options.max_in_flight = n.parse().expect("a number"),
            ("consumer", "assign") => options.consumer = Some(Consumer::Assign),
            ("consumer", "subscribe") => options.consumer = Some(Consumer::Subscribe),
            ("unclean-election", on) => options.unclean_election = Some(on == "true"),
            ("min-insync-replicas", n) => options.min_insync_replicas = Some(n.parse().expect("a number")),
            ("power-loss", on) => options.power_loss = on == "true",
            other => panic!("no such option: {other:?}"),
        }
    }
    options
}

fn expected(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("; expect ")).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn found(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for group in &report.groups {
        let rule = group.rule.map_or(String::new(), |rule| format!("({rule})"));
        let count = if group.count > 1 { format!(" x{}", group.count) } else { String::new() };
        lines.push(format!("{}{rule} {}{count}", group.class, group.code));
    }
    lines.sort();
    lines
}

fn read(text: &str) -> History {
    input::read(text.as_bytes(), Some(Format::Edn)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn each_history_shows_exactly_what_its_head_says() {
    let mut wrong = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).expect("a history is text");
        let history = input::read(text.as_bytes(), None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let report = check(&history, options(&text));
        if found(&report) != expected(&text) {
            let sentences: Vec<String> =
                report.findings.iter().map(|f| format!("    {} {:?} {}", f.code, f.ops, f.summary)).collect();
            wrong.push(format!(
                "{}\n  expected {:?}\n  found    {:?}\n{}",
                path.file_name().unwrap_or_default().display(),
                expected(&text),
                found(&report),
                sentences.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_finding_has_a_history_that_shows_it_and_one_that_does_not() {
    let texts: Vec<String> = files().iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    for definition in DEFINITIONS {
        let code = definition.code;
        let shows = |text: &&String| expected(text).iter().any(|line| line.split(' ').nth(1) == Some(code));
        assert!(texts.iter().any(|text| shows(&text)), "no history shows {code}");
        let named = format!("; not {code}");
        let not = texts.iter().filter(|text| text.lines().any(|line| line == named));
        assert!(not.clone().count() > 0, "no history is named as one that does not show {code}");
        assert!(!not.clone().any(|text| shows(&text)), "{code} is expected where it should not be");
    }
}

/// Every history that is sound in itself is judged the same whatever stands between its lines.
#[test]
fn white_space_comments_and_notation_do_not_matter() {
    for path in files() {
        let text = fs::read_to_string(&path).expect("text");
        let plain = check(&read(&text), options(&text));
        let noisy: Vec<String> = text
            .lines()
            .map(|line| match line.starts_with('{') {
                true => format!(
                    "\n ;; a comment {{[(\n#jepsen.history.Op {} #_ {{:discarded [1 2}}]}} ,,\n",
                    line.replace(", ", " ,,, ").replace(":value [", ":extra #inst \"2024\" :value\n[")
                )
                .replace("#_ {:discarded [1 2}]}", "#_ {:discarded [1 2]}"),
                false => line.to_owned(),
            })
            .collect();
        assert_eq!(check(&read(&noisy.join("\n")), options(&text)), plain, "{}", path.display());
        let one_vector = format!("[{}\n]", text);
        assert_eq!(check(&read(&one_vector), options(&text)), plain, "{}", path.display());
    }
}

#[test]
fn what_is_written_reads_back_to_the_same_verdict() {
    for path in files() {
        let text = fs::read_to_string(&path).expect("text");
        let (history, options) = (read(&text), options(&text));
        let report = check(&history, options);
        let (mut edn, mut json) = (Vec::new(), Vec::new());
        history.write_edn(&mut edn).expect("memory can be written");
        history.write_json_lines(&mut json).expect("memory can be written");
        for (bytes, format) in [(&edn, Format::Edn), (&json, Format::JsonLines)] {
            let again = input::read(bytes.as_slice(), None)
                .unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), String::from_utf8_lossy(bytes)));
            let again = check(&again, options);
            match format {
                Format::Edn => assert_eq!(again, report, "{}", path.display()),
                // Names that are no integers are told in another way.
                Format::JsonLines => {
                    assert_eq!((again.groups, again.counters), (report.groups.clone(), report.counters.clone()));
                }
            }
        }
    }
}
