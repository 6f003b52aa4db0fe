//! Checks of many items at once: random coefficients, and bisection when the sum fails.
use crate::{ffi::Fr, hash::t256};
use alloc::{vec, vec::Vec};
use types::{Hash, tag};

/// Batch coefficients: two of 128 bits per item, from a seed that nobody who made the items knew.
pub(crate) struct Coefficients(Hash);

impl Coefficients {
    /// Bound to the caller's seed and to everything that is checked in the batch.
    pub(crate) fn new<'a>(seed: &'a [u8; 32], parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let all: Vec<&[u8]> = core::iter::once(seed.as_slice()).chain(parts).collect();
        Self(t256(tag::BATCH_SEED, &all))
    }
    /// Of item `index`.
    pub(crate) fn pair(&self, index: usize) -> ([u8; 16], [u8; 16]) {
        let index = u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes();
        let hash = t256(tag::BATCH, &[self.0.as_ref(), &index]).0;
        let (mut first, mut second) = ([0; 16], [0; 16]);
        let (low, high) = hash.split_at(16);
        first.copy_from_slice(low);
        second.copy_from_slice(high);
        (first, second)
    }
    /// The first of the pair, as a scalar.
    pub(crate) fn scalar(&self, index: usize) -> Fr {
        Fr::reduce(&self.pair(index).0)
    }
}

/// The verdict on each of `count` items from a check of ranges that holds exactly if it holds for each item in the
/// range: by bisection where it fails.
pub(crate) fn bisect(count: usize, holds: impl Fn(core::ops::Range<usize>) -> bool) -> Vec<bool> {
    let mut verdicts = vec![true; count];
    let mut open = vec![(0, count)];
    while let Some((start, end)) = open.pop() {
        let range = start..end;
        if range.is_empty() || holds(range) {
            continue;
        }
        let middle = start.midpoint(end);
        if middle == start {
            verdicts.iter_mut().skip(middle).take(1).for_each(|verdict| *verdict = false);
        } else {
            open.extend([(middle, end), (start, middle)]);
        }
    }
    verdicts
}

/// The first of `count` items that does not hold, from a check as for [`bisect`]: one check of all, then one per halving.
pub(crate) fn first(count: usize, holds: impl Fn(core::ops::Range<usize>) -> bool) -> Option<usize> {
    if count == 0 || holds(0..count) {
        return None;
    }
    let (mut start, mut end) = (0usize, count);
    loop {
        let middle = start.midpoint(end);
        if middle == start {
            return Some(start);
        }
        if holds(start..middle) {
            start = middle;
        } else {
            end = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    // Goal: verdicts of a bisection are those of single checks. Method: every subset of bad items, up to 8.
    use super::*;
    use core::cell::Cell;

    #[test]
    fn bisection_finds_every_bad_item() {
        for count in 0..=8usize {
            for bad in 0..1u32 << count {
                let is_bad = |at: usize| bad >> at & 1 == 1;
                let verdicts = bisect(count, |mut range| !range.any(is_bad));
                assert_eq!(verdicts, (0..count).map(|at| !is_bad(at)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_bad_item_takes_one_check_per_halving() {
        for count in 0..=8usize {
            for bad in 0..1u32 << count {
                let checks = Cell::new(0);
                let found = first(count, |mut range| {
                    checks.set(checks.get() + 1);
                    !range.any(|at| bad >> at & 1 == 1)
                });
                assert_eq!(found, (0..count).find(|at| bad >> at & 1 == 1));
                assert!(checks.get() <= if bad == 0 { 1 } else { 1 + count.next_power_of_two().trailing_zeros() });
            }
        }
    }

    #[test]
    fn coefficients_depend_on_seed_items_and_index() {
        let of = |seed: u8, part: &'static [u8]| Coefficients::new(&[seed; 32], core::iter::once(part));
        assert_ne!(of(1, b"a").pair(0), of(2, b"a").pair(0));
        assert_ne!(of(1, b"a").pair(0), of(1, b"b").pair(0));
        assert_ne!(of(1, b"a").pair(0), of(1, b"a").pair(1));
        let (first, second) = of(1, b"a").pair(0);
        assert_ne!(first, second);
        assert_eq!(of(1, b"a").scalar(0).to_bytes()[..16], first);
    }
}
