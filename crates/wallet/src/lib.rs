//! The client side: what turns a user's transactions into a sealed envelope, brings it to the members, holds them to
//! their receipts, and tells what became of it.
//!
//! ```text
//!  legs --Bundle--> pad, seal to the group key, sign header (EIP-712) --> Envelope
//!                                                                           |  to all members at once
//!       receipts, each checked against the member's key  <------------------'
//!           | f+1: one honest member has it          2f+1: evidence
//!           v
//!       Opened, Executed as members tell it; believed when f+1 tell the same --> Outcome
//! ```
//!
//! Types to know: [`NetworkView`], [`seal_bundle`] with [`SealOptions`], [`Submitter`], [`Submission`], [`Outcome`],
//! [`demo::DemoWallet`], and for who bids for slots [`builder::Builder`] with a [`builder::Strategy`].
//!
//! Deliberately absent: member keys, drawing randomness and reading clocks (entropy and slots are arguments; waiting is
//! tokio's), and the forwarding of anything in clear. The JSON-RPC proxy is not here.
//!
//! What members learn: the address that connects, the fee account, size and gas class, and when. They learn them
//! together, so a fee account can be tied to an IP address. This is not solved in this version: use a fee account that
//! nothing else of yours is tied to, and a proxy for the address if it matters.
//!
//! Invariants that tests cite:
//! * `WAL-1` what is sealed is what `crypto` admits and what members decode: header, hash and signature agree.
//! * `WAL-2` a receipt counts once, only under its member's key, and only for this item in this network.
//! * `WAL-3` success is f+1 receipts, and a fate is f+1 equal accounts of it: no f members can feign either.
//! * `WAL-4` nonces of an aborted or dropped bundle are used again; no nonce is used twice with effect.
//!
//! Trust: the network file, whole. The network id covers members, parameters and rollups, but neither addresses nor the
//! key set, so a file with another key set under the same id would have the wallet seal to somebody else's key. Members
//! are not trusted one by one; f+1 that agree are.
#![forbid(unsafe_code)]

mod board;
pub mod builder;
pub mod demo;
mod link;
mod news;
mod receipt;
mod seal;
mod submit;
mod view;

pub use receipt::{ReceiptFault, Receipted, check_receipt};
pub use seal::{SealError, SealOptions, consent, offer, seal_bundle, size_class};
pub use submit::{Collected, Outcome, OutcomeError, Refused, Submission, SubmitError, SubmitLimits, Submitter};
pub use view::{MemberView, NetworkView, ViewError};

#[cfg(test)]
mod testing;
