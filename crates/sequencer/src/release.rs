//! The one place where shares leave a member: after finality was verified, and only for what was fixed.
//!
//! "Nobody decrypts early" is two files to read: this one and `crypto::finality`. A share is held as a type without
//! bytes; its one exit takes an [`OrderFixed`], which only `crypto::finality::verify` makes.
use crypto::{
    beacon,
    finality::OrderFixed,
    keys::BeaconShareKey,
    tdh2::{HeldShare, HeldShares, NotFixed, SharePoint},
};
use types::G2Bytes;

/// What a member releases for a slot.
#[derive(Debug)]
pub(crate) struct Released {
    /// Signature share over the beacon's message.
    pub(crate) beacon: G2Bytes,
    /// Decryption shares in the order of the items.
    pub(crate) points: Vec<SharePoint>,
}

/// Releases the shares of a slot.
///
/// # Errors
/// [`NotFixed`] when a share is for something outside the token's set.
#[expect(clippy::disallowed_methods, reason = "the one exit of shares; it needs proof that the set is final")]
pub(crate) fn release(fixed: &OrderFixed, key: &BeaconShareKey, held: Vec<HeldShare>) -> Result<Released, NotFixed> {
    let points = HeldShares::collect(held).release(fixed)?;
    Ok(Released { beacon: beacon::sign(key, fixed), points })
}
