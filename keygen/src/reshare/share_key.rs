//! What a new member publishes after a resharing: its key in G2, which blame checks its decryption shares against.
use super::Outcome;
use crate::{MemberSecrets, public};
use crypto::{ed25519, hash::t256, keys::DecryptionShareKey};
use serde::{Deserialize, Serialize};
use types::{
    G2Bytes, Hash, MemberId, Signature,
    codec::{self, DecodeError},
    tag,
};
use zeroize::Zeroizing;

const SHARE_KEY_BYTES_MAX: usize = 163;

/// x_j G^ of a new member, signed by its consensus key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareKey {
    /// j, in the new committee.
    pub member: MemberId,
    /// x_j G^.
    pub point: G2Bytes,
    /// Over T256("lockstep/reshare/share-key/v1"; the outcome's logs, u16le member, point).
    pub signature: Signature,
}

/// Why a share key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareKeyError {
    /// No encoding of one.
    #[error("malformed share key")]
    Malformed(#[from] DecodeError),
    /// No such member in the new committee.
    #[error("no member {0}")]
    Member(MemberId),
    /// Not the member's signature for this outcome.
    #[error("bad signature on a share key")]
    Signature,
    /// Not of the exponent that the commitments give the member. Signed: the member is at fault.
    #[error("share key of member {0} does not fit the commitments")]
    Point(MemberId),
    /// The outcome's own commitments are no points.
    #[error("not an outcome")]
    Outcome,
    /// The secrets or the seed are not this member's in the outcome.
    #[error("not this member's secrets")]
    Secrets,
}

impl ShareKey {
    /// The share key of the member that finished with `secrets`.
    ///
    /// # Errors
    /// [`ShareKeyError::Secrets`], [`ShareKeyError::Outcome`].
    pub fn sign(
        outcome: &Outcome,
        consensus_seed: &Zeroizing<[u8; 32]>,
        secrets: &MemberSecrets,
    ) -> Result<Self, ShareKeyError> {
        let key = ed25519::SigningKey::from_seed(consensus_seed.clone());
        let rank = outcome.members.binary_search(&key.public()).map_err(|_absent| ShareKeyError::Secrets)?;
        let member = crate::ceremony::member_id(rank);
        let share = DecryptionShareKey::from_le_bytes(secrets.decrypt.clone());
        let point = share.map_err(|_not| ShareKeyError::Secrets)?.public_g2();
        if !fits(outcome, member, &point)? {
            return Err(ShareKeyError::Secrets);
        }
        let signature = key.sign(text(outcome, member, &point).as_bytes());
        Ok(Self { member, point, signature })
    }

    /// The bytes to publish.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// Admission of a share key: signed by its member, and the right point.
///
/// # Errors
/// [`ShareKeyError`].
pub fn check_share_key(outcome: &Outcome, bytes: &[u8]) -> Result<ShareKey, ShareKeyError> {
    let key: ShareKey = codec::decode(bytes, SHARE_KEY_BYTES_MAX)?;
    let public = outcome.members.get(usize::from(key.member.0)).ok_or(ShareKeyError::Member(key.member))?;
    if !ed25519::verify(public, text(outcome, key.member, &key.point).as_bytes(), &key.signature) {
        return Err(ShareKeyError::Signature);
    }
    if !fits(outcome, key.member, &key.point)? {
        return Err(ShareKeyError::Point(key.member));
    }
    Ok(key)
}

fn text(outcome: &Outcome, member: MemberId, point: &G2Bytes) -> Hash {
    let member = member.0.to_le_bytes();
    t256(tag::RESHARE_SHARE_KEY, &[outcome.logs.as_bytes(), &member, point.as_bytes()])
}

fn fits(outcome: &Outcome, member: MemberId, point: &G2Bytes) -> Result<bool, ShareKeyError> {
    let commitments = public::points(&outcome.decrypt).map_err(|_not| ShareKeyError::Outcome)?;
    Ok(public::fitting_g2(&commitments, member.0.into(), point.as_bytes()).is_some())
}
