// Goal: CRY-1 and CRY-6 at the door. Method: one ciphertext per fault, every bit of one envelope, every analogue of the
// mauling that works on threshold_crypto, batches with planted bad ones.
use super::*;
use crate::{
    ffi::tests::{point_of_order, stray_point},
    vectors,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{format, string::String};

/// The field modulus, big-endian.
const MODULUS: &str =
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
/// The group order, little-endian.
const ORDER: &str = "01000000fffffffffe5bfeff02a4bd5305d8a10908d83933487d9d2953a7ed73";

fn with(ciphertext: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = ciphertext.to_vec();
    out[at..at + bytes.len()].copy_from_slice(bytes);
    out
}

/// Bytes that are no acceptable point, each with its fault.
fn bad_points() -> Vec<(&'static str, [u8; 48])> {
    let good = G1Affine::generator().compress();
    let first = |byte: u8| {
        let mut out = [0; 48];
        out[0] = byte;
        out
    };
    let mut modulus: [u8; 48] = hex::decode(MODULUS).unwrap().try_into().unwrap();
    modulus[0] |= 0x80;
    let mut above = modulus;
    above[47] += 3;
    let flags = |clear: u8, set: u8| {
        let mut out = good;
        out[0] = out[0] & !clear | set;
        out
    };
    let off_curve = (1..=255).map(|x| {
        let mut out = first(0x80);
        out[47] = x;
        out
    });
    std::vec![
        ("identity", first(0xc0)),
        ("identity_with_sign", first(0xe0)),
        ("x_zero", first(0x80)),
        ("x_zero_with_sign", first(0xa0)),
        ("all_zero", first(0)),
        ("x_is_modulus", modulus),
        ("x_above_modulus", above),
        ("not_compressed", flags(0x80, 0)),
        ("infinity_flag", flags(0, 0x40)),
        ("off_curve", off_curve.into_iter().find(|x| G1Affine::uncompress(x).is_none()).unwrap()),
    ]
}

/// Every fault, with the verdict of admission.
fn faults(key: &EncryptionKey) -> Vec<(String, Vec<u8>, AdmitError)> {
    let good = sealed(key, 1);
    let mut out = Vec::new();
    for (point, at) in [("u", 0), ("v", 48), ("w", 96), ("x", 144)] {
        for (fault, bytes) in bad_points() {
            out.push((format!("{point}_{fault}"), with(&good, at, &bytes), AdmitError::Point));
        }
        let swapped = with(&good, at, &G1Affine::generator().compress());
        out.push((format!("{point}_is_generator"), swapped, AdmitError::Proof));
    }
    let order = hex::decode(ORDER).unwrap();
    out.push(("z_is_order".into(), with(&good, 192, &order), AdmitError::Scalar));
    out.push(("z_all_ones".into(), with(&good, 192, &[0xff; 32]), AdmitError::Scalar));
    out.push(("z_zero".into(), with(&good, 192, &[0; 32]), AdmitError::Proof));
    let torsion = point_of_order(11);
    let shifted =
        torsion.point().add(&G1Affine::uncompress(good[..48].try_into().unwrap()).unwrap().point()).compress();
    out.push(("u_of_order_11".into(), with(&good, 0, &torsion.compress()), AdmitError::Subgroup));
    out.push(("u_of_order_10177".into(), with(&good, 0, &point_of_order(10_177).compress()), AdmitError::Subgroup));
    out.push(("u_plus_torsion".into(), with(&good, 0, &shifted), AdmitError::Subgroup));
    out.push(("u_outside_subgroup".into(), with(&good, 0, &stray_point(1).compress()), AdmitError::Subgroup));
    // Torsion that the challenge does not cover: V was changed after the proof was made.
    let v = G1Affine::uncompress(good[48..96].try_into().unwrap()).unwrap();
    let late = torsion.point().add(&v.point()).compress();
    out.push(("v_plus_torsion_after_the_proof".into(), with(&good, 48, &late), AdmitError::Proof));
    out.push(("body_longer".into(), [&good[..], &[0]].concat(), AdmitError::Length));
    out.push(("body_shorter".into(), good[..767].to_vec(), AdmitError::Length));
    out.push(("nothing".into(), Vec::new(), AdmitError::Length));
    out.push(("no_body".into(), good[..240].to_vec(), AdmitError::Length));
    out.push(("c1_changed".into(), with(&good, 224, &[0; 16]), AdmitError::Proof));
    out.push(("body_changed".into(), with(&good, 240, &[0; 16]), AdmitError::Proof));
    out.push(("tag_changed".into(), with(&good, 752, &[0; 16]), AdmitError::Proof));
    // Commitments that do not belong together: W and X of another proof, and V of another r.
    let other = sealed(key, 2);
    out.push(("commitments_of_another".into(), with(&good, 96, &other[96..192]), AdmitError::Proof));
    out.push(("proof_of_another".into(), with(&good, 96, &other[96..224]), AdmitError::Proof));
    out.push(("v_of_another".into(), with(&good, 48, &other[48..96]), AdmitError::Proof));
    out
}

#[test]
fn cry_6_every_fault_has_its_word() {
    let key = key_of(7);
    let mut cases: Vec<Value> = Vec::new();
    for (name, ciphertext, want) in faults(&key) {
        assert_eq!(admit_one(&key, item(&ciphertext)).err(), Some(want), "{name}");
        cases.push(json!({ "name": name, "ciphertext": vectors::text(&ciphertext), "reason": want.name() }));
    }
    let value = json!({ "x": 7, "aad": vectors::text(AAD), "class": 512, "cases": cases });
    vectors::ours("tests/vectors/crypto", "bad.json", &value);
    let names: Vec<&str> =
        [AdmitError::Length, AdmitError::Point, AdmitError::Scalar, AdmitError::Subgroup, AdmitError::Proof]
            .map(AdmitError::name)
            .into();
    assert_eq!(names, ["LENGTH", "POINT", "SCALAR", "SUBGROUP", "PROOF"]);
}

#[test]
fn cry_1_every_bit_of_an_envelope_and_of_its_header_is_covered() {
    let key = key_of(7);
    let good = sealed(&key, 1);
    assert!(admit_one(&key, item(&good)).is_ok());
    // All bits of points, scalar and c1; of the body one in 17.
    let bits = (0..240 * 8).step_by(3).chain((240 * 8..768 * 8).step_by(17));
    for bit in bits {
        let mut spoilt = good.clone();
        spoilt[bit / 8] ^= 1 << (bit % 8);
        assert!(admit_one(&key, item(&spoilt)).is_err(), "bit {bit}");
    }
    for bit in 0..AAD.len() * 8 {
        let mut aad = AAD.to_vec();
        aad[bit / 8] ^= 1 << (bit % 8);
        let verdict = admit_one(&key, Item { aad: &aad, class_bytes: 512, ciphertext: &good });
        assert_eq!(verdict, Err(AdmitError::Proof), "header bit {bit}");
    }
    // Kind swapped, header longer, key of another network, class of another size.
    let kind_two = [&[2][..], &AAD[1..]].concat();
    assert!(admit_one(&key, Item { aad: &kind_two, ..item(&good) }).is_err());
    assert!(admit_one(&key, Item { aad: b"", ..item(&good) }).is_err());
    assert_eq!(admit_one(&key_of(8), item(&good)), Err(AdmitError::Proof));
    assert_eq!(admit_one(&key, Item { class_bytes: 2_048, ..item(&good) }), Err(AdmitError::Length));
}

#[test]
fn mauled_ciphertexts_are_refused() {
    // U kept: the sender's proof does not follow to another header, c1 or body, nor can W, X and z be made anew.
    let key = key_of(7);
    let good = sealed(&key, 1);
    let parts = Parts::split(&good, 512).unwrap();
    let point = |bytes| G1Affine::uncompress(bytes).unwrap().point();
    let generator = G1Affine::generator();
    // Everything shifted by a known t: s' = s + t.
    let t = fr(99);
    let w = point(parts.w).add(&generator.mul(&t)).compress();
    let x = point(parts.x).add(&key.gbar.mul(&t)).compress();
    let z = Fr::from_canonical(parts.z).unwrap().add(&t).to_bytes();
    let shifted = [&good[..96], &w, &x, &z, &good[224..]].concat();
    assert_eq!(admit_one(&key, item(&shifted)), Err(AdmitError::Proof));
    // r scaled by 2, so that D doubles.
    let u = point(parts.u).double().compress();
    let v = point(parts.v).double().compress();
    let doubled = [&u[..], &v, &good[96..]].concat();
    assert_eq!(admit_one(&key, item(&doubled)), Err(AdmitError::Proof));
    // Mask and body exchanged for those of another, proof kept.
    let other = sealed(&key, 2);
    let spliced = [&good[..224], &other[224..]].concat();
    assert_eq!(admit_one(&key, item(&spliced)), Err(AdmitError::Proof));
}

#[test]
fn torsion_cannot_hide_a_false_proof() {
    // A prover without r answers e z - W by torsion: only points of small order are killed by h, nothing else.
    let key = key_of(7);
    let mut bad = sealed(&key, 1);
    bad[96..144].copy_from_slice(&point_of_order(11).compress());
    bad[144..192].copy_from_slice(&point_of_order(10_177).compress());
    assert_eq!(admit_one(&key, item(&bad)), Err(AdmitError::Proof));
    // Many such in one batch, so that products of torsion meet in it.
    let many: Vec<Item<'_>> = (0..20).map(|_| item(&bad)).collect();
    assert!(admit(&key, &many, SEED).iter().all(|verdict| *verdict == Err(AdmitError::Proof)));
}

#[test]
fn batches_larger_than_the_limit_are_split() {
    let key = key_of(7);
    let good = sealed(&key, 1);
    let mut bad = good.clone();
    bad[300] ^= 1;
    let items: Vec<Item<'_>> = (0..520).map(|at| item(if at == 515 { &bad } else { &good })).collect();
    let verdicts = admit(&key, &items, SEED);
    let failing: Vec<usize> = (0..520).filter(|at| verdicts[*at].is_err()).collect();
    assert_eq!(failing, [515]);
    assert!(admit(&key, &[], SEED).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// CRY-1: a batch's verdicts are the single ones, whatever stands in it, in whatever order.
    #[test]
    fn cry_1_batch_verdicts_are_single_verdicts(picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..40), seed: [u8; 32]) {
        let key = key_of(7);
        let mut pool: Vec<Vec<u8>> = faults(&key).into_iter().map(|(_, ciphertext, _)| ciphertext).collect();
        let bad = pool.len();
        pool.extend((0..bad).map(|at| sealed(&key, u8::try_from(at % 5).unwrap())));
        pool.push(craft(&key, &Craft { torsion: [Some(point_of_order(11)); 3], ..Craft::default() }));
        let chosen: Vec<&Vec<u8>> = picks.iter().map(|pick| pick.get(&pool)).collect();
        let items: Vec<Item<'_>> = chosen.iter().map(|ciphertext| item(ciphertext)).collect();
        let single: Vec<_> = items.iter().map(|item| admit_one(&key, *item)).collect();
        prop_assert_eq!(admit(&key, &items, seed), single);
    }
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..800), class in 0usize..600) {
        let key = key_of(7);
        let verdict = admit_one(&key, Item { aad: AAD, class_bytes: class, ciphertext: &bytes });
        prop_assert!(verdict.is_err());
    }
}

#[test]
fn cry_1_verdicts_do_not_depend_on_the_machine() {
    crate::ffi::tests::portably(|| {
        cry_1_batch_verdicts_are_single_verdicts();
        cry_6_every_fault_has_its_word();
        batches_larger_than_the_limit_are_split();
    });
}
