//! A bid for the right to build a slot: clear head, signature, sealed amount (protocol.md section 5).
use crate::{Address, Amount, Epoch, EthSignature, Hash, Slot, limits};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The clear head. The bidder signs it as EIP-712 together with the ciphertext's hash, and the whole head is associated
/// data of the ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// Epoch of the block that lists it, whose committee opens it.
    pub epoch: Epoch,
    /// The slot that it wants: the one after the block that lists it.
    pub slot: Slot,
    /// Whose bond pays.
    pub bidder: Address,
    /// Of a bidder's listed bids the highest counts.
    pub seq: u8,
    /// Class of the most that it may say: `cap_unit` times 10 to this power is locked of the bond.
    pub cap_class: u8,
}

impl BidHeader {
    /// The only format.
    pub const VERSION: u8 = 1;
}

/// A bid as it travels and as it stands in the log. Bid hash = SHA-256("lockstep/bid/v1" | codec(this)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// What is signed.
    pub header: BidHeader,
    /// The bidder's EIP-712 signature over head and ciphertext hash.
    pub signature: EthSignature,
    /// TDH2, as an envelope's; the padded plaintext has [`limits::BID_CLASS_BYTES`].
    pub ciphertext: Vec<u8>,
}

impl Bid {
    /// Bytes of every bid's ciphertext.
    pub const CIPHERTEXT_BYTES: usize = limits::BID_CLASS_BYTES + limits::CIPHERTEXT_OVERHEAD;
}

/// What a bid seals, as canonical codec bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidText {
    /// What the slot is worth to the bidder, base units.
    pub amount: Amount,
    /// Who may sign the tail; zero: the bidder.
    pub tail_recipient: Address,
    /// Makes equal bids different.
    pub salt: Hash,
}
