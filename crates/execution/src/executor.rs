//! The rollups of a network, advanced slot by slot.
use crate::{
    evm::Env,
    genesis::RollupGenesis,
    roots,
    state::{Overlay, State, View},
    unit::{Body, Prepared, Ready, ReadyLeg, block_slots, slot_cap, tail_cap},
};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, TxType};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip2718::Encodable2718,
};
use alloy_primitives::{Address as EvmAddress, B256, U256};
use alloy_trie::root::ordered_trie_root_encoded;
use revm::context::result::{ExecutionResult, HaltReason};
use types::{
    Address, ChainExec, ChainId, Hash, Policy, RollupSpec, Slot, SlotResult, Timestamp, UnitLeaf, codec,
    reason::Outcome, tag,
};

/// What the block and the beacon of a slot give to execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotEnv {
    /// The slot h, 1 or more.
    pub slot: Slot,
    /// Time of block h's header, ms.
    pub time_ms: Timestamp,
    /// R_h.
    pub beacon: Hash,
}

/// Why rollups and genesis files do not make an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The specification and the genesis file name different chains.
    #[error("genesis file of another chain than {0}")]
    ChainId(ChainId),
    /// The specification commits to another genesis block.
    #[error("genesis block of rollup {0} has another hash")]
    GenesisHash(ChainId),
    /// The specification has another gas limit than the genesis file.
    #[error("genesis file of rollup {0} has another gas limit")]
    GasLimit(ChainId),
    /// The specification has another fork than the genesis file.
    #[error("genesis file of rollup {0} has another fork")]
    Fork(ChainId),
    /// Two specifications of one chain.
    #[error("rollup {0} twice")]
    Duplicate(ChainId),
}

/// Why a read-only call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No executed rollup has this chain id.
    #[error("no executed rollup has this chain id")]
    UnknownChain,
    /// The contract reverted with these bytes.
    #[error("reverted")]
    Reverted(Vec<u8>),
    /// The call ran out of gas or hit another exceptional halt.
    #[error("halted")]
    Halted,
    /// The call is no valid transaction.
    #[error("refused: {0}")]
    Refused(Outcome),
}

/// All executed rollups of a network.
#[derive(Clone, Debug)]
pub struct Executor {
    /// K.
    slots: u64,
    batch: Batch,
    chains: BTreeMap<ChainId, Chain>,
    slot: SlotRun,
}

/// The batch being filled.
#[derive(Clone, Debug)]
struct Batch {
    index: u64,
    /// T_j, seconds.
    timestamp: u64,
    prevrandao: B256,
}

/// What the slot being executed has so far.
#[derive(Clone, Debug, Default)]
struct SlotRun {
    slot: Slot,
    outcomes: Vec<u8>,
    legs: Vec<u8>,
    /// Per rollup with a unit: its leaves, in sequence.
    units: BTreeMap<ChainId, Vec<UnitLeaf>>,
}

/// What the next block's number and base fee follow from.
#[derive(Clone, Copy, Debug)]
struct Parent {
    number: u64,
    base_fee: u64,
    gas_used: u64,
}

#[derive(Clone, Debug)]
struct Chain {
    spec: RollupSpec,
    state: State,
    parent: Parent,
    /// EIP-2718 receipts of the batch.
    receipts: Vec<Vec<u8>>,
    /// Gas used in the batch.
    batch_gas: u64,
    /// Of that, what tails used.
    tails_gas: u64,
    /// Gas used in the slot.
    slot_gas: u64,
    /// Of that, what its tail used.
    tail_gas: u64,
    /// State root before the slot.
    pre: Hash,
    /// The one that was computed last.
    post: Hash,
}

impl Chain {
    fn base_fee(&self) -> u64 {
        let Parent { base_fee, gas_used, .. } = self.parent;
        calc_next_block_base_fee(gas_used, self.spec.gas_limit, base_fee, BaseFeeParams::ethereum())
    }

    fn env(&self, batch: &Batch) -> Env {
        Env {
            chain_id: self.spec.chain_id.0,
            fork: self.spec.fork,
            number: self.parent.number.saturating_add(1),
            timestamp: batch.timestamp,
            beneficiary: EvmAddress::from(self.spec.fee_recipient.0),
            gas_limit: self.spec.gas_limit,
            base_fee: self.base_fee(),
            prevrandao: batch.prevrandao,
        }
    }

    /// The batch is over: with a placed transaction it is a block, else nothing moves.
    fn end_batch(&mut self) {
        if !self.receipts.is_empty() {
            self.parent = Parent {
                number: self.parent.number.saturating_add(1),
                base_fee: self.base_fee(),
                gas_used: self.batch_gas,
            };
        }
        self.receipts.clear();
        self.batch_gas = 0;
        self.tails_gas = 0;
    }

    fn end_slot(&mut self) {
        self.pre = self.post;
        self.slot_gas = 0;
        self.tail_gas = 0;
    }

    fn view<'a>(&'a self, overlay: &'a Overlay) -> View<'a> {
        View { state: &self.state, overlay, genesis: B256::from(self.spec.genesis.0) }
    }
}

/// Whose gas a unit uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Order,
    Tail,
}

/// What one unit wants to do to one rollup.
#[derive(Debug, Default)]
struct Trial {
    overlay: Overlay,
    receipts: Vec<Vec<u8>>,
    gas: u64,
}

/// The code of a unit that leaves nothing, and the leg that decided.
struct Dropped(Outcome, u8);

impl Executor {
    /// The executed rollups at genesis; rollups with `exec = false` are passed over.
    ///
    /// # Errors
    /// [`ExecutorError`] when a specification and its genesis file do not belong together.
    pub fn genesis(rollups: &[(RollupSpec, RollupGenesis)], slot_ms: u64) -> Result<Self, ExecutorError> {
        let mut chains = BTreeMap::new();
        let mut timestamp = 0u64;
        for (spec, genesis) in rollups.iter().filter(|(spec, _)| spec.exec) {
            let id = spec.chain_id;
            if genesis.chain_id() != id {
                return Err(ExecutorError::ChainId(id));
            }
            if genesis.fork() != spec.fork {
                return Err(ExecutorError::Fork(id));
            }
            if genesis.gas_limit() != spec.gas_limit {
                return Err(ExecutorError::GasLimit(id));
            }
            let mut state = genesis.state();
            let root = state.root();
            if genesis.hash_with(root) != spec.genesis {
                return Err(ExecutorError::GenesisHash(id));
            }
            timestamp = timestamp.max(genesis.timestamp());
            let parent = Parent { number: 0, base_fee: genesis.base_fee(), gas_used: 0 };
            let chain = Chain {
                spec: spec.clone(),
                state,
                parent,
                receipts: Vec::new(),
                batch_gas: 0,
                tails_gas: 0,
                slot_gas: 0,
                tail_gas: 0,
                pre: Hash(root.0),
                post: Hash(root.0),
            };
            if chains.insert(id, chain).is_some() {
                return Err(ExecutorError::Duplicate(id));
            }
        }
        let batch = Batch { index: 0, timestamp, prevrandao: B256::ZERO };
        Ok(Self { slots: block_slots(slot_ms), batch, chains, slot: SlotRun::default() })
    }

    /// Executes the units of a slot in their order. Slots come in ascending order, each once, empty ones too, and each
    /// ends the one before; the first slot of a batch gives it its time and its prevrandao.
    pub fn order(&mut self, env: &SlotEnv, units: &[Prepared]) {
        self.slot = SlotRun { slot: env.slot, ..SlotRun::default() };
        self.chains.values_mut().for_each(Chain::end_slot);
        let (index, _) = self.place(env.slot);
        if index != self.batch.index {
            self.begin_batch(index, env);
        }
        units.iter().for_each(|unit| self.run(unit, Part::Order));
    }

    /// Executes the bundles of the tail of the slot whose order was executed last, in their order: after all units, on
    /// gas of its own.
    pub fn tail(&mut self, units: &[Prepared]) {
        units.iter().for_each(|unit| self.run(unit, Part::Tail));
    }

    fn run(&mut self, unit: &Prepared, part: Part) {
        let (outcome, leg, placed) = self.unit(unit, part);
        self.slot.outcomes.push(outcome.number());
        self.slot.legs.push(leg);
        for chain in &unit.chains {
            let txs = placed.iter().filter(|(id, _)| id == chain).map(|(_, hash)| *hash).collect();
            let leaf = UnitLeaf { unit: unit.hash, outcome: outcome.number(), txs };
            self.slot.units.entry(*chain).or_default().push(leaf);
        }
    }

    /// What the slot has left so far: roots of every rollup that a unit named. Once without a tail, and again with it.
    pub fn close(&mut self) -> SlotResult {
        let run = self.slot.clone();
        let chains = run.units.iter().map(|(id, leaves)| self.close_chain(*id, leaves)).collect();
        SlotResult {
            outcomes: run.outcomes,
            legs: run.legs,
            carry: roots::empty_set(),
            steps: Hash::ZERO,
            chains,
            units: run.units.into_values().collect(),
            mailbox: roots::sha256(&[tag::MAILBOX.as_bytes(), &codec::encode(&Vec::<(ChainId, ChainId, Hash)>::new())]),
            batch: Hash::ZERO,
            states: self.states_root(),
        }
    }

    fn close_chain(&mut self, chain_id: ChainId, leaves: &[UnitLeaf]) -> ChainExec {
        let encoded: Vec<Vec<u8>> = leaves.iter().map(codec::encode).collect();
        let mut exec = ChainExec {
            chain_id,
            units: u32::try_from(leaves.len()).unwrap_or(u32::MAX),
            units_root: roots::root(&encoded),
            pre: Hash::ZERO,
            post: Hash::ZERO,
            receipts: Hash::ZERO,
            block: Hash::ZERO,
            gas: 0,
        };
        if let Some(chain) = self.chains.get_mut(&chain_id) {
            exec.pre = chain.pre;
            exec.post = Hash(chain.state.root().0);
            exec.receipts = Hash(ordered_trie_root_encoded(&chain.receipts).0);
            exec.gas = chain.slot_gas;
            chain.post = exec.post;
        }
        exec
    }

    /// Batch j = ceil(h / K) and the place of h in it, from 1.
    fn place(&self, slot: Slot) -> (u64, u64) {
        let before = slot.0.saturating_sub(1);
        let batch = before.checked_div(self.slots).unwrap_or(0).saturating_add(1);
        let place = before.checked_rem(self.slots).unwrap_or(0).saturating_add(1);
        (batch, place)
    }

    fn begin_batch(&mut self, index: u64, env: &SlotEnv) {
        self.chains.values_mut().for_each(Chain::end_batch);
        let claimed = env.time_ms.0.checked_div(1_000).unwrap_or(0);
        let prevrandao = roots::sha256(&[tag::PREVRANDAO.as_bytes(), env.beacon.as_ref()]);
        self.batch = Batch {
            index,
            timestamp: self.batch.timestamp.saturating_add(1).max(claimed),
            prevrandao: B256::from(prevrandao.0),
        };
    }

    /// One unit: its outcome, the leg that decided it, and what it placed.
    fn unit(&mut self, unit: &Prepared, part: Part) -> (Outcome, u8, Vec<(ChainId, Hash)>) {
        let ready = match &unit.body {
            Body::Failed { outcome, leg } => return (*outcome, *leg, Vec::new()),
            Body::Ready(ready) => ready,
        };
        match self.try_unit(ready, part) {
            Ok(trials) => {
                for (id, trial) in trials {
                    self.merge(id, trial, part);
                }
                let outcome = match ready.policy {
                    Policy::AtomicExec => Outcome::Committed,
                    Policy::AtomicInclusion => Outcome::Included,
                };
                (outcome, 0, ready.legs.iter().map(|leg| (leg.chain, leg.hash)).collect())
            }
            Err(Dropped(outcome, leg)) => (outcome, leg, Vec::new()),
        }
    }

    fn try_unit(&self, ready: &Ready, part: Part) -> Result<BTreeMap<ChainId, Trial>, Dropped> {
        if self.slot.slot > ready.deadline {
            return Err(Dropped(Outcome::Deadline, 0));
        }
        if !ready.needs.iter().all(|(id, need)| self.fits(*id, *need, part)) {
            let none = if part == Part::Tail { Outcome::TailGas } else { Outcome::Expired };
            return Err(Dropped(none, 0));
        }
        let mut trials = BTreeMap::<ChainId, Trial>::new();
        for (leg, i) in ready.legs.iter().zip(0u8..) {
            let Some(chain) = self.chains.get(&leg.chain) else { continue };
            let trial = trials.entry(leg.chain).or_default();
            self.leg(chain, trial, leg, ready.policy).map_err(|outcome| Dropped(outcome, i))?;
        }
        Ok(trials)
    }

    /// used + what the unit declares <= floor(U i / K), of a tail <= floor((gas limit - U) / K).
    fn fits(&self, id: ChainId, need: u64, part: Part) -> bool {
        let Some(chain) = self.chains.get(&id) else { return true };
        let (used, cap) = match part {
            Part::Order => {
                let (_, place) = self.place(self.slot.slot);
                let of_units = chain.batch_gas.saturating_sub(chain.tails_gas);
                (of_units, slot_cap(chain.spec.gas_limit, place, self.slots))
            }
            Part::Tail => (chain.tail_gas, tail_cap(chain.spec.gas_limit, self.slots)),
        };
        used.saturating_add(need) <= cap
    }

    /// Runs a leg on its rollup's overlay.
    fn leg(&self, chain: &Chain, trial: &mut Trial, leg: &ReadyLeg, policy: Policy) -> Result<(), Outcome> {
        let Some(run) = &leg.run else { return Ok(()) };
        let done = chain.env(&self.batch).run(chain.view(&trial.overlay), run.tx.clone())?;
        if policy == Policy::AtomicExec {
            match &done.result {
                ExecutionResult::Success { .. } => {}
                ExecutionResult::Revert { .. } => return Err(Outcome::Revert),
                ExecutionResult::Halt { .. } => return Err(Outcome::Halt),
            }
        }
        trial.gas = trial.gas.saturating_add(done.result.tx_gas_used());
        let cumulative = chain.batch_gas.saturating_add(trial.gas);
        trial.receipts.push(receipt(run.kind, done.result, cumulative));
        trial.overlay.commit(done.state);
        Ok(())
    }

    fn merge(&mut self, id: ChainId, trial: Trial, part: Part) {
        if let Some(chain) = self.chains.get_mut(&id) {
            chain.state.merge(trial.overlay);
            chain.receipts.extend(trial.receipts);
            chain.batch_gas = chain.batch_gas.saturating_add(trial.gas);
            chain.slot_gas = chain.slot_gas.saturating_add(trial.gas);
            if part == Part::Tail {
                chain.tails_gas = chain.tails_gas.saturating_add(trial.gas);
                chain.tail_gas = chain.tail_gas.saturating_add(trial.gas);
            }
        }
    }

    /// SHA-256 over codec of (chain id, state root) of every executed rollup, ascending, as of the last closed slot.
    #[must_use]
    pub fn states_root(&self) -> Hash {
        let states: Vec<(ChainId, Hash)> = self.chains.iter().map(|(id, chain)| (*id, chain.post)).collect();
        roots::sha256(&[&codec::encode(&states)])
    }

    /// Nonce and balance in wei (at most 2^128 - 1 is shown); zero for what does not exist.
    #[must_use]
    pub fn account(&self, chain: ChainId, address: &Address) -> (u64, u128) {
        let account = self.chains.get(&chain).and_then(|chain| chain.state.account(EvmAddress::from(address.0)));
        account.map_or((0, 0), |account| (account.nonce, account.balance.saturating_to()))
    }

    /// A storage slot, big-endian; zero for what does not exist.
    #[must_use]
    pub fn storage(&self, chain: ChainId, address: &Address, slot: &Hash) -> Hash {
        let value = self
            .chains
            .get(&chain)
            .map(|chain| chain.state.slot(EvmAddress::from(address.0), U256::from_be_bytes(slot.0)));
        Hash(value.unwrap_or_default().to_be_bytes())
    }

    /// The base fee of the rollup's block being filled, wei per gas.
    #[must_use]
    pub fn base_fee(&self, chain: ChainId) -> Option<u64> {
        self.chains.get(&chain).map(Chain::base_fee)
    }

    /// Calls a contract without fee or trace, in the environment of the block being filled.
    ///
    /// # Errors
    /// [`CallError`] when the rollup is unknown or the call does not succeed.
    pub fn call(&self, chain: ChainId, to: &Address, data: &[u8]) -> Result<Vec<u8>, CallError> {
        let chain = self.chains.get(&chain).ok_or(CallError::UnknownChain)?;
        let nonce = chain.state.account(EvmAddress::ZERO).map_or(0, |account| account.nonce);
        let overlay = Overlay::default();
        let done = chain
            .env(&self.batch)
            .call(chain.view(&overlay), nonce, EvmAddress::from(to.0), data)
            .map_err(CallError::Refused)?;
        match done.result {
            ExecutionResult::Success { output, .. } => Ok(output.into_data().to_vec()),
            ExecutionResult::Revert { output, .. } => Err(CallError::Reverted(output.to_vec())),
            ExecutionResult::Halt { .. } => Err(CallError::Halted),
        }
    }
}

fn receipt(kind: TxType, result: ExecutionResult<HaltReason>, cumulative_gas_used: u64) -> Vec<u8> {
    let status = Eip658Value::Eip658(result.is_success());
    // A transaction that did not succeed has no logs.
    let logs = if result.is_success() { result.into_logs() } else { Vec::new() };
    let receipt = Receipt { status, cumulative_gas_used, logs }.with_bloom();
    let envelope = match kind {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    };
    envelope.encoded_2718()
}
