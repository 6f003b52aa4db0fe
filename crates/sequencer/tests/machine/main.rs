//! The machine in whole networks.
//!
//! Goal: the invariants SEQ-1 to SEQ-5, and that nothing waits for ever. Method: machines with real keys, execution and
//! disks as data run against a router whose order, delays and losses come from a seed; every effect is checked as it is
//! carried out (`common::world`), and an auditor reads what was written.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test program: what is not as it should be ends it"
)]

mod accounts;
mod agreement;
mod attacks;
mod bids;
mod build;
mod chaos;
mod common;
mod empties;
mod epochs;
mod evidence;
mod fetching;
mod lies;
mod operations;
mod release;
mod restarts;
mod sharded;
mod slashes;
mod units;
