//! This member's store of admitted envelopes: what it may take, what it lists, what it drops.
//!
//! ```text
//! bytes --decode--> Envelope --precheck: ranges, money, nonce, after, quota--> --admit_batch: signatures, proof--> Held
//!                                                                                                                |
//!      settle: used, expired <---- Mempool ---- list: best rank first, up to the caps, and where it was cut <-- insert
//! ```
//!
//! [`Mempool::precheck`] costs microseconds and runs before anything else; [`admit_batch`] is a pure function that the
//! node runs on its workers; [`Mempool::insert`] takes only what has an [`Admitted`] ciphertext, which nothing but the
//! proof gives. What is held is listed in every slot until it, or another unit of its account and nonce, is in a set, or
//! it expires: a receipt promises that, so nothing is dropped to please a newcomer, except what ranked below the cut of
//! the last list, which no receipt covers.
//!
//! Types to know: [`Held`], [`Mempool`], [`AdmitRequest`]. Which rule decides is never written here: ranks, fees and what
//! may be a candidate come from `auction-rules`.
//!
//! Deliberately absent: opening anything, sockets, files, the clock (`arrived` is told), receipts' text and signature.
//!
//! Invariants that tests cite:
//! * `POOL-1` what is held is bounded: bytes by the argument of [`Mempool::new`], envelopes of one account by its quota.
//! * `POOL-2` no lower nonce of a held envelope was missing here when it was taken.
//! * `POOL-3` a list holds everything that is held, or shows a cut that everything left out ranks at or below, and then
//!   has room for less than one largest unit.
//! * `POOL-4` the same envelopes give the same list, whatever order they arrived in.
//! * `POOL-5` nothing is admitted without the payer's or bidder's signature, the consents of foreign payers and the proof.
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

mod admit;
mod list;
mod pool;
mod precheck;
#[cfg(test)]
mod testing;
pub use admit::{AdmitRequest, Sealed, admit_batch, check_signature};
pub use crypto::tdh2::Admitted;
pub use pool::{Held, Mempool};
