//! `--junit FILE`: a campaign in the form that build servers show. One test case says that all seeds ran without a BUG, and one
//! stands for each finding: a BUG is a failure, with the line that brings it back.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use trial_checker::Class;

use crate::failure::Failure;
use crate::report::CampaignReport;
use crate::verdict;

/// Writes the file.
pub fn write(path: &Path, report: &CampaignReport<'_>) -> Result<(), Failure> {
    fs::write(path, text(report)).map_err(|error| Failure::File { path: path.to_path_buf(), error })
}

fn text(report: &CampaignReport<'_>) -> String {
    let sum = report.sum;
    let (first, last) = report.seeds;
    let suite = format!("trial search {}, seeds {first}..{last}{}", report.subject.name(), report.part);
    let mut cases = String::new();
    let mut failures = 0;
    let mut case = |name: &str, wrong: Option<String>, more: String| {
        failures += u64::from(wrong.is_some());
        let inner = match wrong {
            Some(wrong) => format!("<failure message=\"{}\">{}</failure>", escaped(&wrong), escaped(&more)),
            None => format!("<system-out>{}</system-out>", escaped(&more)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(cases, "    <testcase classname=\"trial\" name=\"{}\">{inner}</testcase>", escaped(name));
    };
    let vacuous = sum.trials > 0 && sum.vacuous == sum.trials;
    let told = format!("{} trials, {} passed, {} failed, {} vacuous", sum.trials, sum.passed, sum.failed, sum.vacuous);
    let wrong = (sum.failed > 0 || vacuous).then(|| told.clone());
    case("every seed passes", wrong, told);
    for (identity, tally) in &sum.findings {
        let name = anstream::adapter::strip_str(&verdict::heading(*identity)).to_string();
        let many = format!("{} in {} of {} trials", tally.count, tally.trials, sum.trials);
        let line = format!("{many}\n{}", report.subject.reproduce(tally.first_seed));
        case(&name, (identity.class == Class::Bug).then_some(many), line);
    }
    for (what, tally) in &sum.unmet {
        let many = format!("not met in {} of {} trials", tally.trials, sum.trials);
        let line = report.subject.reproduce(tally.first_seed);
        case(&format!("[expect] {what}"), Some(many), line);
    }
    let tests = 1 + sum.findings.len() + sum.unmet.len();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{tests}\" \
         failures=\"{failures}\" time=\"{:.3}\">\n{cases}  </testsuite>\n</testsuites>\n",
        escaped(&suite),
        report.seconds
    )
}

/// As text and attributes of XML have it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
