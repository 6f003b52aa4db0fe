//! A member's own shares of a slot, cut for their combiners.
use super::fallback::{ANSWER_SHARES, ASK_ITEMS};
use crate::reveal::{self, Received};
use crypto::{combiners::Combiners, merkle, tdh2::SharePoint};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    Hash, MemberId, ShareChunk, ShareForm, ShareHeader, ShareMessage, ShareMode, Signature, Slot, codec, limits,
};

/// Shares cut into chunks: the root over all of them is signed, and each has its path to it.
pub(crate) struct Cut {
    combiners: Combiners,
    points: Vec<SharePoint>,
    root: Hash,
    paths: Vec<Vec<Hash>>,
}

impl Cut {
    pub(crate) fn new(combiners: Combiners, points: Vec<SharePoint>) -> Self {
        let chunks = (0u16..).take(combiners.chunks());
        let leaf = |chunk: u16| reveal::chunk_leaf(chunk, &pick(&points, &combiners.chunk_items(chunk)));
        let leaves: Vec<Hash> = chunks.map(leaf).collect();
        let (root, paths) = (merkle::root(&leaves), merkle::paths(&leaves));
        Self { combiners, points, root, paths }
    }
    pub(crate) fn root(&self) -> Hash {
        self.root
    }
    pub(crate) fn mode(&self) -> ShareMode {
        ShareMode::Sharded { offset: self.combiners.offset() }
    }
    pub(crate) fn signed(self, header: ShareHeader, sig: Signature) -> Outgoing {
        let members = (0u16..).map(MemberId).take_while(|member| self.combiners.has(*member));
        let slices = members.map(|member| self.message(&header, sig, self.combiners.chunks_of(member))).collect();
        Outgoing { cut: self, header, sig, slices }
    }
    fn message(&self, header: &ShareHeader, sig: Signature, chunks: impl Iterator<Item = u16>) -> Vec<u8> {
        let chunks = chunks.filter_map(|index| self.chunk(index)).collect();
        codec::encode(&ShareMessage { header: header.clone(), sig, chunks })
    }
    /// A chunk with its path; `None` if it is empty.
    fn chunk(&self, index: u16) -> Option<ShareChunk> {
        let points = pick(&self.points, &self.combiners.chunk_items(index));
        let path = self.paths.get(usize::from(index)).filter(|_| !points.is_empty())?.clone();
        Some(ShareChunk { index, path, form: ShareForm::Affine(points.iter().map(SharePoint::affine).collect()) })
    }
}

/// As many of these combiners as are asked for at a time: until they have enough items. Who asks and who answers count
/// alike, so what is asked for is answered whole.
pub(super) fn some_of(combiners: &Combiners, wanted: impl Iterator<Item = MemberId>) -> Vec<MemberId> {
    let mut items = 0usize;
    let fits = |member: &MemberId| {
        let fits = items < ASK_ITEMS;
        items = items.saturating_add(combiners.items_of(*member).len());
        fits
    };
    wanted.filter(|member| combiners.has(*member)).take(limits::MEMBERS_MAX).take_while(fits).collect()
}

fn pick(points: &[SharePoint], items: &[usize]) -> Vec<SharePoint> {
    items.iter().filter_map(|item| points.get(*item).copied()).collect()
}

/// What a member sends of a slot.
pub(crate) struct Outgoing {
    cut: Cut,
    header: ShareHeader,
    sig: Signature,
    /// codec(ShareMessage) for each member: the shares that it combines.
    slices: Vec<Vec<u8>>,
}

impl core::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outgoing").field("slot", &self.header.slot).finish()
    }
}

impl Outgoing {
    pub(crate) fn slot(&self) -> Slot {
        self.header.slot
    }
    /// Of the slot.
    pub(crate) fn items(&self) -> usize {
        self.cut.combiners.items()
    }
    pub(crate) fn slices(&self) -> &[Vec<u8>] {
        &self.slices
    }
    /// What is made durable: header, signature and each share once, in the order of the items, without paths. The
    /// messages follow from it.
    pub(crate) fn record(&self) -> Vec<u8> {
        let pieces = self.cut.points.chunks(limits::CHUNK_SHARES_MAX);
        let chunk = |(index, piece): (u16, &[SharePoint])| ShareChunk {
            index,
            path: Vec::new(),
            form: ShareForm::Affine(piece.iter().map(SharePoint::affine).collect()),
        };
        let chunks = (0u16..).zip(pieces).map(chunk).collect();
        codec::encode(&ShareMessage { header: self.header.clone(), sig: self.sig, chunks })
    }
    /// From what was made durable. `None`: of another form of reveal.
    pub(crate) fn resume(record: &[u8], n: u16, per_item: u8) -> Option<Self> {
        let message: ShareMessage = codec::decode(record, limits::SHARE_BYTES_MAX).ok()?;
        let ShareMode::Sharded { offset } = message.header.mode else { return None };
        let mut points = Vec::new();
        for chunk in &message.chunks {
            points.extend(reveal::points(&chunk.form)?);
        }
        let cut = Cut::new(Combiners::new(n, per_item, offset, message.header.items), points);
        let same = cut.points.len() == cut.combiners.items() && cut.root() == message.header.root;
        same.then(|| cut.signed(message.header, message.sig))
    }
    /// As if it had come from another member.
    pub(crate) fn received(&self) -> Received {
        let (header, sig, points) = (self.header.clone(), self.sig, self.cut.points.clone());
        Received { header, sig, points, pieces: BTreeMap::new() }
    }
    /// The shares for these combiners, as many as are asked for at a time, in messages of bounded size; at least one, for
    /// its header. Says how many shares that is.
    pub(crate) fn answers(&self, combiners: &[MemberId]) -> (Vec<Vec<u8>>, usize) {
        let known = some_of(&self.cut.combiners, combiners.iter().copied());
        let chunks: BTreeSet<u16> =
            known.into_iter().flat_map(|combiner| self.cut.combiners.chunks_of(combiner)).collect();
        let (mut out, mut some, mut shares, mut all) = (Vec::new(), Vec::new(), 0usize, 0usize);
        for chunk in chunks {
            some.push(chunk);
            shares = shares.saturating_add(self.cut.combiners.chunk_items(chunk).len());
            if shares >= ANSWER_SHARES {
                out.push(self.cut.message(&self.header, self.sig, some.drain(..)));
                all = all.saturating_add(shares);
                shares = 0;
            }
        }
        if out.is_empty() || !some.is_empty() {
            out.push(self.cut.message(&self.header, self.sig, some.into_iter()));
        }
        (out, all.saturating_add(shares))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_takes_more_than_its_items_and_those_of_one_combiner() {
        for (n, items, many) in [(4u16, 16_384u32, 1), (19, 16_384, 2), (128, 16_384, 8), (4, 100, 4), (19, 0, 19)] {
            let combiners = Combiners::new(n, 2, 0, items);
            let asked = |members: &[u16]| some_of(&combiners, members.iter().copied().map(MemberId));
            let everybody: Vec<u16> = (0..n).collect();
            let most = combiners.items_of(MemberId(0)).len() + 1;
            let given = asked(&everybody);
            assert_eq!(given.len(), many, "of {n}");
            let shares: usize = given.iter().map(|member| combiners.items_of(*member).len()).sum();
            assert!(shares < ASK_ITEMS + most);
            // one again and again, and nobody
            assert!(asked(&[0; 500]).len() <= many.max(limits::MEMBERS_MAX));
            assert_eq!(asked(&[n, n + 1, u16::MAX]), []);
        }
    }
}
