// Goal: arithmetic over many lanes is the plain one, for every point that can meet. Method: differential, against
// blst's
// single products and sums, with equal, opposite and small-order points planted.
use super::*;
use crate::ffi::{
    Table,
    tests::{point_of_order, portably, slow_mul, stray_point},
};
use crate::hash::t512;
use std::{vec, vec::Vec};

fn scalar(label: &str, at: usize) -> Fr {
    Fr::reduce(&t512("lanes", &[label.as_bytes(), &at.to_le_bytes()]))
}

fn point(label: &str, at: usize) -> G1Affine {
    G1Affine::generator().mul(&scalar(label, at)).affine().unwrap()
}

/// Points of the subgroup and others, some of them equal or opposite.
fn pool() -> Vec<G1Affine> {
    let mut out: Vec<G1Affine> = (0..6).map(|at| point("pool", at)).collect();
    out.extend([
        out[0],
        out[1].neg(),
        point_of_order(11),
        point_of_order(11).neg(),
        point_of_order(10_177),
        stray_point(1),
    ]);
    out
}

fn slow(point: &G1Affine, scalar: u128) -> G1 {
    slow_mul(&point.point(), &scalar.to_be_bytes())
}

#[test]
fn the_endomorphism_is_the_square_of_z() {
    for at in 0..4 {
        let p = point("endo", at);
        let z_square = u128::from(Z) * u128::from(Z);
        assert!(p.endomorphism().neg().point() == slow(&p, z_square));
        assert!(p.times_z_in_group() == Some(slow(&p, Z.into())));
    }
}

#[test]
fn the_subgroup_check_is_that_of_blst() {
    for start in 1..=60 {
        let stray = stray_point(start);
        assert!(!stray.in_group() && stray.times_z_in_group().is_none());
    }
    for prime in [11, 10_177, 859_267, 52_437_899] {
        let small = point_of_order(prime);
        assert!(small.times_z_in_group().is_none(), "order {prime}");
        let shifted = small.point().add(&point("shifted", 0).point()).affine().unwrap();
        assert!(!shifted.in_group() && shifted.times_z_in_group().is_none(), "order {prime}");
    }
    assert!((0..20).all(|at| point("inside", at).times_z_in_group().is_some()));
}

#[test]
fn secret_products_are_those_of_blst() {
    let powers = |count: usize| -> Vec<(G1Affine, G1Affine)> {
        let of = |at| {
            let u = point("u", at);
            (u, u.times_z_in_group().unwrap().affine().unwrap())
        };
        (0..count).map(of).collect()
    };
    let one = Fr::reduce(&[1]);
    let z = Fr::reduce(&Z.to_le_bytes());
    let mut secrets = vec![one, one.neg(), one.add(&one), z, z.neg(), z.mul(&z), z.mul(&z).mul(&z).neg(), z.add(&one)];
    secrets.extend((0..24).map(|at| scalar("secret", at)));
    let points = powers(WORTHWHILE);
    for (at, secret) in secrets.iter().enumerate() {
        let want: Vec<[u8; 48]> = points.iter().map(|(u, _)| u.mul(secret).compress()).collect();
        let got: Vec<[u8; 48]> = times_secret(secret, &points).iter().map(|point| point.compress()).collect();
        assert_eq!(got, want, "secret {at}");
    }
    // The plain path below, several chunks above, and the same point twice.
    let mut many = powers(TOGETHER + 3);
    many[7] = many[8];
    for count in [0, 1, WORTHWHILE - 1, many.len()] {
        let got = times_secret(&secrets[9], &many[..count]);
        assert!(got.iter().zip(&many).all(|(got, (u, _))| got.point() == u.mul(&secrets[9])) && got.len() == count);
    }
    // Nearly all secrets go the way of the lanes.
    assert!((8..32).all(|at| walk_together(&Walk::new(&secrets[at]), &points).is_some()));
}

#[test]
fn digits_are_those_to_the_base_z() {
    for at in 0..50 {
        let k = scalar("digits", at);
        let z = Fr::reduce(&Z.to_le_bytes());
        let number = |value: u128| Fr::reduce(&value.to_le_bytes());
        let all = digits(&k.to_bytes());
        assert!(all.iter().all(|digit| *digit < u128::from(Z)));
        assert!(all.iter().rev().fold(Fr::default(), |sum, digit| sum.mul(&z).add(&number(*digit))) == k);
        let (low, high) = halves(&k);
        assert!(number(low).add(&number(high).mul(&z).mul(&z)) == k);
        assert_eq!((low, high), (all[0] + all[1] * u128::from(Z), all[2] + all[3] * u128::from(Z)));
    }
}

#[test]
fn sums_of_many_products_are_right_for_every_mix_of_points() {
    let pool = pool();
    for count in [64, 65, 200, 900] {
        let points: Vec<G1Affine> = (0..count).map(|at| pool[at % pool.len()]).collect();
        let of = |at: usize| match at % 7 {
            0 => 0,
            1 => 1,
            2 => u128::MAX,
            3 => 1 << 127,
            _ => u128::from_le_bytes(scalar("msm", at / 3).to_bytes()[..16].try_into().unwrap()),
        };
        let scalars: Vec<u128> = (0..count).map(of).collect();
        let want = points.iter().zip(&scalars).fold(G1::identity(), |sum, (p, k)| sum.add(&slow(p, *k)));
        assert!(msm(&points, &scalars) == want, "{count} points");
        let bytes: Vec<[u8; 16]> = scalars.iter().map(|k| k.to_le_bytes()).collect();
        assert!(msm_128(&points, &bytes) == want, "{count} points, blst");
    }
    // All the same point: every pair is a tangent, and sums meet their opposites.
    let same = vec![pool[0]; 100];
    let scalars: Vec<u128> = (0..100u128).map(|at| if at % 2 == 0 { at } else { u128::MAX - at }).collect();
    let want = scalars.iter().fold(G1::identity(), |sum, k| sum.add(&slow(&pool[0], *k)));
    assert!(msm(&same, &scalars) == want);
}

#[test]
fn many_items_under_the_same_scalars_are_summed_as_one_by_one() {
    let pool = pool();
    let mut lost = 0;
    for (scalars, items) in [(3, 2), (22, 9), (86, 5), (172, 3), (7, 19)] {
        let scalars: Vec<u128> = (0..scalars)
            .map(|at| u128::from_le_bytes(scalar("all", at).to_bytes()[..16].try_into().unwrap()))
            .collect();
        let at = |j: usize, item: usize| if item == 1 { pool[j % pool.len()] } else { point("all", j * 7 + item) };
        let got = msm_all(&scalars, items, |j, item| (item != 0 || j != 1).then(|| at(j, item)));
        assert!(got[0].is_none(), "a point of the first item is missing");
        for (item, got) in got.iter().enumerate().skip(1) {
            let points: Vec<G1Affine> = (0..scalars.len()).map(|j| at(j, item)).collect();
            let bytes: Vec<[u8; 16]> = scalars.iter().map(|k| k.to_le_bytes()).collect();
            // an item of equal and opposite points may be lost, and no other with it
            lost += usize::from(got.is_none() && item == 1);
            assert!(got.is_none_or(|got| got == msm_128(&points, &bytes)), "item {item}");
            assert!(got.is_some() || item == 1, "item {item} is lost");
        }
    }
    assert!((lost > 0) == Wide::get().is_some(), "{lost} lost");
    assert!(msm_all(&[1, 2], 0, |_, _| None).is_empty() && msm_all(&[], 2, |_, _| None).len() == 2);
    assert!(msm_all(&[5, 6], 8, |_, _| None).iter().all(Option::is_none));
    // nothing but zeros, and one point alone
    let zeros = msm_all(&[0, 0], 4, |j, item| Some(point("zeros", j + item)));
    assert!(zeros.iter().all(|sum| sum.is_some_and(|sum| sum.is_identity())));
    let ones = msm_all(&[1], 8, |_, item| Some(point("ones", item)));
    assert!((0..8).all(|item| ones[item] == Some(point("ones", item).point())));
}

#[test]
fn weighted_sums_are_plain_sums_or_lost() {
    let pool = pool();
    let count = TOGETHER + 40;
    // In lanes that start with a pair of equal or opposite points, the first sums meet a tangent or a vertical line.
    let at = |j: usize, lane: usize| pool[(j * 6 + lane * 7 + lane / 12) % pool.len()];
    let spread = vec![(true, 3), (false, 1), (true, 8_388_607), (false, 0)];
    for (weights, meet) in [(vec![(false, 3), (true, 3), (false, 1)], true), (spread, false)] {
        let got = weighted(&weights, count, |j, lane| Some(at(j, lane)));
        let mut lost = 0;
        for (lane, got) in got.iter().enumerate() {
            let product = |(j, (negative, weight)): (usize, &(bool, u128))| {
                let product = slow(&at(j, lane), *weight);
                if *negative { product.neg() } else { product }
            };
            let want = weights.iter().enumerate().map(product).fold(G1::identity(), |sum, product| sum.add(&product));
            match got {
                Some(got) => assert!(*got == want, "lane {lane}"),
                None => lost += 1,
            }
        }
        assert!(lost < count && (lost > 0 || !meet), "{lost} of {count} lanes lost");
    }
}

#[test]
fn tables_give_many_products_as_one_by_one() {
    let base = point("base", 0);
    let table = Table::new(&base);
    let mut scalars: Vec<Fr> = (0..TOGETHER + 5).map(|at| scalar("table", at)).collect();
    let one = Fr::reduce(&[1]);
    scalars.extend([Fr::default(), one, one.neg(), Fr::reduce(&[128]), Fr::reduce(&[129]), Fr::reduce(&[255, 255])]);
    for (scalar, got) in scalars.iter().zip(table.vartime_mul_all(&scalars)) {
        assert!(got == base.mul(scalar) && got == table.vartime_mul(scalar));
    }
}

#[test]
fn the_portable_way_gives_the_same() {
    portably(|| {
        secret_products_are_those_of_blst();
        sums_of_many_products_are_right_for_every_mix_of_points();
        weighted_sums_are_plain_sums_or_lost();
        many_items_under_the_same_scalars_are_summed_as_one_by_one();
        tables_give_many_products_as_one_by_one();
    });
}

#[test]
fn many_points_are_asked_for_their_subgroup_as_one_by_one() {
    let mut points = pool();
    points.extend((1..=30).map(stray_point));
    points.extend([11, 10_177, 859_267, 52_437_899].map(point_of_order));
    points.extend((0..9).map(|at| point("many", at)));
    let want: Vec<Option<G1Affine>> =
        points.iter().map(|point| point.times_z_in_group().map(|product| product.affine().unwrap())).collect();
    assert!(want.iter().flatten().count() > 10 && want.iter().filter(|product| product.is_none()).count() > 30);
    assert!(G1Affine::times_z_in_group_all(&points) == want);
    portably(|| assert!(G1Affine::times_z_in_group_all(&points) == want));
    assert!(G1Affine::times_z_in_group_all(&points[..2]) == want[..2]);
    assert!(G1Affine::times_z_in_group_all(&[]).is_empty());
}
