//! What a block's lists give: candidates, set, operations, what is left and why, and the roots of the header.
use crate::lists;
use auction_rules::{BidTerms, Claim, CountedBids, EnteredOperation, Ledger, ListedOperation, Selection, Terms};
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
}

/// What members know of what lists name.
pub(crate) trait Known {
    /// What the rules read of a listed envelope, for this slot admissible or not.
    fn offer(&self, hash: &Hash) -> Option<Offer>;
    /// The same of an operation.
    fn operation(&self, hash: &Hash) -> Option<ListedOperation>;
    /// What the rules read of a bid.
    fn bid(&self, hash: &Hash) -> Option<BidTerms>;
    /// Whom the log of this epoch convicts already.
    fn faults(&self) -> &BTreeSet<Claim>;
}

/// Recomputes C_h, S_h, the bids that count and the operations.
///
/// # Errors
/// The listed envelopes, bids and operations that are needed and not here.
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
            why.insert(*leaf, Why::Inadmissible);
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
    if !missing.is_empty() {
        return Err(missing);
    }
    let operations = auction_rules::enter(&operations, known.faults(), params.schedule().epoch_of(slot));
    why.extend(operations.left.iter().map(|hash| (Leaf::Op { hash: *hash }, Why::NoRoom)));
    let entered: Vec<Hash> = operations.entered.iter().map(|operation| operation.hash).collect();
    let selection = auction_rules::select(ledger, params, slot, &listed, &[]);
    let reasons: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
    let of_bids: BTreeMap<Hash, Why> = counted.left.iter().copied().collect();
    let by_hash: BTreeMap<Hash, Terms> = listed.into_iter().map(|t| (t.hash, t)).collect();
    let mut left = Vec::new();
    for leaf in &set.leaves {
        let own = || match leaf {
            Leaf::Envelope { hash, .. } => reasons.get(hash),
            Leaf::Bid { hash, .. } => of_bids.get(hash),
            Leaf::Body { .. } | Leaf::Tail { .. } | Leaf::Op { .. } => None,
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
        selection,
    })
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
