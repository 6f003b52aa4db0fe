// Goal: a dealt set is a key set like any other, and the cross-check fails on everything that is not one.
use super::*;
use crate::run_in_process;
use crypto::keys::{BeaconShareKey, DecryptionShareKey, KeySet};

const NETWORK: Hash = Hash([7; 32]);

#[test]
fn a_dealt_set_is_accepted_by_our_keys_and_by_theirs() {
    for (n, f) in [(4, 1), (7, 2)] {
        let dealt = deal(&NETWORK, n, f, [3; 32]).unwrap();
        cross_check(&dealt.parts, &dealt.secrets).unwrap();
        let keys = KeySet::new(n, f, &dealt.parts).unwrap();
        for (index, secret) in dealt.secrets.iter().enumerate() {
            let decrypt = DecryptionShareKey::from_le_bytes(secret.decrypt.clone()).unwrap();
            let beacon = BeaconShareKey::from_le_bytes(secret.beacon.clone()).unwrap();
            assert_eq!(Some(decrypt.public_g1()), keys.share_key(member_id(index)));
            assert_eq!(Some(beacon.public_g1()), keys.beacon_share_key(member_id(index)));
        }
    }
    for (n, f) in [(4, 0), (4, 2), (5, 1), (1, 0), (0, 0), (130, 43)] {
        assert!(matches!(deal(&NETWORK, n, f, [3; 32]), Err(CeremonyError::Size { .. })), "{n}, {f}");
    }
}

#[test]
fn equal_entropy_deals_equal_keys() {
    let keys = |network, entropy| deal(&network, 4, 1, [entropy; 32]).unwrap().parts;
    assert_eq!(keys(NETWORK, 1), keys(NETWORK, 1));
    assert_ne!(keys(NETWORK, 1).decrypt, keys(NETWORK, 2).decrypt);
    assert_ne!(keys(NETWORK, 1).decrypt, keys(Hash([8; 32]), 1).decrypt);
    assert_ne!(keys(NETWORK, 1).decrypt, keys(NETWORK, 1).beacon);
}

#[test]
fn cross_check_names_what_does_not_fit() {
    let dealt = || deal(&NETWORK, 4, 1, [3; 32]).unwrap();
    let check = |change: fn(&mut CeremonyResult)| {
        let mut result = dealt();
        change(&mut result);
        cross_check(&result.parts, &result.secrets).unwrap_err()
    };
    let share = |member| CrossCheckError::Share { member: MemberId(member) };
    assert_eq!(check(|r| r.secrets[2].decrypt[0] ^= 1), share(2));
    assert_eq!(check(|r| r.secrets[3].beacon[0] ^= 1), share(3));
    assert_eq!(check(|r| r.secrets[1].decrypt[31] = 0xff), share(1));
    assert_eq!(check(|r| r.secrets.swap(0, 1)), share(0));
    assert_eq!(check(|r| r.parts.share_keys_g2.swap(2, 3)), CrossCheckError::ShareKeyG2 { member: MemberId(2) });
    assert_eq!(check(|r| r.parts.decrypt.swap(1, 2)), share(1), "at 1 both are the sum of the coefficients");
    assert_eq!(check(|r| std::mem::swap(&mut r.parts.decrypt, &mut r.parts.beacon)), share(0));
    for change in [
        |r: &mut CeremonyResult| r.parts.decrypt.truncate(2),
        |r: &mut CeremonyResult| r.parts.beacon[1] = G1Bytes([7; 48]),
        |r: &mut CeremonyResult| r.parts.share_keys_g2.truncate(3),
        |r: &mut CeremonyResult| r.secrets.truncate(3),
    ] {
        assert_eq!(check(change), CrossCheckError::KeySet);
    }
}

#[test]
fn fewer_than_q_shares_decrypt_nothing_and_every_q_do() {
    let mut seeds: Vec<_> = (1..=4).map(|i| Zeroizing::new([i; 32])).collect();
    seeds.sort_by_key(|seed| crate::consensus_public(seed).unwrap());
    let result = run_in_process(&NETWORK, &seeds, [5; 32]).unwrap();
    let keys = public_key_set(&result.parts.decrypt).unwrap();
    let sealed = keys.public_key().encrypt(b"probe");
    let shares: Vec<_> = result
        .secrets
        .iter()
        .map(|s| SecretKeyShare::from_mut(&mut field(&s.decrypt).unwrap()).decrypt_share(&sealed).unwrap())
        .collect();
    for picked in 0u32..16 {
        let some: BTreeMap<_, _> = shares.iter().enumerate().filter(|(i, _)| picked >> i & 1 == 1).collect();
        let opened = keys.decrypt(some, &sealed).ok();
        assert_eq!(opened.as_deref() == Some(b"probe"), picked.count_ones() >= 3, "{picked:04b}");
    }
}

#[test]
fn exported_bytes_are_a_count_and_the_points() {
    let dealt = deal(&NETWORK, 4, 1, [3; 32]).unwrap();
    let bytes = export(&dealt.parts.decrypt);
    assert_eq!(bytes.len(), 152);
    assert_eq!(bytes[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[8..56], dealt.parts.decrypt[0].as_bytes());
    let theirs = public_key_set(&dealt.parts.decrypt).unwrap().public_key().to_bytes();
    assert_eq!(bytes[8..56], theirs);
}
