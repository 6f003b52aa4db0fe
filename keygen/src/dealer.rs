//! **A trusted dealer**, and the cross-check against `threshold_crypto`. Feature `dealer`; no node is built with it.
//!
//! Whoever runs [`deal`] knows both secrets. It exists for test networks and as an oracle: the same key set, made by the
//! library whose encodings we use. Its key set says so in its file; a network.toml with those keys does not, and only a
//! transcript shows that keys are no dealer's.
//!
//! What is used of `threshold_crypto` are its key-set types, polynomials, shares and signatures. Its `Ciphertext` can be
//! mauled (docs: cryptography, section 8) and appears only as a probe of the keys.
use crate::{
    ceremony::{CeremonyError, CeremonyResult, MemberSecrets, member_id, quorum},
    public,
};
use commonware_codec::Encode;
use commonware_cryptography::{
    bls12381::primitives::group::{G1, G2, Scalar},
    transcript::{Transcript, Version},
};
use commonware_math::algebra::{CryptoGroup, Random};
use rand_core::CryptoRng;
use serde::{Deserialize, de::IntoDeserializer};
use std::collections::BTreeMap;
use threshold_crypto::{Fr, FrRepr, PublicKeySet, SecretKeySet, SecretKeyShare, ff::PrimeField, poly::Poly};
use types::{G1Bytes, Hash, KeySetParts, MemberId, tag};
use zeroize::Zeroizing;

/// Why a key set failed the cross-check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrossCheckError {
    /// A commitment is no point, or the degree is not 2f.
    #[error("commitments are no key set of degree 2f")]
    KeySet,
    /// A member's share is not that of its share key.
    #[error("share of member {member} does not fit its share key")]
    Share {
        /// Whose.
        member: MemberId,
    },
    /// x_j G^ is not of the same x_j as the share key.
    #[error("key in G2 of member {member} does not fit its share key")]
    ShareKeyG2 {
        /// Whose.
        member: MemberId,
    },
    /// q shares do not decrypt what the group key encrypted.
    #[error("a decryption by q shares fails")]
    Decryption,
    /// q signature shares do not make a signature of the group key.
    #[error("a signature by q shares fails")]
    Signature,
}

/// Draws both secrets and hands out their shares: `threshold_crypto`'s `SecretKeySet` of degree 2f.
///
/// # Errors
/// [`CeremonyError::Size`] unless n = 3f + 1 with f >= 1.
///
/// # Security
/// This process knows the secrets. `entropy` must be secret, uniform and used once.
pub fn deal(network: &Hash, n: u16, f: u16, entropy: [u8; 32]) -> Result<CeremonyResult, CeremonyError> {
    let entropy = Zeroizing::new(entropy);
    let n = usize::from(n);
    let q = quorum(n)?;
    if n.checked_sub(q) != Some(usize::from(f)) {
        return Err(CeremonyError::Size { n });
    }
    let decrypt = deal_one(&mut rng(network, &entropy, b"dealer-decrypt"), n, q)?;
    let beacon = deal_one(&mut rng(network, &entropy, b"dealer-beacon"), n, q)?;
    let published: Vec<Option<Vec<u8>>> = decrypt
        .shares
        .iter()
        .map(|share| Ok(Some((G2::generator() * &public::scalar(share)?).encode().to_vec())))
        .collect::<Result<_, CeremonyError>>()?;
    let keys_g2 = public::keys_g2(&decrypt.commitments, &published)?;
    let bytes = |points: &[_]| points.iter().map(public::g1_bytes).collect::<Result<Vec<_>, _>>();
    Ok(CeremonyResult {
        parts: KeySetParts {
            decrypt: bytes(&decrypt.commitments)?,
            decrypt_g2: keys_g2.group,
            share_keys_g2: keys_g2.members,
            beacon: bytes(&beacon.commitments)?,
            revealed: Vec::new(),
        },
        secrets: decrypt
            .shares
            .into_iter()
            .zip(beacon.shares)
            .map(|(decrypt, beacon)| MemberSecrets { decrypt, beacon })
            .collect(),
        logs: Hash::ZERO,
        round: 0,
    })
}

fn rng(network: &Hash, entropy: &Zeroizing<[u8; 32]>, label: &'static [u8]) -> impl CryptoRng + use<> {
    let mut transcript = Transcript::new(tag::DKG_ENTROPY.as_bytes(), Version::V1);
    transcript.commit(network.as_bytes().as_slice()).commit(entropy.as_slice());
    transcript.noise(label)
}

struct Dealt {
    commitments: Vec<G1>,
    /// By member, little-endian.
    shares: Vec<Zeroizing<[u8; 32]>>,
}

/// Commitments and shares of a random polynomial of `q` coefficients.
fn deal_one(rng: &mut impl CryptoRng, n: usize, q: usize) -> Result<Dealt, CeremonyError> {
    let coefficients: Vec<Scalar> = (0..q).map(|_| Scalar::random(&mut *rng)).collect();
    let commitments: Vec<G1> = coefficients.iter().map(|c| G1::generator() * c).collect();
    let fields: Option<Vec<Fr>> = coefficients.iter().map(|c| field(&public::le_bytes(c))).collect();
    let poly = Poly::from(fields.ok_or(CeremonyError::Library)?);
    let set = SecretKeySet::from(poly.clone());
    let mut shares = Vec::with_capacity(n);
    for index in 0..n {
        let bytes = fr_bytes(&poly.evaluate(u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1)));
        let theirs = set.secret_key_share(index).public_key_share().to_bytes();
        if (G1::generator() * &public::scalar(&bytes)?).encode().as_ref() != theirs.as_slice() {
            return Err(CeremonyError::Share { member: member_id(index) });
        }
        shares.push(bytes);
    }
    Ok(Dealt { commitments, shares })
}

/// `threshold_crypto`'s scalar of little-endian bytes; `None` at the group order and above.
fn field(bytes: &Zeroizing<[u8; 32]>) -> Option<Fr> {
    let mut limbs = Zeroizing::new([0u64; 4]);
    let (words, _) = bytes.as_chunks::<8>();
    for (limb, word) in limbs.iter_mut().zip(words) {
        *limb = u64::from_le_bytes(*word);
    }
    Fr::from_repr(FrRepr(*limbs)).ok()
}

fn fr_bytes(fr: &Fr) -> Zeroizing<[u8; 32]> {
    let limbs = Zeroizing::new(fr.into_repr().0);
    let mut bytes = Zeroizing::new([0u8; 32]);
    let (words, _) = bytes.as_chunks_mut::<8>();
    for (word, limb) in words.iter_mut().zip(limbs.iter()) {
        *word = limb.to_le_bytes();
    }
    bytes
}

/// `threshold_crypto`'s key set of our commitments.
///
/// # Errors
/// [`CrossCheckError::KeySet`] when a commitment is no point.
pub fn public_key_set(commitments: &[G1Bytes]) -> Result<PublicKeySet, CrossCheckError> {
    // serde sees `PublicKeySet { commit: Commitment { coeff: [point; q] } }`, a point as its 48 bytes.
    let points: Vec<Vec<u8>> = commitments.iter().map(|point| point.as_bytes().to_vec()).collect();
    let deserializer: serde::de::value::SeqDeserializer<_, serde::de::value::Error> =
        vec![vec![points]].into_deserializer();
    PublicKeySet::deserialize(deserializer).map_err(|_opaque| CrossCheckError::KeySet)
}

/// The bytes that `threshold_crypto`'s users exchange for a key set: bincode 1, u64 LE count, then 48 bytes each.
#[must_use]
pub fn export(commitments: &[G1Bytes]) -> Vec<u8> {
    let count = u64::try_from(commitments.len()).unwrap_or(u64::MAX);
    commitments.iter().fold(count.to_le_bytes().to_vec(), |mut bytes, point| {
        bytes.extend_from_slice(point.as_bytes());
        bytes
    })
}

/// Holds a finished key set and its shares against `threshold_crypto`: every share key, every key in G2, one decryption
/// and one signature by the last q members. Draws from the operating system's generator (`OsRng`) for the probe.
///
/// # Errors
/// [`CrossCheckError`]: the first thing that does not fit.
pub fn cross_check(parts: &KeySetParts, secrets: &[MemberSecrets]) -> Result<(), CrossCheckError> {
    let n = secrets.len();
    let q = quorum(n).map_err(|_size| CrossCheckError::KeySet)?;
    let decrypt_keys = public_key_set(&parts.decrypt)?;
    let beacon_keys = public_key_set(&parts.beacon)?;
    if [decrypt_keys.threshold(), beacon_keys.threshold()].iter().any(|t| t.checked_add(1) != Some(q)) {
        return Err(CrossCheckError::KeySet);
    }
    if parts.share_keys_g2.len() != n {
        return Err(CrossCheckError::KeySet);
    }
    let mut decrypt = BTreeMap::new();
    let mut beacon = BTreeMap::new();
    for (index, (secret, key_g2)) in secrets.iter().zip(&parts.share_keys_g2).enumerate() {
        let member = member_id(index);
        for (keys, bytes, shares) in
            [(&decrypt_keys, &secret.decrypt, &mut decrypt), (&beacon_keys, &secret.beacon, &mut beacon)]
        {
            let share = SecretKeyShare::from_mut(&mut field(bytes).ok_or(CrossCheckError::Share { member })?);
            if share.public_key_share() != keys.public_key_share(index) {
                return Err(CrossCheckError::Share { member });
            }
            if index >= n.saturating_sub(q) {
                shares.insert(index, share);
            }
        }
        let x = public::scalar(&secret.decrypt).map_err(|_zero| CrossCheckError::Share { member })?;
        if (G2::generator() * &x).encode().as_ref() != key_g2.as_bytes() {
            return Err(CrossCheckError::ShareKeyG2 { member });
        }
    }

    let probe = b"lockstep key set cross-check".as_slice();
    let sealed = decrypt_keys.public_key().encrypt(probe);
    let opened: BTreeMap<_, _> =
        decrypt.iter().filter_map(|(i, share)| Some((*i, share.decrypt_share(&sealed)?))).collect();
    if decrypt_keys.decrypt(&opened, &sealed).ok().as_deref() != Some(probe) {
        return Err(CrossCheckError::Decryption);
    }
    let signed: BTreeMap<_, _> = beacon.iter().map(|(i, share)| (*i, share.sign(probe))).collect();
    let signature = beacon_keys.combine_signatures(&signed).map_err(|_count| CrossCheckError::Signature)?;
    if !beacon_keys.public_key().verify(&signature, probe) {
        return Err(CrossCheckError::Signature);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
