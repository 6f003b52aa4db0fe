//! The rank of every listed envelope: the worst of its own fee per byte, its open `after` units and the best
//! listed version of each lower open nonce of its account.
//!
//! A version of nonce n already carries the rank of nonce n-1, so one edge to nonce n-1 stands for all lower nonces.
//! Units and nonces form an AND-OR graph: a unit waits for all that it hangs on and is never better than any of it; a
//! nonce takes its best version. Settling always the best unit that waits for nothing is Knuth's generalisation of
//! Dijkstra's algorithm ("A Generalization of Dijkstra's Algorithm", 1977): O((n + e) log n), and whatever hangs in a
//! cycle or on something unlisted is never settled, which is the least solution.
use crate::{
    Prices, fee_per_byte,
    listed::{Before, Listed},
};
use alloc::{collections::BinaryHeap, vec, vec::Vec};
use core::cmp::Reverse;
use types::{Hash, Rank};

/// The rank of what cannot be a candidate: no rank is worse, and no envelope hashes to this.
pub const LAST: Rank = Rank { fee_per_byte: 0, hash: Hash([0xff; 32]) };

/// Where a unit stands among all listed ones; smaller is better. Units are named by their index, which is the order of
/// their hashes. Of equal ranks the shorter chain of open units before it comes first, so a unit is always behind all
/// that it hangs on; then its own offer, so that of two versions behind one cheap nonce the dearer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The rank: the worst fee per byte, and whose it is.
    fee: Reverse<u64>,
    of: usize,
    generation: u32,
    own_fee: Reverse<u64>,
    unit: usize,
}

impl Place {
    fn rank(&self) -> (Reverse<u64>, usize) {
        (self.fee, self.of)
    }
    /// Now that `other`, on which it hangs, is settled.
    fn behind(self, other: &Self) -> Self {
        let (fee, of) = self.rank().max(other.rank());
        Self { fee, of, generation: self.generation.max(other.generation.saturating_add(1)), ..self }
    }
}

/// The ranks of the listed units. Shape: one item per unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// `None` ranks last.
    places: Vec<Option<Place>>,
    /// Is the best-ranked version of its nonce.
    pub(crate) best: Vec<bool>,
    /// Indices of the settled units, best first.
    pub(crate) order: Vec<usize>,
}

impl Ranking {
    /// The rank of a unit; `None` when it ranks last.
    pub(crate) fn rank(&self, listed: &Listed<'_>, index: usize) -> Option<Rank> {
        let place = self.places.get(index).copied().flatten()?;
        Some(Rank { fee_per_byte: place.fee.0, hash: listed.units.get(place.of)?.hash })
    }
}

/// A unit that waits, and how many things it waits for.
struct Waiting {
    place: Place,
    edges: usize,
}

/// All listed versions of one nonce.
#[derive(Clone, Default)]
struct Versions {
    settled: bool,
    /// The units of the next nonce.
    next: Vec<usize>,
}

pub(crate) fn rank(listed: &Listed<'_>, prices: &Prices) -> Ranking {
    let count = listed.units.len();
    let mut versions: Vec<Versions> = vec![Versions::default(); listed.nonces.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut waiting: Vec<Waiting> = Vec::with_capacity(count);
    let mut ready: BinaryHeap<Reverse<Place>> = BinaryHeap::with_capacity(count);
    for (index, unit) in listed.units.iter().enumerate() {
        let fee = Reverse(fee_per_byte(unit.max_fee, unit.size, unit.gas, prices));
        let place = Place { fee, of: index, generation: 0, own_fee: fee, unit: index };
        let mut edges = listed.after(index).len();
        for before in listed.after(index) {
            if let Some(dependents) = dependents.get_mut(*before) {
                dependents.push(index);
            }
        }
        let before = listed.nonce(index).map_or(Before::Missing, |nonce| nonce.before);
        if let Before::Listed(nonce) = before
            && let Some(versions) = versions.get_mut(nonce)
        {
            versions.next.push(index);
            edges = edges.saturating_add(1);
        }
        // What hangs on something unlisted waits for one edge more than it will ever meet.
        if before == Before::Missing || listed.astray.get(index) == Some(&true) {
            edges = edges.saturating_add(1);
        }
        if edges == 0 {
            ready.push(Reverse(place));
        }
        waiting.push(Waiting { place, edges });
    }

    let mut ranking = Ranking { places: vec![None; count], best: vec![false; count], order: Vec::with_capacity(count) };
    while let Some(Reverse(place)) = ready.pop() {
        let index = place.unit;
        let (Some(settled), Some(best)) = (ranking.places.get_mut(index), ranking.best.get_mut(index)) else {
            continue;
        };
        *settled = Some(place);
        ranking.order.push(index);
        let mut met = dependents.get_mut(index).map(core::mem::take).unwrap_or_default();
        // Units leave the heap best first, so the first version of a nonce to leave it is its best.
        if let Some(versions) = listed.nonce_of.get(index).and_then(|nonce| versions.get_mut(*nonce))
            && !versions.settled
        {
            versions.settled = true;
            *best = true;
            met.append(&mut versions.next);
        }
        for dependent in met {
            if let Some(waiting) = waiting.get_mut(dependent) {
                waiting.place = waiting.place.behind(&place);
                waiting.edges = waiting.edges.saturating_sub(1);
                if waiting.edges == 0 {
                    ready.push(Reverse(waiting.place));
                }
            }
        }
    }
    ranking
}

#[cfg(test)]
mod tests;
