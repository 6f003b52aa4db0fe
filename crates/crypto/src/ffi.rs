//! BLS12-381 through blst: the only unsafe code of the workspace.
//!
//! Every function is safe to call with any value of its argument types: lengths are fixed by types or checked before
//! the call, and blst neither keeps pointers nor reads beyond what they point to. Two facts that callers rely on:
//!
//! * [`G1Affine`] and [`G2Affine`] are on the curve, not the identity and have x != 0. Whether they are in the
//!   subgroup of prime order is asked with `in_group`. Points of order 3 are exactly those with x = 0, and blst's
//!   small tables (1P to 8P, built with additions that cannot double) are right for every other order.
//! * [`G1::mul`] uses the endomorphism, so it is the scalar product only inside the subgroup; [`G1::mul_cofactor`],
//!   [`msm_128`] is right for every point of the curve.
#![expect(unsafe_code, reason = "the one module that calls C and uses vector instructions")]
mod field;
mod table;
#[cfg(target_arch = "x86_64")]
mod wide;
#[cfg(not(target_arch = "x86_64"))]
#[path = "ffi/narrow.rs"]
mod wide;

pub(crate) use field::Fp;
pub(crate) use table::{Comb, Table};
pub(crate) use wide::{Chords, EIGHT, Running, Walk, Wide, Words};

use alloc::{vec, vec::Vec};
use blst::{BLST_ERROR, blst_fp12, blst_fr, blst_p1, blst_p1_affine, blst_p2, blst_p2_affine, blst_scalar, limb_t};
use core::{mem::size_of, ptr};
use subtle::ConstantTimeEq;
use zeroize::{DefaultIsZeroes, Zeroizing};

/// Bits of a scalar below the order.
const SCALAR_BITS: usize = 255;
/// 1 - z for the curve's parameter z: annihilates the cofactor of G1.
const COFACTOR: u64 = 0xd201_0000_0001_0001;
const COMPRESSED_FLAG: u8 = 0x80;
const FLAGS: u8 = 0xe0;
/// Points from which on eight lanes are faster than one by one.
const WIDE_FROM: usize = 6;

/// A scalar modulo the group order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fr(blst_fr);

impl DefaultIsZeroes for Fr {}

impl Fr {
    /// Little-endian, below the order.
    pub(crate) fn from_canonical(bytes: &[u8; 32]) -> Option<Self> {
        let mut scalar = blst_scalar::default();
        // SAFETY: reads 32 bytes, writes one scalar.
        unsafe { blst::blst_scalar_from_lendian(&raw mut scalar, bytes.as_ptr()) };
        // SAFETY: reads one scalar.
        let below = unsafe { blst::blst_scalar_fr_check(&raw const scalar) };
        below.then(|| Self::from_scalar(&scalar))
    }
    /// Little-endian of any length, reduced.
    pub(crate) fn reduce(bytes: &[u8]) -> Self {
        let mut scalar = blst_scalar::default();
        // SAFETY: reads `len` bytes, writes one scalar; the result says only whether it is zero.
        let _nonzero = unsafe { blst::blst_scalar_from_le_bytes(&raw mut scalar, bytes.as_ptr(), bytes.len()) };
        Self::from_scalar(&scalar)
    }
    fn from_scalar(scalar: &blst_scalar) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one scalar, writes one field element.
        unsafe { blst::blst_fr_from_scalar(&raw mut out.0, scalar) };
        out
    }
    fn scalar(&self) -> blst_scalar {
        let mut scalar = blst_scalar::default();
        // SAFETY: reads one field element, writes one scalar.
        unsafe { blst::blst_scalar_from_fr(&raw mut scalar, &raw const self.0) };
        scalar
    }
    /// Little-endian bytes.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.scalar().b
    }
    /// In constant time.
    pub(crate) fn is_zero(&self) -> bool {
        let bytes = Zeroizing::new(self.to_bytes());
        bytes.ct_eq(&[0; 32]).into()
    }
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fr_add(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fr_sub(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    pub(crate) fn mul(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fr_mul(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    pub(crate) fn neg(&self) -> Self {
        Self::default().sub(self)
    }
    /// 1 / self; zero for zero.
    pub(crate) fn inverse(&self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one field element, writes one.
        unsafe { blst::blst_fr_eucl_inverse(&raw mut out.0, &raw const self.0) };
        out
    }
}

/// A point of the curve of G1: not the identity, x != 0, perhaps outside the subgroup.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct G1Affine(blst_p1_affine);

impl DefaultIsZeroes for G1Affine {}

impl G1Affine {
    pub(crate) fn generator() -> Self {
        // SAFETY: points to a constant of the library.
        Self(unsafe { *blst::blst_p1_affine_generator() })
    }
    /// Canonical compressed bytes of a point that is on the curve, not the identity and has x != 0.
    pub(crate) fn uncompress(bytes: &[u8; 48]) -> Option<Self> {
        let mut out = blst_p1_affine::default();
        // SAFETY: reads 48 bytes, writes one point.
        let verdict = unsafe { blst::blst_p1_uncompress(&raw mut out, bytes.as_ptr()) };
        Self::accepted(out, verdict)
    }
    /// As [`Self::uncompress`], from x and y, 48 bytes big-endian each.
    pub(crate) fn from_raw(bytes: &[u8; 96]) -> Option<Self> {
        if bytes.first().is_none_or(|first| first & FLAGS != 0) {
            return None;
        }
        let mut out = blst_p1_affine::default();
        // SAFETY: reads 96 bytes, writes one point.
        let verdict = unsafe { blst::blst_p1_deserialize(&raw mut out, bytes.as_ptr()) };
        Self::accepted(out, verdict)
    }
    fn accepted(point: blst_p1_affine, verdict: BLST_ERROR) -> Option<Self> {
        // blst says success for the identity, and refuses x = 0 with an error of its own.
        let refused = verdict != BLST_ERROR::BLST_SUCCESS || point == blst_p1_affine::default();
        (!refused).then_some(Self(point))
    }
    /// As [`Self::uncompress`], of many at once.
    pub(crate) fn uncompress_all<'a>(bytes: impl ExactSizeIterator<Item = &'a [u8; 48]> + Clone) -> Vec<Option<Self>> {
        let Some(wide) = Wide::get().filter(|_| bytes.len() >= WIDE_FROM) else {
            return bytes.map(Self::uncompress).collect();
        };
        let four = Fp::four();
        let squares = |bytes: &'a [u8; 48]| {
            let x = Fp::from_flagged(bytes);
            (x, x.square().mul(&x).add(&four))
        };
        let (x, squares): (Vec<Fp>, Vec<Fp>) = bytes.clone().map(squares).unzip();
        let roots = wide.square_roots(&squares);
        let lanes = bytes.zip(x).zip(squares.iter().zip(roots));
        let point = |((bytes, x), (square, y)): ((&'a [u8; 48], Fp), (&Fp, Fp))| {
            // Bytes that the point does not have are no canonical form: x, flags and sign at once.
            let point = Self::from_coordinates(x, y);
            let candidates = [point, point.neg()].into_iter().filter(|_| y.square() == *square && !x.is_zero());
            candidates.into_iter().find(|point| point.compress() == *bytes)
        };
        lanes.map(point).collect()
    }
    pub(crate) fn compress(&self) -> [u8; 48] {
        let mut out = [0; 48];
        // SAFETY: reads one point, writes 48 bytes.
        unsafe { blst::blst_p1_affine_compress(out.as_mut_ptr(), &raw const self.0) };
        out
    }
    pub(crate) fn raw(&self) -> [u8; 96] {
        let mut out = [0; 96];
        // SAFETY: reads one point, writes 96 bytes.
        unsafe { blst::blst_p1_affine_serialize(out.as_mut_ptr(), &raw const self.0) };
        out
    }
    /// In the subgroup of prime order.
    pub(crate) fn in_group(&self) -> bool {
        // SAFETY: reads one point.
        unsafe { blst::blst_p1_affine_in_g1(&raw const self.0) }
    }
    /// Z U if U is in the subgroup of prime order, that is if Z^2 U = -phi(U) (Scott, eprint 2021/1130).
    pub(crate) fn times_z_in_group(&self) -> Option<G1> {
        let once = self.point().times_z();
        (once.times_z() == self.endomorphism().neg().point()).then_some(once)
    }
    /// As [`Self::times_z_in_group`], of many at once.
    pub(crate) fn times_z_in_group_all(points: &[Self]) -> Vec<Option<Self>> {
        // Not the identity: neither the point nor Z is zero in the group.
        let plain = |point: &Self| point.times_z_in_group().and_then(|product| product.affine());
        match Wide::get().filter(|_| points.len() >= WIDE_FROM) {
            Some(wide) => {
                let known = points.iter().zip(wide.times_z_in_group(points));
                known.map(|(point, known)| known.unwrap_or_else(|| plain(point))).collect()
            }
            None => {
                let products: Vec<Option<G1>> = points.iter().map(Self::times_z_in_group).collect();
                let inside: Vec<G1> = products.iter().flatten().copied().collect();
                let mut affine = G1::affine_all(&inside).unwrap_or_default().into_iter();
                products.iter().map(|product| product.and_then(|_| affine.next())).collect()
            }
        }
    }
    pub(crate) fn point(&self) -> G1 {
        let mut out = G1::identity();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p1_from_affine(&raw mut out.0, &raw const self.0) };
        out
    }
    pub(crate) fn mul(&self, scalar: &Fr) -> G1 {
        self.point().mul(scalar)
    }
}

/// A point of the curve of G1, or the identity.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct G1(blst_p1);

impl PartialEq for G1 {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: reads two points.
        unsafe { blst::blst_p1_is_equal(&raw const self.0, &raw const other.0) }
    }
}

impl G1 {
    pub(crate) fn identity() -> Self {
        Self::default()
    }
    /// hash_to_curve of RFC 9380, suite `BLS12381G1_XMD:SHA-256_SSWU_RO_`.
    pub(crate) fn hash(message: &[u8], dst: &[u8]) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads `message` and `dst` by their lengths and no augmentation; writes one point.
        unsafe {
            blst::blst_hash_to_g1(
                &raw mut out.0,
                message.as_ptr(),
                message.len(),
                dst.as_ptr(),
                dst.len(),
                ptr::null(),
                0,
            );
        }
        out
    }
    pub(crate) fn is_identity(&self) -> bool {
        // SAFETY: reads one point.
        unsafe { blst::blst_p1_is_inf(&raw const self.0) }
    }
    /// The sum, also of equal points.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads two points, writes one.
        unsafe { blst::blst_p1_add_or_double(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    pub(crate) fn double(&self) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p1_double(&raw mut out.0, &raw const self.0) };
        out
    }
    pub(crate) fn neg(&self) -> Self {
        let mut out = *self;
        // SAFETY: reads and writes one point.
        unsafe { blst::blst_p1_cneg(&raw mut out.0, true) };
        out
    }
    /// Product with a scalar, in constant time. The scalar product only for points of the subgroup.
    pub(crate) fn mul(&self, scalar: &Fr) -> Self {
        let (mut out, scalar) = (Self::identity(), scalar.scalar());
        // SAFETY: reads one point and 32 bytes of scalar, writes one point.
        unsafe { blst::blst_p1_mult(&raw mut out.0, &raw const self.0, scalar.b.as_ptr(), SCALAR_BITS) };
        out
    }
    /// h P: inside the subgroup for every P, and the identity exactly for sums of points of small order.
    pub(crate) fn mul_cofactor(&self) -> Self {
        let (mut out, factor) = (Self::identity(), COFACTOR.to_le_bytes());
        // SAFETY: reads one point and 8 bytes, writes one point. Below 176 bits blst uses no endomorphism.
        unsafe { blst::blst_p1_mult(&raw mut out.0, &raw const self.0, factor.as_ptr(), 64) };
        out
    }
    /// Z P for Z = COFACTOR - 1, of any point: 63 doublings and 5 additions.
    fn times_z(&self) -> Self {
        let mut out = *self;
        for bit in (0..63).rev() {
            out = out.double();
            if COFACTOR >> bit & 1 == 1 && bit != 0 {
                out = out.add(self);
            }
        }
        out
    }
    pub(crate) fn add_affine(&self, other: &G1Affine) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads two points, writes one.
        unsafe { blst::blst_p1_add_or_double_affine(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    /// Affine forms of many points, for one inversion. `None` if one is the identity.
    pub(crate) fn affine_all(points: &[Self]) -> Option<Vec<G1Affine>> {
        let affine = Self::batch_raw(points).into_iter().map(G1Affine).collect();
        (!points.iter().any(Self::is_identity)).then_some(affine)
    }
    /// `None` for the identity.
    pub(crate) fn affine(&self) -> Option<G1Affine> {
        if self.is_identity() {
            return None;
        }
        let mut out = G1Affine::default();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p1_to_affine(&raw mut out.0, &raw const self.0) };
        Some(out)
    }
    /// Compressed bytes, also of the identity.
    pub(crate) fn compress(&self) -> [u8; 48] {
        let mut out = [0; 48];
        // SAFETY: reads one point, writes 48 bytes.
        unsafe { blst::blst_p1_compress(out.as_mut_ptr(), &raw const self.0) };
        out
    }
    /// Affine forms of points that are not the identity, for one inversion. The identity comes out as x = y = 0.
    fn batch_raw(points: &[Self]) -> Vec<blst_p1_affine> {
        let mut out = vec![blst_p1_affine::default(); points.len()];
        let list: [*const blst_p1; 2] = [points.as_ptr().cast(), ptr::null()];
        if !points.is_empty() {
            // SAFETY: `G1` is `repr(transparent)`, so the first pointer starts a contiguous
            // array of `len` points, as the null after it says; `out` has room for as many.
            unsafe { blst::blst_p1s_to_affine(out.as_mut_ptr(), list.as_ptr(), points.len()) };
        }
        out
    }
    /// Compressed bytes of many points, for one inversion.
    pub(crate) fn compress_all(points: &[Self]) -> Vec<[u8; 48]> {
        let affine = Self::batch_raw(points);
        affine.into_iter().map(|point| G1Affine(point).compress()).collect()
    }
}

#[cfg(test)]
/// Sum of `scalars[i] * points[i]`, scalars little-endian below 2^255; of as many as both have.
pub(crate) fn msm_255(points: &[G1Affine], scalars: &[[u8; 32]]) -> G1 {
    msm(points, scalars.as_flattened(), points.len().min(scalars.len()), SCALAR_BITS)
}

/// Sum of `scalars[i] * points[i]`, scalars little-endian below 2^128; of as many as both have.
pub(crate) fn msm_128(points: &[G1Affine], scalars: &[[u8; 16]]) -> G1 {
    msm(points, scalars.as_flattened(), points.len().min(scalars.len()), 128)
}

fn msm(points: &[G1Affine], scalars: &[u8], count: usize, bits: usize) -> G1 {
    let mut out = G1::identity();
    if count == 0 || points.len() < count || scalars.len() < count.saturating_mul(bits.div_ceil(8)) {
        return out;
    }
    // SAFETY: a pure function of a number.
    let scratch_bytes = unsafe { blst::blst_p1s_mult_pippenger_scratch_sizeof(count) };
    let mut scratch: Vec<limb_t> = vec![0; scratch_bytes.div_ceil(size_of::<limb_t>())];
    let point_list: [*const blst_p1_affine; 2] = [points.as_ptr().cast(), ptr::null()];
    let scalar_list: [*const u8; 2] = [scalars.as_ptr(), ptr::null()];
    // SAFETY: contiguous arrays (`G1Affine` is `repr(transparent)`), as the nulls say, of `count` points and of `count` scalars of ceil(bits / 8) bytes,
    // which was just checked; scratch has the size that the library asks for; writes one point.
    unsafe {
        blst::blst_p1s_mult_pippenger(
            &raw mut out.0,
            point_list.as_ptr(),
            count,
            scalar_list.as_ptr(),
            bits,
            scratch.as_mut_ptr(),
        );
    }
    out
}

/// A point of the curve of G2: not the identity, x != 0, perhaps outside the subgroup.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct G2Affine(blst_p2_affine);

impl G2Affine {
    pub(crate) fn generator() -> Self {
        // SAFETY: points to a constant of the library.
        Self(unsafe { *blst::blst_p2_affine_generator() })
    }
    /// Canonical compressed bytes of a point that is on the curve, not the identity and has x != 0.
    pub(crate) fn uncompress(bytes: &[u8; 96]) -> Option<Self> {
        let mut out = blst_p2_affine::default();
        // SAFETY: reads 96 bytes, writes one point.
        let verdict = unsafe { blst::blst_p2_uncompress(&raw mut out, bytes.as_ptr()) };
        let compressed = bytes.first().is_some_and(|first| first & COMPRESSED_FLAG != 0);
        let refused = verdict != BLST_ERROR::BLST_SUCCESS || !compressed || out.x == Default::default();
        (!refused).then_some(Self(out))
    }
    pub(crate) fn compress(&self) -> [u8; 96] {
        let mut out = [0; 96];
        // SAFETY: reads one point, writes 96 bytes.
        unsafe { blst::blst_p2_affine_compress(out.as_mut_ptr(), &raw const self.0) };
        out
    }
    /// In the subgroup of prime order.
    pub(crate) fn in_group(&self) -> bool {
        // SAFETY: reads one point.
        unsafe { blst::blst_p2_affine_in_g2(&raw const self.0) }
    }
    pub(crate) fn point(&self) -> G2 {
        let mut out = G2::identity();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p2_from_affine(&raw mut out.0, &raw const self.0) };
        out
    }
}

/// A point of the curve of G2, or the identity.
#[derive(Clone, Copy, Default)]
pub(crate) struct G2(blst_p2);

impl G2 {
    pub(crate) fn identity() -> Self {
        Self::default()
    }
    /// hash_to_curve of RFC 9380, suite `BLS12381G2_XMD:SHA-256_SSWU_RO_`.
    pub(crate) fn hash(message: &[u8], dst: &[u8]) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads `message` and `dst` by their lengths and no augmentation; writes one point.
        unsafe {
            blst::blst_hash_to_g2(
                &raw mut out.0,
                message.as_ptr(),
                message.len(),
                dst.as_ptr(),
                dst.len(),
                ptr::null(),
                0,
            );
        }
        out
    }
    /// The sum, also of equal points.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads two points, writes one.
        unsafe { blst::blst_p2_add_or_double(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    pub(crate) fn double(&self) -> Self {
        let mut out = Self::identity();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p2_double(&raw mut out.0, &raw const self.0) };
        out
    }
    pub(crate) fn neg(&self) -> Self {
        let mut out = *self;
        // SAFETY: reads and writes one point.
        unsafe { blst::blst_p2_cneg(&raw mut out.0, true) };
        out
    }
    /// Product with a scalar, in constant time. The scalar product only for points of the subgroup.
    pub(crate) fn mul(&self, scalar: &Fr) -> Self {
        let (mut out, scalar) = (Self::identity(), scalar.scalar());
        // SAFETY: reads one point and 32 bytes of scalar, writes one point.
        unsafe { blst::blst_p2_mult(&raw mut out.0, &raw const self.0, scalar.b.as_ptr(), SCALAR_BITS) };
        out
    }
    /// `None` for the identity.
    pub(crate) fn affine(&self) -> Option<G2Affine> {
        // SAFETY: reads one point.
        if unsafe { blst::blst_p2_is_inf(&raw const self.0) } {
            return None;
        }
        let mut out = G2Affine::default();
        // SAFETY: reads one point, writes one.
        unsafe { blst::blst_p2_to_affine(&raw mut out.0, &raw const self.0) };
        Some(out)
    }
}

/// Sum of `scalars[i] * points[i]` in G2, scalars little-endian below 2^255; of as many as both have.
pub(crate) fn msm_g2(points: &[G2Affine], scalars: &[[u8; 32]]) -> G2 {
    let (mut out, count) = (G2::identity(), points.len().min(scalars.len()));
    if count == 0 {
        return out;
    }
    // SAFETY: a pure function of a number.
    let scratch_bytes = unsafe { blst::blst_p2s_mult_pippenger_scratch_sizeof(count) };
    let mut scratch: Vec<limb_t> = vec![0; scratch_bytes.div_ceil(size_of::<limb_t>())];
    let point_list: [*const blst_p2_affine; 2] = [points.as_ptr().cast(), ptr::null()];
    let scalar_list: [*const u8; 2] = [scalars.as_ptr().cast(), ptr::null()];
    // SAFETY: contiguous arrays (`G2Affine` is `repr(transparent)`), as the nulls say, of at least `count` points and of
    // `count` scalars of 32 bytes; scratch has the size that the library asks for; writes one point.
    unsafe {
        blst::blst_p2s_mult_pippenger(
            &raw mut out.0,
            point_list.as_ptr(),
            count,
            scalar_list.as_ptr(),
            SCALAR_BITS,
            scratch.as_mut_ptr(),
        );
    }
    out
}

/// e(a, b) = e(c, d), where a and c may be the identity. All in their subgroups, which the caller has checked.
pub(crate) fn pairings_equal(a: &G1, b: &G2Affine, c: &G1, d: &G2Affine) -> bool {
    match (a.affine(), c.affine()) {
        (None, None) => true,
        (Some(a), Some(c)) => {
            let (left, right) = (miller_loop(&a, b), miller_loop(&c, d));
            // SAFETY: reads two field elements.
            unsafe { blst::blst_fp12_finalverify(&raw const left, &raw const right) }
        }
        // e(P, Q) = 1 only if P or Q is the identity, and Q never is.
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn miller_loop(p: &G1Affine, q: &G2Affine) -> blst_fp12 {
    let mut out = blst_fp12::default();
    // SAFETY: reads one point of each curve, writes one field element.
    unsafe { blst::blst_miller_loop(&raw mut out, &raw const q.0, &raw const p.0) };
    out
}

#[cfg(test)]
pub(crate) mod tests;
