//! Which listed operations a slot enters, and which of them convict a member (protocol.md section 3).
use alloc::{collections::BTreeSet, vec::Vec};
use types::{Epoch, Hash, MemberId, OperationKind, reason::Finding};

/// What a FAULT says: of what, whom, and in which epoch. At most one of a kind is in the log.
pub type Claim = (Finding, MemberId, Epoch);

/// Whether a slot of `epoch` may convict of a claim: what was done in the last slots of an epoch is found in the next.
#[must_use]
pub fn convicts(claim: &Claim, epoch: Epoch) -> bool {
    let (_, _, of) = claim;
    *of <= epoch && of.next() >= epoch
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
    /// Over the budget of their kind: NO_ROOM.
    pub left: Vec<Hash>,
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
    for ListedOperation { hash, kind, bytes, claim } in listed {
        if rooms.iter_mut().any(|room| room.kind == kind && room.take(bytes)) {
            let fault = claim.filter(|claim| convicts(claim, epoch) && claims.insert(*claim));
            out.entered.push(EnteredOperation { hash, fault });
        } else {
            out.left.push(hash);
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

    fn operation(at: u8, kind: OperationKind, bytes: usize, claim: Option<Claim>) -> ListedOperation {
        ListedOperation { hash: Hash([at; 32]), kind, bytes, claim }
    }

    fn hashes(operations: &Operations) -> (Vec<u8>, Vec<u8>) {
        let first = |hash: &Hash| hash.as_bytes()[0];
        (operations.entered.iter().map(|e| first(&e.hash)).collect(), operations.left.iter().map(first).collect())
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
        let here: Vec<_> =
            listed.iter().map(|o| (o.hash, o.kind, o.bytes)).filter(|o| !entered.left.contains(&o.0)).collect();
        assert!(entered.left.iter().all(|hash| may_lack_room(hash, &here)));
        // one that stands between the entered ones of both kinds
        assert!(!may_lack_room(&Hash([5; 32]), &here[..7]) && may_lack_room(&Hash([10; 32]), &here));
        assert!(!may_lack_room(&Hash([9; 32]), &[]));
    }

    #[test]
    fn a_member_is_convicted_once_of_a_finding() {
        let of = |member| Some((Finding::VoteDouble, MemberId(member), Epoch(2)));
        let other = Some((Finding::ListEquivocation, MemberId(1), Epoch(3)));
        let listed = [
            operation(5, OperationKind::Evidence, 9, of(1)),
            operation(4, OperationKind::Evidence, 9, of(1)),
            operation(3, OperationKind::Evidence, 9, of(2)),
            operation(6, OperationKind::Evidence, 9, other),
            operation(6, OperationKind::Evidence, 9, other),
            // long past, and to come
            operation(7, OperationKind::Evidence, 9, Some((Finding::ShareBad, MemberId(1), Epoch(1)))),
            operation(8, OperationKind::Evidence, 9, Some((Finding::ShareBad, MemberId(1), Epoch(4)))),
        ];
        let faults = |before: &[Option<Claim>]| {
            let before = before.iter().flatten().copied().collect();
            enter(&listed, &before, Epoch(3)).entered.iter().map(|e| e.fault).collect::<Vec<_>>()
        };
        assert_eq!(faults(&[]), [of(2), of(1), None, other, None, None]);
        assert_eq!(faults(&[of(1), of(2)]), [None, None, None, other, None, None]);
    }
}
