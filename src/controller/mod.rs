//! The controller.

/// A controller's deferred steps.
#[derive(Clone, Debug)]
pub enum Step {}
