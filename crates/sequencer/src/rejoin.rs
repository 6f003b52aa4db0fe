//! A member that lost its disk does not know what it signed. It signs nothing that could be a second version of it.
//!
//! A block whose time lies after the loss was proposed after it, so the member had signed nothing yet that follows from
//! that block being final: from its slot on shares and cosignatures are new. Receipts bind a member's lists until their
//! envelopes have expired, so its lists and receipts wait for the longest expiry on top. Its votes wait for the next
//! epoch: that is `consensus`'s part.
use crate::state::Sequencer;
use types::{Epoch, Params, Slot, Timestamp};

/// Milliseconds by which a block may seem newer than the loss and be older: this member's clock may be 5 s behind, and
/// the proposer's 5 s ahead of what 2f + 1 voters accept.
const CLOCKS_MS: u64 = 10_000;

/// What a member that lost its disk waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejoin {
    /// When it found that its disk was gone.
    pub since: Timestamp,
    /// The first slot that it knows to be proposed after that.
    pub from: Option<Slot>,
}

impl Rejoin {
    /// The wait of a member that found its disk gone at `since`.
    #[must_use]
    pub const fn new(since: Timestamp) -> Self {
        Self { since, from: None }
    }

    /// A final block, in the order of the log.
    pub fn block(&mut self, slot: Slot, time: Timestamp) {
        if self.from.is_none() && time > self.since.plus(CLOCKS_MS) {
            self.from = Some(slot);
        }
    }

    /// Whether shares and the cosignature of this slot are certainly the first.
    #[must_use]
    pub fn shares(&self, slot: Slot) -> bool {
        self.from.is_some_and(|from| slot >= from)
    }

    /// Whether a list of this slot can break no promise, and receipts may be given.
    #[must_use]
    pub fn lists(&self, params: &Params, slot: Slot) -> bool {
        self.from.is_some_and(|from| slot > from.plus(params.expiry_slots_max).next())
    }
}

impl Sequencer {
    /// For a member that lost its disk: the epoch of the first block that was certainly proposed after the loss. What it
    /// voted before is of that epoch or earlier.
    #[must_use]
    pub fn rejoined_in(&self) -> Option<Epoch> {
        Some(self.epoch_of(self.rejoin?.from?))
    }

    /// Whether this member may sign a list for the slot, and give receipts.
    pub(crate) fn may_list(&self, slot: Slot) -> bool {
        // promises may be of the epoch before
        let before = self.setup.before.as_ref().map(|before| &before.params);
        let lists = |params: &Params| self.rejoin.is_none_or(|rejoin| rejoin.lists(params, slot));
        lists(&self.setup.params) && before.is_none_or(lists)
    }

    /// Whether this member may send shares and a cosignature for the slot.
    pub(crate) fn may_share(&self, slot: Slot) -> bool {
        self.rejoin.is_none_or(|rejoin| rejoin.shares(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_signed_before_it_is_certainly_the_first() {
        let params = Params { expiry_slots_max: 10, ..Params::default_for(500) };
        let mut rejoin = Rejoin::new(Timestamp(100_000));
        rejoin.block(Slot(7), Timestamp(99_000));
        // a block of the same seconds may be one that was final before the loss, by a clock that is ahead
        rejoin.block(Slot(8), Timestamp(110_000));
        assert!(!rejoin.shares(Slot(8)) && !rejoin.shares(Slot(1_000)) && !rejoin.lists(&params, Slot(1_000)));
        rejoin.block(Slot(9), Timestamp(110_001));
        rejoin.block(Slot(10), Timestamp(110_501));
        assert_eq!(rejoin.from, Some(Slot(9)));
        assert!(!rejoin.shares(Slot(8)) && rejoin.shares(Slot(9)));
        // an envelope taken at slot 9 may be valid for slot 9 + 1 + 10
        assert!(!rejoin.lists(&params, Slot(20)) && rejoin.lists(&params, Slot(21)));
    }
}
