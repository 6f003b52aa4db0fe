// threshold_crypto as oracle for keys, shares and interpolation, and as the scheme that can be mauled where ours cannot.
use super::*;
use crate::{batch::Coefficients, weights::Weights};
use serde_json::{Value, json};
use threshold_crypto::{
    Ciphertext, DecryptionShare, FrRepr, PublicKeySet, SecretKeySet, ff::PrimeField, poly::Poly,
    serde_impl::SerdeSecret,
};
use types::KeySetParts;

/// A key set of theirs, our parts of it, and its shares as they write them. The beacon's part is from our dealer.
pub(crate) fn key_set(q: usize, n: u16) -> (SecretKeySet, KeySetParts, Vec<Zeroizing<[u8; 32]>>) {
    let random = Coefficients::new(&[0x7c; 32], core::iter::empty());
    let coefficients: Vec<Fr> = (0..q).map(|at| random.scalar(at).mul(&random.scalar(at + 100))).collect();
    let theirs = |scalar: &Fr| {
        let words: Vec<u64> =
            scalar.to_bytes().as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        threshold_crypto::Fr::from_repr(FrRepr(words.try_into().unwrap())).unwrap()
    };
    let set = SecretKeySet::from(Poly::from(coefficients.iter().map(theirs).collect::<Vec<_>>()));
    let shares: Vec<Zeroizing<[u8; 32]>> = (0..n).map(|member| secret_bytes(&set, member)).collect();
    let parts = KeySetParts {
        decrypt: commitments(&set.public_keys()),
        decrypt_g2: G2Bytes(G2Affine::generator().point().mul(&coefficients[0]).affine().unwrap().compress()),
        share_keys_g2: shares
            .iter()
            .map(|share| DecryptionShareKey::from_le_bytes(share.clone()).unwrap().public_g2())
            .collect(),
        beacon: deal(n, n - u16::try_from(q).unwrap(), &[1; 32]).parts.beacon,
        revealed: Vec::new(),
    };
    (set, parts, shares)
}

/// A share's 32 bytes, little-endian: four words in their encoding.
fn secret_bytes(set: &SecretKeySet, member: u16) -> Zeroizing<[u8; 32]> {
    let share = set.secret_key_share(usize::from(member));
    let words: Vec<u64> = serde_json::from_value(serde_json::to_value(SerdeSecret(&share)).unwrap()).unwrap();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Zeroizing::new(bytes.try_into().unwrap())
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The commitments as they encode them.
pub(crate) fn commitments(keys: &PublicKeySet) -> Vec<G1Bytes> {
    let value = serde_json::to_value(keys).unwrap();
    let coefficients = value["commit"]["coeff"].as_array().unwrap();
    coefficients.iter().map(|point| G1Bytes(bytes(point).try_into().unwrap())).collect()
}

fn share_of(point: &SharePoint) -> DecryptionShare {
    serde_json::from_value(json!(point.compressed().0.to_vec())).unwrap()
}

#[test]
fn shares_and_interpolation_are_those_of_threshold_crypto() {
    let (theirs, parts, secrets) = key_set(3, 4);
    let keys = KeySet::new(4, 1, &parts).unwrap();
    let ciphertext = sealed(keys.encryption_key(), 1);
    let admitted = admit_one(keys.encryption_key(), item(&ciphertext)).unwrap();
    // Their type around our U; W is any point, which making a share does not look at.
    let g2 = G2Affine::generator().compress().to_vec();
    let foreign: Ciphertext =
        serde_json::from_value(json!([ciphertext[..48].to_vec(), Value::Array(Vec::new()), g2])).unwrap();
    let fixed = Voters::new(4, 1, &[1; 32]).fix(Hash([7; 32]), Slot(1), Committee::units(1), Vec::new());
    let mut ours: Vec<(MemberId, Vec<SharePoint>)> = Vec::new();
    for (member, secret) in (0..4u16).zip(secrets) {
        let key = DecryptionShareKey::from_le_bytes(secret).unwrap();
        let released = Committee::held(&key, core::slice::from_ref(&admitted)).release(&fixed).unwrap();
        let peer = theirs.secret_key_share(usize::from(member)).decrypt_share_no_verify(&foreign);
        assert_eq!(bytes(&serde_json::to_value(&peer).unwrap()), released[0].compressed().0);
        ours.push((MemberId(member), released));
    }
    // D is what the secret itself gives, by their arithmetic: the share of a polynomial of degree 0.
    let revealed = reveal(&keys, &[(item(&ciphertext), &admitted)], &ours, SEED).unwrap();
    assert_eq!(unpad(revealed.plaintexts[0].as_ref().unwrap()), Some(&[1; 20][..]));
}

#[test]
fn their_ciphertext_opens_with_our_shares_and_can_be_mauled() {
    let (theirs, parts, secrets) = key_set(3, 4);
    let message = b"more than sixty-four bytes, so that the hash of the peer's scheme replaces V by its own digest";
    let sealed = theirs.public_keys().public_key().encrypt(message);
    let value = serde_json::to_value(&sealed).unwrap();
    let u = G1Affine::uncompress(&bytes(&value[0]).try_into().unwrap()).unwrap();
    let keys: Vec<Fr> = secrets.iter().map(|secret| Fr::from_canonical(secret).unwrap()).collect();
    let shares: Vec<SharePoint> = keys.iter().map(|key| SharePoint(u.mul(key).affine().unwrap())).collect();
    for left_out in 0..4usize {
        let members: Vec<usize> = (0..4).filter(|member| *member != left_out).collect();
        let foreign: Vec<DecryptionShare> = members.iter().map(|member| share_of(&shares[*member])).collect();
        let opened = theirs.public_keys().decrypt(members.iter().copied().zip(&foreign), &sealed).unwrap();
        assert_eq!(opened, message);
        // The same D from our weights: x U by the commitments' own secret.
        let ids: Vec<MemberId> = members.iter().map(|member| MemberId(u16::try_from(*member).unwrap())).collect();
        let points: Vec<G1Affine> = members.iter().map(|member| shares[*member].0).collect();
        let combined = Weights::new(&ids).combine_g1(&points).affine().unwrap();
        let key_set = KeySet::new(4, 1, &parts).unwrap();
        let pair = (u, combined);
        assert_eq!(reveal::same_secret(&key_set.encryption_key().pk2, &[pair], &SEED), [true]);
    }
    // V replaced by its own digest: another ciphertext, which verifies, and whose shares open the original.
    let digest: [u8; 32] =
        sha3::Digest::finalize(sha3::Digest::chain_update(<sha3::Sha3_256 as sha3::Digest>::new(), bytes(&value[1])))
            .into();
    let mauled: Ciphertext = serde_json::from_value(json!([value[0], digest.to_vec(), value[2]])).unwrap();
    assert!(mauled != sealed && mauled.verify(), "the attack succeeds on threshold_crypto");
    let stolen: Vec<DecryptionShare> =
        (0..3usize).map(|member| theirs.secret_key_share(member).decrypt_share(&mauled).unwrap()).collect();
    let opened = theirs.public_keys().decrypt((0..3usize).zip(&stolen), &sealed).unwrap();
    assert_eq!(opened, message);
}
