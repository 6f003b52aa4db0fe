//! The rules of a slot, as pure functions: which listed envelopes are candidates, which of them form the set, what each
//! pays; who wins the right to build and what it costs; and what all that does to the ledger. `RULES.md` holds the
//! rules (A-01 ..) in words; code and tests cite their ids.
//!
//! ```text
//!  listed terms ----rank----> best version of each nonce ----candidates----> C_h ----three passes----> S_h
//!  (A-27)            (A-28)                                   (A-27, A-34)            (A-27, A-29)       |
//!        Ledger ----close(S_h): charges, unit bonds, nonces, prices----> Ledger ----exec(outcomes): credits----> Ledger
//!
//!  listed bids --count_bids--> one of each bidder --opened--> resolve: by amount, then tie hash --> winner, price
//!               (A-04 to A-08)                                (A-10 to A-15)                         |
//!        Ledger --lock --close --penalise, operate --auction: fees, fines, price to escrow --settle--> Ledger
//! ```
//!
//! Nodes, auditors and wallets call the same functions; nobody else decides membership of a set. Every function takes a
//! set: the order in which things arrived is never an input.
//!
//! Types to know: [`Terms`] (what the rules read of a header), [`Ledger`], [`Prices`], [`Selection`]; of auctions
//! [`Bid`], [`AuctionTerms`], [`Resolution`].
//!
//! Which ledger decides: candidates of slot h are judged "as of the reveal of slot h-1", that is after `close` of every
//! slot up to h-1 and before `exec` of slot h-1 (A-39). Fees are charged at `close` and `exec` only credits, so what
//! [`select`] found payable stays payable.
//!
//! Deliberately absent: signatures, hashing of envelopes and ciphertexts (`crypto`, `mempool`), the order within a set
//! (`ordering`), execution, the opening of bids.
//!
//! Invariants that tests cite:
//! * `RUL-1` the result does not depend on the order of the input.
//! * `RUL-2` money is conserved: [`Ledger::total`] never changes after genesis (A-26).
//! * `RUL-3` every unit of a set stands with all its open `after` units and its account's lower open nonces in the same
//!   set or an earlier one, so an order of the set always exists.
//! * `RUL-4` every listed envelope is in the set or in [`Selection::left`] with one reason.
//! * `RUL-5` what [`select`] chose, [`Ledger::close`] can charge.
//! * `RUL-6` nothing overflows: amounts stay below 2^96, and a share of one is divided limb by limb ([`share_floor`]).
//!
//! Deviations from the design page, each explained in RULES.md: a price that moves, moves by at least 1 (A-34);
//! "fewer ancestors" of A-28 is counted along the longest chain, and the own offer comes before the hash (A-28).
//!
//! Trust: the ledger is not trusted by anyone who can replay the log; whoever alters it makes the next hash of the
//! chain ([`Ledger::chain`]) differ.
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

mod auction;
mod candidates;
mod genesis;
mod ledger;
mod listed;
mod objects;
mod operations;
mod payment;
mod prices;
mod rank;
mod root;
mod set;
mod terms;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod text;
#[cfg(test)]
mod vectors;

pub use auction::{
    AuctionTerms, Bid, CAP_CLASS_MAX, Judged, Resolution, cap_of_class, class0_fee, equivocation_slash, resolve,
    tie_key,
};
pub use genesis::{GenesisError, holds_params};
pub use ledger::{AccountOperation, Act, Answer, BidTerms, CountedBids, Ledger, LedgerError, Pools, Refused, Right};
pub use objects::{CountedObjects, count_objects};
pub use operations::{Claim, EnteredOperation, ListedOperation, Operations, convicts, enter, is_of, may_lack_room};
pub use payment::{
    Average, FinalFee, Rebates, Split, even_shares, overflow_of_users, pool_shares, rebates, share_floor, split_price,
};
pub use prices::{Prices, base_fee, charge, fee_per_byte, next_prices, unit_bond};
pub use rank::LAST;
pub use set::{Candidate, Selection, list_rank, select, unforced};
pub use terms::{Terms, admissible, gas_class_max};
