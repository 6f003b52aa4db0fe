//! What the holder of a build right sends: the body of its slot, and the tail (protocol.md section 5).
use crate::{Address, Bundle, Epoch, EthSignature, Hash, Slot};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// What bodies and tails have in common, as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// Epoch of the slot.
    pub epoch: Epoch,
    /// The slot that the right is for.
    pub slot: Slot,
    /// Who bought the right: its bond answers.
    pub builder: Address,
    /// The highest counts.
    pub seq: u8,
}

impl BuildHeader {
    /// The only format.
    pub const VERSION: u8 = 1;
}

/// Which units come first into the share of a full slot that lists do not force; never their order.
/// Body hash = SHA-256("lockstep/body/v1" | codec(this)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What is signed, with the units.
    pub header: BuildHeader,
    /// The builder's EIP-712 signature.
    pub signature: EthSignature,
    /// Envelope hashes; an earlier one finds more room. At most [`crate::limits::BODY_UNITS_MAX`].
    pub units: Vec<Hash>,
}

/// Bundles in the clear for the end of a slot. Tail hash = SHA-256("lockstep/tail/v1" | codec(this)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// What is signed, with the reveal and the bundles.
    pub header: BuildHeader,
    /// Reveal hash of the slot: root of the log just after its last opening.
    pub reveal: Hash,
    /// EIP-712 signature of the builder, or of the `tail_recipient` that its bid names.
    pub signature: EthSignature,
    /// In their order.
    pub bundles: Vec<Bundle>,
}

/// A body or a tail without its units or bundles: all that its signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBuild {
    /// The head.
    pub header: BuildHeader,
    /// The reveal hash that a tail names; `None`: a body.
    pub reveal: Option<Hash>,
    /// Units or bundles.
    pub count: u32,
    /// SHA-256 over them, as the signature covers it.
    pub content: Hash,
    /// EIP-712 signature.
    pub signature: EthSignature,
}

/// A body or a tail: what the header's root over objects covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    /// 0
    Body(Box<Body>),
    /// 1
    Tail(Box<Tail>),
}

impl Object {
    /// What bodies and tails have in common.
    #[must_use]
    pub const fn header(&self) -> &BuildHeader {
        match self {
            Self::Body(body) => &body.header,
            Self::Tail(tail) => &tail.header,
        }
    }
}
