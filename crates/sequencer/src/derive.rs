//! What a block's lists give: candidates, set, what is left and why, and the roots of the header.
use crate::lists;
use auction_rules::{Ledger, Selection, Terms};
use crypto::merkle;
use std::collections::BTreeMap;
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
}

/// Recomputes C_h and S_h. `terms` gives what the rules read of a listed envelope, for this slot admissible or not.
///
/// # Errors
/// The listed envelopes that are not here.
pub(crate) fn derive(
    set: &ListSet,
    need: usize,
    ledger: &Ledger,
    params: &Params,
    slot: Slot,
    terms: impl Fn(&Hash) -> Option<Offer>,
) -> Result<Derived, Vec<Hash>> {
    let prices = ledger.prices();
    let counts = lists::counts(set);
    let mut why: BTreeMap<Leaf, Why> = BTreeMap::new();
    let mut listed = Vec::new();
    let mut missing = Vec::new();
    for (leaf, count) in set.leaves.iter().zip(counts) {
        if count < need {
            why.insert(*leaf, Why::Unlisted);
            continue;
        }
        let Leaf::Envelope { hash, fee_per_byte, size, gas } = leaf else {
            why.insert(*leaf, Why::Inadmissible);
            continue;
        };
        match terms(hash) {
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
    if !missing.is_empty() {
        return Err(missing);
    }
    let selection = auction_rules::select(ledger, params, slot, &listed, &[]);
    let reasons: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
    let by_hash: BTreeMap<Hash, Terms> = listed.into_iter().map(|t| (t.hash, t)).collect();
    let mut left = Vec::new();
    for leaf in &set.leaves {
        let reason = why.get(leaf).or_else(|| reasons.get(&leaf.hash()));
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
        selection,
    })
}

/// What the rules read of a listed envelope, and whether this slot may include it.
pub(crate) struct Offer {
    pub(crate) terms: Terms,
    pub(crate) admissible: bool,
}

/// Root over C_h: leaf = hash | rank.
fn candidates(selection: &Selection) -> SetRef {
    let leaves: Vec<_> = selection.candidates.iter().map(auction_rules::Candidate::leaf).collect();
    merkle::set_ref(&leaves)
}
