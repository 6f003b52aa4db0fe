//! The nouns of Lockstep: what stands in a block, a list, an envelope, a log entry, and how each becomes bytes.
//!
//! Everything here is plain data. There is one codec ([`codec`]), one registry of domain tags ([`tag`]), one of
//! reason codes ([`reason`]) and one of limits ([`limits`]); no other crate defines any of them.
//!
//! ```text
//!  bundle --seal--> envelope --listed by members--> list --2f+1 of them--> block h --final--> section h of the log
//!  (plaintext)      (header + ciphertext)           (leaves)               (lists + roots)    (entries)
//! ```
//!
//! Types to know: [`Bundle`], [`Envelope`], [`Leaf`], [`Block`], [`Entry`], [`Genesis`].
//!
//! Deliberately absent: cryptography (hashes arrive as arguments), policy (what is admissible is decided by
//! `auction-rules` and `mempool`), floats, signed integers, maps and `usize` in bytes.
//!
//! Invariants that tests cite:
//! * `TYP-1` decode and encode are inverse on accepted bytes: one value has one encoding.
//! * `TYP-2` no input makes `decode` allocate more than a small multiple of its length.
//! * `TYP-3` every domain tag and every reason code is unique.
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

mod account;
mod bid;
mod block;
mod build;
mod bundle;
mod bytes;
mod change;
pub mod codec;
mod entry;
mod envelope;
mod epoch;
mod evidence;
mod exec;
mod genesis;
mod handover;
mod ids;
pub mod limits;
mod operation;
pub mod reason;
mod receipt;
mod share;
pub mod tag;
pub mod wire;

pub use account::{AccountHeader, SignedAccountOperation};
pub use bid::{Bid, BidHeader, BidText};
pub use block::{
    Block, BlockHeader, FinalityProof, Leaf, LeafKind, ListSet, ListText, MemberList, Rank, SetRef, SignedList, VoteSig,
};
pub use build::{Body, BuildHeader, Object, SignedBuild, Tail};
pub use bundle::{Bundle, Leg, Policy};
pub use bytes::{
    Address, EthSignature, FrBytes, G1Bytes, G2Bytes, Hash, HexError, Key128, SealedDealing, Signature, SignatureStamp,
};
pub use change::{Change, Joining, Seat, SignedChange};
pub use entry::{
    Account, ENTRY_TAG, ENTRY_VERSION, Entry, Kind, LeftHeadItem, LeftItem, MemberRecord, Opening, Record,
};
pub use envelope::{Envelope, EnvelopeHeader, SignedHeader, SizeClass};
pub use epoch::{EPOCH_SLOTS_MIN, EpochEnd, EpochFacts, EpochRecord, Epochs, Schedule};
pub use evidence::{
    Accused, BuilderDouble, Claim, Evidence, OpeningFault, ShareFault, SignedBid, SignedShare, Vote, Voted,
};
pub use exec::{ChainExec, OpenSlot, SlotResult, StepChain, StepRecord, UnitLeaf};
pub use genesis::{
    Balance, COMBINERS, COMBINERS_MAX, Fork, Genesis, KeySetParts, MemberAddress, Network, Params, Pricing, RevealMode,
    RollupSpec,
};
pub use handover::{Handover, HandoverAck, HandoverPhase, HandoverStep};
pub use ids::{Amount, ChainId, Epoch, Head, MemberId, Nonce, Slot, Timestamp};
pub use operation::{Budget, Operation, OperationKind};
pub use receipt::{Receipt, ReceiptError, ReceiptKind};
pub use share::{OpeningHeader, OpeningMessage, ShareChunk, ShareForm, ShareHeader, ShareMessage, ShareMode};
