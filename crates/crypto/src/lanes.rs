//! The group law of G1 on many points at once, in affine coordinates: the denominators of a step are inverted together
//! (Montgomery's trick), so that an addition costs six products in the field where a Jacobian one costs eleven to
//! sixteen.
//!
//! The formulas for chords and tangents do not cover a chord through equal or opposite points. A lane that meets one is
//! lost, and its owner computes it the plain way. In [`times_secret`] that happens with negligible probability.
use crate::ffi::{self, Chords, EIGHT, Fp, Fr, G1, G1Affine, Running, Wide, msm_128};
use alloc::{vec, vec::Vec};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// Lanes that go through a step together: an inversion is shared by so many, and their points stay in the cache.
const TOGETHER: usize = 256;
/// Below this many points an inversion a step costs more than it saves.
pub(crate) const WORTHWHILE: usize = 12;
/// First steps of a secret walk, in which the running point may be small enough to be the one that is added. After it
/// only the scalars with 32 leading zeros in a_0 can meet that; they go the plain way.
const CAREFUL: usize = 32;
/// Bits of a digit to the base Z.
const Z_BITS: usize = 64;
/// -z of the curve: r = Z^4 - Z^2 + 1, and Z^2 P = -phi(P).
pub(crate) const Z: u64 = 0xd201_0000_0001_0000;

/// Where a running sum stands.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    Identity,
    Point(G1Affine),
    Lost,
}

/// Running sums, one per lane: eight at a time where the machine can.
enum Sums {
    Eights(Running),
    Ones(Lanes),
}

impl Sums {
    fn new(count: usize) -> Self {
        match Wide::get() {
            Some(wide) => Self::Eights(Running::new(wide, count)),
            None => Self::Ones(Lanes::new(vec![Lane::Identity; count])),
        }
    }
    fn add(&mut self, with: &[Option<G1Affine>]) {
        match self {
            Self::Eights(sums) => sums.add(with),
            Self::Ones(sums) => sums.add(with),
        }
    }
    /// As [`Self::add`], of points that are kept elsewhere, or their opposites.
    fn add_signed<'a>(&mut self, count: usize, with: impl Fn(usize) -> Option<(&'a G1Affine, bool)>) {
        match self {
            Self::Eights(sums) => sums.add_signed(with),
            Self::Ones(sums) => {
                let signed = |(point, negative): (&G1Affine, bool)| if negative { point.neg() } else { *point };
                let with: Vec<Option<G1Affine>> = (0..count).map(|lane| with(lane).map(signed)).collect();
                sums.add(&with);
            }
        }
    }
    fn double(&mut self) {
        match self {
            Self::Eights(sums) => sums.double(),
            Self::Ones(sums) => sums.double(),
        }
    }
    fn lanes(&self) -> Vec<Lane> {
        match self {
            Self::Eights(sums) => sums.lanes(),
            Self::Ones(sums) => sums.at.clone(),
        }
    }
    fn results(&self) -> Vec<Option<G1>> {
        self.lanes().iter().map(result).collect()
    }
}

/// Running sums, the portable way.
struct Lanes {
    at: Vec<Lane>,
    denominators: Vec<Fp>,
    products: Vec<Fp>,
}

impl Lanes {
    fn new(at: Vec<Lane>) -> Self {
        let room = at.len();
        Self { at, denominators: Vec::with_capacity(room), products: Vec::with_capacity(room) }
    }

    /// `with(lane)` is added; `None` leaves the lane as it is.
    fn add(&mut self, with: &[Option<G1Affine>]) {
        let one = Fp::one();
        self.denominators.clear();
        for (lane, with) in self.at.iter_mut().zip(with) {
            let denominator = match (&lane, with) {
                (Lane::Point(at), Some(with)) => with.x().sub(&at.x()),
                _ => one,
            };
            if denominator.is_zero() {
                *lane = Lane::Lost;
            }
            self.denominators.push(if denominator.is_zero() { one } else { denominator });
        }
        let _whole = invert_all(&mut self.denominators, &mut self.products);
        for ((lane, with), inverse) in self.at.iter_mut().zip(with).zip(&self.denominators) {
            match (&lane, with) {
                (Lane::Point(at), Some(with)) => {
                    let slope = with.y().sub(&at.y()).mul(inverse);
                    *lane = Lane::Point(third(&slope, at, &with.x()));
                }
                (Lane::Identity, Some(with)) => *lane = Lane::Point(*with),
                _ => {}
            }
        }
    }

    fn double(&mut self) {
        self.denominators.clear();
        let denominator = |lane: &Lane| match lane {
            // y is never zero: the curve has no points of order 2.
            Lane::Point(at) => at.y().add(&at.y()),
            Lane::Identity | Lane::Lost => Fp::one(),
        };
        self.denominators.extend(self.at.iter().map(denominator));
        let _whole = invert_all(&mut self.denominators, &mut self.products);
        for (lane, inverse) in self.at.iter_mut().zip(&self.denominators) {
            if let Lane::Point(at) = lane {
                let slope = at.x().square().triple().mul(inverse);
                *lane = Lane::Point(third(&slope, at, &at.x()));
            }
        }
    }
}

/// The reflected third point of the line of this slope through `a` and a point with the other x.
fn third(slope: &Fp, a: &G1Affine, other_x: &Fp) -> G1Affine {
    let x = slope.square().sub(&a.x()).sub(other_x);
    let y = slope.mul(&a.x().sub(&x)).sub(&a.y());
    G1Affine::from_coordinates(x, y)
}

/// Each of the values becomes its inverse. `false`, and no inverses, if one is zero.
#[must_use]
pub(crate) fn invert_all(values: &mut [Fp], products: &mut Vec<Fp>) -> bool {
    products.clear();
    let mut product = Fp::one();
    for value in values.iter() {
        products.push(product);
        product = product.mul(value);
    }
    let whole = !product.is_zero();
    let mut inverse = product.inverse();
    for (value, before) in values.iter_mut().zip(products.iter()).rev() {
        let own = inverse.mul(before);
        inverse = inverse.mul(value);
        *value = own;
    }
    whole
}

/// Sums of table entries, or of their opposites where it says `true`, one list per lane in steps: `entry(step, lane)`.
/// Lost lanes are `None`.
pub(crate) fn sums<'a>(
    steps: usize,
    count: usize,
    entry: impl Fn(usize, usize) -> Option<(&'a G1Affine, bool)>,
) -> Vec<Option<G1>> {
    let mut out = Vec::with_capacity(count);
    let mut start = 0usize;
    while start < count {
        let end = start.saturating_add(TOGETHER).min(count);
        let lanes_here = end.saturating_sub(start);
        let mut lanes = Sums::new(lanes_here);
        for step in 0..steps {
            lanes.add_signed(lanes_here, |lane| entry(step, start.saturating_add(lane)));
        }
        out.extend(lanes.results());
        start = end;
    }
    out
}

impl Lane {
    fn point(&self) -> Option<G1Affine> {
        match self {
            Self::Point(at) => Some(*at),
            Self::Identity | Self::Lost => None,
        }
    }
}

fn result(lane: &Lane) -> Option<G1> {
    match lane {
        Lane::Identity => Some(G1::identity()),
        Lane::Point(at) => Some(at.point()),
        Lane::Lost => None,
    }
}

/// For each lane the sum over j of a small signed weight times `point(j, lane)`. Lost lanes are `None`.
pub(crate) fn weighted(
    weights: &[(bool, u128)],
    count: usize,
    point: impl Fn(usize, usize) -> Option<G1Affine>,
) -> Vec<Option<G1>> {
    let digits: Vec<Vec<i8>> = weights.iter().map(|(negative, weight)| non_adjacent(*negative, *weight)).collect();
    let length = digits.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = Vec::with_capacity(count);
    let mut start = 0usize;
    while start < count {
        let end = start.saturating_add(TOGETHER).min(count);
        let mut lanes = Sums::new(end.saturating_sub(start));
        let mut with = Vec::with_capacity(TOGETHER);
        for bit in (0..length).rev() {
            lanes.double();
            for (j, digits) in digits.iter().enumerate() {
                let digit = digits.get(bit).copied().unwrap_or(0);
                if digit != 0 {
                    let signed = |point: G1Affine| if digit < 0 { point.neg() } else { point };
                    with.clear();
                    with.extend((start..end).map(|lane| point(j, lane).map(signed)));
                    lanes.add(&with);
                }
            }
        }
        out.extend(lanes.results());
        start = end;
    }
    out
}

/// Digits -1, 0, 1, lowest first, no two neighbours of them both not zero.
fn non_adjacent(negative: bool, weight: u128) -> Vec<i8> {
    let (mut rest, mut out) = (weight, Vec::new());
    while rest != 0 {
        let digit = match rest & 3 {
            1 => 1i8,
            3 => -1,
            _ => 0,
        };
        rest = match digit {
            1 => rest.wrapping_sub(1),
            // weights have at most 126 bits
            -1 => rest.wrapping_add(1),
            _ => rest,
        } >> 1;
        out.push(if negative { digit.wrapping_neg() } else { digit });
    }
    out
}

/// A secret scalar in the form in which [`times_secret`] walks it: four numbers a_i below 2^64 with
/// x = +-(a_0 + a_1 Z + a_2 Z^2 + a_3 Z^3) and a_0 odd, as 65 signs and 65 choices of one of eight sums (GLV-SAC:
/// Faz-Hernandez, Longa, Sanchez, "Efficient and Secure Algorithms for GLV-Based Scalar Multiplication", 2014). Which
/// points it has does not depend on the scalar: each step adds one of eight points, never nothing.
struct Walk {
    /// From the first step to the last: sign (1: minus), and which.
    steps: Zeroizing<[(u8, u8); Z_BITS + 1]>,
    negative: Choice,
}

impl Walk {
    fn new(secret: &Fr) -> Self {
        let plain = Zeroizing::new(secret.to_bytes());
        let opposite = Zeroizing::new(secret.neg().to_bytes());
        // r is odd: of x and r - x one is odd, and with it a_0, since Z is even.
        let even = Choice::from(!plain.first().copied().unwrap_or(0) & 1);
        let mut odd = Zeroizing::new([0u8; 32]);
        for ((to, plain), opposite) in odd.iter_mut().zip(plain.iter()).zip(opposite.iter()) {
            *to = u8::conditional_select(plain, opposite, even);
        }
        let mut numbers = Zeroizing::new(digits(&odd));
        let mut steps = Zeroizing::new([(0u8, 0u8); Z_BITS + 1]);
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter_mut().rev().enumerate() {
            let [first, rest @ ..] = &mut *numbers;
            // the sign of 2^at in a_0: minus if bit at + 1 of it is clear
            let minus = u8::from(at != last) & !u8::try_from(*first >> at.saturating_add(1) & 1).unwrap_or(0) & 1;
            let mut which = 0u8;
            for (j, number) in rest.iter_mut().enumerate() {
                let bit = u8::try_from(*number & 1).unwrap_or(0);
                which |= bit << j;
                // a digit of -1 leaves one more to the next place
                *number = (*number >> 1).wrapping_add(u128::from(bit & minus));
            }
            *step = (minus, which);
        }
        Self { steps, negative: even }
    }
}

/// Digits to the base Z, in constant time.
fn digits(scalar: &[u8; 32]) -> [u128; 4] {
    let mut rest = Zeroizing::new([0u64; 4]);
    for (limb, bytes) in rest.iter_mut().zip(scalar.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    let mut out = [0u128; 4];
    for digit in &mut out {
        // long division, a bit at a time
        let mut remainder = 0u128;
        for limb in rest.iter_mut().rev() {
            let mut quotient = 0u64;
            for bit in (0..u64::BITS).rev() {
                remainder = remainder << 1 | u128::from(*limb >> bit & 1);
                let (less, borrow) = remainder.overflowing_sub(Z.into());
                let keep = u128::from(borrow).wrapping_neg();
                remainder = remainder & keep | less & !keep;
                quotient = quotient << 1 | u64::from(!borrow);
            }
            *limb = quotient;
        }
        *digit = remainder;
        remainder.zeroize();
    }
    out
}

/// The secret times each point u of the subgroup, given with z_u = Z u. In constant time in the secret.
pub(crate) fn times_secret(secret: &Fr, points: &[(G1Affine, G1Affine)]) -> Zeroizing<Vec<G1Affine>> {
    let plain = |(u, _): &(G1Affine, G1Affine)| u.mul(secret).affine().unwrap_or_default();
    if points.len() < WORTHWHILE {
        return Zeroizing::new(points.iter().map(plain).collect());
    }
    let walk = Walk::new(secret);
    let mut out = Zeroizing::new(Vec::with_capacity(points.len()));
    for some in points.chunks(TOGETHER) {
        match walk_together(&walk, some) {
            Some(products) => out.extend_from_slice(&products),
            None => out.extend(some.iter().map(plain)),
        }
    }
    out
}

/// Eight points per lane: u plus any of Z u, Z^2 u, Z^3 u. `None` if a lane is lost.
fn sums_of_powers(points: &[(G1Affine, G1Affine)]) -> Option<Vec<[G1Affine; 8]>> {
    let mut out: Vec<[G1Affine; 8]> = points.iter().map(|(u, _)| [*u; 8]).collect();
    let powers: Vec<[G1Affine; 3]> =
        points.iter().map(|(u, zu)| [*zu, u.endomorphism().neg(), zu.endomorphism().neg()]).collect();
    for to in 1..8usize {
        // the sum without its highest power, and that power
        let high = to.ilog2();
        let from = to & !1usize.checked_shl(high)?;
        let start = out.iter().map(|sums| sums.get(from).copied().map(Lane::Point)).collect::<Option<Vec<_>>>()?;
        let mut lanes = Lanes::new(start);
        let with: Vec<Option<G1Affine>> =
            powers.iter().map(|powers| powers.get(usize::try_from(high).ok()?).copied()).collect();
        lanes.add(&with);
        for (sums, lane) in out.iter_mut().zip(&lanes.at) {
            let Lane::Point(sum) = lane else { return None };
            *sums.get_mut(to)? = *sum;
        }
    }
    Some(out)
}

fn walk_together(walk: &Walk, points: &[(G1Affine, G1Affine)]) -> Option<Zeroizing<Vec<G1Affine>>> {
    match Wide::get() {
        Some(wide) => {
            let walk = ffi::Walk { steps: &*walk.steps, careful: CAREFUL, negative: walk.negative };
            walk.products(wide, points)
        }
        None => walk_one_by_one(walk, points),
    }
}

/// The portable way.
fn walk_one_by_one(walk: &Walk, points: &[(G1Affine, G1Affine)]) -> Option<Zeroizing<Vec<G1Affine>>> {
    let sums = sums_of_powers(points)?;
    let ((_, first), rest) = walk.steps.split_first()?;
    let first = Zeroizing::new(masks(*first));
    let mut walker = Walker::new(sums.iter().map(|sums| G1Affine::select(sums, &first)).collect());
    for (at, (minus, which)) in rest.iter().enumerate() {
        let (minus, masks) = (Choice::from(*minus), Zeroizing::new(masks(*which)));
        for (with, sums) in walker.with.iter_mut().zip(&sums) {
            let sum = G1Affine::select(sums, &masks);
            *with = G1Affine::from_coordinates(sum.x(), sum.y().negate_if(minus));
        }
        if at < CAREFUL {
            walker.double()?.add()?
        } else {
            walker.double_add()?
        };
    }
    let mut at = core::mem::take(&mut *walker.at);
    at.iter_mut().for_each(|q| *q = G1Affine::from_coordinates(q.x(), q.y().negate_if(walk.negative)));
    Some(Zeroizing::new(at))
}

/// Running points of a secret walk. A step that would divide by zero is `None`.
struct Walker {
    at: Zeroizing<Vec<G1Affine>>,
    /// What the next step adds.
    with: Zeroizing<Vec<G1Affine>>,
    slopes: Zeroizing<Vec<Fp>>,
    denominators: Zeroizing<Vec<Fp>>,
    products: Zeroizing<Vec<Fp>>,
}

impl Walker {
    fn new(at: Vec<G1Affine>) -> Self {
        let count = at.len();
        Self {
            at: Zeroizing::new(at),
            with: Zeroizing::new(vec![G1Affine::default(); count]),
            slopes: Zeroizing::new(vec![Fp::default(); count]),
            denominators: Zeroizing::new(vec![Fp::default(); count]),
            products: Zeroizing::new(Vec::with_capacity(count)),
        }
    }
    fn invert(&mut self) -> Option<()> {
        invert_all(&mut self.denominators, &mut self.products).then_some(())
    }
    fn double(&mut self) -> Option<&mut Self> {
        self.denominators.iter_mut().zip(self.at.iter()).for_each(|(to, q)| *to = q.y().add(&q.y()));
        self.invert()?;
        for (q, inverse) in self.at.iter_mut().zip(self.denominators.iter()) {
            *q = third(&q.x().square().triple().mul(inverse), q, &q.x());
        }
        Some(self)
    }
    fn add(&mut self) -> Option<&mut Self> {
        let pairs = self.at.iter().zip(self.with.iter());
        self.denominators.iter_mut().zip(pairs).for_each(|(to, (q, t))| *to = t.x().sub(&q.x()));
        self.invert()?;
        for ((q, t), inverse) in self.at.iter_mut().zip(self.with.iter()).zip(self.denominators.iter()) {
            *q = third(&t.y().sub(&q.y()).mul(inverse), q, &t.x());
        }
        Some(self)
    }
    /// 2Q + T as (Q + T) + Q, of which the first sum's y is not needed.
    fn double_add(&mut self) -> Option<&mut Self> {
        let pairs = self.at.iter().zip(self.with.iter());
        self.denominators.iter_mut().zip(pairs).for_each(|(to, (q, t))| *to = t.x().sub(&q.x()));
        self.invert()?;
        let lanes = self.at.iter().zip(self.with.iter_mut()).zip(self.denominators.iter_mut());
        for (((q, t), inverse), slope) in lanes.zip(self.slopes.iter_mut()) {
            *slope = t.y().sub(&q.y()).mul(inverse);
            let x = slope.square().sub(&q.x()).sub(&t.x());
            *inverse = x.sub(&q.x());
            *t = G1Affine::from_coordinates(x, t.y());
        }
        self.invert()?;
        let lanes = self.at.iter_mut().zip(self.with.iter()).zip(self.denominators.iter());
        for (((q, t), inverse), slope) in lanes.zip(self.slopes.iter()) {
            let tangent = q.y().add(&q.y()).mul(inverse);
            *q = third(&Fp::default().sub(slope).sub(&tangent), q, &t.x());
        }
        Some(self)
    }
}

/// All ones for one of eight, zero for the others.
fn masks(which: u8) -> [u64; 8] {
    let mut out = [0; 8];
    for (at, mask) in (0u8..).zip(&mut out) {
        *mask = u64::from(at.ct_eq(&which).unwrap_u8()).wrapping_neg();
    }
    out
}

/// Halves of a public scalar k = low + high Z^2, both below 2^128.
pub(crate) fn halves(scalar: &Fr) -> (u128, u128) {
    let mut rest = [0u64; 4];
    for (limb, bytes) in rest.iter_mut().zip(scalar.to_bytes().as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    let z = u128::from(Z);
    let mut digit = || {
        let mut remainder = 0u128;
        for limb in rest.iter_mut().rev() {
            let number = remainder << 64 | u128::from(*limb);
            let quotient = number.checked_div(z).unwrap_or(0);
            *limb = u64::try_from(quotient).unwrap_or(u64::MAX);
            remainder = number.wrapping_sub(quotient.wrapping_mul(z));
        }
        remainder
    };
    let [a, b, c, d] = [digit(), digit(), digit(), digit()];
    (a.wrapping_add(b.wrapping_mul(z)), c.wrapping_add(d.wrapping_mul(z)))
}

/// Entries of all windows that are sorted and summed together.
const SORTED_TOGETHER: usize = 8_192;

/// Sum of `scalars[i] * points[i]` for public scalars and any points of the curve (Pippenger): the points of a bucket
/// are
/// added in pairs, all pairs of all buckets at once.
pub(crate) fn msm(points: &[G1Affine], scalars: &[u128]) -> G1 {
    if points.len() < 64 {
        let scalars: Vec<[u8; 16]> = scalars.iter().map(|scalar| scalar.to_le_bytes()).collect();
        return msm_128(points, &scalars);
    }
    let longest = scalars.iter().map(|scalar| u128::BITS.saturating_sub(scalar.leading_zeros())).max().unwrap_or(0);
    let bits = window_bits(points.len());
    let buckets = 1usize.checked_shl(bits.saturating_sub(1)).unwrap_or(1);
    let windows = usize::try_from(longest.checked_div(bits).unwrap_or(0)).unwrap_or(0).saturating_add(1);
    let together = SORTED_TOGETHER.checked_div(points.len()).unwrap_or(1).max(1);
    let mut rest: Vec<Digits> = scalars.iter().map(|scalar| Digits { rest: *scalar, carry: 0 }).collect();
    let mut sums: Vec<G1> = Vec::new();
    while sums.len() < windows {
        let count = windows.saturating_sub(sums.len()).min(together);
        let digits: Vec<Vec<i32>> =
            (0..count).map(|_| rest.iter_mut().map(|digits| digits.next(bits)).collect()).collect();
        sums.extend(Bucketed::new(points, &digits, buckets).sums(buckets));
    }
    sums.iter().rev().fold(G1::identity(), |total, sum| shifted(total, bits).add(sum))
}

/// From so many items on eight lanes are worth it: they cost the same however many of them are filled.
const SIDE_BY_SIDE: usize = 3;

/// One sum of products per item, as [`msm`], with the same scalars for all: `point(j, item)`. `None`: lost.
pub(crate) fn msm_all(
    scalars: &[u128],
    count: usize,
    point: impl Fn(usize, usize) -> Option<G1Affine>,
) -> Vec<Option<G1>> {
    let longest = scalars.iter().map(|scalar| u128::BITS.saturating_sub(scalar.leading_zeros())).max().unwrap_or(0);
    let bits = window_bits(scalars.len());
    let windows = usize::try_from(longest.checked_div(bits).unwrap_or(0)).unwrap_or(0).saturating_add(1);
    let mut rest: Vec<Digits> = scalars.iter().map(|scalar| Digits { rest: *scalar, carry: 0 }).collect();
    let digits: Vec<Vec<i32>> =
        (0..windows).map(|_| rest.iter_mut().map(|digits| digits.next(bits)).collect()).collect();
    let points = |item: usize| (0..scalars.len()).map(|j| point(j, item)).collect::<Option<Vec<_>>>();
    let mut out = Vec::with_capacity(count);
    if let Some(wide) = Wide::get() {
        let start = G1Affine::generator();
        let over = (0..windows).fold(G1::identity(), |sum, _| shifted(sum, bits).add_affine(&start)).neg();
        while count.saturating_sub(out.len()) >= SIDE_BY_SIDE {
            let some: Vec<Option<Vec<G1Affine>>> = (out.len()..count).take(EIGHT).map(points).collect();
            let sums =
                side_by_side(&some, scalars.len(), |points| wide.sums_of_products(points, &digits, bits, &start));
            out.extend(sums.into_iter().map(|sum| sum.map(|sum| sum.add(&over))));
        }
    }
    let buckets = 1usize.checked_shl(bits.saturating_sub(1)).unwrap_or(1);
    let together = SORTED_TOGETHER.checked_div(scalars.len().saturating_mul(windows)).unwrap_or(1).max(8);
    while out.len() < count {
        let items = out.len()..out.len().saturating_add(together).min(count);
        let mut all = Bucketed { points: Vec::new(), lengths: Vec::new() };
        let mut there = Vec::with_capacity(together);
        for points in items.map(points) {
            there.push(points.is_some());
            if let Some(points) = points {
                let one = Bucketed::new(&points, &digits, buckets);
                all.points.extend(one.points);
                all.lengths.extend(one.lengths);
            }
        }
        let sums = all.sums(buckets);
        let mut sums = sums.chunks(windows);
        let horner = |sums: &[G1]| sums.iter().rev().fold(G1::identity(), |total, sum| shifted(total, bits).add(sum));
        out.extend(there.into_iter().map(|there| if there { sums.next().map(horner) } else { None }));
    }
    out
}

fn shifted(point: G1, bits: u32) -> G1 {
    (0..bits).fold(point, |point, _| point.double())
}

/// Of up to eight items with `each` points; a lane without an item repeats another.
fn side_by_side(
    items: &[Option<Vec<G1Affine>>],
    each: usize,
    sums: impl FnOnce(&[[G1Affine; EIGHT]]) -> [Option<G1>; EIGHT],
) -> Vec<Option<G1>> {
    let Some(filler) = items.iter().flatten().next() else { return vec![None; items.len()] };
    let mut lanes = [filler; EIGHT];
    lanes.iter_mut().zip(items).for_each(|(lane, item)| *lane = item.as_ref().unwrap_or(filler));
    let of = |j: usize| lanes.map(|points| points.get(j).copied().unwrap_or_default());
    let sums = sums(&(0..each).map(of).collect::<Vec<_>>());
    items.iter().zip(sums).map(|(item, sum)| item.as_ref().and(sum)).collect()
}

/// Where n additions in each window and 2^bits / 2 buckets, thrice as dear, cost least.
fn window_bits(count: usize) -> u32 {
    let cost = |bits: u32| {
        let windows = usize::try_from(u128::BITS.checked_div(bits).unwrap_or(0)).unwrap_or(0).saturating_add(1);
        let buckets = 3usize.checked_shl(bits.saturating_sub(1)).unwrap_or(usize::MAX);
        windows.saturating_mul(count.saturating_add(buckets))
    };
    (4..14).min_by_key(|bits| cost(*bits)).unwrap_or(6)
}

/// A scalar that is cut up into digits of -(2^bits / 2 - 1) to 2^bits / 2, lowest first.
struct Digits {
    rest: u128,
    carry: i32,
}

impl Digits {
    fn next(&mut self, bits: u32) -> i32 {
        let base = 1i32.wrapping_shl(bits);
        let low = u32::try_from(self.rest & u128::from(base.unsigned_abs().wrapping_sub(1))).unwrap_or(0);
        self.rest = self.rest.wrapping_shr(bits);
        let digit = low.cast_signed().wrapping_add(self.carry);
        self.carry = i32::from(digit > base >> 1);
        digit.wrapping_sub(self.carry.wrapping_shl(bits))
    }
}

/// The bucket of a digit in its window; 0 has none.
fn bucket(digit: i32) -> Option<usize> {
    usize::try_from(digit.unsigned_abs()).ok()?.checked_sub(1)
}

/// The points of some windows, bucket after bucket. The identity is written as (0, 0).
struct Bucketed {
    points: Vec<G1Affine>,
    /// How many of them are in each bucket.
    lengths: Vec<usize>,
}

impl Bucketed {
    /// Counting sort by the digits, one list of them per window.
    fn new(points: &[G1Affine], digits: &[Vec<i32>], buckets: usize) -> Self {
        let mut lengths = vec![0usize; digits.len().saturating_mul(buckets)];
        for (window, digits) in lengths.chunks_exact_mut(buckets).zip(digits) {
            for at in digits.iter().filter_map(|digit| bucket(*digit)) {
                window.iter_mut().skip(at).take(1).for_each(|length| *length = length.saturating_add(1));
            }
        }
        let mut total = 0usize;
        let mut next: Vec<usize> = Vec::with_capacity(lengths.len());
        for length in &lengths {
            next.push(total);
            total = total.saturating_add(*length);
        }
        let mut sorted = vec![G1Affine::default(); total];
        for (window, digits) in next.chunks_exact_mut(buckets).zip(digits) {
            for (point, digit) in points.iter().zip(digits) {
                let Some(place) = bucket(*digit).and_then(|at| window.get_mut(at)) else { continue };
                if let Some(to) = sorted.get_mut(*place) {
                    *to = if *digit < 0 { point.neg() } else { *point };
                }
                *place = place.saturating_add(1);
            }
        }
        Self { points: sorted, lengths }
    }

    /// Adds in pairs until every bucket has at most one point.
    fn reduce(&mut self) {
        let (mut sums, mut products) = (Vec::new(), Vec::new());
        while self.lengths.iter().any(|length| *length > 1) {
            sums.clear();
            self.pair_sums(&mut sums, &mut products);
            let mut sums = sums.iter();
            let mut next = Vec::with_capacity(self.points.len().div_ceil(2));
            self.pairs(|pair| match pair {
                [_, _] => next.extend(sums.next()),
                rest => next.extend_from_slice(rest),
            });
            self.points = next;
            self.lengths.iter_mut().for_each(|length| *length = length.div_ceil(2));
        }
    }
    /// The sum of each pair.
    fn pair_sums(&self, sums: &mut Vec<G1Affine>, products: &mut Vec<Fp>) {
        let mut some: Vec<(G1Affine, G1Affine)> = Vec::with_capacity(PAIRS);
        self.pairs(|pair| {
            if let [a, b] = pair {
                some.push((*a, *b));
                if some.len() == PAIRS {
                    add_pairs(&some, sums, products);
                    some.clear();
                }
            }
        });
        add_pairs(&some, sums, products);
    }
    fn pairs<'a>(&'a self, mut each: impl FnMut(&'a [G1Affine])) {
        let mut rest = self.points.as_slice();
        for length in &self.lengths {
            let (bucket, after) = rest.split_at_checked(*length).unwrap_or_default();
            bucket.chunks(2).for_each(&mut each);
            rest = after;
        }
    }
    /// One sum per window, of bucket k times k + 1.
    fn sums(mut self, buckets: usize) -> Vec<G1> {
        self.reduce();
        let mut points = self.points.iter();
        let mut next = |length: &usize| if *length == 0 { None } else { points.next() };
        let windows: Vec<Vec<Option<&G1Affine>>> = self
            .lengths
            .chunks(buckets)
            .map(|lengths| lengths.iter().map(|length| next(length).filter(|point| !is_zero(point))).collect())
            .collect();
        let plain = |(sum, window): (Option<G1>, &Vec<Option<&G1Affine>>)| sum.unwrap_or_else(|| running_sum(window));
        segment_sums(&windows, buckets).into_iter().zip(&windows).map(plain).collect()
    }
}

/// Of bucket k times k + 1.
fn running_sum(window: &[Option<&G1Affine>]) -> G1 {
    let (mut running, mut sum) = (G1::identity(), G1::identity());
    for point in window.iter().rev() {
        if let Some(point) = point {
            running = running.add_affine(point);
        }
        sum = sum.add(&running);
    }
    sum
}

/// As [`running_sum`] of each window, all windows in step, and a window in parts where there are few. `None` where two
/// sums met that have no chord.
fn segment_sums(windows: &[Vec<Option<&G1Affine>>], buckets: usize) -> Vec<Option<G1>> {
    let most = buckets.checked_div(4).unwrap_or(1).max(1);
    let segments = TOGETHER.checked_div(windows.len()).unwrap_or(1).max(1).next_power_of_two().min(most);
    let length = buckets.checked_div(segments).unwrap_or(1).max(1);
    let lanes: Vec<&[Option<&G1Affine>]> = windows.iter().flat_map(|window| window.chunks(length)).collect();
    let (mut running, mut sums) = (Sums::new(lanes.len()), Sums::new(lanes.len()));
    // Sums start from a point of their own: else the second addition would often be of a point to itself.
    let start = G1Affine::generator();
    sums.add(&vec![Some(start); lanes.len()]);
    for k in (0..length).rev() {
        let with: Vec<Option<G1Affine>> = lanes.iter().map(|lane| lane.get(k).copied().flatten().copied()).collect();
        running.add(&with);
        let with: Vec<Option<G1Affine>> = running.lanes().iter().map(Lane::point).collect();
        sums.add(&with);
    }
    let start = start.neg();
    let sums: Vec<Option<G1>> = sums.results().into_iter().map(|sum| sum.map(|sum| sum.add_affine(&start))).collect();
    let totals = running.results();
    let whole = |(sums, totals): (&[Option<G1>], &[Option<G1>])| {
        let (mut above, mut shifts) = (G1::identity(), G1::identity());
        for total in totals.iter().skip(1).rev() {
            above = above.add(&(*total)?);
            shifts = shifts.add(&above);
        }
        let shifts = (0..length.ilog2()).fold(shifts, |shifts, _| shifts.double());
        totals.first().copied().flatten()?;
        sums.iter().try_fold(shifts, |all, sum| Some(all.add(&(*sum)?)))
    };
    sums.chunks(segments).zip(totals.chunks(segments)).map(whole).collect()
}

/// Pairs under one inversion: so many stay in the cache.
const PAIRS: usize = 512;

/// The sum of each pair, also of equal and opposite points.
fn add_pairs(pairs: &[(G1Affine, G1Affine)], sums: &mut Vec<G1Affine>, products: &mut Vec<Fp>) {
    let no_identity = || pairs.iter().all(|(a, b)| !is_zero(a) && !is_zero(b));
    if let Some(chords) = Wide::get().filter(|_| no_identity()).and_then(|wide| Chords::sums(wide, pairs)) {
        sums.extend(chords);
        return;
    }
    let mut denominators: Vec<Fp> = pairs.iter().map(|(a, b)| Line::of(a, b).denominator(a, b)).collect();
    let _whole = invert_all(&mut denominators, products);
    let lines = pairs.iter().zip(&denominators);
    sums.extend(lines.map(|((a, b), inverse)| Line::of(a, b).sum(a, b, inverse)));
}

fn is_zero(point: &G1Affine) -> bool {
    point.x().is_zero() && point.y().is_zero()
}

/// What the sum of two points is taken by.
enum Line {
    Chord,
    Tangent,
    /// The points are opposite.
    Vertical,
    /// The first is the identity, or the second.
    Second,
    First,
}

impl Line {
    fn of(a: &G1Affine, b: &G1Affine) -> Self {
        if is_zero(a) {
            Self::Second
        } else if is_zero(b) {
            Self::First
        } else if a.x() != b.x() {
            Self::Chord
        } else if a.y() == b.y() {
            Self::Tangent
        } else {
            Self::Vertical
        }
    }
    fn denominator(&self, a: &G1Affine, b: &G1Affine) -> Fp {
        match self {
            Self::Chord => b.x().sub(&a.x()),
            Self::Tangent => a.y().add(&a.y()),
            Self::Vertical | Self::Second | Self::First => Fp::one(),
        }
    }
    fn sum(&self, a: &G1Affine, b: &G1Affine, inverse: &Fp) -> G1Affine {
        match self {
            Self::Chord => third(&b.y().sub(&a.y()).mul(inverse), a, &b.x()),
            Self::Tangent => third(&a.x().square().triple().mul(inverse), a, &a.x()),
            Self::Vertical => G1Affine::default(),
            Self::Second => *b,
            Self::First => *a,
        }
    }
}

#[cfg(test)]
mod tests;
