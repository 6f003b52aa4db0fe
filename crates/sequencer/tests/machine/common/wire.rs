//! What members send each other, written down a second time: so the bytes on the wire are tested, too.
use crate::common::net::{Net, id};
use crypto::{hash, ids, merkle, tdh2::SharePoint};
use serde::{Deserialize, Serialize};
use types::{
    G2Bytes, Hash, Leaf, ListText, Opening, Rank, ShareChunk, ShareForm, ShareMessage, SignedHeader, SignedList, Slot,
    codec, tag,
};

/// Channel `Items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Items {
    pub(crate) envelopes: Vec<Vec<u8>>,
    pub(crate) operations: Vec<Vec<u8>>,
    pub(crate) bids: Vec<Vec<u8>>,
}

/// Channel `Fetch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fetch {
    GetItems(Vec<Hash>),
    Items(Vec<Vec<u8>>),
    GetOpening(Slot),
    Opening(Box<OpeningSection>),
    GetList(Slot),
    Heads(Vec<(SignedHeader, Hash)>),
    Operations(Vec<Vec<u8>>),
    Bids(Vec<Vec<u8>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpeningSection {
    pub(crate) slot: Slot,
    pub(crate) sig: G2Bytes,
    pub(crate) openings: Vec<Opening>,
}

pub(crate) fn share(bytes: &[u8]) -> ShareMessage {
    codec::decode(bytes, types::limits::SHARE_BYTES_MAX).unwrap()
}

pub(crate) fn list(bytes: &[u8]) -> SignedList {
    codec::decode(bytes, types::limits::LIST_BYTES_MAX).unwrap()
}

pub(crate) fn fetch(bytes: &[u8]) -> Fetch {
    codec::decode(bytes, codec::BLOCK_MAX).unwrap()
}

/// A list that its member really signed.
pub(crate) fn sign_list(net: &Net, slot: Slot, member: usize, mut leaves: Vec<Leaf>, cut: Option<Rank>) -> SignedList {
    leaves.sort_unstable();
    let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
    let root = merkle::set_ref(&bytes);
    let text = ListText { network: net.id, slot, member: id(member), count: root.count, root: root.root, cut };
    let sig = net.receipt_key(member).sign(ids::list_digest(&text).as_bytes());
    SignedList { slot, member: id(member), cut, leaves, sig }
}

/// The same message with its shares changed, and a signature of its member over that.
pub(crate) fn forge_share(
    net: &Net,
    member: usize,
    message: &ShareMessage,
    change: impl FnOnce(&mut ShareMessage, &mut Vec<SharePoint>),
) -> ShareMessage {
    let mut message = message.clone();
    let mut points = Vec::new();
    for chunk in &message.chunks {
        match &chunk.form {
            ShareForm::Affine(all) => points.extend(all.iter().map(|p| SharePoint::from_affine(p).unwrap())),
            ShareForm::Compressed(all) => points.extend(all.iter().map(|p| SharePoint::from_compressed(p).unwrap())),
        }
    }
    change(&mut message, &mut points);
    let pieces: Vec<&[SharePoint]> = points.chunks(512).collect();
    let leaf = |(index, piece): (u16, &&[SharePoint])| {
        let bytes: Vec<u8> = piece.iter().flat_map(|p| p.compressed().0).collect();
        hash::t256(tag::SHARE_CHUNK, &[&index.to_le_bytes(), &bytes])
    };
    let leaves: Vec<Hash> = (0..).zip(&pieces).map(leaf).collect();
    message.chunks = (0..)
        .zip(&pieces)
        .map(|(index, piece)| ShareChunk {
            index,
            path: merkle::path(&leaves, index.into()).unwrap(),
            form: ShareForm::Compressed(piece.iter().map(SharePoint::compressed).collect()),
        })
        .collect();
    message.header.root = merkle::root(&leaves);
    message.header.items = u32::try_from(points.len()).unwrap();
    let digest = hash::t256(tag::SHARE, &[&codec::encode(&message.header)]);
    message.sig = net.receipt_key(member).sign(digest.as_bytes());
    message
}
