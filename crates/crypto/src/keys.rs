//! Keys of the two threshold secrets: one opens envelopes and bids (shares in G1), one signs the beacon (shares in G2).
//!
//! A key set is q = n - f commitments per secret, in the encodings of `threshold_crypto`: the share of member j is the
//! polynomial at j + 1. The decryption secret x also has its G2 keys, PK2 = x G^ and x_j G^ per member, so that a
//! pairing can judge a combined point and blame a share.
//!
//! *Trusted*: nothing. Whoever writes a key set can make [`KeySet::new`] refuse, but not accept keys of which the parts
//! do not belong together.
use crate::{
    batch::Coefficients,
    ffi::{Comb, Fr, G1, G1Affine, G2, G2Affine, Table, pairings_equal},
    hash::t256,
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;
use types::{G1Bytes, G2Bytes, Hash, KeySetParts, MemberId, limits, tag};
use zeroize::Zeroizing;

/// Why the parts are no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// n is zero, above 128, or not above 3 f.
    #[error("{n} members of which {f} may be faulty")]
    Size {
        /// Members.
        n: u16,
        /// May be faulty.
        f: u16,
    },
    /// The number of commitments is not q, or that of member keys is not n, or a revealed member does not exist.
    #[error("wrong number of parts")]
    Count,
    /// Bytes that are no canonical point of the prime-order subgroup, or its identity.
    #[error("not a point of the group")]
    Point,
    /// PK2 is not the secret of PK times the generator of G2.
    #[error("the two public keys have different secrets")]
    PublicKeys,
    /// A member's key is the identity.
    #[error("key of member {0} is the identity")]
    ShareKey(MemberId),
    /// A member's key in G2 is not of the secret that the commitments give it.
    #[error("key of member {0} in G2 does not match the commitments")]
    ShareKeyG2(MemberId),
}

/// Bytes that are no secret: zero, or not below the group order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scalar is zero or not below the group order")]
pub struct ScalarError;

pub(crate) struct Tables {
    pub(crate) generator: Table,
    pub(crate) gbar: Table,
    pub(crate) key: Table,
    pub(crate) generator_comb: Comb,
    pub(crate) gbar_comb: Comb,
    pub(crate) key_comb: Comb,
}

/// What envelopes are sealed to: PK, PK2, and tables for products with public and secret scalars (1.5 MB, shared by
/// clones).
#[derive(Clone)]
pub struct EncryptionKey {
    #[cfg(test)]
    pub(crate) pk: G1Affine,
    pub(crate) pk2: G2Affine,
    #[cfg(test)]
    pub(crate) gbar: G1Affine,
    pub(crate) tables: Arc<Tables>,
    id: Hash,
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptionKey").field(&self.id).finish()
    }
}

impl EncryptionKey {
    /// From the group's public key in G1 and in G2.
    ///
    /// # Errors
    /// [`KeySetError::Point`], [`KeySetError::PublicKeys`].
    pub fn new(pk: &G1Bytes, pk2: &G2Bytes) -> Result<Self, KeySetError> {
        let id = t256(tag::KEY_ID, &[pk.as_ref(), pk2.as_ref()]);
        let (pk, pk2) = (group_g1(pk)?, group_g2(pk2)?);
        let generator = G1Affine::generator();
        if !pairings_equal(&pk.point(), &G2Affine::generator(), &generator.point(), &pk2) {
            return Err(KeySetError::PublicKeys);
        }
        let gbar = second_base().ok_or(KeySetError::Point)?;
        let tables = Tables {
            generator: Table::new(&generator),
            gbar: Table::new(&gbar),
            key: Table::new(&pk),
            generator_comb: Comb::new(&generator),
            gbar_comb: Comb::new(&gbar),
            key_comb: Comb::new(&pk),
        };
        Ok(Self {
            #[cfg(test)]
            pk,
            pk2,
            #[cfg(test)]
            gbar,
            tables: Arc::new(tables),
            id,
        })
    }
    /// T256("lockstep/key/v1"; PK, PK2). Resharing keeps it.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        self.id
    }
}

/// Gb: the second base, of which nobody knows the logarithm (crypto.md section 2). `Some`: a test compares its bytes.
pub(crate) fn second_base() -> Option<G1Affine> {
    G1::hash(b"", tag::GBAR_DST).affine()
}

fn group_g1(bytes: &G1Bytes) -> Result<G1Affine, KeySetError> {
    G1Affine::uncompress(&bytes.0).filter(G1Affine::in_group).ok_or(KeySetError::Point)
}

fn group_g2(bytes: &G2Bytes) -> Result<G2Affine, KeySetError> {
    G2Affine::uncompress(&bytes.0).filter(G2Affine::in_group).ok_or(KeySetError::Point)
}

/// The public side of both secrets in one epoch.
#[derive(Clone)]
pub struct KeySet {
    encryption: EncryptionKey,
    n: u16,
    f: u16,
    share_keys: Vec<G1Affine>,
    share_keys_g2: Vec<G2Affine>,
    beacon_key: G1Affine,
    beacon_share_keys: Vec<G1Affine>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("key_id", &self.key_id()).field("n", &self.n).field("f", &self.f).finish()
    }
}

impl KeySet {
    /// Checks that all parts belong together, for n members of which f may be faulty (n > 3 f).
    ///
    /// # Errors
    /// [`KeySetError`]: whoever wrote the key set is at fault.
    pub fn new(n: u16, f: u16, parts: &KeySetParts) -> Result<Self, KeySetError> {
        let size = KeySetError::Size { n, f };
        if usize::from(n) > limits::MEMBERS_MAX || f.checked_mul(3).is_none_or(|third| third >= n) {
            return Err(size);
        }
        let q = usize::from(n.checked_sub(f).ok_or(size)?);
        let counts = parts.decrypt.len() == q && parts.beacon.len() == q && parts.share_keys_g2.len() == usize::from(n);
        if !counts || parts.revealed.iter().any(|member| member.0 >= n) {
            return Err(KeySetError::Count);
        }
        let decrypt = parts.decrypt.iter().map(group_g1).collect::<Result<Vec<_>, _>>()?;
        let beacon = parts.beacon.iter().map(group_g1).collect::<Result<Vec<_>, _>>()?;
        let share_keys_g2 = parts.share_keys_g2.iter().map(group_g2).collect::<Result<Vec<_>, _>>()?;
        let first = parts.decrypt.first().ok_or(KeySetError::Count)?;
        let set = Self {
            encryption: EncryptionKey::new(first, &parts.decrypt_g2)?,
            n,
            f,
            share_keys: share_keys(n, &decrypt)?,
            share_keys_g2,
            beacon_key: *beacon.first().ok_or(KeySetError::Count)?,
            beacon_share_keys: share_keys(n, &beacon)?,
        };
        set.check_g2(parts)?;
        Ok(set)
    }

    /// e(PK_j, G^) = e(G, PK2_j) for every member: all at once, and one by one to name the wrong one.
    fn check_g2(&self, parts: &KeySetParts) -> Result<(), KeySetError> {
        let (g1, g2) = (G1Affine::generator().point(), G2Affine::generator());
        let bytes = parts.decrypt.iter().map(AsRef::as_ref).chain(parts.share_keys_g2.iter().map(AsRef::as_ref));
        let coefficients = Coefficients::new(&self.key_id().0, bytes);
        let pairs = self.share_keys.iter().zip(&self.share_keys_g2);
        let (mut left, mut right) = (G1::identity(), G2::identity());
        for (index, (key, key_g2)) in pairs.clone().enumerate() {
            let scalar = coefficients.scalar(index);
            left = left.add(&key.mul(&scalar));
            right = right.add(&key_g2.point().mul(&scalar));
        }
        if right.affine().is_some_and(|right| pairings_equal(&left, &g2, &g1, &right)) {
            return Ok(());
        }
        for (member, (key, key_g2)) in (0..).map(MemberId).zip(pairs) {
            if !pairings_equal(&key.point(), &g2, &g1, key_g2) {
                return Err(KeySetError::ShareKeyG2(member));
            }
        }
        Ok(())
    }

    /// What envelopes are sealed to.
    #[must_use]
    pub fn encryption_key(&self) -> &EncryptionKey {
        &self.encryption
    }
    /// Identifier of PK and PK2.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        self.encryption.id
    }
    /// How many shares open: n - f.
    #[must_use]
    pub fn q(&self) -> u16 {
        self.n.saturating_sub(self.f)
    }
    /// Members.
    #[must_use]
    pub fn n(&self) -> u16 {
        self.n
    }
    /// Members that may be faulty.
    #[must_use]
    pub fn f(&self) -> u16 {
        self.f
    }
    /// x_j G of the decryption secret; `None` for no member.
    #[must_use]
    pub fn share_key(&self, member: MemberId) -> Option<G1Bytes> {
        self.share_keys.get(usize::from(member.0)).map(|key| G1Bytes(key.compress()))
    }
    /// x_j G^ of the decryption secret; `None` for no member.
    #[must_use]
    pub fn share_key_g2(&self, member: MemberId) -> Option<G2Bytes> {
        self.share_key_g2_point(member).map(|key| G2Bytes(key.compress()))
    }
    /// The beacon's public key.
    #[must_use]
    pub fn beacon_key(&self) -> G1Bytes {
        G1Bytes(self.beacon_key.compress())
    }
    /// A member's public key of the beacon secret; `None` for no member.
    #[must_use]
    pub fn beacon_share_key(&self, member: MemberId) -> Option<G1Bytes> {
        self.beacon_share_point(member).map(|key| G1Bytes(key.compress()))
    }
    pub(crate) fn share_key_g2_point(&self, member: MemberId) -> Option<G2Affine> {
        self.share_keys_g2.get(usize::from(member.0)).copied()
    }
    pub(crate) fn beacon_point(&self) -> &G1Affine {
        &self.beacon_key
    }
    pub(crate) fn beacon_share_point(&self, member: MemberId) -> Option<G1Affine> {
        self.beacon_share_keys.get(usize::from(member.0)).copied()
    }
}

/// The polynomial in the exponent at 1 to n (Horner).
fn share_keys(n: u16, commitments: &[G1Affine]) -> Result<Vec<G1Affine>, KeySetError> {
    let at = |member: u16| {
        let x = Fr::reduce(&u32::from(member).saturating_add(1).to_le_bytes());
        let sum = commitments.iter().rev().fold(G1::identity(), |sum, c| sum.mul(&x).add(&c.point()));
        sum.affine().ok_or(KeySetError::ShareKey(MemberId(member)))
    };
    (0..n).map(at).collect()
}

fn secret_scalar(bytes: &Zeroizing<[u8; 32]>) -> Result<Box<Zeroizing<Fr>>, ScalarError> {
    let scalar = Box::new(Zeroizing::new(Fr::from_canonical(bytes).ok_or(ScalarError)?));
    if scalar.is_zero() { Err(ScalarError) } else { Ok(scalar) }
}

fn public_g1(scalar: &Fr) -> G1Bytes {
    G1Bytes(G1Affine::generator().mul(scalar).compress())
}

/// A member's share x_j of the decryption secret. Boxed and wiped on drop.
///
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::keys::DecryptionShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::keys::DecryptionShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn comparable<T: PartialEq>() {}
/// comparable::<crypto::keys::DecryptionShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::keys::DecryptionShareKey>();
/// ```
#[expect(missing_debug_implementations, reason = "a secret")]
pub struct DecryptionShareKey(pub(crate) Box<Zeroizing<Fr>>);

impl DecryptionShareKey {
    /// From 32 bytes little-endian, as `threshold_crypto` writes a share.
    ///
    /// # Errors
    /// [`ScalarError`] for zero, and for the order and above.
    pub fn from_le_bytes(bytes: Zeroizing<[u8; 32]>) -> Result<Self, ScalarError> {
        secret_scalar(&bytes).map(Self)
    }
    /// x_j G.
    #[must_use]
    pub fn public_g1(&self) -> G1Bytes {
        public_g1(&self.0)
    }
    /// x_j G^, which the member publishes so that its shares can be judged.
    #[must_use]
    pub fn public_g2(&self) -> G2Bytes {
        let point = G2Affine::generator().point().mul(&self.0);
        // Not the identity: the scalar is neither zero nor the order.
        G2Bytes(point.affine().unwrap_or_default().compress())
    }
}

/// A member's share of the beacon secret. Boxed and wiped on drop.
///
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::keys::BeaconShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::keys::BeaconShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn comparable<T: PartialEq>() {}
/// comparable::<crypto::keys::BeaconShareKey>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::keys::BeaconShareKey>();
/// ```
#[expect(missing_debug_implementations, reason = "a secret")]
pub struct BeaconShareKey(pub(crate) Box<Zeroizing<Fr>>);

impl BeaconShareKey {
    /// From 32 bytes little-endian.
    ///
    /// # Errors
    /// [`ScalarError`] for zero, and for the order and above.
    pub fn from_le_bytes(bytes: Zeroizing<[u8; 32]>) -> Result<Self, ScalarError> {
        secret_scalar(&bytes).map(Self)
    }
    /// The public key of this share.
    #[must_use]
    pub fn public_g1(&self) -> G1Bytes {
        public_g1(&self.0)
    }
}

#[cfg(test)]
mod tests;
