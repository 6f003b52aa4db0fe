//! A member's decryption shares, and the one way out for them.
use super::Admitted;
use crate::{ffi::G1Affine, finality::OrderFixed, keys::DecryptionShareKey, lanes::times_secret};
use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use types::{G1Bytes, G2Bytes, Hash};
use zeroize::{Zeroize, Zeroizing};

impl DecryptionShareKey {
    /// D_j = x_j U, in constant time. `unit` is the hash of the envelope or bid, by which the share is released.
    ///
    /// # Security
    /// `unit` must be the hash of what `item` was admitted from.
    #[must_use]
    pub fn share(&self, unit: Hash, item: &Admitted) -> HeldShare {
        // Not the identity: neither x_j nor U is.
        let product = Zeroizing::new(item.u().mul(&self.0).affine().unwrap_or_default());
        HeldShare { unit, point: Box::new(*product) }
    }
    /// As [`Self::share`], of many items at once.
    ///
    /// # Security
    /// Each unit must be the hash of what its item was admitted from.
    #[must_use]
    pub fn share_all<'a>(&self, items: impl Iterator<Item = (Hash, &'a Admitted)>) -> Vec<HeldShare> {
        let (units, powers): (Vec<Hash>, Vec<_>) = items.map(|(unit, item)| (unit, item.powers())).unzip();
        let products = times_secret(&self.0, &powers);
        units
            .into_iter()
            .zip(products.iter())
            .map(|(unit, point)| HeldShare { unit, point: Box::new(*point) })
            .collect()
    }
}

/// A share that must not be seen yet. It has no bytes, `Debug`, `Clone` or encoding, and is wiped on drop.
///
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::tdh2::HeldShare>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::tdh2::HeldShare>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::tdh2::HeldShare>();
/// ```
/// ```compile_fail,E0616
/// fn look_inside(share: &crypto::tdh2::HeldShare) -> bool {
///     let _point = &share.point;
///     true
/// }
/// ```
#[expect(missing_debug_implementations, reason = "a secret until release")]
pub struct HeldShare {
    unit: Hash,
    point: Box<G1Affine>,
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.point.zeroize();
    }
}

/// Shares of one slot, in the order of its items. The only way to bytes is [`HeldShares::release`], with the token that
/// the slot's block is final:
///
/// ```compile_fail,E0308
/// use crypto::tdh2::HeldShares;
/// fn early(shares: HeldShares) {
///     let _ = shares.release(&());
/// }
/// ```
/// ```compile_fail,E0616
/// fn around(shares: crypto::tdh2::HeldShares) -> usize {
///     shares.shares.len()
/// }
/// ```
/// ```compile_fail,E0277
/// fn printable<T: core::fmt::Debug>() {}
/// printable::<crypto::tdh2::HeldShares>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<crypto::tdh2::HeldShares>();
/// ```
/// ```compile_fail,E0277
/// fn writable<T: serde::Serialize>() {}
/// writable::<crypto::tdh2::HeldShares>();
/// ```
#[expect(missing_debug_implementations, reason = "secrets until release")]
pub struct HeldShares {
    shares: Vec<HeldShare>,
}

/// A held share is of a unit that the token does not name. Nothing was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unit {unit} is not in the fixed set")]
pub struct NotFixed {
    /// Which.
    pub unit: Hash,
}

impl HeldShares {
    /// Shares in the order in which they will be sent.
    #[must_use]
    pub fn collect(shares: Vec<HeldShare>) -> Self {
        Self { shares }
    }
    /// Releases all, if the token names the unit of each.
    ///
    /// # Errors
    /// [`NotFixed`] with the first unit that is in neither the set nor the bids of the token.
    pub fn release(self, fixed: &OrderFixed) -> Result<Vec<SharePoint>, NotFixed> {
        if let Some(stray) = self.shares.iter().find(|share| !fixed.names(&share.unit)) {
            return Err(NotFixed { unit: stray.unit });
        }
        Ok(self.shares.iter().map(|share| SharePoint(*share.point)).collect())
    }
}

/// Bytes that are no share: not on the curve, not canonical, the identity, or with x = 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical point")]
pub struct PointError;

/// A released share. On the curve; whether it is in the subgroup, or the right point, shows when it does not open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharePoint(pub(super) G1Affine);

impl fmt::Debug for SharePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compressed().fmt(f)
    }
}

impl SharePoint {
    /// From the compressed form, which is what signatures cover.
    ///
    /// # Errors
    /// [`PointError`].
    pub fn from_compressed(bytes: &G1Bytes) -> Result<Self, PointError> {
        G1Affine::uncompress(&bytes.0).map(Self).ok_or(PointError)
    }
    /// As [`Self::from_compressed`], of many at once.
    #[must_use]
    pub fn from_compressed_all(bytes: &[G1Bytes]) -> Vec<Result<Self, PointError>> {
        let points = G1Affine::uncompress_all(bytes.iter().map(|bytes| &bytes.0));
        points.into_iter().map(|point| point.map(Self).ok_or(PointError)).collect()
    }
    /// From x and y, 48 bytes big-endian each: 40 times as fast to decode.
    ///
    /// # Errors
    /// [`PointError`].
    pub fn from_affine(bytes: &G2Bytes) -> Result<Self, PointError> {
        G1Affine::from_raw(&bytes.0).map(Self).ok_or(PointError)
    }
    /// 48 bytes.
    #[must_use]
    pub fn compressed(&self) -> G1Bytes {
        G1Bytes(self.0.compress())
    }
    /// x and y, 96 bytes.
    #[must_use]
    pub fn affine(&self) -> G2Bytes {
        G2Bytes(self.0.raw())
    }
}
