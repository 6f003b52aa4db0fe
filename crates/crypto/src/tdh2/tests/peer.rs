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
        assert_eq!(reveal::Together::new(&key_set.encryption_key().pk2, &[pair], &SEED).each(), [true]);
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

#[test]
fn at_every_size_shares_keys_and_combination_are_those_of_threshold_crypto() {
    // Theirs: public-key shares by their commitment, shares by their scalar product, D by their interpolation, on sets
    // with whole weights, with a denominator, and with weights of the field.
    for (n, q) in [(7u16, 5usize), (16, 11), (40, 27)] {
        let (theirs, _, secrets) = key_set(q, n);
        let sealed = theirs.public_keys().public_key().encrypt(b"short");
        let value = serde_json::to_value(&sealed).unwrap();
        let u = G1Affine::uncompress(&bytes(&value[0]).try_into().unwrap()).unwrap();
        let mut powers = std::vec![(u, u.times_z_in_group().unwrap().affine().unwrap())];
        powers.resize(16, powers[0]);
        let mut shares: Vec<(SharePoint, DecryptionShare)> = Vec::new();
        for (member, secret) in secrets.iter().enumerate() {
            let scalar = Fr::from_canonical(secret).unwrap();
            let public = theirs.public_keys().public_key_share(member).to_bytes();
            assert_eq!(DecryptionShareKey::from_le_bytes(secret.clone()).unwrap().public_g1().0, public);
            let theirs = theirs.secret_key_share(member).decrypt_share(&sealed).unwrap();
            for ours in crate::lanes::times_secret(&scalar, &powers).iter() {
                assert_eq!(bytes(&serde_json::to_value(&theirs).unwrap()), ours.compress());
            }
            shares.push((SharePoint(u.mul(&scalar).affine().unwrap()), theirs));
        }
        let spread = |step: usize| -> Vec<usize> {
            let mut members: Vec<usize> = (0..q).map(|at| at * step % usize::from(n)).collect();
            members.sort_unstable();
            members.dedup();
            members.extend(
                (0..usize::from(n)).filter(|m| !members.contains(m)).take(q - members.len()).collect::<Vec<_>>(),
            );
            members.sort_unstable();
            members
        };
        let mut combined: Vec<[u8; 48]> = Vec::new();
        for members in [spread(1), spread(2), spread(3), (usize::from(n) - q..n.into()).collect()] {
            let ids: Vec<MemberId> = members.iter().map(|member| MemberId(u16::try_from(*member).unwrap())).collect();
            let points: Vec<G1Affine> = members.iter().map(|member| shares[*member].0.0).collect();
            let weights = Weights::new(&ids);
            let one = weights.combine_g1(&points);
            assert!(weights.combine_all(20, |j, _| points.get(j).copied()).iter().all(|sum| *sum == one));
            combined.push(one.compress());
            let theirs_opened =
                theirs.public_keys().decrypt(members.iter().map(|member| (*member, &shares[*member].1)), &sealed);
            assert_eq!(theirs_opened.unwrap(), b"short");
        }
        // D is the secret's own product: what a polynomial of degree 0 with the same secret shares.
        let (alone, _, _) = key_set(1, 1);
        let want = alone.secret_key_share(0usize).decrypt_share(&sealed).unwrap();
        assert!(combined.iter().all(|d| d.to_vec() == bytes(&serde_json::to_value(&want).unwrap())));
    }
}

#[test]
fn what_mauls_theirs_does_not_maul_ours() {
    // Theirs hashes a V above 64 bytes to its digest, so a ciphertext is another's twin. Every analogue on ours, where a
    // part is replaced by its own digest or prefix, is refused before a share exists.
    let key = key_of(7);
    let good = seal(&key, entropy(9), AAD, &pad(&[7; 400], 2_048).unwrap());
    let admits = |aad: &[u8], class_bytes: usize, ciphertext: &[u8]| {
        admit_one(&key, Item { aad, class_bytes, ciphertext }).is_ok()
    };
    assert!(admits(AAD, 2_048, &good));
    let digest = |part: &[u8]| -> [u8; 32] {
        sha3::Digest::finalize(sha3::Digest::chain_update(<sha3::Sha3_256 as sha3::Digest>::new(), part)).into()
    };
    let body = &good[240..];
    let mut same_length = good[..240].to_vec();
    same_length.extend(digest(body).iter().cycle().take(body.len()));
    let shorter = [&good[..240], &digest(body)].concat();
    let first_class = good[..240 + 512 + 16].to_vec();
    for (class, mauled) in [(2_048, same_length), (16, shorter), (512, first_class)] {
        assert!(!admits(AAD, class, &mauled));
    }
    assert!(!admits(&digest(AAD), 2_048, &good) && !admits(&[AAD, &[0]].concat(), 2_048, &good));
}
