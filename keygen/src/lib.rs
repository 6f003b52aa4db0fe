//! Key ceremonies: how a committee comes to hold two secrets that nobody ever sees.
//!
//! A committee of n = 3f + 1 members shares a *decryption* secret x (envelopes open with q = 2f + 1 shares of x U) and
//! a *beacon* secret (q signature shares make R_h). Both come out of the same protocol, run once per secret: everybody
//! deals a random polynomial of degree 2f, everybody checks and acknowledges what it was dealt, every dealer signs a log
//! of the acknowledgements, and the sum of the q first usable dealings is the key. No dealer of the whole exists.
//!
//! ```text
//!  dealer i                              member j                            everybody
//!  commitments, f_i(j + 1) --sealed-->   f_i(j+1) G fits? --signed ack-->    log_i = commitments | acks | shares never acked
//!                                                                            sorted logs -> commitments, x_j = sum f_i(j + 1)
//!  x_j G^ ----------------------------------------------------------------> e(x_j G, G^) = e(G, x_j G^), PK2 by interpolation
//! ```
//!
//! The polynomial arithmetic and the transcript are commonware-cryptography's `feldman_desmedt` (Joint-Feldman over
//! BLS12-381, `MinPk`, `N3f1`, `NonZeroCounter`, `Reveal::V1`); this crate decides who says what to whom, agrees on the
//! set of logs, and turns the result into the encodings of `threshold_crypto` that the rest of Lockstep reads.
//!
//! Between operators in processes of their own, [`operators`] is the whole ceremony, and leaves a transcript that anybody
//! verifies. When the committee changes, [`reshare`] hands both secrets to the next one under the same public keys; [`handover`] is
//! that as operations in the log, read and sent by members of both committees.
//!
//! Types to know: [`CeremonyResult`], [`MemberSecrets`], [`files::KeySetFile`], [`files::ShareFile`].
//!
//! Deliberately absent: new mathematics; drawing randomness (entropy is an argument); printing a secret; a network (the
//! caller of a ceremony between machines carries the bytes). The feature `dealer` adds a *trusted dealer* and the
//! cross-check against `threshold_crypto`; no node is built with it.
//!
//! Invariants that tests cite:
//! * `KEY-1` the share index of a member is the rank of its consensus key in ascending byte order.
//! * `KEY-2` all participants derive the same public key set from the same logs, and each holds the share that it names.
//! * `KEY-3` whatever a participant sends, the others finish with a sound key set or with an error that names it.
//! * `KEY-4` a share that was published because its member was silent is named in `revealed`.
//! * `KEY-5` a key file is read back exactly, or refused: truncated, altered, of another network, wrong passphrase.
//! * `KEY-6` a resharing keeps both public keys, and everybody computes the same outcome from the same logs in any order.
//! * `KEY-7` a handover is a function of the log: everybody who reads it has the same outcome and key set, a next member
//!   its shares, and a member that restarts says the same bytes again or nothing.
//! * `KEY-8` of a ceremony between operators, all who finish have the same keys; who contradicts itself is named with a
//!   proof; a restart says the same bytes.
//! * `KEY-9` a transcript proves its keys, or is refused: altered, cut, of another network, with a message less or more.
//!
//! Trust: a key set's file is public, and is trusted only as far as genesis or EPOCH repeats it. Whoever can *read* a
//! share file and its passphrase holds one share of q; whoever can write it can at most make the member refuse to start.
//! Wiped on drop are the secrets held here; not wiped are registers, stack copies, and the copies that the hash, scrypt
//! and scalar code of other crates makes.
#![forbid(unsafe_code)]

mod ceremony;
#[cfg(feature = "dealer")]
pub mod dealer;
pub mod files;
pub mod handover;
pub mod operators;
mod party;
mod public;
pub mod reshare;

pub use ceremony::{CeremonyError, CeremonyResult, MemberSecrets, ROUNDS_MAX, run_in_process};
#[cfg(feature = "dealer")]
pub use dealer::deal;
pub use party::consensus_public;
