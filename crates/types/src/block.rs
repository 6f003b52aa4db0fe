//! Lists and blocks (protocol.md section 3, engine.md section 4, log.md section 4).
use crate::{Address, Epoch, Hash, Head, MemberId, Signature, Slot, Timestamp};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A count and the RFC 6962 root over that many leaves. The root of nothing is SHA-256 of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRef {
    /// Number of leaves.
    pub count: u32,
    /// RFC 6962 root.
    pub root: Hash,
}

impl SetRef {
    /// No leaves: the root is SHA-256 of nothing.
    pub const EMPTY: Self = Self {
        count: 0,
        root: Hash([
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
            0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ]),
    };
}

/// Fee per byte and hash: the place of an envelope in the order of fees. Better is higher fee, then smaller hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Base units per byte of size class.
    pub fee_per_byte: u64,
    /// Envelope hash.
    pub hash: Hash,
}

impl Ord for Rank {
    /// `Less` is the better rank, so that an ascending sort gives the best first.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        other.fee_per_byte.cmp(&self.fee_per_byte).then_with(|| self.hash.cmp(&other.hash))
    }
}
impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The kinds of [`Leaf`], in the order of their leaf bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeafKind {
    /// 0
    Envelope = 0,
    /// 1
    Bid = 1,
    /// 2
    Body = 2,
    /// 3
    Tail = 3,
    /// 4
    Op = 4,
}

/// An item of a list. Sorted by [`Leaf::bytes`], which is also the derived order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Leaf {
    /// An admitted envelope; the numbers are functions of its header and the slot's prices.
    Envelope {
        /// Envelope hash.
        hash: Hash,
        ///
        fee_per_byte: u64,
        /// Size class.
        size: u8,
        /// Gas class.
        gas: u8,
    },
    /// A bid for the next slot.
    Bid {
        /// Who bids.
        bidder: Address,
        /// The highest counts.
        seq: u8,
        /// Bid hash.
        hash: Hash,
    },
    /// The body of this slot.
    Body {
        /// The highest counts.
        seq: u8,
        /// Body hash.
        hash: Hash,
    },
    /// The tail of the slot before.
    Tail {
        /// The highest counts.
        seq: u8,
        /// Tail hash.
        hash: Hash,
    },
    /// An operation.
    Op {
        /// Operation hash.
        hash: Hash,
    },
}

impl Leaf {
    /// Kind, then the fields in order, fixed width, big-endian: 43 bytes for an envelope.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(54);
        match self {
            Self::Envelope { hash, fee_per_byte, size, gas } => {
                out.push(0);
                out.extend_from_slice(hash.as_bytes());
                out.extend_from_slice(&fee_per_byte.to_be_bytes());
                out.extend_from_slice(&[*size, *gas]);
            }
            Self::Bid { bidder, seq, hash } => {
                out.push(1);
                out.extend_from_slice(bidder.as_bytes());
                out.push(*seq);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Body { seq, hash } => {
                out.extend_from_slice(&[2, *seq]);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Tail { seq, hash } => {
                out.extend_from_slice(&[3, *seq]);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Op { hash } => {
                out.push(4);
                out.extend_from_slice(hash.as_bytes());
            }
        }
        out
    }
    /// The hash of what the leaf names.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Envelope { hash, .. }
            | Self::Bid { hash, .. }
            | Self::Body { hash, .. }
            | Self::Tail { hash, .. }
            | Self::Op { hash } => *hash,
        }
    }
}

/// What a member signs of its list: SHA-256("lockstep/list/v1" | codec(this)), with the receipt key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListText {
    /// Network id.
    pub network: Hash,
    /// The slot that closes.
    pub slot: Slot,
    /// Whose list.
    pub member: MemberId,
    /// Number of leaves.
    pub count: u32,
    /// RFC 6962 root over the sorted leaves' bytes.
    pub root: Hash,
    /// Where the list stopped, if it had to.
    pub cut: Option<Rank>,
}

/// A list as a member sends it. Shape: `leaves` strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedList {
    /// The slot that closes.
    pub slot: Slot,
    /// Whose list.
    pub member: MemberId,
    /// Where the list stopped, if it had to.
    pub cut: Option<Rank>,
    /// What the list names.
    pub leaves: Vec<Leaf>,
    /// Receipt key over [`ListText`].
    pub sig: Signature,
}

/// One member's list inside a block: which leaves of the union it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberList {
    /// Whose list.
    pub member: MemberId,
    /// Bit i (least significant first) = leaf i of the union is in the list; ceil(leaves / 8) bytes, unused bits 0.
    pub bits: Vec<u8>,
    /// Where the list stopped, if it had to.
    pub cut: Option<Rank>,
    /// Receipt key over [`ListText`].
    pub sig: Signature,
}

/// The lists of a block. Shape: `leaves` strictly ascending, each in a list; `members` strictly ascending, at least 2f+1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSet {
    /// The sorted union of the lists' leaves.
    pub leaves: Vec<Leaf>,
    /// The lists.
    pub members: Vec<MemberList>,
}

/// What finality is about. Digest = SHA-256("lockstep/block/v1" | codec(this)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// Network id.
    pub network: Hash,
    /// Epoch.
    pub epoch: Epoch,
    /// Height = slot.
    pub height: Slot,
    /// Consensus view.
    pub view: u64,
    /// Above the parent's, not ahead of a voter's clock.
    pub time_ms: Timestamp,
    /// Who proposed.
    pub proposer: MemberId,
    /// Digest of the parent.
    pub parent: Hash,
    /// Root over the signed lists by member: leaf = codec(ListText) | sig. Zero count: an empty block.
    pub lists: SetRef,
    /// S_h: leaf = hash.
    pub set: SetRef,
    /// Bids that count: leaf = bidder | seq | hash.
    pub bids: SetRef,
    /// Body and tail that count: leaf = kind | seq | hash.
    pub objects: SetRef,
    /// Operations: leaf = hash.
    pub operations: SetRef,
    /// The log's head after the last opening of the slot before; `None` in an empty block.
    pub reveal: Option<Head>,
}

/// A block: the lists are all that is proposed, the roots in the header are computed from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Header.
    pub header: BlockHeader,
    /// `None`: an empty block.
    pub lists: Option<ListSet>,
}

impl Block {
    /// The block of slot 0: empty, parent zero, time zero.
    #[must_use]
    pub fn genesis(network: Hash) -> Self {
        let header = BlockHeader {
            network,
            epoch: Epoch(0),
            height: Slot(0),
            view: 0,
            time_ms: Timestamp(0),
            proposer: MemberId(0),
            parent: Hash::ZERO,
            lists: SetRef::EMPTY,
            set: SetRef::EMPTY,
            bids: SetRef::EMPTY,
            objects: SetRef::EMPTY,
            operations: SetRef::EMPTY,
            reveal: None,
        };
        Self { header, lists: None }
    }
}

/// One member's vote in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteSig {
    /// Who voted.
    pub member: MemberId,
    /// ed25519 with the consensus key.
    pub sig: Signature,
}

/// Why a block is final: `headers` from it to the nearest one with a certificate, linked by `parent`, and 2f+1 `finalize` votes on the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalityProof {
    /// First the block, last the one with the certificate.
    pub headers: Vec<BlockHeader>,
    /// View of the certificate.
    pub view: u64,
    /// View of the certified block's parent.
    pub parent_view: u64,
    /// Strictly ascending members.
    pub votes: Vec<VoteSig>,
}

#[cfg(test)]
mod tests {
    // Goal: sorting leaves and sorting their bytes is one thing, since blocks do the first and roots the second.
    use super::*;
    use proptest::prelude::*;

    fn leaf() -> impl Strategy<Value = Leaf> {
        // few values per byte, so that equal prefixes are common
        let hash = || proptest::collection::vec(0u8..3, 32).prop_map(|b| Hash(b.try_into().unwrap()));
        let bidder = proptest::collection::vec(0u8..3, 20).prop_map(|b| Address(b.try_into().unwrap()));
        let fee = prop_oneof![0u64..3, any::<u64>()];
        prop_oneof![
            (hash(), fee, 0u8..3, 0u8..3).prop_map(|(hash, fee_per_byte, size, gas)| Leaf::Envelope {
                hash,
                fee_per_byte,
                size,
                gas
            }),
            (bidder, 0u8..3, hash()).prop_map(|(bidder, seq, hash)| Leaf::Bid { bidder, seq, hash }),
            (0u8..3, hash()).prop_map(|(seq, hash)| Leaf::Body { seq, hash }),
            (0u8..3, hash()).prop_map(|(seq, hash)| Leaf::Tail { seq, hash }),
            hash().prop_map(|hash| Leaf::Op { hash }),
        ]
    }

    proptest! {
        #[test]
        fn leaves_sort_as_their_bytes(a in leaf(), b in leaf()) {
            prop_assert_eq!(a.cmp(&b), a.bytes().cmp(&b.bytes()));
        }

        #[test]
        fn leaves_of_one_hash_sort_as_their_bytes(fees in any::<[u64; 2]>(), classes in any::<[u8; 4]>()) {
            let hash = Hash([7; 32]);
            let a = Leaf::Envelope { hash, fee_per_byte: fees[0], size: classes[0], gas: classes[1] };
            let b = Leaf::Envelope { hash, fee_per_byte: fees[1], size: classes[2], gas: classes[3] };
            prop_assert_eq!(a.cmp(&b), a.bytes().cmp(&b.bytes()));
        }
    }

    #[test]
    fn an_envelopes_leaf_has_43_bytes() {
        let leaf = Leaf::Envelope { hash: Hash([1; 32]), fee_per_byte: 2, size: 3, gas: 4 };
        assert_eq!(leaf.bytes().len(), 43);
    }
}
