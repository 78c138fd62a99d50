//! Standard output and the exit code.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};
use std::process::ExitCode;

use anstream::AutoStream;
use serde::Serialize;

use crate::failure::Failure;

/// Standard output: colour only on a terminal, and no complaint when whoever reads it (`head`) has gone.
pub struct Out {
    stream: BufWriter<AutoStream<Stdout>>,
    line_by_line: bool,
    gone: bool,
}

impl Out {
    /// The standard output.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let line_by_line = stdout.is_terminal();
        Out { stream: BufWriter::new(AutoStream::auto(stdout)), line_by_line, gone: false }
    }

    /// Is a person watching?
    pub fn is_terminal(&self) -> bool {
        self.line_by_line
    }

    /// Writes one line.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        let result = writeln!(self.stream, "{line}");
        let result = if self.line_by_line { result.and_then(|()| self.stream.flush()) } else { result };
        self.check(result)
    }

    /// Writes one object as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
        self.line(text)
    }

    /// Writes what is still held back.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let result = self.stream.flush();
        self.check(result)
    }

    fn check(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            _ if self.gone => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            result => result.map_err(Failure::Output),
        }
    }
}

/// How a command ended, apart from wrong input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// By Ctrl-C.
    pub interrupted: bool,
    /// Two runs of the same seed differ.
    pub nondeterministic: bool,
    /// A BUG, a failed `[expect]`, or a switch of the zoo that was not found.
    pub failed: bool,
    /// Nothing happened.
    pub vacuous: bool,
}

impl Ending {
    /// Nothing is wrong.
    pub const GOOD: Ending = Ending { interrupted: false, nondeterministic: false, failed: false, vacuous: false };
    /// By Ctrl-C.
    pub const INTERRUPTED: Ending = Ending { interrupted: true, ..Ending::GOOD };

    /// The exit code: the first that applies.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Ending { interrupted: true, .. } => 130,
            Ending { nondeterministic: true, .. } => 4,
            Ending { failed: true, .. } => 1,
            Ending { vacuous: true, .. } => 3,
            _ => 0,
        })
    }
}
