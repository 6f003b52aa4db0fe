// Goal: CRY-2 at run time (doctests hold it at compile time). Method: tokens that name a unit or do not; both encodings
// of released shares.
use super::*;

#[test]
fn cry_2_release_wants_every_unit_in_the_token() {
    let committee = Committee::new(4, 1);
    let admitted = admit_all(committee.key(), &[sealed(committee.key(), 1), sealed(committee.key(), 2)]);
    let key = &committee.dealt.decrypt[0];
    let (envelope, bid, stray) = (Hash([1; 32]), Hash([2; 32]), Hash([3; 32]));
    let leaf = [&[9; 20][..], &[0], &bid.0].concat();
    let fixed = committee.voters.fix(Hash([7; 32]), Slot(1), std::vec![envelope], std::vec![leaf]);
    let held = |unit: Hash| HeldShares::collect(std::vec![key.share(bid, &admitted[0]), key.share(unit, &admitted[1])]);
    let released = held(envelope).release(&fixed).unwrap();
    assert_eq!(released.len(), 2);
    assert_ne!(released[0], released[1]);
    assert_eq!(held(stray).release(&fixed), Err(NotFixed { unit: stray }));
    assert_eq!(HeldShares::collect(Vec::new()).release(&fixed), Ok(Vec::new()));
}

#[test]
fn shares_have_two_encodings() {
    let committee = Committee::new(4, 1);
    let admitted = admit_all(committee.key(), &[sealed(committee.key(), 1)]);
    let share = committee.shares(&admitted)[2].1[0];
    assert_eq!(SharePoint::from_compressed(&share.compressed()), Ok(share));
    assert_eq!(SharePoint::from_affine(&share.affine()), Ok(share));
    let mut bytes = [0; 48];
    for first in [0, 0x80, 0xa0, 0xc0] {
        bytes[0] = first;
        assert_eq!(SharePoint::from_compressed(&G1Bytes(bytes)), Err(PointError));
    }
    let mut compressed_in_affine = [0; 96];
    compressed_in_affine[..48].copy_from_slice(&share.compressed().0);
    assert_eq!(SharePoint::from_affine(&G2Bytes(compressed_in_affine)), Err(PointError));
}

#[test]
fn a_share_is_the_secret_times_u() {
    let committee = Committee::new(4, 1);
    let ciphertext = sealed(committee.key(), 1);
    let admitted = admit_all(committee.key(), core::slice::from_ref(&ciphertext));
    let mut two = [0; 32];
    two[0] = 2;
    let key = DecryptionShareKey::from_le_bytes(Zeroizing::new(two)).unwrap();
    let fixed = committee.voters.fix(Hash([7; 32]), Slot(1), Committee::units(1), Vec::new());
    let share = Committee::held(&key, &admitted).release(&fixed).unwrap()[0];
    let u = G1Affine::uncompress(ciphertext[..48].try_into().unwrap()).unwrap();
    assert_eq!(share.compressed().0, u.point().double().compress());
}
