//! secp256k1 as Ethereum uses it: recoverable signatures over a 32-byte digest, low s, v 27 or 28.
use crate::hash::keccak256;
use alloc::boxed::Box;
use k256::ecdsa::{SigningKey, VerifyingKey};
use types::{Address, EthSignature, Hash};
use zeroize::Zeroizing;

/// Why a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EthError {
    /// The secret key is zero, or not below the order.
    #[error("secret key out of range")]
    SecretKey,
    /// v is neither 27 nor 28.
    #[error("v is neither 27 nor 28")]
    V,
    /// s is above half the order.
    #[error("high s")]
    HighS,
    /// No public key gives this signature: r or s out of range, r on no point, or the key is the identity.
    #[error("not recoverable")]
    NotRecoverable,
}

/// A secret key of a fee account or builder. Boxed and wiped on drop.
///
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::eth::EthKey>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::eth::EthKey>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::eth::EthKey>();
/// ```
#[expect(missing_debug_implementations, reason = "a secret")]
pub struct EthKey(Box<SigningKey>);

impl EthKey {
    /// The key of a big-endian scalar.
    ///
    /// # Errors
    /// [`EthError::SecretKey`] for zero, and for the order and above.
    pub fn from_bytes(secret: Zeroizing<[u8; 32]>) -> Result<Self, EthError> {
        let key = SigningKey::from_slice(secret.as_slice()).map_err(|_range| EthError::SecretKey)?;
        Ok(Self(Box::new(key)))
    }
    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key())
    }
    /// Signs a digest: nonce by RFC 6979, low s, v 27 or 28.
    #[must_use]
    #[expect(clippy::expect_used, reason = "fails only if r or s is zero, which nobody can find")]
    #[expect(clippy::missing_panics_doc, reason = "as above")]
    pub fn sign(&self, digest: &Hash) -> EthSignature {
        let (signature, id) = self.0.sign_prehash_recoverable(digest.as_ref()).expect("r and s are not zero");
        let mut out = [0; 65];
        let (rs, v) = out.split_at_mut(64);
        rs.copy_from_slice(&signature.to_bytes());
        v.fill(if id.is_y_odd() { 28 } else { 27 });
        EthSignature(out)
    }
}

/// The account that signed the digest. One signature has one form: low s, v 27 or 28.
///
/// # Errors
/// [`EthError::V`], [`EthError::HighS`], [`EthError::NotRecoverable`], in this order.
pub fn recover(digest: &Hash, signature: &EthSignature) -> Result<Address, EthError> {
    let (rs, y_odd) = checked_form(signature)?;
    #[cfg(feature = "native")]
    return native::recover(digest, &rs, y_odd);
    #[cfg(not(feature = "native"))]
    recover_portable(digest, &rs, y_odd)
}

const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

fn checked_form(signature: &EthSignature) -> Result<([u8; 64], bool), EthError> {
    let (rs, v) = signature.0.split_first_chunk::<64>().ok_or(EthError::NotRecoverable)?;
    let y_odd = match v {
        [27] => false,
        [28] => true,
        _ => return Err(EthError::V),
    };
    if rs.split_at(32).1 > HALF_ORDER.as_slice() {
        return Err(EthError::HighS);
    }
    Ok((*rs, y_odd))
}

#[cfg(any(test, not(feature = "native")))]
fn recover_portable(digest: &Hash, rs: &[u8; 64], y_odd: bool) -> Result<Address, EthError> {
    let signature = k256::ecdsa::Signature::from_slice(rs).map_err(|_range| EthError::NotRecoverable)?;
    VerifyingKey::recover_from_prehash(digest.as_ref(), &signature, k256::ecdsa::RecoveryId::new(y_odd, false))
        .map(|key| address_of(&key))
        .map_err(|_no_key| EthError::NotRecoverable)
}

/// The last 20 bytes of keccak-256 over the uncompressed key without its first byte.
fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    address_of_uncompressed(point.as_bytes())
}

fn address_of_uncompressed(point: &[u8]) -> Address {
    let digest = keccak256(point.get(1..).unwrap_or_default());
    let mut out = [0; 20];
    out.iter_mut().zip(digest.0.iter().skip(12)).for_each(|(to, from)| *to = *from);
    Address(out)
}

#[cfg(feature = "native")]
mod native {
    //! The same function through the C library, 5 times as fast.
    use super::{EthError, address_of_uncompressed};
    use secp256k1::{
        Message, Secp256k1,
        ecdsa::{RecoverableSignature, RecoveryId},
    };
    use types::{Address, Hash};

    pub(super) fn recover(digest: &Hash, rs: &[u8; 64], y_odd: bool) -> Result<Address, EthError> {
        let id = if y_odd { RecoveryId::One } else { RecoveryId::Zero };
        let signature = RecoverableSignature::from_compact(rs, id).map_err(|_range| EthError::NotRecoverable)?;
        let key = Secp256k1::verification_only()
            .recover_ecdsa(Message::from_digest(digest.0), &signature)
            .map_err(|_no_key| EthError::NotRecoverable)?;
        Ok(address_of_uncompressed(&key.serialize_uncompressed()))
    }
}

#[cfg(test)]
mod tests;
