//! What stops the command before it has a verdict, and how that is shown: always exit code 2.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use trial_sim::recording::RecordingError;
use trial_sim::scenario::{Place, Problem, ScenarioError};

/// See the module documentation.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A scenario that cannot be run.
    #[error("{0}")]
    Scenario(#[from] ScenarioError),
    /// A wrong argument that only we can judge.
    #[error("{what}{}", .help.iter().map(|line| format!("\n  {line}")).collect::<String>())]
    Usage {
        /// What is wrong.
        what: String,
        /// What would be right.
        help: Vec<String>,
    },
    /// A file that cannot be read or written.
    #[error("{}: {}", .path.display(), reason(.error))]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file that is no recording of this build.
    #[error("{}: {error}", .path.display())]
    Recording {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: RecordingError,
    },
    /// A file that is no history.
    #[error("{}: {error}", .path.display())]
    History {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: trial_checker::input::InputError,
    },
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// A wrong argument.
    pub fn usage(what: impl Into<String>, help: impl IntoIterator<Item = String>) -> Self {
        Failure::Usage { what: what.into(), help: help.into_iter().collect() }
    }

    /// Says on standard error what went wrong, where, and what would be right: for people with the line of the file,
    /// for scripts as `file:line:column: key: what`.
    pub fn report(&self) {
        match self {
            Failure::Scenario(error) if io::stderr().is_terminal() => {
                let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
                error.problems.iter().for_each(|problem| eprintln!("{}", graphical(error, problem, colour)));
            }
            Failure::Scenario(error) => eprintln!("{error}"),
            other => eprintln!("error: {other}"),
        }
    }
}

/// What people ask first, in the same words on every system.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

/// A problem with the line it stands in.
fn graphical(error: &ScenarioError, problem: &Problem, colour: bool) -> String {
    let what = match (&problem.place, problem.key.as_str()) {
        (Place::Override(text), _) => format!("--set {text}: {}", problem.message),
        (_, "") => problem.message.clone(),
        (_, key) => format!("{key}: {}", problem.message),
    };
    let mut diagnostic = MietteDiagnostic::new(what);
    if !problem.help.is_empty() {
        diagnostic = diagnostic.with_help(problem.help.join("\n"));
    }
    let report = match problem.span() {
        Some(span) => {
            let label = LabeledSpan::new_primary_with_span(Some("here".to_string()), span);
            let source = NamedSource::new(&error.file, error.source.clone());
            Report::new(diagnostic.with_label(label)).with_source_code(source)
        }
        None => Report::new(diagnostic),
    };
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110);
    match handler.render_report(&mut text, report.as_ref()) {
        Ok(()) => text,
        // Writing to a String cannot fail; if drawing did, the plain form says the same.
        Err(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn people_see_the_line_that_is_meant() {
        let text = "format = 1\n[cluster]\nmin.insync.replica = 2\n[[topic]]\nname = \"orders\"\n";
        let error =
            trial_sim::scenario::parse("bad.toml", text, &["run=5".to_string()]).expect_err("two keys are wrong");
        let shown: Vec<String> = error.problems.iter().map(|p| super::graphical(&error, p, false)).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
