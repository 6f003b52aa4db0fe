//! Receipts that wallets count.
use crate::MemberView;
use types::{Hash, MemberId, Receipt, ReceiptKind, Slot, limits};

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

/// Checks a receipt: the member's key and name (a change of the committee may have given it another index, and so another
/// name, than this network file says: the key decides), this item, this network, slots that fit together and to the envelope.
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
    check_receipt_of(ReceiptKind::Envelope, network, member, item, expiry, note)
}

/// As [`check_receipt`], for any kind of item; `expiry` is the last slot that may list it.
pub(crate) fn check_receipt_of(
    kind: ReceiptKind,
    network: &Hash,
    member: &MemberView,
    item: &Hash,
    expiry: Slot,
    note: &str,
) -> Result<Receipt, ReceiptFault> {
    let receipt = tlog::receipt::verify(note.as_bytes(), &member.receipt_key, &member.receipt_name)
        .or_else(|error| under_another_index(member, note).ok_or(error))?;
    if receipt.kind != kind || receipt.item != *item || receipt.network != *network {
        return Err(ReceiptFault::Item);
    }
    let slots = receipt.last_final < receipt.list_from
        && receipt.admit_by == receipt.list_from.next()
        && receipt.list_from <= receipt.expires
        && receipt.expires == expiry;
    if slots { Ok(receipt) } else { Err(ReceiptFault::Slots) }
}

fn under_another_index(member: &MemberView, note: &str) -> Option<Receipt> {
    let (origin, _) = member.receipt_name.strip_suffix("/receipt")?.rsplit_once("/m")?;
    let most = u16::try_from(limits::MEMBERS_MAX).ok()?;
    let names = (0..most).map(|index| tlog::checkpoint::receipt_name(origin, MemberId(index)));
    names.into_iter().find_map(|name| tlog::receipt::verify(note.as_bytes(), &member.receipt_key, &name).ok())
}

#[cfg(test)]
mod tests {
    // Goal: a receipt counts by its key, whatever index its member has by now. Method: one key under several names.
    use super::*;
    use crate::{NetworkView, testing};
    use types::Timestamp;

    #[test]
    fn a_member_whose_index_has_changed_still_gives_receipts() {
        let (network, keys) = testing::network();
        let view = NetworkView::new(&network).unwrap();
        let item = Hash([5; 32]);
        let check = |member: usize, name: &str, key: usize| {
            let receipt = Receipt {
                name: name.into(),
                kind: ReceiptKind::Envelope,
                item,
                network: view.id,
                last_final: Slot(3),
                list_from: Slot(4),
                admit_by: Slot(5),
                expires: Slot(9),
                seq: 1,
                time: Timestamp(1_000),
            };
            let note = tlog::receipt::sign(&receipt, &keys[key]).unwrap();
            check_receipt(&view.id, &view.members[member], &item, Slot(9), &note).map(|checked| checked == receipt)
        };
        assert_eq!(check(0, "example.net/test/m0/receipt", 0), Ok(true));
        assert_eq!(check(0, "example.net/test/m3/receipt", 0), Ok(true));
        assert!(check(0, "example.net/test/m3/receipt", 3).is_err(), "of another member");
        assert!(check(0, "example.net/other/m0/receipt", 0).is_err(), "of another network");
        assert!(check(0, "example.net/test/m500/receipt", 0).is_err(), "no index");
    }
}
