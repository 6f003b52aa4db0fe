//! Sums of products for eight items side by side: the scalars are public and the same for each item, so all lanes take
//! the same steps. Points are sorted into buckets by the scalars' digits (Pippenger) and added in affine coordinates,
//! all pairs of some windows under one inversion.
use super::{
    curve::{Jacobian, P8, has, invert, ones, zeros},
    field::{F8, LANES, mul, store_all},
};
use crate::ffi::{G1, G1Affine};
use alloc::{vec, vec::Vec};

/// Points that are sorted together: what is made of them stays in the cache.
const SORTED: usize = 512;

/// What adds pairs, and the lanes in which a pair had no chord: their sums mean nothing.
struct Adder {
    lost: u8,
    denominators: Vec<F8>,
    products: Vec<F8>,
}

impl Adder {
    #[target_feature(enable = "avx512f,avx512dq")]
    fn sums(&mut self, pairs: &[(&P8, &P8)]) -> Vec<P8> {
        let one = ones();
        self.denominators.clear();
        self.denominators.extend(pairs.iter().map(|(a, b)| b.x.sub(&a.x).blend(self.lost, &one)));
        if !invert(&mut self.denominators, &mut self.products) {
            // to magnitude below p
            let zero = self.denominators.iter().fold(0, |all, value| all | zeros(&mul(value, &one)));
            self.lost |= zero;
            self.denominators.iter_mut().for_each(|value| *value = value.blend(zero, &one));
            let _now = invert(&mut self.denominators, &mut self.products);
        }
        let third = |((a, b), inverse): (&(&P8, &P8), &F8)| a.third(&mul(&b.y.sub(&a.y), inverse), &b.x);
        pairs.iter().zip(&self.denominators).map(third).collect()
    }
    /// Adds in pairs until each list has at most one point.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn reduce(&mut self, lists: &mut [Vec<P8>]) {
        while lists.iter().any(|list| list.len() > 1) {
            let pairs = lists.iter().flat_map(|list| list.as_chunks::<2>().0.iter().map(|[a, b]| (a, b)));
            let mut sums = self.sums(&pairs.collect::<Vec<_>>()).into_iter();
            for list in &mut *lists {
                let (pairs, odd) = list.as_chunks::<2>();
                *list = sums.by_ref().take(pairs.len()).chain(odd.iter().copied()).collect();
            }
        }
    }
    /// Adds to each sum what there is to add.
    #[target_feature(enable = "avx512f,avx512dq")]
    fn add_each(&mut self, sums: &mut [Option<P8>], with: &[Option<P8>]) {
        let pairs = sums.iter().zip(with).filter_map(|(sum, with)| sum.as_ref().zip(with.as_ref()));
        let mut added = self.sums(&pairs.collect::<Vec<_>>()).into_iter();
        for (sum, with) in sums.iter_mut().zip(with) {
            *sum = match (*sum, *with) {
                (Some(_), Some(_)) => added.next(),
                (sum, with) => sum.or(with),
            };
        }
    }
}

/// The points of each bucket of some windows.
#[target_feature(enable = "avx512f,avx512dq")]
fn sorted(points: &[P8], windows: &[Vec<i32>], buckets: usize) -> Vec<Vec<P8>> {
    let mut lists = vec![Vec::new(); windows.len().saturating_mul(buckets)];
    for (lists, digits) in lists.chunks_mut(buckets).zip(windows) {
        for (point, digit) in points.iter().zip(digits) {
            let place = usize::try_from(digit.unsigned_abs()).unwrap_or(0).checked_sub(1);
            let Some(list) = place.and_then(|place| lists.get_mut(place)) else { continue };
            list.push(if *digit < 0 { P8 { x: point.x, y: point.y.neg() } } else { *point });
        }
    }
    lists
}

/// Per lane the sum of 2^(bits w) `windows[w][j] points[j]`, plus `start` times the sum of 2^(bits w). `None`: two
/// points met that have no chord.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn sums(
    points: &[[G1Affine; LANES]],
    windows: &[Vec<i32>],
    bits: u32,
    start: &G1Affine,
) -> [Option<G1>; LANES] {
    let points: Vec<P8> = points.iter().map(|eight| P8::read(eight)).collect();
    let buckets = 1usize.checked_shl(bits.saturating_sub(1)).unwrap_or(1);
    let mut adder = Adder { lost: 0, denominators: Vec::new(), products: Vec::new() };
    let mut lists = Vec::with_capacity(windows.len().saturating_mul(buckets));
    for some in windows.chunks(SORTED.checked_div(points.len()).unwrap_or(1).max(1)) {
        let mut some = sorted(&points, some, buckets);
        adder.reduce(&mut some);
        lists.extend(some);
    }
    // Of bucket k times k + 1. Sums start from a point: else the second addition could be of a point to itself.
    let mut running = vec![None; windows.len()];
    let mut sums = vec![Some(P8::read(&[*start; LANES])); windows.len()];
    for k in (0..buckets).rev() {
        let of = |lists: &[Vec<P8>]| lists.get(k).and_then(|list| list.first()).copied();
        let with: Vec<Option<P8>> = lists.chunks(buckets).map(of).collect();
        adder.add_each(&mut running, &with);
        adder.add_each(&mut sums, &running);
    }
    let mut total: Option<Jacobian> = None;
    for sum in sums.iter().flatten().rev() {
        total = Some(match total {
            None => Jacobian::of(sum),
            Some(total) => (0..bits).fold(total, |total, _| total.double()).add(sum),
        });
    }
    let Some(total) = total else { return [None; LANES] };
    let lost = adder.lost | zeros(&total.z);
    let [x, y, z] = [&total.x, &total.y, &total.z].map(|value| store_all(value));
    let mut out = [None; LANES];
    for (lane, ((out, x), (y, z))) in out.iter_mut().zip(x).zip(y.into_iter().zip(z)).enumerate() {
        *out = (!has(lost, lane)).then(|| G1::from_jacobian(x, y, z));
    }
    out
}
