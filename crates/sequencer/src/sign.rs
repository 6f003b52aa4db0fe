//! Everything that this member signs but shares: lists, receipts, cosignatures, share messages.
//!
//! The caller persists what a signature is about before the signature leaves (engine.md section 6), so a restart
//! signs the same bytes or nothing.
use crypto::{ed25519::SigningKey, ids};
use types::{Hash, Head, ListText, MemberId, Receipt, ShareHeader, Signature, SignatureStamp, SignedList};

/// A member's signing keys besides the consensus key, which stays inside the engine.
pub struct SignKeys {
    /// Receipts, lists, share messages.
    pub receipt: SigningKey,
    /// Checkpoints, type 0x01.
    pub log: SigningKey,
    /// Cosignatures, type 0x04.
    pub cosigner: SigningKey,
}

impl core::fmt::Debug for SignKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SignKeys(<redacted>)")
    }
}

/// Signs a list; `leaves` are sorted.
pub(crate) fn list(
    keys: &SignKeys,
    network: Hash,
    slot: types::Slot,
    member: MemberId,
    leaves: Vec<types::Leaf>,
    cut: Option<types::Rank>,
) -> SignedList {
    let text = crate::lists::text(network, slot, member, &leaves, cut);
    let sig = keys.receipt.sign(ids::list_digest(&text).as_bytes());
    SignedList { slot, member, cut, leaves, sig }
}

/// Whether a list's signature is its member's.
pub(crate) fn list_signed(receipt_key: &Hash, text: &ListText, sig: &Signature) -> bool {
    crypto::ed25519::verify(receipt_key, ids::list_digest(text).as_bytes(), sig)
}

/// Signs a receipt as a note; `None` when its name is no key name, which no origin of a genesis allows.
pub(crate) fn receipt(keys: &SignKeys, receipt: &Receipt) -> Option<String> {
    tlog::receipt::sign(receipt, &keys.receipt).ok()
}

/// Cosigns a head at `seconds`.
pub(crate) fn cosignature(keys: &SignKeys, origin: &str, head: &Head, seconds: u64) -> SignatureStamp {
    tlog::checkpoint::cosign(origin, head, seconds, &keys.cosigner)
}

/// The signed bytes of a share message.
pub(crate) fn share_digest(header: &ShareHeader) -> Hash {
    crypto::evidence::share_digest(header)
}

/// Signs a share message's header.
pub(crate) fn share(keys: &SignKeys, header: &ShareHeader) -> Signature {
    keys.receipt.sign(share_digest(header).as_bytes())
}
