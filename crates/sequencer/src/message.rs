//! What members send each other on our channels, besides lists and share messages.
use serde::{Deserialize, Serialize};
use types::{G2Bytes, Hash, MemberId, Opening, OpeningMessage, SignedHeader, Slot};

/// Channel `Items`: what the sender took from clients, and operations, as codec bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Items {
    /// codec(Envelope) each.
    pub(crate) envelopes: Vec<Vec<u8>>,
    /// codec(Operation) each.
    pub(crate) operations: Vec<Vec<u8>>,
    /// codec(Bid) each.
    pub(crate) bids: Vec<Vec<u8>>,
    /// codec(Object) each.
    pub(crate) objects: Vec<Vec<u8>>,
}

/// Channel `Fetch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fetch {
    /// Send me these envelopes, bids, bodies, tails and operations.
    GetItems(Vec<Hash>),
    /// Here are those that I have.
    Items(Vec<Vec<u8>>),
    /// Send me what opened this slot.
    GetOpening(Slot),
    /// Here it is; self-verifying.
    Opening(Box<OpeningSection>),
    /// Send me your list for this slot.
    GetList(Slot),
    /// Signed header and hash of the ciphertext of listed envelopes that no set will hold: all that a block needs of them.
    Heads(Vec<(SignedHeader, Hash)>),
    /// Here are those of the operations that I have.
    Operations(Vec<Vec<u8>>),
    /// Here are those of the bids that I have.
    Bids(Vec<Vec<u8>>),
    /// I combined my items: here is what opens them.
    Openings(Box<OpeningMessage>),
    /// These combiners did not open their items: send me your shares for them, or what opened the slot.
    GetShares(Slot, Vec<MemberId>),
    /// Here are those of the bodies and tails that I have.
    Objects(Vec<Vec<u8>>),
}

/// Part B of a section in short form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpeningSection {
    /// Slot.
    pub(crate) slot: Slot,
    /// Threshold signature.
    pub(crate) sig: G2Bytes,
    /// Bids that count, then S_h.
    pub(crate) openings: Vec<Opening>,
}

/// Envelopes of one fetch.
pub(crate) const FETCH_ITEMS_MAX: usize = 512;
/// Codec bytes of one `Items` message.
pub(crate) const ITEMS_BYTES_MAX: usize = 256 << 10;
