//! ed25519: signing by RFC 8032, verification by ZIP 215.
//!
//! ZIP 215 (cofactored, any encoding of a point) is what the consensus engine accepts. A stricter rule here would let
//! one member craft a vote that sits in a certificate there and is refused here, and so block every release of a slot.
use alloc::boxed::Box;
use types::{Hash, Signature};
use zeroize::{Zeroize, Zeroizing};

/// A secret key: consensus, receipt, log or cosigner. Boxed and wiped on drop.
///
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::ed25519::SigningKey>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::ed25519::SigningKey>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::ed25519::SigningKey>();
/// ```
#[expect(missing_debug_implementations, reason = "a secret")]
pub struct SigningKey(Box<ed25519_zebra::SigningKey>);

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(Box::new(ed25519_zebra::SigningKey::from_bytes(&seed)))
    }
    /// The public key.
    #[must_use]
    pub fn public(&self) -> Hash {
        Hash(self.0.verification_key().into())
    }
    /// Signs, deterministically.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Whether the signature is valid under ZIP 215.
#[must_use]
pub fn verify(public: &Hash, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_zebra::Signature::from(signature.0);
    ed25519_zebra::VerificationKey::try_from(public.0).is_ok_and(|key| key.verify(&signature, message).is_ok())
}

#[cfg(test)]
mod tests {
    // Goal: RFC 8032's signatures, and ZIP 215's verdicts. Method: vectors, and points of small order that strict
    // rules refuse.
    use super::*;

    #[test]
    fn rfc_8032_test_2() {
        let seed = Hash::from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SigningKey::from_seed(Zeroizing::new(seed.0));
        let public = Hash::from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        assert_eq!(key.public(), public);
        let signature = key.sign(&[0x72]);
        let want = concat!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(signature, Signature::from_hex(want).unwrap());
        assert!(verify(&public, &[0x72], &signature));
        for at in 0..64 {
            let mut wrong = signature;
            wrong.0[at] ^= 1;
            assert!(!verify(&public, &[0x72], &wrong));
        }
        assert!(!verify(&public, &[0x73], &signature));
    }

    #[test]
    fn zip_215_accepts_what_strict_rules_refuse() {
        // Key of small order (the identity, in a non-canonical encoding), R of small order, s = 0: the cofactored
        // equation holds for every message.
        let mut key = [0xff; 32];
        key[0] = 0xee;
        key[31] = 0x7f;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(verify(&Hash(key), b"anything", &Signature(signature)));
        // s must still be below the order.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        signature[32..].copy_from_slice(&order);
        assert!(!verify(&Hash(key), b"anything", &Signature(signature)));
        // 2 is no y coordinate of the curve.
        let mut off = [0; 32];
        off[0] = 2;
        assert!(!verify(&Hash(off), b"anything", &Signature([0; 64])));
    }
}
