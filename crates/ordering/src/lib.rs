//! The order of a slot (protocol.md section 4): where each unit of a set stands, as a function of the set and the beacon.
//!
//! ```text
//! rank key   k(a) = SHA-256("lockstep/rank/v1" | R_h | fee account)
//! edges      same fee account: by nonce; u -> v where v.after contains u and u is in S_h
//! order      Kahn's algorithm, always taking the ready unit with the smallest (k(fee account), nonce, envelope hash)
//! ```
//!
//! R_h is a threshold signature over the final block, so nobody knows it while the set can still change, and nobody can
//! choose it. The rank belongs to the account and not to the envelope: a payer cannot draw again by sending again, and
//! accounts exist an epoch before they count. The key is a hash of both, never a distance between them: a neighbour of
//! an account under one beacon is a stranger to it under the next.
//!
//! Types to know: [`Unit`], [`OrderError`]. Entry points: [`order`], [`order_root`].
//!
//! Deliberately absent: fees, bids, arrival time, who proposed or built. Fee decides membership of the set and nothing
//! here. Which rollups a unit touches is not known here either: a rollup executes the subsequence of units with a leg
//! on it, so a unit has one place everywhere.
//!
//! Invariants that tests cite:
//! * `ORD-1` the order is a permutation of the set, and every set that `auction-rules` selects has one.
//! * `ORD-2` arrival order is irrelevant: the order depends on the set and the beacon alone.
//! * `ORD-3` every edge holds.
//! * `ORD-4` one rank per account: without `after`, an account's units stand together, by nonce.
//! * `ORD-5` of all units that may come next, the one with the smallest key does.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::integer_division,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing
    )
)]
extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::{
    collections::{BTreeMap, BinaryHeap},
    vec,
    vec::Vec,
};
use core::cmp::Reverse;
use crypto::{hash, merkle};
use types::{Address, EnvelopeHeader, Hash, Nonce, limits, tag};

/// What the order reads of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Envelope hash.
    pub hash: Hash,
    /// Who pays: the bearer of the rank.
    pub account: Address,
    /// By which an account's units follow each other.
    pub nonce: Nonce,
    /// Envelopes that must stand before it. Those outside the set stand in an earlier one and bind nothing here.
    pub after: Vec<Hash>,
}

impl Unit {
    /// The unit of an envelope with this header and hash.
    #[must_use]
    pub fn of(hash: Hash, header: &EnvelopeHeader) -> Self {
        Self { hash, account: header.fee_account, nonce: header.nonce, after: header.after.clone() }
    }
}

/// Why a set has no order. None of these can happen to a set that `auction_rules::select` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// More units than a set may have.
    #[error("{0} units are more than a set may have")]
    TooMany(usize),
    /// Units are not strictly ascending by hash.
    #[error("unit {0} is not above the one before")]
    Unsorted(Hash),
    /// Two units of one account have one nonce.
    #[error("unit {0} repeats a nonce of its account")]
    NonceTwice(Hash),
    /// Units wait for each other.
    #[error("{0} units wait for each other")]
    Cycle(usize),
}

/// k(a): a pseudo-random function of the beacon, per account.
#[must_use]
pub fn rank_key(r: &Hash, account: &Address) -> Hash {
    hash::tagged(tag::RANK, &[r.as_bytes(), account.as_bytes()])
}

/// Sorting key of a unit that may come next.
type Key = (Hash, Nonce, Hash);

/// The order of `set` under the beacon `r`: item i is the index in `set` of the i-th unit.
///
/// # Errors
/// [`OrderError`] when `set` is not strictly ascending by hash, or is no set that the rules select.
pub fn order(r: &Hash, set: &[Unit]) -> Result<Vec<u16>, OrderError> {
    if u32::try_from(set.len()).map_or(true, |count| count > limits::SET_COUNT_MAX) {
        return Err(OrderError::TooMany(set.len()));
    }
    if let Some((_, unit)) = set.iter().zip(set.iter().skip(1)).find(|(before, unit)| before.hash >= unit.hash) {
        return Err(OrderError::Unsorted(unit.hash));
    }
    let Edges { mut waits, followers } = edges(set)?;
    let mut keys: BTreeMap<Address, Hash> = BTreeMap::new();
    let mut key = |unit: &Unit| -> Key {
        (*keys.entry(unit.account).or_insert_with(|| rank_key(r, &unit.account)), unit.nonce, unit.hash)
    };
    let mut ready: BinaryHeap<Reverse<(Key, u16)>> = (0u16..)
        .zip(set)
        .zip(&waits)
        .filter(|(_, waits)| **waits == 0)
        .map(|((at, unit), _)| Reverse((key(unit), at)))
        .collect();
    let mut perm = Vec::with_capacity(set.len());
    while let Some(Reverse((_, at))) = ready.pop() {
        perm.push(at);
        for follower in followers.get(usize::from(at)).into_iter().flatten() {
            let place = usize::from(*follower);
            if let (Some(waits), Some(unit)) = (waits.get_mut(place), set.get(place)) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push(Reverse((key(unit), *follower)));
                }
            }
        }
    }
    match set.len().saturating_sub(perm.len()) {
        0 => Ok(perm),
        left => Err(OrderError::Cycle(left)),
    }
}

/// RFC 6962 root over envelope hashes in the order: ORDER's `root`.
#[must_use]
pub fn order_root(in_order: &[Hash]) -> Hash {
    merkle::root(in_order)
}

/// Per unit, by index: how many units it waits for, and which wait for it.
struct Edges {
    waits: Vec<usize>,
    followers: Vec<Vec<u16>>,
}

impl Edges {
    fn add(&mut self, before: u16, behind: u16) {
        if let (Some(followers), Some(waits)) =
            (self.followers.get_mut(usize::from(before)), self.waits.get_mut(usize::from(behind)))
        {
            followers.push(behind);
            *waits = waits.saturating_add(1);
        }
    }
}

fn edges(set: &[Unit]) -> Result<Edges, OrderError> {
    let mut edges = Edges { waits: vec![0; set.len()], followers: vec![Vec::new(); set.len()] };
    // Same account: by nonce. One edge to the nonce before stands for all lower ones.
    let mut by_nonce: BTreeMap<(Address, Nonce), u16> = BTreeMap::new();
    for (at, unit) in (0u16..).zip(set) {
        if by_nonce.insert((unit.account, unit.nonce), at).is_some() {
            return Err(OrderError::NonceTwice(unit.hash));
        }
    }
    for (((account, _), before), ((next_account, _), behind)) in by_nonce.iter().zip(by_nonce.iter().skip(1)) {
        if account == next_account {
            edges.add(*before, *behind);
        }
    }
    // `after`: only units of the same set.
    for (behind, unit) in (0u16..).zip(set) {
        for hash in &unit.after {
            let found = set.binary_search_by(|other| other.hash.cmp(hash));
            if let Some(before) = found.ok().and_then(|at| u16::try_from(at).ok()) {
                edges.add(before, behind);
            }
        }
    }
    Ok(edges)
}

#[cfg(test)]
mod tests;
