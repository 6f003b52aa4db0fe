//! What members say became of the items that this wallet waits for. Pure.
use std::collections::BTreeMap;
use types::{
    Hash, MemberId, Slot,
    reason::Outcome as Code,
    wire::{Event, Status},
};

/// What became of an item, as f+1 members tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Executed, with whatever outcome.
    Executed {
        /// Slot.
        slot: Slot,
        /// Place in L_h.
        index: u32,
        /// Outcome code.
        outcome: u8,
        /// Leg that decided, if f+1 members name the same one.
        leg: Option<u8>,
    },
    /// It can be in no set any more.
    Dropped {
        /// Reason's number.
        code: u16,
    },
}

/// One member's account of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Opened { slot: Slot, index: u32 },
    Executed { slot: Slot, index: u32, outcome: u8, leg: Option<u8> },
    Dropped { code: u16 },
}

/// Accounts by item and member. Only items that are watched are kept.
#[derive(Debug)]
pub(crate) struct Board {
    /// Equal accounts that make a fate: f + 1.
    need: usize,
    items: BTreeMap<Hash, Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    /// Who waits.
    waiting: usize,
    said: BTreeMap<MemberId, Said>,
}

const fn is_final(outcome: u8) -> bool {
    match Code::from_number(outcome) {
        Some(code) => code.is_final(),
        None => true,
    }
}

impl Board {
    pub(crate) const fn new(need: usize) -> Self {
        Self { need, items: BTreeMap::new() }
    }

    pub(crate) fn watch(&mut self, item: Hash) {
        let watch = self.items.entry(item).or_default();
        watch.waiting = watch.waiting.saturating_add(1);
    }

    /// Ends one [`Self::watch`]; the last one takes the item off.
    pub(crate) fn forget(&mut self, item: &Hash) {
        if let Some(watch) = self.items.get_mut(item) {
            watch.waiting = watch.waiting.saturating_sub(1);
            if watch.waiting == 0 {
                self.items.remove(item);
            }
        }
    }

    /// Takes in an event of a member; true if a watched item is concerned.
    pub(crate) fn event(&mut self, member: MemberId, event: &Event) -> bool {
        let mut concerned = false;
        match event {
            Event::Opened { slot, order, .. } => {
                for (index, hash) in (0u32..).zip(order) {
                    let Some(Watch { said, .. }) = self.items.get_mut(hash) else { continue };
                    if !matches!(said.get(&member), Some(Said::Executed { .. })) {
                        said.insert(member, Said::Opened { slot: *slot, index });
                        concerned = true;
                    }
                }
            }
            Event::Executed { slot, outcomes } => {
                for Watch { said, .. } in self.items.values_mut() {
                    let Some(Said::Opened { slot: opened, index }) = said.get(&member).copied() else { continue };
                    let outcome = usize::try_from(index).ok().and_then(|i| outcomes.get(i)).copied();
                    if let Some(outcome) = outcome
                        && opened == *slot
                        && is_final(outcome)
                    {
                        said.insert(member, Said::Executed { slot: *slot, index, outcome, leg: None });
                        concerned = true;
                    }
                }
            }
            Event::Final { .. } | Event::Auction { .. } | Event::Tail { .. } | Event::Gap { .. } => {}
        }
        concerned
    }

    /// Takes in a member's answer to a question.
    pub(crate) fn status(&mut self, member: MemberId, item: &Hash, status: &Status) {
        let Some(Watch { said, .. }) = self.items.get_mut(item) else { return };
        let new = match *status {
            Status::Opened { slot, index } => Said::Opened { slot, index },
            Status::Executed { slot, index, outcome, leg } if is_final(outcome) => {
                Said::Executed { slot, index, outcome, leg: Some(leg) }
            }
            Status::Dropped { code } => Said::Dropped { code },
            Status::Executed { .. }
            | Status::Unknown
            | Status::Pending
            | Status::Fixed { .. }
            | Status::Entered { .. } => return,
        };
        let keep = matches!((said.get(&member), &new), (Some(Said::Executed { .. }), Said::Opened { .. }));
        if !keep {
            said.insert(member, new);
        }
    }

    /// What f+1 members agree on.
    pub(crate) fn fate(&self, item: &Hash) -> Option<Fate> {
        let Watch { said, .. } = self.items.get(item)?;
        let enough = |same: &dyn Fn(&Said) -> bool| said.values().filter(|one| same(one)).count() >= self.need;
        said.values().find_map(|one| match *one {
            Said::Executed { slot, index, outcome, .. } => {
                let same = |other: &Said| {
                    matches!(*other, Said::Executed { slot: s, index: i, outcome: o, .. } if (s, i, o) == (slot, index, outcome))
                };
                if !enough(&same) {
                    return None;
                }
                let leg = said.values().find_map(|one| {
                    let Said::Executed { leg: Some(leg), .. } = *one else { return None };
                    let agreed = |other: &Said| {
                        same(other) && matches!(*other, Said::Executed { leg: named, .. } if named == Some(leg))
                    };
                    enough(&agreed).then_some(leg)
                });
                Some(Fate::Executed { slot, index, outcome, leg })
            }
            Said::Dropped { code } => {
                let same = |other: &Said| *other == Said::Dropped { code };
                enough(&same).then_some(Fate::Dropped { code })
            }
            Said::Opened { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    // Goal: WAL-3: a fate needs f+1 equal accounts, however they arrive, and f liars change nothing.
    use super::*;

    const ITEM: Hash = Hash([7; 32]);

    fn board() -> Board {
        let mut board = Board::new(2);
        board.watch(ITEM);
        board
    }

    fn opened(slot: u64, index: usize) -> Event {
        let mut order = vec![Hash([1; 32]); index];
        order.push(ITEM);
        let openings = vec![types::Opening::Key(types::Key128([0; 16])); order.len()];
        Event::Opened { slot: Slot(slot), reveal: Hash::ZERO, order, openings }
    }

    fn executed(slot: u64, outcomes: &[u8]) -> Event {
        Event::Executed { slot: Slot(slot), outcomes: outcomes.to_vec() }
    }

    #[test]
    fn wal_3_two_equal_accounts_make_a_fate() {
        let mut board = board();
        for member in [0, 1] {
            assert!(board.event(MemberId(member), &opened(5, 2)));
            assert!(board.event(MemberId(member), &executed(5, &[0, 0, 69])));
            assert_eq!(board.fate(&ITEM).is_some(), member == 1);
        }
        let fate = Fate::Executed { slot: Slot(5), index: 2, outcome: 69, leg: None };
        assert_eq!(board.fate(&ITEM), Some(fate));
        for member in [0, 1] {
            board.status(MemberId(member), &ITEM, &Status::Executed { slot: Slot(5), index: 2, outcome: 69, leg: 1 });
        }
        assert_eq!(board.fate(&ITEM), Some(Fate::Executed { slot: Slot(5), index: 2, outcome: 69, leg: Some(1) }));
    }

    #[test]
    fn wal_3_one_liar_changes_nothing() {
        let mut board = board();
        board.event(MemberId(3), &opened(4, 0));
        board.event(MemberId(3), &executed(4, &[0]));
        board.status(MemberId(0), &ITEM, &Status::Executed { slot: Slot(5), index: 0, outcome: 0, leg: 0 });
        assert_eq!(board.fate(&ITEM), None, "one says slot 4, one slot 5");
        board.status(MemberId(1), &ITEM, &Status::Executed { slot: Slot(5), index: 0, outcome: 0, leg: 2 });
        let fate = board.fate(&ITEM);
        assert_eq!(fate, Some(Fate::Executed { slot: Slot(5), index: 0, outcome: 0, leg: None }), "no two legs equal");
        board.status(MemberId(3), &ITEM, &Status::Dropped { code: 7 });
        assert_eq!(board.fate(&ITEM), fate);
    }

    #[test]
    fn wal_3_carried_is_no_fate() {
        let mut board = board();
        for member in [0, 1, 2] {
            board.event(MemberId(member), &opened(5, 0));
            board.event(MemberId(member), &executed(5, &[Code::Carried.number()]));
        }
        assert_eq!(board.fate(&ITEM), None);
        for member in [0, 1] {
            board.status(MemberId(member), &ITEM, &Status::Executed { slot: Slot(5), index: 0, outcome: 0, leg: 0 });
        }
        assert!(board.fate(&ITEM).is_some());
    }

    #[test]
    fn events_out_of_shape_are_harmless() {
        let mut board = board();
        assert!(!board.event(MemberId(0), &executed(5, &[0])), "executed before opened");
        board.event(MemberId(0), &opened(5, 3));
        assert!(!board.event(MemberId(0), &executed(5, &[0])), "fewer outcomes than the order had");
        assert!(!board.event(MemberId(0), &executed(6, &[0; 9])), "another slot");
        assert!(!board.event(MemberId(0), &Event::Gap { dropped: u64::MAX }));
        board.status(MemberId(0), &Hash([9; 32]), &Status::Dropped { code: 7 });
        assert_eq!(board.fate(&Hash([9; 32])), None, "not watched, not kept");
        board.watch(ITEM);
        board.forget(&ITEM);
        assert!(board.event(MemberId(0), &opened(5, 0)), "somebody else still waits");
        board.forget(&ITEM);
        assert!(!board.event(MemberId(0), &opened(5, 0)));
    }

    #[test]
    fn wal_3_dropped_needs_one_reason() {
        let mut board = board();
        board.status(MemberId(0), &ITEM, &Status::Dropped { code: 7 });
        board.status(MemberId(1), &ITEM, &Status::Dropped { code: 8 });
        assert_eq!(board.fate(&ITEM), None);
        board.status(MemberId(2), &ITEM, &Status::Dropped { code: 7 });
        assert_eq!(board.fate(&ITEM), Some(Fate::Dropped { code: 7 }));
    }
}
