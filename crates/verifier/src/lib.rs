//! Recomputes a log from its genesis file alone: lists to set, set to order, openings, execution, ledger.
//!
//! ```text
//!  entries --grammar--> [EXEC(h-1)] CLOSE LEFT LEFTHEAD LIST ENVELOPE | BEACON AUCTION ORDER OPENED | ..
//!              part C: execution, ledger   part A: lists, candidates, set     part B: beacon, order, openings
//! ```
//! A member replays its own log at the start with the same code that an auditor runs over a stranger's.
//!
//! Types to know: [`Anchor`] (what is trusted), [`Auditor`] (a signed head and bytes in, a [`Report`] out), [`Replay`]
//! (entries in, findings out), [`Finding`], [`State`].
//!
//! Deliberately absent: rules. Candidates and fees are `auction-rules`', the order is `ordering`'s, execution is
//! `execution`'s: the functions that nodes call. Absent too: sockets, files, clocks, trust in anyone's JSON.
//!
//! Invariants that tests cite:
//! * `VER-1` nothing but the anchor is believed: every value in an entry is recomputed or verified.
//! * `VER-2` a planted fault gives one finding, its first cause; what follows from it is not judged.
//! * `VER-3` what was not checked is not reported as passed.
//! * `VER-4` equal bytes give equal findings on any machine, wasm32 included.
//!
//! Feature `test-util` adds `testing`: a network of four that writes logs, and lies when told to.
//!
//! Trust: the genesis file, whole. A log under 2f + 1 colluding members can lie about what no log can show (log.md
//! section 7), nothing else.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::integer_division,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing
    )
)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod anchor;
mod auditor;
mod committee;
mod finding;
mod replay;
mod report;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use anchor::{Anchor, AnchorError, Checks};
pub use auditor::{Auditor, Need, Progress};
pub use committee::Committee;
pub use finding::Finding;
pub use replay::{Placed, ReceiptInputError, Replay, State};
pub use report::{CheckReport, Proof, Report, Status};
pub use tlog::checkpoint::HeadError;
