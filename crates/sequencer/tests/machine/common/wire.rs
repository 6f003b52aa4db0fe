//! What members send each other, written down a second time: so the bytes on the wire are tested, too.
use crate::common::net::{Net, id};
use crypto::{combiners::Combiners, hash, ids, merkle, tdh2::SharePoint};
use serde::{Deserialize, Serialize};
use types::{
    G2Bytes, Hash, Leaf, ListText, MemberId, Opening, OpeningMessage, Rank, ShareChunk, ShareForm, ShareMessage,
    ShareMode, SignedHeader, SignedList, Slot, codec, tag,
};

/// Channel `Items`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Items {
    pub(crate) envelopes: Vec<Vec<u8>>,
    pub(crate) operations: Vec<Vec<u8>>,
    pub(crate) bids: Vec<Vec<u8>>,
    pub(crate) objects: Vec<Vec<u8>>,
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
    Openings(Box<OpeningMessage>),
    GetShares(Slot, Vec<MemberId>),
    Objects(Vec<Vec<u8>>),
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

/// Whether what is sent follows from the share message on the disk: where a few combine, that holds each share once.
pub(crate) fn follows(net: &Net, sent: &[u8], stored: Option<&[u8]>) -> bool {
    let message = share(sent);
    let Some(stored) = stored else { return false };
    let ShareMode::Sharded { offset } = message.header.mode else { return sent == stored };
    let stored = share(stored);
    let points = points(&stored);
    let combiners = Combiners::new(u16::try_from(net.n).unwrap(), net.params().combiners, offset, stored.header.items);
    let signed = |chunk: &ShareChunk| {
        let picked: Vec<SharePoint> = combiners.chunk_items(chunk.index).iter().map(|item| points[*item]).collect();
        let sent = ShareForm::Affine(picked.iter().map(SharePoint::affine).collect());
        let leaf = merkle::leaf_hash(leaf(chunk.index, &picked).as_ref());
        let chunks = u64::try_from(combiners.chunks()).unwrap();
        chunk.form == sent && merkle::verify_path(&stored.header.root, chunks, chunk.index.into(), &leaf, &chunk.path)
    };
    (message.header, message.sig) == (stored.header.clone(), stored.sig) && message.chunks.iter().all(signed)
}

pub(crate) fn points(message: &ShareMessage) -> Vec<SharePoint> {
    let mut points = Vec::new();
    for chunk in &message.chunks {
        match &chunk.form {
            ShareForm::Affine(all) => points.extend(all.iter().map(|p| SharePoint::from_affine(p).unwrap())),
            ShareForm::Compressed(all) => points.extend(all.iter().map(|p| SharePoint::from_compressed(p).unwrap())),
        }
    }
    points
}

fn leaf(index: u16, piece: &[SharePoint]) -> Hash {
    let bytes: Vec<u8> = piece.iter().flat_map(|p| p.compressed().0).collect();
    hash::t256(tag::SHARE_CHUNK, &[&index.to_le_bytes(), &bytes])
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
    let mut points = points(&message);
    change(&mut message, &mut points);
    let pieces: Vec<&[SharePoint]> = points.chunks(512).collect();
    let leaves: Vec<Hash> = (0..).zip(&pieces).map(|(index, piece)| leaf(index, piece)).collect();
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

/// A slice of a share message changed, with a signature of its member over that. The tree of chunks has nothing in other
/// places: nobody who gets this slice sees them.
pub(crate) fn forge_slice(
    net: &Net,
    member: usize,
    slice: &ShareMessage,
    change: impl FnOnce(&mut ShareMessage, &mut Vec<SharePoint>),
) -> ShareMessage {
    let mut message = slice.clone();
    let mut all = points(&message);
    change(&mut message, &mut all);
    let ShareMode::Sharded { offset } = message.header.mode else { panic!("not a slice") };
    let combiners = Combiners::new(u16::try_from(net.n).unwrap(), net.params().combiners, offset, message.header.items);
    let mut leaves = vec![Hash::ZERO; combiners.chunks()];
    let mut rest = &all[..];
    for chunk in &mut message.chunks {
        let (piece, after) = rest.split_at(chunk.form.len().min(rest.len()));
        rest = after;
        chunk.form = ShareForm::Compressed(piece.iter().map(SharePoint::compressed).collect());
        leaves[usize::from(chunk.index)] = leaf(chunk.index, piece);
    }
    for chunk in &mut message.chunks {
        chunk.path = merkle::path(&leaves, chunk.index.into()).unwrap();
    }
    message.header.root = merkle::root(&leaves);
    sign_share(net, member, message)
}

/// The same point for every item: all slices of this have one header.
pub(crate) fn same_everywhere(net: &Net, member: usize, slice: &ShareMessage, point: SharePoint) -> ShareMessage {
    let mut message = slice.clone();
    let ShareMode::Sharded { offset } = message.header.mode else { panic!("not a slice") };
    let combiners = Combiners::new(u16::try_from(net.n).unwrap(), net.params().combiners, offset, message.header.items);
    let chunks = 0..u16::try_from(combiners.chunks()).unwrap();
    let leaves: Vec<Hash> = chunks.map(|chunk| leaf(chunk, &vec![point; combiners.chunk_items(chunk).len()])).collect();
    for chunk in &mut message.chunks {
        chunk.path = merkle::path(&leaves, chunk.index.into()).unwrap();
        chunk.form = ShareForm::Compressed(vec![point.compressed(); chunk.form.len()]);
    }
    message.header.root = merkle::root(&leaves);
    sign_share(net, member, message)
}

pub(crate) fn sign_share(net: &Net, member: usize, mut message: ShareMessage) -> ShareMessage {
    let digest = hash::t256(tag::SHARE, &[&codec::encode(&message.header)]);
    message.sig = net.receipt_key(member).sign(digest.as_bytes());
    message
}

/// A combiner's openings changed, with a signature of its member over that.
pub(crate) fn forge_openings(
    net: &Net,
    member: usize,
    message: &OpeningMessage,
    change: impl FnOnce(&mut OpeningMessage),
) -> OpeningMessage {
    let mut message = message.clone();
    change(&mut message);
    let leaves: Vec<Vec<u8>> = message.items.iter().map(codec::encode).collect();
    message.header.openings = merkle::set_ref(&leaves);
    let digest = hash::t256(tag::OPENINGS, &[&codec::encode(&message.header)]);
    message.sig = net.receipt_key(member).sign(digest.as_bytes());
    message
}

/// What a message of channel `Fetch` says that opens items.
pub(crate) fn openings(bytes: &[u8]) -> Option<OpeningMessage> {
    match fetch(bytes) {
        Fetch::Openings(message) => Some(*message),
        _ => None,
    }
}
