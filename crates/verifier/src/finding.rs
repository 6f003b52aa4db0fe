//! What an audit reports.
use alloc::{string::String, vec::Vec};
use types::{Slot, reason};

/// One fault of a log, by its first cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check failed.
    pub code: reason::Finding,
    /// Slot of the section.
    pub slot: Slot,
    /// Entry at which it shows.
    pub index: u64,
    /// For people: what was found, what was wanted.
    pub detail: String,
    /// Names of accused keys; empty where every cosigner of the head is.
    pub accused: Vec<String>,
}
