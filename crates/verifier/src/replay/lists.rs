//! Check 6: signed lists over the union of their leaves.
use super::{
    Replay,
    section::{Closed, Listed},
};
use alloc::{format, vec::Vec};
use crypto::{ed25519, ids, merkle};
use types::{Leaf, MemberId, SetRef, SizeClass, codec, limits, reason::Finding};

/// The largest unit, in size-class bytes.
const LARGEST_UNIT: u64 = 61_440;

impl Replay {
    /// Check 6: the union of leaves, and every list over it.
    pub(super) fn check_lists(&mut self, closed: &Closed) -> Option<(Vec<Leaf>, Vec<usize>)> {
        let prices = self.judged.prices();
        let mut union: Vec<Leaf> = self.section.left.iter().map(|l| l.leaf).collect();
        for unit in &self.section.units {
            let header = &unit.envelope.signed.header;
            let (size, gas) = (header.size_class, header.gas_class);
            let fee_per_byte = auction_rules::fee_per_byte(header.max_fee, size, gas, &prices);
            union.push(Leaf::Envelope { hash: unit.hash, fee_per_byte, size, gas });
        }
        let bids = self.section.bids.iter().map(|b| &b.terms);
        union.extend(bids.map(|t| Leaf::Bid { bidder: t.bidder, seq: t.seq, hash: t.hash }));
        union.extend(self.objects());
        union.extend(self.section.operations.iter().map(|operation| Leaf::Op { hash: operation.hash }));
        let sorted_left = self.section.left.is_sorted_by(|a, b| a.leaf < b.leaf);
        union.sort_unstable();
        if !sorted_left || !union.is_sorted_by(|a, b| a < b) {
            self.find(Finding::SectionOrder, "LEFT is not ascending, or names what has an entry");
            return None;
        }
        let quorum = usize::from(self.now.policy.quorum());
        if self.section.lists.len() < quorum {
            self.find(Finding::ListsShort, "fewer than 2f + 1 lists");
            return None;
        }
        let mut counts: Vec<usize> = union.iter().map(|_| 0).collect();
        let mut signed = Vec::new();
        for list in self.section.lists.clone() {
            let leaves = self.list(&union, &list, &mut counts)?;
            signed.push([codec::encode(&list.text), list.sig.as_bytes().to_vec()].concat());
            self.caps(&leaves, &list)?;
        }
        if merkle::set_ref(&signed) != closed.header.lists {
            self.find(Finding::CloseRootsWrong, "the root over the lists");
            return None;
        }
        Some((union, counts))
    }

    fn list(&mut self, union: &[Leaf], list: &Listed, counts: &mut [usize]) -> Option<Vec<Leaf>> {
        let width = union.len().div_ceil(8);
        let stray = (union.len()..width.saturating_mul(8)).any(|i| bit(&list.bits, i));
        let mut leaves = Vec::new();
        for ((i, leaf), count) in union.iter().enumerate().zip(counts.iter_mut()) {
            if bit(&list.bits, i) {
                leaves.push(*leaf);
                *count = count.saturating_add(1);
            }
        }
        let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
        let SetRef { count, root } = merkle::set_ref(&bytes);
        let member = self.now.members.get(usize::from(list.text.member.0));
        let right = list.bits.len() == width && !stray && (count, root) == (list.text.count, list.text.root);
        let key = member.filter(|_| right).map(|m| m.receipt);
        let signed = key.is_some_and(|key| {
            !self.checks.signatures || ed25519::verify(&key, ids::list_digest(&list.text).as_bytes(), &list.sig)
        });
        if !signed {
            self.find(Finding::ListsShort, &format!("the list of member {} does not verify", list.text.member));
            return None;
        }
        Some(leaves)
    }

    fn caps(&mut self, leaves: &[Leaf], list: &Listed) -> Option<()> {
        let params = &self.now.params;
        let (mut count, mut bytes, mut classes) = (0u64, 0u64, true);
        for leaf in leaves {
            if let Leaf::Envelope { size, gas, .. } = leaf {
                let class = SizeClass::new(*size).map_or(0, SizeClass::bytes);
                classes &= class > 0 && *gas <= limits::GAS_CLASS_MAX;
                count = count.saturating_add(1);
                bytes = bytes.saturating_add(u64::try_from(class).unwrap_or(u64::MAX));
            }
        }
        let count_cap = u64::from(params.count_limit).saturating_mul(2);
        let bytes_cap = params.bytes_limit.saturating_mul(2);
        let full = count >= count_cap || bytes_cap.saturating_sub(bytes) < LARGEST_UNIT;
        let member = list.text.member;
        if count > count_cap || bytes > bytes_cap || leaves.len() > limits::LIST_LEAVES_MAX || !classes {
            self.find(Finding::ListsShort, &format!("the list of member {member} is over a cap"));
            return None;
        }
        if list.text.cut.is_some() && !full {
            self.convict(Finding::ListInvalid, member, "a cut although there was room");
        }
        Some(())
    }

    /// Members that list a leaf whose numbers are not those of the envelope's header.
    pub(super) fn convict_listers(&mut self, at: usize) {
        let members: Vec<MemberId> =
            self.section.lists.iter().filter(|l| bit(&l.bits, at)).map(|l| l.text.member).collect();
        for member in members {
            self.convict(Finding::ListItemWrong, member, "a leaf differs from the header that it names");
        }
    }
}

/// Whether bit `i` is set.
pub(super) fn bit(bits: &[u8], i: usize) -> bool {
    let byte = bits.get(i.checked_shr(3).unwrap_or(usize::MAX));
    byte.and_then(|b| b.checked_shr(u32::try_from(i & 7).ok()?)).is_some_and(|b| b & 1 == 1)
}
