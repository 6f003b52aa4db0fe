//! The rollups as a builder sees them: the log, recomputed as it grows.
//!
//! Whoever serves the log is believed which of its blocks are final, and nothing is checked that only signatures show: from
//! a false log come tails that members refuse, or that are undone. Bids do not depend on it, but for what tails earn.
use super::tail::Scene;
use std::collections::BTreeMap;
use tlog::Tree;
use types::{Address, ChainId, Hash, Slot};
use verifier::{Anchor, AnchorError, Checks, Finding, Replay};

/// The end of the units of a slot, for one sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The slot that was opened last.
    pub slot: Slot,
    /// Root of the log just after its last opening: what a tail of this slot names.
    pub reveal: Hash,
    /// Rollups with a demo market.
    pub scenes: BTreeMap<ChainId, Scene>,
}

impl Look {
    /// Coins of the sender over all rollups, wei.
    #[must_use]
    pub fn coins(&self) -> u128 {
        self.scenes.values().fold(0, |sum: u128, scene| sum.saturating_add(scene.held.coins))
    }
}

/// Who knows the rollups.
pub trait Chain: Send + Sync {
    /// Reads on until this slot is opened, if it is served, and looks at what `sender` finds then; `None` when that is not
    /// known, or over already. Blocks for as long as reading takes: the first time for the whole log.
    fn look(&self, slot: Slot, sender: &Address) -> Option<Look>;
}

/// A log that is recomputed entry by entry.
#[derive(Debug)]
pub struct Replica {
    replay: Replay,
    tree: Tree,
    chains: Vec<ChainId>,
}

impl Replica {
    /// From genesis.
    ///
    /// # Errors
    /// [`AnchorError`] when the rollups cannot be executed.
    pub fn new(anchor: &Anchor) -> Result<Self, AnchorError> {
        let chains = anchor.network().genesis.rollups.iter().filter(|spec| spec.exec).map(|spec| spec.chain_id);
        Ok(Self { replay: Replay::new(anchor, Checks::TRUSTED)?, tree: Tree::new(), chains: chains.collect() })
    }

    /// What was read so far.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The slot that was opened last is the last one read, and it is opened.
    #[must_use]
    pub fn is_opened(&self) -> bool {
        self.replay.is_opened()
    }

    /// The slot read last.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.replay.slot()
    }

    /// The next entry.
    ///
    /// # Errors
    /// The rule that it breaks: this log is of no use any more.
    pub fn entry(&mut self, bytes: &[u8]) -> Result<(), Finding> {
        self.replay.entry(self.tree.size(), bytes);
        self.tree.append(bytes);
        self.replay.findings().first().map_or(Ok(()), |finding| Err(finding.clone()))
    }

    /// What a sender finds after the slot opened last; `None` between the close of a slot and its opening.
    #[must_use]
    pub fn look(&self, sender: &Address) -> Option<Look> {
        if !self.is_opened() {
            return None;
        }
        let scene = |chain: &ChainId| Some((*chain, Scene::of(self.replay.rollups(), *chain, sender)?));
        let scenes = self.chains.iter().filter_map(scene).collect();
        Some(Look { slot: self.slot(), reveal: self.tree.head().root, scenes })
    }
}
