//! The envelope: TDH2 in G1, sending the commitments (crypto.md sections 3 to 6).
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 48 | U = r G |
//! | 48 | 48 | V = r Gb |
//! | 96 | 48 | W = s G |
//! | 144 | 48 | X = s Gb |
//! | 192 | 32 | z = s + e r, little-endian |
//! | 224 | 16 | c1 = K xor mask(key id, U, D), D = r PK |
//! | 240 | class + 16 | body: ChaCha20-Poly1305 of the padded message, then its tag |
//!
//! K opens: it gives the message, message and K give r and s, and r must give U and D again. So an opening is 16 bytes,
//! anyone checks it by encrypting again, and for given bytes at most one K is one.
mod admit;
mod audit;
mod cipher;
mod reveal;
mod share;

pub use admit::{AdmitError, Admitted, Item, admit};
pub use audit::{OpeningError, check_openings};
pub use reveal::{
    Combined, Reveal, RevealError, bad_share, check_keys, combine, open, reveal, share_holds, wrong_bottom,
};
pub use share::{HeldShare, HeldShares, NotFixed, PointError, SharePoint};

use crate::{
    ffi::G1,
    hash::{sha256, t256},
    keys::EncryptionKey,
};
use alloc::vec::Vec;
use cipher::{Secrets, challenge, encrypt_body, mask};
use types::{EnvelopeHeader, codec, tag};
use zeroize::Zeroizing;

/// The first byte of associated data: an envelope.
const KIND_ENVELOPE: u8 = 1;

/// Associated data of an envelope's ciphertext: 0x01, then the codec bytes of the header without its signature.
#[must_use]
pub fn envelope_aad(header: &EnvelopeHeader) -> Vec<u8> {
    let mut out = Vec::from([KIND_ENVELOPE]);
    out.extend_from_slice(&codec::encode(header));
    out
}

/// A message of exactly one class's length: `u32 little-endian length | bytes | zeros`. Wiped on drop.
#[expect(missing_debug_implementations, reason = "a secret until it is opened")]
pub struct Padded(Zeroizing<Vec<u8>>);

impl Padded {
    /// The class's length.
    #[must_use]
    pub fn class_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Pads to `class_bytes`; `None` if the bytes and their length do not fit.
#[must_use]
pub fn pad(bytes: &[u8], class_bytes: usize) -> Option<Padded> {
    let length = u32::try_from(bytes.len()).ok()?.to_le_bytes();
    if class_bytes.checked_sub(length.len())? < bytes.len() {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(class_bytes));
    out.extend_from_slice(&length);
    out.extend_from_slice(bytes);
    out.resize(class_bytes, 0);
    Some(Padded(out))
}

/// What was padded; `None` if the length does not fit, or a byte after the message is not zero.
#[must_use]
pub fn unpad(message: &[u8]) -> Option<&[u8]> {
    let (length, rest) = message.split_first_chunk::<4>()?;
    let (bytes, zeros) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    zeros.iter().all(|byte| *byte == 0).then_some(bytes)
}

/// Seals a message to the committee, bound to the associated data. Deterministic in its arguments; products with
/// secret scalars are in constant time.
///
/// # Security
/// `entropy` must be secret and fresh. It is hashed with the message, so that a weak source still gives distinct keys
/// to distinct messages.
#[must_use]
pub fn seal(key: &EncryptionKey, entropy: Zeroizing<[u8; 32]>, aad: &[u8], message: &Padded) -> Vec<u8> {
    let mut entropy = entropy;
    loop {
        if let Some(ciphertext) = try_seal(key, &entropy, aad, message) {
            return ciphertext;
        }
        // r or s was zero, as happens once in 2^254 draws.
        entropy = Zeroizing::new(sha256(&[entropy.as_slice()]).0);
    }
}

fn try_seal(key: &EncryptionKey, entropy: &Zeroizing<[u8; 32]>, aad: &[u8], message: &Padded) -> Option<Vec<u8>> {
    let message_hash = cipher::message_hash(aad, &message.0);
    let drawn =
        Zeroizing::new(t256(tag::TDH2_K, &[entropy.as_slice(), key.key_id().as_ref(), message_hash.as_ref()]).0);
    let mut k = Zeroizing::new([0u8; 16]);
    k.iter_mut().zip(drawn.iter()).for_each(|(to, from)| *to = *from);
    seal_with(key, &k, &Secrets::derive(key, &k, &message_hash), aad, message)
}

/// A ciphertext that every member admits and no key opens: r and s are those of another K. For tests.
#[cfg(any(test, feature = "test-util"))]
#[must_use]
pub fn seal_undecryptable(key: &EncryptionKey, k: &[u8; 16], aad: &[u8], message: &Padded) -> Option<Vec<u8>> {
    let other = k.map(|byte| !byte);
    let secrets = Secrets::derive(key, &other, &cipher::message_hash(aad, &message.0));
    seal_with(key, k, &secrets, aad, message)
}

/// Seals under a given K, r and s: `None` if r or s is zero.
fn seal_with(key: &EncryptionKey, k: &[u8; 16], secrets: &Secrets, aad: &[u8], message: &Padded) -> Option<Vec<u8>> {
    if secrets.r.is_zero() || secrets.s.is_zero() {
        return None;
    }
    let (tables, r, s) = (&key.tables, &secrets.r, &secrets.s);
    let products = [
        tables.generator_comb.mul(r),
        tables.gbar_comb.mul(r),
        tables.generator_comb.mul(s),
        tables.gbar_comb.mul(s),
        tables.key_comb.mul(r),
    ];
    let compressed = Zeroizing::new(G1::compress_all(&products));
    let [u, v, w, x, shared] = *compressed.first_chunk::<5>()?;
    let shared = Zeroizing::new(shared);
    let c1 = mask(key, &u, &shared, k);
    let body = encrypt_body(key, k, &u, aad, &message.0);
    let e = challenge(key, aad, &c1, &body, &[&u, &v, &w, &x]);
    let z = secrets.s.add(&e.mul(&secrets.r)).to_bytes();
    Some([u.as_slice(), &v, &w, &x, &z, &c1, &body].concat())
}

#[cfg(test)]
pub(crate) mod tests;
