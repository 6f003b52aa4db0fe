//! What a reveal is made of: the one message in which a member sends its beacon share and its decryption shares, and the
//! one in which a combiner sends what they open (crypto.md section 4).
use crate::{Epoch, G1Bytes, G2Bytes, Hash, Head, MemberId, Opening, SetRef, Signature, SignatureStamp, Slot};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Who combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareMode {
    /// Everybody combines everything.
    Direct,
    /// k combiners per item.
    Sharded {
        /// o of crypto.md section 4, which the beacon of the slot before gives: where the combiners of item 0 begin. Signed,
        /// so that the header alone says which share stands where.
        offset: u16,
    },
}

/// What the signature covers: T256("lockstep/share/v1"; codec(this)), with the receipt key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// Epoch of the key set.
    pub epoch: Epoch,
    /// Slot h.
    pub slot: Slot,
    /// Digest of block h.
    pub digest: Hash,
    /// Whose shares.
    pub member: MemberId,
    /// Who combines.
    pub mode: ShareMode,
    /// Number of decryption shares: counting bids, then S_h, in log order.
    pub items: u32,
    /// Signature share over the beacon's message.
    pub beacon: G2Bytes,
    /// The close head.
    pub head: Head,
    /// Cosignature of the close head.
    pub cosig: SignatureStamp,
    /// RFC 6962 root over the chunks' leaves.
    pub root: Hash,
}

/// Points as they travel. The signature always covers the compressed form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareForm {
    /// 48 bytes each.
    Compressed(Vec<G1Bytes>),
    /// x and y of a point of G1, as many bytes as a point of G2 takes compressed: cheap to decode.
    Affine(Vec<G2Bytes>),
}

impl ShareForm {
    /// Number of shares.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Compressed(points) => points.len(),
            Self::Affine(points) => points.len(),
        }
    }
    /// No shares.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Up to 512 shares. Leaf = T256("lockstep/share-chunk/v1"; u16le index, compressed shares).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareChunk {
    /// Place among the chunks.
    pub index: u16,
    /// RFC 6962 audit path to `root`.
    pub path: Vec<Hash>,
    /// The shares.
    pub form: ShareForm,
}

/// A share message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareMessage {
    /// What is signed.
    pub header: ShareHeader,
    /// Receipt key.
    pub sig: Signature,
    /// The shares, in order.
    pub chunks: Vec<ShareChunk>,
}

/// What the signature of an opening message covers: T256("lockstep/openings/v1"; codec(this)), with the receipt key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningHeader {
    /// Format; 1.
    pub version: u8,
    /// Network id.
    pub network: Hash,
    /// Epoch of the key set.
    pub epoch: Epoch,
    /// Slot h.
    pub slot: Slot,
    /// Digest of block h.
    pub digest: Hash,
    /// The combiner.
    pub member: MemberId,
    /// RFC 6962 root over the openings, leaf = codec((item, opening)).
    pub openings: SetRef,
}

/// What a combiner opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningMessage {
    /// What is signed.
    pub header: OpeningHeader,
    /// Receipt key.
    pub sig: Signature,
    /// Place among the slot's items, strictly ascending, and what opens the item.
    pub items: Vec<(u32, Opening)>,
}
