//! The engine: BFT ordering, ordered durable delivery and authenticated transport, behind one trait, [`SlotApp`].
//!
//! It wraps commonware 2026.10.0 (simplex with ed25519 votes, marshal behind the `Inline` wrapper, lookup p2p) and
//! knows nothing of the meaning of a block: a block is bytes plus the [`BlockHead`] that the caller's pure `open`
//! reads out of them. `node` implements [`SlotApp`] over `sequencer`; neither crate knows the other.
//!
//! ```text
//!            build, check (pending while something is missing)
//!  SlotApp <---------------------------------------------- simplex --- channels 0 votes, 1 certificates, 2 resolver
//!     ^  ^--- finalized, in height order, with a proof <--- marshal --- channels 3 back-fill, 4 block broadcast
//!     |------ message (who, bytes) <----------------------- p2p ------- channels 5 shares, 6 items, 7 fetch,
//!     |------ vote (section 8 of engine.md) <-------------- reporter               8 lists, 9 DKG
//!  Outbox ---- never blocks, bounded, counts what it drops ----> p2p
//! ```
//!
//! Types to know: [`SlotApp`], [`EngineBlock`], [`FinalBlock`], [`Outbox`], [`EngineConfig`]; entry points:
//! [`validator`], generic over runtime and network, and [`start_tcp`], which runs it on its own thread over TCP.
//!
//! Feature `test-util` adds `testing`: the same engine on the deterministic runtime and simulated network.
//!
//! Deliberately absent: what a block means, close times, shares, evidence; retries of our own messages (a send to an
//! absent peer is lost, the protocol above repeats it); QUIC; when an epoch ends (the caller says [`Outbox::enter`]).
//!
//! Invariants that tests cite:
//! * `ENG-1` members see one digest per height, and every height once per run, ascending.
//! * `ENG-2` equal seeds give equal runs: nothing here reads a clock, randomness or thread but through the runtime.
//! * `ENG-3` a delivered [`FinalBlock`] carries a proof that verifies with the committee's keys alone.
//! * `ENG-4` [`Outbox::send`] neither blocks nor panics; what it cannot send it counts.
//! * `ENG-5` bytes that `open` refuses never become a block, whether from a peer, from disk or from `build`.
//! * `ENG-6` a [`types::MemberId`] is the rank of a consensus key in ascending byte order, here and in simplex.
//! * `ENG-7` an epoch ends with a block that has votes of its own, and every member gets to know it.
//!
//! The engine's directory is *trusted*: it holds the vote journal. A member that lost it must not vote again in the
//! epoch: [`EngineEpoch::votes`] is false then, and it verifies, serves and follows. It is never restored from a backup, and one process at a time may hold it.
#![forbid(unsafe_code)]

mod adapter;
mod any_app;
mod app;
mod block;
mod committees;
mod config;
mod epochs;
mod finals;
mod floor;
mod outbox;
mod tap;
mod tcp;
#[cfg(feature = "test-util")]
pub mod testing;
mod validator;

pub use app::{Ack, At, Channel, FinalBlock, SeenVote, SlotApp, Verdict, VoteKind};
pub use block::{BlockCfg, BlockHead, EngineBlock, OpenFn};
pub use config::{CHANNELS, EngineConfig, EngineEpoch, EngineError, MESSAGE_BYTES_MAX, QUOTAS, StorageError, Timeouts};
pub use floor::Floor;
pub use outbox::{Outbox, OutboxCounts, To};
pub use tcp::{EngineHandle, TcpConfig, start_tcp};
pub use validator::{Running, validator};
