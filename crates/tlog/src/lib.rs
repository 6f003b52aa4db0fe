//! The transparency log's formats: a tree, its tiles, signed notes, checkpoints, proofs. All of them are C2SP's and
//! RFC 6962's; nothing here is ours but the shape of a receipt's text, which stands in `types`.
//!
//! ```text
//!  entries --append--> Tree ------head--> checkpoint text --sign, cosign--> signed note --verify--> Verified head
//!     |                                                                                              |
//!     '---Edge::append--> tiles (files) --NodeReader--> inclusion, consistency proof --verify against it
//! ```
//!
//! Types to know: [`Tree`], [`tiles::Tile`] and [`tiles::Edge`], [`note::Note`] and [`note::VerifierKey`],
//! [`checkpoint::Policy`], [`proof::TlogProof`].
//!
//! Deliberately absent: slots, auctions and entry kinds (a leaf is bytes), files and HTTP (bytes in, bytes out),
//! pruning (C2SP tlog-tiles forbids it without a written policy), extension lines of checkpoints, ML-DSA cosignatures.
//!
//! Invariants that tests cite:
//! * `TLG-1` tree, proofs and tiles are RFC 6962's: equal to two implementations that are not ours.
//! * `TLG-2` one value has one text: what is parsed is rendered again and compared.
//! * `TLG-3` a [`checkpoint::Verified`] has at least one valid signature of a listed log key and 2f+1 of distinct
//!   cosigners, all over the same text.
//! * `TLG-4` the files that appends produce do not depend on how entries are grouped into appends.
//!
//! Deviations: signatures are verified by the rules of ZIP 215, as everywhere in this workspace; an honest key's
//! signatures are the same under RFC 8032, a dishonest one can make some that only one of the two accepts.
//!
//! Trust: nothing that is read is trusted before a root or a signature has been compared with one that is known.
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

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod receipt;
pub mod tiles;
mod tree;

pub use tree::Tree;
