//! From commonware's result to the key set that the rest of Lockstep reads.
use crate::{ceremony::CeremonyError, party::PublicOutput};
use commonware_codec::{Copying, DecodeExt, Encode, RangeCfg, Read, ReadExt};
use commonware_cryptography::bls12381::primitives::{
    group::{G1, G2, Scalar, Share},
    variant::{MinPk, Variant},
};
use commonware_math::algebra::{Additive, CryptoGroup, Field, Ring};
use commonware_utils::Participant;
use types::{G1Bytes, G2Bytes, MemberId};
use zeroize::Zeroizing;

/// Where member `index` evaluates the polynomial: index + 1.
pub(crate) fn point(index: usize) -> Scalar {
    Scalar::from_u64(u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1))
}

/// sum of coefficients x^k, by Horner.
fn evaluate(coefficients: &[G1], x: &Scalar) -> G1 {
    coefficients.iter().rev().fold(G1::zero(), |mut sum, coefficient| {
        sum *= x;
        sum += coefficient;
        sum
    })
}

/// The commitments of a sharing, q of them, checked against every share key that the library derives.
///
/// `Sharing` hands out no coefficients, so its encoding is read: mode u8 0 | members u32 BE | varint q | q points.
pub(crate) fn commitments(output: &PublicOutput, n: usize, q: usize) -> Result<Vec<G1>, CeremonyError> {
    let sharing = output.public();
    let encoded = sharing.encode();
    let mut buf = Copying(encoded.as_ref());
    let mode = u8::read(&mut buf)?;
    let members = u32::read(&mut buf)?;
    let points = Vec::<G1>::read_cfg(&mut buf, &(RangeCfg::new(q..=q), ()))?;
    if mode != 0 || usize::try_from(members) != Ok(n) || !buf.0.is_empty() {
        return Err(CeremonyError::Library);
    }
    for index in 0..n {
        let key = sharing.partial_public(Participant::from_usize(index)).map_err(|_index| CeremonyError::Library)?;
        if key != evaluate(&points, &point(index)) {
            return Err(CeremonyError::Library);
        }
    }
    Ok(points)
}

/// The 48 bytes of a point of G1.
pub(crate) fn g1_bytes(point: &G1) -> Result<G1Bytes, CeremonyError> {
    G1Bytes::try_from(point.encode().as_ref()).map_err(|_length| CeremonyError::Library)
}

fn g2_bytes(point: &G2) -> Result<G2Bytes, CeremonyError> {
    G2Bytes::try_from(point.encode().as_ref()).map_err(|_length| CeremonyError::Library)
}

/// The little-endian bytes of a scalar; commonware writes big-endian.
pub(crate) fn le_bytes(scalar: &Scalar) -> Zeroizing<[u8; 32]> {
    let big = Zeroizing::new(scalar.encode().to_vec());
    let mut little = Zeroizing::new([0u8; 32]);
    for (to, from) in little.iter_mut().zip(big.iter().rev()) {
        *to = *from;
    }
    little
}

/// The secret of a share, little-endian.
pub(crate) fn share_bytes(share: &Share) -> Zeroizing<[u8; 32]> {
    share.private.expose(le_bytes)
}

/// What a member publishes so that its decryption shares can be blamed on it: x_j G^, 96 bytes compressed.
pub(crate) fn share_key_g2(share: &Share) -> Vec<u8> {
    share.private.expose(|x| (G2::generator() * x).encode().to_vec())
}

fn same_exponent(g1: &G1, g2: &G2) -> bool {
    MinPk::pairing(g1, &G2::generator()) == MinPk::pairing(&G1::generator(), g2)
}

/// lambda_k(x) = prod (x - x_m) / (x_k - x_m) over the other points.
fn lagrange(points: &[Scalar], at: &Scalar) -> Vec<Scalar> {
    let weight = |k: usize, x_k: &Scalar| {
        let mut numerator = Scalar::one();
        let mut denominator = Scalar::one();
        for (_, x_m) in points.iter().enumerate().filter(|(m, _)| *m != k) {
            numerator *= &(at.clone() - x_m);
            denominator *= &(x_k.clone() - x_m);
        }
        numerator * &denominator.inv()
    };
    points.iter().enumerate().map(|(k, x_k)| weight(k, x_k)).collect()
}

fn interpolate(known: &[(Scalar, G2)], at: &Scalar) -> G2 {
    let points: Vec<Scalar> = known.iter().map(|(x, _)| x.clone()).collect();
    let mut sum = G2::zero();
    for ((_, value), weight) in known.iter().zip(lagrange(&points, at)) {
        sum += &(*value * &weight);
    }
    sum
}

/// The keys in G2.
#[derive(Debug)]
pub(crate) struct KeysG2 {
    /// PK2 = x G^.
    pub(crate) group: G2Bytes,
    /// x_j G^, by member index.
    pub(crate) members: Vec<G2Bytes>,
}

/// Takes what members published, by index. What is missing or does not fit the commitments is interpolated from q others.
pub(crate) fn keys_g2(commitments: &[G1], published: &[Option<Vec<u8>>]) -> Result<KeysG2, CeremonyError> {
    let fits = |index: usize, bytes: &[u8]| {
        let point_g2 = G2::decode(Copying(bytes)).ok()?;
        same_exponent(&evaluate(commitments, &point(index)), &point_g2).then_some(point_g2)
    };
    let checked: Vec<Option<G2>> =
        published.iter().enumerate().map(|(i, bytes)| bytes.as_deref().and_then(|b| fits(i, b))).collect();
    let known: Vec<(Scalar, G2)> =
        checked.iter().enumerate().filter_map(|(i, key)| key.map(|key| (point(i), key))).collect();
    let found = known.len();
    let base = known.get(..commitments.len());
    let base = base.ok_or(CeremonyError::TooFewShareKeys { required: commitments.len(), found })?;
    let members = checked
        .iter()
        .enumerate()
        .map(|(i, key)| g2_bytes(&key.unwrap_or_else(|| interpolate(base, &point(i)))))
        .collect::<Result<_, _>>()?;
    let group = interpolate(base, &Scalar::zero());
    if !commitments.first().is_some_and(|key| same_exponent(key, &group)) {
        return Err(CeremonyError::Library);
    }
    Ok(KeysG2 { group: g2_bytes(&group)?, members })
}

/// The share of `member` fits the key that the commitments give it (KEY-2).
pub(crate) fn check_share(commitments: &[G1], member: MemberId, share: &Share) -> Result<(), CeremonyError> {
    let index = usize::from(member.0);
    if usize::from(share.index) != index || share.public::<MinPk>() != evaluate(commitments, &point(index)) {
        return Err(CeremonyError::Share { member });
    }
    Ok(())
}
