//! Entries of the log (log.md section 2). Bytes = the codec; byte 5 is the kind.
use crate::MemberId;
use crate::{
    Address, Amount, BlockHeader, ChainExec, ChainId, Epoch, EpochRecord, G1Bytes, G2Bytes, Hash, Key128, Leaf, Nonce,
    Rank, RollupSpec, SetRef, Signature, Slot,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// First bytes of every entry.
pub const ENTRY_TAG: [u8; 4] = *b"LKSE";
/// Format of entries.
pub const ENTRY_VERSION: u8 = 1;

/// What opens a ciphertext; both forms are unique for given bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// K of crypto.md section 3.
    Key(Key128),
    /// D = x U, for a ciphertext that no K opens.
    Bottom(G1Bytes),
}

impl Opening {
    /// K.
    #[must_use]
    pub const fn key(&self) -> Option<Key128> {
        match self {
            Self::Key(key) => Some(*key),
            Self::Bottom(_) => None,
        }
    }
}

/// A member as EPOCH names it. Its index is the rank of `consensus` in ascending byte order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// For people.
    pub name: String,
    /// ed25519: votes, transport.
    pub consensus: Hash,
    /// ed25519: checkpoints (signature type 0x01).
    pub log: Hash,
    /// ed25519: cosignatures (type 0x04).
    pub cosigner: Hash,
    /// ed25519: receipts, lists, share messages.
    pub receipt: Hash,
    /// SHA-256 of the QUIC certificate's SPKI.
    pub tls: Hash,
}

/// A ledger account as the registry opens it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Spendable.
    pub balance: Amount,
    /// Builder's bond.
    pub bond: Amount,
    /// Next nonce.
    pub nonce: Nonce,
}

/// A line of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A fee account or builder.
    Account {
        /// Address.
        address: Address,
        /// What it holds.
        account: Account,
    },
    /// A builder that is active.
    Builder {
        /// Address.
        address: Address,
    },
    /// A rollup.
    Rollup {
        /// Its specification.
        spec: RollupSpec,
    },
    /// A rollup that ends.
    Removed {
        /// Its chain id.
        chain_id: ChainId,
    },
}

/// A leaf of the lists that has no entry of its own in the section, and the reason ([`crate::reason::Why`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftItem {
    /// The leaf.
    pub leaf: Leaf,
    /// Reason code.
    pub why: u8,
}

/// The signed header of a listed envelope that was left out: its hash can be recomputed without the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftHeadItem {
    /// codec([`crate::SignedHeader`]).
    pub signed: Vec<u8>,
    /// SHA-256 of the ciphertext.
    pub ciphertext: Hash,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`ENTRY_TAG`].
    pub tag: [u8; 4],
    /// [`ENTRY_VERSION`].
    pub version: u8,
    /// What it says.
    pub kind: Kind,
}

impl Entry {
    /// Canonical bytes of an entry of this kind.
    #[must_use]
    pub fn bytes(kind: Kind) -> Vec<u8> {
        crate::codec::encode(&Self { tag: ENTRY_TAG, version: ENTRY_VERSION, kind })
    }
}

/// The kinds of entry; the numbers are the codec's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// 0: committee, keys and parameters of an epoch.
    Epoch(Box<EpochRecord>),
    /// 1: records of the registry.
    Registry {
        /// Epoch.
        epoch: Epoch,
        /// Index of the first record.
        first: u32,
        /// Records.
        records: Vec<Record>,
    },
    /// 2: what finality of the block fixed.
    Close {
        /// Slot.
        slot: Slot,
        /// The final header.
        header: BlockHeader,
        /// C_h: leaf = hash | rank.
        candidates: SetRef,
        /// Size-class bytes of S_h.
        bytes: u64,
        /// Gas of S_h.
        gas: u64,
        /// Units that pass 1 took.
        forced: u32,
        /// Rank at which pass 1 stopped.
        cut: Option<Rank>,
        /// Price of a byte in this slot.
        byte_price: u128,
        /// Price of a unit of gas in this slot.
        gas_price: u128,
    },
    /// 3: leaves of the lists without an entry.
    Left {
        /// Slot.
        slot: Slot,
        /// Index of the first item.
        first: u32,
        /// Sorted by leaf.
        items: Vec<LeftItem>,
    },
    /// 4: headers of listed envelopes left out.
    LeftHead {
        /// Slot.
        slot: Slot,
        /// Index of the first item.
        first: u32,
        /// Sorted by envelope hash.
        heads: Vec<LeftHeadItem>,
    },
    /// 5: one member's list.
    List {
        /// Slot.
        slot: Slot,
        /// Whose.
        member: MemberId,
        /// Number of leaves.
        count: u32,
        /// Root over its leaves.
        root: Hash,
        /// Where it stopped.
        cut: Option<Rank>,
        /// Signature over [`crate::ListText`].
        sig: Signature,
        /// Bits over the union of leaves.
        bits: Vec<u8>,
    },
    /// 6: a bid.
    Bid {
        /// Slot.
        slot: Slot,
        /// As received.
        bytes: Vec<u8>,
    },
    /// 7: the body that counts.
    Body {
        /// Slot.
        slot: Slot,
        /// As received.
        bytes: Vec<u8>,
    },
    /// 8: a unit of S_h.
    Envelope {
        /// Slot.
        slot: Slot,
        /// codec(Envelope), as received.
        bytes: Vec<u8>,
    },
    /// 9: an operation that is no FAULT.
    Operation {
        /// Slot.
        slot: Slot,
        /// As received: codec([`crate::Operation`]).
        bytes: Vec<u8>,
    },
    /// 10: evidence that proves itself, the first of its finding and member in the epoch.
    Fault {
        /// Slot.
        slot: Slot,
        /// Finding number.
        finding: u16,
        /// The keys that signed.
        accused: Vec<Hash>,
        /// What the parameters say of it. It is recorded for settlement: members have no bonds on the ledger.
        penalty: Amount,
        /// codec([`crate::Evidence`]): with one byte before it, the operation that the lists name.
        evidence: Vec<u8>,
    },
    /// 11: the beacon.
    Beacon {
        /// Slot.
        slot: Slot,
        /// Threshold signature.
        sig: G2Bytes,
    },
    /// 12: the auction for the next slot.
    Auction {
        /// Slot.
        slot: Slot,
        /// The slot sold.
        for_slot: Slot,
        /// Reserve.
        reserve: Amount,
        /// One per counting bid.
        opened: Vec<Opening>,
        /// Index of the winning bid.
        winner: Option<u16>,
        /// Price.
        price: Amount,
    },
    /// 13: the order.
    Order {
        /// Slot.
        slot: Slot,
        /// RFC 6962 over envelope hashes in order.
        root: Hash,
        /// `perm[i]` = index in sorted S_h of the i-th unit.
        perm: Vec<u16>,
    },
    /// 14: openings in the order.
    Opened {
        /// Slot.
        slot: Slot,
        /// Place of the first.
        first: u32,
        /// In the order.
        openings: Vec<Opening>,
    },
    /// 15: the tail that counts.
    Tail {
        /// Slot.
        slot: Slot,
        /// As received.
        bytes: Vec<u8>,
    },
    /// 16: what execution left.
    Exec {
        /// Slot.
        slot: Slot,
        /// One code per unit of the sequence.
        outcomes: Vec<u8>,
        /// The queue.
        carry: SetRef,
        /// Root over steps.
        steps: Hash,
        /// Per rollup, ascending.
        chains: Vec<ChainExec>,
        /// Price, to payers, to rollups, to committee, fees charged, refunded, bonds forfeited, penalties.
        sums: [Amount; 8],
        /// Mailbox accumulators.
        mailbox: Hash,
        /// Hash chain over account changes.
        ledger: Hash,
        /// Super root.
        batch: Hash,
    },
}

impl Kind {
    /// The slot whose section the entry belongs to; genesis for EPOCH and REGISTRY, which stand before a CLOSE.
    #[must_use]
    pub fn slot(&self) -> Slot {
        match self {
            Self::Epoch(_) | Self::Registry { .. } => Slot(0),
            Self::Close { slot, .. }
            | Self::Left { slot, .. }
            | Self::LeftHead { slot, .. }
            | Self::List { slot, .. }
            | Self::Bid { slot, .. }
            | Self::Body { slot, .. }
            | Self::Envelope { slot, .. }
            | Self::Operation { slot, .. }
            | Self::Fault { slot, .. }
            | Self::Beacon { slot, .. }
            | Self::Auction { slot, .. }
            | Self::Order { slot, .. }
            | Self::Opened { slot, .. }
            | Self::Tail { slot, .. }
            | Self::Exec { slot, .. } => *slot,
        }
    }
    /// The name that log.md uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Epoch(_) => "EPOCH",
            Self::Registry { .. } => "REGISTRY",
            Self::Close { .. } => "CLOSE",
            Self::Left { .. } => "LEFT",
            Self::LeftHead { .. } => "LEFTHEAD",
            Self::List { .. } => "LIST",
            Self::Bid { .. } => "BID",
            Self::Body { .. } => "BODY",
            Self::Envelope { .. } => "ENVELOPE",
            Self::Operation { .. } => "OPERATION",
            Self::Fault { .. } => "FAULT",
            Self::Beacon { .. } => "BEACON",
            Self::Auction { .. } => "AUCTION",
            Self::Order { .. } => "ORDER",
            Self::Opened { .. } => "OPENED",
            Self::Tail { .. } => "TAIL",
            Self::Exec { .. } => "EXEC",
        }
    }
}
