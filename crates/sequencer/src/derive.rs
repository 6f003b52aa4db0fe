//! What a block's lists give: candidates, set, operations, what is left and why, and the roots of the header.
use crate::lists;
use auction_rules::{
    BidTerms, Claim, CountedBids, CountedObjects, EnteredOperation, Ledger, ListedOperation, Selection, Terms,
};
use crypto::merkle;
use std::collections::{BTreeMap, BTreeSet};
use types::{Hash, Leaf, LeftItem, ListSet, Params, SetRef, Slot, reason::Why};

/// Everything that follows from the lists of a block and the ledger as of the reveal of the slot before.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    /// C_h, S_h and the reasons.
    pub(crate) selection: Selection,
    /// Terms of S_h, in its order.
    pub(crate) set: Vec<Terms>,
    /// Leaves without an entry, sorted.
    pub(crate) left: Vec<LeftItem>,
    /// Root over S_h.
    pub(crate) set_ref: SetRef,
    /// Root over C_h.
    pub(crate) candidates: SetRef,
    /// Operations with an entry, and the root over them.
    pub(crate) operations: Vec<EnteredOperation>,
    pub(crate) operations_ref: SetRef,
    /// Bids that count, ascending by bidder, and the root over them.
    pub(crate) bids: Vec<BidTerms>,
    pub(crate) bids_ref: SetRef,
    /// The body that counts, and the tail of an earlier slot, and the root over them.
    pub(crate) body: Option<Hash>,
    pub(crate) tail: Option<Hash>,
    pub(crate) objects_ref: SetRef,
}

/// What members know of what lists name.
pub(crate) trait Known {
    /// What the rules read of a listed envelope, for this slot admissible or not.
    fn offer(&self, hash: &Hash) -> Option<Offer>;
    /// The same of an operation.
    fn operation(&self, hash: &Hash) -> Option<ListedOperation>;
    /// What the rules read of a bid.
    fn bid(&self, hash: &Hash) -> Option<BidTerms>;
    /// The units of a body that may count; `Some(None)`: it is here, and may not. `None`: it is not here.
    fn body(&self, seq: u8, hash: &Hash) -> Option<Option<Vec<Hash>>>;
    /// Whether a tail that is here may count.
    fn tail(&self, seq: u8, hash: &Hash) -> Option<bool>;
    /// Whom the log of this epoch convicts already.
    fn faults(&self) -> &BTreeSet<Claim>;
}

/// Recomputes C_h, S_h, the bids, body and tail that count, and the operations.
///
/// # Errors
/// The listed envelopes, bids, objects and operations that are needed and not here.
pub(crate) fn derive(
    set: &ListSet,
    need: usize,
    ledger: &Ledger,
    params: &Params,
    slot: Slot,
    known: &impl Known,
) -> Result<Derived, Vec<Hash>> {
    let prices = ledger.prices();
    let counts = lists::counts(set);
    let mut why: BTreeMap<Leaf, Why> = BTreeMap::new();
    let (mut listed, mut bids, mut operations) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bodies, mut tails) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for (leaf, count) in set.leaves.iter().zip(counts) {
        if count < need {
            why.insert(*leaf, Why::Unlisted);
            continue;
        }
        if let Leaf::Op { hash } = leaf {
            match known.operation(hash) {
                None => missing.push(*hash),
                Some(operation) => operations.push(operation),
            }
            continue;
        }
        if let Leaf::Bid { bidder, seq, hash } = leaf {
            bids.push((*bidder, *seq, *hash));
            continue;
        }
        let Leaf::Envelope { hash, fee_per_byte, size, gas } = leaf else {
            match leaf {
                Leaf::Body { seq, hash } => bodies.push((*seq, *hash)),
                Leaf::Tail { seq, hash } => tails.push((*seq, *hash)),
                Leaf::Envelope { .. } | Leaf::Bid { .. } | Leaf::Op { .. } => {}
            }
            continue;
        };
        match known.offer(hash) {
            None => missing.push(*hash),
            Some(offer) => {
                let t = offer.terms;
                let right = (auction_rules::fee_per_byte(t.max_fee, t.size, t.gas, &prices), t.size, t.gas);
                if offer.admissible && right == (*fee_per_byte, *size, *gas) {
                    listed.push(t);
                } else {
                    why.insert(*leaf, Why::Inadmissible);
                }
            }
        }
    }
    let counted = ledger.count_listed(params, &bids, |hash| known.bid(hash)).unwrap_or_else(|absent| {
        missing.extend(absent);
        CountedBids::default()
    });
    let tail = auction_rules::count_objects(&tails, |seq, hash| known.tail(seq, hash)).unwrap_or_else(|absent| {
        missing.push(absent);
        CountedObjects::default()
    });
    if !missing.is_empty() {
        return Err(missing);
    }
    let (selection, body) = fill(ledger, params, slot, &listed, &bodies, known).map_err(|absent| vec![absent])?;
    let operations = auction_rules::enter(&operations, known.faults(), params.schedule().epoch_of(slot));
    why.extend(operations.left.iter().map(|(hash, left)| (Leaf::Op { hash: *hash }, *left)));
    let entered: Vec<Hash> = operations.entered.iter().map(|operation| operation.hash).collect();
    let reasons: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
    let of_bids: BTreeMap<Hash, Why> = counted.left.iter().copied().collect();
    let of_objects: BTreeMap<Hash, Why> = body.left.iter().chain(&tail.left).copied().collect();
    let by_hash: BTreeMap<Hash, Terms> = listed.into_iter().map(|t| (t.hash, t)).collect();
    let mut left = Vec::new();
    for leaf in &set.leaves {
        let own = || match leaf {
            Leaf::Envelope { hash, .. } => reasons.get(hash),
            Leaf::Bid { hash, .. } => of_bids.get(hash),
            Leaf::Body { hash, .. } | Leaf::Tail { hash, .. } => of_objects.get(hash),
            Leaf::Op { .. } => None,
        };
        let reason = why.get(leaf).or_else(own);
        if let Some(reason) = reason {
            left.push(LeftItem { leaf: *leaf, why: reason.number() });
        }
    }
    let units = selection.set.iter().filter_map(|h| by_hash.get(h).cloned()).collect();
    Ok(Derived {
        set: units,
        left,
        set_ref: merkle::set_ref(&selection.set),
        candidates: candidates(&selection),
        operations_ref: merkle::set_ref(&entered),
        operations: operations.entered,
        bids_ref: bids_ref(&counted.counting),
        bids: counted.counting,
        objects_ref: objects_ref(set, body.counting, tail.counting),
        body: body.counting,
        tail: tail.counting,
        selection,
    })
}

/// S_h, with the body that counts where C_h does not fit: with room for all every body is unused.
///
/// # Errors
/// The body that is needed and not here.
fn fill(
    ledger: &Ledger,
    params: &Params,
    slot: Slot,
    listed: &[Terms],
    bodies: &[(u8, Hash)],
    known: &impl Known,
) -> Result<(Selection, CountedObjects), Hash> {
    let alone = auction_rules::select(ledger, params, slot, listed, &[]);
    if bodies.is_empty() || alone.is_whole() {
        let left = bodies.iter().map(|(_, hash)| (*hash, Why::Unused)).collect();
        return Ok((alone, CountedObjects { counting: None, left }));
    }
    let counted = auction_rules::count_objects(bodies, |seq, hash| Some(known.body(seq, hash)?.is_some()))?;
    let seq = |hash: Hash| bodies.iter().find(|(_, own)| *own == hash).map(|(seq, _)| (*seq, hash));
    let units = counted.counting.and_then(seq).and_then(|(seq, hash)| known.body(seq, &hash)?);
    let selection = units.map(|units| auction_rules::select(ledger, params, slot, listed, &units));
    Ok((selection.unwrap_or(alone), counted))
}

/// Root over the leaves of the body and the tail that count.
fn objects_ref(set: &ListSet, body: Option<Hash>, tail: Option<Hash>) -> SetRef {
    let counts = |leaf: &&Leaf| match leaf {
        Leaf::Body { hash, .. } => Some(*hash) == body,
        Leaf::Tail { hash, .. } => Some(*hash) == tail,
        Leaf::Envelope { .. } | Leaf::Bid { .. } | Leaf::Op { .. } => false,
    };
    let leaves: Vec<Vec<u8>> = set.leaves.iter().filter(counts).map(Leaf::bytes).collect();
    merkle::set_ref(&leaves)
}

/// What the rules read of a listed envelope, and whether this slot may include it.
pub(crate) struct Offer {
    pub(crate) terms: Terms,
    pub(crate) admissible: bool,
}

fn bids_ref(bids: &[BidTerms]) -> SetRef {
    let leaves: Vec<_> = bids.iter().map(BidTerms::leaf).collect();
    merkle::set_ref(&leaves)
}

/// Root over C_h: leaf = hash | rank.
fn candidates(selection: &Selection) -> SetRef {
    let leaves: Vec<_> = selection.candidates.iter().map(auction_rules::Candidate::leaf).collect();
    merkle::set_ref(&leaves)
}
