//! From commonware's result to the key set that the rest of Lockstep reads.
use crate::{ceremony::CeremonyError, party::PublicOutput};
use commonware_codec::{Copying, Decode, DecodeExt, Encode, RangeCfg, Read, ReadExt};
use commonware_cryptography::{
    bls12381::primitives::{
        group::{G1, G2, Private, Scalar, ScalarReadCfg, Share},
        sharing::ModeVersion,
        variant::{MinPk, Variant},
    },
    ed25519::PublicKey,
};
use commonware_math::algebra::{Additive, CryptoGroup, Field, Ring};
use commonware_utils::{Participant, ordered::Set};
use core::num::NonZeroU32;
use types::{G1Bytes, G2Bytes, Hash, MemberId};
use zeroize::Zeroizing;

/// Where member `index` evaluates the polynomial: index + 1.
pub(crate) fn point(index: usize) -> Scalar {
    Scalar::from_u64(u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1))
}

/// The commitments' value for member `index`: sum of coefficients x^k at x = index + 1, by Horner. All of it is public.
fn evaluate(coefficients: &[G1], index: usize) -> G1 {
    coefficients.iter().rev().fold(G1::zero(), |sum, coefficient| times(&sum, index.saturating_add(1)) + coefficient)
}

/// For small factors: some ten additions instead of a product with a whole scalar.
fn times(value: &G1, factor: usize) -> G1 {
    let bits = (0..usize::BITS).rev().map(|bit| factor >> bit & 1 == 1).skip_while(|bit| !bit);
    bits.fold(G1::zero(), |sum, bit| {
        let doubled = sum + &sum;
        if bit { doubled + value } else { doubled }
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
        if key != evaluate(&points, index) {
            return Err(CeremonyError::Library);
        }
    }
    Ok(points)
}

/// The sharing of a key set, as the library writes it: the way back of [`commitments`].
///
/// `name` stands for the ceremony that made it; it enters what the next one signs.
pub(crate) fn output(name: &Hash, members: &[PublicKey], points: &[G1]) -> Result<PublicOutput, CeremonyError> {
    let n = members.len();
    let size = u32::try_from(n).ok().and_then(NonZeroU32::new).ok_or(CeremonyError::Size { n })?;
    let set = Set::from_iter_dedup(members.iter().cloned()).encode();
    let nobody = Set::<PublicKey>::default().encode();
    let sharing = [&[0u8], size.get().to_be_bytes().as_slice(), points.to_vec().encode().as_ref()].concat();
    let bytes = [name.as_bytes().as_slice(), &sharing, &set, &set, &nobody].concat();
    let output = PublicOutput::decode_cfg(Copying(bytes.as_slice()), &(size, ModeVersion::v0()))?;
    if commitments(&output, n, points.len())? != points {
        return Err(CeremonyError::Library);
    }
    Ok(output)
}

/// The points of a key set's commitments.
pub(crate) fn points(bytes: &[G1Bytes]) -> Result<Vec<G1>, CeremonyError> {
    bytes.iter().map(|point| Ok(G1::decode(Copying(point.as_bytes().as_slice()))?)).collect()
}

/// The scalar of little-endian bytes: not zero, below the group order.
pub(crate) fn scalar(bytes: &Zeroizing<[u8; 32]>) -> Result<Scalar, CeremonyError> {
    let mut big = Zeroizing::new(**bytes);
    big.reverse();
    Ok(Scalar::decode_cfg(Copying(big.as_slice()), &ScalarReadCfg::RejectZero)?)
}

/// A member's stored share, in the library's form.
pub(crate) fn share(member: MemberId, bytes: &Zeroizing<[u8; 32]>) -> Result<Share, CeremonyError> {
    Ok(Share::new(Participant::from_usize(member.0.into()), Private::new(scalar(bytes)?)))
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

/// The point of a member's key in G2, if it is of the exponent that the commitments give that member.
pub(crate) fn fitting_g2(commitments: &[G1], index: usize, bytes: &[u8]) -> Option<G2> {
    let key = G2::decode(Copying(bytes)).ok()?;
    same_exponent(&evaluate(commitments, index), &key).then_some(key)
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
    let fits = |(index, bytes): (usize, &Option<Vec<u8>>)| fitting_g2(commitments, index, bytes.as_deref()?);
    let checked: Vec<Option<G2>> = published.iter().enumerate().map(fits).collect();
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
    if usize::from(share.index) != index || share.public::<MinPk>() != evaluate(commitments, index) {
        return Err(CeremonyError::Share { member });
    }
    Ok(())
}
