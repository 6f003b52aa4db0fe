//! The parts of a ciphertext and the hashes between them.
use crate::{
    ffi::Fr,
    hash::{t256, t256_all, t512},
    keys::EncryptionKey,
};
use alloc::vec::Vec;
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use types::{Hash, tag};
use zeroize::Zeroizing;

/// Bytes of the AEAD's tag.
const TAG_BYTES: usize = 16;

/// A ciphertext of the right length, nothing decoded.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) u: &'a [u8; 48],
    pub(super) v: &'a [u8; 48],
    pub(super) w: &'a [u8; 48],
    pub(super) x: &'a [u8; 48],
    pub(super) z: &'a [u8; 32],
    pub(super) c1: &'a [u8; 16],
    pub(super) body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` unless the body is exactly one class and a tag.
    pub(super) fn split(ciphertext: &'a [u8], class_bytes: usize) -> Option<Self> {
        let (u, rest) = ciphertext.split_first_chunk()?;
        let (v, rest) = rest.split_first_chunk()?;
        let (w, rest) = rest.split_first_chunk()?;
        let (x, rest) = rest.split_first_chunk()?;
        let (z, rest) = rest.split_first_chunk()?;
        let (c1, body) = rest.split_first_chunk()?;
        (body.len() == class_bytes.checked_add(TAG_BYTES)?).then_some(Self { u, v, w, x, z, c1, body })
    }
    /// The four points, in the order in which they are hashed.
    pub(super) fn points(&self) -> [&'a [u8; 48]; 4] {
        [self.u, self.v, self.w, self.x]
    }
}

/// hm = T256(msg; aad, padded message).
pub(super) fn message_hash(aad: &[u8], message: &[u8]) -> Hash {
    t256(tag::TDH2_MSG, &[aad, message])
}

/// [`message_hash`] of many.
pub(super) fn message_hashes(all: &[[&[u8]; 2]]) -> Vec<Hash> {
    t256_all(tag::TDH2_MSG, all)
}

/// r and s, wiped on drop.
pub(super) struct Secrets {
    pub(super) r: Zeroizing<Fr>,
    pub(super) s: Zeroizing<Fr>,
}

impl Secrets {
    /// Both are hashes of key id, K and message.
    pub(super) fn derive(key: &EncryptionKey, k: &[u8; 16], message_hash: &Hash) -> Self {
        let s = secret(tag::TDH2_S, key, k, message_hash);
        Self { r: base_secret(key, k, message_hash), s }
    }
}

fn secret(tag: &str, key: &EncryptionKey, k: &[u8; 16], message_hash: &Hash) -> Zeroizing<Fr> {
    let wide = Zeroizing::new(t512(tag, &[key.key_id().as_ref(), k, message_hash.as_ref()]));
    Zeroizing::new(Fr::reduce(wide.as_slice()))
}

/// r, the secret of U.
pub(super) fn base_secret(key: &EncryptionKey, k: &[u8; 16], message_hash: &Hash) -> Zeroizing<Fr> {
    secret(tag::TDH2_R, key, k, message_hash)
}

/// K xor mask(key id, U, D): c1 from K, or K from c1.
pub(super) fn mask(key: &EncryptionKey, u: &[u8; 48], shared: &[u8; 48], with: &[u8; 16]) -> [u8; 16] {
    masked(&t256(tag::TDH2_MASK, &[key.key_id().as_ref(), u, shared]), with)
}

/// [`mask`] of many: U, D and what is masked.
pub(super) fn masks(key: &EncryptionKey, all: &[(&[u8; 48], &[u8; 48], &[u8; 16])]) -> Vec<[u8; 16]> {
    let id = key.key_id();
    let parts: Vec<[&[u8]; 3]> = all.iter().map(|(u, shared, _)| [id.as_ref(), *u, *shared]).collect();
    t256_all(tag::TDH2_MASK, &parts).iter().zip(all).map(|(pad, (_, _, with))| masked(pad, with)).collect()
}

fn masked(pad: &Hash, with: &[u8; 16]) -> [u8; 16] {
    let mut out = *with;
    out.iter_mut().zip(pad.0).for_each(|(byte, mask)| *byte ^= mask);
    out
}

fn body_key(key: &EncryptionKey, k: &[u8; 16], u: &[u8; 48]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(t256(tag::TDH2_DEM, &[key.key_id().as_ref(), k, u]).0)
}

/// Keys of the AEAD for many K and U.
pub(super) fn body_keys(key: &EncryptionKey, all: &[(&[u8; 16], &[u8; 48])]) -> Vec<Zeroizing<[u8; 32]>> {
    let id = key.key_id();
    let parts: Vec<[&[u8]; 3]> = all.iter().map(|(k, u)| [id.as_ref(), *k, *u]).collect();
    t256_all(tag::TDH2_DEM, &parts).into_iter().map(|hash| Zeroizing::new(hash.0)).collect()
}

/// The AEAD of the message. Nonce 0: the key is fresh per (K, U).
pub(super) fn encrypt_body(key: &EncryptionKey, k: &[u8; 16], u: &[u8; 48], aad: &[u8], message: &[u8]) -> Vec<u8> {
    // Fails only above 2^38 bytes; an empty body would be refused at admission.
    ChaCha20Poly1305::new((&*body_key(key, k, u)).into())
        .encrypt(&Nonce::default(), Payload { msg: message, aad })
        .unwrap_or_default()
}

/// The padded message, `None` if the tag does not hold.
pub(super) fn decrypt_body(
    key: &EncryptionKey,
    k: &[u8; 16],
    u: &[u8; 48],
    aad: &[u8],
    body: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    decrypt_with(&body_key(key, k, u), aad, body)
}

/// As [`decrypt_body`], with the key of the AEAD.
pub(super) fn decrypt_with(body_key: &[u8; 32], aad: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = ChaCha20Poly1305::new(body_key.into());
    cipher.decrypt(&Nonce::default(), Payload { msg: body, aad }).ok().map(Zeroizing::new)
}

/// e = fr(T512(e; key id, hc, U, V, W, X)), hc = T256(ct; aad, c1, body).
pub(super) fn challenge(key: &EncryptionKey, aad: &[u8], c1: &[u8; 16], body: &[u8], points: &[&[u8; 48]; 4]) -> Fr {
    challenge_of(key, &t256(tag::TDH2_CT, &[aad, c1, body]), points)
}

/// [`challenge`] of many, with the aad of each.
pub(super) fn challenges(key: &EncryptionKey, all: &[(&[u8], &Parts<'_>)]) -> Vec<Fr> {
    let parts: Vec<[&[u8]; 3]> = all.iter().map(|(aad, parts)| [*aad, parts.c1, parts.body]).collect();
    let hashes = t256_all(tag::TDH2_CT, &parts);
    hashes.iter().zip(all).map(|(hc, (_, parts))| challenge_of(key, hc, &parts.points())).collect()
}

fn challenge_of(key: &EncryptionKey, hc: &Hash, points: &[&[u8; 48]; 4]) -> Fr {
    let [u, v, w, x] = *points;
    Fr::reduce(&t512(tag::TDH2_E, &[key.key_id().as_ref(), hc.as_ref(), u, v, w, x]))
}
