//! Consumer-group coordinators: who consumes what, and how far.

pub mod partition_for;
pub mod records;
pub mod timeline;
