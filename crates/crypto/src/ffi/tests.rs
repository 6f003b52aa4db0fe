// Goal: the wrappers are the group laws that they claim, for every point that can reach them, and the encodings are
// exactly the canonical ones. Method: RFC 9380's and Ethereum's vectors; products against double-and-add on points
// inside and outside the subgroup, of small order, repeated and opposite.
use super::*;
use crate::vectors;
use serde_json::Value;
use std::{string::String, vec::Vec};

const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
/// Cofactor of G1 = 3 x 11^2 x 10177^2 x 859267^2 x 52437899^2.
const G1_COFACTOR: u128 = 0x396c_8c00_5555_e156_8c00_aaab_0000_aaab;

/// Double-and-add over big-endian bytes: right for every point.
pub(crate) fn slow_mul(point: &G1, scalar: &[u8]) -> G1 {
    scalar.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).fold(G1::identity(), |sum, bit| {
        let doubled = sum.double();
        if bit == 1 { doubled.add(point) } else { doubled }
    })
}

std::thread_local! {
    static PORTABLE: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn is_portable() -> bool {
    PORTABLE.get()
}

/// On a machine without vectors: what they do is not tested.
pub(crate) fn say_if_narrow() {
    if Wide::get().is_none() {
        std::println!("SKIPPED avx512: this machine has none");
    }
}

/// Runs a test without vectors, as on a machine that has none.
pub(crate) fn portably(test: impl FnOnce()) {
    PORTABLE.set(true);
    test();
    PORTABLE.set(false);
}

/// A point of the curve outside the subgroup.
pub(crate) fn stray_point(start: u8) -> G1Affine {
    let mut bytes = [0; 48];
    bytes[0] = COMPRESSED_FLAG;
    for x in start..=255 {
        bytes[47] = x;
        if let Some(point) = G1Affine::uncompress(&bytes).filter(|point| !point.in_group()) {
            return point;
        }
    }
    panic!("no point");
}

/// A point of order `prime`, one of the squared primes of the cofactor.
pub(crate) fn point_of_order(prime: u128) -> G1Affine {
    for start in 1..=255 {
        let cleared = slow_mul(&stray_point(start).point(), &hex::decode(ORDER).unwrap());
        let point = slow_mul(&cleared, &(G1_COFACTOR / prime / prime).to_be_bytes());
        if let Some(point) = point.affine() {
            assert!(slow_mul(&point.point(), &prime.to_be_bytes()).is_identity());
            return point;
        }
    }
    panic!("no point of order {prime}");
}

fn fr(value: u64) -> Fr {
    Fr::reduce(&value.to_le_bytes())
}

#[test]
fn scalars_are_canonical_and_form_a_field() {
    let mut order: [u8; 32] = hex::decode(ORDER).unwrap().try_into().unwrap();
    order.reverse();
    assert!(Fr::from_canonical(&order).is_none());
    assert!(Fr::from_canonical(&[0xff; 32]).is_none());
    assert!(Fr::reduce(&order).is_zero());
    order[0] -= 1;
    let last = Fr::from_canonical(&order).unwrap();
    assert!(last == fr(1).neg() && last.to_bytes() == order);
    assert!(fr(6).mul(&fr(7)) == fr(42) && fr(5).sub(&fr(7)) == fr(2).neg() && fr(5).add(&fr(7)) == fr(12));
    assert!(fr(12_345).mul(&fr(12_345).inverse()) == fr(1) && fr(0).inverse().is_zero());
    // 2^256 mod order, from 33 bytes.
    let mut wide = [0; 33];
    wide[32] = 1;
    let half = Fr::reduce(&[&[0; 16][..], &[1]].concat());
    assert!(Fr::reduce(&wide) == half.mul(&half));
}

#[test]
fn the_second_base_is_the_one_of_the_design() {
    let gbar = crate::keys::second_base().unwrap();
    let want = "852d2f9d577eca2be3e34e0f8b1e8ce514302446e46efcee399b31c767ccd63010b812bd8f69c4b4522adc1edc5d337b";
    assert_eq!(hex::encode(gbar.compress()), want);
    assert!(gbar.in_group());
}

#[test]
fn products_are_repeated_additions() {
    let base = G1Affine::generator();
    let table = Table::new(&base);
    for scalar in [0u64, 1, 2, 255, 256, 257, u64::MAX] {
        let want = slow_mul(&base.point(), &scalar.to_be_bytes());
        assert!(base.mul(&fr(scalar)) == want, "{scalar}");
        assert!(table.vartime_mul(&fr(scalar)) == want, "{scalar} by table");
    }
    let large = fr(3).neg().mul(&fr(u64::MAX));
    let mut bytes = large.to_bytes();
    bytes.reverse();
    assert!(base.mul(&large) == slow_mul(&base.point(), &bytes));
    assert!(table.vartime_mul(&large) == base.mul(&large));
}

#[test]
fn the_cofactor_is_cleared_outside_the_subgroup() {
    let stray = stray_point(1);
    let cleared = stray.point().mul_cofactor();
    assert!(cleared == slow_mul(&stray.point(), &COFACTOR.to_be_bytes()));
    assert!(cleared.affine().unwrap().in_group());
    for prime in [11, 10_177, 859_267, 52_437_899] {
        let point = point_of_order(prime);
        assert!(!point.in_group());
        assert!(point.point().mul_cofactor().is_identity(), "order {prime}");
    }
}

#[test]
fn sums_of_products_are_right_for_every_mix_of_points() {
    let generator = G1Affine::generator();
    let opposite = generator.point().neg().affine().unwrap();
    let pool = [
        generator,
        generator,
        point_of_order(11),
        opposite,
        stray_point(9),
        point_of_order(11),
        point_of_order(10_177),
        generator.mul(&fr(77)).affine().unwrap(),
        slow_mul(&point_of_order(11).point(), &[10]).affine().unwrap(),
        point_of_order(11).point().add(&generator.point()).affine().unwrap(),
    ];
    // Around 32 points blst changes its method.
    for count in (0..12).chain([30, 31, 32, 33, 64, 65, 130]) {
        let points: Vec<G1Affine> = pool.iter().cycle().take(count).copied().collect();
        let (mut long, mut short) = (Vec::new(), Vec::new());
        for at in 0..count {
            // Runs of equal scalars, small ones, and -1, so that partial sums meet.
            let scalar = [fr(1), fr(1), fr(11), fr(1).neg(), fr(0), fr(u64::MAX).mul(&fr(at as u64))][at % 6];
            long.push(scalar.to_bytes());
            short.push(
                <[u8; 16]>::try_from(&Fr::reduce(&(at as u64 * 0x0101_0101).to_le_bytes()).to_bytes()[..16]).unwrap(),
            );
        }
        let sum = |scalars: &mut dyn Iterator<Item = Vec<u8>>| {
            points.iter().zip(scalars).fold(G1::identity(), |sum, (point, mut scalar)| {
                scalar.reverse();
                sum.add(&slow_mul(&point.point(), &scalar))
            })
        };
        assert!(msm_255(&points, &long) == sum(&mut long.iter().map(|s| s.to_vec())), "{count} points, 255 bits");
        assert!(msm_128(&points, &short) == sum(&mut short.iter().map(|s| s.to_vec())), "{count} points, 128 bits");
        let all_ones: Vec<[u8; 16]> = points.iter().map(|_| [0xff; 16]).collect();
        assert!(
            msm_128(&points, &all_ones) == sum(&mut all_ones.iter().map(|s| s.to_vec())),
            "{count} points, all ones"
        );
    }
}

#[test]
fn many_points_compress_as_one_by_one() {
    let base = G1Affine::generator().point();
    let points: Vec<G1> = (0..20)
        .scan(G1::identity(), |sum, _| {
            *sum = sum.add(&base);
            Some(*sum)
        })
        .collect();
    let want: Vec<[u8; 48]> = points.iter().map(G1::compress).collect();
    assert_eq!(G1::compress_all(&points), want);
    assert!(G1::compress_all(&[]).is_empty());
}

#[test]
fn cry_6_identity_and_x_zero_are_refused_in_every_encoding() {
    let mut compressed = [0; 48];
    let mut raw = [0; 96];
    for first in [0x00, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0] {
        compressed[0] = first;
        raw[0] = first;
        assert!(G1Affine::uncompress(&compressed).is_none(), "{first:#x}");
        assert!(G1Affine::from_raw(&raw).is_none(), "{first:#x}");
        assert!(G2Affine::uncompress(&raw).is_none(), "{first:#x}");
    }
    // x = 0, y = 2 is on the curve, of order 3.
    raw[0] = 0;
    raw[95] = 2;
    assert!(G1Affine::from_raw(&raw).is_none());
    // A compressed point in the first half of 96 bytes is no uncompressed one.
    let mut mixed = [0; 96];
    mixed[..48].copy_from_slice(&G1Affine::generator().compress());
    assert!(G1Affine::from_raw(&mixed).is_none());
    let point = G1Affine::generator();
    assert!(G1Affine::from_raw(&point.raw()) == Some(point));
    let mut off = point.raw();
    off[95] ^= 1;
    assert!(G1Affine::from_raw(&off).is_none());
}

#[test]
fn pairings_compare_secrets() {
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    let (a, b) = (g1.mul(&fr(5)), g2.point().mul(&fr(5)).affine().unwrap());
    assert!(pairings_equal(&a, &g2, &g1.point(), &b));
    assert!(!pairings_equal(&a.double(), &g2, &g1.point(), &b));
    assert!(!pairings_equal(&G1::identity(), &g2, &g1.point(), &b));
    assert!(!pairings_equal(&a, &g2, &G1::identity(), &b));
    assert!(pairings_equal(&G1::identity(), &g2, &G1::identity(), &b));
}

fn coordinates(value: &Value) -> Vec<u8> {
    // Extension elements come as "c0,c1"; encodings put c1 first.
    let text = value.as_str().unwrap();
    text.rsplit(',').flat_map(|part| hex::decode(part.strip_prefix("0x").unwrap()).unwrap()).collect()
}

fn compressed(x: &Value, y: &Value) -> Vec<u8> {
    let (x, y) = (coordinates(x), coordinates(y));
    let p = hex::decode(concat!(
        "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624",
        "1eabfffeb153ffffb9feffffffffaaab"
    ))
    .unwrap();
    // y is the larger of the two roots when 2 y > p, decided by the most significant coefficient that is not zero.
    let deciding = y.chunks(48).find(|part| part.iter().any(|byte| *byte != 0)).unwrap();
    let doubled = slow_double(deciding);
    let mut out = x;
    out[0] |= if doubled > p { 0xa0 } else { 0x80 };
    out
}

fn slow_double(bytes: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut out: Vec<u8> = bytes
        .iter()
        .rev()
        .map(|byte| {
            let bit = carry;
            carry = byte >> 7;
            byte << 1 | bit
        })
        .collect();
    out.reverse();
    out
}

#[test]
fn rfc_9380_hash_to_curve() {
    let (g1, g2) = ("BLS12381G1_XMD:SHA-256_SSWU_RO_.json", "BLS12381G2_XMD:SHA-256_SSWU_RO_.json");
    let files = vectors::json("tests/vectors/hash-to-curve", &[g1, g2]);
    for (name, file) in &files {
        let dst = file["dst"].as_str().unwrap().as_bytes();
        let cases = file["vectors"].as_array().unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let message = case["msg"].as_str().unwrap().as_bytes();
            let want = compressed(&case["P"]["x"], &case["P"]["y"]);
            let got = if name == g1 {
                G1::hash(message, dst).affine().unwrap().compress().to_vec()
            } else {
                G2::hash(message, dst).affine().unwrap().compress().to_vec()
            };
            assert_eq!(hex::encode(got), hex::encode(want), "{name}");
        }
    }
}

const POP_DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = key.try_into().ok().and_then(G1Affine::uncompress).filter(G1Affine::in_group);
    let signature = signature.try_into().ok().and_then(G2Affine::uncompress).filter(G2Affine::in_group);
    let (Some(key), Some(signature)) = (key, signature) else { return false };
    let hashed = G2::hash(message, POP_DST).affine().unwrap();
    pairings_equal(&G1Affine::generator().point(), &signature, &key.point(), &hashed)
}

#[test]
fn ethereum_bls_vectors() {
    let folders = ["deserialization_G1", "deserialization_G2", "hash_to_G2", "sign", "verify"];
    assert_eq!(vectors::folders("tests/vectors/bls12-381-tests"), folders);
    let read = |folder: &str| vectors::all(&std::format!("tests/vectors/bls12-381-tests/{folder}"));
    for (name, case) in read("sign") {
        let mut secret: [u8; 32] = vectors::hex(&case["input"]["privkey"]).try_into().unwrap();
        secret.reverse();
        let secret = Fr::from_canonical(&secret).filter(|secret| !secret.is_zero());
        let message = vectors::hex(&case["input"]["message"]);
        let signature = secret.map(|secret| G2::hash(&message, POP_DST).mul(&secret).affine().unwrap().compress());
        assert_eq!(signature.map(|bytes| vectors::text(&bytes)).unwrap_or(Value::Null), case["output"], "{name}");
    }
    for (name, case) in read("verify") {
        let field = |field: &str| vectors::hex(&case["input"][field]);
        assert_eq!(verifies(&field("pubkey"), &field("message"), &field("signature")), case["output"], "{name}");
    }
    for (name, case) in read("hash_to_G2") {
        let dst = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";
        let message = case["input"]["msg"].as_str().unwrap().as_bytes();
        let got = G2::hash(message, dst).affine().unwrap().compress();
        assert_eq!(hex::encode(got), hex::encode(compressed(&case["output"]["x"], &case["output"]["y"])), "{name}");
    }
    // Stricter than Ethereum in one point: the identity is refused (CRY-6).
    let expected = |name: &String, case: &Value| case["output"] == true && !name.contains("infinity");
    for (name, case) in read("deserialization_G1") {
        let bytes: Option<[u8; 48]> = vectors::hex(&case["input"]["pubkey"]).try_into().ok();
        let point = bytes.and_then(|bytes| G1Affine::uncompress(&bytes)).filter(G1Affine::in_group);
        assert_eq!(point.is_some(), expected(&name, &case), "{name}");
    }
    for (name, case) in read("deserialization_G2") {
        let bytes: Option<[u8; 96]> = vectors::hex(&case["input"]["signature"]).try_into().ok();
        let point = bytes.and_then(|bytes| G2Affine::uncompress(&bytes)).filter(G2Affine::in_group);
        assert_eq!(point.is_some(), expected(&name, &case), "{name}");
    }
}
