//! Progress on standard error, for whatever takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar or a line that appears after a second, on a terminal only.
pub struct Progress {
    bar: ProgressBar,
    appears_at: Option<Instant>,
}

impl Progress {
    /// So many seeds are to be run.
    pub fn of_seeds(seeds: u64) -> Self {
        Self::styled(ProgressBar::new(seeds), "{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left  {msg}")
    }
    /// So many futures are to be run.
    pub fn of_futures(futures: u64) -> Self {
        Self::styled(ProgressBar::new(futures), "{bar:30} {pos}/{len} futures, {per_sec}, {eta} left  {msg}")
    }
    /// So many runs are to be made.
    pub fn of_runs(runs: u64) -> Self {
        Self::styled(ProgressBar::new(runs), "{bar:30} {pos}/{len} runs, {per_sec}, {eta} left  {msg}")
    }
    /// One run of unknown length.
    pub fn of_run() -> Self {
        Self::styled(ProgressBar::no_length(), "{spinner} {msg}, {elapsed} real time")
    }

    fn styled(bar: ProgressBar, template: &str) -> Self {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, appears_at: Some(Instant::now() + Duration::from_secs(1)) }
    }

    /// This much is done.
    pub fn at(&mut self, position: u64, message: impl FnOnce() -> String) {
        if self.appears_at.is_some_and(|at| at <= Instant::now()) {
            self.appears_at = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.appears_at.is_none() {
            self.bar.set_position(position);
            self.bar.set_message(message());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
