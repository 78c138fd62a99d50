//! The broker.

/// A broker's deferred steps.
#[derive(Clone, Debug)]
pub enum Step {}
