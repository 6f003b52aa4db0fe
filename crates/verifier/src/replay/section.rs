//! What was read of the section under way.
use alloc::vec::Vec;
use auction_rules::BidTerms;
use crypto::finality::SetHashes;
use types::{
    Amount, Bid, BlockHeader, Body, Claim, Envelope, Hash, LeftItem, ListText, MemberId, Opening, Rank, SetRef,
    Signature, Slot,
};

/// The fields of CLOSE.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) slot: Slot,
    pub(crate) header: BlockHeader,
    pub(crate) candidates: SetRef,
    pub(crate) bytes: u64,
    pub(crate) gas: u64,
    pub(crate) forced: u32,
    pub(crate) cut: Option<Rank>,
    pub(crate) byte_price: u128,
    pub(crate) gas_price: u128,
}

/// A LIST entry.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) text: ListText,
    pub(crate) sig: Signature,
    pub(crate) bits: Vec<u8>,
}

/// A bid that counts.
#[derive(Clone, Debug)]
pub(crate) struct SealedBid {
    pub(crate) terms: BidTerms,
    pub(crate) bid: Bid,
}

/// The body that counts.
#[derive(Clone, Debug)]
pub(crate) struct Bodied {
    pub(crate) hash: Hash,
    pub(crate) body: Body,
}

/// A unit of the set.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) hash: Hash,
    pub(crate) envelope: Envelope,
}

/// An operation with an entry.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) hash: Hash,
    /// codec(Operation).
    pub(crate) bytes: Vec<u8>,
    /// What the FAULT says besides its evidence.
    pub(crate) fault: Option<Fault>,
    /// What it convicts of, once that is judged.
    pub(crate) claim: Option<Claim>,
}

/// The fields of FAULT that the evidence decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) finding: u16,
    pub(crate) accused: Vec<Hash>,
    pub(crate) penalty: Amount,
}

/// The section under way.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) slot: Slot,
    pub(crate) closed: Option<Closed>,
    pub(crate) left: Vec<LeftItem>,
    /// Hashes of LEFTHEAD items of this section, ascending.
    pub(crate) heads: Vec<Hash>,
    /// Bytes of the last LEFTHEAD entry.
    pub(crate) head_bytes: usize,
    pub(crate) lists: Vec<Listed>,
    /// Bids that count, ascending by leaf.
    pub(crate) bids: Vec<SealedBid>,
    pub(crate) body: Option<Bodied>,
    /// What the body placed.
    pub(crate) placed: Vec<Hash>,
    pub(crate) units: Vec<Unit>,
    pub(crate) operations: Vec<Entered>,
    pub(crate) beacon: Option<Hash>,
    /// Indices into `units`.
    pub(crate) perm: Vec<u16>,
    /// In the order.
    pub(crate) openings: Vec<Opening>,
}

impl Section {
    /// Hashes of the set, ascending.
    pub(crate) fn hashes(&self) -> Vec<Hash> {
        self.units.iter().map(|u| u.hash).collect()
    }
    /// The set with its envelopes.
    pub(crate) fn units(&self) -> Vec<(Hash, Envelope)> {
        self.units.iter().map(|u| (u.hash, u.envelope.clone())).collect()
    }
    /// Bids that count.
    pub(crate) fn sealed_bids(&self) -> Vec<(Hash, Bid)> {
        self.bids.iter().map(|b| (b.terms.hash, b.bid.clone())).collect()
    }
    /// What finality is about.
    pub(crate) fn set_hashes(&self) -> SetHashes {
        SetHashes {
            set: self.hashes(),
            bids: self.bids.iter().map(|b| b.terms.leaf()).collect(),
            bid_hashes: self.bids.iter().map(|b| b.terms.hash).collect(),
        }
    }
    /// Hashes in the order of `perm`.
    pub(crate) fn order(&self) -> Vec<Hash> {
        self.ordered().map(|u| u.hash).collect()
    }
    /// Units in the order of `perm`.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = &Unit> {
        self.perm.iter().filter_map(|i| self.units.get(usize::from(*i)))
    }
    pub(crate) fn last_member(&self) -> Option<MemberId> {
        self.lists.last().map(|l| l.text.member)
    }
}
