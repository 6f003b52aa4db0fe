// Goal: CRY-4 and CRY-5. Method: every choice of q members opens to the same, whatever sender and members did; fewer
// open nothing; bad shares are named; published openings are accepted exactly if they are the ones.
use super::*;
use crate::{ffi::tests::point_of_order, tdh2::reveal::CHECKS, vectors};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::vec;
use types::{Key128, Opening};

/// Every way to take `q` of the messages.
fn choices<T: Clone>(all: &[T], q: usize) -> Vec<Vec<T>> {
    (0..1u32 << all.len())
        .filter(|mask| mask.count_ones() as usize == q)
        .map(|mask| (0..all.len()).filter(|at| mask >> at & 1 == 1).map(|at| all[at].clone()).collect())
        .collect()
}

fn odd_senders(key: &EncryptionKey) -> Vec<(&'static str, Craft)> {
    let torsion = Some(point_of_order(11));
    let shared = key.pk.mul(&crafted_r(key));
    let mut long = vec![0xff; 512];
    long[3] = 0;
    vec![
        ("torsion_in_v_w_x", Craft { torsion: [torsion; 3], ..Craft::default() }),
        ("torsion_in_v", Craft { torsion: [Some(point_of_order(10_177)), None, None], ..Craft::default() }),
        ("s_drawn_freely", Craft { s: Some(fr(123_456)), ..Craft::default() }),
        ("c1_random", Craft { c1: Some([0x77; 16]), ..Craft::default() }),
        ("c1_for_d_plus_torsion", Craft { shared: Some(shared.add(&point_of_order(11).point())), ..Craft::default() }),
        ("c1_for_another_d", Craft { shared: Some(shared.double()), ..Craft::default() }),
        ("padding_not_zero", Craft { message: Some(vec![1; 512]), ..Craft::default() }),
        ("padding_length_too_large", Craft { message: Some(long), ..Craft::default() }),
    ]
}

fn is_bottom(opening: &Opening) -> bool {
    matches!(opening, Opening::Bottom(_))
}

#[test]
fn cry_4_any_q_of_n_open_to_the_same_and_fewer_never() {
    for (n, f) in [(4, 1), (7, 2)] {
        let committee = Committee::new(n, f);
        let mut ciphertexts: Vec<Vec<u8>> = (1..4).map(|byte| sealed(committee.key(), byte)).collect();
        ciphertexts.push(craft(committee.key(), &Craft { c1: Some([3; 16]), ..Craft::default() }));
        let admitted = admit_all(committee.key(), &ciphertexts);
        let (items, shares) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
        let q = usize::from(committee.keys.q());
        let all = reveal(&committee.keys, &items, &shares, SEED).unwrap();
        assert!(all.culprits.is_empty());
        for (byte, plaintext) in (1..4u8).zip(&all.plaintexts) {
            assert_eq!(unpad(plaintext.as_ref().unwrap()), Some(&[byte; 20][..]));
        }
        assert!(is_bottom(&all.openings[3]) && all.plaintexts[3].is_none());
        for some in choices(&shares, q) {
            assert_eq!(reveal(&committee.keys, &items, &some, [1; 32]), Ok(all.clone()));
        }
        for few in choices(&shares, q - 1) {
            assert_eq!(reveal(&committee.keys, &items, &few, SEED), Err(RevealError::NeedMore { culprits: vec![] }));
        }
        // Combining fewer as if they were enough gives another point.
        let members: Vec<MemberId> = shares[..q - 1].iter().map(|(member, _)| *member).collect();
        let points: Vec<G1Affine> = shares[..q - 1].iter().map(|(_, points)| points[0].0).collect();
        let guess = crate::weights::Weights::new(&members).combine_g1(&points);
        let parts = Parts::split(&ciphertexts[0], 512).unwrap();
        assert!(!reveal::opens_with(committee.key(), &items[0].0, &parts, admitted[0].u(), &guess));
        let verdicts = check_openings(
            &committee.keys,
            &items.iter().map(|(item, _)| *item).collect::<Vec<_>>(),
            &all.openings,
            SEED,
        );
        let plaintexts: Vec<_> = verdicts.into_iter().map(Result::unwrap).collect();
        assert_eq!(plaintexts, all.plaintexts);
    }
}

#[test]
fn sixteen_members_open() {
    let committee = Committee::new(16, 5);
    let ciphertexts = [sealed(committee.key(), 1)];
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, shares) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let all = reveal(&committee.keys, &items, &shares, SEED).unwrap();
    // Spread out, so that the weights have a denominator.
    let some: Vec<_> = shares.iter().filter(|(member, _)| ![1, 4, 8, 11, 14].contains(&member.0)).cloned().collect();
    assert_eq!(reveal(&committee.keys, &items, &some, SEED), Ok(all));
}

#[test]
fn an_empty_slot_reveals_nothing() {
    let committee = Committee::new(4, 1);
    let shares = committee.shares(&[]);
    let reveal = reveal(&committee.keys, &[], &shares, SEED).unwrap();
    assert!(reveal.openings.is_empty() && reveal.culprits.is_empty());
}

#[test]
fn odd_but_valid_ciphertexts_have_one_opening() {
    let committee = Committee::new(4, 1);
    let key = committee.key();
    let mut cases: Vec<Value> = Vec::new();
    for (name, odd) in odd_senders(key) {
        let ciphertexts = [craft(key, &odd)];
        let admitted = admit_all(key, &ciphertexts);
        let (items, shares) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
        let all = reveal(&committee.keys, &items, &shares, SEED).unwrap();
        for some in choices(&shares, 3) {
            assert_eq!(reveal(&committee.keys, &items, &some, SEED).unwrap(), all, "{name}");
        }
        assert_eq!(is_bottom(&all.openings[0]), name.starts_with("c1"), "{name}");
        assert_eq!(
            name.starts_with("padding"),
            all.plaintexts[0].as_ref().is_some_and(|p| unpad(p).is_none()),
            "{name}"
        );
        let verdict = check_openings(&committee.keys, &[item(&ciphertexts[0])], &all.openings, SEED).remove(0);
        assert_eq!(verdict.as_ref(), Ok(&all.plaintexts[0]), "{name}");
        let opening = match all.openings[0] {
            Opening::Key(k) => json!({ "key": vectors::text(&k.0) }),
            Opening::Bottom(d) => json!({ "bottom": vectors::text(&d.0) }),
        };
        cases.push(json!({ "name": name, "ciphertext": vectors::text(&ciphertexts[0]), "opening": opening }));
    }
    let shares: Vec<Value> = committee.dealt.decrypt.iter().map(|key| vectors::text(&key.0.to_bytes())).collect();
    let commitments: Vec<Value> = committee.dealt.parts.decrypt.iter().map(|c| vectors::text(&c.0)).collect();
    let value = json!({
        "commitments": commitments, "publicKeyG2": vectors::text(&committee.dealt.parts.decrypt_g2.0), "shares": shares,
        "aad": vectors::text(AAD), "class": 512, "cases": cases,
    });
    vectors::ours("tests/vectors/crypto", "odd.json", &value);
}

/// What a bad member sends instead of its share of the first item.
fn bad_shares(shares: &[(MemberId, Vec<SharePoint>)], member: usize) -> Vec<(&'static str, SharePoint)> {
    let point = shares[member].1[0].0.point();
    let share = |point: G1| SharePoint(point.affine().unwrap());
    vec![
        ("of another item", shares[member].1[1]),
        ("of another member", shares[(member + 1) % shares.len()].1[0]),
        ("doubled", share(point.double())),
        ("negated", share(point.neg())),
        ("with torsion", share(point.add(&point_of_order(11).point()))),
        ("of order 11", SharePoint(point_of_order(11))),
    ]
}

#[test]
fn cry_5_a_bad_share_is_pinned_on_its_sender_and_survived() {
    let committee = Committee::new(4, 1);
    let ciphertexts = [
        sealed(committee.key(), 1),
        sealed(committee.key(), 2),
        craft(committee.key(), &Craft { c1: Some([9; 16]), ..Craft::default() }),
    ];
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, good) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let want = reveal(&committee.keys, &items, &good, SEED).unwrap();
    for member in 0..4 {
        for (fault, share) in bad_shares(&good, member) {
            let mut shares = good.clone();
            shares[member].1[0] = share;
            let id = MemberId(u16::try_from(member).unwrap());
            let got = reveal(&committee.keys, &items, &shares, SEED).unwrap();
            assert_eq!((&got.openings, &got.plaintexts), (&want.openings, &want.plaintexts), "{fault}");
            // The last member's share is not needed, so it is not looked at.
            assert_eq!(got.culprits, if member == 3 { vec![] } else { vec![id] }, "{fault}");
            // With exactly q messages there is nobody to go on with: the culprit is named all the same.
            for some in choices(&shares, 3) {
                let culprits = if some.iter().any(|(member, _)| *member == id) { vec![id] } else { continue };
                assert_eq!(
                    reveal(&committee.keys, &items, &some, SEED),
                    Err(RevealError::NeedMore { culprits }),
                    "{fault}"
                );
            }
        }
    }
}

#[test]
fn cry_5_f_bad_members_of_seven_are_named() {
    let committee = Committee::new(7, 2);
    let ciphertexts = [sealed(committee.key(), 1), sealed(committee.key(), 2)];
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, mut shares) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let want = reveal(&committee.keys, &items, &shares, SEED).unwrap();
    // One spoils the first item, one the second.
    shares[1].1[0] = shares[1].1[1];
    shares[3].1[1] = shares[3].1[0];
    let got = reveal(&committee.keys, &items, &shares, SEED).unwrap();
    assert_eq!((got.openings, got.culprits), (want.openings, vec![MemberId(1), MemberId(3)]));
    shares[5].1[1] = shares[5].1[0];
    let culprits = vec![MemberId(1), MemberId(3), MemberId(5)];
    // Found two at a time; the third only when it is in the way.
    assert_eq!(reveal(&committee.keys, &items, &shares, SEED), Err(RevealError::NeedMore { culprits }));
}

#[test]
fn cry_5_bad_shares_are_pinned_where_items_are_combined_side_by_side() {
    let committee = Committee::new(31, 10);
    let mut ciphertexts: Vec<Vec<u8>> = (1..10).map(|byte| sealed(committee.key(), byte)).collect();
    ciphertexts.push(craft(committee.key(), &Craft { c1: Some([9; 16]), ..Craft::default() }));
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, good) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let want = reveal(&committee.keys, &items, &good, SEED).unwrap();
    assert!(want.culprits.is_empty() && want.plaintexts.iter().flatten().count() == 9);
    // the first q in a row, and members with gaps between them
    let spread: Vec<_> = good.iter().filter(|(member, _)| member.0 % 4 != 1).cloned().collect();
    for arrived in [good.clone(), spread] {
        let bad = arrived[2].0;
        for (fault, share) in bad_shares(&good, bad.0.into()) {
            let mut shares = arrived.clone();
            shares[2].1[0] = share;
            let got = reveal(&committee.keys, &items, &shares, SEED).unwrap();
            assert_eq!((&got.openings, &got.plaintexts), (&want.openings, &want.plaintexts), "{fault}");
            // torsion of order 11 is gone where the weight is a multiple of 11: then it was not in the way
            let harmless = fault == "with torsion" && got.culprits.is_empty();
            assert!(got.culprits == [bad] || harmless, "{fault}: {:?}", got.culprits);
        }
        // all shares of another, and the opposites of them
        for negative in [false, true] {
            let mut shares = arrived.clone();
            let other = shares[0].1.iter().map(|share| if negative { share.0.neg() } else { share.0 });
            shares[2].1 = other.map(SharePoint).collect();
            let got = reveal(&committee.keys, &items, &shares, SEED).unwrap();
            assert_eq!((got.openings, got.culprits), (want.openings.clone(), vec![bad]));
        }
    }
}

#[test]
fn members_that_spoil_everything_cost_one_check_each() {
    let committee = Committee::new(16, 5);
    let mut ciphertexts: Vec<Vec<u8>> = (1..20).map(|byte| sealed(committee.key(), byte)).collect();
    ciphertexts.push(craft(committee.key(), &Craft { c1: Some([9; 16]), ..Craft::default() }));
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, good) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let want = reveal(&committee.keys, &items, &good, SEED).unwrap();
    let checks = |shares: &[(MemberId, Vec<SharePoint>)]| {
        let before = CHECKS.get();
        let got = reveal(&committee.keys, &items, shares, SEED).unwrap();
        assert_eq!(got.openings, want.openings);
        (CHECKS.get() - before, got.culprits)
    };
    assert_eq!(checks(&good), (1, vec![]), "what does not open, at once");
    let mut shares = good.clone();
    for member in 0..5 {
        // the first spoils all, the others some
        for at in member..20 {
            shares[member].1[at] = good[(member + 1) % 5].1[at];
        }
    }
    let (spent, culprits) = checks(&shares);
    assert_eq!(culprits, (0..5).map(MemberId).collect::<Vec<_>>());
    // each member at most once, and all together after each time that some are left out
    assert!(spent <= 16 + 6, "{spent} checks");
    // to show one of them takes one check more per halving
    let before = CHECKS.get();
    let bad = bad_share(&committee.keys, MemberId(3), admitted.iter(), &shares[3].1, &SEED);
    assert_eq!((bad, CHECKS.get() - before <= 1 + 5), (Some(3), true));
}

#[test]
fn the_first_bad_share_is_found_inside_and_outside_the_group() {
    let committee = Committee::new(4, 1);
    let ciphertexts: Vec<Vec<u8>> = (1..6).map(|byte| sealed(committee.key(), byte)).collect();
    let admitted = admit_all(committee.key(), &ciphertexts);
    let good = committee.shares(&admitted);
    let outside = SharePoint(point_of_order(11));
    for bad in 0..1u32 << 5 {
        for torsion in 0..5 {
            let is_bad = |at: usize| bad >> at & 1 == 1;
            let share = |at: usize| match is_bad(at) {
                true if at == torsion => outside,
                true => good[2].1[at],
                false => good[1].1[at],
            };
            let shares: Vec<SharePoint> = (0..5).map(share).collect();
            let found = bad_share(&committee.keys, MemberId(1), admitted.iter(), &shares, &SEED);
            assert_eq!(found, (0..5).find(|at| is_bad(*at)));
        }
    }
}

#[test]
fn the_first_wrong_bottom_is_found_and_those_before_it_hold() {
    let committee = Committee::new(4, 1);
    let key = committee.key();
    let (open, never) = (sealed(key, 1), craft(key, &Craft { c1: Some([9; 16]), ..Craft::default() }));
    let point = |ciphertext: &[u8]| {
        let u = G1Affine::uncompress(ciphertext[..48].try_into().unwrap()).unwrap();
        G1Bytes(u.mul(&committee_secret(&committee)).compress())
    };
    let right = (&never, point(&never));
    let wrong = [
        ("opens", (&open, point(&open))),
        ("of another", (&never, point(&open))),
        ("no point", (&never, G1Bytes([0xff; 48]))),
        ("outside the group", (&never, G1Bytes(point_of_order(11).compress()))),
    ];
    let of = |claims: &[(&Vec<u8>, G1Bytes)]| {
        let ciphertexts: Vec<Vec<u8>> = claims.iter().map(|(ciphertext, _)| (*ciphertext).clone()).collect();
        let points: Vec<G1Bytes> = claims.iter().map(|(_, point)| *point).collect();
        let admitted = admit_all(key, &ciphertexts);
        wrong_bottom(key, &paired(&ciphertexts, &admitted), &points, &SEED).unwrap()
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[right; 5]), None);
    for (what, first) in wrong {
        for (_, second) in wrong {
            for at in 0..4 {
                let mut claims = vec![right; 5];
                (claims[at], claims[at + 1]) = (first, second);
                assert_eq!(of(&claims), Some(at), "{what}");
            }
        }
    }
    let ciphertexts = [never.clone(), never.clone()];
    let admitted = admit_all(key, &ciphertexts);
    let missing = wrong_bottom(key, &paired(&ciphertexts, &admitted), &[right.1], &SEED);
    assert_eq!(missing, Ok(Some(1)));
}

#[test]
fn cry_4_a_sender_and_a_member_together_cannot_split_the_opening() {
    // The sender masks K with a wrong D', and one member's share is bent so that a quorum with it combines to just D'.
    let committee = Committee::new(4, 1);
    let key = committee.key();
    let shared = key.pk.mul(&crafted_r(key));
    for target in [shared.add(&point_of_order(11).point()), shared.double()] {
        let ciphertexts = [craft(key, &Craft { shared: Some(target), ..Craft::default() })];
        let admitted = admit_all(key, &ciphertexts);
        let (items, good) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
        let want = reveal(&committee.keys, &items, &good, SEED).unwrap();
        assert!(is_bottom(&want.openings[0]));
        // Weights of members 0, 1, 2 are 3, -3, 1: member 2's share shifted by D' - D gives D'.
        let mut bent = good.clone();
        let shift = target.add(&shared.neg());
        bent[2].1[0] = SharePoint(bent[2].1[0].0.point().add(&shift).affine().unwrap());
        let points: Vec<G1Affine> = bent[..3].iter().map(|(_, points)| points[0].0).collect();
        let members: Vec<MemberId> = (0..3).map(MemberId).collect();
        assert!(crate::weights::Weights::new(&members).combine_g1(&points) == target, "the attack reaches its target");
        let got = reveal(&committee.keys, &items, &bent, SEED).unwrap();
        assert_eq!((got.openings, got.culprits), (want.openings.clone(), vec![MemberId(2)]));
        for some in choices(&bent, 3) {
            match reveal(&committee.keys, &items, &some, SEED) {
                Ok(got) => assert_eq!(got.openings, want.openings),
                Err(error) => assert_eq!(error, RevealError::NeedMore { culprits: vec![MemberId(2)] }),
            }
        }
    }
}

#[test]
fn messages_that_cannot_count_do_not() {
    let committee = Committee::new(4, 1);
    let ciphertexts = [sealed(committee.key(), 1)];
    let admitted = admit_all(committee.key(), &ciphertexts);
    let (items, good) = (paired(&ciphertexts, &admitted), committee.shares(&admitted));
    let need_more = Err(RevealError::NeedMore { culprits: vec![] });
    let mut shares = good[..3].to_vec();
    let extra = shares[0].1[0];
    shares[0].1.push(extra);
    assert_eq!(reveal(&committee.keys, &items, &shares, SEED), need_more, "too many shares");
    let mut shares = good[..3].to_vec();
    shares[0].0 = MemberId(4);
    assert_eq!(reveal(&committee.keys, &items, &shares, SEED), need_more, "of nobody");
    let mut shares = good[..3].to_vec();
    shares[0] = shares[1].clone();
    assert_eq!(reveal(&committee.keys, &items, &shares, SEED), need_more, "twice of one member");
    let other = [sealed(committee.key(), 2)];
    let crossed = paired(&other, &admitted);
    assert_eq!(reveal(&committee.keys, &crossed, &good, SEED), Err(RevealError::Foreign { index: 0 }));
}

#[test]
fn published_openings_are_checked_exactly() {
    let committee = Committee::new(4, 1);
    let key = committee.key();
    let mut refused = sealed(key, 3);
    refused[300] ^= 1;
    let ciphertexts = [
        sealed(key, 1),
        craft(key, &Craft { c1: Some([9; 16]), ..Craft::default() }),
        craft(key, &Craft { s: Some(fr(5)), ..Craft::default() }),
    ];
    let admitted = admit_all(key, &ciphertexts);
    let shares = committee.shares(&admitted);
    let openings = reveal(&committee.keys, &paired(&ciphertexts, &admitted), &shares, SEED).unwrap().openings;
    let check = |ciphertext: &[u8], opening: Opening| {
        check_openings(&committee.keys, &[item(ciphertext)], &[opening], SEED).remove(0)
    };
    for (ciphertext, opening) in ciphertexts.iter().zip(&openings) {
        assert!(check(ciphertext, *opening).is_ok());
    }
    let (Opening::Key(k), Opening::Bottom(d)) = (openings[0], openings[1]) else { panic!("key, bottom") };
    let mut wrong = k;
    wrong.0[0] ^= 1;
    assert_eq!(check(&ciphertexts[0], Opening::Key(wrong)), Err(OpeningError::Key));
    assert_eq!(check(&ciphertexts[2], Opening::Key(k)), Err(OpeningError::Key));
    assert_eq!(
        check(&ciphertexts[1], Opening::Key(Key128([0x6b; 16]))),
        Err(OpeningError::Key),
        "K opens, but not by c1"
    );
    assert_eq!(check(&ciphertexts[0], Opening::Bottom(d)), Err(OpeningError::BottomPairing), "D of another item");
    let u = G1Affine::uncompress(ciphertexts[0][..48].try_into().unwrap()).unwrap();
    let x = committee_secret(&committee);
    let true_d = G1Bytes(u.mul(&x).compress());
    assert_eq!(check(&ciphertexts[0], Opening::Bottom(true_d)), Err(OpeningError::BottomOpens));
    let torsion = G1Affine::uncompress(&d.0).unwrap().point().add(&point_of_order(11).point()).compress();
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    for bytes in [torsion, identity, [0xff; 48]] {
        assert_eq!(check(&ciphertexts[1], Opening::Bottom(G1Bytes(bytes))), Err(OpeningError::BottomPairing));
    }
    let refusal = Err(OpeningError::Proof(AdmitError::Proof));
    assert_eq!(check(&refused, Opening::Key(k)), refusal);
    assert_eq!(check(&refused, Opening::Bottom(d)), refusal);
    assert_eq!(check(&[], Opening::Key(k)), Err(OpeningError::Proof(AdmitError::Length)));
    // In one batch: the verdicts are the single ones, and a missing opening is a wrong one.
    let items: Vec<Item<'_>> = ciphertexts.iter().chain([&refused]).chain(&ciphertexts).map(|c| item(c)).collect();
    let mixed = [openings[0], openings[1], openings[2], openings[0], Opening::Key(wrong), Opening::Bottom(true_d)];
    let verdicts = check_openings(&committee.keys, &items, &mixed, SEED);
    let oks: Vec<bool> = verdicts.iter().map(Result::is_ok).collect();
    assert_eq!(oks, [true, true, true, false, false, false, false]);
    assert_eq!(verdicts[6], Err(OpeningError::Key));
}

fn committee_secret(committee: &Committee) -> Fr {
    // 3 x_0 - 3 x_1 + x_2.
    let x = |at: usize| **committee.dealt.decrypt[at].0;
    fr(3).mul(&x(0)).sub(&fr(3).mul(&x(1))).add(&x(2))
}

#[test]
fn u_reused_after_opening_gives_no_second_plaintext() {
    // After opening, r is public. A ciphertext on the old U with another message opens to nothing.
    let committee = Committee::new(4, 1);
    let key = committee.key();
    let r = crafted_r(key);
    let other = pad(b"another message", 512).unwrap();
    let (u, k) = (G1Affine::generator().mul(&r).compress(), [0x6b; 16]);
    let v = key.gbar.mul(&r).compress();
    let (w, x) = (G1Affine::generator().mul(&fr(4)).compress(), key.gbar.mul(&fr(4)).compress());
    let c1 = mask(key, &u, &key.pk.mul(&r).compress(), &k);
    let body = encrypt_body(key, &k, &u, AAD, &other.0);
    let e = challenge(key, AAD, &c1, &body, &[&u, &v, &w, &x]);
    let z = fr(4).add(&e.mul(&r)).to_bytes();
    let ciphertexts = [[u.as_slice(), &v, &w, &x, &z, &c1, &body].concat()];
    let admitted = admit_all(key, &ciphertexts);
    let shares = committee.shares(&admitted);
    let got = reveal(&committee.keys, &paired(&ciphertexts, &admitted), &shares, SEED).unwrap();
    assert!(is_bottom(&got.openings[0]));
}

/// Shares of this committee are taken at their honest value by a property test once.
struct Prepared {
    committee: Committee,
    ciphertexts: Vec<Vec<u8>>,
    admitted: Vec<Admitted>,
    shares: Vec<(MemberId, Vec<SharePoint>)>,
    openings: Vec<Opening>,
}

fn prepared(n: u16, f: u16) -> Prepared {
    let committee = Committee::new(n, f);
    let mut ciphertexts: Vec<Vec<u8>> = (1..3).map(|byte| sealed(committee.key(), byte)).collect();
    ciphertexts.push(craft(committee.key(), &Craft { c1: Some([3; 16]), ..Craft::default() }));
    let admitted = admit_all(committee.key(), &ciphertexts);
    let shares = committee.shares(&admitted);
    let openings = reveal(&committee.keys, &paired(&ciphertexts, &admitted), &shares, SEED).unwrap().openings;
    Prepared { committee, ciphertexts, admitted, shares, openings }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// CRY-4, CRY-5: at every size, whoever arrives in whatever order and whichever up to f of them send whatever
    /// instead of shares: q good ones open to the same, a culprit is a bad one, and fewer than q open nothing.
    #[test]
    fn cry_5_any_mix_of_up_to_f_bad_members_is_survived(
        size in 0usize..3,
        order in proptest::collection::vec(any::<u64>(), 16),
        arrived in any::<proptest::sample::Index>(),
        faults in proptest::collection::vec((any::<bool>(), 0usize..6, 0usize..3), 5),
        seed: [u8; 32],
    ) {
        let (n, f) = [(4, 1), (7, 2), (16, 5)][size];
        let Prepared { committee, ciphertexts, admitted, shares: good, openings } = prepared(n, f);
        let (items, q) = (paired(&ciphertexts, &admitted), usize::from(committee.keys.q()));
        let mut members: Vec<usize> = (0..usize::from(n)).collect();
        members.sort_by_key(|member| order[*member]);
        // The last f members of the order are the faulty ones: all of them, some, or none.
        let mut bad: Vec<(MemberId, bool)> = Vec::new();
        let mut shares = good.clone();
        for ((is_bad, fault, at), member) in faults.iter().zip(members.iter().rev().take(f.into())) {
            if *is_bad {
                let (_, share) = bad_shares(&good, *member)[*fault];
                let moved = share != shares[*member].1[*at];
                shares[*member].1[*at] = share;
                bad.push((MemberId(u16::try_from(*member).unwrap()), moved));
            }
        }
        let count = 1 + arrived.index(usize::from(n));
        members.rotate_left(order[0] as usize % usize::from(n));
        let there: Vec<_> = members.iter().take(count).map(|member| shares[*member].clone()).collect();
        let is_bad = |member: &MemberId| bad.contains(&(*member, true));
        let honest = there.iter().filter(|(member, _)| !is_bad(member)).count();
        match reveal(&committee.keys, &items, &there, seed) {
            Ok(got) => {
                prop_assert!(count >= q);
                prop_assert_eq!(&got.openings, &openings);
                prop_assert!(got.culprits.iter().all(is_bad), "{:?} of {:?}", got.culprits, bad);
            }
            Err(RevealError::NeedMore { culprits }) => {
                prop_assert!(honest < q, "{honest} good shares open");
                prop_assert!(culprits.iter().all(is_bad));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
        if honest >= q {
            prop_assert!(reveal(&committee.keys, &items, &there, seed).is_ok());
        }
    }
}

#[test]
fn keys_that_were_published_are_checked_as_exactly_as_shares() {
    let Prepared { committee, ciphertexts, admitted, shares, openings } = prepared(4, 1);
    let (key, items) = (committee.key(), paired(&ciphertexts, &admitted));
    let keys: Vec<Key128> = openings
        .iter()
        .map(|opening| match opening {
            Opening::Key(k) => *k,
            Opening::Bottom(_) => Key128([0x6b; 16]),
        })
        .collect();
    let by_shares = open(key, &items, combine(&committee.keys, &shares, 3).unwrap()).unwrap();
    let by_keys = check_keys(key, &items, &keys).unwrap();
    assert_eq!(by_keys, by_shares);
    // The K that the sender of the third wrote decrypts its body, and yet it does not open: c1 is another's.
    assert!(by_keys[2].is_none() && by_keys[0].is_some() && by_keys[1].is_some());
    assert_eq!(unpad(by_keys[1].as_ref().unwrap()), Some(&[2; 20][..]));
    // Exchanged, missing, with a flipped bit.
    let crossed = check_keys(key, &items, &[keys[1], keys[0]]).unwrap();
    assert_eq!(crossed, vec![None, None, None]);
    for bit in 0..128 {
        let mut wrong = keys[0];
        wrong.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check_keys(key, &items[..1], &[wrong]).unwrap(), vec![None], "bit {bit}");
    }
    // Fewer messages than q, of another length, or of nobody: nothing is combined.
    assert!(combine(&committee.keys, &shares[..2], 3).is_none());
    assert!(combine(&committee.keys, &shares, 2).is_none());
    assert!(matches!(check_keys(key, &[(items[0].0, &admitted[1])], &keys), Err(RevealError::Foreign { index: 0 })));
}
