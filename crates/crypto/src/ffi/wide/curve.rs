//! The group law on eight lanes: affine points whose denominators are inverted together, as in [`crate::lanes`].
use super::{
    Wide,
    field::{F8, LANES, load, load_all, mul, mul_add, square, square_add, store, store_all},
};
use crate::{
    ffi::{Fp, G1Affine},
    lanes::{self, Lane},
};
use alloc::{vec, vec::Vec};
use core::mem::{size_of, size_of_val};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// Words of a point.
const STRIDE: i64 = 12;
const _: () = assert!(size_of::<G1Affine>() == 96 && size_of::<Fp>() == 48);
const ALL: u8 = 0xff;
/// (p + 1) / 4, lowest word first.
const ROOT: [u64; 6] = [
    0xee7f_bfff_ffff_eaab,
    0x07aa_ffff_ac54_ffff,
    0xd9cc_34a8_3dac_3d89,
    0xd91d_d2e1_3ce1_44af,
    0x92c6_e9ed_90d2_eb35,
    0x0680_447a_8e5f_f9a6,
];
const ROOT_BITS: usize = 379;
/// Bits of an exponent that are taken together.
const WINDOW: usize = 5;

/// Eight points, or (0, 0).
#[derive(Clone, Copy)]
pub(super) struct P8 {
    pub(super) x: F8,
    pub(super) y: F8,
}

impl P8 {
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn read(points: &[G1Affine; LANES]) -> Self {
        let words: *const u64 = points.as_ptr().cast();
        // SAFETY: eight points of twelve words, x and then y.
        unsafe { Self { x: load(words, STRIDE), y: load(words.wrapping_add(6), STRIDE) } }
    }
    /// For magnitudes below p.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn write(&self) -> [G1Affine; LANES] {
        let mut out = [G1Affine::default(); LANES];
        let words: *mut u64 = out.as_mut_ptr().cast();
        // SAFETY: eight points of twelve words, x and then y, any below p.
        unsafe {
            store(&self.x, words, STRIDE);
            store(&self.y, words.wrapping_add(6), STRIDE);
        }
        out
    }
    /// Lanes whose bit is set are those of `other`.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    fn blend(&self, lanes: u8, other: &Self) -> Self {
        Self { x: self.x.blend(lanes, &other.x), y: self.y.blend(lanes, &other.y) }
    }
    /// The reflected third point of the line of this slope, of weight at most 2, through `self` and a point with the
    /// other x.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(super) fn third(&self, slope: &F8, other_x: &F8) -> Self {
        let x = square_add(slope, &self.x.add(other_x).neg());
        let y = mul_add(slope, &self.x.sub(&x), &self.y.neg());
        Self { x, y }
    }
}

/// Vectors that may hold secrets: wiped on drop.
struct Wiped<T: Copy>(Vec<T>);

impl<T: Copy> Drop for Wiped<T> {
    fn drop(&mut self) {
        let (start, bytes) = (self.0.as_mut_ptr().cast::<u8>(), size_of_val(self.0.as_slice()));
        // SAFETY: the bytes of the vector, which holds doubles alone: zeros are values of them.
        unsafe { core::slice::from_raw_parts_mut(start, bytes) }.zeroize();
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn ones() -> F8 {
    load_all(&[Fp::one(); LANES])
}

/// Each becomes its inverse. `false`, and nothing is changed, if one is zero.
#[target_feature(enable = "avx512f,avx512dq")]
#[must_use]
pub(super) fn invert(values: &mut [F8], products: &mut Vec<F8>) -> bool {
    products.clear();
    let mut product = ones();
    for value in values.iter() {
        products.push(product);
        product = mul(&product, value);
    }
    let mut inverses = Zeroizing::new(store_all(&product));
    if !lanes::invert_all(&mut *inverses, &mut Vec::with_capacity(LANES)) {
        return false;
    }
    let mut inverse = load_all(&inverses);
    for (value, before) in values.iter_mut().zip(products.iter()).rev() {
        let own = mul(&inverse, before);
        inverse = mul(&inverse, value);
        *value = own;
    }
    true
}

/// Bits of the lanes that are zero; for magnitudes below p.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn zeros(value: &F8) -> u8 {
    bits(&store_all(value).map(|lane| lane.is_zero()))
}

fn bits(lanes: &[bool; LANES]) -> u8 {
    lanes.iter().rev().fold(0, |bits, lane| bits << 1 | u8::from(*lane))
}

pub(super) fn has(bits: u8, lane: usize) -> bool {
    bits.checked_shr(u32::try_from(lane).unwrap_or(u32::MAX)).is_some_and(|bits| bits & 1 == 1)
}

/// Public sums, one per lane.
pub(crate) struct Running {
    wide: Wide,
    count: usize,
    at: Vec<P8>,
    with: Vec<P8>,
    /// Of each eight: which are points, and which are lost.
    points: Vec<u8>,
    lost: Vec<u8>,
    active: Vec<u8>,
    denominators: Vec<F8>,
    products: Vec<F8>,
}

impl Running {
    pub(crate) fn new(wide: Wide, count: usize) -> Self {
        let eights = count.div_ceil(LANES);
        // SAFETY: `wide` says that the features are there.
        let zero = unsafe { F8::zero() };
        Self {
            wide,
            count,
            at: vec![P8 { x: zero, y: zero }; eights],
            with: vec![P8 { x: zero, y: zero }; eights],
            points: vec![0; eights],
            lost: vec![0; eights],
            active: vec![0; eights],
            denominators: vec![zero; eights],
            products: Vec::with_capacity(eights),
        }
    }
    /// `with(lane)` is added; `None` leaves the lane as it is.
    pub(crate) fn add(&mut self, with: &[Option<G1Affine>]) {
        let of = |lane: usize| with.get(lane)?.as_ref().map(|point| (point, false));
        self.add_signed(of);
    }
    /// As [`Self::add`], of a point that is kept elsewhere, or its opposite.
    pub(crate) fn add_signed<'a>(&mut self, with: impl Fn(usize) -> Option<(&'a G1Affine, bool)>) {
        let Self { wide: Wide(()), .. } = self;
        // SAFETY: `wide` says that the features are there.
        unsafe { self.add_here(with) }
    }
    pub(crate) fn double(&mut self) {
        // SAFETY: `wide` says that the features are there.
        unsafe { self.double_here() }
    }
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        // SAFETY: `wide` says that the features are there.
        unsafe { self.lanes_here() }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn add_here<'a>(&mut self, with: impl Fn(usize) -> Option<(&'a G1Affine, bool)>) {
        let (one, count) = (ones(), self.count);
        let mut taken = Vec::with_capacity(self.at.len());
        for (eight, start) in (0..count).step_by(LANES).enumerate() {
            let (mut points, mut some, mut minus) = ([G1Affine::default(); LANES], 0u8, 0u8);
            for ((bit, to), lane) in (0u8..).zip(&mut points).zip(start..count) {
                let Some((point, negative)) = with(lane) else { continue };
                *to = *point;
                some |= 1u8.wrapping_shl(bit.into());
                minus |= u8::from(negative).wrapping_shl(bit.into());
            }
            let mut with = P8::read(&points);
            with.y = with.y.blend(minus, &with.y.neg());
            let places = self.at.get(eight).zip(self.points.get(eight)).zip(self.lost.get(eight));
            let Some(((at, is_point), lost)) = places else { continue };
            let active = is_point & some;
            taken.push(!is_point & !lost & some);
            let difference = with.x.sub(&at.x);
            let denominator = if active == ALL { difference } else { one.blend(active, &difference) };
            self.with.iter_mut().skip(eight).take(1).for_each(|to| *to = with);
            self.active.iter_mut().skip(eight).take(1).for_each(|to| *to = active);
            self.denominators.iter_mut().skip(eight).take(1).for_each(|to| *to = denominator);
        }
        self.invert_rest();
        let lanes = self.at.iter_mut().zip(&self.with).zip(&self.denominators);
        let marks = self.points.iter_mut().zip(&self.active).zip(taken);
        for (((at, with), inverse), ((points, active), taken)) in lanes.zip(marks) {
            let slope = mul(&with.y.sub(&at.y), inverse);
            let sum = at.third(&slope, &with.x);
            *at = match (*active, taken) {
                (ALL, _) => sum,
                (active, taken) => at.blend(active, &sum).blend(taken, with),
            };
            *points |= taken;
        }
    }

    /// Inverts; where that cannot be, the lane is lost.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn invert_rest(&mut self) {
        if invert(&mut self.denominators, &mut self.products) {
            return;
        }
        let one = ones();
        let marks = self.points.iter_mut().zip(&mut self.lost).zip(&mut self.active);
        for (denominator, ((points, lost), active)) in self.denominators.iter_mut().zip(marks) {
            // to magnitude below p
            let zero = zeros(&mul(denominator, &one));
            *lost |= zero;
            *points &= !zero;
            *active &= !zero;
            *denominator = denominator.blend(zero, &one);
        }
        let _now = invert(&mut self.denominators, &mut self.products);
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn double_here(&mut self) {
        let one = ones();
        self.active.clone_from(&self.points);
        let places = self.denominators.iter_mut().zip(&self.at).zip(&self.active);
        // y is never zero: the curve has no points of order 2.
        places.for_each(|((to, at), active)| *to = one.blend(*active, &at.y.add(&at.y)));
        self.invert_rest();
        for ((at, inverse), active) in self.at.iter_mut().zip(&self.denominators).zip(&self.active) {
            let slope = mul(&square(&at.x).triple(), inverse);
            let sum = at.third(&slope, &at.x);
            *at = if *active == ALL { sum } else { at.blend(*active, &sum) };
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn lanes_here(&self) -> Vec<Lane> {
        let mut out = Vec::with_capacity(self.count);
        for ((at, points), lost) in self.at.iter().zip(&self.points).zip(&self.lost) {
            for (lane, point) in at.write().into_iter().enumerate() {
                out.push(match (has(*lost, lane), has(*points, lane)) {
                    (true, _) => Lane::Lost,
                    (false, true) => Lane::Point(point),
                    (false, false) => Lane::Identity,
                });
            }
        }
        out.truncate(self.count);
        out
    }
}

/// Sums of pairs of points with different x.
pub(crate) struct Chords;

impl Chords {
    /// `None` if a pair has the same x.
    pub(crate) fn sums(_wide: Wide, pairs: &[(G1Affine, G1Affine)]) -> Option<Vec<G1Affine>> {
        // SAFETY: `wide` says that the features are there.
        unsafe { chords(pairs) }
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn chords(pairs: &[(G1Affine, G1Affine)]) -> Option<Vec<G1Affine>> {
    let one = ones();
    let (mut points, mut denominators) = (Vec::new(), Vec::new());
    for some in pairs.chunks(LANES) {
        let (mut a, mut b, mut there) = ([G1Affine::default(); LANES], [G1Affine::default(); LANES], [false; LANES]);
        for (((a, b), there), pair) in a.iter_mut().zip(&mut b).zip(&mut there).zip(some) {
            (*a, *b) = *pair;
            *there = true;
        }
        let (a, b) = (P8::read(&a), P8::read(&b));
        denominators.push(one.blend(bits(&there), &b.x.sub(&a.x)));
        points.push((a, b));
    }
    let mut products = Vec::with_capacity(denominators.len());
    if !invert(&mut denominators, &mut products) {
        return None;
    }
    let mut out = Vec::with_capacity(pairs.len().next_multiple_of(LANES));
    for ((a, b), inverse) in points.iter().zip(&denominators) {
        let slope = mul(&b.y.sub(&a.y), inverse);
        out.extend_from_slice(&a.third(&slope, &b.x).write());
    }
    out.truncate(pairs.len());
    Some(out)
}

/// A secret product of many points, in constant time: [`crate::lanes`] says how the scalar is walked.
pub(crate) struct Walk<'a> {
    /// From the first step to the last: sign (1: minus), and which of the eight sums.
    pub(crate) steps: &'a [(u8, u8)],
    /// First steps that double and add apart.
    pub(crate) careful: usize,
    /// The result is the opposite.
    pub(crate) negative: Choice,
}

impl Walk<'_> {
    /// Of points with their Z-folds. `None` if two points met that have no chord.
    pub(crate) fn products(&self, _wide: Wide, points: &[(G1Affine, G1Affine)]) -> Option<Zeroizing<Vec<G1Affine>>> {
        // SAFETY: `wide` says that the features are there.
        unsafe { self.walked(points) }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn walked(&self, points: &[(G1Affine, G1Affine)]) -> Option<Zeroizing<Vec<G1Affine>>> {
        let (first, rest) = self.steps.split_first()?;
        let (sums, mut walker) = sums_of_powers(points)?;
        for (at, sums) in walker.at.0.iter_mut().zip(&sums) {
            *at = select(sums, first.1);
        }
        for (at, (minus, which)) in rest.iter().enumerate() {
            let minus = mask(Choice::from(*minus));
            for (with, sums) in walker.with.0.iter_mut().zip(&sums) {
                let sum = select(sums, *which);
                *with = P8 { x: sum.x, y: sum.y.blend(minus, &sum.y.neg()) };
            }
            if at < self.careful {
                walker.double()?;
                walker.add()?;
            } else {
                walker.double_add()?;
            }
        }
        let negative = mask(self.negative);
        let mut out = Zeroizing::new(Vec::with_capacity(points.len().next_multiple_of(LANES)));
        for at in &walker.at.0 {
            let at = P8 { x: at.x, y: at.y.blend(negative, &at.y.neg()) };
            out.extend_from_slice(&*Zeroizing::new(at.write()));
        }
        out.truncate(points.len());
        Some(out)
    }
}

fn mask(choice: Choice) -> u8 {
    u8::conditional_select(&0, &ALL, choice)
}

/// One of eight, of which all are read.
#[target_feature(enable = "avx512f,avx512dq")]
fn select(sums: &[P8; 8], which: u8) -> P8 {
    let mut out = P8 { x: F8::zero(), y: F8::zero() };
    for (at, sum) in (0u8..).zip(sums) {
        out = out.blend(mask(at.ct_eq(&which)), sum);
    }
    out
}

/// Per point u its sums with any of Z u, Z^2 u, Z^3 u, and a walker with room for as many.
#[target_feature(enable = "avx512f,avx512dq")]
fn sums_of_powers(points: &[(G1Affine, G1Affine)]) -> Option<(Vec<[P8; 8]>, Walker)> {
    let beta = load_all(&[Fp::beta(); LANES]);
    let (mut out, mut powers) = (Vec::new(), Vec::new());
    for some in points.chunks(LANES) {
        // The last eight are filled up with one of them.
        let filler = some.first()?;
        let (mut u, mut zu) = ([filler.0; LANES], [filler.1; LANES]);
        for ((u, zu), pair) in u.iter_mut().zip(&mut zu).zip(some) {
            (*u, *zu) = *pair;
        }
        let (u, zu) = (P8::read(&u), P8::read(&zu));
        let twice = |p: &P8| P8 { x: mul(&p.x, &beta), y: p.y.neg() };
        powers.push([zu, twice(&u), twice(&zu)]);
        out.push([u; 8]);
    }
    let mut walker = Walker::new(out.len());
    for to in 1..8usize {
        // the sum without its highest power, and that power
        let high = to.ilog2();
        let from = to & !1usize.checked_shl(high)?;
        let high = usize::try_from(high).ok()?;
        for ((at, with), (sums, powers)) in walker.at.0.iter_mut().zip(&mut walker.with.0).zip(out.iter().zip(&powers))
        {
            (*at, *with) = (*sums.get(from)?, *powers.get(high)?);
        }
        walker.add()?;
        for (sums, at) in out.iter_mut().zip(&walker.at.0) {
            *sums.get_mut(to)? = *at;
        }
    }
    Some((out, walker))
}

/// Running points of a secret walk. A step that would divide by zero is `None`.
struct Walker {
    at: Wiped<P8>,
    with: Wiped<P8>,
    slopes: Wiped<F8>,
    denominators: Wiped<F8>,
    products: Wiped<F8>,
}

impl Walker {
    #[target_feature(enable = "avx512f,avx512dq")]
    fn new(eights: usize) -> Self {
        let zero = F8::zero();
        let (points, elements) = (vec![P8 { x: zero, y: zero }; eights], vec![zero; eights]);
        Self {
            at: Wiped(points.clone()),
            with: Wiped(points),
            slopes: Wiped(elements.clone()),
            denominators: Wiped(elements.clone()),
            products: Wiped(elements),
        }
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    fn invert(&mut self) -> Option<()> {
        invert(&mut self.denominators.0, &mut self.products.0).then_some(())
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    fn double(&mut self) -> Option<()> {
        self.denominators.0.iter_mut().zip(&self.at.0).for_each(|(to, q)| *to = q.y.add(&q.y));
        self.invert()?;
        for (q, inverse) in self.at.0.iter_mut().zip(&self.denominators.0) {
            *q = q.third(&mul(&square(&q.x).triple(), inverse), &q.x);
        }
        Some(())
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    fn add(&mut self) -> Option<()> {
        let pairs = self.at.0.iter().zip(&self.with.0);
        self.denominators.0.iter_mut().zip(pairs).for_each(|(to, (q, t))| *to = t.x.sub(&q.x));
        self.invert()?;
        for ((q, t), inverse) in self.at.0.iter_mut().zip(&self.with.0).zip(&self.denominators.0) {
            *q = q.third(&mul(&t.y.sub(&q.y), inverse), &t.x);
        }
        Some(())
    }
    /// 2Q + T as (Q + T) + Q, of which the first sum's y is not needed.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn double_add(&mut self) -> Option<()> {
        let pairs = self.at.0.iter().zip(&self.with.0);
        self.denominators.0.iter_mut().zip(pairs).for_each(|(to, (q, t))| *to = t.x.sub(&q.x));
        self.invert()?;
        let lanes = self.at.0.iter().zip(&mut self.with.0).zip(&mut self.denominators.0);
        for (((q, t), inverse), slope) in lanes.zip(&mut self.slopes.0) {
            *slope = mul(&t.y.sub(&q.y), inverse);
            t.x = square_add(slope, &q.x.add(&t.x).neg());
            *inverse = t.x.sub(&q.x);
        }
        self.invert()?;
        let lanes = self.at.0.iter_mut().zip(&self.with.0).zip(&self.denominators.0);
        for (((q, t), inverse), slope) in lanes.zip(&self.slopes.0) {
            let tangent = mul(&q.y.add(&q.y), inverse);
            *q = q.third(&slope.add(&tangent).neg(), &t.x);
        }
        Some(())
    }
}

/// (X / Z^2, Y / Z^3).
#[derive(Clone, Copy)]
pub(super) struct Jacobian {
    pub(super) x: F8,
    pub(super) y: F8,
    pub(super) z: F8,
}

impl Jacobian {
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn of(point: &P8) -> Self {
        Self { x: point.x, y: point.y, z: ones() }
    }
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn double(&self) -> Self {
        let two_b = {
            let b = square(&self.y);
            b.add(&b)
        };
        let d = mul(&self.x.add(&self.x), &two_b);
        let four_b2 = square(&two_b);
        let e = square(&self.x).triple();
        let x = square_add(&e, &d.add(&d).neg());
        let y = mul_add(&e, &d.sub(&x), &four_b2.add(&four_b2).neg());
        Self { x, y, z: mul(&self.y.add(&self.y), &self.z) }
    }
    /// With a point of another x: for the same, z becomes zero, and stays so.
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn add(&self, other: &P8) -> Self {
        let zz = square(&self.z);
        let h = mul(&other.x, &zz).sub(&self.x);
        let r = mul(&other.y, &mul(&self.z, &zz)).sub(&self.y);
        let hh = square(&h);
        let (hhh, v) = (mul(&h, &hh), mul(&self.x, &hh));
        let x = square_add(&r, &hhh.add(&v).add(&v).neg());
        let y = mul_add(&r, &v.sub(&x), &mul(&self.y, &hhh).neg());
        Self { x, y, z: mul(&self.z, &h) }
    }
    /// Z times a point: 63 doublings and 5 additions.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn times_z(point: &P8) -> Self {
        let mut out = Self::of(point);
        for bit in (0..63).rev() {
            out = out.double();
            if lanes::Z >> bit & 1 == 1 {
                out = out.add(point);
            }
        }
        out
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn times_z_in_group(points: &[G1Affine]) -> Vec<Option<Option<G1Affine>>> {
    let (one, beta) = (ones(), load_all(&[Fp::beta(); LANES]));
    let mut eights: Vec<(P8, Jacobian, u8)> = Vec::new();
    for some in points.chunks(LANES) {
        let Some(filler) = some.first() else { continue };
        let mut eight = [*filler; LANES];
        eight.iter_mut().zip(some).for_each(|(to, from)| *to = *from);
        let point = P8::read(&eight);
        let mut once = Jacobian::times_z(&point);
        let lost = zeros(&once.z);
        once.z = once.z.blend(lost, &one);
        eights.push((point, once, lost));
    }
    let mut inverses: Vec<F8> = eights.iter().map(|(_, once, _)| once.z).collect();
    let whole = invert(&mut inverses, &mut Vec::new());
    let mut out = Vec::with_capacity(points.len().next_multiple_of(LANES));
    for ((point, once, lost), inverse) in eights.iter().zip(&inverses) {
        let squared = square(inverse);
        let once = P8 { x: mul(&once.x, &squared), y: mul(&once.y, &mul(&squared, inverse)) };
        let twice = Jacobian::times_z(&once);
        // Z^2 U = (beta x, -y)
        let zz = square(&twice.z);
        let same_x = mul_add(&mul(&point.x, &beta), &zz, &twice.x.neg());
        let same_y = mul_add(&point.y, &mul(&zz, &twice.z), &twice.y);
        let inside = zeros(&same_x) & zeros(&same_y);
        let unknown = lost | zeros(&twice.z);
        for (lane, zu) in once.write().into_iter().enumerate() {
            let known = whole && !has(unknown, lane);
            out.push(known.then(|| has(inside, lane).then_some(zu)));
        }
    }
    out.truncate(points.len());
    out
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn square_roots(values: &[Fp]) -> Vec<Fp> {
    let mut out = Vec::with_capacity(values.len().next_multiple_of(LANES));
    for some in values.chunks(LANES) {
        let mut eight = [Fp::default(); LANES];
        eight.iter_mut().zip(some).for_each(|(to, from)| *to = *from);
        out.extend_from_slice(&store_all(&root(&load_all(&eight))));
    }
    out.truncate(values.len());
    out
}

/// Sliding windows over [`ROOT`].
#[target_feature(enable = "avx512f,avx512dq")]
fn root(value: &F8) -> F8 {
    let set = |bit: usize| {
        ROOT.get(bit >> 6)
            .is_some_and(|word| word.checked_shr(u32::try_from(bit & 63).unwrap_or(0)).unwrap_or(0) & 1 == 1)
    };
    // value^1, value^3, ..
    let squared = square(value);
    let mut odd = vec![*value];
    for _ in 1..1usize << (WINDOW - 1) {
        odd.extend(odd.last().map(|last| mul(last, &squared)));
    }
    let (mut out, mut rest) = (ones(), ROOT_BITS);
    while let Some(high) = rest.checked_sub(1) {
        if !set(high) {
            out = square(&out);
            rest = high;
            continue;
        }
        let low = (high.saturating_sub(WINDOW - 1)..=high).find(|bit| set(*bit)).unwrap_or(high);
        let power = (low..=high).rev().fold(0usize, |power, bit| power << 1 | usize::from(set(bit)));
        for _ in low..=high {
            out = square(&out);
        }
        if let Some(power) = odd.get(power >> 1) {
            out = mul(&out, power);
        }
        rest = low;
    }
    out
}
