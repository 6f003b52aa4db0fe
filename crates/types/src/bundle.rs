//! The plaintext of an envelope.
use crate::{ChainId, Hash, Slot};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What the legs of a bundle owe each other (protocol.md section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// All legs succeed, or no rollup sees any.
    AtomicExec,
    /// All legs are placed whatever they do; for rollups that are not executed here.
    AtomicInclusion,
}

/// One transaction on one rollup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The rollup.
    pub chain_id: ChainId,
    /// A signed transaction, EIP-2718.
    pub tx: Vec<u8>,
}

/// What a wallet encrypts: legs in execution order, on one or many rollups. A single transaction is a bundle with one leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Format; 1.
    pub version: u8,
    /// Atomicity.
    pub policy: Policy,
    /// In execution order, 1 to 16.
    pub legs: Vec<Leg>,
    /// The last slot whose execution may place it; the envelope's expiry bounds its inclusion.
    pub deadline_slot: Slot,
    /// Makes equal bundles different.
    pub salt: Hash,
}

impl Bundle {
    /// The only format.
    pub const VERSION: u8 = 1;
}
