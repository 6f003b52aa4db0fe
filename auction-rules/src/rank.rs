//! The rank of every listed envelope: the worst of its own fee per byte, its open `after` units and the best
//! listed version of each lower open nonce of its account.
//!
//! A version of nonce n already carries the rank of nonce n-1, so one edge to nonce n-1 stands for all lower nonces.
//! Units and nonces form an AND-OR graph: a unit waits for all that it hangs on and is never better than any of it; a
//! nonce takes its best version. Settling always the best unit that waits for nothing is Knuth's generalisation of
//! Dijkstra's algorithm ("A Generalization of Dijkstra's Algorithm", 1977): O((n + e) log n), and whatever hangs in a
//! cycle or on something unlisted is never settled, which is the least solution.
use crate::{Ledger, Prices, Terms, fee_per_byte};
use alloc::{
    collections::{BTreeMap, BinaryHeap},
    vec,
    vec::Vec,
};
use core::cmp::Reverse;
use types::{Address, Hash, Nonce, Rank};

/// The rank of what cannot be a candidate: no rank is worse, and no envelope hashes to this.
pub const LAST: Rank = Rank { fee_per_byte: 0, hash: Hash([0xff; 32]) };

/// Where a unit stands among all listed ones; smaller is better. Of equal ranks the shorter chain of open units before
/// it comes first, so a unit is always behind all that it hangs on; then its own offer, so that of two versions behind
/// one cheap nonce the dearer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) rank: Rank,
    pub(crate) generation: u32,
    pub(crate) own: Rank,
}

/// The ranks of a sorted slice of units. Shape: one item per unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// `None` ranks last.
    pub(crate) places: Vec<Option<Place>>,
    /// Is the best-ranked version of its nonce.
    pub(crate) best: Vec<bool>,
    /// Indices of the settled units, best first.
    pub(crate) order: Vec<usize>,
}

/// What a unit still waits for, and its place by what it has met so far.
struct Waiting {
    edges: usize,
    place: Place,
}

impl Waiting {
    /// One thing that the unit hangs on is settled at `place`; true when it was the last.
    fn meet(&mut self, place: &Place) -> bool {
        self.place.rank = self.place.rank.max(place.rank);
        self.place.generation = self.place.generation.max(place.generation.saturating_add(1));
        self.edges = self.edges.saturating_sub(1);
        self.edges == 0
    }
}

/// Ranks `units`, which are strictly ascending by hash and open (not in an earlier set, nonce not used).
pub(crate) fn rank(ledger: &Ledger, prices: &Prices, units: &[&Terms]) -> Ranking {
    let mut versions: BTreeMap<(Address, Nonce), Version> = BTreeMap::new();
    for unit in units {
        versions.entry((unit.account, unit.nonce)).or_default();
    }
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
    let mut waiting: Vec<Waiting> = Vec::with_capacity(units.len());
    let mut ready: BinaryHeap<Reverse<(Place, usize)>> = BinaryHeap::new();
    for (index, unit) in units.iter().enumerate() {
        let own = Rank { fee_per_byte: fee_per_byte(unit.max_fee, unit.size, unit.gas, prices), hash: unit.hash };
        let place = Place { rank: own, generation: 0, own };
        let edges = hang(ledger, units, &mut versions, &mut dependents, index, unit);
        if edges == Some(0) {
            ready.push(Reverse((place, index)));
        }
        // What hangs on something unlisted waits for one edge more than it will ever meet.
        waiting.push(Waiting { edges: edges.unwrap_or(usize::MAX), place });
    }

    let mut ranking = Ranking {
        places: vec![None; units.len()],
        best: vec![false; units.len()],
        order: Vec::with_capacity(units.len()),
    };
    while let Some(Reverse((place, index))) = ready.pop() {
        let (Some(settled), Some(best), Some(unit)) =
            (ranking.places.get_mut(index), ranking.best.get_mut(index), units.get(index))
        else {
            continue;
        };
        *settled = Some(place);
        ranking.order.push(index);
        let mut met = dependents.get_mut(index).map(core::mem::take).unwrap_or_default();
        // Units leave the heap best first, so the first version of a nonce to leave it is its best.
        if let Some(version) = versions.get_mut(&(unit.account, unit.nonce))
            && !version.settled
        {
            version.settled = true;
            *best = true;
            met.append(&mut version.next);
        }
        for dependent in met {
            if let Some(wait) = waiting.get_mut(dependent)
                && wait.meet(&place)
            {
                ready.push(Reverse((wait.place, dependent)));
            }
        }
    }
    ranking
}

/// All listed versions of one nonce.
#[derive(Default)]
struct Version {
    settled: bool,
    /// The units of the next nonce.
    next: Vec<usize>,
}

/// Enters the edges of one unit and counts them; `None` when it hangs on something that is neither closed nor listed.
fn hang(
    ledger: &Ledger,
    units: &[&Terms],
    versions: &mut BTreeMap<(Address, Nonce), Version>,
    dependents: &mut [Vec<usize>],
    index: usize,
    unit: &Terms,
) -> Option<usize> {
    let mut edges = 0usize;
    for hash in unit.after.iter().filter(|hash| !ledger.is_closed(hash)) {
        let before = units.binary_search_by(|other| other.hash.cmp(hash)).ok()?;
        dependents.get_mut(before)?.push(index);
        edges = edges.saturating_add(1);
    }
    if unit.nonce > ledger.account(&unit.account).unwrap_or_default().nonce {
        versions.get_mut(&(unit.account, unit.nonce.prev()))?.next.push(index);
        edges = edges.saturating_add(1);
    }
    Some(edges)
}

#[cfg(test)]
mod tests;
