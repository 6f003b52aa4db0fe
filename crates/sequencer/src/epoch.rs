//! Epochs: EPOCH of the next one is announced in the log, and consensus goes on in it once the last slot is opened.
//!
//! ```text
//!  block announce(e) final -> EPOCH(e+1) before its CLOSE
//!  last slot of e opened   -> consensus of e ends here, that of e+1 starts on the last block of e
//! ```
//! Share messages and lists of the last slot go on being sent until a block of the next epoch is final. When committee,
//! keys or parameters change, the machine is over: it signs nothing more, and another one begins with the log's end.
use crate::{
    effect::Effect,
    recent::Recent,
    section,
    state::{Resume, Sequencer},
};
use crypto::succession::Succession;
use types::{Epoch, EpochEnd, EpochFacts, Epochs, Hash, Slot, tag};

/// What consensus needs to start in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Which.
    pub epoch: Epoch,
    /// Digest of the last block of the epoch before; of genesis for epoch 0.
    pub parent: Hash,
    /// Shuffles the order of leaders: known two epochs ahead, chosen by nobody (engine.md section 1).
    pub leader_seed: Hash,
    /// Committee, keys or parameters are not those of this machine: it ends here, and another one begins.
    pub changed: bool,
}

impl Sequencer {
    /// The epoch of a slot.
    #[must_use]
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        self.setup.params.schedule().epoch_of(slot)
    }

    /// The epoch that consensus works in, for who starts it.
    #[must_use]
    pub fn epoch_start(&self) -> EpochStart {
        let epoch = self.epoch_of(self.opened.next());
        let network = self.setup.network;
        let end = |back| self.epochs.end_of(Epoch(epoch.0.checked_sub(back)?));
        let parent = end(1).map(|end| end.digest);
        let beacon = end(2).map_or(Hash::ZERO, |end| end.beacon);
        let number = epoch.0.to_le_bytes();
        EpochStart {
            epoch,
            parent: parent.unwrap_or_else(|| crypto::ids::block_digest(&types::Block::genesis(network).header)),
            leader_seed: crypto::hash::tagged(tag::LEADERS, &[network.as_bytes(), &number, beacon.as_bytes()]),
            changed: epoch
                .0
                .checked_sub(1)
                .is_some_and(|before| !self.epochs.of(epoch).continues(self.epochs.of(Epoch(before)))),
        }
    }

    /// The epoch is over, and another committee or other parameters begin: what the next machine continues from, as a
    /// replay of the log would give it. What is on disk besides the log is the caller's to add. `None` before that, and
    /// while a result of execution is missing.
    #[must_use]
    pub fn hand_on(self) -> Option<Resume> {
        if !self.over || self.opened != self.fin.slot() {
            return None;
        }
        if self.unexecuted.values().any(|waits| waits.running) {
            return None;
        }
        let unexecuted = self.unexecuted.into_values().map(|waits| waits.open).collect();
        let mut openings = self.recent_openings;
        let whole = self.recent.into_iter().map(|(slot, units)| (slot, units, openings.remove(&slot))).collect();
        let faults = self.operations.faults().clone();
        Some(Resume {
            ledger: self.ledger,
            tree: self.tree,
            last: self.fin.header,
            unopened: None,
            reveal: self.reveal,
            epochs: self.epochs,
            succession: self.succession,
            states: self.states,
            unexecuted,
            left_heads: self.left_heads,
            included: self.included,
            placed: self.placed.into_iter().collect(),
            recent: Recent::handed_on(
                whole,
                self.heads,
                self.operations.into_entered(),
                self.bids.into_past(),
                self.objects.into_past(),
            ),
            rejoin: self.rejoin,
            share_message: None,
            own_list: None,
            cosigned_at: self.cosigned_at,
            items: Vec::new(),
            bids: Vec::new(),
            objects: Vec::new(),
            operations: Vec::new(),
            faults,
        })
    }

    /// The epochs as far as the log tells.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }
    /// What the log of this epoch says of the next one.
    #[must_use]
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// EPOCH of the next epoch, in the section of the slot that announces it.
    pub(crate) fn announce(&mut self, slot: Slot) -> Option<Vec<u8>> {
        self.setup.params.schedule().announced(slot)?;
        let epoch = self.epoch_of(slot).next();
        // a reserve is decided an epoch before it holds
        let reserve = self.ledger.reserve(epoch).unwrap_or(self.setup.params.reserve_floor);
        let facts = EpochFacts { ledger: self.ledger.account_root(), states: self.states, reserve };
        let next = self.succession.announce(&self.epochs, facts, &self.setup.ceremony);
        let entry = section::epoch(next.clone());
        self.epochs.announced(next, crypto::merkle::leaf_hash(&entry));
        Some(entry)
    }

    /// A slot is opened: if it is the last of its epoch, consensus goes on in the next.
    pub(crate) fn end_of_epoch(&mut self, slot: Slot, beacon: Hash) {
        if self.setup.params.schedule().is_last(slot) {
            self.epochs.ended(EpochEnd { epoch: self.epoch_of(slot), digest: self.fin.digest, beacon });
            // what is done in the next one counts anew
            let start = self.epoch_start();
            self.over = start.changed;
            self.out.push(Effect::Epoch(start));
        }
    }
}
