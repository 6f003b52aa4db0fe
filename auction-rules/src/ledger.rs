//! The sequencing ledger: accounts, pools, what is prepaid and not settled, and how a slot moves them.
use crate::{
    GenesisError, Prices, Terms, base_fee, charge, genesis, next_prices,
    payment::{FinalFee, overflow_of_users, pool_shares, rebates, split_price},
    root::{root, sha256},
    unit_bond,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use types::{Account, Address, Amount, Genesis, Hash, Params, Slot, codec, reason::Outcome, tag};

mod bonds;
mod market;
mod step;

pub use bonds::{AccountOperation, Act, Answer, Refused};
use market::Market;
pub use market::{BidTerms, CountedBids, Right};
use step::Step;

/// Money that belongs to no account yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// For payers: what fees and floors leave, forfeited unit bonds.
    pub users: Amount,
    /// For members, divided evenly.
    pub committee: Amount,
    /// For rollups.
    pub rollups: Amount,
    /// Prices debited and not split yet.
    pub escrow: Amount,
}

impl Pools {
    fn all(&self) -> [Amount; 4] {
        [self.users, self.committee, self.rollups, self.escrow]
    }
}

/// What a unit of a set has paid ahead, until its outcome is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prepaid {
    slot: Slot,
    account: Address,
    charge: Amount,
    base: Amount,
    bond: Amount,
    /// Whose body placed it.
    builder: Option<Address>,
}

/// Why the ledger cannot take a step. Each is a bug of the caller or of these rules, never of a stranger's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Slots are closed one after the other.
    #[error("slot {slot} closed after slot {closed}")]
    CloseOrder {
        /// The slot to close.
        slot: Slot,
        /// The last one closed.
        closed: Slot,
    },
    /// Slots are settled one after the other, once they are closed.
    #[error("slot {slot} settled after slot {executed}, with slot {closed} closed")]
    ExecOrder {
        /// The slot to settle.
        slot: Slot,
        /// The last one settled.
        executed: Slot,
        /// The last one closed.
        closed: Slot,
    },
    /// A unit's payer is not on the ledger.
    #[error("unit {unit} is paid by an unknown account")]
    UnknownAccount {
        /// The unit.
        unit: Hash,
    },
    /// A unit's nonce is not the next of its account, or the unit is in an earlier set.
    #[error("unit {unit} has not the next nonce")]
    Nonce {
        /// The unit.
        unit: Hash,
    },
    /// A unit's payer cannot pay charge and unit bond, or it offers less than its base fee.
    #[error("unit {unit} cannot be paid")]
    Funds {
        /// The unit.
        unit: Hash,
    },
    /// An outcome names a unit that is in no set, or is settled.
    #[error("unit {unit} has nothing to settle")]
    UnknownUnit {
        /// The unit.
        unit: Hash,
    },
    /// A unit of the slot, or one carried into it, has no outcome.
    #[error("unit {unit} has no outcome")]
    OutcomeMissing {
        /// The unit.
        unit: Hash,
    },
    /// An outcome that only a bundle of a tail can have.
    #[error("unit {unit} cannot end so")]
    OutcomeWrong {
        /// The unit.
        unit: Hash,
    },
    /// The steps of an auction come out of order: lock, close, auction, settle.
    #[error("slot {slot}: no such step of an auction now")]
    AuctionOrder {
        /// The slot.
        slot: Slot,
    },
    /// Other bids are opened than those that count.
    #[error("slot {slot}: other bids than those that count")]
    BidsWrong {
        /// The slot.
        slot: Slot,
    },
    /// A builder is not on the ledger.
    #[error("builder {builder} is not on the ledger")]
    UnknownBuilder {
        /// Who.
        builder: Address,
    },
    /// An amount reached 2^96 although the supply is below it.
    #[error("an amount of slot {slot} is out of range")]
    Range {
        /// The slot.
        slot: Slot,
    },
    /// A-26 does not hold.
    #[error("slot {slot} makes or loses money")]
    Conservation {
        /// The slot.
        slot: Slot,
    },
}

/// The state that `close` and `exec` move, slot by slot. A failed step leaves it as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<Address, Account>,
    pools: Pools,
    prepaid: BTreeMap<Hash, Prepaid>,
    /// Envelopes of earlier sets, with their slot.
    closed: BTreeMap<Hash, Slot>,
    /// The same by slot, for pruning.
    closed_in: BTreeMap<Slot, Vec<Hash>>,
    prices: Prices,
    last_closed: Slot,
    last_executed: Slot,
    changed: BTreeSet<Address>,
    chain: Hash,
    market: Market,
}

impl Ledger {
    /// The ledger of slot 0: opening balances, floor prices.
    ///
    /// # Errors
    /// [`GenesisError`] for a genesis that no network may run with.
    pub fn genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        genesis::check(genesis)?;
        let opening =
            |b: &types::Balance| (b.address, Account { balance: b.balance, bond: b.bond, ..Account::default() });
        let accounts: BTreeMap<Address, Account> = genesis.balances.iter().map(opening).collect();
        let params = &genesis.params;
        let prices = Prices { byte: params.byte_price_min.units(), gas: params.gas_price_min.units() };
        let mut ledger = Self {
            changed: accounts.keys().copied().collect(),
            accounts,
            pools: Pools::default(),
            prepaid: BTreeMap::new(),
            closed: BTreeMap::new(),
            closed_in: BTreeMap::new(),
            prices,
            last_closed: Slot(0),
            last_executed: Slot(0),
            chain: Hash::ZERO,
            market: Market::genesis(genesis, prices),
        };
        ledger.checked_total().ok_or(GenesisError::Supply)?;
        ledger.move_chain();
        Ok(ledger)
    }
    /// What an account holds; `None` when it is not on the ledger.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.accounts.get(address).copied()
    }
    /// Accounts on the ledger, ascending by address.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &Account)> {
        self.accounts.iter()
    }
    /// Prices of the next slot to close.
    #[must_use]
    pub fn prices(&self) -> Prices {
        self.prices
    }
    /// The next slot to close.
    #[must_use]
    pub fn next_slot(&self) -> Slot {
        self.last_closed.next()
    }
    /// The pools.
    #[must_use]
    pub fn pools(&self) -> Pools {
        self.pools
    }
    /// The hash chain over account changes, as of the last `exec`: EXEC's `ledger`.
    #[must_use]
    pub fn chain(&self) -> Hash {
        self.chain
    }
    /// Is in an earlier set. Remembered for `expiry_slots_max` slots.
    #[must_use]
    pub fn is_closed(&self, hash: &Hash) -> bool {
        self.closed.contains_key(hash)
    }
    /// RFC 6962 root over the accounts, ascending by address; leaf = codec((address, account)).
    #[must_use]
    pub fn account_root(&self) -> Hash {
        root(self.accounts.iter().map(|entry| codec::encode(&entry)))
    }
    /// All money: balances, bonds, what is prepaid, what waits for new accounts, pools.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.checked_total().unwrap_or_default()
    }

    fn checked_total(&self) -> Option<Amount> {
        let of_accounts = self.accounts.values().flat_map(|account| [account.balance, account.bond]);
        let of_units = self.prepaid.values().flat_map(|unit| [unit.charge, unit.bond]);
        let of_new = self.market.arriving.values().copied();
        Amount::sum(of_accounts.chain(of_units).chain(of_new).chain(self.pools.all()))
    }

    /// Closes a slot with its set (A-39, CLOSE): charges and unit bonds, nonces, what is closed, prices of the next slot.
    /// The order of `set` is irrelevant. An empty block passes an empty set, and prices fall as after any empty set.
    ///
    /// # Errors
    /// [`LedgerError`] when the set is not one that [`crate::select`] gives.
    pub fn close(&mut self, params: &Params, slot: Slot, set: &[Terms]) -> Result<(), LedgerError> {
        if slot != self.next_slot() {
            return Err(LedgerError::CloseOrder { slot, closed: self.last_closed });
        }
        let mut units: Vec<&Terms> = set.iter().collect();
        units.sort_unstable_by_key(|unit| (unit.account, unit.nonce));
        let mut touched: BTreeMap<Address, Account> = BTreeMap::new();
        let mut prepaid: Vec<(Hash, Prepaid)> = Vec::with_capacity(units.len());
        let (mut used_bytes, mut used_gas) = (0u64, 0u64);
        for unit in units {
            let hash = unit.hash;
            let known = self.accounts.get(&unit.account).ok_or(LedgerError::UnknownAccount { unit: hash })?;
            let account = touched.entry(unit.account).or_insert(*known);
            if account.nonce != unit.nonce || self.is_closed(&hash) {
                return Err(LedgerError::Nonce { unit: hash });
            }
            let paid = self.price(params, slot, unit).ok_or(LedgerError::Funds { unit: hash })?;
            let locked = paid.charge.checked_add(paid.bond).ok_or(LedgerError::Funds { unit: hash })?;
            account.balance = account.balance.checked_sub(locked).ok_or(LedgerError::Funds { unit: hash })?;
            account.nonce = account.nonce.next();
            prepaid.push((hash, paid));
            used_bytes = used_bytes.saturating_add(unit.bytes());
            used_gas = used_gas.saturating_add(unit.gas_units().unwrap_or(u64::MAX));
        }
        let paid = Amount::sum(prepaid.iter().flat_map(|(_, unit)| [unit.charge, unit.bond]));
        let range = LedgerError::Range { slot };
        if self.held(touched.keys()).ok_or(range)?
            != sum(&touched).and_then(|kept| kept.checked_add(paid?)).ok_or(range)?
        {
            return Err(LedgerError::Conservation { slot });
        }
        // Nothing below fails.
        self.begin_slot(params, slot);
        self.store(touched);
        self.market.charged = self.prices;
        self.prices = next_prices(params, &self.prices, used_bytes, used_gas);
        self.last_closed = slot;
        self.remember(params, slot, &prepaid);
        self.prepaid.extend(prepaid);
        Ok(())
    }

    /// The body of `builder` placed these units of the slot last closed: its share of their fees is the
    /// builder's.
    ///
    /// # Errors
    /// [`LedgerError`] when a unit is not of that slot, or the builder is not on the ledger.
    pub fn place(&mut self, slot: Slot, builder: &Address, units: &[Hash]) -> Result<(), LedgerError> {
        if !self.accounts.contains_key(builder) {
            return Err(LedgerError::UnknownBuilder { builder: *builder });
        }
        let of_slot = |unit: &&Hash| self.prepaid.get(*unit).is_some_and(|paid| paid.slot == slot);
        if let Some(unit) = units.iter().find(|unit| slot != self.last_closed || !of_slot(unit)) {
            return Err(LedgerError::UnknownUnit { unit: *unit });
        }
        for unit in units {
            if let Some(paid) = self.prepaid.get_mut(unit) {
                paid.builder = Some(*builder);
            }
        }
        Ok(())
    }

    /// Settles a slot whose outcomes are known (A-39, EXEC): fee shares, tips of expired units back, unit bonds
    /// back or forfeited, the escrow of the slot's right. Credits only. `outcomes` = the queue and L_h of the
    /// slot, without bundles of its tail, each unit once; a carried unit stays prepaid. Moves the hash chain over all
    /// changes since the last call. Pays no rebates and ends no epoch: [`Self::settle`] does.
    ///
    /// Gives EXEC's `sums`: price, to payers, to rollups, to committee, fees charged, refunded, bonds forfeited,
    /// penalties; fees are those of the units whose outcome became final here, refunds the tips of expired ones, the
    /// price that of the right that stood here, penalties all bid fees, fines and slashes since the last EXEC.
    ///
    /// # Errors
    /// [`LedgerError`] when the outcomes are not those of the slot's units.
    pub fn exec(
        &mut self,
        params: &Params,
        slot: Slot,
        outcomes: &[(Hash, Outcome)],
    ) -> Result<[Amount; 8], LedgerError> {
        self.execute(params, slot, outcomes, None)
    }

    /// As [`Self::exec`], with what auctions add: rebates, and in the last slot of an epoch the rollups' pool to
    /// the accounts of rollups by weight, and what the users' pool holds too much to the rollups'. `rollups` are
    /// those touched in the epoch.
    ///
    /// # Errors
    /// As [`Self::exec`].
    pub fn settle(
        &mut self,
        params: &Params,
        slot: Slot,
        outcomes: &[(Hash, Outcome)],
        rollups: &[(Address, u32)],
    ) -> Result<[Amount; 8], LedgerError> {
        self.execute(params, slot, outcomes, Some(rollups))
    }

    fn execute(
        &mut self,
        params: &Params,
        slot: Slot,
        outcomes: &[(Hash, Outcome)],
        rollups: Option<&[(Address, u32)]>,
    ) -> Result<[Amount; 8], LedgerError> {
        if slot != self.last_executed.next() || slot > self.last_closed {
            let (executed, closed) = (self.last_executed, self.last_closed);
            return Err(LedgerError::ExecOrder { slot, executed, closed });
        }
        let range = LedgerError::Range { slot };
        let mut settled: BTreeMap<Hash, Prepaid> = BTreeMap::new();
        let mut carried: BTreeSet<Hash> = BTreeSet::new();
        let mut step = Step::new(self);
        let mut sums = Sums { penalties: self.market.penalties, ..Sums::default() };
        let mut fees: Vec<(Address, FinalFee)> = Vec::with_capacity(outcomes.len());
        for (hash, outcome) in outcomes {
            let unit = self.prepaid.get(hash).filter(|unit| unit.slot <= slot);
            let unit = *unit.ok_or(LedgerError::UnknownUnit { unit: *hash })?;
            if settled.contains_key(hash) || carried.contains(hash) {
                return Err(LedgerError::UnknownUnit { unit: *hash });
            }
            if matches!(outcome, Outcome::CarryPending | Outcome::TailGas) {
                return Err(LedgerError::OutcomeWrong { unit: *hash });
            }
            if !outcome.is_final() {
                carried.insert(*hash);
                continue;
            }
            let unknown = LedgerError::UnknownAccount { unit: *hash };
            let settlement = unit.settle(params, *outcome, &mut sums).ok_or(range)?;
            settlement.pay(self, &unit, &mut step).ok_or(unknown)?;
            fees.push((unit.account, FinalFee { fee: settlement.fee, failed: outcome.is_failed() }));
            settled.insert(*hash, unit);
        }
        let missing = |(hash, unit): &(&Hash, &Prepaid)| {
            unit.slot <= slot && !settled.contains_key(*hash) && !carried.contains(*hash)
        };
        if let Some((hash, _)) = self.prepaid.iter().find(missing) {
            return Err(LedgerError::OutcomeMissing { unit: *hash });
        }
        self.split_escrow(params, slot, &mut step, &mut sums).ok_or(range)?;
        let charged = fees.iter().map(|(_, fee)| fee.fee.units()).fold(self.market.fees, u128::saturating_add);
        let ends = params.schedule().is_last(slot);
        if let Some(rollups) = rollups {
            self.pay_rebates(params, &fees, &mut step, &mut sums).ok_or(range)?;
            if ends {
                self.pay_rollups(params, rollups, charged, &mut step).ok_or(range)?;
            }
        }
        let released = Amount::sum(settled.values().flat_map(|unit| [unit.charge, unit.bond])).ok_or(range)?;
        self.store_step(slot, step, released)?;
        // Nothing below fails.
        self.prepaid.retain(|hash, _| !settled.contains_key(hash));
        self.market.right_paid(slot);
        self.market.penalties = Amount::ZERO;
        self.market.fees = if ends { 0 } else { charged };
        self.last_executed = slot;
        self.move_chain();
        Ok(sums.all())
    }

    /// the escrow of the right that stood at this slot.
    fn split_escrow(&self, params: &Params, slot: Slot, step: &mut Step, sums: &mut Sums) -> Option<()> {
        let Some(right) = self.market.right_of(slot) else { return Some(()) };
        let split = split_price(params, right.price);
        let pools = &mut step.pools;
        pools.escrow = pools.escrow.checked_sub(right.price)?;
        pools.users = pools.users.checked_add(split.users)?;
        pools.rollups = pools.rollups.checked_add(split.rollups)?;
        pools.committee = pools.committee.checked_add(split.committee)?;
        sums.price = right.price;
        sums.rollups = split.rollups;
        sums.committee = sums.committee.checked_add(split.committee)?;
        Some(())
    }

    /// A-22, after everything else has come into the pool.
    fn pay_rebates(
        &self,
        params: &Params,
        fees: &[(Address, FinalFee)],
        step: &mut Step,
        sums: &mut Sums,
    ) -> Option<()> {
        let of_fees: Vec<FinalFee> = fees.iter().map(|(_, fee)| *fee).collect();
        let rebates = rebates(params, step.pools.users, &of_fees)?;
        for ((payer, _), share) in fees.iter().zip(rebates.shares) {
            step.credit(self, payer, share)?;
        }
        step.pools.users = rebates.left;
        sums.payers = rebates.paid;
        Some(())
    }

    /// first the pool is paid, then the users' pool spills into it.
    fn pay_rollups(&self, params: &Params, rollups: &[(Address, u32)], fees: u128, step: &mut Step) -> Option<()> {
        let weights: Vec<u32> = rollups.iter().map(|(_, weight)| *weight).collect();
        for ((account, _), share) in rollups.iter().zip(pool_shares(step.pools.rollups, &weights)) {
            step.pools.rollups = step.pools.rollups.checked_sub(share)?;
            step.credit(self, account, share)?;
        }
        let spill = overflow_of_users(params, step.pools.users, fees);
        step.pools.users = step.pools.users.checked_sub(spill)?;
        step.pools.rollups = step.pools.rollups.checked_add(spill)?;
        Some(())
    }

    /// What a unit prepays at this slot's prices.
    fn price(&self, params: &Params, slot: Slot, unit: &Terms) -> Option<Prepaid> {
        let base = base_fee(&self.prices, unit.size, unit.gas)?;
        let charge = charge(unit.max_fee, base)?;
        Some(Prepaid { slot, account: unit.account, charge, base, bond: unit_bond(params, base)?, builder: None })
    }

    /// What these accounts hold.
    fn held<'a>(&self, addresses: impl Iterator<Item = &'a Address>) -> Option<Amount> {
        Amount::sum(addresses.filter_map(|address| self.accounts.get(address)).flat_map(|a| [a.balance, a.bond]))
    }

    fn store(&mut self, touched: BTreeMap<Address, Account>) {
        self.changed.extend(touched.keys().copied());
        self.accounts.extend(touched);
    }

    /// Adds the slot's units to what is closed and forgets those of `expiry_slots_max` slots before.
    fn remember(&mut self, params: &Params, slot: Slot, units: &[(Hash, Prepaid)]) {
        self.closed.extend(units.iter().map(|(hash, _)| (*hash, slot)));
        if !units.is_empty() {
            self.closed_in.insert(slot, units.iter().map(|(hash, _)| *hash).collect());
        }
        while let Some(oldest) = self.closed_in.first_entry()
            && oldest.key().plus(params.expiry_slots_max) <= slot
        {
            for hash in oldest.remove() {
                self.closed.remove(&hash);
            }
        }
    }

    /// SHA-256(tag | previous | codec(changed accounts, pools, prices) | what auctions changed, if they took a step).
    fn move_chain(&mut self) {
        let accounts = &self.accounts;
        let changed = core::mem::take(&mut self.changed);
        let changed: Vec<(Address, Account)> = changed
            .into_iter()
            .filter_map(|address| accounts.get(&address).map(|account| (address, *account)))
            .collect();
        let mut bytes = codec::encode(&(changed, self.pools.all(), [self.prices.byte, self.prices.gas]));
        bytes.extend(self.market.take_changes());
        self.chain = sha256(&[tag::LEDGER.as_bytes(), self.chain.as_bytes(), &bytes]);
    }
}

fn sum(accounts: &BTreeMap<Address, Account>) -> Option<Amount> {
    Amount::sum(accounts.values().flat_map(|account| [account.balance, account.bond]))
}

/// What an EXEC adds up.
#[derive(Default)]
struct Sums {
    price: Amount,
    payers: Amount,
    rollups: Amount,
    committee: Amount,
    charged: Amount,
    refunded: Amount,
    forfeited: Amount,
    penalties: Amount,
}

impl Sums {
    fn all(&self) -> [Amount; 8] {
        let Self { price, payers, rollups, committee, charged, refunded, forfeited, penalties } = *self;
        [price, payers, rollups, committee, charged, refunded, forfeited, penalties]
    }
}

/// Where what one unit prepaid goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settlement {
    /// What inclusion cost it.
    fee: Amount,
    /// To the payer.
    back: Amount,
    /// To the committee's pool.
    committee: Amount,
    /// The rest of the fee: to the builder whose body placed the unit, else to the users' pool.
    rest: Amount,
    /// To the users' pool.
    forfeited: Amount,
}

impl Prepaid {
    /// Divides what one unit prepaid, now that its outcome is final.
    fn settle(&self, params: &Params, outcome: Outcome, sums: &mut Sums) -> Option<Settlement> {
        // Expired: the fee is the base, the tip goes back.
        let fee = if outcome == Outcome::Expired { self.base } else { self.charge };
        let tip = self.charge.checked_sub(fee)?;
        let back = if outcome.is_failed() { tip } else { tip.checked_add(self.bond)? };
        let forfeited = if outcome.is_failed() { self.bond } else { Amount::ZERO };
        // The remainder of the floor goes with the builder's share.
        let committee = fee.bps_floor(10_000u16.saturating_sub(params.builder_fee_bps));
        let rest = fee.checked_sub(committee)?;
        sums.committee = sums.committee.checked_add(committee)?;
        sums.charged = sums.charged.checked_add(self.charge)?;
        sums.refunded = sums.refunded.checked_add(tip)?;
        sums.forfeited = sums.forfeited.checked_add(forfeited)?;
        Some(Settlement { fee, back, committee, rest, forfeited })
    }
}

impl Settlement {
    fn pay(&self, ledger: &Ledger, unit: &Prepaid, step: &mut Step) -> Option<()> {
        let payer = step.account(ledger, &unit.account)?;
        payer.balance = payer.balance.checked_add(self.back)?;
        match unit.builder {
            Some(builder) => step.credit(ledger, &builder, self.rest)?,
            None => step.pools.users = step.pools.users.checked_add(self.rest)?,
        }
        step.pools.committee = step.pools.committee.checked_add(self.committee)?;
        step.pools.users = step.pools.users.checked_add(self.forfeited)?;
        Some(())
    }
}

#[cfg(test)]
mod auction_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
