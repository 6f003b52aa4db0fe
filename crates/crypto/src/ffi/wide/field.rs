//! The field on eight lanes, without IFMA: products by fused multiply-adds of doubles (Emmart, Zheng, Weems, "Faster
//! Modular Exponentiation Using Double Precision Floating Point Arithmetic", 2018).
//!
//! A value is the sum of l_k 2^(48 k) over eight integers l_k, which are doubles. |l_k| <= w 2^47 for a **weight** w:
//! one after [`mul`], [`square`] and [`load`], the sum of both after an addition or subtraction, which carries nothing.
//! Adding x y to `hi`, a double near 1.5 * 2^101, rounds the sum to a multiple of 2^49; what was lost, x y less the
//! change of `hi`, is exact and goes to `lo`. Both are exact if, in a product of weights v and w with an addend of
//! weight a, v w <= 5 and a <= 4:
//!
//! ```text
//! hi   8 products of 2^94 v w, and 9 of 2^94 when folded:                          below 2^100, where its step grows
//! lo   7 of 2^48 and v w 2^49 from the column below, then 9 of 2^48, 2^50, a 2^47: up to 2^53, where integers end
//! ```
//!
//! Values are in blst's Montgomery form (times 2^384), so the low half of a product is folded by the constants
//! 2^(48 k - 384), and a multiple of p is taken off: the result is below 0.8 p in magnitude, whatever went in.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::integer_division,
    reason = "constants are reckoned at compile time; what runs uses intrinsics alone"
)]
use crate::ffi::Fp;
use core::arch::x86_64::{
    __m512d, __m512i, __mmask8, _mm512_add_epi64, _mm512_add_pd, _mm512_and_epi64, _mm512_cvtepu64_pd,
    _mm512_cvtpd_epi64, _mm512_fmadd_pd, _mm512_i64gather_epi64, _mm512_i64scatter_epi64, _mm512_mask_blend_pd,
    _mm512_mul_pd, _mm512_or_epi64, _mm512_roundscale_pd, _mm512_set1_epi64, _mm512_set1_pd, _mm512_setr_epi64,
    _mm512_setzero_pd, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_pd,
};

pub(super) const LANES: usize = 8;
const LIMBS: usize = 8;
const LIMB_BITS: u32 = 48;
const MASK: i64 = 0xffff_ffff_ffff;

/// 1.5 * 2^101: around it doubles are multiples of 2^49.
const NEAR: f64 = 3.0 * (1u128 << 100) as f64;
/// 1.5 * 2^100: adding it rounds to a multiple of 2^48.
const ROUND: f64 = 3.0 * (1u128 << 99) as f64;
/// 2^-48.
const DOWN: f64 = 1.0 / (1u64 << 48) as f64;

const P: [u64; 6] = [
    0xb9fe_ffff_ffff_aaab,
    0x1eab_fffe_b153_ffff,
    0x6730_d2a0_f6b0_f624,
    0x6477_4b84_f385_12bf,
    0x4b1b_a7b6_434b_acd7,
    0x1a01_11ea_397f_e69a,
];
const P_LIMBS: [f64; LIMBS] = limbs(P, false);
static MINUS_P: [f64; LIMBS] = limbs(P, true);
/// p in 48-bit limbs.
static P_PLAIN: [i64; LIMBS] = plain(P);
/// 2^336 / p.
const OVER_P: f64 = 1.0 / (P_LIMBS[7] + P_LIMBS[6] * DOWN);
/// 2^(48 k - 384) mod p, between -p/2 and p/2.
static FOLD: [[f64; LIMBS]; LIMBS] = folds();

const fn plain(value: [u64; 6]) -> [i64; LIMBS] {
    let (mut out, mut k) = ([0; LIMBS], 0);
    while k < LIMBS {
        let (word, shift) = (48 * k / 64, 48 * k % 64);
        let mut limb = value[word] >> shift;
        if shift > 16 && word + 1 < 6 {
            limb |= value[word + 1] << (64 - shift);
        }
        out[k] = limb.cast_signed() & MASK;
        k += 1;
    }
    out
}

/// Limbs of magnitude up to 2^47, of the value or its opposite.
const fn limbs(value: [u64; 6], negative: bool) -> [f64; LIMBS] {
    let (plain, mut out, mut carry, mut k) = (plain(value), [0.0; LIMBS], 0, 0);
    while k < LIMBS {
        let mut limb = plain[k] + carry;
        carry = 0;
        if k + 1 < LIMBS && limb >= 1 << 47 {
            limb -= 1 << 48;
            carry = 1;
        }
        out[k] = if negative { -limb as f64 } else { limb as f64 };
        k += 1;
    }
    out
}

/// Half of the value, modulo p.
const fn half(value: [u64; 6]) -> [u64; 6] {
    let (mut out, mut carry, mut k) = (value, 0u128, 0);
    while k < 6 {
        let sum = out[k] as u128 + (if value[0] & 1 == 1 { P[k] } else { 0 }) as u128 + carry;
        out[k] = sum as u64;
        carry = sum >> 64;
        k += 1;
    }
    k = 0;
    while k < 6 {
        out[k] = out[k] >> 1 | if k < 5 { out[k + 1] << 63 } else { 0 };
        k += 1;
    }
    out
}

/// The value or, as limbs of its opposite, p less it: whichever is smaller.
const fn nearest(value: [u64; 6]) -> [f64; LIMBS] {
    let (mut other, mut borrow, mut k) = ([0; 6], false, 0);
    while k < 6 {
        let (rest, first) = P[k].overflowing_sub(value[k]);
        let (rest, second) = rest.overflowing_sub(if borrow { 1 } else { 0 });
        other[k] = rest;
        borrow = first || second;
        k += 1;
    }
    while k > 0 {
        k -= 1;
        if other[k] != value[k] {
            return if other[k] < value[k] { limbs(other, true) } else { limbs(value, false) };
        }
    }
    limbs(value, false)
}

const fn folds() -> [[f64; LIMBS]; LIMBS] {
    let (mut out, mut value, mut k) = ([[0.0; LIMBS]; LIMBS], [1, 0, 0, 0, 0, 0], LIMBS);
    while k > 0 {
        k -= 1;
        let mut bit = 0;
        while bit < LIMB_BITS {
            value = half(value);
            bit += 1;
        }
        out[k] = nearest(value);
    }
    out
}

/// Eight elements.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F8([__m512d; LIMBS]);

impl F8 {
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    fn each(a: &Self, b: &Self, with: impl Fn(__m512d, __m512d) -> __m512d) -> Self {
        let mut out = *a;
        out.0.iter_mut().zip(&b.0).for_each(|(a, b)| *a = with(*a, *b));
        out
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn zero() -> Self {
        Self([_mm512_setzero_pd(); LIMBS])
    }
    /// The weights add up.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn add(&self, other: &Self) -> Self {
        Self::each(self, other, |a, b| _mm512_add_pd(a, b))
    }
    /// The weights add up.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn sub(&self, other: &Self) -> Self {
        Self::each(self, other, |a, b| _mm512_sub_pd(a, b))
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn neg(&self) -> Self {
        Self::zero().sub(self)
    }
    /// Three times, of weight 1 again; for a magnitude below 8 p.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn triple(&self) -> Self {
        Self(carried(self.add(self).add(self).0).0)
    }
    /// Lanes whose bit is set are those of `other`.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn blend(&self, lanes: __mmask8, other: &Self) -> Self {
        Self::each(self, other, |a, b| _mm512_mask_blend_pd(lanes, a, b))
    }
}

/// One column of a product: x y of each pair on top of `start`, and what belongs to the next column, as `hi`.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn column<const N: usize>(start: __m512d, pairs: [(__m512d, __m512d); N]) -> (__m512d, __m512d) {
    let (mut lo, mut hi) = (start, _mm512_set1_pd(NEAR));
    for (x, y) in pairs {
        step(x, y, &mut lo, &mut hi);
    }
    (lo, hi)
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn step(x: __m512d, y: __m512d, lo: &mut __m512d, hi: &mut __m512d) {
    let next = _mm512_fmadd_pd(x, y, *hi);
    *lo = _mm512_add_pd(*lo, _mm512_fmadd_pd(x, y, _mm512_sub_pd(*hi, next)));
    *hi = next;
}

/// x times a constant, on top of all columns.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn row(x: __m512d, constant: &[f64; LIMBS], lo: &mut [__m512d; LIMBS], hi: &mut [__m512d; LIMBS]) {
    for ((y, lo), hi) in constant.iter().zip(lo).zip(hi) {
        step(x, _mm512_set1_pd(*y), lo, hi);
    }
}

/// What a column leaves to the next one.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn carry(hi: __m512d) -> __m512d {
    _mm512_mul_pd(_mm512_sub_pd(hi, _mm512_set1_pd(NEAR)), _mm512_set1_pd(DOWN))
}

/// Limbs up to 2^47 + 2^5 in magnitude, and what is left above them.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn carried(columns: [__m512d; LIMBS]) -> ([__m512d; LIMBS], __m512d) {
    let (round, down, mut up) = (_mm512_set1_pd(ROUND), _mm512_set1_pd(DOWN), _mm512_setzero_pd());
    let limbs = columns.map(|column| {
        let above = _mm512_sub_pd(_mm512_add_pd(column, round), round);
        let limb = _mm512_fmadd_pd(up, down, _mm512_sub_pd(column, above));
        up = above;
        limb
    });
    (limbs, _mm512_mul_pd(up, down))
}

/// The sixteen columns of a product, folded to an element.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn folded(low: [__m512d; LIMBS], mut lo: [__m512d; LIMBS]) -> F8 {
    let (low, up) = carried(low);
    let near = _mm512_set1_pd(NEAR);
    let mut hi = [near; LIMBS];
    lo[0] = _mm512_add_pd(lo[0], up);
    for (limb, constant) in low.iter().zip(&FOLD) {
        row(*limb, constant, &mut lo, &mut hi);
    }
    // How often p is in it, near enough.
    let top = _mm512_add_pd(_mm512_sub_pd(hi[7], near), _mm512_add_pd(carry(hi[6]), lo[7]));
    let times = _mm512_roundscale_pd::<8>(_mm512_mul_pd(top, _mm512_set1_pd(OVER_P)));
    row(times, &MINUS_P, &mut lo, &mut hi);
    let [h0, h1, h2, h3, h4, h5, h6, h7] = hi;
    let [c0, c1, c2, c3, c4, c5, c6, c7] = lo;
    let add = |column, hi| _mm512_add_pd(column, carry(hi));
    let top = _mm512_add_pd(add(c7, h6), _mm512_sub_pd(h7, near));
    F8(carried([c0, add(c1, h0), add(c2, h1), add(c3, h2), add(c4, h3), add(c5, h4), add(c6, h5), top]).0)
}

/// a b.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn mul(a: &F8, b: &F8) -> F8 {
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.0;
    let [b0, b1, b2, b3, b4, b5, b6, b7] = b.0;
    let (c0, h0) = column(_mm512_setzero_pd(), [(a0, b0)]);
    let (c1, h1) = column(carry(h0), [(a0, b1), (a1, b0)]);
    let (c2, h2) = column(carry(h1), [(a0, b2), (a1, b1), (a2, b0)]);
    let (c3, h3) = column(carry(h2), [(a0, b3), (a1, b2), (a2, b1), (a3, b0)]);
    let (c4, h4) = column(carry(h3), [(a0, b4), (a1, b3), (a2, b2), (a3, b1), (a4, b0)]);
    let (c5, h5) = column(carry(h4), [(a0, b5), (a1, b4), (a2, b3), (a3, b2), (a4, b1), (a5, b0)]);
    let (c6, h6) = column(carry(h5), [(a0, b6), (a1, b5), (a2, b4), (a3, b3), (a4, b2), (a5, b1), (a6, b0)]);
    let (c7, h7) = column(carry(h6), [(a0, b7), (a1, b6), (a2, b5), (a3, b4), (a4, b3), (a5, b2), (a6, b1), (a7, b0)]);
    let (c8, h8) = column(carry(h7), [(a1, b7), (a2, b6), (a3, b5), (a4, b4), (a5, b3), (a6, b2), (a7, b1)]);
    let (c9, h9) = column(carry(h8), [(a2, b7), (a3, b6), (a4, b5), (a5, b4), (a6, b3), (a7, b2)]);
    let (c10, h10) = column(carry(h9), [(a3, b7), (a4, b6), (a5, b5), (a6, b4), (a7, b3)]);
    let (c11, h11) = column(carry(h10), [(a4, b7), (a5, b6), (a6, b5), (a7, b4)]);
    let (c12, h12) = column(carry(h11), [(a5, b7), (a6, b6), (a7, b5)]);
    let (c13, h13) = column(carry(h12), [(a6, b7), (a7, b6)]);
    let (c14, h14) = column(carry(h13), [(a7, b7)]);
    let c15 = carry(h14);
    folded([c0, c1, c2, c3, c4, c5, c6, c7], [c8, c9, c10, c11, c12, c13, c14, c15])
}

/// a^2.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn square(a: &F8) -> F8 {
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.0;
    let [d1, d2, d3, d4, d5, d6, d7] = [a1, a2, a3, a4, a5, a6, a7].map(|a| _mm512_add_pd(a, a));
    let (c0, h0) = column(_mm512_setzero_pd(), [(a0, a0)]);
    let (c1, h1) = column(carry(h0), [(a0, d1)]);
    let (c2, h2) = column(carry(h1), [(a0, d2), (a1, a1)]);
    let (c3, h3) = column(carry(h2), [(a0, d3), (a1, d2)]);
    let (c4, h4) = column(carry(h3), [(a0, d4), (a1, d3), (a2, a2)]);
    let (c5, h5) = column(carry(h4), [(a0, d5), (a1, d4), (a2, d3)]);
    let (c6, h6) = column(carry(h5), [(a0, d6), (a1, d5), (a2, d4), (a3, a3)]);
    let (c7, h7) = column(carry(h6), [(a0, d7), (a1, d6), (a2, d5), (a3, d4)]);
    let (c8, h8) = column(carry(h7), [(a1, d7), (a2, d6), (a3, d5), (a4, a4)]);
    let (c9, h9) = column(carry(h8), [(a2, d7), (a3, d6), (a4, d5)]);
    let (c10, h10) = column(carry(h9), [(a3, d7), (a4, d6), (a5, a5)]);
    let (c11, h11) = column(carry(h10), [(a4, d7), (a5, d6)]);
    let (c12, h12) = column(carry(h11), [(a5, d7), (a6, a6)]);
    let (c13, h13) = column(carry(h12), [(a6, d7)]);
    let (c14, h14) = column(carry(h13), [(a7, a7)]);
    let c15 = carry(h14);
    folded([c0, c1, c2, c3, c4, c5, c6, c7], [c8, c9, c10, c11, c12, c13, c14, c15])
}

/// a b + addend.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn mul_add(a: &F8, b: &F8, addend: &F8) -> F8 {
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.0;
    let [b0, b1, b2, b3, b4, b5, b6, b7] = b.0;
    let [s0, s1, s2, s3, s4, s5, s6, s7] = addend.0;
    let on = |hi, addend| _mm512_add_pd(carry(hi), addend);
    let (c0, h0) = column(_mm512_setzero_pd(), [(a0, b0)]);
    let (c1, h1) = column(carry(h0), [(a0, b1), (a1, b0)]);
    let (c2, h2) = column(carry(h1), [(a0, b2), (a1, b1), (a2, b0)]);
    let (c3, h3) = column(carry(h2), [(a0, b3), (a1, b2), (a2, b1), (a3, b0)]);
    let (c4, h4) = column(carry(h3), [(a0, b4), (a1, b3), (a2, b2), (a3, b1), (a4, b0)]);
    let (c5, h5) = column(carry(h4), [(a0, b5), (a1, b4), (a2, b3), (a3, b2), (a4, b1), (a5, b0)]);
    let (c6, h6) = column(carry(h5), [(a0, b6), (a1, b5), (a2, b4), (a3, b3), (a4, b2), (a5, b1), (a6, b0)]);
    let (c7, h7) = column(carry(h6), [(a0, b7), (a1, b6), (a2, b5), (a3, b4), (a4, b3), (a5, b2), (a6, b1), (a7, b0)]);
    let (c8, h8) = column(on(h7, s0), [(a1, b7), (a2, b6), (a3, b5), (a4, b4), (a5, b3), (a6, b2), (a7, b1)]);
    let (c9, h9) = column(on(h8, s1), [(a2, b7), (a3, b6), (a4, b5), (a5, b4), (a6, b3), (a7, b2)]);
    let (c10, h10) = column(on(h9, s2), [(a3, b7), (a4, b6), (a5, b5), (a6, b4), (a7, b3)]);
    let (c11, h11) = column(on(h10, s3), [(a4, b7), (a5, b6), (a6, b5), (a7, b4)]);
    let (c12, h12) = column(on(h11, s4), [(a5, b7), (a6, b6), (a7, b5)]);
    let (c13, h13) = column(on(h12, s5), [(a6, b7), (a7, b6)]);
    let (c14, h14) = column(on(h13, s6), [(a7, b7)]);
    let c15 = on(h14, s7);
    folded([c0, c1, c2, c3, c4, c5, c6, c7], [c8, c9, c10, c11, c12, c13, c14, c15])
}

/// a^2 + addend.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn square_add(a: &F8, addend: &F8) -> F8 {
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.0;
    let [d1, d2, d3, d4, d5, d6, d7] = [a1, a2, a3, a4, a5, a6, a7].map(|a| _mm512_add_pd(a, a));
    let [s0, s1, s2, s3, s4, s5, s6, s7] = addend.0;
    let on = |hi, addend| _mm512_add_pd(carry(hi), addend);
    let (c0, h0) = column(_mm512_setzero_pd(), [(a0, a0)]);
    let (c1, h1) = column(carry(h0), [(a0, d1)]);
    let (c2, h2) = column(carry(h1), [(a0, d2), (a1, a1)]);
    let (c3, h3) = column(carry(h2), [(a0, d3), (a1, d2)]);
    let (c4, h4) = column(carry(h3), [(a0, d4), (a1, d3), (a2, a2)]);
    let (c5, h5) = column(carry(h4), [(a0, d5), (a1, d4), (a2, d3)]);
    let (c6, h6) = column(carry(h5), [(a0, d6), (a1, d5), (a2, d4), (a3, a3)]);
    let (c7, h7) = column(carry(h6), [(a0, d7), (a1, d6), (a2, d5), (a3, d4)]);
    let (c8, h8) = column(on(h7, s0), [(a1, d7), (a2, d6), (a3, d5), (a4, a4)]);
    let (c9, h9) = column(on(h8, s1), [(a2, d7), (a3, d6), (a4, d5)]);
    let (c10, h10) = column(on(h9, s2), [(a3, d7), (a4, d6), (a5, a5)]);
    let (c11, h11) = column(on(h10, s3), [(a4, d7), (a5, d6)]);
    let (c12, h12) = column(on(h11, s4), [(a5, d7), (a6, a6)]);
    let (c13, h13) = column(on(h12, s5), [(a6, d7)]);
    let (c14, h14) = column(on(h13, s6), [(a7, a7)]);
    let c15 = on(h14, s7);
    folded([c0, c1, c2, c3, c4, c5, c6, c7], [c8, c9, c10, c11, c12, c13, c14, c15])
}

/// Element `at + stride k` of the six-limb elements that start at `at`, for lane k.
///
/// # Safety
/// `from` starts 7 `stride` + 6 readable words.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub(super) unsafe fn load(from: *const u64, stride: i64) -> F8 {
    let at = lanes_at(stride);
    // SAFETY: the words at 0 to 5 of each lane, which the caller vouches for.
    let word = |k: usize| unsafe { _mm512_i64gather_epi64::<8>(at, from.wrapping_add(k).cast()) };
    let [w0, w1, w2, w3, w4, w5] = [word(0), word(1), word(2), word(3), word(4), word(5)];
    let limb = |bits: __m512i| _mm512_cvtepu64_pd(_mm512_and_epi64(bits, _mm512_set1_epi64(MASK)));
    let both = |low: __m512i, high: __m512i| _mm512_or_epi64(low, high);
    F8(carried([
        limb(w0),
        limb(both(_mm512_srli_epi64::<48>(w0), _mm512_slli_epi64::<16>(w1))),
        limb(both(_mm512_srli_epi64::<32>(w1), _mm512_slli_epi64::<32>(w2))),
        limb(_mm512_srli_epi64::<16>(w2)),
        limb(w3),
        limb(both(_mm512_srli_epi64::<48>(w3), _mm512_slli_epi64::<16>(w4))),
        limb(both(_mm512_srli_epi64::<32>(w4), _mm512_slli_epi64::<32>(w5))),
        limb(_mm512_srli_epi64::<16>(w5)),
    ])
    .0)
}

/// Writes the elements, between 0 and p, as [`load`] reads them. For magnitudes below p.
///
/// # Safety
/// `to` starts 7 `stride` + 6 writable words.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub(super) unsafe fn store(value: &F8, to: *mut u64, stride: i64) {
    let mask = _mm512_set1_epi64(MASK);
    let mut above = _mm512_setzero_si512();
    let mut settled = |limb: __m512i| {
        let sum = _mm512_add_epi64(limb, above);
        above = _mm512_srai_epi64::<48>(sum);
        _mm512_and_epi64(sum, mask)
    };
    let limbs = value.0.map(|limb| settled(_mm512_cvtpd_epi64(limb)));
    // all ones in lanes below zero: those get p
    let negative = above;
    above = _mm512_setzero_si512();
    let mut out = limbs;
    for (limb, p) in out.iter_mut().zip(&P_PLAIN) {
        let sum = _mm512_add_epi64(_mm512_add_epi64(*limb, _mm512_and_epi64(negative, _mm512_set1_epi64(*p))), above);
        above = _mm512_srai_epi64::<48>(sum);
        *limb = _mm512_and_epi64(sum, mask);
    }
    let [l0, l1, l2, l3, l4, l5, l6, l7] = out;
    let both = |low: __m512i, high: __m512i| _mm512_or_epi64(low, high);
    let words = [
        both(l0, _mm512_slli_epi64::<48>(l1)),
        both(_mm512_srli_epi64::<16>(l1), _mm512_slli_epi64::<32>(l2)),
        both(_mm512_srli_epi64::<32>(l2), _mm512_slli_epi64::<16>(l3)),
        both(l4, _mm512_slli_epi64::<48>(l5)),
        both(_mm512_srli_epi64::<16>(l5), _mm512_slli_epi64::<32>(l6)),
        both(_mm512_srli_epi64::<32>(l6), _mm512_slli_epi64::<16>(l7)),
    ];
    let at = lanes_at(stride);
    for (k, word) in words.into_iter().enumerate() {
        // SAFETY: the words at 0 to 5 of each lane, which the caller vouches for.
        unsafe { _mm512_i64scatter_epi64::<8>(to.wrapping_add(k).cast(), at, word) };
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn lanes_at(stride: i64) -> __m512i {
    let at = |lane: i64| lane.wrapping_mul(stride);
    _mm512_setr_epi64(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
}

/// Eight elements of the portable kind.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn load_all(from: &[Fp; LANES]) -> F8 {
    // SAFETY: `Fp` is six words, and there are eight of them.
    unsafe { load(from.as_ptr().cast(), 6) }
}

/// See [`store`].
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn store_all(value: &F8) -> [Fp; LANES] {
    let mut out = [Fp::default(); LANES];
    // SAFETY: `Fp` is six words, and there are eight of them; any words below p are an element.
    unsafe { store(value, out.as_mut_ptr().cast(), 6) };
    out
}
