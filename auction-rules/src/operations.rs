//! Which listed operations a slot enters, and which of them convict a member or builder (protocol.md section 3).
use alloc::{collections::BTreeSet, vec::Vec};
pub use types::Claim;
use types::{Epoch, Hash, OperationKind, reason::Why};

/// Whether a slot of `epoch` may convict of a claim: what was done in the last slots of an epoch is found in the next.
#[must_use]
pub fn convicts(claim: &Claim, epoch: Epoch) -> bool {
    is_of(claim.epoch, epoch)
}

/// What names an epoch counts in that one and the next.
#[must_use]
pub fn is_of(of: Epoch, epoch: Epoch) -> bool {
    of <= epoch && of.next() >= epoch
}

/// A listed operation, as far as the rule reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOperation {
    /// Its hash.
    pub hash: Hash,
    /// Whose budget it takes; bytes that are no operation take that of evidence.
    pub kind: OperationKind,
    /// Its bytes.
    pub bytes: usize,
    /// What it proves. `None`: it is no evidence, or proves nothing.
    pub claim: Option<Claim>,
    /// False for what an account asks for in another form, on another network, or without its signature: as if never
    /// sent.
    pub admissible: bool,
}

/// An operation that has an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnteredOperation {
    /// Its hash.
    pub hash: Hash,
    /// The FAULT that it makes; `None`: an OPERATION entry.
    pub fault: Option<Claim>,
}

/// What the listed operations of a slot give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// With an entry. Shape: strictly ascending by hash.
    pub entered: Vec<EnteredOperation>,
    /// Inadmissible, or over the budget of their kind: NO_ROOM.
    pub left: Vec<(Hash, Why)>,
}

/// In hash order, each kind up to the first that its budget does not hold. Evidence convicts if it is the first of its
/// claim, and of this epoch or the one before; `before` are the claims of earlier slots.
#[must_use]
pub fn enter(listed: &[ListedOperation], before: &BTreeSet<Claim>, epoch: Epoch) -> Operations {
    let mut listed = listed.to_vec();
    listed.sort_unstable_by_key(|operation| operation.hash);
    listed.dedup_by_key(|operation| operation.hash);
    let mut rooms: [Room; OperationKind::ALL.len()] = OperationKind::ALL.map(Room::of);
    let mut claims = before.clone();
    let mut out = Operations::default();
    for ListedOperation { hash, kind, bytes, claim, admissible } in listed {
        if !admissible {
            out.left.push((hash, Why::Inadmissible));
        } else if rooms.iter_mut().any(|room| room.kind == kind && room.take(bytes)) {
            let fault = claim.filter(|claim| convicts(claim, epoch) && claims.insert(*claim));
            out.entered.push(EnteredOperation { hash, fault });
        } else {
            out.left.push((hash, Why::NoRoom));
        }
    }
    out
}

/// Whether `hash` may have found no room beside these, which were entered, whatever it is: of some kind everything that
/// is entered comes before it, and the largest operation would not fit.
#[must_use]
pub fn may_lack_room(hash: &Hash, entered: &[(Hash, OperationKind, usize)]) -> bool {
    OperationKind::ALL.iter().any(|kind| {
        let mut room = Room::of(*kind);
        let mut of_kind = entered.iter().filter(|(_, of, _)| of == kind);
        of_kind.all(|(before, _, bytes)| before < hash && room.take(*bytes))
            && !room.take(types::limits::OPERATION_BYTES_MAX)
    })
}

/// What is left of a kind's budget.
#[derive(Clone, Copy)]
struct Room {
    kind: OperationKind,
    count: usize,
    bytes: usize,
    full: bool,
}

impl Room {
    const fn of(kind: OperationKind) -> Self {
        let budget = kind.budget();
        Self { kind, count: budget.count, bytes: budget.bytes, full: false }
    }
    fn take(&mut self, bytes: usize) -> bool {
        let left = (self.count.checked_sub(1), self.bytes.checked_sub(bytes));
        let (false, (Some(count), Some(bytes))) = (self.full, left) else {
            self.full = true;
            return false;
        };
        (self.count, self.bytes) = (count, bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    // Goal: budgets hold for each kind by itself, in hash order, and a claim convicts once. Method: lists at the limits.
    use super::*;
    use types::{Accused, Address, MemberId, Slot, reason::Finding};

    fn operation(at: u8, kind: OperationKind, bytes: usize, claim: Option<Claim>) -> ListedOperation {
        ListedOperation { hash: Hash([at; 32]), kind, bytes, claim, admissible: true }
    }

    fn hashes(operations: &Operations) -> (Vec<u8>, Vec<u8>) {
        let first = |hash: &Hash| hash.as_bytes()[0];
        (
            operations.entered.iter().map(|e| first(&e.hash)).collect(),
            operations.left.iter().map(|(hash, _)| first(hash)).collect(),
        )
    }

    #[test]
    fn each_kind_stops_at_the_first_that_does_not_fit() {
        let mut listed: Vec<_> = (0..10).map(|at| operation(at, OperationKind::Evidence, 300, None)).collect();
        listed.extend((20..30).map(|at| operation(at, OperationKind::Epoch, 60_000, None)));
        // one that would still fit comes after one that does not
        listed.push(operation(40, OperationKind::Epoch, 1, None));
        listed.reverse();
        let entered = enter(&listed, &BTreeSet::new(), Epoch(3));
        let (ins, outs) = hashes(&entered);
        assert_eq!(ins, [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25, 26, 27]);
        assert_eq!(outs, [8, 9, 28, 29, 40]);
        let here: Vec<_> = listed
            .iter()
            .map(|o| (o.hash, o.kind, o.bytes))
            .filter(|o| entered.left.iter().all(|(hash, _)| *hash != o.0))
            .collect();
        assert!(entered.left.iter().all(|(hash, _)| may_lack_room(hash, &here)));
        // one that stands between the entered ones of both kinds
        assert!(!may_lack_room(&Hash([5; 32]), &here[..7]) && may_lack_room(&Hash([10; 32]), &here));
        assert!(!may_lack_room(&Hash([9; 32]), &[]));
    }

    #[test]
    fn a_member_is_convicted_once_of_a_finding() {
        let claim = |finding, member, epoch| {
            Some(Claim { finding, accused: Accused::Member(MemberId(member)), epoch: Epoch(epoch) })
        };
        let of = |member| claim(Finding::VoteDouble, member, 2);
        let other = claim(Finding::ListEquivocation, 1, 3);
        let listed = [
            operation(5, OperationKind::Evidence, 9, of(1)),
            operation(4, OperationKind::Evidence, 9, of(1)),
            operation(3, OperationKind::Evidence, 9, of(2)),
            operation(6, OperationKind::Evidence, 9, other),
            operation(6, OperationKind::Evidence, 9, other),
            // long past, and to come
            operation(7, OperationKind::Evidence, 9, claim(Finding::ShareBad, 1, 1)),
            operation(8, OperationKind::Evidence, 9, claim(Finding::ShareBad, 1, 4)),
        ];
        let faults = |before: &[Option<Claim>]| {
            let before = before.iter().flatten().copied().collect();
            enter(&listed, &before, Epoch(3)).entered.iter().map(|e| e.fault).collect::<Vec<_>>()
        };
        assert_eq!(faults(&[]), [of(2), of(1), None, other, None, None]);
        assert_eq!(faults(&[of(1), of(2)]), [None, None, None, other, None, None]);
    }

    #[test]
    fn a38_a_builder_is_convicted_once_of_a_finding_and_slot() {
        let claim = |finding, slot| {
            let accused = Accused::Builder { builder: Address([7; 20]), slot: Slot(slot) };
            Some(Claim { finding, accused, epoch: Epoch(3) })
        };
        let all = [
            claim(Finding::BidDouble, 40),
            claim(Finding::BidDouble, 40),
            claim(Finding::BidDouble, 41),
            claim(Finding::TailDouble, 40),
        ];
        let listed: Vec<_> = (1..).zip(all).map(|(at, of)| operation(at, OperationKind::Evidence, 9, of)).collect();
        let faults =
            |epoch| enter(&listed, &BTreeSet::new(), epoch).entered.iter().map(|e| e.fault).collect::<Vec<_>>();
        assert_eq!(faults(Epoch(3)), [all[0], None, all[2], all[3]]);
        assert_eq!(faults(Epoch(4)), faults(Epoch(3)));
        assert_eq!(faults(Epoch(2)), [None; 4], "a slot of the next epoch waits for it");
        assert_eq!(faults(Epoch(5)), [None; 4]);
    }

    #[test]
    fn a02_what_no_account_may_ask_for_takes_no_room() {
        let mut listed: Vec<_> = (0..=255).map(|at| operation(at, OperationKind::Account, 200, None)).collect();
        listed.push(ListedOperation { hash: Hash([9; 32]), admissible: false, ..listed[0] });
        listed.retain(|one| one.hash != Hash([9; 32]) || !one.admissible);
        let entered = enter(&listed, &BTreeSet::new(), Epoch(3));
        assert_eq!((entered.entered.len(), entered.left), (255, std::vec![(Hash([9; 32]), Why::Inadmissible)]));
        let large: Vec<_> = (0..4).map(|at| operation(at, OperationKind::Account, 40_000, None)).collect();
        assert_eq!(hashes(&enter(&large, &BTreeSet::new(), Epoch(3))), (std::vec![0, 1, 2], std::vec![3]));
    }
}
