//! Execution: what the units of a slot do to the rollups, in the order that the beacon gave them.
//!
//! Atomicity is a pure function of (order, state before): every node and every auditor calls this crate and gets the
//! same outcomes and roots. There are no votes, no coordinator, no timers.
//!
//! ```text
//!  opened plaintext --prepare (any core)--> Prepared --+
//!                                                      |  Executor::order, unit by unit
//!                     rollup 901: state <- overlay ----+---- overlay -> state: rollup 902
//!                                                      |
//!      all legs succeed: the overlays merge;  else they are dropped, and only the outcome byte remains
//!                                                      |
//!                                  Executor::close --> SlotResult (what EXEC says)
//! ```
//!
//! Types to know: [`Registry`] and [`prepare`] (what the plaintext alone decides), [`Executor`] with [`SlotEnv`] (what
//! the state decides), [`genesis::RollupGenesis`] (geth's genesis file).
//!
//! Deliberately absent: the order and fees (`ordering`, `auction-rules`), disk, keys, and any rule of a rollup's own:
//! the EVM is revm's, forks are Cancun and Prague.
//!
//! What a block of a rollup still lacks here, and what it means:
//! * No header is sealed, so `ChainExec.block`, `SlotResult.batch` and `steps` are zero, the mailbox commits to the
//!   empty list, and the start-of-block calls of EIP-4788 and EIP-2935 are not made: they need the parent's header and
//!   the super root. BLOCKHASH knows the genesis block and is zero above it. Number, time, base fee, gas limit,
//!   beneficiary and prevrandao are those of the block that the batch will be.
//! * No queue: a unit that does not fit its rollup's gas of the slot ends `EXPIRED` instead of `CARRIED`.
//! * State roots are full walks over the rollups that changed; only storage roots are kept.
//!
//! Invariants that tests cite:
//! * `EXE-1` a dropped unit leaves nothing: every root equals that of a run without it.
//! * `EXE-2` equal inputs give equal results, on any machine and with either recovery (feature `native`).
//! * `EXE-3` a failed unit has the lowest code that applies, and the first leg that it applies to.
//! * `EXE-4` every refusal of revm has an outcome by name.
//! * `EXE-5` units use at most floor(U i / K) of a block's gas in the first i slots of a batch, U = 9/10 of the block.
//! * `EXE-6` number and base fee of a rollup move only with a batch that placed something.
//! * `EXE-7` no input makes this crate panic.
//!
//! A unit stands in `ChainExec.units` of every rollup that a leg of it names, also when it failed (code 20 and above)
//! or was dropped; a plaintext that is no bundle of 1 to 16 legs (16 to 19) names none.
//!
//! Trust: genesis files are checked against the specification's hash; plaintexts are hostile; the order is as given.
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

mod contracts;
pub mod demo;
mod evm;
mod executor;
pub mod genesis;
mod roots;
mod state;
mod unit;

pub use executor::{CallError, Executor, ExecutorError, SlotEnv};
pub use unit::{OpenedUnit, Prepared, Registry, SYSTEM_ACCOUNT, prepare, prepare_tail};

#[cfg(test)]
mod tests;
