//! Evidence: what a member or a builder signed and must not have signed (log.md section 8). Each piece names its culprit
//! and is proved by `crypto::evidence::verify` from the epoch's public keys and parameters alone; a builder's by its own
//! signatures.
use crate::{
    Address, BidHeader, BlockHeader, Envelope, Epoch, EthSignature, FinalityProof, G1Bytes, Hash, ListText, MemberId,
    Opening, OpeningHeader, Receipt, Schedule, ShareHeader, Signature, SignedBuild, SignedList, Slot, reason::Finding,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// What a vote says of its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Vote {
    /// The block is right.
    Notarize {
        /// View of its parent.
        parent_view: u64,
        /// Its digest.
        digest: Hash,
    },
    /// The view brings no block.
    Nullify,
    /// The block was the only thing voted for.
    Finalize {
        /// View of its parent.
        parent_view: u64,
        /// Its digest.
        digest: Hash,
    },
}

/// A vote and the consensus key's signature over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voted {
    /// What it says.
    pub vote: Vote,
    /// Over the bytes of `crypto::finality::vote_message`.
    pub sig: Signature,
}

/// The signed header of a share message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedShare {
    /// What is signed.
    pub header: ShareHeader,
    /// Receipt key.
    pub sig: Signature,
}

/// A decryption share and what it takes to judge it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareFault {
    /// Of the culprit's share message.
    pub share: SignedShare,
    /// The block that the header's digest names: fixes which unit a share is of.
    pub block: BlockHeader,
    /// Place of the unit in S_h.
    pub unit: u32,
    /// From the unit's hash to the block's set.
    pub unit_path: Vec<Hash>,
    /// The unit: its ciphertext begins with U.
    pub envelope: Envelope,
    /// The chunk that holds the share, compressed, as the signed root covers it. Its index follows from the unit's.
    pub chunk: Vec<G1Bytes>,
    /// From the chunk's leaf to the header's root.
    pub chunk_path: Vec<Hash>,
}

/// An opening and what it takes to judge it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningFault {
    /// Of the combiner's message.
    pub header: OpeningHeader,
    /// Receipt key.
    pub sig: Signature,
    /// The block that the header's digest names.
    pub block: BlockHeader,
    /// Place of the unit in S_h.
    pub unit: u32,
    /// From the unit's hash to the block's set.
    pub unit_path: Vec<Hash>,
    /// The unit.
    pub envelope: Envelope,
    /// What is said to open it.
    pub opening: Opening,
    /// Its place in the message.
    pub at: u32,
    /// From its leaf to the header's root.
    pub path: Vec<Hash>,
}

/// A bid without the bulk of its ciphertext: all that its signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBid {
    /// The head.
    pub header: BidHeader,
    /// SHA-256 of the ciphertext.
    pub ciphertext: Hash,
    /// The bidder's EIP-712 signature over both.
    pub signature: EthSignature,
}

/// Two signed objects of one signer, slot and seq: the one with the smaller codec bytes is `a`. Two signatures
/// under one text are two objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuilderDouble {
    /// 0, `bid-double`.
    Bid {
        /// One.
        a: SignedBid,
        /// The other.
        b: SignedBid,
    },
    /// 1, `body-double` or `tail-double`: both are of one kind and name one builder.
    Build {
        /// Who signed both, and answers: the builder, whom its bid names for the tail, or anybody else with a bond.
        signer: Address,
        /// One.
        a: SignedBuild,
        /// The other.
        b: SignedBuild,
    },
}

impl BuilderDouble {
    /// What it is, who signed, and the slot that both name.
    #[must_use]
    pub const fn said(&self) -> (Finding, Address, Slot) {
        match self {
            Self::Bid { a, .. } => (Finding::BidDouble, a.header.bidder, a.header.slot),
            Self::Build { signer, a, .. } => {
                let finding = if a.reveal.is_some() { Finding::TailDouble } else { Finding::BodyDouble };
                (finding, *signer, a.header.slot)
            }
        }
    }
}

/// Whom evidence is against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accused {
    /// A member of the epoch's committee.
    Member(MemberId),
    /// A builder, in a slot.
    Builder {
        /// Whose bond answers.
        builder: Address,
        /// The slot that was bid for or built.
        slot: Slot,
    },
}

impl core::fmt::Display for Accused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Member(member) => write!(f, "member {member}"),
            Self::Builder { builder, .. } => write!(f, "builder {builder}"),
        }
    }
}

/// What a FAULT says: of what, whom, and in which epoch. At most one of a kind is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Of what.
    pub finding: Finding,
    /// Whom.
    pub accused: Accused,
    /// In which epoch; a builder's is that of its slot.
    pub epoch: Epoch,
}

/// A piece of evidence. Of two statements the one with the smaller codec bytes is `a`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// 0, `list-equivocation`: two lists of one member for one slot.
    ListDouble {
        /// One.
        a: ListText,
        /// Receipt key over `a`.
        a_sig: Signature,
        /// The other.
        b: ListText,
        /// Receipt key over `b`.
        b_sig: Signature,
    },
    /// 1, `list-invalid`: a list out of order, over a cap, or with a cut although it had room.
    ListInvalid {
        /// The list.
        list: SignedList,
    },
    /// 2, `vote-double`: two votes of one member in one view of which an honest member gives at most one.
    VoteDouble {
        /// Epoch.
        epoch: Epoch,
        /// View of both.
        view: u64,
        /// Who voted.
        member: MemberId,
        /// One.
        a: Voted,
        /// The other.
        b: Voted,
    },
    /// 3, `share-equivocation`: two share messages of one member for one slot with another digest, head, root or beacon.
    ShareDouble {
        /// One.
        a: Box<SignedShare>,
        /// The other.
        b: Box<SignedShare>,
    },
    /// 4, `share-bad`: a decryption share that is not the member's key times U.
    ShareBad {
        /// The share and its unit.
        fault: Box<ShareFault>,
    },
    /// 5, `share-bad`: a beacon share that does not sign what its own header names.
    BeaconBad {
        /// The message's header holds it.
        share: Box<SignedShare>,
    },
    /// 6, `share-stray`: a share message for another block than the final one.
    ShareStray {
        /// The message's header.
        share: Box<SignedShare>,
        /// Which block is final.
        proof: FinalityProof,
    },
    /// 7, `receipt-conflict`: two receipts of one member with one `seq` for different items.
    ReceiptDouble {
        /// Who gave both.
        member: MemberId,
        /// Text of one, as signed: [`crate::Receipt::text`].
        a: String,
        /// Receipt key over `a`.
        a_sig: Signature,
        /// Text of the other.
        b: String,
        /// Receipt key over `b`.
        b_sig: Signature,
    },
    /// 8, `opening-bad`: a combiner's opening that does not open its unit, or says that nothing does.
    OpeningBad {
        /// The opening and its unit.
        fault: Box<OpeningFault>,
    },
    /// 9, `bid-double`: two signed objects of one builder, slot and seq.
    Builder {
        /// Both.
        double: Box<BuilderDouble>,
    },
}

impl Evidence {
    /// The epoch that it is about: whose committee, or that of the builder's slot.
    #[must_use]
    pub fn epoch(&self, schedule: Schedule) -> Epoch {
        match self {
            Self::ListDouble { a, .. } => schedule.epoch_of(a.slot),
            Self::ListInvalid { list } => schedule.epoch_of(list.slot),
            Self::VoteDouble { epoch, .. } => *epoch,
            Self::Builder { double } => schedule.epoch_of(double.said().2),
            Self::ShareDouble { a, .. } => a.header.epoch,
            Self::ShareBad { fault } => fault.share.header.epoch,
            Self::OpeningBad { fault } => fault.header.epoch,
            Self::BeaconBad { share } | Self::ShareStray { share, .. } => share.header.epoch,
            Self::ReceiptDouble { a, .. } => {
                Receipt::parse(a).map_or(Epoch(0), |receipt| schedule.epoch_of(receipt.list_from))
            }
        }
    }
}
