//! What execution of a slot leaves (rollups.md section 8).
use crate::{ChainId, Hash, SetRef, Slot, Timestamp};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a slot did to one rollup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainExec {
    /// The rollup.
    pub chain_id: ChainId,
    /// Units with a leg here.
    pub units: u32,
    /// RFC 6962 over codec([`UnitLeaf`]).
    pub units_root: Hash,
    /// State root before.
    pub pre: Hash,
    /// State root after.
    pub post: Hash,
    /// Receipts root so far in the batch.
    pub receipts: Hash,
    /// Header hash of a block sealed in this slot, or zero.
    pub block: Hash,
    /// Gas used in the slot.
    pub gas: u64,
}

/// A unit on one rollup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitLeaf {
    /// Envelope hash, or the tail unit's.
    pub unit: Hash,
    /// Outcome code.
    pub outcome: u8,
    /// keccak-256 of the transactions placed here.
    pub txs: Vec<Hash>,
}

/// One unit's step over all rollups that it touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Envelope hash.
    pub unit: Hash,
    /// Outcome code.
    pub outcome: u8,
    /// Leg that decided an abort.
    pub leg: u8,
    /// Per rollup, ascending.
    pub chains: Vec<StepChain>,
}

/// One rollup in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepChain {
    /// The rollup.
    pub chain_id: ChainId,
    /// Earlier step on this rollup; `u32::MAX`: none in the slot.
    pub prev: u32,
    /// State root before.
    pub pre: Hash,
    /// State root after.
    pub post: Hash,
    /// Gas of the block so far.
    pub gas: u64,
    /// Transactions placed.
    pub txs: u32,
}

/// An opened slot that has no EXEC in the log yet: its tail may come with the next block that has lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSlot {
    /// Slot.
    pub slot: Slot,
    /// L_h.
    pub order: Vec<Hash>,
    /// Reveal hash: root of the log just after the slot's last opening.
    pub reveal: Hash,
    /// Of the block's header.
    pub time_ms: Timestamp,
    /// R_h.
    pub beacon: Hash,
    /// What execution gave, so far without a tail; `None`: the turn of an empty slot comes after the tail before it.
    pub result: Option<SlotResult>,
}

/// The result of executing one slot: what EXEC says besides the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotResult {
    /// One outcome code per unit of the slot's sequence: queue, L_h, tail.
    pub outcomes: Vec<u8>,
    /// The leg that decided each outcome; 0 where none did.
    pub legs: Vec<u8>,
    /// The queue for the next slot.
    pub carry: SetRef,
    /// Root over the steps; zero until steps are recorded.
    pub steps: Hash,
    /// By chain id, every rollup with a unit in the slot or a block sealed by it.
    pub chains: Vec<ChainExec>,
    /// Per entry of `chains`: its leaves, in sequence.
    pub units: Vec<Vec<UnitLeaf>>,
    /// Accumulators changed in the slot.
    pub mailbox: Hash,
    /// Super root after the last sealed batch; zero until batches are sealed.
    pub batch: Hash,
    /// SHA-256 over codec of (chain id, state root) of every executed rollup after the slot: EPOCH's `states`.
    pub states: Hash,
}
