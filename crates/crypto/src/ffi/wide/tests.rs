// Goal: the eight-lane field is the field. Method: differential against blst, with values at the edges; skipped where the
// machine has no such vectors.
use super::{
    Wide,
    field::{F8, LANES, load_all, mul, mul_add, square, square_add, store_all},
};
use crate::ffi::{Fp, G1, G1Affine};
use crate::hash::t512;
use std::{vec, vec::Vec};

fn some_point(at: usize) -> G1Affine {
    G1::hash(&at.to_le_bytes(), b"wide").affine().unwrap()
}

fn element(at: usize) -> Fp {
    // both coordinates of some points, and the small and the large
    let point = some_point(at / 2);
    let one = Fp::one();
    match at % 16 {
        0 => Fp::default(),
        1 => one,
        2 => Fp::default().sub(&one),
        3 => one.add(&one).inverse(),
        4 => one.add(&one).inverse().sub(&one),
        at if at % 2 == 0 => point.x(),
        _ => point.y(),
    }
}

/// Checks sums, products and squares of eight pairs, of the greatest weights that are allowed.
#[target_feature(enable = "avx512f,avx512dq")]
fn check(a: &[Fp; LANES], b: &[Fp; LANES], c: &[Fp; LANES]) {
    let (x, y, z): (F8, F8, F8) = (load_all(a), load_all(b), load_all(c));
    let same = |got: &F8, want: &dyn Fn(usize) -> Fp| {
        let want: Vec<Fp> = (0..LANES).map(want).collect();
        assert!(store_all(got).as_slice() == want);
    };
    same(&mul(&x, &y), &|i| a[i].mul(&b[i]));
    same(&square(&x), &|i| a[i].square());
    same(&mul_add(&x, &y, &z), &|i| a[i].mul(&b[i]).add(&c[i]));
    same(&square_add(&x, &z), &|i| a[i].square().add(&c[i]));
    let (sum, difference) = (x.add(&y), x.sub(&y));
    let four = z.add(&z).add(&z.add(&z));
    let four_of = |i: usize| c[i].add(&c[i]).add(&c[i]).add(&c[i]);
    same(&mul_add(&sum, &difference, &four), &|i| a[i].add(&b[i]).mul(&a[i].sub(&b[i])).add(&four_of(i)));
    same(&square_add(&difference, &four.neg()), &|i| a[i].sub(&b[i]).square().sub(&four_of(i)));
    same(&mul(&x.triple(), &z), &|i| a[i].triple().mul(&c[i]));
    same(&mul(&x.blend(0b1010_0110, &y), &z), &|i| if 0b1010_0110 >> i & 1 == 1 { b[i] } else { a[i] }.mul(&c[i]));
}

#[test]
fn products_and_sums_are_those_of_blst() {
    let Some(_wide) = Wide::get() else { return crate::ffi::tests::say_if_narrow() };
    for round in 0..200 {
        let eight = |from: usize| -> [Fp; LANES] { core::array::from_fn(|i| element(from + i * 3)) };
        let (a, b, c) = (eight(round), eight(round * 7 + 5), eight(round * 13 + 2));
        // SAFETY: the features are there.
        unsafe { check(&a, &b, &c) };
    }
}

#[test]
fn a_long_chain_of_products_stays_exact() {
    #[target_feature(enable = "avx512f,avx512dq")]
    fn chain(start: &[Fp; LANES]) -> [Fp; LANES] {
        let mut value = load_all(start);
        for _ in 0..5_000 {
            value = mul_add(&value.add(&value), &value.sub(&value.triple()), &value);
        }
        store_all(&value)
    }
    let Some(_wide) = Wide::get() else { return crate::ffi::tests::say_if_narrow() };
    let start: [Fp; LANES] = core::array::from_fn(|i| element(i * 5 + 6));
    let plain = |start: &Fp| (0..5_000).fold(*start, |v, _| v.add(&v).mul(&v.sub(&v.triple())).add(&v));
    // SAFETY: the features are there.
    let got = unsafe { chain(&start) };
    assert!(got.iter().zip(&start).all(|(got, start)| *got == plain(start)));
}

#[test]
fn square_roots_are_roots() {
    let Some(wide) = Wide::get() else { return crate::ffi::tests::say_if_narrow() };
    let squares: Vec<Fp> = (0..37).map(|at| element(at).square()).collect();
    let roots = wide.square_roots(&squares);
    assert_eq!(roots.len(), squares.len());
    assert!(roots.iter().zip(&squares).all(|(root, value)| root.square() == *value));
}

#[test]
fn bytes_are_points_as_one_by_one() {
    // good points, flipped bits in them, and bytes of no shape
    let mut all: Vec<[u8; 48]> = (0..40).map(|at| some_point(at).compress()).collect();
    for at in 0..200usize {
        let mut bytes = all[at % 40];
        bytes[at % 48] ^= 1 << (at % 8);
        all.push(bytes);
        let hash = t512("wide", &[&at.to_le_bytes()]);
        let mut bytes: [u8; 48] = hash[..48].try_into().unwrap();
        bytes[0] = bytes[0] & 0x1f | 0x80 | (hash[50] & 0x20);
        all.push(bytes);
    }
    // x = p - 1, p, p + 1
    let p = "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaaa";
    let near_p = |more: u8| -> [u8; 48] {
        let mut bytes: [u8; 48] = hex::decode(p).unwrap().try_into().unwrap();
        bytes[0] |= 0x80;
        bytes[47] += more;
        bytes
    };
    all.extend([near_p(0), near_p(1), near_p(2), [0; 48], [0xff; 48]]);
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let mut zero = [0; 48];
    zero[0] = 0x80;
    all.extend([infinity, zero]);
    let want: Vec<Option<G1Affine>> = all.iter().map(G1Affine::uncompress).collect();
    assert!(G1Affine::uncompress_all(all.iter()) == want);
    assert!(want.iter().flatten().count() > 100 && want.iter().filter(|point| point.is_none()).count() > 100);
    assert!(G1Affine::uncompress_all(all.iter().take(3)) == want[..3]);
    assert!(G1Affine::uncompress_all([].iter()) == vec![]);
}
