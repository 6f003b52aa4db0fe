// Goal: the beacon is one value, whoever signs, and a bad share is pinned on its sender. Method: every q of n; wrong,
// swapped, undecodable shares; a vector; threshold_crypto's public keys over the same shares.
#![expect(clippy::disallowed_methods, reason = "the tokens here are made from real votes")]
use super::*;
use crate::{
    dealer::{Deal, Voters, deal},
    ffi::Fr,
    vectors,
};
use serde_json::json;

const NETWORK: Hash = Hash([1; 32]);

fn setup() -> (Deal, KeySet, OrderFixed) {
    let dealt = deal(4, 1, &[8; 32]);
    let keys = dealt.key_set();
    let fixed = Voters::new(4, 1, &[9; 32]).fix(NETWORK, Slot(77), std::vec![Hash([5; 32])], std::vec![]);
    (dealt, keys, fixed)
}

fn shares(dealt: &Deal, fixed: &OrderFixed) -> Vec<(MemberId, G2Bytes)> {
    (0..).map(MemberId).zip(&dealt.beacon).map(|(member, key)| (member, sign(key, fixed))).collect()
}

#[test]
fn message_is_90_bytes() {
    let message = Message { network: NETWORK, slot: Slot(0x0102), digest: Hash([3; 32]) };
    let want = [&b"lockstep/beacon/v1"[..], &[1; 32], &[2, 1, 0, 0, 0, 0, 0, 0], &[3; 32]].concat();
    assert_eq!(message.bytes(), want);
    assert_eq!(want.len(), 90);
}

#[test]
fn any_q_of_n_give_one_beacon_and_fewer_none() {
    let (dealt, keys, fixed) = setup();
    let (all, message) = (shares(&dealt, &fixed), Message::of(&fixed));
    let signature = combine(&keys, &all, &message).unwrap();
    let random = verify(&keys, &message, &signature).unwrap();
    assert_eq!(random, sha256(&[signature.as_ref()]));
    for left_out in 0..4 {
        let mut some = all.clone();
        some.remove(left_out);
        assert_eq!(combine(&keys, &some, &message), Ok(signature), "without {left_out}");
        some.remove(0);
        assert_eq!(combine(&keys, &some, &message), Err(Culprits(Vec::new())), "two are not enough");
    }
    // Two shares of one member are one.
    let twice = [all[0], all[0], all[1]];
    assert_eq!(combine(&keys, &twice, &message), Err(Culprits(Vec::new())));
}

#[test]
fn a_beacon_is_of_one_network_slot_and_block() {
    let (dealt, keys, fixed) = setup();
    let message = Message::of(&fixed);
    let signature = combine(&keys, &shares(&dealt, &fixed), &message).unwrap();
    let changes: [fn(&mut Message); 3] = [|m| m.network.0[0] ^= 1, |m| m.slot = m.slot.next(), |m| m.digest.0[31] ^= 1];
    for change in changes {
        let mut other = message;
        change(&mut other);
        assert_eq!(verify(&keys, &other, &signature), Err(BeaconError::Signature));
    }
    let other_keys = deal(4, 1, &[9; 32]).key_set();
    assert_eq!(verify(&other_keys, &message, &signature), Err(BeaconError::Signature));
    let mut identity = [0; 96];
    identity[0] = 0xc0;
    assert_eq!(verify(&keys, &message, &G2Bytes(identity)), Err(BeaconError::Point));
    let mut spoilt = signature;
    spoilt.0[95] ^= 1;
    assert!(verify(&keys, &message, &spoilt).is_err());
}

#[test]
fn cry_5_bad_shares_are_pinned_on_their_senders() {
    let (dealt, keys, fixed) = setup();
    let (all, message) = (shares(&dealt, &fixed), Message::of(&fixed));
    let good = combine(&keys, &all, &message).unwrap();
    let undecodable = G2Bytes([0xff; 96]);
    let doubled = G2Affine::uncompress(&all[1].1.0).unwrap().point().double().affine().unwrap();
    for bad in [all[0].1, undecodable, G2Bytes(doubled.compress())] {
        let mut some = all.clone();
        some[1].1 = bad;
        assert_eq!(combine(&keys, &some, &message), Err(Culprits(std::vec![MemberId(1)])));
        some.remove(1);
        assert_eq!(combine(&keys, &some, &message), Ok(good));
    }
    // A share outside the subgroup.
    let mut x = [0; 96];
    x[0] = 0x80;
    let stray = (1..=255).find_map(|byte| {
        x[95] = byte;
        G2Affine::uncompress(&x).filter(|point| !point.in_group())
    });
    let shifted = stray.unwrap().point().add(&G2Affine::uncompress(&all[2].1.0).unwrap().point()).affine().unwrap();
    let mut some = all.clone();
    some[2].1 = G2Bytes(shifted.compress());
    assert_eq!(combine(&keys, &some, &message), Err(Culprits(std::vec![MemberId(2)])));
    // A share of nobody in the committee does not count.
    let mut some = all;
    some[3].0 = MemberId(4);
    assert_eq!(combine(&keys, &some, &message), Ok(good));
}

#[test]
fn many_shares_are_checked_as_one_by_one() {
    let dealt = deal(16, 5, &[8; 32]);
    let keys = dealt.key_set();
    let fixed = Voters::new(4, 1, &[9; 32]).fix(NETWORK, Slot(77), std::vec![Hash([5; 32])], std::vec![]);
    let (good, message) = (shares(&dealt, &fixed), Message::of(&fixed));
    for faults in [0u32, 1, 0x8000, 0b1010_0000_0010, 0xffff] {
        let mut some = good.clone();
        for (at, share) in some.iter_mut().enumerate().filter(|(at, _)| faults >> at & 1 == 1) {
            match at % 3 {
                0 => share.1 = good[(at + 1) % 16].1,
                1 => share.1.0[50] ^= 1,
                _ => share.1 = G2Bytes([0xff; 96]),
            }
        }
        // two that are wrong by opposite amounts, which a plain sum would not see
        let point = |share: &G2Bytes| G2Affine::uncompress(&share.0).unwrap().point();
        if faults == 0 {
            let error = point(&good[9].1);
            some[3].1 = G2Bytes(point(&good[3].1).add(&error).affine().unwrap().compress());
            some[4].1 = G2Bytes(point(&good[4].1).add(&error.neg()).affine().unwrap().compress());
        }
        some.push((MemberId(16), good[0].1));
        let want: Vec<bool> = some.iter().map(|(member, share)| share_holds(&keys, *member, &message, share)).collect();
        assert_eq!(shares_hold(&keys, &message, &some), want);
        let bad = if faults == 0 { 2 } else { faults.count_ones() };
        assert_eq!(want.iter().filter(|holds| !**holds).count(), 1 + bad as usize);
    }
}

#[test]
fn shares_verify_under_the_public_keys_of_threshold_crypto() {
    let (peer, parts, secrets) = crate::tdh2::tests::peer::key_set(3, 4);
    let hashed = G2::hash(b"message", tag::BEACON_DST);
    for (member, secret) in secrets.into_iter().enumerate() {
        let share = hashed.mul(&Fr::from_canonical(&secret).unwrap()).affine().unwrap();
        let theirs = peer.public_keys().public_key_share(member).to_bytes();
        assert!(signed_by(&G1Affine::uncompress(&theirs).unwrap(), &hashed, &share));
    }
    assert_eq!(parts.decrypt.len(), 3);
}

#[test]
fn golden_beacon() {
    let (dealt, keys, fixed) = setup();
    let (all, message) = (shares(&dealt, &fixed), Message::of(&fixed));
    let signature = combine(&keys, &all, &message).unwrap();
    let share_texts: Vec<_> = all.iter().map(|(_, share)| vectors::text(&share.0)).collect();
    let value = json!({
        "network": vectors::text(&message.network.0), "slot": message.slot.0, "digest": vectors::text(&message.digest.0),
        "message": vectors::text(&message.bytes()), "publicKey": vectors::text(&keys.beacon_key().0),
        "commitments": dealt.parts.beacon.iter().map(|c| vectors::text(&c.0)).collect::<Vec<_>>(),
        "shares": share_texts, "signature": vectors::text(&signature.0),
        "r": vectors::text(&verify(&keys, &message, &signature).unwrap().0),
    });
    vectors::ours("tests/vectors/crypto", "beacon.json", &value);
}
