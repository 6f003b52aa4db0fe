// Goal: a key set whose parts do not belong together is refused, and its encodings are threshold_crypto's. Method: a
// dealt set with each part spoilt; the peer's own key set over the same polynomial.
use super::*;
use crate::{dealer, tdh2::tests::peer};
use std::vec;

fn parts() -> KeySetParts {
    dealer::deal(4, 1, &[5; 32]).parts
}

fn refused(change: impl Fn(&mut KeySetParts)) -> Option<KeySetError> {
    let mut parts = parts();
    change(&mut parts);
    KeySet::new(4, 1, &parts).err()
}

#[test]
fn every_spoilt_part_is_refused() {
    assert_eq!(refused(|_| ()), None);
    assert_eq!(refused(|p| p.decrypt.truncate(2)), Some(KeySetError::Count));
    assert_eq!(refused(|p| p.beacon.push(p.beacon[0])), Some(KeySetError::Count));
    assert_eq!(refused(|p| p.share_keys_g2.truncate(3)), Some(KeySetError::Count));
    assert_eq!(refused(|p| p.revealed = vec![MemberId(4)]), Some(KeySetError::Count));
    assert_eq!(refused(|p| p.decrypt[2].0[47] ^= 1), Some(KeySetError::Point));
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    assert_eq!(refused(|p| p.beacon[1] = G1Bytes(identity)), Some(KeySetError::Point));
    let stray = crate::ffi::tests::stray_point(1).compress();
    assert_eq!(refused(|p| p.decrypt[1] = G1Bytes(stray)), Some(KeySetError::Point));
    assert_eq!(refused(|p| p.decrypt_g2 = p.share_keys_g2[0]), Some(KeySetError::PublicKeys));
    assert_eq!(refused(|p| p.decrypt.swap(1, 2)), Some(KeySetError::ShareKeyG2(MemberId(1))));
    assert_eq!(refused(|p| p.share_keys_g2[2] = p.share_keys_g2[3]), Some(KeySetError::ShareKeyG2(MemberId(2))));
    // Commitments c and -c: the polynomial c (1 - x) is zero at 1, which is member 0.
    let c = G1Affine::generator();
    let opposite = G1Bytes(c.point().neg().compress());
    assert_eq!(share_keys(2, &[c, group_g1(&opposite).unwrap()]).err(), Some(KeySetError::ShareKey(MemberId(0))));
}

#[test]
fn sizes() {
    for (n, f) in [(0, 0), (3, 1), (6, 2), (129, 42), (4, u16::MAX)] {
        assert_eq!(KeySet::new(n, f, &parts()).err(), Some(KeySetError::Size { n, f }));
    }
    for (n, f, q) in [(1, 0, 1), (4, 1, 3), (7, 2, 5), (16, 5, 11)] {
        let set = dealer::deal(n, f, &[1; 32]).key_set();
        assert_eq!((set.n(), set.f(), set.q()), (n, f, q));
        assert_eq!(set.share_key(MemberId(n)), None);
    }
}

#[test]
fn shares_match_the_commitments() {
    let deal = dealer::deal(7, 2, &[6; 32]);
    let set = deal.key_set();
    for member in (0..7).map(MemberId) {
        let (key, beacon) = (&deal.decrypt[usize::from(member.0)], &deal.beacon[usize::from(member.0)]);
        assert_eq!(set.share_key(member), Some(key.public_g1()));
        assert_eq!(set.share_key_g2(member), Some(key.public_g2()));
        assert_eq!(set.beacon_share_key(member), Some(beacon.public_g1()));
    }
    assert_ne!(set.beacon_key(), deal.parts.decrypt[0]);
    assert_eq!(set.key_id(), EncryptionKey::new(&deal.parts.decrypt[0], &deal.parts.decrypt_g2).unwrap().key_id());
}

#[test]
fn secrets_out_of_range_are_refused() {
    let mut order = hex::decode("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001").unwrap();
    order.reverse();
    for bytes in [[0; 32], order.try_into().unwrap(), [0xff; 32]] {
        assert_eq!(DecryptionShareKey::from_le_bytes(Zeroizing::new(bytes)).err(), Some(ScalarError));
        assert_eq!(BeaconShareKey::from_le_bytes(Zeroizing::new(bytes)).err(), Some(ScalarError));
    }
    let mut one = [0; 32];
    one[0] = 1;
    let key = DecryptionShareKey::from_le_bytes(Zeroizing::new(one)).unwrap();
    assert_eq!(key.public_g1().0, G1Affine::generator().compress());
}

#[test]
fn key_sets_are_those_of_threshold_crypto() {
    let (peer, parts, shares) = peer::key_set(3, 4);
    let commitments = peer::commitments(&peer.public_keys());
    assert_eq!(parts.decrypt, commitments);
    let set = KeySet::new(4, 1, &parts).unwrap();
    for (member, share) in (0..4u16).zip(shares) {
        let theirs = peer.public_keys().public_key_share(usize::from(member)).to_bytes();
        assert_eq!(set.share_key(MemberId(member)), Some(G1Bytes(theirs)));
        assert_eq!(DecryptionShareKey::from_le_bytes(share).unwrap().public_g1(), G1Bytes(theirs));
    }
}
