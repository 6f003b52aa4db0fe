//! Lists: their signed text, the union that a block carries, and how often each leaf is listed.
use crate::Refused;
use crypto::merkle;
use std::collections::BTreeSet;
use types::{
    BlockHeader, Hash, Leaf, ListSet, ListText, MemberId, MemberList, Params, Rank, SetRef, SignedList, SizeClass,
    Slot, codec, limits,
};

/// The signed text of a list with these leaves.
pub(crate) fn text(network: Hash, slot: Slot, member: MemberId, leaves: &[Leaf], cut: Option<Rank>) -> ListText {
    let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
    let SetRef { count, root } = merkle::set_ref(&bytes);
    ListText { network, slot, member, count, root, cut }
}

fn ascending<T: Ord>(items: &[T]) -> bool {
    items.windows(2).all(|pair| matches!(pair, [a, b] if a < b))
}

/// Checks a list as received: order, caps, cut, signature.
///
/// # Errors
/// [`Refused`] with the rule that it breaks.
pub(crate) fn verify(
    network: Hash,
    params: &Params,
    receipt_key: &Hash,
    list: &SignedList,
) -> Result<ListText, Refused> {
    caps(params, &list.leaves, list.cut.as_ref())?;
    let text = text(network, list.slot, list.member, &list.leaves, list.cut);
    if crate::sign::list_signed(receipt_key, &text, &list.sig) { Ok(text) } else { Err(Refused::ListSignature) }
}

/// The largest unit, in size-class bytes.
const LARGEST_UNIT: u64 = 61_440;

/// Caps of log.md section 4: at most twice the slot's count and bytes; a cut only where less than one unit of room is left.
fn caps(params: &Params, leaves: &[Leaf], cut: Option<&Rank>) -> Result<(), Refused> {
    if leaves.len() > limits::LIST_LEAVES_MAX || !ascending(leaves) {
        return Err(Refused::ListShape);
    }
    let (mut count, mut bytes) = (0u64, 0u64);
    for leaf in leaves {
        if let Leaf::Envelope { size, gas, .. } = leaf {
            let class = SizeClass::new(*size).ok_or(Refused::ListShape)?;
            if *gas > limits::GAS_CLASS_MAX {
                return Err(Refused::ListShape);
            }
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(u64::try_from(class.bytes()).unwrap_or(u64::MAX));
        }
    }
    let count_cap = u64::from(params.count_limit).saturating_mul(2);
    let bytes_cap = params.bytes_limit.saturating_mul(2);
    if count > count_cap || bytes > bytes_cap {
        return Err(Refused::ListCaps);
    }
    let full = count >= count_cap || bytes_cap.saturating_sub(bytes) < LARGEST_UNIT;
    if cut.is_some() && !full { Err(Refused::ListCut) } else { Ok(()) }
}

/// Whether bit `i` is set.
pub(crate) fn bit(bits: &[u8], i: usize) -> bool {
    bits.get(i.wrapping_shr(3)).is_some_and(|byte| byte.wrapping_shr(u32::try_from(i & 7).unwrap_or(0)) & 1 == 1)
}

fn bits_of(union: &[Leaf], leaves: &[Leaf]) -> Vec<u8> {
    let mut bits = vec![0u8; union.len().div_ceil(8)];
    let mut mine = leaves.iter().peekable();
    for (i, leaf) in union.iter().enumerate() {
        if mine.next_if(|m| *m == leaf).is_some()
            && let Some(byte) = bits.get_mut(i.wrapping_shr(3))
        {
            *byte |= 1u8.wrapping_shl(u32::try_from(i & 7).unwrap_or(0));
        }
    }
    bits
}

/// The leaves of one member's list.
pub(crate) fn leaves_of(set: &ListSet, list: &MemberList) -> Vec<Leaf> {
    set.leaves.iter().enumerate().filter(|(i, _)| bit(&list.bits, *i)).map(|(_, leaf)| *leaf).collect()
}

/// Joins lists into what a block carries. A list with more than [`limits::LIST_EXTRAS_MAX`] leaves that no other has
/// is left out as long as `quorum` remain (engine.md section 4).
pub(crate) fn join(lists: &[&SignedList], quorum: usize) -> ListSet {
    let mut kept: Vec<&SignedList> = lists.to_vec();
    for list in lists {
        if kept.len() <= quorum {
            break;
        }
        let others: BTreeSet<&Leaf> = kept.iter().filter(|l| l.member != list.member).flat_map(|l| &l.leaves).collect();
        let extras = list.leaves.iter().filter(|leaf| !others.contains(leaf)).count();
        if extras > limits::LIST_EXTRAS_MAX {
            kept.retain(|l| l.member != list.member);
        }
    }
    let union: BTreeSet<Leaf> = kept.iter().flat_map(|l| l.leaves.iter().copied()).collect();
    let leaves: Vec<Leaf> = union.into_iter().collect();
    let mut members: Vec<MemberList> = kept
        .iter()
        .map(|l| MemberList { member: l.member, bits: bits_of(&leaves, &l.leaves), cut: l.cut, sig: l.sig })
        .collect();
    members.sort_by_key(|m| m.member);
    ListSet { leaves, members }
}

/// In how many lists each leaf of the union is.
pub(crate) fn counts(set: &ListSet) -> Vec<usize> {
    (0..set.leaves.len()).map(|i| set.members.iter().filter(|m| bit(&m.bits, i)).count()).collect()
}

/// Shape of the lists of a block: sorted, no leaf in no list, no stray bits.
///
/// # Errors
/// [`Refused::ListShape`].
pub(crate) fn shape(set: &ListSet) -> Result<(), Refused> {
    let members: Vec<_> = set.members.iter().map(|m| m.member).collect();
    let width = set.leaves.len().div_ceil(8);
    let stray = |bits: &[u8]| (set.leaves.len()..width.saturating_mul(8)).any(|i| bit(bits, i));
    let fits = ascending(&set.leaves)
        && ascending(&members)
        && set.members.iter().all(|m| m.bits.len() == width && !stray(&m.bits))
        && counts(set).iter().all(|n| *n > 0);
    if fits { Ok(()) } else { Err(Refused::ListShape) }
}

/// The signed texts of a block's lists, by member.
pub(crate) fn texts(header: &BlockHeader, set: &ListSet) -> Vec<(ListText, types::Signature)> {
    set.members
        .iter()
        .map(|m| (text(header.network, header.height, m.member, &leaves_of(set, m), m.cut), m.sig))
        .collect()
}

/// Root over the signed lists: leaf = codec(text) | signature.
pub(crate) fn root(texts: &[(ListText, types::Signature)]) -> SetRef {
    let leaves: Vec<_> = texts
        .iter()
        .map(|(text, sig)| {
            let mut leaf = codec::encode(text);
            leaf.extend_from_slice(sig.as_bytes());
            leaf
        })
        .collect();
    merkle::set_ref(&leaves)
}

/// Every list of a block: quorum, caps, signatures.
///
/// # Errors
/// [`Refused`] with the rule that is broken.
pub(crate) fn verify_all(
    header: &BlockHeader,
    set: &ListSet,
    params: &Params,
    receipt_keys: &[Hash],
    quorum: usize,
) -> Result<(), Refused> {
    if set.members.len() < quorum {
        return Err(Refused::ListsShort);
    }
    for (text, sig) in texts(header, set) {
        let key = receipt_keys.get(usize::from(text.member.0)).ok_or(Refused::ListShape)?;
        if !crate::sign::list_signed(key, &text, &sig) {
            return Err(Refused::ListSignature);
        }
    }
    set.members.iter().try_for_each(|m| caps(params, &leaves_of(set, m), m.cut.as_ref()))
}
