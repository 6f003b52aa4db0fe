//! Receipts that wallets count.
use crate::MemberView;
use types::{Hash, MemberId, Receipt, ReceiptKind, Slot};

/// A receipt that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipted {
    /// Who promises.
    pub member: MemberId,
    /// What.
    pub receipt: Receipt,
    /// The signed note: the evidence.
    pub note: String,
}

/// Why a note is no receipt for what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptFault {
    /// No signed receipt of this member.
    #[error("receipt: {0}")]
    Note(#[from] tlog::receipt::ReceiptNoteError),
    /// For another item, kind or network.
    #[error("receipt for something else")]
    Item,
    /// Slots that contradict each other or the envelope.
    #[error("receipt with impossible slots")]
    Slots,
}

/// Checks a receipt: the member's key and name, this item, this network, slots that fit together and to the envelope.
///
/// # Errors
/// [`ReceiptFault`]: the member is at fault.
pub fn check_receipt(
    network: &Hash,
    member: &MemberView,
    item: &Hash,
    expiry: Slot,
    note: &str,
) -> Result<Receipt, ReceiptFault> {
    let receipt = tlog::receipt::verify(note.as_bytes(), &member.receipt_key, &member.receipt_name)?;
    if receipt.kind != ReceiptKind::Envelope || receipt.item != *item || receipt.network != *network {
        return Err(ReceiptFault::Item);
    }
    let slots = receipt.last_final < receipt.list_from
        && receipt.admit_by == receipt.list_from.next()
        && receipt.list_from <= receipt.expires
        && receipt.expires == expiry;
    if slots { Ok(receipt) } else { Err(ReceiptFault::Slots) }
}
