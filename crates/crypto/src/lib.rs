//! Everything that hashes, signs, seals or opens in Lockstep; pure functions of their arguments.
//!
//! ```text
//!  wallet:  bundle --pad, seal--> ciphertext                                        entropy is an argument
//!  member:  ciphertext --admit--> Admitted --share--> HeldShare                     has no bytes
//!           votes --finality::verify--> OrderFixed --release--> SharePoint          the one exit
//!  all:     q share messages --reveal--> openings, plaintexts, culprits             exact, so the log is one
//!  auditor: openings --check_openings--> plaintexts                                 re-encryption, no pairing
//! ```
//!
//! Types to know: [`keys::KeySet`], [`tdh2::Admitted`], [`tdh2::HeldShares`], [`finality::OrderFixed`],
//! [`tdh2::SharePoint`], [`tdh2::Reveal`].
//!
//! The envelope is TDH2 (Shoup, Gennaro, "Securing Threshold Cryptosystems against Chosen Ciphertext Attack", 2002,
//! section 4.2) in BLS12-381 G1 with three deviations: the commitments W and X are sent instead of the challenge, so
//! that a batch of proofs is one multi-scalar product; r and s are hashes of (K, header, message), so that an opening
//! is the 16-byte K and anyone checks it by re-encryption; equations hold after multiplication by h, which clears the
//! cofactor, so that V, W and X need no subgroup check. `threshold_crypto` gives the encodings of keys and shares and
//! is the oracle of our tests; its ciphertext can be mauled and is never used.
//!
//! Deliberately absent: drawing randomness, clocks, threads, files, and the rules of the auction and of the order.
//!
//! Invariants that tests cite:
//! * `CRY-1` only [`tdh2::admit`] makes an `Admitted`; its verdict on a ciphertext does not depend on the batch.
//! * `CRY-2` a share leaves only through [`tdh2::HeldShares::release`], which wants an `OrderFixed` that names its unit.
//! * `CRY-3` only [`finality::verify`] makes an `OrderFixed`: 2f + 1 votes over headers that link to the block.
//! * `CRY-4` whatever q shares arrive, and whatever sender and members do, an item has one opening.
//! * `CRY-5` fewer than q honest shares open nothing, and a bad share is pinned on its sender.
//! * `CRY-6` identity points, points with x = 0 and encodings that are not canonical are refused everywhere.
//! * `CRY-7` secrets are wiped on drop and have no `Debug`, `Clone`, `PartialEq` or `Serialize`. Not wiped: registers,
//!   copies that the compiler leaves on the stack, swap.
//!
//! Features: `native` recovers secp256k1 signatures through the C library, with equal results; `test-util` adds
//! `dealer`, which knows both secrets.
//!
//! Keys and shares in memory are trusted; every byte that arrives as an argument is not.
#![no_std]
#![deny(unsafe_code)]
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

pub mod account;
mod batch;
pub mod beacon;
pub mod bid;
pub mod build;
pub mod change;
pub mod combiners;
#[cfg(any(test, feature = "test-util"))]
pub mod dealer;
pub mod ed25519;
pub mod eip712;
pub mod eth;
pub mod evidence;
mod ffi;
pub mod finality;
pub mod hash;
pub mod ids;
pub mod keys;
mod lanes;
pub mod merkle;
pub mod operation;
pub mod succession;
pub mod tdh2;
mod weights;

#[cfg(test)]
mod vectors;
