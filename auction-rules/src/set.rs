//! S_h: the three passes over the candidates, and what a member lists.
use crate::{
    Ledger, Terms,
    candidates::{Judged, Verdict, judge},
    rank::LAST,
    terms::share_floor,
};
use alloc::{vec, vec::Vec};
use types::{Hash, Params, Rank, Slot, reason::Why};

/// A member of C_h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Envelope hash.
    pub hash: Hash,
    /// Where it stands: the hash inside may be an ancestor's.
    pub rank: Rank,
}

impl Candidate {
    /// Leaf of CLOSE's `candidates`, 72 bytes: hash | fee per byte, big-endian | hash of the rank.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        let Rank { fee_per_byte, hash } = &self.rank;
        [self.hash.as_bytes().as_slice(), &fee_per_byte.to_be_bytes(), hash.as_bytes()].concat()
    }
}

/// What the lists of a block give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// C_h. Shape: strictly ascending by hash.
    pub candidates: Vec<Candidate>,
    /// S_h. Shape: strictly ascending.
    pub set: Vec<Hash>,
    /// Units that the body placed, in its order; empty when C_h fits.
    pub placed: Vec<Hash>,
    /// Units that pass 1 took; all of them when C_h fits.
    pub forced: u32,
    /// Rank at which pass 1 stopped.
    pub cut: Option<Rank>,
    /// Size-class bytes of S_h.
    pub bytes: u64,
    /// Gas of S_h.
    pub gas: u64,
    /// Listed, but not in the set. Shape: strictly ascending by hash.
    pub left: Vec<(Hash, Why)>,
}

impl Selection {
    /// All candidates fit: no body is needed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.set.len() == self.candidates.len()
    }
}

/// Limits of a set, or what it uses of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    count: u64,
    bytes: u64,
    gas: u64,
}

impl Room {
    fn full(params: &Params) -> Self {
        Self { count: u64::from(params.count_limit), bytes: params.bytes_limit, gas: params.gas_limit }
    }
    /// A-27 (1): floor(limit x forced_bps / 10^4).
    fn forced(params: &Params) -> Self {
        let full = Self::full(params);
        let share = |limit| share_floor(limit, params.forced_bps);
        Self { count: share(full.count), bytes: share(full.bytes), gas: share(full.gas) }
    }
    /// With one unit more; `None` when that exceeds `caps`.
    fn with(self, unit: &Terms, caps: &Self) -> Option<Self> {
        let sum = Self {
            count: self.count.checked_add(1)?,
            bytes: self.bytes.checked_add(unit.bytes())?,
            gas: self.gas.checked_add(unit.gas_units()?)?,
        };
        (sum.count <= caps.count && sum.bytes <= caps.bytes && sum.gas <= caps.gas).then_some(sum)
    }
}

/// The set of a slot from the envelopes that f+1 lists name and the body of its builder (empty: none).
///
/// `ledger` is the one after `close` of the slot before and *before* `exec` of it. The order of `listed` is
/// irrelevant; the order of `body` is the builder's.
#[must_use]
pub fn select(ledger: &Ledger, params: &Params, slot: Slot, listed: &[Terms], body: &[Hash]) -> Selection {
    let judged = judge(ledger, params, slot, listed);
    let mut filling = Filling { taken: vec![false; judged.listed.units.len()], used: Room::default(), judged: &judged };
    let full = Room::full(params);
    let mut selection = Selection::default();
    if filling.fits_all(&full) {
        judged.candidates.iter().for_each(|index| filling.take(*index, &full));
        selection.forced = u32::try_from(judged.candidates.len()).unwrap_or(u32::MAX);
    } else {
        (selection.forced, selection.cut) = filling.force(params);
        // A-27 (2), A-29: the body's order; what is unknown, repeated, no candidate, too early or too big is skipped.
        for hash in body {
            if let Some(index) = judged.listed.find(hash)
                && filling.eligible(index)
                && filling.fits(index, &full)
            {
                filling.take(index, &full);
                selection.placed.push(*hash);
            }
        }
        // A-27 (3): the rest by rank.
        for index in &judged.candidates {
            if filling.eligible(*index) && filling.fits(*index, &full) {
                filling.take(*index, &full);
            }
        }
    }
    selection.bytes = filling.used.bytes;
    selection.gas = filling.used.gas;
    let taken = filling.taken;
    report(&judged, &taken, &mut selection);
    selection
}

/// What is left to a body if these are listed: candidates that pass 1 does not take, in the order of pass 3, so
/// that whatever must stand before a unit comes before it. Empty when there is room for all.
#[must_use]
pub fn unforced(ledger: &Ledger, params: &Params, slot: Slot, listed: &[Terms]) -> Vec<(Hash, Rank)> {
    let judged = judge(ledger, params, slot, listed);
    let mut filling = Filling { taken: vec![false; judged.listed.units.len()], used: Room::default(), judged: &judged };
    if filling.fits_all(&Room::full(params)) {
        return Vec::new();
    }
    filling.force(params);
    let left = judged.candidates.iter().filter(|index| filling.taken.get(**index) == Some(&false));
    left.filter_map(|index| Some((filling.unit(*index)?.hash, judged.ranking.rank(&judged.listed, *index)?))).collect()
}

/// Sorted candidates, set and reasons.
fn report(judged: &Judged<'_>, taken: &[bool], selection: &mut Selection) {
    let listed = &judged.listed;
    for (index, ((unit, verdict), taken)) in listed.units.iter().zip(&judged.verdicts).zip(taken).enumerate() {
        let hash = unit.hash;
        match verdict {
            Verdict::Candidate { .. } => {
                let rank = judged.ranking.rank(listed, index);
                selection.candidates.extend(rank.map(|rank| Candidate { hash, rank }));
                if *taken { selection.set.push(hash) } else { selection.left.push((hash, Why::NoRoom)) }
            }
            Verdict::Left(why) => selection.left.push((hash, *why)),
        }
    }
    selection.left.extend(listed.inadmissible.iter().map(|unit| (unit.hash, Why::Inadmissible)));
    selection.left.sort_unstable_by_key(|(hash, _)| *hash);
}

/// A set while it is being filled.
struct Filling<'a> {
    judged: &'a Judged<'a>,
    taken: Vec<bool>,
    used: Room,
}

impl Filling<'_> {
    fn unit(&self, index: usize) -> Option<&Terms> {
        self.judged.listed.units.get(index).copied()
    }
    fn fits(&self, index: usize, caps: &Room) -> bool {
        self.unit(index).is_some_and(|unit| self.used.with(unit, caps).is_some())
    }
    /// A-27 (1): how many it takes, and the rank of the first that does not fit, where it stops: so "no room" stays one
    /// comparison of ranks.
    fn force(&mut self, params: &Params) -> (u32, Option<Rank>) {
        let (forced, mut count) = (Room::forced(params), 0u32);
        for index in &self.judged.candidates {
            if !self.fits(*index, &forced) {
                return (count, self.judged.ranking.rank(&self.judged.listed, *index));
            }
            self.take(*index, &forced);
            count = count.saturating_add(1);
        }
        (count, None)
    }
    fn fits_all(&self, caps: &Room) -> bool {
        let mut units = self.judged.candidates.iter().filter_map(|index| self.unit(*index));
        units.try_fold(Room::default(), |used, unit| used.with(unit, caps)).is_some()
    }
    fn take(&mut self, index: usize, caps: &Room) {
        if let (Some(used), Some(taken)) =
            (self.judged.listed.units.get(index).and_then(|unit| self.used.with(unit, caps)), self.taken.get_mut(index))
        {
            *taken = true;
            self.used = used;
        }
    }
    /// A candidate that is not taken yet, while all that must stand before it is.
    fn eligible(&self, index: usize) -> bool {
        let is_taken = |index: &usize| self.taken.get(*index) == Some(&true);
        match self.judged.verdicts.get(index) {
            Some(Verdict::Candidate { before }) => {
                !is_taken(&index)
                    && self.judged.listed.after(index).iter().all(is_taken)
                    && before.as_ref().is_none_or(is_taken)
            }
            Some(Verdict::Left(_)) | None => false,
        }
    }
}

/// What a member lists of the envelopes it holds, best first (log.md section 4).
///
/// Used nonces, expired and included ones are dropped. What could not be a candidate even if all that is held were
/// listed comes behind everything else, at the rank [`LAST`].
#[must_use]
pub fn list_rank(ledger: &Ledger, params: &Params, slot: Slot, held: &[Terms]) -> Vec<(Hash, Rank)> {
    let judged = judge(ledger, params, slot, held);
    let mut best_first = Vec::with_capacity(judged.listed.units.len());
    let mut last = Vec::new();
    for index in &judged.ranking.order {
        let Some(unit) = judged.listed.units.get(*index) else { continue };
        match (judged.verdicts.get(*index), judged.ranking.rank(&judged.listed, *index)) {
            (Some(Verdict::Candidate { .. } | Verdict::Left(Why::Replaced)), Some(rank)) => {
                best_first.push((unit.hash, rank));
            }
            _ => last.push((unit.hash, LAST)),
        }
    }
    let unranked =
        (0..).zip(&judged.listed.units).filter(|(index, _)| judged.ranking.rank(&judged.listed, *index).is_none());
    last.extend(unranked.map(|(_, unit)| (unit.hash, LAST)));
    best_first.append(&mut last);
    best_first
}

#[cfg(test)]
mod tests;
