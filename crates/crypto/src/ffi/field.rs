//! The field of G1's coordinates, for arithmetic over many points at once ([`crate::lanes`]). All of it in constant
//! time.
use super::G1Affine;
use blst::{blst_fp, blst_p1_affine};
use subtle::{Choice, ConditionallySelectable};
use zeroize::DefaultIsZeroes;

/// An element modulo p, in Montgomery form.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Fp(blst_fp);

impl DefaultIsZeroes for Fp {}

/// A primitive cube root of one: (x, y) -> (beta x, y) multiplies points of the subgroup by -Z^2 (a test compares).
const BETA: [u8; 48] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5f, 0x19, 0x67, 0x2f, 0xdf, 0x76, 0xce, 0x51, 0xba, 0x69, 0xc6,
    0x07, 0x6a, 0x0f, 0x77, 0xea, 0xdd, 0xb3, 0xa9, 0x3b, 0xe6, 0xf8, 0x96, 0x88, 0xde, 0x17, 0xd8, 0x13, 0x62, 0x0a,
    0x00, 0x02, 0x2e, 0x01, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xfe,
];

impl Fp {
    pub(crate) fn one() -> Self {
        let mut out = Self::default();
        // SAFETY: reads six limbs, writes one field element.
        unsafe { blst::blst_fp_from_uint64(&raw mut out.0, [1, 0, 0, 0, 0, 0].as_ptr()) };
        out
    }
    pub(super) fn beta() -> Self {
        let mut out = Self::default();
        // SAFETY: reads 48 bytes, writes one field element.
        unsafe { blst::blst_fp_from_bendian(&raw mut out.0, BETA.as_ptr()) };
        out
    }
    pub(super) fn four() -> Self {
        let mut out = Self::default();
        // SAFETY: reads six limbs, writes one field element.
        unsafe { blst::blst_fp_from_uint64(&raw mut out.0, [4, 0, 0, 0, 0, 0].as_ptr()) };
        out
    }
    /// x of a compressed point, flags masked, reduced modulo p.
    pub(super) fn from_flagged(bytes: &[u8; 48]) -> Self {
        let (mut out, mut plain) = (Self::default(), *bytes);
        plain.iter_mut().take(1).for_each(|first| *first &= !super::FLAGS);
        // SAFETY: reads 48 bytes, writes one field element.
        unsafe { blst::blst_fp_from_bendian(&raw mut out.0, plain.as_ptr()) };
        out
    }
    #[inline]
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fp_add(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    #[inline]
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fp_sub(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    #[inline]
    pub(crate) fn mul(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads two field elements, writes one.
        unsafe { blst::blst_fp_mul(&raw mut out.0, &raw const self.0, &raw const other.0) };
        out
    }
    #[inline]
    pub(crate) fn square(&self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one field element, writes one.
        unsafe { blst::blst_fp_sqr(&raw mut out.0, &raw const self.0) };
        out
    }
    #[inline]
    pub(crate) fn triple(&self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one field element, writes one.
        unsafe { blst::blst_fp_mul_by_3(&raw mut out.0, &raw const self.0) };
        out
    }
    /// -self if so chosen.
    #[inline]
    pub(crate) fn negate_if(&self, choice: Choice) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one field element, writes one.
        unsafe { blst::blst_fp_cneg(&raw mut out.0, &raw const self.0, choice.unwrap_u8() == 1) };
        out
    }
    /// 1 / self; zero for zero.
    pub(crate) fn inverse(&self) -> Self {
        let mut out = Self::default();
        // SAFETY: reads one field element, writes one.
        unsafe { blst::blst_fp_inverse(&raw mut out.0, &raw const self.0) };
        out
    }
    pub(crate) fn is_zero(&self) -> bool {
        self.0.l.iter().fold(0, |all, limb| all | limb) == 0
    }
}

impl ConditionallySelectable for Fp {
    #[inline]
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        let mut out = *a;
        out.conditional_assign(b, choice);
        out
    }
    #[inline]
    fn conditional_assign(&mut self, other: &Self, choice: Choice) {
        let mask = u64::from(choice.unwrap_u8()).wrapping_neg();
        for (to, from) in self.0.l.iter_mut().zip(other.0.l) {
            *to ^= (*to ^ from) & mask;
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl super::G1 {
    /// (x / z^2, y / z^3) that the group law gave.
    pub(super) fn from_jacobian(x: Fp, y: Fp, z: Fp) -> Self {
        Self(blst::blst_p1 { x: x.0, y: y.0, z: z.0 })
    }
}

impl G1Affine {
    pub(crate) fn x(&self) -> Fp {
        Fp(self.0.x)
    }
    pub(crate) fn y(&self) -> Fp {
        Fp(self.0.y)
    }
    /// The sum of the points under their masks, of which one is all ones and seven are zero: reads all.
    pub(crate) fn select(points: &[Self; 8], masks: &[u64; 8]) -> Self {
        let mut out = blst_p1_affine::default();
        for (point, mask) in points.iter().zip(masks) {
            let coordinates = [(&mut out.x, &point.0.x), (&mut out.y, &point.0.y)];
            for (to, from) in coordinates.into_iter().flat_map(|(to, from)| to.l.iter_mut().zip(&from.l)) {
                *to |= from & mask;
            }
        }
        Self(out)
    }
    /// Of coordinates that the group law gave.
    pub(crate) fn from_coordinates(x: Fp, y: Fp) -> Self {
        Self(blst_p1_affine { x: x.0, y: y.0 })
    }
    /// -Z^2 times a point of the subgroup; an endomorphism of the whole curve.
    pub(crate) fn endomorphism(&self) -> Self {
        Self::from_coordinates(self.x().mul(&Fp::beta()), self.y())
    }
    pub(crate) fn neg(&self) -> Self {
        Self::from_coordinates(self.x(), self.y().negate_if(Choice::from(1)))
    }
}
