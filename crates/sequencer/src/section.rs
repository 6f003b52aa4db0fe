//! The entries of a slot's section (log.md section 3): part A at finality, B at the opening, C before the next set.
use crate::{derive::Derived, lists};
use crypto::merkle;
use std::collections::BTreeSet;
use types::{
    Amount, BlockHeader, Entry, Epoch, EpochRecord, G2Bytes, Hash, Kind, Leaf, LeftHeadItem, ListSet, Network, Opening,
    SignedHeader, Slot, SlotResult, Tail, codec, limits, reason::Why,
};

/// The entries before the first section: EPOCH(0) and its registry.
#[must_use]
pub fn genesis(network: &Network, id: Hash, ledger: Hash, states: Hash) -> Vec<Vec<u8>> {
    let records = network.registry();
    let leaves: Vec<_> = records.iter().map(codec::encode).collect();
    let epoch = network.first_epoch(id, crypto::ids::rules_id(), merkle::set_ref(&leaves), ledger, states);
    let mut entries = vec![self::epoch(epoch)];
    let mut first = 0u32;
    for chunk in records.chunks(limits::REGISTRY_RECORDS_MAX) {
        entries.push(Entry::bytes(Kind::Registry { epoch: Epoch(0), first, records: chunk.to_vec() }));
        first = first.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
    }
    entries
}

/// EPOCH.
pub(crate) fn epoch(record: EpochRecord) -> Vec<u8> {
    Entry::bytes(Kind::Epoch(Box::new(record)))
}

/// What part A needs besides the block.
pub(crate) struct PartA<'a> {
    pub(crate) header: &'a BlockHeader,
    pub(crate) lists: Option<(&'a ListSet, &'a Derived)>,
    pub(crate) byte_price: u128,
    pub(crate) gas_price: u128,
    /// codec(Bid) of the bids that count, ascending by leaf.
    pub(crate) bids: Vec<Vec<u8>>,
    /// codec(Body) of the one that counts.
    pub(crate) body: Option<Vec<u8>>,
    /// codec(Envelope) of S_h, in its order.
    pub(crate) envelopes: Vec<Vec<u8>>,
    /// Header and ciphertext hash of listed envelopes that were left out, ascending by hash.
    pub(crate) left_heads: Vec<(Hash, SignedHeader, Hash)>,
    /// OPERATION and FAULT, ascending by the operations' hashes.
    pub(crate) operations: Vec<Kind>,
}

impl PartA<'_> {
    pub(crate) fn entries(self) -> Vec<Vec<u8>> {
        let slot = self.header.height;
        let Some((set, derived)) = self.lists else {
            return vec![Entry::bytes(self.close(slot, None))];
        };
        let mut out = vec![Entry::bytes(self.close(slot, Some(derived)))];
        let mut first = 0u32;
        for items in derived.left.chunks(limits::LEFT_ITEMS_MAX) {
            out.push(Entry::bytes(Kind::Left { slot, first, items: items.to_vec() }));
            first = first.saturating_add(u32::try_from(items.len()).unwrap_or(u32::MAX));
        }
        out.extend(left_heads(slot, &self.left_heads));
        for ((text, sig), member) in lists::texts(self.header, set).into_iter().zip(&set.members) {
            out.push(Entry::bytes(Kind::List {
                slot,
                member: text.member,
                count: text.count,
                root: text.root,
                cut: text.cut,
                sig,
                bits: member.bits.clone(),
            }));
        }
        out.extend(self.bids.into_iter().map(|bytes| Entry::bytes(Kind::Bid { slot, bytes })));
        out.extend(self.body.map(|bytes| Entry::bytes(Kind::Body { slot, bytes })));
        out.extend(self.envelopes.into_iter().map(|bytes| Entry::bytes(Kind::Envelope { slot, bytes })));
        out.extend(self.operations.into_iter().map(Entry::bytes));
        out
    }

    fn close(&self, slot: Slot, derived: Option<&Derived>) -> Kind {
        let selection = derived.map(|d| &d.selection);
        Kind::Close {
            slot,
            header: self.header.clone(),
            candidates: derived.map_or(types::SetRef::EMPTY, |d| d.candidates),
            bytes: selection.map_or(0, |s| s.bytes),
            gas: selection.map_or(0, |s| s.gas),
            forced: selection.map_or(0, |s| s.forced),
            cut: selection.and_then(|s| s.cut),
            byte_price: self.byte_price,
            gas_price: self.gas_price,
        }
    }
}

fn left_heads(slot: Slot, heads: &[(Hash, SignedHeader, Hash)]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let (mut chunk, mut bytes, mut first) = (Vec::new(), 0usize, 0u32);
    for (_, signed, ciphertext) in heads {
        let item = LeftHeadItem { signed: codec::encode(signed), ciphertext: *ciphertext };
        let size = item.signed.len().saturating_add(36);
        if bytes.saturating_add(size) > limits::LEFT_HEAD_BYTES_MAX {
            let heads = core::mem::take(&mut chunk);
            let count = u32::try_from(heads.len()).unwrap_or(u32::MAX);
            out.push(Entry::bytes(Kind::LeftHead { slot, first, heads }));
            first = first.saturating_add(count);
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        chunk.push(item);
    }
    if !chunk.is_empty() {
        out.push(Entry::bytes(Kind::LeftHead { slot, first, heads: chunk }));
    }
    out
}

/// Hashes of the listed envelopes that are left and whose header belongs into LEFTHEAD, first time in the epoch:
/// reasons 1 to 7, and INADMISSIBLE, so that no reason has to be believed.
pub(crate) fn heads_wanted(derived: &Derived, seen: &BTreeSet<Hash>) -> Vec<Hash> {
    let recount = |why: u8| (Why::NoRoom.number()..=Why::BelowBase.number()).contains(&why);
    let mut hashes: Vec<Hash> = derived
        .left
        .iter()
        .filter(|l| matches!(l.leaf, Leaf::Envelope { .. }))
        .filter(|l| recount(l.why) || l.why == Why::Inadmissible.number())
        .map(|l| l.leaf.hash())
        .filter(|h| !seen.contains(h) && derived.selection.set.binary_search(h).is_err())
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// What AUCTION says.
pub(crate) struct Sale {
    pub(crate) reserve: Amount,
    /// Of the bids that count, valid or not.
    pub(crate) opened: Vec<Opening>,
    pub(crate) winner: Option<u16>,
    pub(crate) price: Amount,
}

/// Part B: beacon, auction, order, openings. `openings` in the order of L_h.
pub(crate) fn part_b(
    slot: Slot,
    sale: Sale,
    sig: G2Bytes,
    order: &[Hash],
    perm: Vec<u16>,
    openings: &[Opening],
) -> Vec<Vec<u8>> {
    let mut out = vec![
        Entry::bytes(Kind::Beacon { slot, sig }),
        Entry::bytes(Kind::Auction {
            slot,
            for_slot: slot.next(),
            reserve: sale.reserve,
            opened: sale.opened,
            winner: sale.winner,
            price: sale.price,
        }),
        Entry::bytes(Kind::Order { slot, root: merkle::root(order), perm }),
    ];
    let mut first = 0u32;
    for chunk in openings.chunks(limits::OPENED_ITEMS_MAX) {
        out.push(Entry::bytes(Kind::Opened { slot, first, openings: chunk.to_vec() }));
        first = first.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
    }
    out
}

/// TAIL: the one that counts.
pub(crate) fn tail(slot: Slot, tail: &Tail) -> Vec<u8> {
    Entry::bytes(Kind::Tail { slot, bytes: codec::encode(tail) })
}

/// Part C: what execution and the ledger left.
pub(crate) fn part_c(slot: Slot, result: &SlotResult, sums: [Amount; 8], ledger: Hash) -> Vec<u8> {
    Entry::bytes(Kind::Exec {
        slot,
        outcomes: result.outcomes.clone(),
        carry: result.carry,
        steps: result.steps,
        chains: result.chains.clone(),
        sums,
        mailbox: result.mailbox,
        ledger,
        batch: result.batch,
    })
}
