//! Lists, what they give, and part A.
use super::{FAULTY, MEMBERS, Plant, World};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use auction_rules::{BidTerms, Candidate, Ledger, Operations, Selection, Terms};
use crypto::{ids, merkle};
use types::{
    Bid, BlockHeader, Entry, Envelope, Hash, Kind, Leaf, LeftHeadItem, LeftItem, ListText, MemberId, Nonce, Rank,
    SetRef, Slot, codec, reason::Why,
};

/// What a close gives.
pub(super) struct Closed {
    pub(super) candidates: SetRef,
    pub(super) selection: Selection,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) operations: Operations,
    pub(super) bids: Vec<BidTerms>,
}

impl World {
    /// Lists, what they give, and the entries after CLOSE. Fills in the header.
    pub(super) fn close_lists(&mut self, judged: &Ledger, header: &mut BlockHeader) -> Closed {
        let slot = header.height;
        let params = self.anchor.network.genesis.params.clone();
        let prices = judged.prices();
        let all: BTreeMap<Hash, Terms> = self
            .state
            .pool
            .iter()
            .map(|(hash, held)| (*hash, Terms::of(*hash, &held.envelope.signed.header)))
            .collect();
        let leaf = |t: &Terms| {
            let fee_per_byte = auction_rules::fee_per_byte(t.max_fee, t.size, t.gas, &prices);
            Leaf::Envelope { hash: t.hash, fee_per_byte, size: t.size, gas: t.gas }
        };
        let mut lists: Vec<Vec<Leaf>> = (0..MEMBERS)
            .map(|member| {
                let holds =
                    |hash: &Hash| self.state.pool.get(hash).is_some_and(|h| h.holders.contains(&MemberId(member)));
                let held: Vec<Terms> = all.values().filter(|t| holds(&t.hash)).cloned().collect();
                let ranked = auction_rules::list_rank(judged, &params, slot, &held);
                let mut leaves: Vec<Leaf> = ranked.iter().filter_map(|(hash, _)| all.get(hash)).map(leaf).collect();
                leaves.extend(self.state.bids.iter().map(bid_leaf));
                leaves.extend(self.operation_leaves(MemberId(member)));
                leaves.sort_unstable();
                leaves
            })
            .collect();
        if self.lies(slot, Plant::WrongLeaf) {
            lists.iter_mut().rev().take(1).for_each(|list| overstate(list.as_mut_slice()));
        }
        let union: BTreeSet<Leaf> = lists.iter().flatten().copied().collect();
        let count = |leaf: &Leaf| lists.iter().filter(|list| list.contains(leaf)).count();
        let listed: Vec<Terms> = all.values().filter(|t| count(&leaf(t)) > usize::from(FAULTY)).cloned().collect();
        let mut selection = auction_rules::select(judged, &params, slot, &listed, &[]);
        if self.lies(slot, Plant::OmitListed) {
            omit(&mut selection, &all, |terms| (Hash::ZERO, terms.nonce));
        }
        if self.lies(slot, Plant::OmitWorst) {
            let worst = selection.candidates.iter().filter(|c| selection.set.contains(&c.hash)).max_by_key(|c| c.rank);
            let worst = worst.expect("a set").hash;
            omit(&mut selection, &all, |terms| (if terms.hash == worst { worst } else { Hash::ZERO }, terms.nonce));
        }
        let reasons: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
        let mut left: Vec<LeftItem> = union
            .iter()
            .filter(|leaf| matches!(leaf, Leaf::Envelope { .. }))
            .map(|leaf| (leaf, count(leaf) > usize::from(FAULTY)))
            .filter(|(leaf, listed)| !listed || selection.set.binary_search(&leaf.hash()).is_err())
            .map(|(leaf, listed)| {
                let why = reasons.get(&leaf.hash()).filter(|_| listed).unwrap_or(&Why::Unlisted);
                LeftItem { leaf: *leaf, why: why.number() }
            })
            .collect();
        let bids = self.count_bids(judged, slot, &mut left);
        let operations = self.enter(slot, count, &mut left);
        let mut entries = Vec::new();
        if !left.is_empty() {
            entries.push(Entry::bytes(Kind::Left { slot, first: 0, items: left.clone() }));
        }
        let heads = self.left_heads(&left);
        if !heads.is_empty() {
            entries.push(Entry::bytes(Kind::LeftHead { slot, first: 0, heads }));
        }
        let mut signed = Vec::new();
        for (member, leaves) in (0..MEMBERS).map(MemberId).zip(&lists) {
            let last = member.next().0 == MEMBERS;
            let cut =
                (last && self.lies(slot, Plant::CutWithRoom)).then_some(Rank { fee_per_byte: 1, hash: Hash::ZERO });
            let (entry, leaf) = self.list(slot, member, &union, leaves, cut);
            entries.push(entry);
            signed.push(leaf);
        }
        header.lists = merkle::set_ref(&signed);
        header.set = merkle::set_ref(&selection.set);
        let bid_leaves: Vec<_> = bids.iter().map(BidTerms::leaf).collect();
        header.bids = merkle::set_ref(&bid_leaves);
        let entered: Vec<Hash> = operations.entered.iter().map(|entered| entered.hash).collect();
        header.operations = merkle::set_ref(&entered);
        header.reveal = Some(self.state.reveal);
        let candidates: Vec<_> = selection.candidates.iter().map(Candidate::leaf).collect();
        Closed { candidates: merkle::set_ref(&candidates), selection, entries, operations, bids }
    }

    /// The bids that count; the others go to LEFT.
    fn count_bids(&self, judged: &Ledger, slot: Slot, left: &mut Vec<LeftItem>) -> Vec<BidTerms> {
        let terms = |bid: &Bid| BidTerms::of(ids::bid_hash(bid), &bid.header);
        let all: Vec<BidTerms> = self.state.bids.iter().map(terms).collect();
        let mut counted = judged.count_bids(&self.anchor.network.genesis.params, &all);
        if self.lies(slot, Plant::DropBid) && !counted.counting.is_empty() {
            counted.left.push((counted.counting.remove(0).hash, Why::Inadmissible));
        }
        let mut of_bids: Vec<LeftItem> = counted
            .left
            .iter()
            .filter_map(|(hash, why)| {
                let bid = self.state.bids.iter().find(|bid| ids::bid_hash(bid) == *hash)?;
                Some(LeftItem { leaf: bid_leaf(bid), why: why.number() })
            })
            .collect();
        of_bids.sort_unstable_by_key(|item| item.leaf);
        left.extend(of_bids);
        counted.counting
    }

    /// A member's LIST, and its leaf under the header's root.
    pub(crate) fn list(
        &self,
        slot: Slot,
        member: MemberId,
        union: &BTreeSet<Leaf>,
        leaves: &[Leaf],
        cut: Option<Rank>,
    ) -> (Vec<u8>, Vec<u8>) {
        let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
        let SetRef { count, root } = merkle::set_ref(&bytes);
        let text = ListText { network: self.anchor.id, slot, member, count, root, cut };
        let sig = self.team_at(slot).keys(member).receipt.sign(ids::list_digest(&text).as_bytes());
        let mut bits = vec![0u8; union.len().div_ceil(8)];
        for (place, leaf) in union.iter().enumerate() {
            let bit = 1u8.wrapping_shl(u32::try_from(place & 7).unwrap_or(0));
            if leaves.contains(leaf) {
                bits.iter_mut().skip(place.wrapping_shr(3)).take(1).for_each(|byte| *byte |= bit);
            }
        }
        let leaf = [codec::encode(&text), sig.as_bytes().to_vec()].concat();
        (Entry::bytes(Kind::List { slot, member, count, root, cut, sig, bits }), leaf)
    }

    fn left_heads(&mut self, left: &[LeftItem]) -> Vec<LeftHeadItem> {
        let rests = |l: &&LeftItem| l.why != Why::Unlisted.number() && matches!(l.leaf, Leaf::Envelope { .. });
        let hashes: BTreeSet<Hash> = left.iter().filter(rests).map(|l| l.leaf.hash()).collect();
        let fresh: Vec<Hash> = hashes.into_iter().filter(|hash| self.state.left_heads.insert(*hash)).collect();
        let envelopes = fresh.iter().filter_map(|hash| self.state.pool.get(hash)).map(|held| &held.envelope);
        let item = |e: &Envelope| {
            let ciphertext = ids::ciphertext_hash(&e.ciphertext);
            LeftHeadItem { signed: codec::encode(&e.signed), ciphertext }
        };
        envelopes.map(item).collect()
    }
}

fn bid_leaf(bid: &Bid) -> Leaf {
    Leaf::Bid { bidder: bid.header.bidder, seq: bid.header.seq, hash: ids::bid_hash(bid) }
}

/// Takes the unit that is highest by `order` out of the set, as if there had been no room.
fn omit(selection: &mut Selection, all: &BTreeMap<Hash, Terms>, order: impl Fn(&Terms) -> (Hash, Nonce)) {
    let terms = |hash: &Hash| all.get(hash).expect("a listed unit");
    let last = selection.set.iter().map(terms).max_by_key(|t| order(t)).expect("a unit to leave out").clone();
    selection.set.retain(|hash| *hash != last.hash);
    selection.bytes = selection.bytes.saturating_sub(last.bytes());
    selection.gas = selection.gas.saturating_sub(last.gas_units().unwrap_or(0));
    selection.left.push((last.hash, Why::NoRoom));
}

/// Lists the first envelope at one more per byte than it offers.
fn overstate(list: &mut [Leaf]) {
    for leaf in list.iter_mut().take(1) {
        if let Leaf::Envelope { fee_per_byte, .. } = leaf {
            *fee_per_byte = fee_per_byte.saturating_add(1);
        }
    }
    list.sort_unstable();
}
