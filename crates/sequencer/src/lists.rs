//! Lists: their signed text, the union that a block carries, and how often each leaf is listed.
use crate::Refused;
use crypto::{
    evidence::{self, ListFault},
    merkle,
};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    BlockHeader, Hash, Leaf, ListSet, ListText, MemberId, MemberList, Params, Rank, SetRef, SignedList, Slot, codec,
    limits,
};

/// The signed text of a list with these leaves.
pub(crate) fn text(network: Hash, slot: Slot, member: MemberId, leaves: &[Leaf], cut: Option<Rank>) -> ListText {
    evidence::list_text(network, slot, member, leaves, cut)
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

/// Caps of log.md section 4: at most twice the slot's count and bytes; a cut only where less than one unit of room is left.
fn caps(params: &Params, leaves: &[Leaf], cut: Option<&Rank>) -> Result<(), Refused> {
    match evidence::list_fault(params, leaves, cut) {
        None => Ok(()),
        Some(ListFault::Shape) => Err(Refused::ListShape),
        Some(ListFault::Caps) => Err(Refused::ListCaps),
        Some(ListFault::Cut) => Err(Refused::ListCut),
    }
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

/// Joins lists into what a block carries. A list with more than [`limits::LIST_EXTRAS_MAX`] leaves that fewer than
/// `listed` members have is left out as long as `quorum` remain (engine.md section 4): f bad members in concert make a
/// block no longer than one alone.
pub(crate) fn join(lists: &[&SignedList], quorum: usize, listed: usize) -> ListSet {
    let mut having: BTreeMap<&Leaf, usize> = BTreeMap::new();
    for leaf in lists.iter().flat_map(|list| &list.leaves) {
        let count = having.entry(leaf).or_default();
        *count = count.saturating_add(1);
    }
    let mut kept: Vec<&SignedList> = lists.to_vec();
    for list in lists {
        let few = |leaf: &&Leaf| having.get(leaf).is_none_or(|count| *count < listed);
        let extras = list.leaves.iter().filter(few).count();
        if kept.len() > quorum && extras > limits::LIST_EXTRAS_MAX {
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

#[cfg(test)]
mod tests {
    // Goal: a proposer leaves out lists that only make blocks long, and no more lists than it may. Method: seven lists of
    // which some name what nobody else has, alone and in concert.
    use super::*;

    fn leaf(of: u8, at: u16) -> Leaf {
        let mut hash = [of; 32];
        hash[..2].copy_from_slice(&at.to_be_bytes());
        Leaf::Envelope { hash: Hash(hash), fee_per_byte: 1, size: 0, gas: 0 }
    }

    /// Ten leaves that all have, and `extras` of a kind.
    fn list(member: u16, kind: u8, extras: u16) -> SignedList {
        let mut leaves: Vec<Leaf> = (0..10).map(|at| leaf(0, at)).collect();
        leaves.extend((0..extras).map(|at| leaf(kind, at)));
        leaves.sort_unstable();
        let sig = types::Signature([0; 64]);
        SignedList { slot: Slot(1), member: MemberId(member), cut: None, leaves, sig }
    }

    fn joined(lists: &[SignedList]) -> (Vec<u16>, usize) {
        let set = join(&lists.iter().collect::<Vec<_>>(), 5, 3);
        assert_eq!(shape(&set), Ok(()));
        for member in &set.members {
            let own = lists.iter().find(|l| l.member == member.member).map(|l| l.leaves.clone());
            assert_eq!(Some(leaves_of(&set, member)), own);
        }
        (set.members.iter().map(|m| m.member.0).collect(), set.leaves.len())
    }

    #[test]
    fn lists_full_of_what_too_few_have_are_left_out() {
        let honest: Vec<SignedList> = (0..5).map(|member| list(member, 0, 0)).collect();
        let with = |bad: &[SignedList]| joined(&[honest.as_slice(), bad].concat());
        assert_eq!(with(&[]), (vec![0, 1, 2, 3, 4], 10));
        assert_eq!(with(&[list(5, 5, 512), list(6, 6, 0)]), (vec![0, 1, 2, 3, 4, 5, 6], 522));
        assert_eq!(with(&[list(5, 5, 513), list(6, 6, 600)]), (vec![0, 1, 2, 3, 4], 10));
        assert_eq!(with(&[list(5, 5, 600), list(6, 5, 600)]), (vec![0, 1, 2, 3, 4], 10), "in concert");
        // a quorum stays, whatever it names
        let mut two_down = honest[..3].to_vec();
        two_down.extend([list(5, 5, 600), list(6, 6, 600)]);
        assert_eq!(joined(&two_down), (vec![0, 1, 2, 5, 6], 1_210));
        // what f + 1 have is no extra
        let mut many = honest[..4].to_vec();
        many.extend([list(4, 9, 600), list(5, 9, 600), list(6, 9, 600)]);
        assert_eq!(joined(&many), (vec![0, 1, 2, 3, 4, 5, 6], 610));
    }
}
