//! The door: QUIC from wallets to a member, and the client that knocks (wallets-and-builders.md section 7).
//!
//! What comes in is a stranger's bytes. This crate bounds them, decodes them, charges them against quotas and hands
//! what is left to the member's driver through one bounded channel; what the driver answers goes back as one frame.
//! Nothing here judges an envelope: signature, ciphertext proof, nonce and balance are `mempool`'s.
//!
//! ```text
//!  UDP --QUIC--> handshake --ALPN, prefix quota--> stream --length, quota, decode--> Inbound --driver--> Answer | Refusal
//!                   |                                 |                                 ^
//!          retry, refuse above limits        duplicate: first receipt              full: BUSY
//! ```
//!
//! Types to know: [`Server`], [`Inbound`] with [`Request`] and [`Answer`], [`Client`], [`TlsIdentity`], [`IngressLimits`].
//!
//! Deliberately absent: 0-RTT (a replayed early request would let anyone probe), session resumption (every connection
//! proves the pinned key again), `WebPKI` and client certificates (the signed object is the identity), datagrams, and any
//! secret of a member but the key of its certificate. Kinds of builders are answered `UNSUPPORTED`.
//!
//! A frame is `u32 LE length of the payload | u8 kind | payload`, one request and one answer per bidirectional stream,
//! then FIN. Payloads are codec bytes; a receipt is its note's text. Events run on one unidirectional stream per
//! subscription, whose first frame is a `Gap`: how many of the events asked for are gone.
//!
//! Invariants that tests cite:
//! * `ING-1` nothing is allocated for a claimed length; a length above the kind's limit is refused unread.
//! * `ING-2` every complete request gets one frame, an answer or a refusal with a stable code; a stream that is not
//!   complete by its deadline is reset, and a connection that is ended is ended with a code.
//! * `ING-3` every queue is bounded: a full driver is `BUSY`, a slow subscriber gets `Gap`.
//! * `ING-4` a client speaks only to the key it pinned, and only `lockstep/1`.
//! * `ING-5` a duplicate submit gets the first receipt again, byte for byte.
//! * `ING-6` quotas are charged to a connection, and to an address prefix only after a handshake has proved the address.
//!
//! Trust: the TLS key authenticates the member's door, nothing else. Whoever steals it can drop, read and delay what
//! clients send, but can neither sign a receipt nor open an envelope.
//!
//! quinn and rustls draw their own randomness and read their own clock for TLS and loss recovery; neither reaches an
//! answer. Quotas use the clock that the node passes in.
#![forbid(unsafe_code)]

mod client;
mod events;
mod frame;
mod identity;
mod limits;
mod quota;
mod receipts;
mod server;

pub use client::{Client, ClientError};
pub use frame::{Answer, Asked, Request, decode_request};
pub use identity::{IdentityError, TlsIdentity};
pub use limits::{Clock, CloseCode, Counter, Counters, IngressLimits, NoCounters};
pub use quota::Prefix;
pub use server::{Inbound, IngressError, Peer, Server, ServerConfig};
