//! Admission: the proof that whoever made a ciphertext knew r, so that its shares help nobody to open another one.
use super::cipher::{Parts, challenges};
use crate::{
    batch::{Coefficients, bisect},
    ffi::{Fr, G1Affine},
    keys::EncryptionKey,
    lanes::{halves, msm},
};
use alloc::vec::Vec;
use core::ops::Range;

/// Proofs in one sum. More would not make one cheaper.
const TOGETHER: usize = 512;

/// A ciphertext with what it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Kind byte and header: [`super::envelope_aad`].
    pub aad: &'a [u8],
    /// Padded message of its class, bytes.
    pub class_bytes: usize,
    /// As it travels.
    pub ciphertext: &'a [u8],
}

/// A ciphertext that passed admission: U is in the group and the proof holds. Holds no secret.
///
/// Only [`admit`] makes one:
/// ```compile_fail,E0451
/// use crypto::tdh2::Admitted;
/// fn made_of_another(admitted: Admitted) -> Admitted {
///     Admitted { ..admitted }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    u: Base,
    /// Z U for the curve's parameter: a member's share is computed from both.
    zu: Base,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Base(G1Affine);

impl core::fmt::Debug for Base {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        types::G1Bytes(self.0.compress()).fmt(f)
    }
}

impl Admitted {
    pub(super) fn u(&self) -> &G1Affine {
        &self.u.0
    }
    pub(super) fn powers(&self) -> (G1Affine, G1Affine) {
        (self.u.0, self.zu.0)
    }
}

/// Why a ciphertext is refused; the checks are made in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// Not as long as its class asks.
    #[error("wrong length")]
    Length,
    /// U, V, W or X is no canonical point, or the identity, or has x = 0.
    #[error("not a canonical point")]
    Point,
    /// z is not below the group order.
    #[error("scalar not below the group order")]
    Scalar,
    /// U is outside the subgroup of prime order.
    #[error("U outside the subgroup")]
    Subgroup,
    /// The proof does not hold.
    #[error("proof does not hold")]
    Proof,
}

impl AdmitError {
    /// The word that a refusal's detail carries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "LENGTH",
            Self::Point => "POINT",
            Self::Scalar => "SCALAR",
            Self::Subgroup => "SUBGROUP",
            Self::Proof => "PROOF",
        }
    }
}

/// A decoded ciphertext, before its proof is checked.
struct Claim {
    u: G1Affine,
    zu: G1Affine,
    v: G1Affine,
    w: G1Affine,
    x: G1Affine,
    z: Fr,
    e: Fr,
}

/// The claim of each item: lengths first, then all points, then all subgroups. The verdicts are those of one by one.
fn decode<'a>(key: &EncryptionKey, items: &[Item<'a>]) -> Vec<Result<Claim, AdmitError>> {
    let split = |item: &Item<'a>| Parts::split(item.ciphertext, item.class_bytes);
    let parts: Vec<Option<Parts<'_>>> = items.iter().map(split).collect();
    let bytes: Vec<&[u8; 48]> = parts.iter().flatten().flat_map(Parts::points).collect();
    let points = G1Affine::uncompress_all(bytes.iter().copied());
    let mut points = points.as_chunks::<4>().0.iter();
    let decoded = |parts: &Option<Parts<'_>>| {
        let parts = parts.as_ref().ok_or(AdmitError::Length)?;
        let [u, v, w, x] = points.next().copied().unwrap_or_default();
        let point = |point: Option<G1Affine>| point.ok_or(AdmitError::Point);
        let points = [point(u)?, point(v)?, point(w)?, point(x)?];
        Ok((points, Fr::from_canonical(parts.z).ok_or(AdmitError::Scalar)?))
    };
    let decoded: Vec<Result<([G1Affine; 4], Fr), AdmitError>> = parts.iter().map(decoded).collect();
    let bases: Vec<G1Affine> = decoded.iter().flatten().map(|([u, ..], _)| *u).collect();
    // A share of a point outside the subgroup would leak x_j modulo small primes.
    let mut inside = G1Affine::times_z_in_group_all(&bases).into_iter();
    let there = items.iter().zip(&parts).zip(&decoded).filter(|(_, decoded)| decoded.is_ok());
    let hashed: Vec<(&[u8], &Parts<'_>)> =
        there.filter_map(|((item, parts), _)| Some((item.aad, parts.as_ref()?))).collect();
    let mut challenges = challenges(key, &hashed).into_iter();
    let claim = |decoded| {
        let ([u, v, w, x], z): ([G1Affine; 4], Fr) = decoded?;
        // Both are there for each that was decoded.
        let e = challenges.next().ok_or(AdmitError::Proof)?;
        let zu = inside.next().flatten().ok_or(AdmitError::Subgroup)?;
        Ok(Claim { u, zu, v, w, x, z, e })
    };
    decoded.into_iter().map(claim).collect()
}

/// Admits ciphertexts. The verdict on each is a function of its own bytes: a batch that fails is bisected. How many are
/// checked at once, the caller decides by what it gives.
///
/// `seed` is 32 random bytes of the caller's; it decides nothing but the coefficients of the batch.
#[must_use]
pub fn admit(key: &EncryptionKey, items: &[Item<'_>], seed: [u8; 32]) -> Vec<Result<Admitted, AdmitError>> {
    items.chunks(TOGETHER).flat_map(|batch| admit_batch(key, batch, &seed)).collect()
}

fn admit_batch(key: &EncryptionKey, items: &[Item<'_>], seed: &[u8; 32]) -> Vec<Result<Admitted, AdmitError>> {
    let decoded = decode(key, items);
    let claims: Vec<&Claim> = decoded.iter().filter_map(|claim| claim.as_ref().ok()).collect();
    // e covers every byte of an item but z
    let covered: Vec<([u8; 32], [u8; 32])> =
        claims.iter().map(|claim| (claim.e.to_bytes(), claim.z.to_bytes())).collect();
    let coefficients = Coefficients::new(seed, covered.iter().flat_map(|(e, z)| [e.as_slice(), z]));
    let proofs = bisect(claims.len(), |range| proofs_hold(key, &claims, range, &coefficients));
    let mut checked = proofs.into_iter();
    let verdict = |claim: &Result<Claim, AdmitError>| {
        let claim = claim.as_ref().map_err(|error| *error)?;
        match checked.next() {
            Some(true) => Ok(Admitted { u: Base(claim.u), zu: Base(claim.zu) }),
            _ => Err(AdmitError::Proof),
        }
    };
    decoded.iter().map(verdict).collect()
}

/// h (zG - W - eU) = 0 and h (zGb - X - eV) = 0 for each claim of the range: one random combination of all equations.
/// The factor h is part of the rule: torsion in V, W and X changes neither D nor who can make the proof, and without h
/// a batch could pass what a single check refuses.
fn proofs_hold(key: &EncryptionKey, claims: &[&Claim], range: Range<usize>, coefficients: &Coefficients) -> bool {
    let (mut points, mut scalars) = (Vec::new(), Vec::new());
    let (mut on_generator, mut on_gbar) = (Fr::default(), Fr::default());
    for (index, claim) in claims.iter().enumerate().skip(range.start).take(range.len()) {
        let (rho, sigma) = coefficients.pair(index);
        let (rho_scalar, sigma_scalar) = (Fr::reduce(&rho), Fr::reduce(&sigma));
        on_generator = on_generator.add(&rho_scalar.mul(&claim.z));
        on_gbar = on_gbar.add(&sigma_scalar.mul(&claim.z));
        // k P = low P + high Z^2 P and Z^2 P = -phi(P): of a V outside the subgroup, after h.
        for (point, scalar) in [(claim.u, rho_scalar.mul(&claim.e)), (claim.v, sigma_scalar.mul(&claim.e))] {
            let (low, high) = halves(&scalar);
            points.extend([point, point.endomorphism().neg()]);
            scalars.extend([low, high]);
        }
        points.extend([claim.w, claim.x]);
        scalars.extend([u128::from_le_bytes(rho), u128::from_le_bytes(sigma)]);
    }
    let want = key.tables.generator.vartime_mul(&on_generator).add(&key.tables.gbar.vartime_mul(&on_gbar));
    msm(&points, &scalars).add(&want.neg()).mul_cofactor().is_identity()
}
