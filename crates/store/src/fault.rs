//! Fault points: every durable operation passes here under its [`Op`](crate::durable::Op) and the [`Place`] it belongs
//! to, so that a test can end the process, tear a write or let the disk fail at any single one of them.
//!
//! ```text
//!  LOCKSTEP_FAULT=kill:commit/sync_file:2      before the second sync of commit points
//!                 ^fault ^place/op      ^the how many-th, from 1
//! ```
//! Faults: `kill` and `kill-after` (abort: nothing is unwound or flushed), `torn` (half of the bytes are written, then
//! abort), `eio` (one sync fails), `enospc` (the disk is full from there on). Where: a place, an operation, both as
//! `place/op`, or `any`.
//!
//! Deliberately absent from a release: without the feature `test-util` places are empty structs, operations are called
//! directly, and no environment is read.
use std::fmt;

/// The step that durable operations belong to: those of log.md section 10, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// None of the others; closing `state.redb`, which loses nothing when it fails.
    Other,
    /// What a start makes, repairs and clears.
    Open,
    /// Envelopes and receipts of a turn, before the receipts leave.
    WalAppend,
    /// This member's list, before it is sent.
    List,
    /// The proof of finality.
    Finality,
    /// The share message of a slot, before its commit point.
    ShareMessage,
    /// `staging/<size>`.
    Stage,
    /// The commit point.
    Commit,
    /// Tiles.
    Apply,
    /// Openings are known: in memory, a point without an operation.
    Opened,
    /// `heads/<epoch>`.
    Heads,
    /// `log/checkpoint`.
    Publish,
    /// Giving up WAL segments.
    Prune,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Other,
        Self::Open,
        Self::WalAppend,
        Self::List,
        Self::Finality,
        Self::ShareMessage,
        Self::Stage,
        Self::Commit,
        Self::Apply,
        Self::Opened,
        Self::Heads,
        Self::Publish,
        Self::Prune,
    ];

    /// As plans name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Open => "open",
            Self::WalAppend => "wal-append",
            Self::List => "list",
            Self::Finality => "finality",
            Self::ShareMessage => "share-message",
            Self::Stage => "stage",
            Self::Commit => "commit",
            Self::Apply => "apply",
            Self::Opened => "opened",
            Self::Heads => "heads",
            Self::Publish => "publish",
            Self::Prune => "prune",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(not(any(test, feature = "test-util")))]
mod inert {
    use super::Place;
    use crate::durable::Op;
    use std::{io, path::Path};

    /// Ends with its place.
    #[derive(Debug)]
    #[must_use = "the place ends where this is dropped"]
    pub struct At;

    /// Durable operations of this thread belong to `place` while the answer is held.
    pub const fn at(_place: Place) -> At {
        At
    }

    /// A point without an operation.
    pub const fn passed(_place: Place) {}

    pub(crate) fn run<T>(_op: Op, _path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        act()
    }

    pub(crate) fn sync(_op: Op, _path: &Path, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        act()
    }

    pub(crate) fn write(_path: &Path, bytes: &[u8], act: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        act(bytes)
    }
}
#[cfg(not(any(test, feature = "test-util")))]
pub use inert::{At, at, passed};
#[cfg(not(any(test, feature = "test-util")))]
pub(crate) use inert::{run, sync, write};

#[cfg(any(test, feature = "test-util"))]
mod planned;
#[cfg(any(test, feature = "test-util"))]
pub use planned::{At, Fault, Plan, PlanError, Scope, at, passed};
#[cfg(any(test, feature = "test-util"))]
pub(crate) use planned::{run, sync, write};
#[cfg(test)]
mod tests;
