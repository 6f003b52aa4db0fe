//! Lagrange weights at zero of q members (index j stands at j + 1), as integers over one common denominator.
//!
//! lambda_j = prod m / (m - j) over the other members m. Any q consecutive indices have denominator 1, and the first q
//! have weights of 2 bits at q = 3 and 40 bits at q = 43, where a weight in the field has 255: combining is that much
//! cheaper. Numerators or denominators above 126 bits become ordinary weights in the field.
use crate::{
    ffi::{Fr, G1, G1Affine, G2, G2Affine, msm_g2},
    lanes,
};
use alloc::vec::Vec;
use types::MemberId;

const PRIMES: [u16; 31] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127,
];
const BITS_MAX: u32 = 126;
/// Weights of so many bits are taken bit by bit.
const SHORT: u32 = 32;

/// Weights of a set of members, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// Sign (true: negative) and magnitude of each numerator; 1 / denominator, `None` for 1.
    Integer { numerators: Vec<(bool, u128)>, inverse: Option<Fr> },
    /// Field elements.
    Field(Vec<Fr>),
}

impl core::fmt::Debug for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Integer { numerators, inverse } => write!(f, "{numerators:?}, over one: {}", inverse.is_none()),
            Self::Field(weights) => write!(f, "{} field weights", weights.len()),
        }
    }
}

/// Exponents of [`PRIMES`] in a fraction.
type Exponents = [i32; PRIMES.len()];

/// Members' numbers and their differences are at most this, so primes up to 127 are all.
const NUMBERS: u16 = 128;

/// Exponents of each number up to [`NUMBERS`].
fn factors() -> Vec<Exponents> {
    let factors_of = |number: u16| {
        let (mut rest, mut exponents): (u16, Exponents) = (number.max(1), [0; PRIMES.len()]);
        for (exponent, prime) in exponents.iter_mut().zip(PRIMES) {
            while let (Some(quotient), Some(0)) = (rest.checked_div(prime), rest.checked_rem(prime)) {
                rest = quotient;
                *exponent = exponent.saturating_add(1);
            }
        }
        exponents
    };
    (0..=NUMBERS).map(factors_of).collect()
}

/// The product of primes to these exponents, `None` above [`BITS_MAX`] bits.
fn product(exponents: impl Iterator<Item = i32>) -> Option<u128> {
    let mut out = 1u128;
    for (prime, exponent) in PRIMES.iter().zip(exponents) {
        out = out.checked_mul(u128::from(*prime).checked_pow(u32::try_from(exponent).ok()?)?)?;
    }
    (out >> BITS_MAX == 0).then_some(out)
}

impl Weights {
    /// Of distinct members with indices below 128.
    pub(crate) fn new(members: &[MemberId]) -> Self {
        let kind = Self::integer(members).unwrap_or_else(|| Kind::Field(Self::field(members)));
        Self { kind }
    }

    fn integer(members: &[MemberId]) -> Option<Kind> {
        let (mut fractions, factors) = (Vec::with_capacity(members.len()), factors());
        let mut denominator: Exponents = [0; PRIMES.len()];
        for j in members {
            let (mut exponents, mut negative): (Exponents, bool) = ([0; PRIMES.len()], false);
            for m in members.iter().filter(|m| *m != j) {
                let above = factors.get(usize::from(m.0.checked_add(1)?))?;
                let below = factors.get(usize::from(m.0.abs_diff(j.0)))?;
                for (exponent, (above, below)) in exponents.iter_mut().zip(above.iter().zip(below)) {
                    *exponent = exponent.saturating_add(*above).saturating_sub(*below);
                }
                negative ^= m.0 < j.0;
            }
            // The least common denominator takes, of each prime, the most that any fraction has below the line.
            for (common, exponent) in denominator.iter_mut().zip(exponents) {
                *common = (*common).max(exponent.saturating_neg());
            }
            fractions.push((negative, exponents));
        }
        let numerators = fractions.into_iter().map(|(negative, exponents)| {
            let over = exponents.iter().zip(denominator).map(|(have, common)| have.saturating_add(common));
            product(over).map(|magnitude| (negative, magnitude))
        });
        let numerators = numerators.collect::<Option<Vec<_>>>()?;
        let denominator = product(denominator.into_iter())?;
        let inverse = (denominator != 1).then(|| Fr::reduce(&denominator.to_le_bytes()).inverse());
        Some(Kind::Integer { numerators, inverse })
    }

    /// lambda_j = P / ((j + 1) prod (m - j)) for the product P of all numbers; all under one inversion.
    fn field(members: &[MemberId]) -> Vec<Fr> {
        let numbers: Vec<Fr> = (0..=NUMBERS).map(|number| Fr::reduce(&number.to_le_bytes())).collect();
        let number = |at: u16| numbers.get(usize::from(at)).copied().unwrap_or_default();
        let one = number(1);
        let of = |member: &MemberId| number(member.0.saturating_add(1));
        let all = members.iter().fold(one, |all, member| all.mul(&of(member)));
        let below = |j: &MemberId| {
            let others = members.iter().filter(|m| *m != j);
            let (product, negative) = others.fold((of(j), false), |(product, negative), m| {
                (product.mul(&number(m.0.abs_diff(j.0))), negative ^ (m.0 < j.0))
            });
            if negative { product.neg() } else { product }
        };
        let below: Vec<Fr> = members.iter().map(below).collect();
        let mut before = Vec::with_capacity(below.len());
        let mut inverse = below.iter().fold(one, |product, value| {
            before.push(product);
            product.mul(value)
        });
        inverse = inverse.inverse().mul(&all);
        let mut weights: Vec<Fr> = below
            .iter()
            .zip(&before)
            .rev()
            .map(|(value, before)| {
                let weight = inverse.mul(before);
                inverse = inverse.mul(value);
                weight
            })
            .collect();
        weights.reverse();
        weights
    }

    /// Sum of weight times share. Shares may be any points of the curve: nothing is checked here, and the result is
    /// the secret times the base only if they are what they should be.
    pub(crate) fn combine_g1(&self, shares: &[G1Affine]) -> G1 {
        match &self.kind {
            Kind::Integer { numerators, inverse } => {
                let sign =
                    |(share, (negative, _)): (&G1Affine, &(bool, u128))| if *negative { share.neg() } else { *share };
                let signed: Vec<G1Affine> = shares.iter().zip(numerators).map(sign).collect();
                let magnitudes: Vec<u128> = numerators.iter().map(|(_, magnitude)| *magnitude).collect();
                let sum = if magnitudes.iter().all(|magnitude| *magnitude >> SHORT == 0) {
                    let points: Vec<G1> = shares.iter().map(G1Affine::point).collect();
                    straus(numerators, &points, G1::identity(), G1::add, G1::neg, G1::double)
                } else {
                    lanes::msm(&signed, &magnitudes)
                };
                inverse.as_ref().map_or(sum, |inverse| sum.mul(inverse))
            }
            Kind::Field(weights) => {
                // k P = low P + high Z^2 P, in the subgroup.
                let parts = shares.iter().zip(weights).flat_map(|(share, weight)| {
                    let (low, high) = lanes::halves(weight);
                    [(*share, low), (share.endomorphism().neg(), high)]
                });
                let (points, scalars): (Vec<G1Affine>, Vec<u128>) = parts.unzip();
                lanes::msm(&points, &scalars)
            }
        }
    }

    /// As [`Self::combine_g1`], of `count` items at once: `share(j, item)` is that of the j-th member.
    pub(crate) fn combine_all(&self, count: usize, share: impl Fn(usize, usize) -> Option<G1Affine>) -> Vec<G1> {
        let plain = |item: usize| {
            let shares: Vec<G1Affine> = (0..self.len()).filter_map(|j| share(j, item)).collect();
            self.combine_g1(&shares)
        };
        match &self.kind {
            _ if count < 2 => (0..count).map(plain).collect(),
            Kind::Integer { numerators, inverse } => {
                let longest = numerators.iter().map(|(_, weight)| u128::BITS.saturating_sub(weight.leading_zeros()));
                let sums = if longest.max().unwrap_or(0) <= SHORT && count >= lanes::WORTHWHILE {
                    lanes::weighted(numerators, count, &share)
                } else {
                    let magnitudes: Vec<u128> = numerators.iter().map(|(_, magnitude)| *magnitude).collect();
                    lanes::msm_all(&magnitudes, count, |j, item| {
                        let (negative, _) = numerators.get(j)?;
                        share(j, item).map(|share| if *negative { share.neg() } else { share })
                    })
                };
                let sums = sums.into_iter().enumerate().map(|(item, sum)| match (sum, inverse) {
                    (Some(sum), Some(inverse)) => (sum, Some(inverse)),
                    (Some(sum), None) => (sum, None),
                    (None, _) => (plain(item), None),
                });
                over_denominator(&sums.collect::<Vec<_>>())
            }
            Kind::Field(weights) => {
                // k P = low P + high Z^2 P, in the subgroup.
                let halves = weights.iter().flat_map(|weight| <[u128; 2]>::from(lanes::halves(weight)));
                let sums = lanes::msm_all(&halves.collect::<Vec<_>>(), count, |half, item| {
                    let share = share(half >> 1, item)?;
                    Some(if half & 1 == 0 { share } else { share.endomorphism().neg() })
                });
                sums.into_iter().enumerate().map(|(item, sum)| sum.unwrap_or_else(|| plain(item))).collect()
            }
        }
    }

    fn len(&self) -> usize {
        match &self.kind {
            Kind::Integer { numerators, .. } => numerators.len(),
            Kind::Field(weights) => weights.len(),
        }
    }

    /// As [`Self::combine_g1`], in G2.
    pub(crate) fn combine_g2(&self, shares: &[G2Affine]) -> G2 {
        match &self.kind {
            Kind::Integer { numerators, inverse } => {
                let points: Vec<G2> = shares.iter().map(G2Affine::point).collect();
                let sum = straus(numerators, &points, G2::identity(), G2::add, G2::neg, G2::double);
                inverse.as_ref().map_or(sum, |inverse| sum.mul(inverse))
            }
            Kind::Field(weights) => {
                let scalars: Vec<[u8; 32]> = weights.iter().map(|weight| weight.to_bytes()).collect();
                msm_g2(shares, &scalars)
            }
        }
    }
}

/// From so many items on, one run of doublings for all is cheaper than a product each.
const IN_STEP: usize = 64;

/// Each sum times its scalar: right in the subgroup.
fn over_denominator(sums: &[(G1, Option<&Fr>)]) -> Vec<G1> {
    let plain = |(sum, inverse): &(G1, Option<&Fr>)| inverse.map_or(*sum, |inverse| sum.mul(inverse));
    if sums.len() < IN_STEP {
        return sums.iter().map(plain).collect();
    }
    let points: Vec<G1> = sums.iter().map(|(sum, _)| *sum).collect();
    let (Some(inverse), Some(points)) = (sums.iter().find_map(|(_, inverse)| *inverse), G1::affine_all(&points)) else {
        return sums.iter().map(plain).collect();
    };
    let (low, high) = lanes::halves(inverse);
    let part = |half: usize, item: usize| {
        points.get(item).map(|point| if half == 0 { *point } else { point.endomorphism().neg() })
    };
    let products = lanes::weighted(&[(false, low), (false, high)], points.len(), part);
    let one = |(product, sum): (Option<G1>, &(G1, Option<&Fr>))| match (product, sum.1) {
        (Some(product), Some(_)) => product,
        _ => plain(sum),
    };
    products.into_iter().zip(sums).map(one).collect()
}

/// Sum of signed multiples, with one run of doublings for all (Straus).
fn straus<P: Copy>(
    numerators: &[(bool, u128)],
    points: &[P],
    identity: P,
    add: impl Fn(&P, &P) -> P,
    neg: impl Fn(&P) -> P,
    double: impl Fn(&P) -> P,
) -> P {
    let signed =
        numerators.iter().zip(points).map(|((negative, _), point)| if *negative { neg(point) } else { *point });
    let signed: Vec<P> = signed.collect();
    let bits = numerators.iter().map(|(_, magnitude)| u128::BITS.saturating_sub(magnitude.leading_zeros())).max();
    let mut sum = identity;
    for bit in (0..bits.unwrap_or(0)).rev() {
        sum = double(&sum);
        for ((_, magnitude), point) in numerators.iter().zip(&signed) {
            if magnitude >> bit & 1 == 1 {
                sum = add(&sum, point);
            }
        }
    }
    sum
}

/// Which q of the members to combine: q consecutive ones if there are, so that the denominator is 1; up to 16 members any q
/// of which it is 1; else the lowest. Shape: `arrived` strictly ascending; positions in it, `None` when there are fewer
/// than q.
pub(crate) fn choose(arrived: &[MemberId], q: usize) -> Option<Vec<usize>> {
    if arrived.len() < q {
        return None;
    }
    let consecutive = |run: &&[MemberId]| match (run.first(), run.last()) {
        (Some(first), Some(last)) => usize::from(last.0.saturating_sub(first.0)).saturating_add(1) == q,
        _ => false,
    };
    let lowest = || (0..q).collect();
    match arrived.windows(q.max(1)).position(|run| consecutive(&run)) {
        Some(start) => Some((start..start.saturating_add(q)).collect()),
        None => Some(whole_weights(arrived, q).unwrap_or_else(lowest)),
    }
}

/// Largest number of a member (index + 1) that [`whole_weights`] looks at: at most 4,368 sets.
const SEARCHED: u16 = 16;

/// The first q of the members whose weights all are whole numbers. `None`: there are none, or it is not looked for.
fn whole_weights(arrived: &[MemberId], q: usize) -> Option<Vec<usize>> {
    let numbers: Vec<u16> = arrived.iter().map(|member| member.0.saturating_add(1)).collect();
    if numbers.last().is_none_or(|last| *last > SEARCHED) {
        return None;
    }
    let powers: Vec<Powers> = (0..=SEARCHED).map(Powers::of).collect();
    let left_out = numbers.len().saturating_sub(q);
    let masks = 0..1u32.checked_shl(u32::try_from(numbers.len()).ok()?)?;
    let set = |mask: &u32| -> Vec<usize> { (0..numbers.len()).filter(|at| *mask >> at & 1 == 0).collect() };
    let whole = |set: &[usize]| {
        let set: Vec<u16> = set.iter().filter_map(|at| numbers.get(*at)).copied().collect();
        set.iter().all(|j| {
            let others = set.iter().filter(|m| *m != j);
            others.fold(Powers::ONE, |all, m| all.times(&powers, *m).over(&powers, m.abs_diff(*j))).is_whole()
        })
    };
    let sets = masks.filter(|mask| usize::try_from(mask.count_ones()) == Ok(left_out));
    sets.map(|mask| set(&mask)).find(|set| whole(set))
}

/// Exponents of 2, 3, 5, 7, 11 and 13, ten bits each, 512 standing for 0.
#[derive(Clone, Copy)]
struct Powers(u64);

impl Powers {
    const ONE: Self = Self(0x0802_0080_2008_0200);
    const SMALL: [u16; 6] = [2, 3, 5, 7, 11, 13];

    /// Of a number up to 16, without the 512s.
    fn of(number: u16) -> Self {
        let (mut rest, mut out) = (number.max(1), 0u64);
        for (at, prime) in (0u32..).zip(Self::SMALL) {
            while let (Some(0), Some(quotient)) = (rest.checked_rem(prime), rest.checked_div(prime)) {
                rest = quotient;
                out = out.wrapping_add(1u64.wrapping_shl(at.wrapping_mul(10)));
            }
        }
        Self(out)
    }
    fn times(self, powers: &[Self], number: u16) -> Self {
        Self(self.0.wrapping_add(powers.get(usize::from(number)).map_or(0, |powers| powers.0)))
    }
    fn over(self, powers: &[Self], number: u16) -> Self {
        Self(self.0.wrapping_sub(powers.get(usize::from(number)).map_or(0, |powers| powers.0)))
    }
    fn is_whole(self) -> bool {
        self.0 & Self::ONE.0 == Self::ONE.0
    }
}

#[cfg(test)]
mod tests;
