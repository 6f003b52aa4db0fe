//! Published openings, checked by whoever holds no share: an auditor, or a member that was away.
use super::{
    Item,
    admit::{AdmitError, Admitted, admit},
    cipher::{Parts, Secrets, challenge, decrypt_body, mask, message_hash},
    reveal::{Together, opens_with},
};
use crate::{
    ffi::{Fr, G1, G1Affine},
    keys::{EncryptionKey, KeySet},
};
use alloc::vec::Vec;
use types::{G1Bytes, Key128, Opening};
use zeroize::Zeroizing;

/// Why an opening is not the item's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The item should never have been admitted.
    #[error("the ciphertext is not admissible")]
    Proof(#[source] AdmitError),
    /// The key does not open the item.
    #[error("the key does not open the ciphertext")]
    Key,
    /// The point is not the secret times U.
    #[error("the point is not the secret times U")]
    BottomPairing,
    /// The item is said not to open, but opens.
    #[error("the ciphertext opens")]
    BottomOpens,
}

/// The padded message of an item that opened, `None` for one that no key opens.
type Checked = Result<Option<Zeroizing<Vec<u8>>>, OpeningError>;

/// What an opening claims, before proofs and pairings.
enum Claim {
    /// Encrypting again gave the very bytes: opening and proof are right.
    Exact(Zeroizing<Vec<u8>>),
    /// It opens, but s was drawn otherwise, or there is torsion in V, W or X: the proof is still to be checked.
    Opens(Zeroizing<Vec<u8>>),
    /// The key does not open it, or there is no opening.
    Fails,
    /// No key opens it, says this point.
    Bottom(G1Bytes),
}

/// Checks openings against the items' bytes alone, proofs of admission included. One verdict per item; an opening that
/// is missing is a wrong key.
///
/// Equal bytes after encrypting again prove both opening and admission, without pairing, decoding or randomness. Only
/// the rest has its proofs and pairings checked, in batches under `seed`.
#[must_use]
pub fn check_openings(keys: &KeySet, items: &[Item<'_>], openings: &[Opening], seed: [u8; 32]) -> Vec<Checked> {
    let key = keys.encryption_key();
    let claims = claims(key, items, openings);
    let rest: Vec<Item<'_>> = items
        .iter()
        .zip(&claims)
        .filter(|(_, claim)| !matches!(claim, Claim::Exact(_)))
        .map(|(item, _)| *item)
        .collect();
    let mut proofs = admit(key, &rest, seed).into_iter();
    let mut verdicts = Vec::with_capacity(items.len());
    let mut bottoms: Vec<(usize, G1Affine, G1Affine)> = Vec::new();
    for (index, claim) in claims.into_iter().enumerate() {
        let verdict = match claim {
            Claim::Exact(message) => Ok(Some(message)),
            other @ (Claim::Opens(_) | Claim::Fails | Claim::Bottom(_)) => {
                match proofs.next().unwrap_or(Err(AdmitError::Proof)) {
                    Err(error) => Err(OpeningError::Proof(error)),
                    Ok(admitted) => after_proof(other, index, &admitted, &mut bottoms),
                }
            }
        };
        verdicts.push(verdict);
    }
    let pairs: Vec<(G1Affine, G1Affine)> = bottoms.iter().map(|(_, u, shared)| (*u, *shared)).collect();
    for ((index, u, shared), holds) in bottoms.iter().zip(Together::new(&key.pk2, &pairs, &seed).each()) {
        let verdict = match items.get(*index) {
            Some(item) if holds && still_opens(key, item, u, shared) => Err(OpeningError::BottomOpens),
            Some(_) if holds => Ok(None),
            _ => Err(OpeningError::BottomPairing),
        };
        verdicts.iter_mut().skip(*index).take(1).for_each(|slot| *slot = verdict.clone());
    }
    verdicts
}

/// The verdict on an item whose proof holds; that on a Bottom waits in `bottoms` for the pairings.
fn after_proof(
    claim: Claim,
    index: usize,
    admitted: &Admitted,
    bottoms: &mut Vec<(usize, G1Affine, G1Affine)>,
) -> Checked {
    match claim {
        Claim::Exact(message) | Claim::Opens(message) => Ok(Some(message)),
        Claim::Fails => Err(OpeningError::Key),
        Claim::Bottom(bytes) => {
            let shared =
                G1Affine::uncompress(&bytes.0).filter(G1Affine::in_group).ok_or(OpeningError::BottomPairing)?;
            bottoms.push((index, *admitted.u(), shared));
            Ok(None)
        }
    }
}

fn still_opens(key: &EncryptionKey, item: &Item<'_>, u: &G1Affine, shared: &G1Affine) -> bool {
    let parts = Parts::split(item.ciphertext, item.class_bytes);
    parts.is_some_and(|parts| opens_with(key, item, &parts, u, &shared.point()))
}

/// What encrypting again with K gives.
struct Again<'a> {
    item: Item<'a>,
    parts: Parts<'a>,
    k: [u8; 16],
    secrets: Secrets,
    message: Zeroizing<Vec<u8>>,
}

impl<'a> Again<'a> {
    fn new(key: &EncryptionKey, item: &Item<'a>, k: &Key128) -> Option<Self> {
        let parts = Parts::split(item.ciphertext, item.class_bytes)?;
        let message = decrypt_body(key, &k.0, parts.u, item.aad, parts.body)?;
        let secrets = Secrets::derive(key, &k.0, &message_hash(item.aad, &message));
        Some(Self { item: *item, parts, k: k.0, secrets, message })
    }
    /// Compares with the ciphertext, given the compressed points.
    fn claim(self, key: &EncryptionKey, points: &[[u8; 48]; 5]) -> Claim {
        let [u, v, w, x, shared] = points;
        if u != self.parts.u || mask(key, u, shared, &self.k) != *self.parts.c1 {
            return Claim::Fails;
        }
        let e = challenge(key, self.item.aad, self.parts.c1, self.parts.body, &self.parts.points());
        let z = self.secrets.s.add(&e.mul(&self.secrets.r)).to_bytes();
        if [v, w, x] == [self.parts.v, self.parts.w, self.parts.x] && z == *self.parts.z {
            Claim::Exact(self.message)
        } else {
            Claim::Opens(self.message)
        }
    }
}

/// U, V, W, X and D of each, from tables, all items in step.
fn points(key: &EncryptionKey, prepared: &[Result<Again<'_>, Claim>]) -> Vec<[G1; 5]> {
    let secrets = prepared.iter().flatten().map(|again| (*again.secrets.r, *again.secrets.s));
    let (r, s): (Vec<Fr>, Vec<Fr>) = secrets.unzip();
    let tables = &key.tables;
    let [u, v] = [&tables.generator, &tables.gbar].map(|table| table.vartime_mul_all(&r).into_iter());
    let [w, x] = [&tables.generator, &tables.gbar].map(|table| table.vartime_mul_all(&s).into_iter());
    let shared = tables.key.vartime_mul_all(&r).into_iter();
    u.zip(v).zip(w.zip(x)).zip(shared).map(|(((u, v), (w, x)), shared)| [u, v, w, x, shared]).collect()
}

/// One claim per item. All points share one inversion.
fn claims(key: &EncryptionKey, items: &[Item<'_>], openings: &[Opening]) -> Vec<Claim> {
    let given = openings.iter().copied().map(Some).chain(core::iter::repeat(None));
    let prepared: Vec<Result<Again<'_>, Claim>> = items
        .iter()
        .zip(given)
        .map(|(item, opening)| match opening {
            Some(Opening::Key(k)) => Again::new(key, item, &k).ok_or(Claim::Fails),
            Some(Opening::Bottom(point)) => Err(Claim::Bottom(point)),
            None => Err(Claim::Fails),
        })
        .collect();
    let compressed = G1::compress_all(points(key, &prepared).as_flattened());
    let mut compressed = compressed.as_chunks::<5>().0.iter();
    let claim = |prepared: Result<Again<'_>, Claim>| match prepared {
        Ok(again) => compressed.next().map_or(Claim::Fails, |points| again.claim(key, points)),
        Err(claim) => claim,
    };
    prepared.into_iter().map(claim).collect()
}
