//! The beacon: one BLS signature of the group over block h's digest, and its hash R_h, which orders the slot.
//!
//! RFC 9380 suite `BLS12381G2_XMD:SHA-256_SSWU_RO_`, key in G1, signature in G2. The signature is unique, so nobody can
//! choose R_h; it takes q members, who sign only a final block ([`OrderFixed`] is the only source of the message).
use crate::{
    batch::{Coefficients, bisect},
    ffi::{G1Affine, G2, G2Affine, msm_128, msm_g2, pairings_equal},
    finality::OrderFixed,
    hash::sha256,
    keys::{BeaconShareKey, KeySet},
    weights::{Weights, choose},
};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use types::{G2Bytes, Hash, MemberId, Slot, tag};

/// What the beacon of a slot signs: tag | network 32 | u64 little-endian slot | digest 32, 90 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Network id.
    pub network: Hash,
    /// Slot h.
    pub slot: Slot,
    /// Digest of block h.
    pub digest: Hash,
}

impl Message {
    /// Of the block that the token is about.
    #[must_use]
    pub fn of(fixed: &OrderFixed) -> Self {
        Self { network: fixed.network(), slot: fixed.slot(), digest: fixed.digest() }
    }
    /// The signed bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let slot = self.slot.0.to_le_bytes();
        [tag::BEACON.as_bytes(), self.network.as_ref(), &slot, self.digest.as_ref()].concat()
    }
    fn point(&self) -> G2 {
        G2::hash(&self.bytes(), tag::BEACON_DST)
    }
}

/// Why a beacon is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// Bytes that are no canonical point of the prime-order subgroup, or its identity.
    #[error("not a point of the group")]
    Point,
    /// Not the group's signature over this message.
    #[error("not the group's signature")]
    Signature,
}

/// Why shares give no beacon: these members' shares are bad, so leave them out; none: fewer than q shares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} bad beacon shares", .0.len())]
pub struct Culprits(pub Vec<MemberId>);

/// This member's signature share over a final block. The message comes from the token, so a share for another digest
/// cannot be written down:
///
/// ```compile_fail,E0308
/// use crypto::{beacon, keys::BeaconShareKey};
/// fn early(key: &BeaconShareKey, message: &beacon::Message) {
///     beacon::sign(key, message);
/// }
/// ```
#[must_use]
pub fn sign(key: &BeaconShareKey, fixed: &OrderFixed) -> G2Bytes {
    let share = Message::of(fixed).point().mul(&key.0);
    // Not the identity: the scalar is not zero, and nobody can find a message that hashes to the identity.
    G2Bytes(share.affine().unwrap_or_default().compress())
}

/// Combines shares into the group's signature. Shares are combined unchecked and only the result is verified; when that
/// fails, each share is checked, so that the bad ones can be named. Of two shares of one member the first counts.
///
/// # Errors
/// [`Culprits`].
pub fn combine(keys: &KeySet, shares: &[(MemberId, G2Bytes)], message: &Message) -> Result<G2Bytes, Culprits> {
    let (mut points, mut bad): (BTreeMap<MemberId, G2Affine>, Vec<MemberId>) = (BTreeMap::new(), Vec::new());
    for (member, bytes) in shares.iter().filter(|(member, _)| member.0 < keys.n()) {
        match G2Affine::uncompress(&bytes.0) {
            Some(point) => {
                points.entry(*member).or_insert(point);
            }
            None => bad.push(*member),
        }
    }
    if !bad.is_empty() {
        return Err(Culprits(bad));
    }
    let members: Vec<MemberId> = points.keys().copied().collect();
    let chosen = choose(&members, keys.q().into()).ok_or(Culprits(Vec::new()))?;
    let picked = chosen.iter().filter_map(|at| members.get(*at)).filter_map(|m| points.get_key_value(m));
    let (picked, picked_points): (Vec<MemberId>, Vec<G2Affine>) = picked.map(|(m, point)| (*m, *point)).unzip();
    let combined = Weights::new(&picked).combine_g2(&picked_points).affine();
    let signature = combined.map(|point| G2Bytes(point.compress()));
    match signature {
        Some(signature) if verify(keys, message, &signature).is_ok() => Ok(signature),
        _ => Err(Culprits(blame(keys, &points, message))),
    }
}

fn blame(keys: &KeySet, points: &BTreeMap<MemberId, G2Affine>, message: &Message) -> Vec<MemberId> {
    let shares: Vec<(MemberId, G2Affine)> = points.iter().map(|(member, share)| (*member, *share)).collect();
    let verdicts = points_hold(keys, message, &shares);
    shares.iter().zip(verdicts).filter(|(_, holds)| !holds).map(|((member, _), _)| *member).collect()
}

/// As [`share_holds`] for each: one pairing for all where all hold, and bisection where not.
#[must_use]
pub fn shares_hold(keys: &KeySet, message: &Message, shares: &[(MemberId, G2Bytes)]) -> Vec<bool> {
    let decoded = shares.iter().map(|(member, share)| Some((*member, G2Affine::uncompress(&share.0)?)));
    let decoded: Vec<Option<(MemberId, G2Affine)>> = decoded.collect();
    let known: Vec<(MemberId, G2Affine)> = decoded.iter().flatten().copied().collect();
    let mut verdicts = points_hold(keys, message, &known).into_iter();
    decoded.iter().map(|share| share.is_some() && verdicts.next().unwrap_or(false)).collect()
}

/// e(G, sum of rho share) = e(sum of rho key, H(message)), each share in the subgroup. The weights are a hash of all that
/// is checked, so nobody can aim at them.
fn points_hold(keys: &KeySet, message: &Message, shares: &[(MemberId, G2Affine)]) -> Vec<bool> {
    let Some(hashed) = message.point().affine() else { return vec![false; shares.len()] };
    let usable = |(member, share): &(MemberId, G2Affine)| {
        keys.beacon_share_point(*member).filter(|_| share.in_group()).map(|key| (key, *share))
    };
    let pairs: Vec<Option<(G1Affine, G2Affine)>> = shares.iter().map(usable).collect();
    let (public, signatures): (Vec<G1Affine>, Vec<G2Affine>) = pairs.iter().flatten().copied().unzip();
    let bytes: Vec<([u8; 48], [u8; 96])> =
        public.iter().zip(&signatures).map(|(key, share)| (key.compress(), share.compress())).collect();
    let parts = bytes.iter().flat_map(|(key, share)| [key.as_slice(), share.as_slice()]);
    let coefficients = Coefficients::new(&sha256(&[&message.bytes()]).0, parts);
    let short: Vec<[u8; 16]> = (0..public.len()).map(|at| coefficients.pair(at).0).collect();
    let wide: Vec<[u8; 32]> = short.iter().map(widened).collect();
    let generator = G1Affine::generator().point();
    let verdicts = bisect(public.len(), |range| {
        let (signatures, wide) = (signatures.get(range.clone()), wide.get(range.clone()));
        let signed = msm_g2(signatures.unwrap_or_default(), wide.unwrap_or_default());
        let key = msm_128(public.get(range.clone()).unwrap_or_default(), short.get(range).unwrap_or_default());
        signed.affine().is_some_and(|signed| pairings_equal(&generator, &signed, &key, &hashed))
    });
    let mut verdicts = verdicts.into_iter();
    pairs.iter().map(|pair| pair.is_some() && verdicts.next().unwrap_or(false)).collect()
}

fn widened(short: &[u8; 16]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(short).for_each(|(to, from)| *to = *from);
    out
}

/// Whether this is the member's share over the message.
#[must_use]
pub fn share_holds(keys: &KeySet, member: MemberId, message: &Message, share: &G2Bytes) -> bool {
    let point = G2Affine::uncompress(&share.0);
    let pair = keys.beacon_share_point(member).zip(point);
    pair.is_some_and(|(key, share)| signed_by(&key, &message.point(), &share))
}

fn signed_by(key: &G1Affine, hashed: &G2, signature: &G2Affine) -> bool {
    let equal = |hashed: &G2Affine| pairings_equal(&G1Affine::generator().point(), signature, &key.point(), hashed);
    signature.in_group() && hashed.affine().is_some_and(|hashed| equal(&hashed))
}

/// Checks a beacon and gives R_h = SHA-256 of its 96 compressed bytes.
///
/// # Errors
/// [`BeaconError::Point`], [`BeaconError::Signature`].
pub fn verify(keys: &KeySet, message: &Message, signature: &G2Bytes) -> Result<Hash, BeaconError> {
    let point = G2Affine::uncompress(&signature.0).filter(G2Affine::in_group).ok_or(BeaconError::Point)?;
    if !signed_by(keys.beacon_point(), &message.point(), &point) {
        return Err(BeaconError::Signature);
    }
    Ok(value(signature))
}

/// R_h of a signature that was verified.
#[must_use]
pub fn value(signature: &G2Bytes) -> Hash {
    sha256(&[signature.as_ref()])
}

#[cfg(test)]
mod tests;
