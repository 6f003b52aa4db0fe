//! Who combines which items of a slot where not everybody combines everything (crypto.md section 4).
//!
//! ```text
//!  o          = first 8 bytes, little-endian, of SHA-256("lockstep/combiner/v1" | R of the slot before | u64le slot) mod n
//!  item i     -> members (o + i + c ceil(n / k)) mod n, c < k
//!  chunk j + n p of a share message = the p-th 512 shares for member j, items ascending; may be empty
//! ```
//!
//! Nobody knows who combines before the slot before is opened, and nobody chooses it.
use crate::hash::tagged;
use alloc::vec::Vec;
use types::{Hash, MemberId, Slot, limits, tag};

/// The combiners of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combiners {
    n: usize,
    offset: u16,
    items: usize,
    /// (o + c ceil(n / k)) mod n, without repetition: member r combines item 0.
    roles: Vec<usize>,
}

/// o: where the combiners of a slot begin. `before` is R of the slot before; of genesis it is zero.
#[must_use]
pub fn offset(before: &Hash, slot: Slot, n: u16) -> u16 {
    let digest = tagged(tag::COMBINER, &[before.as_ref(), &slot.0.to_le_bytes()]);
    let first = digest.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    first.checked_rem(n.into()).and_then(|offset| u16::try_from(offset).ok()).unwrap_or(0)
}

impl Combiners {
    /// Of n members, `per_item` of them for each of so many items.
    #[must_use]
    pub fn new(n: u16, per_item: u8, offset: u16, items: u32) -> Self {
        let (n, per_item) = (usize::from(n.max(1)), usize::from(per_item.max(1)));
        let step = n.div_ceil(per_item);
        let mut roles = Vec::with_capacity(per_item);
        for c in 0..per_item {
            let role = usize::from(offset).saturating_add(c.saturating_mul(step)).checked_rem(n).unwrap_or(0);
            // three combiners of four members: two of them are one
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        let items =
            usize::try_from(items).unwrap_or(usize::MAX).min(usize::try_from(limits::SET_COUNT_MAX).unwrap_or(0));
        Self { n, offset, items, roles }
    }
    /// o.
    #[must_use]
    pub fn offset(&self) -> u16 {
        self.offset
    }
    /// Items of the slot.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }
    /// Whether there is such a member.
    #[must_use]
    pub fn has(&self, member: MemberId) -> bool {
        usize::from(member.0) < self.n
    }
    /// Who combines an item, first choice first.
    pub fn of_item(&self, item: usize) -> impl Iterator<Item = MemberId> + '_ {
        let at = move |role: &usize| role.saturating_add(item).checked_rem(self.n);
        self.roles.iter().filter_map(at).filter_map(|member| u16::try_from(member).ok()).map(MemberId)
    }
    /// The first items of a member: its further ones are n apart. Ascending.
    fn first_items(&self, member: MemberId) -> Vec<usize> {
        let member = usize::from(member.0);
        let first = |role: &usize| {
            let back = self.n.saturating_sub(*role);
            member.saturating_add(back).checked_rem(self.n)
        };
        let mut first: Vec<usize> = self.roles.iter().filter_map(first).collect();
        first.sort_unstable();
        if member < self.n { first } else { Vec::new() }
    }
    /// The items that a member combines, ascending.
    #[must_use]
    pub fn items_of(&self, member: MemberId) -> Vec<usize> {
        let first = self.first_items(member);
        let rounds = (0..self.items).step_by(self.n);
        let items = rounds.flat_map(|round| first.iter().map(move |at| round.saturating_add(*at)));
        items.filter(|item| *item < self.items).collect()
    }
    /// Chunks that each combiner's shares are cut into.
    #[must_use]
    pub fn pieces(&self) -> usize {
        let most = self.items.div_ceil(self.n).saturating_mul(self.roles.len());
        most.div_ceil(limits::CHUNK_SHARES_MAX)
    }
    /// Chunks of a share message, over all combiners.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.pieces().saturating_mul(self.n)
    }
    /// The chunks of a combiner, ascending; of nobody none.
    pub fn chunks_of(&self, member: MemberId) -> impl Iterator<Item = u16> + use<> {
        let (n, pieces) = (self.n, if self.has(member) { self.pieces() } else { 0 });
        let index = move |piece: usize| piece.saturating_mul(n).saturating_add(member.0.into());
        (0..pieces).map(index).filter_map(|index| u16::try_from(index).ok())
    }
    /// Whose chunk it is.
    #[must_use]
    pub fn owner(&self, chunk: u16) -> Option<MemberId> {
        let owner = usize::from(chunk).checked_rem(self.n).filter(|_| usize::from(chunk) < self.chunks())?;
        u16::try_from(owner).ok().map(MemberId)
    }
    /// The items whose shares a chunk holds, ascending.
    #[must_use]
    pub fn chunk_items(&self, chunk: u16) -> Vec<usize> {
        let Some(owner) = self.owner(chunk) else { return Vec::new() };
        let piece = usize::from(chunk).checked_div(self.n).unwrap_or(0);
        let before = piece.saturating_mul(limits::CHUNK_SHARES_MAX);
        self.items_of(owner).into_iter().skip(before).take(limits::CHUNK_SHARES_MAX).collect()
    }
    /// Where an item's share stands in what a member combines: chunk, and place in it.
    #[must_use]
    pub fn place(&self, item: usize, member: MemberId) -> Option<(u16, usize)> {
        let rank = self.items_of(member).binary_search(&item).ok()?;
        let piece = rank.checked_div(limits::CHUNK_SHARES_MAX)?;
        let chunk = self.chunks_of(member).nth(piece)?;
        Some((chunk, rank.checked_rem(limits::CHUNK_SHARES_MAX)?))
    }
}

#[cfg(test)]
mod tests {
    // Goal: every item has its combiners, and chunks hold what the formula says. Method: the formula written again.
    use super::*;
    use std::{collections::BTreeSet, vec, vec::Vec};

    #[test]
    fn every_item_is_with_the_members_of_the_formula_and_in_their_chunks_once() {
        for (n, k) in [(4u16, 2u8), (4, 3), (7, 2), (7, 1), (7, 3), (16, 2), (19, 2), (19, 3), (128, 2), (1, 2)] {
            for items in [0u32, 1, 3, 18, 19, 200, 3_000, 16_384] {
                let offset = u16::try_from((u32::from(n) * 5 + items) % u32::from(n)).unwrap();
                let combiners = Combiners::new(n, k, offset, items);
                let step = usize::from(n).div_ceil(k.into());
                // of four members three combiners are two: so many have a first item
                let roles: BTreeSet<usize> =
                    (0..usize::from(k)).map(|c| (usize::from(offset) + c * step) % usize::from(n)).collect();
                let most = roles.len() * usize::try_from(items).unwrap().div_ceil(n.into());
                assert_eq!(combiners.chunks(), usize::from(n) * most.div_ceil(512), "{n} {k} {items}");
                let mut given = vec![BTreeSet::new(); usize::try_from(items).unwrap()];
                for chunk in 0..u16::try_from(combiners.chunks()).unwrap() {
                    let owner = combiners.owner(chunk).unwrap();
                    let held = combiners.chunk_items(chunk);
                    assert!(held.len() <= 512 && held.is_sorted());
                    for (at, item) in held.into_iter().enumerate() {
                        assert!(given[item].insert(owner), "once");
                        if item % 97 == 0 {
                            assert_eq!(combiners.place(item, owner), Some((chunk, at)));
                        }
                    }
                }
                for (item, given) in given.iter().enumerate() {
                    let member = |c: usize| (usize::from(offset) + item + c * step) % usize::from(n);
                    let formula: Vec<usize> = (0..usize::from(k)).map(member).collect();
                    let listed: Vec<usize> = combiners.of_item(item).map(|m| usize::from(m.0)).collect();
                    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), formula.iter().collect());
                    assert_eq!(listed.first(), formula.first());
                    assert_eq!(*given, combiners.of_item(item).collect());
                }
                assert_eq!(combiners.chunks() == 0, items == 0);
            }
        }
    }

    #[test]
    fn the_combiners_of_an_item_are_as_many_as_there_should_be() {
        let fewer = |n: u16, k: u8| Combiners::new(n, k, 0, 1).of_item(0).count() < usize::from(k);
        let sizes: Vec<u16> = (1..=42).map(|f| 3 * f + 1).collect();
        let short: Vec<(u16, u8)> =
            sizes.iter().flat_map(|n| [(*n, 1), (*n, 2), (*n, 3)]).filter(|(n, k)| fewer(*n, *k)).collect();
        assert_eq!(short, [(4, 3)]);
    }

    #[test]
    fn where_combiners_begin() {
        // SHA-256("lockstep/combiner/v1" | 32 x 07 | 9), computed elsewhere
        assert_eq!(offset(&Hash([7; 32]), Slot(9), 19), 15);
        assert_eq!(offset(&Hash([7; 32]), Slot(9), 0), 0);
        let spread: BTreeSet<u16> = (0..200).map(|slot| offset(&Hash::ZERO, Slot(slot), 19)).collect();
        assert_eq!(spread.len(), 19);
    }

    #[test]
    fn what_is_out_of_range_is_nothing() {
        let combiners = Combiners::new(7, 2, 3, 20);
        assert_eq!(combiners.owner(7), None);
        assert!(combiners.chunk_items(7).is_empty() && combiners.items_of(MemberId(7)).is_empty());
        assert_eq!(combiners.chunks_of(MemberId(7)).count(), 0);
        assert_eq!(combiners.place(20, MemberId(0)), None);
        // nothing that a header says makes this longer than a set
        assert_eq!(Combiners::new(7, 2, u16::MAX, u32::MAX).items(), 16_384);
    }
}
