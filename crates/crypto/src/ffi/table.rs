//! Multiples of fixed points: [`Table`] for public scalars, [`Comb`] for secret ones.
use super::{Fp, Fr, G1, G1Affine};
use crate::lanes;
use alloc::vec::Vec;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Entries of a window of [`Table`]: digits are -127 to 128.
const WIDE: usize = 128;
const WIDE_WINDOWS: usize = 32;
/// Entries of a window of [`Comb`]: digits are -15 to 16.
const NARROW: usize = 16;
const NARROW_BITS: usize = 5;
/// 51 windows and the carry of the last.
const NARROW_WINDOWS: usize = 52;

/// 1 to `entries` times `base`, `2 entries` times those, and so on.
fn windows(base: &G1Affine, entries: usize, windows: usize) -> Vec<G1Affine> {
    let mut points = Vec::with_capacity(entries.saturating_mul(windows));
    let mut unit = base.point();
    for _window in 0..windows {
        let mut multiple = unit;
        for _digit in 1..entries {
            points.push(multiple);
            multiple = multiple.add(&unit);
        }
        points.push(multiple);
        unit = multiple.double();
    }
    // The base is in the group and no multiple is one of the order.
    G1::affine_all(&points).unwrap_or_default()
}

/// For products with public scalars: 32 windows of 8 bits, 0.4 MB.
pub(crate) struct Table(Vec<G1Affine>);

impl Table {
    /// Of a point of the subgroup.
    pub(crate) fn new(base: &G1Affine) -> Self {
        Self(windows(base, WIDE, WIDE_WINDOWS))
    }
    /// The magnitude's multiple, and whether its opposite is meant.
    #[inline]
    fn entry(&self, window: usize, digit: i16) -> Option<(&G1Affine, bool)> {
        let place = usize::from(digit.unsigned_abs()).checked_sub(1)?;
        let entry = self.0.get(window.saturating_mul(WIDE)..)?.get(place)?;
        Some((entry, digit < 0))
    }
    /// Product with a public scalar: not in constant time.
    pub(crate) fn vartime_mul(&self, scalar: &Fr) -> G1 {
        let entries = digits(scalar).into_iter().enumerate().filter_map(|(window, digit)| self.entry(window, digit));
        let signed = entries.map(|(entry, negative)| if negative { entry.neg() } else { *entry });
        signed.fold(G1::identity(), |sum, entry| sum.add_affine(&entry))
    }
    /// Products with many public scalars.
    pub(crate) fn vartime_mul_all(&self, scalars: &[Fr]) -> Vec<G1> {
        let digits: Vec<[i16; WIDE_WINDOWS]> = scalars.iter().map(digits).collect();
        let digit = |window: usize, lane: usize| digits.get(lane).and_then(|digits| digits.get(window)).copied();
        let sums = lanes::sums(WIDE_WINDOWS, scalars.len(), |window, lane| self.entry(window, digit(window, lane)?));
        let plain = |(sum, scalar): (Option<G1>, &Fr)| sum.unwrap_or_else(|| self.vartime_mul(scalar));
        sums.into_iter().zip(scalars).map(plain).collect()
    }
}

/// Digits of -127 to 128, lowest first. The highest byte of a scalar is below 128: nothing is carried out of it.
fn digits(scalar: &Fr) -> [i16; WIDE_WINDOWS] {
    let mut carry = 0i16;
    scalar.to_bytes().map(|byte| {
        let digit = i16::from(byte).saturating_add(carry);
        carry = i16::from(digit > 128);
        digit.saturating_sub(carry << 8)
    })
}

/// For products with secret scalars, in constant time: 52 windows of 5 bits, 80 KB. Every step reads its whole window
/// and adds.
pub(crate) struct Comb(Vec<G1Affine>);

impl Comb {
    /// Of a point of the subgroup.
    pub(crate) fn new(base: &G1Affine) -> Self {
        Self(windows(base, NARROW, NARROW_WINDOWS))
    }
    pub(crate) fn mul(&self, scalar: &Fr) -> G1 {
        let bytes = Zeroizing::new(scalar.to_bytes());
        let (mut sum, mut carry) = (G1::identity(), 0u8);
        for (window, entries) in self.0.as_chunks::<NARROW>().0.iter().enumerate() {
            let raw = five_bits(&bytes, window.saturating_mul(NARROW_BITS)).wrapping_add(carry);
            // above 16: 32 less here, one more in the next window
            carry = raw.wrapping_add(15) >> 5;
            let negative = Choice::from(carry);
            let size = u8::conditional_select(&raw, &32u8.wrapping_sub(raw), negative);
            let (mut x, mut y) = (Fp::default(), Fp::default());
            for (multiple, entry) in (1u8..).zip(entries) {
                let this = multiple.ct_eq(&size);
                x.conditional_assign(&entry.x(), this);
                y.conditional_assign(&entry.y(), this);
            }
            // Both coordinates zero stand for the identity.
            sum = sum.add_affine(&G1Affine::from_coordinates(x, y.negate_if(negative)));
        }
        sum
    }
}

/// Bits `at` to `at + 4` of a little-endian number.
fn five_bits(bytes: &[u8; 32], at: usize) -> u8 {
    let byte = |place: usize| u16::from(bytes.get(place).copied().unwrap_or(0));
    let place = at >> 3;
    let two = byte(place) | byte(place.saturating_add(1)) << 8;
    let [low, _] = (two >> (at & 7)).to_le_bytes();
    low & 31
}
